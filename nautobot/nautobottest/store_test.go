package nautobottest_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
)

// TestSnapshot shows that what chance decides is not part of a snapshot, and everything else is.
func TestSnapshot(t *testing.T) {
	fill := func(names ...string) *nautobottest.Server {
		s := start(t, nautobottest.Options{})
		for _, name := range names {
			s.AddUser(nautobottest.User{Username: name, Password: "p", Groups: []string{"g-" + name, "g"}})
			s.AddToken(name, nautobottest.Token{Key: strings.Repeat(name, 40), Expires: time.Unix(2e9, 0)})
		}
		s.AddPermission(nautobottest.Permission{Name: "p", Groups: []string{"g"}, Users: names, Constraints: map[string]any{"user": "$user"}})
		return s
	}
	one, two := fill("a", "b"), fill("b", "a")
	if diff := cmp.Diff(one.Snapshot(), two.Snapshot()); diff != "" {
		t.Errorf("same state made in another order (-one +two):\n%s", diff)
	}
	for name, change := range map[string]func(s *nautobottest.Server){
		"password":   func(s *nautobottest.Server) { s.UpdateUser("a", func(u *nautobottest.User) { u.Password = "" }) },
		"flag":       func(s *nautobottest.Server) { s.UpdateUser("a", func(u *nautobottest.User) { u.Inactive = true }) },
		"membership": func(s *nautobottest.Server) { s.UpdateUser("a", func(u *nautobottest.User) { u.Groups = nil }) },
		"expiry": func(s *nautobottest.Server) {
			s.UpdateToken(strings.Repeat("a", 40), func(k *nautobottest.Token) { k.Expires = time.Time{} })
		},
		"token":            func(s *nautobottest.Server) { s.DeleteToken(strings.Repeat("a", 40)) },
		"second token":     func(s *nautobottest.Server) { s.AddToken("a", nautobottest.Token{}) },
		"group":            func(s *nautobottest.Server) { s.AddGroup("new") },
		"deleted group":    func(s *nautobottest.Server) { s.DeleteGroup("g-a") },
		"permission":       func(s *nautobottest.Server) { s.DeletePermission("p") },
		"user":             func(s *nautobottest.Server) { s.DeleteUser("a") },
		"renamed user":     func(s *nautobottest.Server) { s.UpdateUser("a", func(u *nautobottest.User) { u.Username = "c" }) },
		"another password": func(s *nautobottest.Server) { s.UpdateUser("b", func(u *nautobottest.User) { u.Password = "q" }) },
	} {
		changed := fill("a", "b")
		change(changed)
		if cmp.Equal(one.Snapshot(), changed.Snapshot()) {
			t.Errorf("%s: not seen in the snapshot", name)
		}
	}
}

// TestState shows that what is prepared without HTTP is what HTTP sees.
func TestState(t *testing.T) {
	s := start(t, nautobottest.Options{})
	made := s.AddUser(nautobottest.User{Username: "a", Groups: []string{"g"}})
	key := s.AddToken("a", nautobottest.Token{}).Key
	s.UpdateUser("a", func(u *nautobottest.User) { u.Username, u.Email = "b", "b@example.com" })
	if got, ok := s.User("b"); !ok || got.ID != made.ID || len(got.Groups) != 1 {
		t.Errorf("User: %+v, %v", got, ok)
	}
	if _, ok := s.User("a"); ok {
		t.Error("the old name is still known")
	}
	if got := s.Tokens("b"); len(got) != 1 || got[0].Key != key {
		t.Error("the token did not follow its owner's new name")
	}
	if _, body, err := do(t.Context(), s, "GET", "/api/users/users/?groups=g&exclude_m2m=false", ""); err != nil || !strings.Contains(body, `"email":"b@example.com"`) {
		t.Errorf("not seen over HTTP: %s, error %v", body, err)
	}
	if _, _, err := do(t.Context(), s, "PATCH", "/api/users/users/"+made.ID+"/", `{"groups": [{"name": "g"}, {"name": "g"}]}`); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.User("b"); len(got.Groups) != 1 {
		t.Errorf("groups %v after naming one twice", got.Groups)
	}
	s.DeleteGroup("g")
	s.AddGroup("g")
	if got, _ := s.User("b"); len(got.Groups) != 0 {
		t.Errorf("groups %v although theirs was deleted", got.Groups)
	}
	if len(s.Tokens("nobody")) != 0 {
		t.Error("tokens of nobody")
	}
}

// TestClock shows that the injected clock decides expiry.
func TestClock(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := start(t, nautobottest.Options{Now: func() time.Time { return now }})
	s.UpdateToken(s.Token, func(k *nautobottest.Token) { k.Expires = now.Add(time.Hour) })
	for _, step := range []struct {
		later  time.Duration
		status int
	}{{0, 200}, {59 * time.Minute, 200}, {time.Hour, 403}} {
		before := now
		now = now.Add(step.later)
		if status, _, err := do(t.Context(), s, "GET", "/api/users/config/", ""); status != step.status {
			t.Errorf("after %v: status %d, error %v; want %d", step.later, status, err, step.status)
		}
		now = before
	}
}

// TestOptions shows the settings that the conformance suite, made for default settings, does not reach.
func TestOptions(t *testing.T) {
	s := start(t, nautobottest.Options{MinPasswordLength: 20, PageSize: 2, MaxPageSize: 3})
	const short = `{"non_field_errors":["This password is too short. It must contain at least 20 characters."]}`
	for body, want := range map[string]string{
		`{"username": "a", "password": "short"}`:                    short,
		`{"email": "x", "username": "a", "password": "short"}`:      `{"email":["Enter a valid email address."]}`,
		`{"username": "b", "password": "long enough, this one is"}`: `"username":"b"`,
		`{"username": "c"}`: `"username":"c"`,
	} {
		if _, got, err := do(t.Context(), s, "POST", "/api/users/users/", body); !strings.Contains(got, want) {
			t.Errorf("POST %s: %s, error %v; want %s", body, got, err, want)
		}
	}
	u, _ := s.User("b")
	if status, got, err := do(t.Context(), s, "PATCH", "/api/users/users/"+u.ID+"/", `{"password": "short"}`); status != 400 || got != short {
		t.Errorf("PATCH: status %d with %s, error %v", status, got, err)
	}
	for range 4 {
		s.AddToken(nautobottest.Admin, nautobottest.Token{})
	}
	for query, want := range map[string]int{"": 2, "?limit=0": 3, "?limit=1000": 3, "?limit=1": 1} {
		if _, got, err := do(t.Context(), s, "GET", "/api/users/tokens/"+query, ""); strings.Count(got, `"key"`) != want {
			t.Errorf("page%s: %d tokens, error %v; want %d", query, strings.Count(got, `"key"`), err, want)
		}
	}
}

// TestLanguage shows which texts a German server translates, as LANGUAGE_CODE = "de" was seen to do, and which stay.
func TestLanguage(t *testing.T) {
	s := start(t, nautobottest.Options{Language: "de"})
	s.AddUser(nautobottest.User{Username: "a", Password: "right", Groups: []string{"g"}})
	for _, tc := range []struct{ method, path, authorization, want string }{
		{"GET", "tokens/", "", `{"detail":"Anmeldedaten fehlen."}`},
		{"GET", "tokens/", "Basic " + base64.StdEncoding.EncodeToString([]byte("a:wrong")), `{"detail":"Ungültiger Benutzername/Passwort."}`},
		{"GET", "tokens/", "Basic " + base64.StdEncoding.EncodeToString([]byte("a:right")), `{"detail":"Sie sind nicht berechtigt, diese Aktion durchzuführen."}`},
		{"POST", "users/", "Token " + s.Token, `{"username":["Dieser Benutzername ist bereits vergeben."]}`},
		{"POST", "groups/", "Token " + s.Token, `{"name":["Gruppe mit diesem Wert für das Feld Name existiert bereits."]}`},
		{"GET", "config/", "Token nosuch", `{"detail":"Invalid token"}`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, s.URL+"/api/users/"+tc.path, strings.NewReader(`{"username": "a", "name": "g"}`))
		if err != nil {
			t.Fatal(err)
		}
		if tc.authorization != "" {
			req.Header.Set("Authorization", tc.authorization)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != tc.want {
			t.Errorf("%s %s: %s, %v; want %s", tc.method, tc.path, body, err, tc.want)
		}
	}
}

// TestBlankPassword shows an account whose stored password is empty: PATCH is refused until PUT makes it unusable.
func TestBlankPassword(t *testing.T) {
	s := start(t, nautobottest.Options{})
	path := "/api/users/users/" + s.AddUser(nautobottest.User{Username: "a", BlankPassword: true}).ID + "/"
	if _, got, err := do(t.Context(), s, "PATCH", path, `{}`); got != `{"password":["This field cannot be blank."]}` {
		t.Errorf("PATCH: %s, error %v", got, err)
	}
	if status, _, err := do(t.Context(), s, "PUT", path, `{"username": "a"}`); status != 200 {
		t.Errorf("PUT: status %d, error %v", status, err)
	}
	if status, _, err := do(t.Context(), s, "PATCH", path, `{}`); status != 200 {
		t.Errorf("PATCH after PUT: status %d, error %v", status, err)
	}
}

func TestUnknownVersionPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	nautobottest.New(nautobottest.Options{Version: "1.6"})
}
