//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/leaks"
)

type event struct {
	Type, Reason, Message string
	InvolvedObject        struct{ Kind, Namespace, Name, UID string }
	Source                struct{ Component string }
}

// events are those in the fixture's namespace, by "type reason".
func (f *fixture) events(t *testing.T) []event {
	t.Helper()
	text, err := cluster.Get(t.Context(), "/api/v1/namespaces/"+f.namespace+"/events")
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []event }
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	for name, secret := range f.secrets {
		for form, text := range leaks.Forms(secret) {
			for _, one := range list.Items {
				if strings.Contains(one.Message, text) {
					t.Errorf("an Event holds the %s (%s)", name, form)
				}
			}
		}
	}
	return list.Items
}

func TestEvents(t *testing.T) {
	asSuperuser(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		seen := 0
		// step checks that there is exactly one Event more, or none.
		step := func(what, kind, reason string, says ...string) {
			t.Helper()
			events := f.events(t)
			want := seen
			if kind != "" {
				want++
			}
			if len(events) != want {
				t.Fatalf("%s: %d Events, want %d: %+v", what, len(events), want, events)
			}
			seen = want
			if kind == "" {
				return
			}
			i := slices.IndexFunc(events, func(e event) bool {
				for _, text := range says {
					if !strings.Contains(e.Message, text) {
						return false
					}
				}
				return e.Type == kind && e.Reason == reason && e.Source.Component == "nautobot-token"
			})
			if i < 0 {
				t.Fatalf("%s: no Event %s %s that says %q: %+v", what, kind, reason, says, events)
			}
			if o := events[i].InvolvedObject; o.Kind != "Secret" || o.Namespace != f.namespace || o.Name != f.name || o.UID == "" {
				t.Errorf("%s: the Event is about %+v", what, o)
			}
		}

		f.provision(t, "--dry-run").want(t, 0)
		step("dry run", "", "")
		f.provision(t).want(t, 0)
		step("creation", "Normal", "Provisioned", f.userLine("created"), f.tokenLine("created"))
		f.wantUnchanged(t)
		step("healthy run", "", "")
		f.token = f.newToken("second token")
		f.saveSecret(t)
		f.provision(t).want(t, 0)
		step("rotation", "Normal", "Provisioned", f.tokenLine("created"))

		data := f.data()
		data["token"] = f.token[:38]
		f.saveData(t, data)
		f.provision(t, "--dry-run").want(t, 3)
		step("dry run of a refusal", "", "")
		f.provision(t).want(t, 3)
		step("refusal", "Warning", "Refused", `key "token" has 38 characters`)
		data["token"], data["username"] = f.token, nautobot.Username
		f.saveData(t, data)
		f.provision(t).want(t, 3)
		step("refusal by ownership", "Warning", "Refused", nautobot.Username)
	})
}
