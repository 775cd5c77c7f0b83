package charts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"
	"helm.sh/helm/v3/pkg/chartutil"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// What brings Secrets and accounts together without an event, and what takes
// accounts out of service.

func syncAccount(r rendered) string {
	if len(r.cronJobs) == 0 {
		return ""
	}
	return r.cronJobs[0].Spec.JobTemplate.Spec.Template.Spec.ServiceAccountName
}

// variable is one of the environment of a Job's only container.
func variable(pod corev1.PodTemplateSpec, name string) string {
	i := slices.IndexFunc(pod.Spec.Containers[0].Env, func(v corev1.EnvVar) bool { return v.Name == name })
	if i < 0 {
		return ""
	}
	return pod.Spec.Containers[0].Env[i].Value
}

func TestCronJobs(t *testing.T) {
	for name, want := range map[string][]string{
		"minimal": {
			"nautobot-token-sync: sync -q --refused-ok --parallel=4",
			"nautobot-token-sync-quick: sync -q --refused-ok --parallel=4 --quick",
		},
		"full": {
			"team-tokens-sync: sync -q --refused-ok --parallel=8 --prune --settle=5m --limit=10 --shard=$(JOB_COMPLETION_INDEX)/4",
			"team-tokens-sync-quick: sync -q --refused-ok --parallel=8 --quick --shard=$(JOB_COMPLETION_INDEX)/4",
		},
		"existing-bus": nil,
	} {
		var got []string
		for _, cronJob := range mustRender(t, valuesFiles(t)[name], chartutil.ReleaseOptions{}).cronJobs {
			got = append(got, cronJob.Name+": "+strings.Join(cronJob.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Args, " "))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// Each of the two can be switched off.
func TestOneCronJob(t *testing.T) {
	for key, want := range map[string]string{"schedule": "nautobot-token-sync-quick", "quickSchedule": "nautobot-token-sync"} {
		r := mustRender(t, with(valuesFiles(t)["minimal"], "sync."+key, "-"), chartutil.ReleaseOptions{})
		if len(r.cronJobs) != 1 || r.cronJobs[0].Name != want {
			t.Errorf("without %s there are %d CronJobs, want %s", key, len(r.cronJobs), want)
		}
	}
}

// A run has the rest of its Job's time to end by itself, its Pod neither waits
// for the quota of the other Jobs nor counts for it, and what a tenant does
// wrong does not make it fail: Argo CD takes a CronJob whose last run failed
// for degraded.
func TestSyncJob(t *testing.T) {
	for name, values := range valuesFiles(t) {
		r := mustRender(t, values, chartutil.ReleaseOptions{})
		for _, cronJob := range r.cronJobs {
			spec := cronJob.Spec.JobTemplate.Spec
			container := spec.Template.Spec.Containers[0]
			timeout, err := time.ParseDuration(variable(spec.Template, "TIMEOUT"))
			if err != nil {
				t.Fatal(err)
			}
			rules := spec.PodFailurePolicy.Rules
			switch {
			case cronJob.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent:
				t.Errorf("%s: %s runs beside itself", name, cronJob.Name)
			case time.Duration(*spec.ActiveDeadlineSeconds)*time.Second <= timeout:
				t.Errorf("%s: %s is killed after %d s, and its program stops after %s", name, cronJob.Name, *spec.ActiveDeadlineSeconds, timeout)
			case spec.Template.Spec.ActiveDeadlineSeconds != nil:
				t.Errorf("%s: the Pods of %s count for the ResourceQuota", name, cronJob.Name)
			case *rules[0].OnExitCodes.ContainerName != container.Name || !cmp.Equal(rules[0].OnExitCodes.Values, []int32{2, 3}):
				t.Errorf("%s: %s tries again what cannot help: %v", name, cronJob.Name, rules[0])
			case rules[1].OnPodConditions[0].Type != corev1.DisruptionTarget:
				t.Errorf("%s: evictions count as failures: %v", name, rules[1])
			case !slices.Contains(container.Args, "--refused-ok"):
				t.Errorf("%s: one refused Secret fails %s", name, cronJob.Name)
			}
			// Everything else is as in the Job of an event.
			pod, job := spec.Template.Spec.DeepCopy(), r.job.Spec.Template.Spec.DeepCopy()
			for _, of := range []*corev1.PodSpec{pod, job} {
				of.ActiveDeadlineSeconds, of.ServiceAccountName = nil, ""
				of.Containers[0].Name, of.Containers[0].Args = "", nil
				i := slices.IndexFunc(of.Containers[0].Env, func(v corev1.EnvVar) bool { return v.Name == "TIMEOUT" })
				of.Containers[0].Env[i].Value = ""
			}
			if diff := cmp.Diff(job, pod); diff != "" {
				t.Errorf("%s: the Pod of %s: (-Job's +its)\n%s", name, cronJob.Name, diff)
			}
		}
	}
}

// With the default the tries of an hourly run are over before the next one.
func TestSyncEndsWithinItsHour(t *testing.T) {
	for _, cronJob := range mustRender(t, valuesFiles(t)["minimal"], chartutil.ReleaseOptions{}).cronJobs {
		if got := *cronJob.Spec.JobTemplate.Spec.ActiveDeadlineSeconds; got >= 3600 {
			t.Errorf("%s may take %d s", cronJob.Name, got)
		}
	}
}

// Clusters do not ask Nautobot at the same time, though their releases have the
// same name; a release always asks at the same time; and the full run is at
// night.
func TestSchedulesDiffer(t *testing.T) {
	times, minutes := map[string]int{}, map[string]int{}
	const clusters = 60
	for i := range clusters {
		values := with(valuesFiles(t)["minimal"], "cluster", fmt.Sprintf("rxdb-lab%d", i))
		r := mustRender(t, values, chartutil.ReleaseOptions{})
		full, quick := r.cronJobs[0].Spec.Schedule, r.cronJobs[1].Spec.Schedule
		if i == 0 {
			if again := mustRender(t, values, chartutil.ReleaseOptions{}).cronJobs[0].Spec.Schedule; again != full {
				t.Errorf("%s, then %s", full, again)
			}
		}
		times[full]++
		minutes[quick]++
		schedule, err := cron.ParseStandard(full)
		if err != nil {
			t.Fatal(err)
		}
		day := time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
		first := schedule.Next(day.Add(-time.Second))
		if second := schedule.Next(first); first.Before(day) || first.Hour() > 4 || second.Sub(first) != 24*time.Hour {
			t.Errorf("%s: at %s, then at %s", full, first, second)
		}
		schedule, err = cron.ParseStandard(quick)
		if err != nil {
			t.Fatal(err)
		}
		first = schedule.Next(day)
		if second := schedule.Next(first); second.Sub(first) != time.Hour {
			t.Errorf("%s: at %s, then at %s", quick, first, second)
		}
	}
	if len(times) < 40 || len(minutes) < 20 {
		t.Errorf("%d clusters have %d times for the full run, and %d minutes for the quick one", clusters, len(times), len(minutes))
	}
}

// The chart takes what the controller of CronJobs takes.
func TestScheduleVerdicts(t *testing.T) {
	for i, schedule := range []string{
		"0 0 * * *", "*/15 * * * *", "0,30 1-5/2 1 jan-mar MON-FRI", "59 23 31 12 6", "0 22 * * 1-5", "@hourly", "@midnight", "@yearly", "00 07 ? * *", "5 4 * * sun",
		"60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 7", "* * * *", "* * * * * *", "*/0 * * * *", "a b c d e", "@fortnightly", "@reboot", "-1 * * * *", "0 0 * * mo",
	} {
		_, err := cron.ParseStandard(schedule)
		key := []string{"schedule", "quickSchedule"}[i%2]
		_, refusal := render(t, with(valuesFiles(t)["minimal"], "sync."+key, schedule), chartutil.ReleaseOptions{})
		if (err == nil) != (refusal == nil) {
			t.Errorf("%s: %q: cron: %v; the chart: %v", key, schedule, err, refusal)
		}
	}
}

// Shards are the indexes of one Job, each with tries of its own.
func TestShards(t *testing.T) {
	values := with(valuesFiles(t)["minimal"], "sync.shards", 5)
	spec := mustRender(t, values, chartutil.ReleaseOptions{}).cronJobs[0].Spec.JobTemplate.Spec
	if *spec.CompletionMode != batchv1.IndexedCompletion || *spec.Completions != 5 || *spec.Parallelism != 2 || *spec.BackoffLimitPerIndex != 2 || spec.BackoffLimit != nil {
		t.Errorf("%+v", spec)
	}
	if action := spec.PodFailurePolicy.Rules[0].Action; action != batchv1.PodFailurePolicyActionFailIndex {
		t.Errorf("a shard that is refused leads to %s", action)
	}
	if want := int64(3*50*60 + 300); *spec.ActiveDeadlineSeconds != want {
		t.Errorf("%d s for 5 shards, two at a time, want %d", *spec.ActiveDeadlineSeconds, want)
	}
	for version, takes := range map[string]bool{"v1.28.15": false, "v1.28.9-eks-036c24b": false, "v1.29.0": true, "v1.29.4-gke.1043002": true, "v1.29.0-rc.1": true, "v1.37.2": true} {
		on := chartutil.KubeVersion{Version: version, Major: "1"}
		_, err := renderOn(on, loadChart(t), values, chartutil.ReleaseOptions{})
		if refused := err != nil && strings.Contains(err.Error(), "need Kubernetes 1.29"); refused == takes || takes && err != nil {
			t.Errorf("%s: %v", version, err)
		}
		if _, err := renderOn(on, loadChart(t), valuesFiles(t)["minimal"], chartutil.ReleaseOptions{}); err != nil {
			t.Errorf("%s, without shards: %v", version, err)
		}
	}
}

// A Secret that is deleted starts a Job that revokes, and its data does not get
// further than that of one that changes.
func TestDeletedSecretMakesItsJob(t *testing.T) {
	r := mustRender(t, valuesFiles(t)["full"], chartutil.ReleaseOptions{})
	event := secretEvent("openstack")
	event["type"] = "DELETE"
	transformed, job := fire(t, r, "openstack_gone", event)
	want := []string{"revoke", "nautobot-token", "--namespace", "openstack", "--settle=3m", "--limit=2"}
	if got := job.Spec.Template.Spec.Containers[0].Args; !cmp.Equal(want, got) {
		t.Errorf("arguments %q, want %q", got, want)
	}
	if want := `{"name":"nautobot-token","namespace":"openstack"}`; transformed != want {
		t.Errorf("the event is %s, want %s", transformed, want)
	}
	job.Spec.Template.Spec.Containers[0].Args = r.revokeJob.Spec.Template.Spec.Containers[0].Args
	if diff := cmp.Diff(r.revokeJob, job); diff != "" {
		t.Errorf("the event changed more of the Job: (-want +got)\n%s", diff)
	}
}

// So does an ExternalSecret that is deleted, synced or not.
func TestDeletedExternalSecretMakesItsJob(t *testing.T) {
	values := with(valuesFiles(t)["externalsecret"], "rules", []any{map[string]any{"namespace": "openstack", "usernames": []any{"*"}, "revoke": true}})
	r := mustRender(t, values, chartutil.ReleaseOptions{})
	type m = map[string]any
	for want, body := range map[string]m{
		"bound":  {"metadata": m{"name": "es", "namespace": "openstack"}, "spec": m{"target": m{"name": "target"}}, "status": m{"binding": m{"name": "bound"}}},
		"target": {"metadata": m{"name": "es", "namespace": "openstack"}, "spec": m{"target": m{"name": "target"}}},
		"es":     {"metadata": m{"name": "es", "namespace": "openstack"}},
	} {
		_, job := fire(t, r, "openstack_gone", m{"type": "DELETE", "body": body, "oldBody": nil})
		if got := job.Spec.Template.Spec.Containers[0].Args; !cmp.Equal(got, []string{"revoke", want, "--namespace", "openstack", "--settle=1m", "--limit=3"}) {
			t.Errorf("%s: arguments %q", want, got)
		}
	}
}

// A Secret whose rule does not say revoke starts no Job: it would be refused, and
// somebody woken.
func TestWhoseDeletionCounts(t *testing.T) {
	rule := func(revoke bool, secrets ...any) any {
		return map[string]any{"namespace": "openstack", "secrets": secrets, "usernames": []any{"*"}, "revoke": revoke}
	}
	values := with(valuesFiles(t)["minimal"], "cluster", "global")
	values = with(with(values, "revoke.enabled", true), "rules", []any{rule(true, "nautobot-token", "a.b", "site-?*"), rule(false, "other*")})
	r := mustRender(t, values, chartutil.ReleaseOptions{})
	for name, want := range map[string]bool{
		"nautobot-token": true, "a.b": true, "site-1": true, "site-1.x": true,
		"other": false, "a-b": false, "site-": false, "nautobot-token-2": false, "my-nautobot-token": false,
	} {
		event := secretEvent("openstack")
		event["body"].(map[string]any)["metadata"].(map[string]any)["name"] = name
		if _, job := fire(t, r, "openstack_gone", event); (job != nil) != want {
			t.Errorf("%s: a Job: %t", name, job != nil)
		}
	}
	everySecret := with(values, "rules", []any{map[string]any{"namespace": "openstack", "usernames": []any{"*"}, "revoke": true}})
	if _, job := fire(t, mustRender(t, everySecret, chartutil.ReleaseOptions{}), "openstack_gone", secretEvent("openstack")); job == nil {
		t.Error("a rule for every Secret starts no Job")
	}
}

// Only where a rule says so, and only deletions.
func TestWhatIsRevoked(t *testing.T) {
	r := mustRender(t, valuesFiles(t)["full"], chartutil.ReleaseOptions{})
	got := map[string][]string{}
	for name, source := range r.eventSource.Spec.Resource {
		for _, event := range source.EventTypes {
			got[name] = append(got[name], string(event))
		}
	}
	want := map[string][]string{"123": {"ADD", "UPDATE"}, "openstack": {"ADD", "UPDATE"}, "openstack_gone": {"DELETE"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events: (-want +got)\n%s", diff)
	}
	for _, trigger := range r.sensor.Spec.Triggers {
		limit := *trigger.RateLimit
		if revokes := strings.HasPrefix(trigger.Template.Name, "revoke-"); revokes && limit != (v1alpha1.RateLimit{Unit: "Minute", RequestsPerUnit: 3}) {
			t.Errorf("%s starts Jobs without a brake: %v", trigger.Template.Name, limit)
		}
	}
}

// Argo Events drops the events that wait for a dependency or a trigger that is
// not as it was: revoke adds some and changes none.
func TestRevokeLeavesTheOthersAlone(t *testing.T) {
	for _, name := range []string{"full", "externalsecret"} {
		values := valuesFiles(t)[name]
		with, without := mustRender(t, values, chartutil.ReleaseOptions{}), mustRender(t, with(values, "revoke.enabled", false), chartutil.ReleaseOptions{})
		n, all := len(without.sensor.Spec.Dependencies), with.sensor.Spec.Dependencies
		if diff := cmp.Diff(without.sensor.Spec.Dependencies, all[:n]); diff != "" || len(all) == n {
			t.Errorf("%s: %d dependencies, %d before: (-before +after)\n%s", name, len(all), n, diff)
		}
		if diff := cmp.Diff(without.sensor.Spec.Triggers, with.sensor.Spec.Triggers[:n]); diff != "" {
			t.Errorf("%s: triggers: (-before +after)\n%s", name, diff)
		}
		for event, source := range without.eventSource.Spec.Resource {
			if diff := cmp.Diff(source, with.eventSource.Spec.Resource[event]); diff != "" {
				t.Errorf("%s: event %s: (-before +after)\n%s", name, event, diff)
			}
		}
		if diff := cmp.Diff(without.job, with.job); diff != "" {
			t.Errorf("%s: the Job: (-before +after)\n%s", name, diff)
		}
	}
}

// The Job has as much time as any other after the wait, and does not make
// others wait meanwhile.
func TestRevokeJob(t *testing.T) {
	r := mustRender(t, valuesFiles(t)["full"], chartutil.ReleaseOptions{}) // settle 3m, timeout 90s
	job, of := r.revokeJob.Spec, r.job.Spec
	if got := variable(job.Template, "TIMEOUT"); got != "270s" {
		t.Errorf("TIMEOUT=%s", got)
	}
	if got, want := *job.ActiveDeadlineSeconds, *of.ActiveDeadlineSeconds+180; got != want {
		t.Errorf("it may take %d s, want %d", got, want)
	}
	if job.Template.Spec.ActiveDeadlineSeconds != nil {
		t.Error("its Pods count for the ResourceQuota")
	}
	if name := *job.PodFailurePolicy.Rules[0].OnExitCodes.ContainerName; name != job.Template.Spec.Containers[0].Name {
		t.Errorf("exit codes of %s count, and the container is %s", name, job.Template.Spec.Containers[0].Name)
	}
	if job.Template.Spec.ServiceAccountName != of.Template.Spec.ServiceAccountName || r.revokeJob.GenerateName != r.job.GenerateName {
		t.Errorf("%s of %s", r.revokeJob.GenerateName, job.Template.Spec.ServiceAccountName)
	}
}
