package provision_test

import (
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// What random walks and interleavings have found. Each prepares a world in which
// a run went wrong.
func TestRegressions(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, w *world){
		// The group was looked for only if an account was new.
		"somebody deletes the managed group of an existing account": func(t *testing.T, w *world) {
			w.mustRun(t)
			w.nautobot.DeleteGroup(provision.DefaultManagedGroup)
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Superuser = true })
		},
		// A 403 to the new account used up the one look that a lost answer needed.
		"the group is there without its permission": func(_ *testing.T, w *world) {
			w.nautobot.AddGroup(provision.DefaultManagedGroup)
		},
		// An account that was opened has to be closed, even by a run that finds
		// everything else done.
		"a killed run left an account without a password open": func(t *testing.T, w *world) {
			w.set("password", "")
			w.mustRun(t)
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.FirstName, u.Password = opening, "left" })
		},
		// The rule's groups were looked for, and so was the managed one.
		"the rule names the managed group, and a group twice": func(_ *testing.T, w *world) {
			w.nautobot.AddGroup("people")
			w.rule.Groups = []string{"people", provision.DefaultManagedGroup, "people"}
		},
		// Its expired token can neither list the account's tokens nor repair itself.
		"a token without a password expires and becomes read-only": scenarioForTest("repair a token without a password"),
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			prepare(t, w)
			w.mustRun(t)
			w.mustBeDone(t)
		})
	}
}

func scenarioForTest(name string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		t.Helper()
		scenarios[name](t, w)
	}
}

// Another run creates the Secret's token after the account's tokens were listed,
// and before it is asked who owns the token: that is not a reason to refuse.
func TestTokenMadeBetweenTwoQuestions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	w.set("token", key("second"))
	made := false
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Path == "/api/users/config/" && !made {
			made = true
			w.nautobot.AddToken(username, nautobottest.Token{Key: w.secret["token"], Description: description})
		}
		return nautobottest.None()
	})
	w.mustRun(t)
	if !made {
		t.Fatal("the run never asked whose the token is")
	}
	w.mustBeDone(t)
}
