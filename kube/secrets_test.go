package kube

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const secretPath = "/api/v1/namespaces/openstack/secrets/nautobot-token"

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestSecretIsReadByName(t *testing.T) {
	server := newAPIServer(t, map[string]answer{"GET " + secretPath: {status: 200, body: `{
		"kind": "Secret", "apiVersion": "v1", "type": "Opaque", "immutable": true,
		"metadata": {
			"name": "nautobot-token", "namespace": "openstack", "uid": "u-1", "resourceVersion": "42",
			"labels": {"token/type": "nautobot"}, "annotations": {"a": "b"}, "managedFields": [{"manager": "eso"}]
		},
		"data": {"username": "` + encoded("svc") + `", "password": "` + encoded(canary) + `", "binary": "` + encoded("\xff\x00\n") + `", "empty": ""}
	}`}})
	client := server.client(t)
	for name, source := range map[string]provision.Source{
		"Source": client.Source("openstack", "nautobot-token"),
	} {
		got, err := source.Secret(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := provision.Secret{
			Namespace: "openstack", Name: "nautobot-token", UID: "u-1", ResourceVersion: "42",
			Labels: map[string]string{"token/type": "nautobot"},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(provision.Secret{}, "Data")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		values := map[string]string{"username": "svc", "password": canary, "binary": "\xff\x00\n", "empty": ""}
		if diff := cmp.Diff(values, revealed(got)); diff != "" {
			t.Errorf("values (-want +got):\n%s", diff)
		}
	}
	if want := []string{"GET " + secretPath}; !cmp.Equal(want, server.requests) {
		t.Errorf("requests are %q, want %q", server.requests, want)
	}
	if want := []string{"nautobot-token/test"}; !cmp.Equal(want, server.agents) {
		t.Errorf("user agents are %q, want %q", server.agents, want)
	}
}

// A Source asks anew each time, or a change during a run would go unseen.
func TestSourceReadsAnew(t *testing.T) {
	server := newAPIServer(t, map[string]answer{})
	source := server.client(t).Source("openstack", "nautobot-token")
	for _, version := range []string{"1", "2"} {
		server.answers["GET "+secretPath] = answer{status: 200, body: `{"kind":"Secret","apiVersion":"v1","metadata":{"namespace":"openstack","name":"nautobot-token","resourceVersion":"` + version + `"}}`}
		got, err := source.Secret(t.Context())
		if err != nil || got.ResourceVersion != version {
			t.Errorf("version %q, error %v, want %s", got.ResourceVersion, err, version)
		}
	}
}

func TestSecretFails(t *testing.T) {
	tests := map[string]struct {
		answer  answer
		want    string // part of the error
		missing bool
	}{
		"it is not there": {
			status(404, "NotFound", `secrets \"nautobot-token\" not found`),
			"there is no Secret openstack/nautobot-token", true,
		},
		"RBAC forbids it": {
			status(403, "Forbidden", `secrets \"nautobot-token\" is forbidden: User \"x\" cannot get resource`),
			`read Secret openstack/nautobot-token: secrets "nautobot-token" is forbidden: User "x" cannot get resource; the service account needs a Role that allows to get it`, false,
		},
		"the login is not accepted": {status(401, "Unauthorized", "Unauthorized"), "read Secret openstack/nautobot-token: Unauthorized", false},
		"the API server has trouble": {
			status(500, "InternalError", "etcdserver: request timed out"),
			"read Secret openstack/nautobot-token: etcdserver: request timed out", false,
		},
		"a proxy answers 404 with HTML": {answer{404, "text/html", "<html>" + canary}, "", true},
		"a proxy answers 502 with HTML": {answer{502, "text/html", "<html>\n</html>"}, "read Secret openstack/nautobot-token: ", false},
		"a proxy answers 200 with HTML": {answer{200, "text/html", "<html>" + canary}, "read Secret openstack/nautobot-token: ", false},
		"the answer ends too early":     {answer{200, "", `{"kind":"Secret","apiVersion":"v1","data":{"token":"` + canary}, "read Secret openstack/nautobot-token: ", false},
		"a value is not base64":         {answer{200, "", `{"kind":"Secret","apiVersion":"v1","data":{"token":"` + canary + `-"}}`}, "read Secret openstack/nautobot-token: ", false},
		"a value is a number":           {answer{200, "", `{"kind":"Secret","apiVersion":"v1","data":{"` + canary + `":5}}`}, "read Secret openstack/nautobot-token: ", false},
		"the data is a string":          {answer{200, "", `{"kind":"Secret","apiVersion":"v1","data":"` + canary + `"}`}, "read Secret openstack/nautobot-token: ", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := newAPIServer(t, map[string]answer{"GET " + secretPath: tc.answer})
			secret, err := server.client(t).Secret(t.Context(), "openstack", "nautobot-token")
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

func TestSuperuserToken(t *testing.T) {
	both := map[string]string{"apitoken": canary, "token": "second", "other": "third"}
	tests := map[string]struct {
		data map[string]string // nil: no Secret
		keys []string
		want string
		err  string
	}{
		"the first key counts":          {both, []string{"apitoken", "token"}, canary, ""},
		"the second, without the first": {map[string]string{"token": "second"}, []string{"apitoken", "token"}, "second", ""},
		"the only key that is asked":    {both, []string{"other"}, "third", ""},
		"none of the keys is there": {
			map[string]string{"password": canary},
			[]string{"apitoken", "token"},
			"",
			"superuser token: Secret openstack/nautobot-token has no key apitoken or token",
		},
		"there is no Secret": {nil, []string{"token"}, "", "superuser token: there is no Secret openstack/nautobot-token"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			answers := map[string]answer{}
			if tc.data != nil {
				var pairs []string
				for key, value := range tc.data {
					pairs = append(pairs, `"`+key+`":"`+encoded(value)+`"`)
				}
				answers["GET "+secretPath] = answer{status: 200, body: `{"kind":"Secret","apiVersion":"v1","metadata":{"namespace":"openstack","name":"nautobot-token"},"data":{` + strings.Join(pairs, ",") + `}}`}
			}
			got, err := newAPIServer(t, answers).client(t).SuperuserToken(t.Context(), "openstack", "nautobot-token", tc.keys)
			if got.Reveal() != tc.want {
				t.Error("got another token")
			}
			if err == nil && tc.err != "" || err != nil && err.Error() != tc.err {
				t.Errorf("error is %v, want %q", err, tc.err)
			}
			// It may well come a little later: no refusal, which is never tried again.
			var refused *provision.Refusal
			if errors.As(err, &refused) {
				t.Error("the error is a refusal")
			}
			noCanary(t, err)
		})
	}
}
