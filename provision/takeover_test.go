package provision_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// opens reports whether a token opens an account.
func (w *world) opens(t *testing.T, token string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.nautobot.URL+"/api/users/config/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func isRefused(err error) bool { return errors.As(err, new(*provision.Refusal)) }

// Whoever takes an account over takes its tokens over: the former owner's end in
// the same run, whatever the grace.
func TestTakeoverEndsTheFormerOwnersTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRunFor(t, other(username))
	w.mustRunFor(t, other("given-up")) // the other tenant's Secret names another account now
	theirs := key("for-" + username)
	if w.opens(t, theirs) {
		t.Fatal("the token of an account that was revoked opens it")
	}
	w.rule.Adopt = true
	report := w.mustRun(t)
	if w.opens(t, theirs) || !w.opens(t, w.secret["token"]) {
		t.Errorf("the former owner's token opens the account: %v", report)
	}
	w.mustBeDone(t)
}

// An account that is not yet the Secret's is not written to until it is certain
// who owns the token.
func TestTakeoverWritesNothingBeforeTheTokenIsKnown(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]nautobottest.Token{
		"another account's":             {Key: key("first")},
		"another account's and expired": {Key: key("first"), Expires: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		for _, password := range []string{"first password", ""} {
			t.Run(name+", password "+password, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.set("password", password)
				w.rule.Adopt = true
				w.nautobot.AddUser(nautobottest.User{Username: username, Password: "a person's", FirstName: "Ann", LastName: "Other"})
				w.nautobot.AddUser(nautobottest.User{Username: "holder"})
				w.nautobot.AddToken("holder", token)
				w.nautobot.ResetRequests()
				_, err := w.run(t.Context())
				if writes := w.nautobot.Writes(); !isRefused(err) || len(writes) > 0 {
					t.Errorf("error %v, writes %v", err, writes)
				}
			})
		}
	}
}

// A refusal means that nothing was written. What could be found out only by
// writing is a failure, and the next run is refused.
func TestRefusedMeansNothingWasWritten(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(w *world){
		"another password, and somebody's expired token": func(w *world) {
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Password = "drift" })
			w.nautobot.AddToken("holder", nautobottest.Token{Key: key("second"), Expires: w.now.Add(-time.Hour)})
		},
		"a lost group, and somebody's token": func(w *world) {
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Groups = nil })
			w.nautobot.AddToken("holder", nautobottest.Token{Key: key("second")})
		},
		"a revoked account, and the token of one that is not active": func(w *world) {
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Inactive, u.FirstName = true, "Service account (revoked)" })
			w.nautobot.UpdateUser("holder", func(u *nautobottest.User) { u.Inactive = true })
			w.nautobot.AddToken("holder", nautobottest.Token{Key: key("second")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustRun(t)
			w.nautobot.AddUser(nautobottest.User{Username: "holder"})
			before, _ := w.nautobot.User(username)
			prepare(w)
			w.set("token", key("second"))
			inactive, _ := w.nautobot.User(username)
			for range 3 {
				w.nautobot.ResetRequests()
				_, err := w.run(t.Context())
				if err == nil || isRefused(err) && len(w.nautobot.Writes()) > 0 {
					t.Fatalf("error %v, writes %v", err, w.nautobot.Writes())
				}
				if isRefused(err) {
					break
				}
			}
			user, _ := w.nautobot.User(username)
			if user.Inactive != inactive.Inactive {
				t.Errorf("the account was inactive: %v, and is now: %v", inactive.Inactive, user.Inactive)
			}
			if w.opens(t, key("first")) == user.Inactive {
				t.Error("the account's own token works, or does not, as it should not")
			}
			if user.LastName != before.LastName {
				t.Errorf("the account belongs to %q", user.LastName)
			}
		})
	}
}

// Two Secrets take the same account over at the same moment.
func TestTwoTakeoversAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rule.Adopt = true
	w.mustRunFor(t, other("somebody")) // group and permission are there
	w.nautobot.AddUser(nautobottest.User{Username: username})
	held, hold, done := make(chan bool), make(chan bool), make(chan error)
	var once sync.Once
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Method == http.MethodPatch && strings.Contains(string(r.Body), "lab/third/x") {
			once.Do(func() { held <- true; <-hold })
		}
		return nautobottest.None()
	})
	third := fixed(secretOf("third", "x", map[string]string{"username": username, "password": "third", "token": key("third")}))
	go func() {
		_, err := w.runAs(t.Context(), "third", third)
		done <- err
	}()
	<-held
	w.mustRun(t)
	hold <- true
	if err := <-done; err != nil {
		t.Errorf("the second: %v", err)
	}
	w.checkOwners(t)
	if w.opens(t, w.secret["token"]) {
		t.Error("the token of the first opens the account, which is the second's")
	}
	if _, err := w.run(t.Context()); !isRefused(err) {
		t.Errorf("the first again: %v, want a refusal", err)
	}
}

// An account that may be the superuser token's own is not taken over.
func TestTakeoverOfWhatMayBeTheOwnAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rule.Adopt = true
	w.set("username", "prov")
	w.nautobot.AddUser(nautobottest.User{Username: "prov", Password: "its own"})
	w.nautobot.AddPermission(nautobottest.Permission{
		Name: "by hand", Users: []string{"prov"}, ObjectTypes: []string{"users.user"}, Actions: []string{"view", "add", "change"},
		Constraints: map[string]any{"is_superuser": false, "is_staff": false},
	})
	w.token = w.nautobot.AddToken("prov", nautobottest.Token{Key: key("prov")}).Key
	before := w.state()
	_, err := w.run(t.Context())
	if diff := cmp.Diff(before, w.state()); !isRefused(err) || diff != "" {
		t.Errorf("error %v, changes (-before +after):\n%s", err, diff)
	}
}

// A Secret that moved, or a cluster that got its name later, has no outage.
func TestAdoptFrom(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cluster   string // of the former run
		secret    fixed
		adoptFrom string
	}{
		"the cluster got a name":  {"", fixed(secretOf("openstack", "nautobot-token", nil)), "openstack/nautobot-token"},
		"the cluster was renamed": {"old", fixed(secretOf("openstack", "nautobot-token", nil)), "old/openstack/nautobot-token"},
		"another namespace":       {"lab", fixed(secretOf("old", "nautobot-token", nil)), "lab/old/*"},
		"another name":            {"lab", fixed(secretOf("openstack", "old-name", nil)), "lab/openstack/old-*"},
	} {
		for _, password := range []string{"first password", ""} {
			t.Run(name+", password "+password, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.set("password", password)
				test.secret.Data = w.current().Data
				w.cluster = test.cluster
				if _, err := w.runAs(t.Context(), "former", test.secret); err != nil {
					t.Fatal(err)
				}
				w.cluster = "lab"

				w.rule.Adopt = true // is not enough
				refusal := new(provision.Refusal)
				if _, err := w.run(t.Context()); !errors.As(err, &refusal) || refusal.Owner == "" || strings.Contains(err.Error(), refusal.Owner) {
					t.Errorf("without adoptFrom: error %v, owner %q; want a refusal that keeps the owner for the log", err, refusal.Owner)
				}
				w.rule.Adopt, w.rule.AdoptFrom = false, []string{test.adoptFrom}
				w.nautobot.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
					if user, _ := w.nautobot.User(username); user.Inactive || len(w.nautobot.Tokens(username)) == 0 {
						t.Error("the account is out of service for a moment")
					}
					return nautobottest.None()
				})
				w.mustRun(t)
				w.nautobot.Intercept(nil)
				w.mustBeDone(t)

				// Its older token is superseded, with grace, as one of its own.
				w.nautobot.UpdateToken(key("first"), func(token *nautobottest.Token) {
					token.Description = "nautobot-token: " + strings.TrimSuffix(strings.ReplaceAll(test.adoptFrom, "*", "name"), "/")
				})
				w.set("token", key("second"))
				w.mustRun(t)
				if !w.opens(t, key("first")) {
					t.Error("the older token ended at once")
				}
				w.now = w.now.Add(2 * time.Hour)
				w.mustRun(t)
				if w.opens(t, key("first")) {
					t.Error("the older token works after its grace")
				}
			})
		}
	}
}

// A refusal helps whoever copied a credential, or whose account a directory
// rewrote.
func TestRefusalsGuessTheCause(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	twin := fixed(w.current())
	twin.Namespace = "copy"
	if _, err := w.runAs(t.Context(), "copy", twin); !isRefused(err) || !strings.Contains(err.Error(), "copy") {
		t.Errorf("a copy of the Secret: %v", err)
	}
	w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.FirstName, u.LastName = "Service", "Openstack" })
	if _, err := w.run(t.Context()); !isRefused(err) || !strings.Contains(err.Error(), "single sign-on") {
		t.Errorf("an account whose names were rewritten: %v", err)
	}
	w.rule.Adopt = true
	w.mustRun(t)
	w.mustBeDone(t)
}

// A proxy that logs everybody in is not taken for another account that has the
// token.
func TestEveryTokenIsAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Path == "/api/users/config/" {
			return nautobottest.Answer(http.StatusOK, "application/json", "{}")
		}
		return nautobottest.None()
	})
	_, err := w.run(t.Context())
	if err == nil || isRefused(err) || !strings.Contains(err.Error(), "logs in every request") {
		t.Errorf("error %v, want one that names what logs everybody in", err)
	}
}

// A takeover that never came about leaves the account as it was.
func TestTakeoverThatFailsLeavesTheAccountAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.FirstName, u.LastName = "Ann", "Other" })
	w.rule.Adopt = true
	before := w.state()
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Method == http.MethodPatch {
			return nautobottest.Answer(http.StatusInternalServerError, "application/json", "{}")
		}
		return nautobottest.None()
	})
	_, err := w.run(t.Context())
	if diff := cmp.Diff(before, w.state()); err == nil || diff != "" {
		t.Errorf("error %v, changes (-before +after):\n%s", err, diff)
	}
}

// The password is not written until it is known who owns the token, even if a
// permission has to be repaired to find out.
func TestPermissionIsMendedBeforeThePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	w.nautobot.DeletePermission(provision.DefaultManagedGroup)
	w.nautobot.AddUser(nautobottest.User{Username: "holder"})
	w.nautobot.AddToken("holder", nautobottest.Token{Key: key("second")})
	w.set("password", "second password")
	w.set("token", key("second"))
	_, err := w.run(t.Context())
	if user, _ := w.nautobot.User(username); err == nil || user.Password != "first password" {
		t.Errorf("error %v; the password was written", err)
	}
}

// What Nautobot's own rules forbid is refused at the first write.
func TestFirstWriteIsRejected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Method == http.MethodPost {
			return nautobottest.Answer(http.StatusBadRequest, "application/json", `{"password":["This password is too common."]}`)
		}
		return nautobottest.None()
	})
	if report, err := w.run(t.Context()); !isRefused(err) || report.Changed() {
		t.Errorf("error %v, report %v", err, report)
	}
}
