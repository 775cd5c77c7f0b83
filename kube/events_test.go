package kube

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

var now = time.Date(2026, 11, 24, 9, 30, 0, 5, time.UTC)

func TestEventNamesTheSecretAsItWas(t *testing.T) {
	for kind, warning := range map[string]bool{"Normal": false, "Warning": true} {
		server := newServer(t)
		secret := provision.Secret{
			Namespace: "openstack", Name: "nautobot-token", UID: "u-1", ResourceVersion: "42",
			Data: map[string]provision.Sensitive{"token": provision.Hide(canary)},
		}
		if err := connect(t, server).RecordEvent(t.Context(), secret, warning, "Provisioned", "user/svc created", now); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"kind": "Event", "apiVersion": "v1",
			"metadata": map[string]any{"name": "nautobot-token.18eaf13258bcf005", "namespace": "openstack"},
			"involvedObject": map[string]any{
				"kind": "Secret", "apiVersion": "v1", "namespace": "openstack", "name": "nautobot-token", "uid": "u-1", "resourceVersion": "42",
			},
			"type": kind, "reason": "Provisioned", "message": "user/svc created", "count": 1.0,
			"source":         map[string]any{"component": "nautobot-token"},
			"firstTimestamp": "2026-11-24T09:30:00Z", "lastTimestamp": "2026-11-24T09:30:00Z",
			"reportingComponent": "nautobot-token",
		}
		if diff := cmp.Diff([]map[string]any{want}, server.Events()); diff != "" {
			t.Errorf("%s event (-want +got):\n%s", kind, diff)
		}
	}
}

func TestEventKeepsToTheLimits(t *testing.T) {
	tests := map[string]struct{ name, message, wantName, wantMessage string }{
		"a long message":             {"n", strings.Repeat("x", 5000), "n", strings.Repeat("x", 1024)},
		"a message in whole letters": {"n", "x" + strings.Repeat("ü", 600), "n", "x" + strings.Repeat("ü", 511)},
		"the longest name":           {strings.Repeat("n", 253), "m", strings.Repeat("n", 236), "m"},
		"a name cut at a dot":        {strings.Repeat("n", 234) + "-.nnnnnnnnnn", "m", strings.Repeat("n", 234), "m"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			secret := provision.Secret{Namespace: "openstack", Name: tc.name}
			if err := connect(t, server).RecordEvent(t.Context(), secret, true, "Refused", tc.message, now); err != nil {
				t.Fatal(err)
			}
			var got struct {
				Metadata       struct{ Name string }
				InvolvedObject struct{ Name string }
				Message        string
			}
			text, err := json.Marshal(server.Events()[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if want := tc.wantName + ".18eaf13258bcf005"; got.Metadata.Name != want || len(want) > 253 {
				t.Errorf("name is %q, want %q", got.Metadata.Name, want)
			}
			if got.InvolvedObject.Name != tc.name {
				t.Errorf("the object's name is %q, want %q", got.InvolvedObject.Name, tc.name)
			}
			if got.Message != tc.wantMessage || !utf8.ValidString(got.Message) {
				t.Errorf("message has %d bytes: %q", len(got.Message), got.Message)
			}
		})
	}
}

func TestEventThatIsForbiddenIsAnError(t *testing.T) {
	server := newServer(t)
	server.RefuseAll(http.StatusForbidden)
	err := connect(t, server).RecordEvent(t.Context(), provision.Secret{Namespace: "openstack", Name: "n"}, false, "Provisioned", "m", now)
	if err == nil || !strings.HasPrefix(err.Error(), "events is forbidden: User ") {
		t.Errorf("error is %v, want that it is forbidden", err)
	}
}
