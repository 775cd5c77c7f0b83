package provision_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
)

// However a run ends, it removes the temporary password.
func TestTemporaryPasswordIsClearedOnTheWayOut(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]nautobottest.Fault{
		"the token is refused": nautobottest.Answer(http.StatusBadRequest, "application/json", `{"expires":["Tokens must expire within 90 days."]}`),
		"the token fails":      nautobottest.Answer(http.StatusInternalServerError, "application/json", `{}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.set("password", "")
			w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
				if r.Method == http.MethodPost && r.Path == "/api/users/tokens/" {
					return fault
				}
				return nautobottest.None()
			})
			_, err := w.run(t.Context())
			user, ok := w.nautobot.User(username)
			if err == nil || !ok || user.Password != "" || user.FirstName != "Service account" {
				t.Errorf("error %v; the account is there %v, first name %q, open %v", err, ok, user.FirstName, user.Password != "")
			}
		})
	}
}

// Somebody takes the token while the account is open.
func TestTemporaryPasswordIsClearedIfTheTokenIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set("password", "")
	w.nautobot.AddUser(nautobottest.User{Username: "holder"})
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Method == http.MethodPost && r.Path == "/api/users/tokens/" && len(w.nautobot.Tokens("holder")) == 0 {
			w.nautobot.AddToken("holder", nautobottest.Token{Key: w.secret["token"]})
		}
		return nautobottest.None()
	})
	_, err := w.run(t.Context())
	if user, _ := w.nautobot.User(username); err == nil || user.Password != "" {
		t.Errorf("error %v, open %v", err, user.Password != "")
	}
	w.nautobot.ResetRequests()
	if _, err := w.run(t.Context()); !isRefused(err) || len(w.nautobot.Writes()) > 0 {
		t.Errorf("the next run: error %v, writes %v; want a refusal and none", err, w.nautobot.Writes())
	}
}

// A password that cannot be cleared is a failure that says why, after a few tries.
func TestPasswordThatCannotBeCleared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set("password", "")
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Method == http.MethodPut {
			return nautobottest.Answer(http.StatusInternalServerError, "application/json", `{}`)
		}
		return nautobottest.None()
	})
	_, err := w.run(t.Context())
	if requests := len(w.nautobot.Requests()); err == nil || !strings.Contains(err.Error(), "500") || requests > 40 {
		t.Errorf("error %v after %d requests", err, requests)
	}
}

// Whatever password an account had before it became one for the API only, or
// while it was out of service, does not open it afterwards.
func TestNoOlderPasswordOpensAnAccountForTheAPIOnly(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, w *world){
		"taken over, with a new token": func(_ *testing.T, w *world) {
			w.rule.Adopt = true
			w.nautobot.AddUser(nautobottest.User{Username: username, Password: "by hand"})
		},
		"taken over, with its own token": func(t *testing.T, w *world) {
			t.Helper()
			w.mustRunFor(t, other("somebody")) // group and permission are there
			w.rule.Adopt = true
			w.nautobot.AddUser(nautobottest.User{Username: username, Password: "by hand", Groups: []string{"nautobot-token-managed"}})
			w.nautobot.AddToken(username, nautobottest.Token{Key: w.secret["token"]})
		},
		"taken over, with an empty password": func(t *testing.T, w *world) {
			t.Helper()
			w.mustRunFor(t, other("somebody"))
			w.rule.Adopt = true
			w.nautobot.AddUser(nautobottest.User{Username: username, BlankPassword: true, Groups: []string{"nautobot-token-managed"}})
			w.nautobot.AddToken(username, nautobottest.Token{Key: w.secret["token"]})
		},
		"ours, with an empty password and without its group": func(t *testing.T, w *world) {
			t.Helper()
			w.mustRun(t)
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.BlankPassword, u.Groups = true, nil })
		},
		"active, and called revoked": func(t *testing.T, w *world) {
			t.Helper()
			w.mustRun(t)
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.FirstName, u.Password = "Service account (revoked)", "left" })
		},
		"revoked while it was open, and back": func(t *testing.T, w *world) {
			t.Helper()
			w.mustRun(t)
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.FirstName, u.Password = opening, "left" })
			first := w.secret["token"]
			w.set("username", "second")
			w.set("token", key("second"))
			w.mustRun(t)
			w.set("username", username)
			w.set("token", first)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.set("password", "")
			prepare(t, w)
			w.left = false
			w.mustRun(t)
			if user, _ := w.nautobot.User(username); user.Password != "" || user.BlankPassword || user.FirstName != "Service account" {
				t.Errorf("first name %q, open %v, empty %v", user.FirstName, user.Password != "", user.BlankPassword)
			}
			w.mustBeDone(t)
		})
	}
}
