//go:build e2e

package chain

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// An account is one Secret and what it stands for.
type account struct {
	namespace, name           string // of the Secret
	username, password, token string
}

// newAccount makes one whose Secret is not there yet, and goes away with the
// test: an EventSource that starts reports every Secret there is.
func newAccount(t testing.TB, namespace, name string) *account {
	a := &account{namespace: namespace, name: name, username: "svc-" + name}
	a.password = keepSecret("password of "+name, "pw-"+rand.Text())
	a.renewToken()
	t.Cleanup(func() {
		if err := remove(context.WithoutCancel(t.Context()), "Secret", namespace, name); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *account) renewToken() {
	a.token = keepSecret("token of "+a.name, (rand.Text() + rand.Text())[:40])
}

func (a *account) data() map[string]string {
	return map[string]string{"username": a.username, "password": a.password, "token": a.token}
}

// save writes the Secret, with the label that is watched for.
func (a *account) save(t testing.TB) {
	t.Helper()
	a.saveData(t, map[string]string{"token/type": "nautobot"}, a.data())
}

func (a *account) saveData(t testing.TB, labels, data map[string]string) {
	t.Helper()
	if err := apply(t.Context(), object{
		"apiVersion": "v1", "kind": "Secret", "stringData": data,
		"metadata": object{"name": a.name, "namespace": a.namespace, "labels": labels},
	}); err != nil {
		t.Fatal(redact(err.Error()))
	}
}

// remove deletes the Secret.
func (a *account) remove(t testing.TB) {
	t.Helper()
	if err := remove(t.Context(), "Secret", a.namespace, a.name); err != nil {
		t.Fatal(err)
	}
}

// user is the account in Nautobot.
func (a *account) user(t testing.TB) *servers.NautobotUser {
	t.Helper()
	user, err := nautobot.User(t.Context(), a.username)
	if err != nil || user == nil {
		t.Fatalf("there is no account %s: %v", a.username, err)
	}
	return user
}

// unusable is nil when Nautobot does not accept the token.
func (a *account) unusable(ctx context.Context) error {
	status, err := ask(ctx, a.token, "users/config/", nil)
	if err == nil && status != http.StatusForbidden && status != http.StatusUnauthorized {
		err = fmt.Errorf("Nautobot answers %d", status)
	}
	return err
}

// usable is nil when Nautobot knows the token.
func (a *account) usable(ctx context.Context) error { return accepts(ctx, a.token) }

// accepts is nil when Nautobot lets in whoever has the token.
func accepts(ctx context.Context, token string) error {
	status, err := ask(ctx, token, "users/config/", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("Nautobot answers %d", status)
	}
	return err
}

// ask asks Nautobot itself.
func ask(ctx context.Context, token, path string, into any) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, nautobot.URL+"/api/"+path, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Token "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if into != nil {
		err = json.NewDecoder(response.Body).Decode(into)
	}
	return response.StatusCode, err
}

// jobs are those that were created for the Secret, the oldest first.
func (a *account) jobs(ctx context.Context) ([]batchv1.Job, error) {
	var list batchv1.JobList
	if err := get(ctx, "/apis/batch/v1/namespaces/"+home+"/jobs", &list); err != nil {
		return nil, err
	}
	var jobs []batchv1.Job
	for _, job := range list.Items {
		args := job.Spec.Template.Spec.Containers[0].Args
		if len(args) >= 4 && args[1] == a.name && args[3] == a.namespace {
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// wantJobs waits until n Jobs were created for the Secret and all have
// succeeded.
func (a *account) wantJobs(t testing.TB, n int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		jobs, err := a.jobs(ctx)
		if err != nil {
			return err
		}
		for _, job := range jobs {
			if !finished(job, batchv1.JobComplete) {
				return fmt.Errorf("Job %s is not complete: %+v", job.Name, job.Status)
			}
		}
		if len(jobs) != n {
			return fmt.Errorf("%d Jobs for %s/%s, want %d", len(jobs), a.namespace, a.name, n)
		}
		return nil
	})
}

// pods are those of the release's namespace that have a label, and certain
// fields.
func pods(ctx context.Context, label string, fields ...string) ([]corev1.Pod, error) {
	var list corev1.PodList
	query := url.Values{"labelSelector": {label}, "fieldSelector": {strings.Join(fields, ",")}}
	err := get(ctx, "/api/v1/namespaces/"+home+"/pods?"+query.Encode(), &list)
	return list.Items, err
}

// get reads what the API has at a path.
func get(ctx context.Context, path string, into any) error {
	answer, err := cluster.Get(ctx, path)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// apply makes or updates objects.
func apply(ctx context.Context, objects ...object) error {
	for _, o := range objects {
		text, err := json.Marshal(o)
		if err == nil {
			err = cluster.Apply(ctx, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an object of the core API.
func remove(ctx context.Context, kind, namespace, name string) error {
	return cluster.Delete(ctx, fmt.Appendf(nil, "{apiVersion: v1, kind: %s, metadata: {name: %q, namespace: %q}}", kind, name, namespace))
}

// removePods deletes the Pods of the release's namespace that have a label.
func removePods(t *testing.T, label string) {
	t.Helper()
	found, err := pods(t.Context(), label)
	if err != nil || len(found) == 0 {
		t.Fatalf("%d Pods with the label %s, %v", len(found), label, err)
	}
	for _, pod := range found {
		if err := remove(t.Context(), "Pod", home, pod.Name); err != nil {
			t.Fatal(err)
		}
	}
}

func finished(job batchv1.Job, how batchv1.JobConditionType) bool {
	for _, condition := range job.Status.Conditions {
		if condition.Type == how && condition.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// patience is how long a test waits for what has to come. Only one that fails
// waits that long, so it has no reason to be short.
const patience = 10 * time.Minute

// eventually waits until check succeeds.
func eventually(t testing.TB, check func(context.Context) error) {
	t.Helper()
	if err := poll(t.Context(), patience, check); err != nil {
		t.Fatal(redact(err.Error()) + unready(t.Context()))
	}
}

// unready says of the Pods in the releases' namespace that are not ready why,
// with the end of their logs.
func unready(ctx context.Context) string {
	all, err := pods(ctx, "")
	if err != nil {
		return "\n" + redact(err.Error())
	}
	var text strings.Builder
	for _, pod := range all {
		if ready(pod) || pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		fmt.Fprintf(&text, "\nPod %s is %s and not ready", pod.Name, pod.Status.Phase)
		for _, container := range pod.Status.ContainerStatuses {
			if container.Ready {
				continue
			}
			state, _ := json.Marshal(container.State) // cannot fail
			fmt.Fprintf(&text, "\n  %s, %d restarts: %s", container.Name, container.RestartCount, state)
			log, err := cluster.Get(ctx, "/api/v1/namespaces/"+home+"/pods/"+pod.Name+"/log?tailLines=20&container="+container.Name)
			if err != nil {
				log = []byte(err.Error())
			}
			text.WriteString("\n" + string(log))
		}
	}
	if what := found(text.String()); what != "" {
		return "\n(what the Pods say holds the " + what + ")"
	}
	return text.String()
}

func poll(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// What must never be shown, by what it is.
var (
	secretsMu sync.Mutex
	secrets   = map[string]string{}
)

// keepSecret notes a value, for nothingLeaks to look for.
func keepSecret(what, value string) string {
	secretsMu.Lock()
	defer secretsMu.Unlock()
	secrets[value] = what
	return value
}

func redact(text string) string {
	secretsMu.Lock()
	defer secretsMu.Unlock()
	for value, what := range secrets {
		text = strings.ReplaceAll(text, value, "("+what+")")
	}
	return text
}
