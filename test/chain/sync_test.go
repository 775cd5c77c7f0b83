//go:build e2e

package chain

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var syncRuns atomic.Int32

// runSync runs a Job of a CronJob now, as `kubectl create job --from` does, and
// returns what each of its Pods has printed and logged.
func runSync(t *testing.T, cronJob string) (logs []string) {
	t.Helper()
	return runSyncTo(t, cronJob, batchv1.JobComplete)
}

// runSyncTo is runSync for a run that ends like that.
func runSyncTo(t *testing.T, cronJob string, end batchv1.JobConditionType) (logs []string) {
	t.Helper()
	var of struct {
		Spec struct{ JobTemplate struct{ Spec object } }
	}
	if err := get(t.Context(), "/apis/batch/v1/namespaces/"+home+"/cronjobs/"+cronJob, &of); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s-now-%d", cronJob, syncRuns.Add(1))
	if err := apply(t.Context(), object{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": object{"name": name, "namespace": home}, "spec": of.Spec.JobTemplate.Spec,
	}); err != nil {
		t.Fatal(err)
	}
	var job batchv1.Job
	eventually(t, func(ctx context.Context) error {
		err := get(ctx, "/apis/batch/v1/namespaces/"+home+"/jobs/"+name, &job)
		if err == nil && !finished(job, batchv1.JobComplete) && !finished(job, batchv1.JobFailed) {
			err = fmt.Errorf("Job %s: %+v", name, job.Status)
		}
		return err
	})
	found, err := pods(t.Context(), "batch.kubernetes.io/job-name="+name)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range found {
		log, err := cluster.Get(t.Context(), "/api/v1/namespaces/"+home+"/pods/"+pod.Name+"/log")
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, string(log))
	}
	if !finished(job, end) || end == batchv1.JobComplete && job.Status.Failed > 0 {
		t.Fatalf("%s: %+v\n%s", name, job.Status, redact(strings.Join(logs, "\n")))
	}
	return logs
}

// withoutEvents are the values of a release that hears nothing: it has no bus.
func withoutEvents(name string, rules ...any) object {
	values := maps.Clone(chartValues)
	for _, key := range []string{"test", "revoke"} {
		delete(values, key)
	}
	values["cluster"], values["rules"] = name, rules
	values["eventBus"] = object{"create": false, "name": "absent"}
	return values
}

// installForTest installs or upgrades a release, which goes away with the test.
func installForTest(t *testing.T, name string, values object) {
	t.Helper()
	if err := helm(t.Context(), "install", home, name, values); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Helm(context.WithoutCancel(t.Context()), "uninstall", name, "--namespace", home); err != nil {
			t.Error(err)
		}
	})
}

func makeNamespaces(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := apply(t.Context(), object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": name}}); err != nil {
			t.Fatal(err)
		}
	}
}

// What changes while there is no EventSource is repaired by one run of sync,
// whether or not an EventSource comes back.
func TestSyncWhileEventSourceIsDown(t *testing.T) {
	a := newAccount(t, watched, "source-gone")
	a.save(t)
	a.wantJobs(t, 1)
	var source object
	if err := get(t.Context(), "/apis/argoproj.io/v1alpha1/namespaces/"+home+"/eventsources/"+release, &source); err != nil {
		t.Fatal(err)
	}
	metadata := source["metadata"].(object)
	restored := object{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "EventSource", "spec": source["spec"],
		"metadata": object{"name": release, "namespace": home, "labels": metadata["labels"], "annotations": metadata["annotations"]},
	}
	if err := cluster.Delete(t.Context(), fmt.Appendf(nil, "{apiVersion: argoproj.io/v1alpha1, kind: EventSource, metadata: {name: %s, namespace: %s}}", release, home)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		found, err := pods(ctx, "eventsource-name="+release)
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("the EventSource has %d Pods", len(found))
		}
		return err
	})
	a.renewToken()
	a.save(t)
	runSync(t, release+"-sync-quick")
	if err := a.usable(t.Context()); err != nil {
		t.Error(err)
	}
	a.wantJobs(t, 1)

	if err := apply(t.Context(), restored); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error { return listening(ctx, release) })
	a.wantJobs(t, 2)
}

// Without any event one run of sync makes up for everything: Secrets that were
// there before the chart, a Job that gave up, a token that changed, a password and
// a group that somebody changed in Nautobot, and another policy.
func TestSyncRepairs(t *testing.T) {
	t.Parallel()
	makeNamespaces(t, "repaired", "repaired-any")
	before, listed, gaveUp := newAccount(t, "repaired", "before"), newAccount(t, "repaired-any", "listed"), newAccount(t, "repaired", "gave-up")
	accounts := []*account{before, listed, gaveUp}
	for _, a := range accounts {
		a.save(t)
	}
	named := object{"namespace": "repaired", "secrets": []any{"before", "gave-up", "later"}, "usernames": []any{"svc-*"}}
	anyName := object{"namespace": "repaired-any", "usernames": []any{"svc-*"}}
	values := withoutEvents("repair", named, anyName)
	values["superuserSecret"] = object{"name": "repair-superuser"}
	values["job"] = object{"backoffLimit": 0}
	installForTest(t, "repair", values)
	giveUp(t, "repair-nautobot-token", gaveUp)
	if err := apply(t.Context(), object{
		"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": "repair-superuser", "namespace": home}, "stringData": object{"apitoken": nautobot.Token},
	}); err != nil {
		t.Fatal(redact(err.Error()))
	}

	logs := runSync(t, "repair-nautobot-token-sync")
	for _, a := range accounts {
		if err := a.usable(t.Context()); err != nil {
			t.Errorf("%s: %v\n%s", a.name, err, redact(strings.Join(logs, "\n")))
		}
	}

	if err := nautobot.Do(t.Context(), nautobot.Admin(), http.MethodPost, "groups/", object{"name": "repaired"}, nil); err != nil {
		t.Fatal(err)
	}
	named["groups"] = []any{"repaired"}
	if err := helm(t.Context(), "upgrade", home, "repair", values); err != nil {
		t.Fatal(err)
	}
	for a, change := range map[*account]object{
		listed: {"password": keepSecret("password by hand", "by-hand-"+rand.Text())},
		gaveUp: {"groups": []any{}},
	} {
		if err := nautobot.Do(t.Context(), nautobot.Admin(), http.MethodPatch, "users/"+a.user(t).ID+"/", change, nil); err != nil {
			t.Fatal(err)
		}
	}
	former := before.token
	before.renewToken()
	before.save(t)
	logs = runSync(t, "repair-nautobot-token-sync")
	for _, a := range accounts {
		if err := a.usable(t.Context()); err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
		want := []string{"nautobot-token-managed", "repaired"}
		if a == listed {
			want = want[:1]
		}
		if diff := cmp.Diff(want, a.user(t).GroupNames()); diff != "" {
			t.Errorf("%s: groups (-want +got)\n%s", a.name, diff)
		}
	}
	if err := accepts(t.Context(), former); err == nil {
		t.Error("the former token is accepted still")
	}
	if _, err := nautobot.Tokens(t.Context(), servers.ByPassword(listed.username, listed.password)); err != nil {
		t.Errorf("the Secret's password: %v\n%s", err, redact(strings.Join(logs, "\n")))
	}

	for _, cronJob := range []string{"repair-nautobot-token-sync", "repair-nautobot-token-sync-quick"} {
		if got := changes(runSync(t, cronJob)); len(got) > 0 {
			t.Errorf("%s has found something to do: %q", cronJob, got)
		}
	}
}

// giveUp has a Job of a release fail for good: there is no superuser Secret.
func giveUp(t *testing.T, release string, a *account) {
	t.Helper()
	var configMap corev1.ConfigMap
	if err := get(t.Context(), "/api/v1/namespaces/"+home+"/configmaps/"+release+"-job", &configMap); err != nil {
		t.Fatal(err)
	}
	var job object
	if err := yaml.Unmarshal([]byte(configMap.Data["job.yaml"]), &job); err != nil {
		t.Fatal(err)
	}
	delete(job["metadata"].(object), "generateName")
	job["metadata"].(object)["name"] = "gives-up"
	pod := job["spec"].(object)["template"].(object)["spec"].(object)
	args := pod["containers"].([]any)[0].(object)["args"].([]any)
	args[1], args[3] = a.name, a.namespace // as the Sensor fills them in
	if err := apply(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	a.failedJob(t)
}

// change is a line of a result that says that something was written.
var change = regexp.MustCompile(`(?m)^(?:user|token|group|permission)/\S+ +(?:created|updated|revoked)\b.*$`)

// changes are the lines in logs that say so.
func changes(logs []string) (lines []string) {
	for _, log := range logs {
		lines = append(lines, change.FindAllString(log, -1)...)
	}
	return lines
}

// With --prune one run takes out of service whose Secret is gone, with its
// namespace or alone; but no Secret that only lost its label, and not twenty at
// once. What returns is in service again.
func TestPrune(t *testing.T) {
	t.Parallel()
	makeNamespaces(t, "pruned", "pruned-gone", "pruned-many")
	var rules []any
	for _, namespace := range []string{"pruned", "pruned-gone", "pruned-many"} {
		rules = append(rules, object{"namespace": namespace, "usernames": []any{"svc-*"}, "revoke": true})
	}
	values := withoutEvents("prune", rules...)
	values["sync"] = object{"suspend": true, "prune": object{"enabled": true, "settle": "3s"}}
	installForTest(t, "prune", values)
	forGood, unlabelled, gone := newAccount(t, "pruned", "pruned"), newAccount(t, "pruned", "unlabelled-only"), newAccount(t, "pruned-gone", "with-namespace")
	all := []*account{forGood, unlabelled, gone}
	var many []*account
	for i := range 20 {
		many = append(many, newAccount(t, "pruned-many", fmt.Sprintf("many-%02d", i)))
	}
	all = append(all, many...)
	for _, a := range all {
		a.save(t)
	}
	logs := runSync(t, "prune-nautobot-token-sync")
	for _, a := range all {
		if err := a.usable(t.Context()); err != nil {
			t.Fatalf("%s: %v\n%s", a.name, err, redact(strings.Join(logs, "\n")))
		}
	}

	forGood.remove(t)
	unlabelled.saveData(t, nil, unlabelled.data())
	for _, a := range many {
		a.remove(t)
	}
	if err := remove(t.Context(), "Namespace", "", "pruned-gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		if get(ctx, "/api/v1/namespaces/pruned-gone", new(object)) == nil {
			return fmt.Errorf("the namespace is there still")
		}
		return nil
	})
	// More Secrets gone than the limit make the run fail; the others are done.
	log := strings.Join(runSyncTo(t, "prune-nautobot-token-sync", batchv1.JobFailed), "\n")
	for _, a := range all {
		check, what := a.usable, "in service"
		if a == forGood || a == gone {
			check, what = a.unusable, "out of service"
		}
		if err := check(t.Context()); err != nil {
			t.Errorf("%s is not %s: %v", a.name, what, err)
		}
	}
	if user := forGood.user(t); user.Active || user.FirstName != "Service account (revoked)" {
		t.Errorf("the account: %+v", user)
	}
	if want := "20 Secrets of namespace pruned-many are gone at once, more than --limit 5 allows: many-00, many-01"; !strings.Contains(log, want) {
		t.Errorf("the log does not say %q:\n%s", want, redact(log))
	}

	forGood.save(t)
	runSyncTo(t, "prune-nautobot-token-sync", batchv1.JobFailed)
	if err := forGood.usable(t.Context()); err != nil {
		t.Errorf("after its return: %v", err)
	}
}

// synced is how many Secrets a run says that it has looked at.
var synced = regexp.MustCompile(`"msg":"synced","secrets":(\d+),`)

// Two hundred Secrets in four shards: each is done, and by one of them.
func TestShards(t *testing.T) {
	t.Parallel()
	const secrets, shards = 200, 4
	makeNamespaces(t, "sharded")
	values := withoutEvents("shards", object{"namespace": "sharded", "usernames": []any{"svc-*"}})
	values["sync"] = object{"suspend": true, "shards": shards}
	installForTest(t, "shards", values)
	// They have most of their tokens in common, so that there is one to look for.
	password, token := keepSecret("password of the shards", "pw-"+rand.Text()), keepSecret("token of the shards", (rand.Text() + rand.Text())[:37])
	var accounts []*account
	var want []string
	for i := range secrets {
		name := fmt.Sprintf("shard-%03d", i)
		a := &account{namespace: "sharded", name: name, username: "svc-" + name, password: password, token: fmt.Sprintf("%s%03d", token, i)}
		a.save(t)
		accounts, want = append(accounts, a), append(want, "token/sharded/"+name)
	}
	begin := time.Now()
	logs := runSync(t, "shards-nautobot-token-sync")
	t.Logf("%d Secrets in %d shards: %s", secrets, shards, time.Since(begin).Round(time.Second))
	var done []string
	for _, line := range changes(logs) {
		if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "token/") {
			done = append(done, name)
		}
	}
	total := 0
	for _, log := range logs {
		found := synced.FindStringSubmatch(log)
		if found == nil || found[1] == "0" {
			t.Fatalf("a shard has done nothing:\n%s", redact(log))
		}
		n, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total != secrets {
		t.Errorf("the shards have looked at %d Secrets together, want %d", total, secrets)
	}
	slices.Sort(done)
	if diff := cmp.Diff(want, done); diff != "" || len(logs) != shards {
		t.Errorf("%d Pods; tokens (-want +got)\n%s", len(logs), diff)
	}
	for _, a := range accounts {
		if err := a.usable(t.Context()); err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
	}
}
