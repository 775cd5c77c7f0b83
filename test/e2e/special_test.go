//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// An account without a password has one only for the moment that its token
// takes to be made.
func TestAccountForTheAPIOnly(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		data := f.data()
		delete(data, "password")
		f.saveData(t, data)
		f.proxy.spoil(func(_ int, r *http.Request) fate {
			if r.Method == http.MethodPost || r.Method == http.MethodPatch {
				f.notePassword(t, r)
			}
			return nil
		})
		check := func() {
			t.Helper()
			f.wantToken(t, "the Secret's token", f.token, http.StatusOK, "")
			if user := f.user(t); user.Superuser || user.Staff || user.FirstName != "Service account" {
				t.Errorf("the account: superuser %t, staff %t, first name %q", user.Superuser, user.Staff, user.FirstName)
			}
			f.wantPassword(t, "the password for a moment", f.opening(t), http.StatusForbidden)
			f.provision(t).want(t, 0).wantStdout(t, f.userLine("unchanged"), f.tokenLine("unchanged")).wantRequests(t, 2, 0, 0)
		}
		f.provision(t).want(t, 0).wantStdout(t, f.userLine("created"), f.tokenLine("created"))
		check()

		old := f.token
		f.token = f.newToken("second token")
		data["token"] = f.token
		f.saveData(t, data)
		f.provision(t, "--rotation-grace=0").want(t, 0)
		check()
		f.wantToken(t, "the old token", old, http.StatusForbidden, "Invalid token")
	})
}

// notePassword counts the password that a request sets among the secrets.
func (f *fixture) notePassword(t *testing.T, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var sets struct{ Password string }
	if json.Unmarshal(body, &sets) == nil && sets.Password != "" {
		f.secrets[f.openingName()] = sets.Password
	}
}

// Of the superuser token's own account nothing but its token is managed, and
// that only where it is allowed.
func TestTheSuperusersOwnAccount(t *testing.T) {
	asSuperuser(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.username = nautobot.Username
		f.saveSecret(t)
		before := *f.user(t)
		f.provision(t, "--adopt", "--superuser").want(t, 0)
		f.wantToken(t, "the Secret's token", f.token, http.StatusOK, "")
		f.wantToken(t, "the superuser token", nautobot.Token, http.StatusOK, "")
		f.wantPassword(t, "the superuser's password", nautobot.Password, http.StatusOK)
		f.wantPassword(t, "the Secret's password", f.password, http.StatusForbidden)
		after := *f.user(t)
		if after.ID != before.ID || after.FirstName != before.FirstName || after.LastName != before.LastName || !after.Superuser || len(after.Groups) != len(before.Groups) {
			t.Errorf("the account was changed: %+v", after)
		}
		f.provision(t, "--adopt", "--superuser").want(t, 0).wantNoWrite(t)
		f.must(t, servers.ByToken(f.token), http.MethodDelete, "tokens/"+f.ownToken(t).ID+"/", nil, nil)
	})
}
