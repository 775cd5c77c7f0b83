package nautobot

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// The account of most tests, and its secrets. Every test that talks to a
// server checks at its end that none of them shows.
const (
	account  = "svc-openstack"
	password = "canary-Passw0rd/7f3a-9c1e"
	key      = "canary0key0canary0key0canary0key0canary0"
	otherKey = "canary1key1canary1key1canary1key1canary1"
	managed  = "nautobot-token-managed"
)

var (
	byPassword = provision.Login{Username: account, Password: provision.Hide(password)}
	byToken    = provision.Login{Username: account, Token: provision.Hide(key)}
)

// forever is a pause or a limit that no test reaches.
const forever = time.Hour

// both runs a test against a fake Nautobot of each version.
func both(t *testing.T, test func(*testing.T, *fixture)) {
	t.Helper()
	for _, version := range []string{"2.4", "3.2"} {
		t.Run(version, func(t *testing.T) { test(t, newFixture(t, nautobottest.Options{Version: version})) })
	}
}

// fixture is a fake Nautobot and the production client of its superuser.
type fixture struct {
	*nautobottest.Server
	*Client
}

// newFixture makes a Nautobot with one account that may manage its tokens, and
// checks at the end what requests and logs must never be.
func newFixture(t *testing.T, options nautobottest.Options) *fixture {
	t.Helper()
	server := nautobottest.New(options)
	server.AddPermission(nautobottest.Permission{
		Name: managed, Groups: []string{managed}, ObjectTypes: []string{"users.token"},
		Actions: []string{"view", "add", "change", "delete"}, Constraints: map[string]any{"user": "$user"},
	})
	server.AddUser(nautobottest.User{Username: account, Password: password, Groups: []string{managed}})
	f := &fixture{server, newClient(t, server.URL, server.Token)}
	t.Cleanup(func() {
		server.Close()
		for _, r := range server.Requests() {
			checkRequest(t, r, server.Token)
		}
	})
	return f
}

// checkRequest checks what holds for every request that the client sends.
func checkRequest(t *testing.T, r nautobottest.Request, superuserToken string) {
	t.Helper()
	// Finding out what Nautobot says to somebody without credentials takes a request without them.
	anonymous := r.AuthorizationHeaders == 0 && r.Method == http.MethodGet && r.Path == "/api/users/tokens/" && r.RawQuery == "limit=1"
	if r.AuthorizationHeaders != 1 && !anonymous {
		t.Errorf("%v has %d Authorization headers, want 1", r, r.AuthorizationHeaders)
	}
	if !strings.HasSuffix(r.Path, "/") {
		t.Errorf("%v: the path does not end in a slash", r)
	}
	if r.Header.Get("User-Agent") != "nautobot-token/test" {
		t.Errorf("%v: User-Agent is %q", r, r.Header.Values("User-Agent"))
	}
	if strings.Contains(r.RawQuery, "key") {
		t.Errorf("%v: the query filters by key", r)
	}
	noSecret(t, "the URL of "+r.String(), r.Path+"?"+r.RawQuery, superuserToken)
	for name, values := range r.Header {
		if name != "Authorization" {
			noSecret(t, name+" of "+r.String(), strings.Join(values, " "), superuserToken)
		}
	}
}

// newClient makes the production client, with a log that is checked.
func newClient(t *testing.T, origin, token string) *Client {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	t.Cleanup(func() { noSecret(t, "the log", log.String(), token) })
	client := New(Config{
		URL: u, Token: provision.Hide(token), UserAgent: "nautobot-token/test",
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	client.pause = time.Millisecond
	return client
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// noSecret reports secrets in a text, including the forms that they take on the
// way: quoted for a URL, and as Basic credentials. It does not show the text.
func noSecret(t *testing.T, what, text string, more ...string) {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(account + ":" + password))
	for i, secret := range append([]string{password, key, otherKey, basic}, more...) {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if secret != "" && strings.Contains(text, form) {
				t.Errorf("%s shows secret no. %d", what, i)
				break
			}
		}
	}
	if strings.Contains(text, "canary") {
		t.Errorf("%s shows a part of a secret", what)
	}
}

// stub is a server that answers every request in one way, and a client of it.
func stub(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	return newClient(t, stubServer(t, answer), "canary-superuser")
}

func stubServer(t *testing.T, answer http.HandlerFunc) (origin string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client is gone
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// operation is one method of the client, called with the account's secrets.
type operation struct {
	name  string
	write bool
	call  func(context.Context, *Client) error
}

// operations are all that can send a request.
var operations = []operation{
	{"FindUser", false, func(ctx context.Context, c *Client) error { _, _, err := c.FindUser(ctx, account); return err }},
	{"UsersUnder", false, func(ctx context.Context, c *Client) error {
		for _, err := range c.UsersUnder(ctx, "lab/ns/") {
			if err != nil {
				return err
			}
		}
		return nil
	}},
	{"DeleteUser", true, func(ctx context.Context, c *Client) error { return c.DeleteUser(ctx, someID) }},
	{"OwnedUsers", false, func(ctx context.Context, c *Client) error { _, err := c.OwnedUsers(ctx, "ns/name"); return err }},
	{"Authenticate by password", false, func(ctx context.Context, c *Client) error { return c.Authenticate(ctx, byPassword) }},
	{"Authenticate by token", false, func(ctx context.Context, c *Client) error { return c.Authenticate(ctx, byToken) }},
	{"Tokens", false, func(ctx context.Context, c *Client) error { _, err := c.Tokens(ctx, byPassword); return err }},
	{"GroupExists", false, func(ctx context.Context, c *Client) error { _, err := c.GroupExists(ctx, managed); return err }},
	{"Permission", false, func(ctx context.Context, c *Client) error { _, err := c.Permission(ctx, managed); return err }},
	{"CreateUser", true, func(ctx context.Context, c *Client) error {
		_, err := c.CreateUser(ctx, provision.UserFields{Username: account, Password: provision.Hide(password)})
		return err
	}},
	{"UpdateUser", true, func(ctx context.Context, c *Client) error {
		_, err := c.UpdateUser(ctx, someID, provision.UserFields{Password: provision.Hide(password)})
		return err
	}},
	{"ClearPassword", true, func(ctx context.Context, c *Client) error {
		_, err := c.ClearPassword(ctx, someID, account, "Service account")
		return err
	}},
	{"CreateToken", true, func(ctx context.Context, c *Client) error {
		_, err := c.CreateToken(ctx, byPassword, provision.TokenFields{Key: provision.Hide(key)})
		return err
	}},
	{"UpdateToken", true, func(ctx context.Context, c *Client) error {
		return c.UpdateToken(ctx, byPassword, someID, provision.TokenFields{NeverExpire: true})
	}},
	{"ExpireTokens", true, func(ctx context.Context, c *Client) error {
		return c.ExpireTokens(ctx, byToken, []string{someID}, time.Now())
	}},
	{"DeleteTokens", true, func(ctx context.Context, c *Client) error {
		return c.DeleteTokens(ctx, byToken, []string{someID})
	}},
	{"CreateGroup", true, func(ctx context.Context, c *Client) error { return c.CreateGroup(ctx, managed) }},
	{"SavePermission, new", true, func(ctx context.Context, c *Client) error {
		return c.SavePermission(ctx, provision.Permission{Name: managed})
	}},
	{"SavePermission, known", true, func(ctx context.Context, c *Client) error {
		return c.SavePermission(ctx, provision.Permission{ID: someID, Name: managed})
	}},
}

const someID = "8b193311-ae10-4c51-b191-b0a8c382bcb0"
