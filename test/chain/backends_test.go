//go:build e2e

package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// From OpenBao by the clock, an hour made shorter: the credential changes in the
// backend, and the new token works, with nothing else touched.
func TestFromOpenBao(t *testing.T) {
	t.Parallel()
	e := newExternal(t, "vault", "vault.yaml", openBao.URL, openBao,
		object{"metadata": object{"name": "vault-token"}, "stringData": object{"token": openBao.Token}})
	e.object["spec"].(object)["refreshInterval"] = "1s"
	e.test(t)
}

// From a web API when somebody asks for it by an annotation, as the example's
// interval is an hour.
func TestFromPasswordSafe(t *testing.T) {
	t.Parallel()
	e := newPasswordSafe(t, "passwordsafe")
	e.test(t)
}

// By a release that watches ExternalSecrets no Secret's data crosses the bus.
func TestWatchedExternalSecret(t *testing.T) {
	waitForBusOfThree(t)
	e := newPasswordSafe(t, "refreshed")
	e.start(t)
	eventually(t, e.usable)
	before := len(e.allJobs(t))
	e.renewToken()
	e.put(t, e.credential())
	e.refresh(t)
	eventually(t, e.usable)
	if after := len(e.allJobs(t)); after != before+1 {
		t.Errorf("%d Jobs for one refresh", after-before)
	}
}

// waitForBusOfThree waits until the other release listens.
func waitForBusOfThree(t *testing.T) {
	t.Helper()
	untilBusOfThree(t, func(ctx context.Context) error { return listening(ctx, byExternalSecret) }, "sensor-name=", "eventsource-name=")
}

// untilBusOfThree waits until the users of the bus work. Three servers of NATS
// that start in the same moment sometimes count only two of themselves, and then
// make no stream ("no suitable peers for placement") until one is started after
// the other, as docs/operations.md says. Its users, which fail until then, would
// wait for minutes before they try again.
func untilBusOfThree(t *testing.T, work func(context.Context) error, users ...string) {
	t.Helper()
	for range 3 {
		eventually(t, func(ctx context.Context) error {
			answers, err := natsServers(ctx, byExternalSecret)
			if err == nil && len(answers) != 3 {
				err = fmt.Errorf("%d servers of NATS answer", len(answers))
			}
			return err
		})
		if poll(t.Context(), time.Minute, work) == nil {
			return
		}
		apart := func(server natsServer) bool { return server.Cluster.Leader == "" || server.Cluster.Size != 3 }
		answers, err := natsServers(t.Context(), byExternalSecret)
		if err != nil || slices.ContainsFunc(answers, apart) {
			t.Logf("the servers of NATS are started again: %+v, %v", answers, err)
			restartInTurn(t, "eventbus-name="+byExternalSecret)
		}
		for _, user := range users {
			removePods(t, user+byExternalSecret)
		}
	}
	eventually(t, work)
}

// restartInTurn replaces the Pods with a label one after the other. Since
// Kubernetes 1.37 a rollout replaces all that are not ready at once.
func restartInTurn(t *testing.T, label string) {
	t.Helper()
	before, err := pods(t.Context(), label)
	if err != nil {
		t.Fatal(err)
	}
	for _, old := range before {
		if err := remove(t.Context(), "Pod", home, old.Name); err != nil {
			t.Fatal(err)
		}
		if err := poll(t.Context(), 2*time.Minute, func(ctx context.Context) error {
			now, err := pods(ctx, label)
			if err == nil && !slices.ContainsFunc(now, func(pod corev1.Pod) bool {
				return pod.Name == old.Name && pod.UID != old.UID && ready(pod)
			}) {
				err = fmt.Errorf("Pod %s is not ready", old.Name)
			}
			return err
		}); err != nil {
			t.Log(err) // it may have to wait for the next
		}
	}
}

// test takes an account through everything that may happen to its credential.
func (e *external) test(t *testing.T) {
	e.start(t)
	eventually(t, e.usable)
	e.wantJobs(t, 1)

	before := e.token
	e.renewToken()
	e.put(t, e.credential())
	e.refresh(t)
	eventually(t, e.usable)
	e.wantJobs(t, 2)
	if err := accepts(t.Context(), before); err == nil {
		t.Error("the token before is accepted still")
	}

	// A refresh without a change writes nothing, so there is nothing to watch.
	secret, was := e.secret(t), e.status(t)
	eventually(t, func(context.Context) error {
		e.refresh(t)
		// The time has whole seconds: a refresh in the same second does not show.
		if now := e.status(t); !now.RefreshTime.After(was.RefreshTime.Time) || now.ready() != "SecretSynced" {
			return fmt.Errorf("no refresh after %s: %+v", was.RefreshTime, now)
		}
		return nil
	})
	e.wantUntouched(t, secret)

	// What is wrong in the backend takes nothing away. After a failure the clock
	// goes slower and slower.
	e.byHand = true
	e.put(t, map[string]string{"password": e.password})
	e.refresh(t)
	e.waitForFailure(t, `map has no entry for key "token"`)
	e.wantUntouched(t, secret)
	if err := e.backend.Delete(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	e.refresh(t)
	e.waitForFailure(t, "Secret does not exist")
	e.wantFinding(t, "failed", "externalsecret/"+e.namespace+"/", "SecretSyncedError")
	e.wantUntouched(t, secret)
	if err := e.usable(t.Context()); err != nil {
		t.Error(err)
	}

	e.renewToken()
	e.put(t, e.credential())
	e.refresh(t)
	eventually(t, e.usable)
	e.wantJobs(t, 3) // and so none for all that changed nothing
}

const entry = "12345" // of all examples, in the backend

// A backend is where the credentials are.
type backend interface {
	Put(ctx context.Context, id string, document []byte) error
	Delete(ctx context.Context, id string) error
}

// An external is an account whose Secret comes from a backend, by what an
// example says.
type external struct {
	*account
	backend   backend
	store     object
	object    object // the ExternalSecret
	byHand    bool   // it is refreshed when the test asks for it, not by the clock
	refreshes int
}

func newPasswordSafe(t *testing.T, namespace string) *external {
	t.Helper()
	e := newExternal(t, namespace, "passwordsafe.yaml", passwordSafe.URL, passwordSafe, object{
		"metadata":   object{"name": "passwordsafe-api-key", "labels": object{"external-secrets.io/type": "webhook"}},
		"stringData": object{"apiKey": passwordSafe.APIKey},
	})
	e.byHand = true
	return e
}

// newExternal stores a credential, and makes the Secret with which the
// controller logs in to the backend.
func newExternal(t *testing.T, namespace, example, server string, b backend, login object) *external {
	t.Helper()
	e := &external{account: newAccount(t, namespace, "nautobot-token"), backend: b}
	e.username = "svc-" + namespace
	// It has to come through JSON, JSON in it, and a template.
	e.password = keepSecret("password from "+namespace, `pä:+%&"\'<$>{{ .x }}`+e.password)
	e.read(t, example, server)
	e.put(t, e.credential())
	login["apiVersion"], login["kind"] = "v1", "Secret"
	login["metadata"].(object)["namespace"] = namespace
	if err := apply(t.Context(), login); err != nil {
		t.Fatal(redact(err.Error()))
	}
	return e
}

// read reads an example, with the address of the backend in it.
func (e *external) read(t *testing.T, example, server string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../examples/external-secrets", example))
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var o object
		if err := yaml.UnmarshalStrict([]byte(document), &o); err != nil {
			t.Fatalf("%s: %v", example, err)
		}
		o["metadata"].(object)["namespace"] = e.namespace
		switch o["kind"] {
		case "SecretStore":
			e.store = o
		case "ExternalSecret":
			e.object = o
		}
	}
	if e.store == nil || e.object == nil {
		t.Fatalf("%s lacks a SecretStore or an ExternalSecret", example)
	}
	replaceServer(t, e.store, server)
}

// replaceServer puts the address of a real server in place of the example's.
func replaceServer(t *testing.T, store object, server string) {
	t.Helper()
	replaced := 0
	provider := store["spec"].(object)["provider"].(object)
	for _, settings := range provider {
		for name, value := range settings.(object) {
			if text, ok := value.(string); ok && strings.HasPrefix(text, "https://") {
				_, path, _ := strings.Cut(strings.TrimPrefix(text, "https://"), "/")
				settings.(object)[name] = strings.TrimSuffix(server+"/"+path, "/")
				replaced++
			}
		}
	}
	if replaced != 1 {
		t.Fatalf("the store has %d addresses, want one: %v", replaced, provider)
	}
}

// start makes the store and the ExternalSecret, which owns the Secret.
func (e *external) start(t *testing.T) {
	t.Helper()
	for _, o := range []object{e.store, e.object} {
		if err := apply(t.Context(), o); err != nil {
			t.Fatal(redact(err.Error()))
		}
	}
	t.Cleanup(func() {
		text, err := json.Marshal(e.object)
		if err == nil {
			err = cluster.Delete(context.WithoutCancel(t.Context()), text)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// credential is what the backend holds for the account, besides its name.
func (e *external) credential() map[string]string {
	return map[string]string{"password": e.password, "token": e.token}
}

// put stores a credential: JSON whose password is the text of more JSON.
func (e *external) put(t *testing.T, credential map[string]string) {
	t.Helper()
	inner, err := json.Marshal(credential)
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(object{"credential": object{"username": e.username, "password": string(inner)}})
	if err == nil {
		err = e.backend.Put(t.Context(), entry, document)
	}
	if err != nil {
		t.Fatal(redact(err.Error()))
	}
}

// refresh asks for a refresh now, unless the clock sees to it.
func (e *external) refresh(t *testing.T) {
	t.Helper()
	if !e.byHand {
		return
	}
	e.refreshes++
	annotations := e.object["metadata"].(object)["annotations"].(object)
	annotations["force-sync"] = fmt.Sprint(e.refreshes)
	if err := apply(t.Context(), e.object); err != nil {
		t.Fatal(redact(err.Error()))
	}
}

func (e *external) secret(t *testing.T) (secret corev1.Secret) {
	t.Helper()
	if err := get(t.Context(), "/api/v1/namespaces/"+e.namespace+"/secrets/"+e.name, &secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

// wantUntouched checks that nothing was written to the Secret.
func (e *external) wantUntouched(t *testing.T, before corev1.Secret) {
	t.Helper()
	if now := e.secret(t); now.ResourceVersion != before.ResourceVersion || now.UID != before.UID {
		t.Error("the Secret was written to")
	}
}

// refreshed is nil when the Secret has the token that the backend has.
func (e *external) refreshed(ctx context.Context) error {
	var secret corev1.Secret
	err := get(ctx, "/api/v1/namespaces/"+e.namespace+"/secrets/"+e.name, &secret)
	if err == nil && string(secret.Data["token"]) != e.token {
		err = errors.New("the Secret has not been refreshed")
	}
	return err
}

// allJobs are those for the Secret, when none of them is at work.
func (e *external) allJobs(t *testing.T) (names []string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		jobs, err := e.jobs(ctx)
		names = nil
		for _, job := range jobs {
			if job.Status.Succeeded == 0 {
				return errors.New("a Job is at work")
			}
			names = append(names, job.Name)
		}
		return err
	})
	return names
}

// externalStatus is that of an ExternalSecret.
type externalStatus struct {
	RefreshTime metav1.Time
	Conditions  []struct{ Type, Status, Reason string }
}

// ready is the reason of the condition Ready.
func (s externalStatus) ready() string {
	for _, condition := range s.Conditions {
		if condition.Type == "Ready" {
			return condition.Reason
		}
	}
	return ""
}

func (e *external) status(t *testing.T) externalStatus {
	t.Helper()
	var found struct{ Status externalStatus }
	if err := get(t.Context(), "/apis/external-secrets.io/v1/namespaces/"+e.namespace+"/externalsecrets/"+e.name, &found); err != nil {
		t.Fatal(err)
	}
	return found.Status
}

// waitForFailure waits until a refresh has failed, and an Event says why.
func (e *external) waitForFailure(t *testing.T, why string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		if got := e.status(t); got.ready() != "SecretSyncedError" {
			return fmt.Errorf("the ExternalSecret's status: %+v, want SecretSyncedError", got)
		}
		var events corev1.EventList
		if err := get(ctx, "/api/v1/namespaces/"+e.namespace+"/events", &events); err != nil {
			return err
		}
		for _, event := range events.Items {
			if strings.Contains(event.Message, why) {
				return nil
			}
		}
		return fmt.Errorf("no Event says %q", why)
	})
}
