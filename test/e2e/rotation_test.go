//go:build e2e

package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

func TestRotation(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		f.provision(t).want(t, 0)

		first := f.token
		f.token = f.newToken("second token")
		f.saveSecret(t)
		f.provision(t, "--rotation-grace=4s").want(t, 0).
			wantStdout(t, f.userLine("unchanged"), f.tokenLine("created 1 superseded token expires in 4s"))
		f.wantAccount(t)
		f.waitForExpiry(t, first, 4*time.Second)
		f.wantAccount(t)
		// The next run clears up.
		f.provision(t).want(t, 0).wantStdout(t, f.userLine("unchanged"), f.tokenLine("updated 1 superseded token deleted"))
		f.wantToken(t, "the first token", first, http.StatusForbidden, "Invalid token")
		f.wantUnchanged(t)

		// The default grace is an hour: nothing ends now.
		second := f.token
		f.token = f.newToken("third token")
		f.saveSecret(t)
		f.provision(t).want(t, 0).
			wantStdout(t, f.userLine("unchanged"), f.tokenLine("created 1 superseded token expires in 1h"))
		f.wantToken(t, "the second token", second, http.StatusOK, "")
		for _, token := range f.tokens(t) {
			if token.Key != second {
				continue
			}
			if token.Expires == nil || time.Until(*token.Expires).Round(5*time.Minute) != time.Hour {
				t.Errorf("the second token expires %v, want in an hour", token.Expires)
			}
		}
		f.wantUnchanged(t)

		// 0 ends at once, the token of the last rotation too.
		third := f.token
		f.token = f.newToken("fourth token")
		f.saveSecret(t)
		f.env["ROTATION_GRACE"] = "0"
		f.provision(t).want(t, 0).
			wantStdout(t, f.userLine("unchanged"), f.tokenLine("created 2 superseded tokens deleted"))
		f.wantToken(t, "the second token", second, http.StatusForbidden, "Invalid token")
		f.wantToken(t, "the third token", third, http.StatusForbidden, "Invalid token")
		f.wantAccount(t)
		f.wantUnchanged(t)
	})
}

// waitForExpiry asks with a token until Nautobot says that it is expired.
func (f *fixture) waitForExpiry(t *testing.T, token string, after time.Duration) {
	t.Helper()
	deadline := time.After(after + 10*time.Minute)
	for again := time.NewTicker(200 * time.Millisecond); ; {
		status, reason := f.tokenAnswer(t, token)
		if status == http.StatusForbidden && reason == "Token expired" {
			return
		}
		if status != http.StatusOK {
			t.Fatalf("the superseded token: Nautobot answers %d %q", status, reason)
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("the superseded token still works, well after %s", after)
		}
	}
}

func TestRotatedPassword(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		f.provision(t).want(t, 0)

		old := f.password
		f.password = f.newPassword("second password")
		f.saveSecret(t)
		f.provision(t).want(t, 0).wantStdout(t, f.userLine("updated password"), f.tokenLine("unchanged"))
		f.wantPassword(t, "the old password", old, http.StatusForbidden)
		f.wantAccount(t)
		f.wantUnchanged(t)

		// Both at once.
		old, oldToken := f.password, f.token
		f.password, f.token = f.newPassword("third password"), f.newToken("second token")
		f.saveSecret(t)
		f.provision(t, "--rotation-grace=0").want(t, 0).
			wantStdout(t, f.userLine("updated password"), f.tokenLine("created 1 superseded token deleted"))
		f.wantPassword(t, "the old password", old, http.StatusForbidden)
		f.wantToken(t, "the old token", oldToken, http.StatusForbidden, "Invalid token")
		f.wantAccount(t)
		f.wantUnchanged(t)
	})
}

func TestRepairedToken(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		f.provision(t).want(t, 0)
		for _, c := range []struct {
			name   string
			spoil  object
			fields string
		}{
			{"expired", object{"expires": "2020-01-01T00:00:00Z"}, "expires"},
			{"read-only", object{"write_enabled": false}, "write_enabled"},
			{"without mark", object{"description": ""}, "description"},
			{"all of it", object{"expires": "2020-01-01T00:00:00Z", "write_enabled": false, "description": "mine"}, "description, expires, write_enabled"},
		} {
			t.Run(c.name, func(t *testing.T) {
				f.must(t, servers.ByPassword(f.username, f.password), http.MethodPatch, "tokens/"+f.ownToken(t).ID+"/", c.spoil, nil)
				f.provision(t).want(t, 0).wantStdout(t, f.userLine("unchanged"), f.tokenLine("updated "+c.fields))
				f.wantAccount(t)
				f.wantUnchanged(t)
			})
		}
		t.Run("expired, and the password was changed", func(t *testing.T) {
			f.must(t, servers.ByPassword(f.username, f.password), http.MethodPatch, "tokens/"+f.ownToken(t).ID+"/", object{"expires": "2020-01-01T00:00:00Z"}, nil)
			f.must(t, f.superuser(), http.MethodPatch, "users/"+f.user(t).ID+"/", object{"password": f.newPassword("foreign password")}, nil)
			f.provision(t).want(t, 0).wantStdout(t, f.userLine("updated password"), f.tokenLine("updated expires"))
			f.wantAccount(t)
			f.wantUnchanged(t)
		})
	})
}
