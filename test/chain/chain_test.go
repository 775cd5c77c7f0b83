//go:build e2e

package chain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var watchedLabel = map[string]string{"token/type": "nautobot"}

// A Secret appears, and changes: by then its account is there, then its new
// token works and the one before does not.
func TestSecretAppearsAndChanges(t *testing.T) {
	t.Parallel()
	a := newAccount(t, watched, "changing")
	a.save(t)
	eventually(t, a.usable)
	a.wantJobs(t, 1)

	var found struct {
		Results []struct {
			LastName  string `json:"last_name"`
			Superuser bool   `json:"is_superuser"`
		}
	}
	if _, err := ask(t.Context(), nautobot.Token, "users/users/?username="+url.QueryEscape(a.username), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Results) != 1 || found.Results[0].LastName != "chain/openstack/changing" || found.Results[0].Superuser {
		t.Errorf("the account: %+v", found.Results)
	}

	before := a.token
	a.renewToken()
	a.save(t)
	eventually(t, a.usable)
	a.wantJobs(t, 2)
	if status, err := ask(t.Context(), before, "users/config/", nil); err != nil || status != http.StatusUnauthorized && status != http.StatusForbidden {
		t.Errorf("the token before: Nautobot answers %d, %v", status, err)
	}
}

// What has no label, and what lies in a namespace without a rule, starts no
// Job. The label can be added later.
func TestNotWatched(t *testing.T) {
	t.Parallel()
	unlabelled, elsewhere, last := newAccount(t, watched, "unlabelled"), newAccount(t, "elsewhere", "elsewhere"), newAccount(t, watched, "labelled")
	unlabelled.saveData(t, nil, unlabelled.data())
	elsewhere.save(t)
	last.save(t) // whatever the others start is started before
	last.wantJobs(t, 1)
	for _, a := range []*account{unlabelled, elsewhere} {
		a.wantJobs(t, 0)
	}
	unlabelled.save(t)
	eventually(t, unlabelled.usable)
}

// A malformed Secret is refused at once, and not tried again. The reason stands
// where people look.
func TestRefused(t *testing.T) {
	t.Parallel()
	a := newAccount(t, watched, "malformed")
	data := a.data()
	delete(data, "token")
	a.saveData(t, watchedLabel, data)
	job := a.failedJob(t)
	if job.Status.Failed != 1 {
		t.Errorf("%d Pods have failed, want 1", job.Status.Failed)
	}
	found, err := pods(t.Context(), "batch.kubernetes.io/job-name="+job.Name)
	if err != nil || len(found) != 1 {
		t.Fatalf("%d Pods, %v", len(found), err)
	}
	ended := found[0].Status.ContainerStatuses[0].State.Terminated
	if ended == nil || ended.ExitCode != 3 {
		t.Fatalf("the Pod has ended with %+v, want exit code 3", ended)
	}
	const reason = `key "token" is missing`
	if !strings.Contains(ended.Message, reason) {
		t.Errorf("termination message: %s\nwant it to say %q", ended.Message, reason)
	}
	var events corev1.EventList
	path := "/api/v1/namespaces/" + a.namespace + "/events?fieldSelector=" + url.QueryEscape("involvedObject.kind=Secret,involvedObject.name="+a.name)
	if err := get(t.Context(), path, &events); err != nil {
		t.Fatal(err)
	}
	if len(events.Items) != 1 || events.Items[0].Type != corev1.EventTypeWarning || !strings.Contains(events.Items[0].Message, reason) {
		t.Errorf("events on the Secret: %+v", events.Items)
	}
}

// failedJob waits until the only Job for the Secret has failed.
func (a *account) failedJob(t *testing.T) (failed batchv1.Job) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		jobs, err := a.jobs(ctx)
		if err != nil {
			return err
		}
		if len(jobs) != 1 || !finished(jobs[0], batchv1.JobFailed) {
			return fmt.Errorf("%d Jobs, or not failed", len(jobs))
		}
		failed = jobs[0]
		return nil
	})
	return failed
}

// Thirty Secrets at once become thirty accounts, and no more programs are at work
// than the chart's job.maxRunning. Kubernetes counts them a moment late: it may
// let one Pod more begin while another ends.
func TestBurst(t *testing.T) {
	const secrets, limit = 30, 10
	type peak struct{ running, pods int }
	peaks := make(chan peak)
	done := make(chan struct{})
	go func() {
		var highest peak
		for {
			running, pods := atWork(t.Context())
			highest = peak{max(highest.running, running), max(highest.pods, pods)}
			select {
			case <-done:
				peaks <- highest
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	var accounts []*account
	begin := time.Now()
	for i := range secrets {
		a := newAccount(t, watched, fmt.Sprintf("burst-%02d", i))
		a.save(t)
		accounts = append(accounts, a)
	}
	for _, a := range accounts {
		eventually(t, a.usable)
		a.wantJobs(t, 1)
	}
	close(done)
	highest := <-peaks
	t.Logf("%d accounts after %s; at once %d Pods at most, and %d at work", secrets, time.Since(begin).Round(time.Second), highest.pods, highest.running)
	if highest.running > limit+1 || highest.running < 2 {
		t.Errorf("want %d at work at most, and more than one", limit)
	}
}

// atWork counts the Pods of Jobs that have not ended, and those among them
// whose program runs.
func atWork(ctx context.Context) (running, unfinished int) {
	found, err := pods(ctx, "app.kubernetes.io/component=job", "status.phase!=Succeeded", "status.phase!=Failed")
	if err != nil {
		return 0, 0 // it is asked for again
	}
	for _, pod := range found {
		unfinished++
		if pod.Status.Phase == corev1.PodRunning {
			running++
		}
	}
	return running, unfinished
}

// Without the superuser's Secret a Job fails, is tried again, and ends well once
// the Secret is there.
func TestSuperuserSecretComesLater(t *testing.T) {
	if err := remove(t.Context(), "Secret", home, "nautobot-superuser"); err != nil {
		t.Fatal(err)
	}
	a := newAccount(t, watched, "early")
	a.save(t)
	eventually(t, func(ctx context.Context) error {
		jobs, err := a.jobs(ctx)
		if err == nil && (len(jobs) != 1 || jobs[0].Status.Failed == 0) {
			err = errors.New("no Pod has failed")
		}
		return err
	})
	a.wantFinding(t, "warning", "job/nautobot/", "and is tried again: superuser token: there is no Secret")
	if err := applySuperuser(t.Context()); err != nil {
		t.Fatal(redact(err.Error()))
	}
	eventually(t, a.usable)
	a.wantJobs(t, 1)
}

// A Secret that was missed is made up for by touching it.
func TestTouched(t *testing.T) {
	t.Parallel()
	a := newAccount(t, watched, "touched")
	a.save(t)
	a.wantJobs(t, 1)
	text := object{"apiVersion": "v1", "kind": "Secret", "stringData": a.data(), "metadata": object{
		"name": a.name, "namespace": a.namespace, "labels": watchedLabel, "annotations": object{"nautobot-token/touched": "1"},
	}}
	if err := apply(t.Context(), text); err != nil {
		t.Fatal(redact(err.Error()))
	}
	a.wantJobs(t, 2)
}

// A namespace can have a name that YAML would read as a number.
func TestNamespaceOfDigits(t *testing.T) {
	t.Parallel()
	a := newAccount(t, "2024", "digits")
	a.save(t)
	eventually(t, a.usable)
	a.wantJobs(t, 1)
}

// `helm test` does a dry run with the Job's own Pod, where a Pod has to name what
// it needs.
func TestHelmTest(t *testing.T) {
	a := newAccount(t, watched, "tested") // as the values say
	a.save(t)
	a.wantJobs(t, 1)
	before := snapshot(t)
	if out, err := cluster.Helm(t.Context(), "test", release, "--namespace", home, "--timeout", "90s"); err != nil {
		t.Fatalf("%v\n%s", err, redact(out))
	}
	if after := snapshot(t); after != before {
		t.Error("something has changed in Nautobot")
	}
}

// A release without a bus that works has no Pods, and its EventSource and Sensor
// say why: in the words of README.md, which differ.
func TestNoEventBus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		eventBus object
		want     string
	}{
		"absent":  {object{"create": false, "name": "absent"}, "EventBus not found."},
		"version": {object{"version": "2.9.99"}, "EventBus not ready."},
	} {
		values := maps.Clone(chartValues)
		values["eventBus"] = c.eventBus
		if err := helm(t.Context(), "install", home, name, values); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := cluster.Helm(context.WithoutCancel(t.Context()), "uninstall", name, "--namespace", home); err != nil {
				t.Error(err)
			}
		})
		for _, resource := range []string{"eventsources", "sensors"} {
			eventually(t, func(ctx context.Context) error { return complains(ctx, resource, name, c.want) })
			eventually(t, func(ctx context.Context) error {
				return finds(ctx, "failed", strings.TrimSuffix(resource, "s"), strings.TrimSuffix(c.want, "."), ofRelease(home, name)...)
			})
		}
	}
	eventually(t, func(ctx context.Context) error {
		return complains(ctx, "eventbus", "version", `unsupported version "2.9.99"`)
	})
	for name, says := range map[string]string{"absent": "EventBus not found", "version": "unsupported version"} {
		if err := finds(t.Context(), "failed", "eventbus/", says, ofRelease(home, name)...); err != nil {
			t.Error(err)
		}
	}
}

// complains is nil when an object of Argo Events has a condition that says why
// it does not work.
func complains(ctx context.Context, resource, release, want string) error {
	var got struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := get(ctx, "/apis/argoproj.io/v1alpha1/namespaces/"+home+"/"+resource+"/"+release+"-nautobot-token", &got); err != nil {
		return err
	}
	for _, condition := range got.Status.Conditions {
		if condition.Status == "False" && strings.Contains(condition.Message, want) {
			return nil
		}
	}
	return fmt.Errorf("no condition of %s %s says %q: %+v", resource, release, want, got.Status)
}

// A Pod that is stuck holds its place in the quota no longer than it may run.
func TestStuckPodsMakeRoom(t *testing.T) {
	t.Parallel()
	values := maps.Clone(chartValues)
	values["nautobot"] = object{"url": "https://" + nautobotHost} // the ConfigMap with the CA is in another namespace
	values["image"] = object{"repository": imageRepository, "tag": "absent", "pullPolicy": "Never"}
	values["eventBus"] = object{"create": false, "name": "absent"}
	values["timeout"] = "5s"
	values["job"] = object{"maxRunning": 1, "podDeadlineSeconds": 10}
	if err := helm(t.Context(), "install", stuck, release, values); err != nil {
		t.Fatal(err)
	}
	var configMap corev1.ConfigMap
	if err := get(t.Context(), "/api/v1/namespaces/"+stuck+"/configmaps/nautobot-token-job", &configMap); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "second"} {
		var job object
		if err := yaml.Unmarshal([]byte(configMap.Data["job.yaml"]), &job); err != nil {
			t.Fatal(err)
		}
		delete(job["metadata"].(object), "generateName")
		job["metadata"].(object)["name"] = name
		if err := apply(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func(ctx context.Context) error {
		var jobs batchv1.JobList
		if err := get(ctx, "/apis/batch/v1/namespaces/"+stuck+"/jobs", &jobs); err != nil {
			return err
		}
		for _, job := range jobs.Items {
			if job.Status.Active+job.Status.Failed == 0 {
				return fmt.Errorf("Job %s has had no Pod yet", job.Name)
			}
		}
		return nil
	})
	for _, name := range []string{"first", "second"} {
		if err := cluster.Delete(t.Context(), fmt.Appendf(nil, "{apiVersion: batch/v1, kind: Job, metadata: {name: %s, namespace: %s}}", name, stuck)); err != nil {
			t.Error(err)
		}
	}
}
