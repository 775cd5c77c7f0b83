package provision_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const (
	username    = "rxdb-lab-openstack"
	mark        = "lab/openstack/nautobot-token"
	description = "nautobot-token: " + mark
	opening     = "Service account (opening)"
)

// tb is what a test and a random walk have in common.
type tb interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// key makes a token's key of 40 characters that is easy to tell from others.
func key(name string) string { return name + strings.Repeat("-k0e1y2s", 5)[:40-len(name)] }

// world is a fake Nautobot, a Secret, and a clock that a test moves.
type world struct {
	nautobot *nautobottest.Server
	now      time.Time
	secret   map[string]string
	version  int
	rule     provision.Rule
	cluster  string
	token    string // the superuser token; empty: a superuser's
	// managedGroup; empty: the default
	managedGroup string
	dryRun       bool
	clock        string // how far the program's clock is ahead; empty: not at all
	grace        time.Duration
	timeout      time.Duration // of one request; 0: long
	direct       bool          // requests take no network, which is faster
	ran          bool          // there has been a run
	left         bool          // the Secret's password was removed, which leaves the account's as it is

	gone, unlabelled, forbidden bool // so is the Secret
	lives                       int  // how often it came back
	more                        map[string]provision.Secret
	limit                       int // of Secrets that are gone; 0: any number
	// reading is told of each read of Secrets, before it is carried out; what it
	// returns is what the read fails with. nil: nobody is told.
	reading func(ctx context.Context, run string) error
	sights  map[sight]string           // what runs saw when they last read a Secret: the username
	justSaw map[string]string          // which Secret each run read, if it has sent nothing since
	watch   func(nautobottest.Request) // is told of each request; nil: nobody is
}

type sight struct{ run, secret string }

// noSecret is what a run saw if it was told that there is no such Secret.
const noSecret = "(gone)"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := makeWorld()
	t.Cleanup(w.nautobot.Close)
	return w
}

// makeWorld is newWorld for callers that close it.
func makeWorld() *world {
	w := &world{
		now:     time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		secret:  map[string]string{"username": username, "password": "first password", "token": key("first")},
		version: 1,
		rule:    provision.Rule{Secrets: []string{"*"}, Usernames: []string{"*"}, Revoke: true},
		cluster: "lab",
		grace:   time.Hour,
	}
	w.nautobot = nautobottest.New(nautobottest.Options{Now: func() time.Time { return w.now }})
	return w
}

// set changes the Secret as a backend would; an empty value removes the key.
func (w *world) set(name, value string) {
	w.version++
	if value == "" {
		w.left = w.left || name == "password" && w.ran
		delete(w.secret, name)
		return
	}
	w.secret[name] = value
}

// source is the Secret of a world. first, if given, is what the first read
// sees: a run that was started for an older version.
type source struct {
	world *world
	run   string // that reads it
	first *provision.Secret
}

func (s *source) Secret(ctx context.Context) (provision.Secret, error) {
	if first := s.first; first != nil {
		s.first = nil
		return *first, nil
	}
	return s.world.read(ctx, s.run, secretName)
}

func (w *world) current() provision.Secret {
	secret := secretOf("openstack", "nautobot-token", w.secret)
	secret.ResourceVersion = fmt.Sprint(w.version)
	secret.UID = fmt.Sprint(1 + w.lives)
	if w.unlabelled {
		secret.Labels = nil
	}
	return secret
}

// secretName is the name of a world's Secret.
const secretName = "openstack/nautobot-token"

func secretOf(namespace, name string, values map[string]string) provision.Secret {
	data := map[string]provision.Sensitive{}
	for key, value := range values {
		data[key] = provision.Hide(value)
	}
	return provision.Secret{
		Namespace: namespace, Name: name, UID: "1", ResourceVersion: "1",
		Labels: map[string]string{"token/type": "nautobot"}, Data: data,
	}
}

// fixed is the source of a Secret that never changes.
type fixed provision.Secret

func (f fixed) Secret(context.Context) (provision.Secret, error) { return provision.Secret(f), nil }

// other is the Secret of another tenant, for an account of that name.
func other(username string) fixed {
	return fixed(secretOf("nova", "nautobot-token", map[string]string{
		"username": username, "password": "password of another tenant", "token": key("for-" + username),
	}))
}

// run is one run of the program's core, with the production client.
func (w *world) run(ctx context.Context) (provision.Report, error) {
	return w.runAs(ctx, "one", &source{world: w})
}

// runAs is run under a name that the server sees as the user agent.
func (w *world) runAs(ctx context.Context, name string, source provision.Source) (provision.Report, error) {
	w.ran = true
	result, err := w.provisioner(name).Provision(ctx, source)
	return result.Report, err
}

// provisioner is what a run begins with.
func (w *world) provisioner(name string) *provision.Provisioner {
	maps.DeleteFunc(w.sights, func(s sight, _ string) bool { return s.run == name })
	address, err := url.Parse(w.nautobot.URL)
	if err != nil {
		panic(err)
	}
	log := slog.New(slog.DiscardHandler)
	token := provision.Hide(cmp.Or(w.token, w.nautobot.Token))
	var transport http.RoundTripper
	if w.direct {
		transport = direct{w.nautobot}
	}
	hosts, err := provision.NewAllowedHosts(address, nil)
	if err != nil {
		panic(err)
	}
	return &provision.Provisioner{
		Connect: func(context.Context) (provision.Nautobot, provision.Sensitive, error) {
			return nautobot.New(nautobot.Config{
				URL: address, Token: token, UserAgent: name, Log: log,
				Pause: time.Millisecond, Timeout: w.timeout, Transport: transport,
			}), token, nil
		},
		Hosts:   hosts,
		Policy:  provision.Policy{ManagedGroup: cmp.Or(w.managedGroup, provision.DefaultManagedGroup), Rules: []provision.Rule{w.rule}},
		Cluster: w.cluster,
		Grace:   w.grace,
		DryRun:  w.dryRun,
		Now: func() time.Time {
			ahead, _ := time.ParseDuration(w.clock)
			return w.now.Add(ahead)
		},
		Log: log,
	}
}

// direct carries a request to a server without a network between them.
type direct struct{ to http.Handler }

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	if req.Body == nil {
		req.Body = http.NoBody
	}
	whole := d.serve(recorder, req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	resp := recorder.Result()
	switch {
	case whole:
	case recorder.Body.Len() == 0:
		return nil, io.EOF
	default:
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
	}
	return resp, nil
}

// serve reports whether the server answered in full.
func (d direct) serve(w http.ResponseWriter, req *http.Request) (whole bool) {
	defer func() {
		if broken := recover(); broken != nil && broken != any(http.ErrAbortHandler) {
			panic(broken)
		}
	}()
	d.to.ServeHTTP(w, req)
	return true
}

// mustRun is an undisturbed run that has to succeed.
func (w *world) mustRun(t tb) provision.Report {
	t.Helper()
	report, err := w.run(context.Background())
	if err != nil {
		t.Fatalf("an undisturbed run: %v", err)
	}
	return report
}

// mustRunFor is mustRun for the Secret of another tenant, who may have what it asks for.
func (w *world) mustRunFor(t tb, source provision.Source) {
	t.Helper()
	before := w.rule
	w.rule.Adopt = true
	if _, err := w.runAs(context.Background(), "other", source); err != nil {
		t.Fatalf("another tenant's run: %v", err)
	}
	w.rule = before
}

// mustBeDone checks that the account is what the Secret asks for, and that
// another run writes nothing.
func (w *world) mustBeDone(t tb) {
	t.Helper()
	w.checkAccount(t)
	before := w.state()
	w.nautobot.ResetRequests()
	w.mustRun(t)
	if writes := w.nautobot.Writes(); len(writes) > 0 {
		t.Errorf("another run writes: %v", writes)
	}
	if diff := gocmp.Diff(before, w.state()); diff != "" {
		t.Errorf("another run changes Nautobot (-before +after):\n%s", diff)
	}
}

// state is what Nautobot has, without the secrets: a failing test shows it.
func (w *world) state() nautobottest.Snapshot {
	snapshot := w.nautobot.Snapshot()
	for i := range snapshot.Users {
		snapshot.Users[i].Password = fingerprint(snapshot.Users[i].Password)
	}
	for i := range snapshot.Tokens {
		snapshot.Tokens[i].Key = fingerprint(snapshot.Tokens[i].Key)
	}
	return snapshot
}

func fingerprint(secret string) string {
	switch {
	case secret == "":
		return ""
	case strings.HasPrefix(secret, "Aa1-"): // derived from the superuser token, another one in each world
		return "opening"
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:4])
}

// checkAccount compares Nautobot with the Secret.
func (w *world) checkAccount(t tb) {
	t.Helper()
	user, ok := w.nautobot.User(w.secret["username"])
	if !ok {
		t.Fatal("there is no such account")
	}
	if w.left && w.secret["password"] == "" && fingerprint(user.Password) != "opening" {
		user.Password = ""
	}
	got := nautobottest.User{
		Username: user.Username, Password: fingerprint(user.Password), FirstName: user.FirstName, LastName: user.LastName,
		Superuser: user.Superuser, Staff: user.Staff, Inactive: user.Inactive,
	}
	want := nautobottest.User{
		Username: w.secret["username"], Password: fingerprint(w.secret["password"]),
		FirstName: "Service account", LastName: mark, Superuser: w.rule.Superuser,
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	for _, group := range append([]string{provision.DefaultManagedGroup}, w.rule.Groups...) {
		if !contains(user.Groups, group) {
			t.Errorf("the account is not in group %q", group)
		}
	}

	w.checkOwners(t)
	for _, former := range w.nautobot.Snapshot().Users {
		if former.LastName == mark && former.Username != user.Username && !former.Inactive {
			t.Errorf("account %q, which the Secret named before, is in service", former.Username)
		}
	}
	found := false
	for _, token := range w.nautobot.Tokens(user.Username) {
		ended := !token.Expires.IsZero() && !token.Expires.After(w.now.Add(w.grace+time.Minute))
		switch {
		case token.Key == w.secret["token"]:
			found = true
			if token.Description != description || token.ReadOnly || !token.Expires.IsZero() {
				t.Errorf("the token is not as it should be: %q, read-only %v, expires %v", token.Description, token.ReadOnly, token.Expires)
			}
		case (token.Description == description || w.rule.Exclusive) && !ended:
			t.Error("a superseded token goes on working")
		}
	}
	if !found {
		t.Error("the account has not got the token")
	}
}

// checkOwners: no token opens an account except those of its owner's Secret,
// those that are about to expire, and those that somebody made by hand.
func (w *world) checkOwners(t tb) {
	t.Helper()
	for _, user := range w.nautobot.Snapshot().Users {
		w.checkTokens(t, user)
	}
}

func (w *world) checkTokens(t tb, user nautobottest.User) {
	t.Helper()
	for _, token := range w.nautobot.Tokens(user.Username) {
		owner, marked := strings.CutPrefix(token.Description, "nautobot-token: ")
		if marked && owner != user.LastName && !user.Inactive && token.Expires.IsZero() {
			t.Errorf("account %q belongs to %q, and a token of %q opens it", user.Username, user.LastName, owner)
		}
	}
}

func contains(list []string, text string) bool {
	for _, one := range list {
		if one == text {
			return true
		}
	}
	return false
}

// scenarios are what a run may have to do. prepare brings the world to the point
// where the run begins.
var scenarios = map[string]func(t tb, w *world){
	"create": func(tb, *world) {},
	"create where the group is there": func(_ tb, w *world) {
		w.nautobot.AddGroup(provision.DefaultManagedGroup)
	},
	"rotate the token": func(t tb, w *world) {
		w.mustRun(t)
		w.set("token", key("second"))
	},
	"rotate the token, end the old one at once": func(t tb, w *world) {
		w.mustRun(t)
		w.set("token", key("second"))
		w.grace = 0
	},
	"rotate the password": func(t tb, w *world) {
		w.mustRun(t)
		w.set("password", "second password")
	},
	"rotate both": func(t tb, w *world) {
		w.mustRun(t)
		w.set("password", "second password")
		w.set("token", key("second"))
	},
	"create without a password": func(_ tb, w *world) { w.set("password", "") },
	"rotate the token without a password": func(t tb, w *world) {
		w.set("password", "")
		w.mustRun(t)
		w.set("token", key("second"))
	},
	"repair a token without a password": func(t tb, w *world) {
		w.set("password", "")
		w.mustRun(t)
		w.nautobot.UpdateToken(w.secret["token"], func(t *nautobottest.Token) { t.Expires, t.ReadOnly = w.now, true })
	},
	"adopt": func(_ tb, w *world) {
		w.rule.Adopt = true
		w.nautobot.AddUser(nautobottest.User{Username: username, Password: "by hand", Groups: []string{"people"}})
	},
	"exclusive": func(t tb, w *world) {
		w.mustRun(t)
		w.rule.Exclusive = true
		w.nautobot.AddToken(username, nautobottest.Token{Key: key("by-hand"), Description: "by hand"})
	},
	"repair everything": func(t tb, w *world) {
		w.mustRun(t)
		w.nautobot.UpdateToken(w.secret["token"], func(t *nautobottest.Token) {
			t.Expires, t.ReadOnly, t.Description = w.now, true, ""
		})
		w.nautobot.UpdateUser(username, func(u *nautobottest.User) {
			u.Password, u.Groups, u.Staff, u.Superuser = "drift", nil, true, true
		})
		w.nautobot.DeletePermission(provision.DefaultManagedGroup)
	},
	"another account": func(t tb, w *world) {
		w.mustRun(t)
		w.set("username", "rxdb-lab-nova")
		w.set("token", key("second"))
	},
	"the account from before": thereAndBack,
	"the account from before, without a password": func(t tb, w *world) {
		w.set("password", "")
		thereAndBack(t, w)
	},
	"adopt without a password": func(_ tb, w *world) {
		w.set("password", "")
		w.rule.Adopt = true
		w.nautobot.AddUser(nautobottest.User{Username: username, Password: "by hand"})
	},
	"adopt what another Secret gave up": func(t tb, w *world) {
		w.mustRunFor(t, other(username))
		w.mustRunFor(t, other("rxdb-lab-nova"))
		w.rule.Adopt = true
	},
	"move from another owner": func(t tb, w *world) {
		w.cluster = ""
		w.mustRun(t)
		w.cluster = "lab"
		w.rule.AdoptFrom = []string{"openstack/*"}
		w.set("token", key("second"))
	},
}

// thereAndBack has the Secret name another account, and then the first again.
func thereAndBack(t tb, w *world) {
	w.mustRun(t)
	w.set("username", "rxdb-lab-nova")
	w.set("token", key("second"))
	w.mustRun(t)
	w.set("username", username)
	w.set("token", key("third"))
}
