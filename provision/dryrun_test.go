package provision_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// A dry run writes nothing, and says of every object what the run says. What it
// cannot know, it says, and that counts as a change.
func TestDryRunSaysWhatTheRunSays(t *testing.T) {
	t.Parallel()
	unknown := map[string]func(t tb, w *world){
		"group lost, and the token's mark": func(t tb, w *world) {
			w.mustRun(t)
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Groups = nil })
			w.nautobot.UpdateToken(w.secret["token"], func(token *nautobottest.Token) { token.Description = "" })
		},
		"group lost, and an older token": func(t tb, w *world) {
			w.mustRun(t)
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Groups = nil })
			w.nautobot.AddToken(username, nautobottest.Token{Key: key("older"), Description: description})
		},
		"group lost, and the token is read-only": func(t tb, w *world) {
			w.mustRun(t)
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Groups = nil })
			w.nautobot.UpdateToken(w.secret["token"], func(token *nautobottest.Token) { token.ReadOnly = true })
		},
	}
	for _, set := range []map[string]func(tb, *world){scenarios, unknown} {
		for name, prepare := range set {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				prepare(t, w)
				w.dryRun = true
				w.nautobot.ResetRequests()
				dry := w.mustRun(t)
				if writes := w.nautobot.Writes(); len(writes) > 0 {
					t.Errorf("the dry run writes %v", writes)
				}
				w.dryRun = false
				done := w.mustRun(t)
				if diff := cmp.Diff(actions(done), actions(dry)); diff != "" {
					t.Errorf("actions (-run +dry run):\n%s", diff)
				}
				if !dry.Changed() {
					t.Error("the dry run says that there is nothing to do")
				}
			})
		}
	}
}

func actions(report provision.Report) (lines []string) {
	for _, change := range report.Changes {
		lines = append(lines, change.Object+" "+string(change.Action))
	}
	slices.Sort(lines) // a run finds out later that the managed group is missing
	return lines
}

// A provisioner's dry run does not promise what its run cannot do.
func TestDryRunOfAProvisioner(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, w *world){
		"the permission is gone": func(t *testing.T, w *world) {
			t.Helper()
			w.mustRun(t)
			w.nautobot.DeletePermission(provision.DefaultManagedGroup)
		},
		"the group is gone": func(_ *testing.T, w *world) { w.nautobot.DeleteGroup(provision.DefaultManagedGroup) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.setup(t.Context(), provision.DefaultManagedGroup, "prov"); err != nil {
				t.Fatal(err)
			}
			prepare(t, w)
			w.token, w.dryRun = key("prov"), true
			_, dry := w.run(t.Context())
			w.dryRun = false
			_, err := w.run(t.Context())
			if dry == nil || err == nil {
				t.Errorf("dry run: %v; run: %v; want an error of both", dry, err)
			}
		})
	}
}

// Others may change a Secret's annotations. What counts is its data, its label,
// and that it is the same object.
func TestWhatIsAnotherVersionOfTheSecret(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*provision.Secret)
		looks  int // at Nautobot's list of accounts
	}{
		"annotations":  {func(s *provision.Secret) { s.ResourceVersion += "1" }, 1},
		"other labels": {func(s *provision.Secret) { s.Labels = map[string]string{"token/type": "nautobot", "a": "b"} }, 1},
		"made anew":    {func(s *provision.Secret) { s.UID = "2" }, 2},
		"a password":   {func(s *provision.Secret) { s.Data["password"] = provision.Hide("second password") }, 2},
		"a key more":   {func(s *provision.Secret) { s.Data["email"] = provision.Hide("a@example.com") }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustRunFor(t, other("somebody")) // group and permission are there
			first, second := w.current(), w.current()
			test.change(&second)
			w.nautobot.ResetRequests()
			if _, err := w.runAs(t.Context(), "one", &versions{all: []provision.Secret{first, second}}); err != nil {
				t.Fatal(err)
			}
			rounds := 0
			for _, request := range w.nautobot.Requests() {
				if strings.Contains(request.RawQuery, "last_name=") {
					rounds++
				}
			}
			if rounds < test.looks || test.looks == 1 && rounds > 1 {
				t.Errorf("Nautobot was looked at %d times, want %d", rounds, test.looks)
			}
		})
	}
}

// A name that differs only in upper and lower case is reported, not taken.
func TestSimilarNamesAreToldOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.nautobot.AddUser(nautobottest.User{Username: strings.ToUpper(username), Password: "theirs"})
	report := w.mustRun(t)
	i := indexOf(report, "user/"+username)
	if i < 0 || !strings.Contains(strings.Join(report.Changes[i].Notes, " "), strings.ToUpper(username)) {
		t.Errorf("report %v", report)
	}
	if twin, _ := w.nautobot.User(strings.ToUpper(username)); twin.Password != "theirs" || twin.LastName != "" {
		t.Error("the other account was written")
	}
}

// However many tokens are superseded, a request ends at most a hundred.
func TestManySupersededTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	for i := range 250 {
		w.nautobot.AddToken(username, nautobottest.Token{Key: key("old-" + strings.Repeat("a", i%20) + strings.Repeat("b", i/20)), Description: description})
	}
	w.grace = 0
	w.nautobot.ResetRequests()
	w.mustRun(t)
	deletes := slices.DeleteFunc(w.nautobot.Writes(), func(r nautobottest.Request) bool { return r.Method != http.MethodDelete })
	if len(deletes) != 3 {
		t.Errorf("%d requests to delete 250 tokens, want 3", len(deletes))
	}
	w.mustBeDone(t)
}
