package kube

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const (
	secretName = "openstack/nautobot-token"
	secretPath = "/api/v1/namespaces/openstack/secrets/nautobot-token"
)

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestSecretIsReadByName(t *testing.T) {
	server := newServer(t)
	values := map[string]string{"username": "svc", "password": canary, "binary": "\xff\x00\n", "empty": ""}
	server.Put(secretName, values)
	server.Annotate(secretName, "a", "b")
	var agent, limit string
	server.Intercept(func(r *http.Request, _ int) http.Handler {
		agent, limit = r.UserAgent(), r.URL.Query().Get("timeout")
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
	if agent != "nautobot-token/test" || limit != "20s" {
		t.Errorf("the user agent is %q, the request may take %q, want nautobot-token/test and 20s", agent, limit)
	}
}

// A Source asks anew each time, or a change during a run would go unnoticed.
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
	const notOurs = "the answer was 404, not in the Kubernetes API server's words: does something else answer there?"
	const notFound = `"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"secrets \"nautobot-token\" not found"`
	answer := func(status int, contentType, body string) http.Handler {
		return kubetest.Answer(status, contentType, body)
	}
	json := func(status int, body string) http.Handler { return answer(status, "application/json", body) }
	tests := map[string]struct {
		answer  http.Handler
		want    string // the error, or how it begins
		missing bool
	}{
		"it is not there": {kubetest.Refuse(404), "there is no Secret openstack/nautobot-token", true},
		"RBAC forbids it": {
			kubetest.Refuse(403),
			read + `secrets "nautobot-token" is forbidden: User "system:serviceaccount:nautobot-token:nautobot-token" cannot get resource "secrets" in API group "" ` +
				`in the namespace "openstack"; the service account needs a Role that allows it to get the Secret`, false,
		},
		"the login is not accepted":      {kubetest.Refuse(401), read + "Unauthorized", false},
		"a proxy forbids it":             {answer(403, "text/html", "<html>\n"+canary), read + strings.Replace(notOurs, "404", "403", 1), false},
		"a load balancer has no backend": {answer(404, "text/plain", "default backend - 404"), read + notOurs, false},
		"a proxy answers 404 with HTML":  {answer(404, "text/html", "<html>"+canary), read + notOurs, false},
		"a 404 without a body":           {answer(404, "", ""), read + notOurs, false},
		"a 404 in JSON of another kind":  {json(404, `{"message":"no Route matched"}`), read + notOurs, false},
		"a Status about nothing":         {json(404, `{`+notFound+`,"details":{}}`), read + notOurs, false},
		"a Status without details":       {json(404, `{`+notFound+`}`), read + notOurs, false},
		"a Status about another Secret":  {json(404, `{`+notFound+`,"details":{"name":"other","kind":"secrets"}}`), read + notOurs, false},
		"a Status about a namespace":     {json(404, `{`+notFound+`,"details":{"name":"nautobot-token","kind":"namespaces"}}`), read + notOurs, false},
		"another Secret":                 {json(200, `{"kind":"Secret","apiVersion":"v1","metadata":{"namespace":"openstack","name":"other"},"data":{}}`), read + "the server is not a Kubernetes API server", false},
		"a Secret of another namespace":  {json(200, `{"kind":"Secret","apiVersion":"v1","metadata":{"namespace":"other","name":"nautobot-token"},"data":{}}`), read + "the server is not a Kubernetes API server", false},
		"another kind of object":         {json(200, `{"kind":"`+canary+`","apiVersion":"v1","metadata":{"namespace":"openstack","name":"nautobot-token"}}`), read + "the server is not a Kubernetes API server", false},
		"a Status that is not a 404":     {json(200, `{`+notFound+`,"details":{"name":"nautobot-token","kind":"secrets"}}`), read + "the server is not a Kubernetes API server", false},
		"more than a Secret can hold":    {json(200, `{"kind":"Secret","apiVersion":"v1","type":"`+strings.Repeat("x", 4<<20)+`"}`), read + "one Secret is too large", false},
		"a proxy answers 200 with HTML":  {answer(200, "text/html", "<html>"+canary), read, false},
		"the answer ends too early":      {json(200, `{"kind":"Secret","apiVersion":"v1","data":{"token":"`+canary), read, false},
		"a value is not base64":          {json(200, `{"kind":"Secret","apiVersion":"v1","data":{"token":"`+canary+`-"}}`), read, false},
		"a value is a number":            {json(200, `{"kind":"Secret","apiVersion":"v1","data":{"`+canary+`":5}}`), read, false},
		"the data is a string":           {json(200, `{"kind":"Secret","apiVersion":"v1","data":"`+canary+`"}`), read, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			server.Intercept(always(tc.answer))
			client := connect(t, server)
			client.pause = time.Hour
			secret, err := client.Secret(t.Context(), "openstack", "nautobot-token")
			if err == nil || secret.Data != nil {
				t.Fatalf("error is %v, data %v, want an error alone", err, secret.Data)
			}
			if got := err.Error(); !strings.HasPrefix(got, tc.want) || tc.want != read && got != tc.want || strings.ContainsAny(got, "\r\n") {
				t.Errorf("error is %q, want one line, %q", got, tc.want)
			}
			if got := errors.Is(err, provision.ErrNoSecret); got != tc.missing {
				t.Errorf("ErrNoSecret is %v, want %v", got, tc.missing)
			}
			want := 1
			if name == "RBAC forbids it" {
				want = 2 // is the namespace there?
			}
			if n := len(server.Requests()); n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
			noCanary(t, err)
		})
	}
}

func TestSecretThatIsBeingDeletedIsGone(t *testing.T) {
	server := newServer(t)
	server.Put(secretName, map[string]string{"token": canary})
	server.SetDeletion(secretName)
	secret, err := connect(t, server).Secret(t.Context(), "openstack", "nautobot-token")
	if !errors.Is(err, provision.ErrNoSecret) || err.Error() != "Secret openstack/nautobot-token is being deleted" || secret.Data != nil {
		t.Errorf("error is %v, data %v, want that it is gone", err, secret.Data)
	}
}

// The cluster's token goes to the API server and nowhere else: a gateway that
// redirects to its login page does not get it.
func TestRedirectIsNotFollowed(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer elsewhere.Close()
	server := newServer(t)
	server.Intercept(always(http.RedirectHandler(elsewhere.URL+"/login", http.StatusFound)))
	_, err := connect(t, server).Secret(t.Context(), "openstack", "nautobot-token")
	if err == nil || errors.Is(err, provision.ErrNoSecret) || asked {
		t.Errorf("error is %v, the target was asked: %v", err, asked)
	}
	noCanary(t, err)
}
