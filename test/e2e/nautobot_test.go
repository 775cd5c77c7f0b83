//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// What follows asks Nautobot itself, past the proxy and past the program.

type userState struct {
	ID        string
	Username  string
	Email     string
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Superuser bool   `json:"is_superuser"`
	Staff     bool   `json:"is_staff"`
	Active    bool   `json:"is_active"`
	Groups    []struct{ Name string }
}

// groups are the names of the groups, sorted.
func (u userState) groups() []string {
	var names []string
	for _, group := range u.Groups {
		names = append(names, group.Name)
	}
	return slices.Sorted(slices.Values(names))
}

type tokenState struct {
	ID          string
	Key         string
	Description string
	Expires     *time.Time
	Writable    bool `json:"write_enabled"`
}

// login is the value of an Authorization header.
type login string

func byToken(token string) login { return login("Token " + token) }

func byPassword(username, password string) login {
	return login("Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
}

func (f *fixture) superuser() login { return byToken(f.nautobot.Token) }

// ask sends a request and returns status and body.
func (f *fixture) ask(t *testing.T, who login, method, path string, body any) (int, []byte) {
	t.Helper()
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if body == nil {
		sent = nil
	}
	req, err := http.NewRequestWithContext(t.Context(), method, f.nautobot.URL+"/api/users/"+path, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", string(who))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// must is ask for what has to succeed; into may be nil.
func (f *fixture) must(t *testing.T, who login, method, path string, body, into any) {
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
func (f *fixture) user(t *testing.T) *userState {
	t.Helper()
	var found struct{ Results []userState }
	f.must(t, f.superuser(), http.MethodGet, "users/?depth=1&exclude_m2m=false&username="+url.QueryEscape(f.username), nil, &found)
	if len(found.Results) == 0 {
		return nil
	}
	return &found.Results[0]
}

// tokens returns all tokens of the account, by its own token.
func (f *fixture) tokens(t *testing.T) []tokenState {
	t.Helper()
	var found struct{ Results []tokenState }
	f.must(t, byToken(f.token), http.MethodGet, "tokens/?limit=1000", nil, &found)
	return found.Results
}

// ownToken is the one of the Secret.
func (f *fixture) ownToken(t *testing.T) tokenState {
	t.Helper()
	tokens := f.tokens(t)
	i := slices.IndexFunc(tokens, func(s tokenState) bool { return s.Key == f.token })
	if i < 0 {
		t.Fatalf("the account does not have the token of the Secret, but %d others", len(tokens))
	}
	return tokens[i]
}

// tokenAnswer is what Nautobot says to somebody with that token: the status,
// and the reason of a refusal.
func (f *fixture) tokenAnswer(t *testing.T, token string) (int, string) {
	t.Helper()
	status, body := f.ask(t, byToken(token), http.MethodGet, "config/", nil)
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
	if s, body := f.ask(t, byPassword(f.username, password), http.MethodGet, "tokens/?limit=1", nil); s != status {
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
	if got, want := user.groups(), slices.Sorted(slices.Values(append(groups, managed))); !slices.Equal(got, want) {
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

// snapshot is everything in Nautobot that the program could write, with
// hashes in place of secrets. It takes some seconds.
func (f *fixture) snapshot(t *testing.T) string {
	t.Helper()
	text, err := f.nautobot.Python(t.Context(), `
from hashlib import sha256
from django.contrib.auth.models import Group
from nautobot.users.models import ObjectPermission, Token, User
def h(text): return sha256(text.encode()).hexdigest()[:12]
def names(objects): return sorted(o.name for o in objects.all())
for u in User.objects.order_by("username"): print("user", u.pk, u.username, h(u.password), repr(u.first_name), repr(u.last_name), repr(u.email), u.is_active, u.is_superuser, u.is_staff, names(u.groups))
for k in Token.objects.order_by("pk"): print("token", k.pk, k.user.username, h(k.key), repr(k.description), k.expires, k.write_enabled)
for g in Group.objects.order_by("pk"): print("group", g.pk, g.name)
for p in ObjectPermission.objects.order_by("pk"): print("permission", p.pk, p.name, p.enabled, p.actions, p.constraints, names(p.groups))
`)
	if err != nil {
		t.Fatal(f.redact(err.Error()))
	}
	return text
}
