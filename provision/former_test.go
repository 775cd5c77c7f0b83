package provision_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// versions is the source of a Secret that changes with each look, until the API
// server is unavailable.
type versions struct {
	all  []provision.Secret
	away bool
}

func (v *versions) Secret(context.Context) (provision.Secret, error) {
	if len(v.all) == 0 {
		return provision.Secret{}, errors.New("the API server is away")
	}
	secret := v.all[0]
	if len(v.all) > 1 || v.away {
		v.all = v.all[1:]
	}
	return secret, nil
}

// The account whose token the runs use is not taken out of service, even if its
// Secret names another one.
func TestFormerAccountIsTheOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rule.Superuser = true
	w.mustRun(t)
	w.token = w.secret["token"]
	w.set("username", "second")
	w.set("token", key("second"))
	report := w.mustRun(t)
	user, _ := w.nautobot.User(username)
	i := indexOf(report, "user/"+username)
	if user.Inactive || i < 0 || !strings.Contains(strings.Join(report.Changes[i].Notes, " "), "its own") {
		t.Errorf("inactive: %v; report %v", user.Inactive, report)
	}
}

func indexOf(report provision.Report, object string) int {
	for i, change := range report.Changes {
		if change.Object == object {
			return i
		}
	}
	return -1
}

// A run that was overtaken does not deactivate the account of the version that
// overtook it, whether it can read that version or not.
func TestOvertakenRunSparesTheNewestAccount(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		w := newWorld(t)
		first := w.current()
		w.set("username", "newest")
		w.set("token", key("newest"))
		newest := w.current()
		w.mustRun(t)
		user, _ := w.nautobot.User("newest")
		w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
			if strings.HasSuffix(r.Path, user.ID+"/") && strings.Contains(string(r.Body), `"is_active":false`) {
				t.Error("the newest account is deactivated")
			}
			return nautobottest.None()
		})
		late := &versions{all: []provision.Secret{first, newest}}
		if away {
			late = &versions{all: []provision.Secret{first}, away: true}
		}
		report, err := w.runAs(t.Context(), "late", late)
		if (err != nil) != away {
			t.Errorf("API server away %v: error %v", away, err)
		}
		if former, _ := w.nautobot.User(username); !away && (!former.Inactive || report.Changes[indexOf(report, "user/"+username)].Action != provision.Revoked) {
			t.Errorf("the account of the older version is inactive: %v; report %v", former.Inactive, report)
		}
	}
}

// However many accounts the Secret named before, none stays in service.
func TestFormerAccountsBeyondOnePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	for i := range 1200 {
		w.nautobot.AddUser(nautobottest.User{
			Username: strings.Repeat("a", 1+i%40) + string(rune('a'+i%26)) + strings.Repeat("b", i/40), FirstName: "Service account (revoked)",
			LastName: mark, Inactive: true,
		})
	}
	w.set("username", "zzz")
	w.set("token", key("second"))
	w.mustRun(t)
	if user, _ := w.nautobot.User(username); !user.Inactive {
		t.Error("the account that the Secret named before is in service")
	}
}

// If the cluster has no name, the account from before may be another cluster's:
// it is left alone, but not with a temporary password.
func TestFormerAccountWithoutACluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cluster = ""
	w.set("password", "")
	w.mustRun(t)
	w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.FirstName, u.Password = opening, "left" })
	w.set("username", "second")
	w.set("token", key("second"))
	w.mustRun(t)
	user, _ := w.nautobot.User(username)
	if user.Inactive || user.Password != "" || user.FirstName != "Service account" {
		t.Errorf("inactive %v, first name %q, open %v", user.Inactive, user.FirstName, user.Password != "")
	}
}

// An answer that was lost on the way does not mean that nothing happened.
func TestLostAnswersAreReported(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, path, key string
		object            string
	}{
		"the token":    {http.MethodPost, "/api/users/tokens/", "token", "token/openstack/nautobot-token"},
		"the password": {http.MethodPatch, "/api/users/users/", "password", "user/" + username},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustRun(t)
			w.set(test.key, key("second"))
			lost, verified := false, false
			w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
				if !lost && r.Method == test.method && strings.HasPrefix(r.Path, test.path) {
					lost = true
					return nautobottest.CarryOutAndDrop()
				}
				verified = verified || lost && r.Path == "/api/users/tokens/" && r.Scheme == "Token" && r.Method == http.MethodGet
				return nautobottest.None()
			})
			report := w.mustRun(t)
			i := indexOf(report, test.object)
			if !lost || !verified || i < 0 || report.Changes[i].Action == provision.Unchanged {
				t.Errorf("lost %v, verified %v, report %v", lost, verified, report)
			}
		})
	}
}

// The grace is measured by Nautobot's clock, whatever the Pod's clock says.
func TestGraceByNautobotsClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	server := w.now
	for _, ahead := range []string{"-2h", "2h"} {
		w.set("token", key("second"+ahead))
		w.clock = ahead
		w.mustRun(t)
		for _, token := range w.nautobot.Tokens(username) {
			if !token.Expires.IsZero() && !token.Expires.Equal(server.Add(w.grace)) {
				t.Errorf("clock %s: a superseded token expires at %v, want %v", ahead, token.Expires, server.Add(w.grace))
			}
		}
	}
}
