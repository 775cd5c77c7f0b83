package kube

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const listPath = "/api/v1/namespaces/fleet/secrets"

// many is a server with labelled Secrets, and some that are not to be listed.
func many(t *testing.T, n int) *kubetest.Server {
	t.Helper()
	server := newServer(t)
	for i := range n {
		server.Put(fmt.Sprintf("fleet/s-%04d", i), map[string]string{"value": "x"})
	}
	server.Put("other/s", map[string]string{"value": "x"})
	server.Put("fleet/unlabelled", nil)
	server.Unlabel("fleet/unlabelled")
	server.Put("fleet/deleted", nil)
	server.SetDeletion("fleet/deleted")
	return server
}

func listed(t *testing.T, client *Client, namespace string) ([]string, error) {
	t.Helper()
	var names []string
	for secret, err := range client.Secrets(t.Context(), namespace) {
		if err != nil {
			return names, err
		}
		names = append(names, secret.Namespace+"/"+secret.Name)
	}
	return names, nil
}

func TestSecrets(t *testing.T) {
	server := many(t, 600)
	var want []string
	for i := range 600 {
		want = append(want, fmt.Sprintf("fleet/s-%04d", i))
	}
	for namespace, want := range map[string][]string{"fleet": want, "": append(want[:600:600], "other/s"), "empty": nil} {
		got, err := listed(t, connect(t, server), namespace)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Secrets of %q: %v (-want +got):\n%s", namespace, err, diff)
		}
	}
	for _, request := range server.Requests() {
		if !strings.Contains(request, "labelSelector=token%2Ftype%3Dnautobot&limit=250") {
			t.Errorf("%s, want pages of 250 by label", request)
		}
	}
}

// A page of large Secrets is read in parts, and the others are not.
func TestSecretsThatAreLarge(t *testing.T) {
	server := many(t, 600)
	for i := range 20 {
		server.Put(fmt.Sprintf("fleet/s-%04d", 10*i), map[string]string{"value": strings.Repeat("x", 1<<20)})
	}
	got, err := listed(t, connect(t, server), "fleet")
	if err != nil || len(got) != 600 || got[0] != "fleet/s-0000" || got[599] != "fleet/s-0599" {
		t.Errorf("%d Secrets, error %v", len(got), err)
	}
	if n := len(server.Requests()); n > 40 {
		t.Errorf("%d requests", n)
	}
	server.Put("fleet/s-0300", map[string]string{"value": strings.Repeat("x", 5<<20)})
	if _, err := listed(t, connect(t, server), "fleet"); err == nil || err.Error() != "list Secrets: one Secret is too large" {
		t.Errorf("error is %v", err)
	}
}

// Not every API server keeps its lists in order.
func TestSecretsOutOfOrder(t *testing.T) {
	server := newServer(t)
	server.Intercept(always(secretsPage("", "fleet/b", "fleet/a")))
	got, err := listed(t, connect(t, server), "fleet")
	if diff := cmp.Diff([]string{"fleet/b", "fleet/a"}, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

// secretsPage is a page of a list.
func secretsPage(next string, paths ...string) http.Handler {
	var items []string
	for _, path := range paths {
		namespace, name, _ := strings.Cut(path, "/")
		items = append(items, fmt.Sprintf(`{"metadata":{"namespace":%q,"name":%q}}`, namespace, name))
	}
	return kubetest.Answer(http.StatusOK, "application/json", fmt.Sprintf(
		`{"kind":"SecretList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":%q},"items":[%s]}`, next, strings.Join(items, ",")))
}

// A list that expires goes on where it was, even if the server does not say where
// that is, and ends if it makes no progress.
func TestSecretsOfAListThatExpires(t *testing.T) {
	forgetful := kubetest.Refuse(http.StatusGone)
	tests := map[string]struct {
		expire func(server *kubetest.Server, n int) http.Handler
		fails  bool
	}{
		"each time": {func(s *kubetest.Server, _ int) http.Handler { s.ExpireLists(); return nil }, false},
		"twice, and the server tells nothing else": {func(_ *kubetest.Server, n int) http.Handler {
			if n == 2 || n == 4 {
				return forgetful
			}
			return nil
		}, false},
		"always, and the server tells nothing else": {func(*kubetest.Server, int) http.Handler { return forgetful }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := many(t, 600)
			continued := 0
			server.Intercept(func(r *http.Request, n int) http.Handler {
				if !r.URL.Query().Has("continue") {
					return nil
				}
				if continued++; name == "each time" && continued%2 == 0 {
					return nil // the rest, just begun
				}
				return test.expire(server, n)
			})
			got, err := listed(t, connect(t, server), "fleet")
			if test.fails {
				if err == nil || !strings.HasPrefix(err.Error(), "list Secrets: The provided continue parameter is too old") {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil || len(got) != 600 || got[0] != "fleet/s-0000" || got[599] != "fleet/s-0599" {
				t.Errorf("%d Secrets, error %v", len(got), err)
			}
		})
	}
}

func TestSecretsFail(t *testing.T) {
	circle := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{"": "a", "a": "b", "b": "a"}[r.URL.Query().Get("continue")]
		secretsPage(next).ServeHTTP(w, r)
	})
	tests := map[string]struct {
		answer http.Handler
		want   string // how the error begins
	}{
		"RBAC forbids it":    {kubetest.Refuse(403), `list Secrets: secrets is forbidden: User "system:serviceaccount:nautobot-token:nautobot-token" cannot list`},
		"a proxy forbids it": {kubetest.Answer(403, "text/html", "<html>"+canary), "list Secrets: the answer was 403, not in the Kubernetes API server's words"},
		"HTML":               {kubetest.Answer(200, "text/html", "<html>"+canary), "list Secrets: "},
		"a list without end": {secretsPage("again"), "list Secrets: the server is not"},
		"pages in a circle":  {circle, "list Secrets: the server is not"},
		"another namespace":  {secretsPage("", "other/s"), "list Secrets: the server is not"},
		"no names":           {secretsPage("", "fleet/"), "list Secrets: the server is not"},
		"another kind":       {kubetest.Answer(200, "application/json", `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}`), "list Secrets: the server is not"},
		"another object":     {kubetest.Answer(200, "application/json", `{"kind":"SecretList","apiVersion":"v1","metadata":{},"items":[]}`), "list Secrets: the server is not"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			server.Intercept(func(r *http.Request, _ int) http.Handler {
				if r.URL.Path == listPath {
					return test.answer
				}
				return nil
			})
			client := connect(t, server)
			client.pause = time.Hour
			names, err := listed(t, client, "fleet")
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || names != nil || errors.Is(err, provision.ErrNoSecret) {
				t.Errorf("Secrets %v, error %v, want %q", names, err, test.want)
			}
			noCanary(t, err)
		})
	}
}

// Whoever deletes a namespace deletes the Role in it: then the API server forbids
// reading what is gone.
func TestNamespaceIsGone(t *testing.T) {
	server := newServer(t)
	server.Intercept(func(r *http.Request, _ int) http.Handler {
		if r.URL.Path == "/api/v1/namespaces/openstack" {
			return kubetest.Refuse(http.StatusNotFound)
		}
		return kubetest.Refuse(http.StatusForbidden)
	})
	client := connect(t, server)
	_, err := client.Secret(t.Context(), "openstack", "nautobot-token")
	if !errors.Is(err, provision.ErrNoSecret) || err.Error() != "there is no namespace openstack" {
		t.Errorf("error is %v, want that it is gone", err)
	}
	if names, err := listed(t, client, "openstack"); names != nil || err != nil {
		t.Errorf("Secrets %v, error %v, want none", names, err)
	}
	if _, err := client.Secret(t.Context(), "other", "nautobot-token"); errors.Is(err, provision.ErrNoSecret) {
		t.Errorf("error is %v: nothing says that it is gone", err)
	}
}
