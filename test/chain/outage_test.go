//go:build e2e

package chain

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// Nautobot is down for half a minute: the Job waits, or is tried again.
func TestNautobotDown(t *testing.T) {
	nautobot.Interrupt()
	a := newAccount(t, watched, "waiting")
	a.save(t)
	outage := time.After(30 * time.Second)
	for over := false; !over; {
		jobs, err := a.jobs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, job := range jobs {
			if finished(job, batchv1.JobFailed) || finished(job, batchv1.JobComplete) {
				t.Errorf("the Job has ended while Nautobot is down: %+v", job.Status)
			}
		}
		select {
		case <-outage:
			over = true
		case <-time.After(500 * time.Millisecond):
		}
	}
	if err := nautobot.Resume(t.Context()); err != nil {
		t.Fatal(redact(err.Error()))
	}
	eventually(t, a.usable)
	a.wantJobs(t, 1)
}

// What changes while the Sensor is down waits on the bus, unreadable, and is
// done when it is back.
func TestSensorDown(t *testing.T) {
	a := newAccount(t, watched, "sensor-down")
	a.save(t)
	a.wantJobs(t, 1)
	up := takeDown(t, "sensor-name="+release)
	a.renewToken()
	a.save(t)
	eventually(t, func(ctx context.Context) error {
		stream, err := bus(ctx, release)
		if err == nil && stream.State.Messages != 1 {
			err = fmt.Errorf("%d events wait on the bus, want 1", stream.State.Messages)
		}
		return err
	})
	files := storedOnBus(t)
	if len(files) == 0 {
		t.Error("the bus has no files")
	}
	for file, content := range files {
		if what := found(content); what != "" {
			t.Errorf("%s on the bus holds the %s", file, what)
		}
	}
	up()
	eventually(t, a.usable)
	a.wantJobs(t, 2)
	eventually(t, func(ctx context.Context) error { return busIsEmpty(ctx, release) })
}

// What changes while the EventSource is down is found when it is back.
func TestEventSourceDown(t *testing.T) {
	changed, created := newAccount(t, watched, "source-down"), newAccount(t, watched, "source-down-too")
	changed.save(t)
	changed.wantJobs(t, 1)
	up := takeDown(t, "eventsource-name="+release)
	changed.renewToken()
	changed.save(t)
	created.save(t)
	created.wantFinding(t, "failed", "eventsource/nautobot/", "no node takes it")
	created.wantFinding(t, "warning", "job/nautobot", "no Job yet for the change of the Secret")
	up()
	for _, a := range []*account{changed, created} {
		eventually(t, a.usable)
	}
	changed.wantJobs(t, 2)
	created.wantJobs(t, 1)
}

// An EventSource that starts reports everything there is: Jobs run, and nothing
// changes in Nautobot.
func TestEventSourceRestarted(t *testing.T) {
	a := newAccount(t, watched, "known")
	a.save(t)
	a.wantJobs(t, 1)
	before := snapshot(t)
	takeDown(t, "eventsource-name="+release)()
	a.wantJobs(t, 2)
	eventually(t, func(ctx context.Context) error { // those of other Secrets
		if _, pods := atWork(ctx); pods > 0 {
			return fmt.Errorf("%d Pods are at work", pods)
		}
		return nil
	})
	if after := snapshot(t); after != before {
		t.Error("something has changed in Nautobot")
	}
}

// A bus that comes back with its files goes on, and so does everything else.
func TestBusRestarted(t *testing.T) {
	a := newAccount(t, watched, "bus-restarted")
	a.save(t)
	a.wantJobs(t, 1)
	before, err := pods(t.Context(), "eventbus-name="+release)
	if err != nil || len(before) != 1 {
		t.Fatalf("%d servers, %v", len(before), err)
	}
	removePods(t, "eventbus-name="+release)
	eventually(t, func(ctx context.Context) error { return renewed(ctx, "eventbus-name="+release, before) })
	eventually(t, func(ctx context.Context) error { return listening(ctx, release) })
	worksAgain(t, a)
}

// A bus that lost everything is not created again by those that use it. The cure
// is that of README.md: the Sensor first, so that somebody waits for what the
// EventSource reports.
func TestBusLost(t *testing.T) {
	waitForBusOfThree(t)
	e := newPasswordSafe(t, "refreshed")
	e.start(t)
	eventually(t, e.usable)
	before, err := pods(t.Context(), "eventbus-name="+byExternalSecret)
	if err != nil || len(before) != 3 {
		t.Fatalf("%d servers, %v", len(before), err)
	}
	removePods(t, "eventbus-name="+byExternalSecret)
	eventually(t, func(ctx context.Context) error { return renewed(ctx, "eventbus-name="+byExternalSecret, before) })

	// The signs: everything runs, and the logs say this.
	e.renewToken()
	e.put(t, e.credential())
	for label, sign := range map[string]string{"sensor-name=": "bucket not found", "eventsource-name=": "no response from stream"} {
		eventually(t, func(ctx context.Context) error {
			e.refresh(t)
			return logHas(ctx, label+byExternalSecret, sign)
		})
		e.wantFinding(t, "failed", strings.TrimSuffix(label, "-name="), sign)
	}
	if err := e.usable(t.Context()); err == nil {
		t.Error("the chain has gone on")
	}
	eventually(t, e.refreshed)
	runSync(t, byExternalSecret+"-sync")
	if err := e.usable(t.Context()); err != nil {
		t.Errorf("after a sync: %v", err)
	}

	// What changes now is found when the chain works again.
	e.renewToken()
	e.put(t, e.credential())
	e.refresh(t)
	const sensor, source = "sensor-name=", "eventsource-name="
	gone := map[string][]corev1.Pod{}
	for _, label := range []string{sensor, source} {
		if gone[label], err = pods(t.Context(), label+byExternalSecret); err != nil {
			t.Fatal(err)
		}
	}
	removePods(t, sensor+byExternalSecret)
	untilBusOfThree(t, func(ctx context.Context) error {
		if err := renewed(ctx, sensor+byExternalSecret, gone[sensor]); err != nil {
			return err
		}
		stream, err := bus(ctx, byExternalSecret)
		if err == nil && stream.State.Consumers != 1 {
			err = errors.New("the Sensor does not listen yet")
		}
		return err
	}, sensor)
	removePods(t, source+byExternalSecret)
	eventually(t, func(ctx context.Context) error { return renewed(ctx, source+byExternalSecret, gone[source]) })
	eventually(t, e.usable)
}

// A rule for another namespace drops no event of the others, and what the new
// namespace had before is found by an EventSource that starts once more.
func TestRuleIsAdded(t *testing.T) {
	waiting, old := newAccount(t, watched, "waiting-for-upgrade"), newAccount(t, "billing", "billing")
	waiting.save(t)
	waiting.wantJobs(t, 1)
	old.save(t)
	up := takeDown(t, "sensor-name="+release)
	waiting.renewToken()
	waiting.save(t)
	eventually(t, func(ctx context.Context) error {
		stream, err := bus(ctx, release)
		if err == nil && stream.State.Messages != 1 {
			err = fmt.Errorf("%d events wait on the bus, want 1", stream.State.Messages)
		}
		return err
	})
	chartValues["rules"] = append(chartValues["rules"].([]any), object{"namespace": "billing", "usernames": []string{"svc-billing"}})
	if err := helm(t.Context(), "upgrade", home, release, chartValues); err != nil {
		t.Fatal(err)
	}
	removeSensorBefore(t)
	up()
	eventually(t, waiting.usable)
	waiting.wantJobs(t, 3) // by the event that waited, and by the EventSource, which is a new one too
	removePods(t, "eventsource-name="+release)
	eventually(t, old.usable)
	eventually(t, func(ctx context.Context) error { return listening(ctx, release) })
}

// removeSensorBefore waits for the Sensor's Pod of an upgrade, and takes away the
// one before: neither can start yet, and Kubernetes would keep both.
func removeSensorBefore(t *testing.T) {
	t.Helper()
	isNew := func(pod corev1.Pod) bool { return strings.Contains(environment(pod), "billing") }
	var found []corev1.Pod
	eventually(t, func(ctx context.Context) (err error) {
		found, err = pods(ctx, "sensor-name="+release)
		if err == nil && !slices.ContainsFunc(found, isNew) {
			err = errors.New("there is no Sensor with the new rule")
		}
		return err
	})
	for _, pod := range found {
		if isNew(pod) {
			continue
		}
		text := fmt.Appendf(nil, "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: %q, namespace: %q}}", pod.OwnerReferences[0].Name, home)
		if err := cluster.Delete(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func(ctx context.Context) error {
		found, err := pods(ctx, "sensor-name="+release)
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%d Sensors", len(found))
		}
		return err
	})
}

// environment is that of a Pod of Argo Events, with the object that it is for.
func environment(pod corev1.Pod) string {
	var text strings.Builder
	for _, variable := range pod.Spec.Containers[0].Env {
		decoded, err := base64.StdEncoding.DecodeString(variable.Value)
		if err == nil {
			text.Write(decoded)
		}
	}
	return text.String()
}

// worksAgain changes the Secret until its token works. What is written while
// a part has not found the bus yet is lost.
func worksAgain(t *testing.T, a *account) {
	t.Helper()
	changed := time.Time{}
	eventually(t, func(ctx context.Context) error {
		if time.Since(changed) > 10*time.Second {
			changed = time.Now()
			a.renewToken()
			a.save(t)
		}
		return a.usable(ctx)
	})
}

// renewed is nil when as many Pods with a label are ready as before, and none of
// them is one of those.
func renewed(ctx context.Context, label string, before []corev1.Pod) error {
	now, err := pods(ctx, label)
	if err != nil {
		return err
	}
	for _, pod := range now {
		if !ready(pod) || slices.ContainsFunc(before, func(gone corev1.Pod) bool { return gone.UID == pod.UID }) {
			return fmt.Errorf("Pod %s is not ready, or there still", pod.Name)
		}
	}
	if len(now) != len(before) {
		return fmt.Errorf("%d Pods with the label %s, want %d", len(now), label, len(before))
	}
	return nil
}

// logHas is nil when the log of the only Pod with a label holds a text.
func logHas(ctx context.Context, label, text string) error {
	found, err := pods(ctx, label)
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d Pods with the label %s, %w", len(found), label, err)
	}
	log, err := cluster.Get(ctx, "/api/v1/namespaces/"+home+"/pods/"+found[0].Name+"/log")
	if err == nil && !strings.Contains(string(log), text) {
		err = fmt.Errorf("the log of %s does not say %q", found[0].Name, text)
	}
	return err
}

// takeDown ends the only Pod with a label, and keeps the node from getting
// another until up is called. Up returns when everything listens again.
func takeDown(t *testing.T, label string) (up func()) {
	t.Helper()
	cordon(t, true)
	gone, err := pods(t.Context(), label)
	if err != nil || len(gone) != 1 {
		t.Fatalf("%d Pods with the label %s, %v", len(gone), label, err)
	}
	if err := remove(t.Context(), "Pod", home, gone[0].Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		left, err := pods(ctx, label)
		if err == nil && (len(left) != 1 || left[0].Name == gone[0].Name) {
			err = errors.New("the Pod is there still")
		}
		return err
	})
	return func() {
		t.Helper()
		cordon(t, false)
		eventually(t, func(ctx context.Context) error { return listening(ctx, release) })
	}
}

// cordon keeps new Pods from the node, or lets them again.
func cordon(t *testing.T, on bool) {
	t.Helper()
	if err := apply(t.Context(), object{
		"apiVersion": "v1", "kind": "Node", "metadata": object{"name": "node"}, "spec": object{"unschedulable": on},
	}); err != nil {
		t.Fatal(err)
	}
}

// busIsEmpty is nil when no event is left on the bus of a release.
func busIsEmpty(ctx context.Context, release string) error {
	stream, err := bus(ctx, release)
	if err == nil && stream.State.Messages != 0 {
		err = fmt.Errorf("%d events are on the bus of %s", stream.State.Messages, release)
	}
	return err
}

// storedOnBus are the files in which the EventBus keeps its events.
func storedOnBus(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	volumes, err := filepath.Glob(filepath.Join(cluster.Dir(), "kubelet/pods/*/volumes/kubernetes.io~empty-dir/js-data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, volume := range append(volumes, filepath.Join(cluster.Dir(), busVolume)) {
		err := filepath.WalkDir(volume, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it is being replaced
			}
			files[filepath.Base(path)] += string(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// snapshot is everything in Nautobot that a Job could write, with hashes in
// place of secrets.
func snapshot(t *testing.T) string {
	t.Helper()
	text, err := nautobot.Python(t.Context(), `
from hashlib import sha256
from nautobot.users.models import ObjectPermission, Token, User
def h(text): return sha256(text.encode()).hexdigest()
for u in User.objects.order_by("pk"): print(u.pk, u.username, h(u.password), u.first_name, u.last_name, u.is_active, u.is_superuser, u.is_staff, sorted(g.name for g in u.groups.all()))
for k in Token.objects.order_by("pk"): print(k.pk, k.user_id, h(k.key), k.description, k.expires, k.write_enabled)
for p in ObjectPermission.objects.order_by("pk"): print(p.pk, p.name, p.enabled, p.actions, p.constraints)
`)
	if err != nil {
		t.Fatal(redact(err.Error()))
	}
	return text
}
