//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// What follows asks Nautobot itself, past the proxy and past the program.

func (f *fixture) superuser() servers.Login { return f.nautobot.Admin() }

// ask sends a request and returns status and body.
func (f *fixture) ask(t *testing.T, who servers.Login, method, path string, body any) (int, []byte) {
	t.Helper()
	status, answer, err := f.nautobot.Ask(t.Context(), who, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

// must is ask for what has to succeed; into may be nil.
func (f *fixture) must(t *testing.T, who servers.Login, method, path string, body, into any) {
	t.Helper()
	status, answer := f.ask(t, who, method, path, body)
	if status >= 300 {
		t.Fatalf("%s %s: %d: %s", method, path, status, f.redact(string(answer)))
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// user returns the account of that name; nil if there is none.
func (f *fixture) user(t *testing.T) *servers.NautobotUser {
	t.Helper()
	user, err := f.nautobot.User(t.Context(), f.username)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// tokens returns all tokens of the account, by its own token.
func (f *fixture) tokens(t *testing.T) []servers.NautobotToken {
	t.Helper()
	tokens, err := f.nautobot.Tokens(t.Context(), servers.ByToken(f.token))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// ownToken is the one of the Secret.
func (f *fixture) ownToken(t *testing.T) servers.NautobotToken {
	t.Helper()
	tokens := f.tokens(t)
	i := slices.IndexFunc(tokens, func(s servers.NautobotToken) bool { return s.Key == f.token })
	if i < 0 {
		t.Fatalf("the account does not have the token of the Secret, but %d others", len(tokens))
	}
	return tokens[i]
}

// tokenAnswer is what Nautobot says to somebody with that token: the status,
// and the reason of a refusal.
func (f *fixture) tokenAnswer(t *testing.T, token string) (int, string) {
	t.Helper()
	status, body := f.ask(t, servers.ByToken(token), http.MethodGet, "config/", nil)
	return status, detail(body)
}

func detail(body []byte) string {
	var says struct{ Detail string }
	_ = json.Unmarshal(body, &says) // other bodies have no reason
	return says.Detail
}

// wantToken checks what Nautobot answers to somebody with that token.
func (f *fixture) wantToken(t *testing.T, what, token string, status int, reason string) {
	t.Helper()
	if s, r := f.tokenAnswer(t, token); s != status || r != reason {
		t.Errorf("%s: Nautobot answers %d %q, want %d %q", what, s, r, status, reason)
	}
}

// wantPassword checks whether a password opens the account.
func (f *fixture) wantPassword(t *testing.T, what, password string, status int) {
	t.Helper()
	if s, body := f.ask(t, servers.ByPassword(f.username, password), http.MethodGet, "tokens/?limit=1", nil); s != status {
		t.Errorf("%s: Nautobot answers %d %q, want %d", what, s, detail(body), status)
	}
}

// wantAccount checks that everything works as the Secret says, and that the
// account is nothing but what it should be: in the managed group, and in those
// that are given.
func (f *fixture) wantAccount(t *testing.T, groups ...string) {
	t.Helper()
	f.wantToken(t, "the Secret's token", f.token, http.StatusOK, "")
	f.wantPassword(t, "the Secret's password", f.password, http.StatusOK)
	user := f.user(t)
	if user == nil {
		t.Fatal("the account is not there")
	}
	if user.Username != f.username || user.Superuser || user.Staff || !user.Active {
		t.Errorf("account %q: superuser %t, staff %t, active %t", user.Username, user.Superuser, user.Staff, user.Active)
	}
	if got, want := user.GroupNames(), slices.Sorted(slices.Values(append(groups, managed))); !slices.Equal(got, want) {
		t.Errorf("the account's groups: %v, want %v", got, want)
	}
	mark := f.mark()
	if user.FirstName != "Service account" || user.LastName != mark {
		t.Errorf("the account's names: %q %q, want Service account, %s", user.FirstName, user.LastName, mark)
	}
	token := f.ownToken(t)
	if token.Expires != nil || !token.Writable || token.Description != "nautobot-token: "+mark {
		t.Errorf("the token: expires %v, writable %t, description %q", token.Expires, token.Writable, token.Description)
	}
}

// mark is what an account and a token of the Secret bear.
func (f *fixture) mark() string {
	mark := f.namespace + "/" + f.name
	if name := f.env["CLUSTER_NAME"]; name != "" {
		mark = name + "/" + mark
	}
	return mark
}

const managed = "nautobot-token-managed"

// snapshot is everything in Nautobot that the program could write.
func (f *fixture) snapshot(t *testing.T) string {
	t.Helper()
	text, err := f.nautobot.Snapshot(t.Context())
	if err != nil {
		t.Fatal(f.redact(err.Error()))
	}
	return text
}
