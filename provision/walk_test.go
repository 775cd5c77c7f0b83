package provision_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Random walks: the Secret changes, runs come and fail, one after another and
// two at once, people work on Nautobot by hand, and time passes. Whenever the
// next undisturbed run is over, Nautobot has what the Secret asks for.
func TestWalks(t *testing.T) {
	for i := range 4 { // some 10,000 steps in all
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				w := makeWorld()
				defer w.nautobot.Close()
				w.direct = true
				walk(t, w)
			})
		})
	}
}

func walk(t *rapid.T, w *world) {
	keys := []string{key("first"), key("second"), key("third")}
	passwords := []string{"first password", "second password", ""}
	kinds := slices.Sorted(maps.Keys(faults))
	kinds = slices.DeleteFunc(kinds, func(kind string) bool { return kind == "hangs" }) // takes too long

	w.rule.Adopt = true
	usernames := []string{username, "rxdb-lab-nova"}

	// A person deactivated the account, or it is another Secret's: runs refuse
	// to work on it. Or the Secret's token is another account's, or the
	// account's own, which cannot be told before it is taken over.
	stopped := func() bool {
		user, ok := w.nautobot.User(w.secret["username"])
		foreign := user.LastName != mark
		if ok && (user.Inactive && user.FirstName != "Service account (revoked)" ||
			foreign && (user.Superuser || user.Staff || user.FirstName != "" && !user.Inactive)) {
			return true
		}
		return slices.ContainsFunc(usernames, func(name string) bool {
			return (name != w.secret["username"] || foreign) && slices.ContainsFunc(w.nautobot.Tokens(name), func(token nautobottest.Token) bool {
				return token.Key == w.secret["token"]
			})
		})
	}
	byHand := func(change func(*nautobottest.User)) func(*rapid.T) {
		return func(t *rapid.T) {
			if _, ok := w.nautobot.User(w.secret["username"]); !ok {
				t.Skip("there is no account")
			}
			w.nautobot.UpdateUser(w.secret["username"], change)
		}
	}
	tokenByHand := func(change func(*nautobottest.Token)) func(*rapid.T) {
		return func(t *rapid.T) {
			tokens := w.nautobot.Tokens(w.secret["username"])
			if len(tokens) == 0 {
				t.Skip("there is no token")
			}
			w.nautobot.UpdateToken(rapid.SampledFrom(tokens).Draw(t, "token").Key, change)
		}
	}

	t.Repeat(map[string]func(*rapid.T){
		"the Secret gets another token": func(t *rapid.T) { w.set("token", rapid.SampledFrom(keys).Draw(t, "token")) },
		"the Secret gets another password": func(t *rapid.T) {
			w.set("password", rapid.SampledFrom(passwords).Draw(t, "password"))
		},
		"the Secret names another account": func(t *rapid.T) { w.set("username", rapid.SampledFrom(usernames).Draw(t, "username")) },
		"another Secret takes an account over": func(t *rapid.T) {
			before := w.rule
			_, _ = w.runAs(context.Background(), "other", other(rapid.SampledFrom(append(usernames, "other")).Draw(t, "username")))
			w.rule = before
			for _, user := range w.nautobot.Snapshot().Users {
				if user.LastName != mark { // a run of ours may have been killed as it took one over
					w.checkTokens(t, user)
				}
			}
		},
		"somebody makes an account of the name": func(t *rapid.T) {
			if _, ok := w.nautobot.User(w.secret["username"]); ok {
				t.Skip("there is one")
			}
			w.nautobot.AddUser(nautobottest.User{Username: w.secret["username"], Password: "by hand", Groups: []string{"people"}})
		},
		"a run": func(t *rapid.T) {
			_, err := w.run(context.Background())
			checkOutcome(t, err, stopped())
		},
		"a run that meets a fault": func(t *rapid.T) {
			n, kind := rapid.IntRange(1, 12).Draw(t, "request"), rapid.SampledFrom(kinds).Draw(t, "fault")
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			w.direct = false // a broken connection needs a real one
			w.nautobot.ResetRequests()
			w.nautobot.Intercept(func(_ nautobottest.Request, number int) nautobottest.Fault {
				if number == n {
					return faults[kind](cancel)
				}
				return nautobottest.None()
			})
			_, _ = w.run(ctx)
			w.nautobot.Intercept(nil)
			w.direct = true
		},
		"two runs at once": func(t *rapid.T) {
			first := w.current()
			if rapid.Bool().Draw(t, "one of them overtaken") {
				w.set("token", rapid.SampledFrom(keys).Draw(t, "token"))
				w.set("password", rapid.SampledFrom(passwords).Draw(t, "password"))
				w.left = w.left || w.secret["password"] == "" // the overtaken run may set the one it knows
			}
			d := explorer{}.begin(w, provisionFrom(&source{world: w, first: &first}), provisionIt)
			for choice := d.choice(); len(choice) > 0; choice = d.choice() {
				d.step(rapid.SampledFrom(choice).Draw(t, "turn"))
			}
			d.cancel()
			w.nautobot.Intercept(nil)
			for _, err := range d.errs {
				checkOutcome(t, err, stopped())
			}
		},
		"somebody deletes the account":                  func(*rapid.T) { w.nautobot.DeleteUser(w.secret["username"]) },
		"somebody deactivates or activates the account": byHand(func(u *nautobottest.User) { u.Inactive = !u.Inactive }),
		"somebody makes the account staff":              byHand(func(u *nautobottest.User) { u.Staff = true }),
		"somebody makes the account a superuser":        byHand(func(u *nautobottest.User) { u.Superuser = true }),
		"single sign-on replaces the groups":            byHand(func(u *nautobottest.User) { u.Groups = []string{"people"} }),
		"somebody sets another password":                byHand(func(u *nautobottest.User) { u.Password, w.left = "by hand", true }),
		"a token expires":                               tokenByHand(func(token *nautobottest.Token) { token.Expires = w.now }),
		"a token becomes read-only":                     tokenByHand(func(token *nautobottest.Token) { token.ReadOnly = true }),
		"a token loses its mark":                        tokenByHand(func(token *nautobottest.Token) { token.Description = "" }),
		"somebody deletes a token": func(t *rapid.T) {
			if tokens := w.nautobot.Tokens(w.secret["username"]); len(tokens) > 0 {
				w.nautobot.DeleteToken(rapid.SampledFrom(tokens).Draw(t, "token").Key)
			}
		},
		"somebody deletes the permission": func(*rapid.T) { w.nautobot.DeletePermission(provision.DefaultManagedGroup) },
		"somebody deletes the group":      func(*rapid.T) { w.nautobot.DeleteGroup(provision.DefaultManagedGroup) },
		"time passes": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 120).Draw(t, "minutes")) * time.Minute)
		},
		"a run that nothing disturbs, and one more": func(t *rapid.T) {
			if stopped() {
				t.Skip("runs refuse")
			}
			w.mustRun(t)
			w.mustBeDone(t)
		},
	})
}

// checkOutcome: an undisturbed run succeeds, unless something is in its way that
// only a person may undo.
func checkOutcome(t *rapid.T, err error, stopped bool) {
	t.Helper()
	var refused *provision.Refusal
	if stopped && (errors.As(err, &refused) || err != nil && strings.HasPrefix(err.Error(), "after ")) {
		return
	}
	if err != nil {
		t.Errorf("a run: %v", err)
	}
}
