package kube

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const (
	secretName = "openstack/nautobot-token"
	secretPath = "/api/v1/namespaces/openstack/secrets/nautobot-token" //nolint:gosec // G101: a path
)

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestSecretIsReadByName(t *testing.T) {
	server := newServer(t)
	values := map[string]string{"username": "svc", "password": canary, "binary": "\xff\x00\n", "empty": ""}
	server.Put(secretName, values)
	server.Annotate(secretName, "a", "b")
	var agent string
	server.Intercept(func(r *http.Request, _ int) http.Handler {
		agent = r.UserAgent()
		return nil
	})
	got, err := connect(t, server).Source("openstack", "nautobot-token").Secret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := provision.Secret{
		Namespace: "openstack", Name: "nautobot-token", UID: "00000000-0000-4000-8000-000000000002", ResourceVersion: "3",
		Labels: map[string]string{"token/type": "nautobot"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(provision.Secret{}, "Data")); diff != "" {
		t.Errorf("Secret (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(values, revealed(got)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if want := []string{"GET " + secretPath}; !cmp.Equal(want, server.Requests()) {
		t.Errorf("requests are %q, want %q", server.Requests(), want)
	}
	if agent != "nautobot-token/test" {
		t.Errorf("the user agent is %q", agent)
	}
}

// A Source asks anew each time, or a change during a run would go unseen.
func TestSourceReadsAnew(t *testing.T) {
	server := newServer(t)
	source := connect(t, server).Source("openstack", "nautobot-token")
	for _, value := range []string{"1", "2"} {
		server.Put(secretName, map[string]string{"value": value})
		got, err := source.Secret(t.Context())
		if err != nil || got.Data["value"].Reveal() != value {
			t.Errorf("error %v, or not the value of now, %s", err, value)
		}
	}
}

func TestSecretFails(t *testing.T) {
	const read = "read Secret openstack/nautobot-token: "
	tests := map[string]struct {
		answer  http.Handler
		want    string // part of the error
		missing bool
	}{
		"it is not there": {kubetest.Refuse(404), "there is no Secret openstack/nautobot-token", true},
		"RBAC forbids it": {
			kubetest.Refuse(403),
			read + `secrets "nautobot-token" is forbidden: User "system:serviceaccount:nautobot-token:nautobot-token" cannot get resource "secrets" in API group "" ` +
				`in the namespace "openstack"; the service account needs a Role that allows to get it`, false,
		},
		"the login is not accepted":     {kubetest.Refuse(401), read + "Unauthorized", false},
		"the API server has trouble":    {kubetest.Refuse(500), read + "Internal error occurred: etcdserver: request timed out", false},
		"a proxy answers 404 with HTML": {kubetest.Answer(404, "text/html", "<html>"+canary), "", true},
		"a proxy answers 502 with HTML": {kubetest.Answer(502, "text/html", "<html>\n</html>"), read, false},
		"a proxy answers 200 with HTML": {kubetest.Answer(200, "text/html", "<html>"+canary), read, false},
		"the answer ends too early":     {kubetest.Answer(200, "application/json", `{"kind":"Secret","apiVersion":"v1","data":{"token":"`+canary), read, false},
		"a value is not base64":         {kubetest.Answer(200, "application/json", `{"kind":"Secret","apiVersion":"v1","data":{"token":"`+canary+`-"}}`), read, false},
		"a value is a number":           {kubetest.Answer(200, "application/json", `{"kind":"Secret","apiVersion":"v1","data":{"`+canary+`":5}}`), read, false},
		"the data is a string":          {kubetest.Answer(200, "application/json", `{"kind":"Secret","apiVersion":"v1","data":"`+canary+`"}`), read, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			server.Intercept(always(tc.answer))
			secret, err := connect(t, server).Secret(t.Context(), "openstack", "nautobot-token")
			if err == nil || !strings.Contains(err.Error(), tc.want) || secret.Data != nil {
				t.Errorf("error is %v, data %v, want one with %q", err, secret.Data, tc.want)
			}
			if got := errors.Is(err, provision.ErrNoSecret); got != tc.missing {
				t.Errorf("ErrNoSecret is %v, want %v", got, tc.missing)
			}
			noCanary(t, err)
		})
	}
}
