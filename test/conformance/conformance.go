// Package conformance asks a Nautobot server the questions whose answers this project relies on: who may call, who may
// see and change what, what is refused and in which words. It runs against the fake of package nautobottest and against
// real servers, which keeps the fake true.
package conformance

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Target is the server to ask.
type Target struct {
	URL     string // origin
	Token   string // API token of a superuser
	Version string // "2.4" or "3.2"
}

// Run asks everything. Each subtest makes its own objects, named "conformance-...", and removes them.
func Run(t *testing.T, target Target) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*suite)
	}{
		{"authentication", authenticationTests},
		{"tokens", tokenTests},
		{"users", userTests},
		{"access", accessTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, name := range slices.Sorted(maps.Keys(group.tests)) {
				t.Run(name, func(t *testing.T) { group.tests[name](&suite{T: t, Target: target}) })
			}
		})
	}
}

// A suite is one subtest at work.
type suite struct {
	*testing.T
	Target
}

// object is a JSON object.
type object = map[string]any

// Paths that most subtests use.
const (
	users       = "/api/users/users/"
	tokens      = "/api/users/tokens/"
	groups      = "/api/users/groups/"
	permissions = "/api/users/permissions/"
	config      = "/api/users/config/"
)

// An account is a user that a subtest made.
type account struct {
	id, name, password string
}

func (a account) path() string  { return users + a.id + "/" }
func (a account) basic() string { return basic(a.name, a.password) }

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func token(key string) string { return "Token " + key }

func (s *suite) superuser() string { return token(s.Target.Token) }

// An answer is what the server said. Nothing here prints more of it than statuses, field names and refusals: bodies hold
// keys.
type answer struct {
	*suite
	what    string
	status  int
	header  http.Header
	body    string
	decoded any
}

// do sends one request; authorization is the header's value, none if empty. A body is sent as JSON, text as it is.
func (s *suite) do(method, path, authorization string, body any) answer {
	s.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			s.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(s.Context(), method, s.URL+path, content)
	if err != nil {
		s.Fatal("cannot make the request") // the error would show the query
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	short, _, _ := strings.Cut(path, "?")
	a := answer{suite: s, what: method + " " + short}
	resp, err := client.Do(req)
	if err != nil {
		s.Fatalf("%s: no answer", a.what)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatalf("%s: %v", a.what, err)
	}
	a.status, a.header, a.body = resp.StatusCode, resp.Header, string(text)
	_ = json.Unmarshal(text, &a.decoded)
	return a
}

// client follows no redirects and, like the program, keeps no connections: Nautobot's own server hangs up silently.
var client = &http.Client{
	Timeout:       30 * time.Second,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// is ends the subtest if the status is another.
func (a answer) is(status int) answer {
	a.Helper()
	if a.status != status {
		a.Fatalf("%s: status %d, want %d; refusal: %s", a.what, a.status, status, a.refusal())
	}
	return a
}

// refusal is the part of an error's body that can be shown.
func (a answer) refusal() string {
	if a.status < 400 || a.status >= 500 || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		return "none"
	}
	return a.body
}

// object is the decoded body of a good answer.
func (a answer) object(status int) object {
	a.Helper()
	o, ok := a.is(status).decoded.(object)
	if !ok {
		a.Fatalf("%s: body is not an object", a.what)
	}
	return o
}

// array is the decoded body of a good answer to a list of objects.
func (a answer) array(status int) []object {
	a.Helper()
	items, ok := a.is(status).decoded.([]any)
	if !ok {
		a.Fatalf("%s: body is not a list", a.what)
	}
	return objects(items)
}

// page is the results of a list page and the count of all.
func (a answer) page() ([]object, int) {
	a.Helper()
	o := a.object(http.StatusOK)
	items, ok := o["results"].([]any)
	count, isNumber := o["count"].(float64)
	if !ok || !isNumber {
		a.Fatalf("%s: body is not a page", a.what)
	}
	return objects(items), int(count)
}

// count checks how many objects a list has in all.
func (a answer) count(want int) {
	a.Helper()
	if _, got := a.page(); got != want {
		a.Errorf("%s: count %d, want %d", a.what, got, want)
	}
}

func objects(items []any) []object {
	var all []object
	for _, item := range items {
		o, _ := item.(object)
		all = append(all, o)
	}
	return all
}

// detail checks a refusal in one text.
func (a answer) detail(status int, want string) {
	a.Helper()
	if got := a.is(status).decoded; !cmp.Equal(got, object{"detail": want}) {
		a.Errorf("%s: status %d with %s, want detail %q", a.what, status, a.refusal(), want)
	}
}

// refuses checks a 400 with one text for each of the fields given in pairs.
func (a answer) refuses(fieldsAndTexts ...string) {
	a.Helper()
	want := object{}
	for i := 0; i < len(fieldsAndTexts); i += 2 {
		texts, _ := want[fieldsAndTexts[i]].([]any)
		want[fieldsAndTexts[i]] = append(texts, fieldsAndTexts[i+1])
	}
	if got := a.is(http.StatusBadRequest).decoded; !cmp.Equal(got, any(want)) {
		a.Errorf("%s: refusal %s, want %v", a.what, a.body, want)
	}
}

// loses checks the answer to the loser of a race for a value: a crash of the database, which quotes the value. In a list
// all objects are checked and then all are made, which makes two of one a race.
func (a answer) loses(constraint, column, value string) {
	a.Helper()
	o := a.object(http.StatusInternalServerError)
	want := "duplicate key value violates unique constraint \"" + constraint + "\"\nDETAIL:  Key (" + column + ")=(" + value + ") already exists.\n"
	if o["exception"] != "IntegrityError" || o["error"] != want {
		a.Errorf("%s: not the crash of a lost race: %v", a.what, o["exception"])
	}
}

// want checks fields of an object, where nil is a field that is null or not there. The field key is compared but not shown.
func (s *suite) want(what string, got object, want object) {
	s.Helper()
	for _, field := range slices.Sorted(maps.Keys(want)) {
		if cmp.Equal(got[field], want[field]) {
			continue
		}
		if field == "key" || field == "display" {
			s.Errorf("%s: %s differs", what, field)
		} else {
			s.Errorf("%s: %s is %v, want %v", what, field, got[field], want[field])
		}
	}
}

// newName makes a name that nothing else has.
func newName() string { return "conformance-" + random(6) }

func newKey() string { return random(20) }

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// remove deletes an object when the subtest is over.
func (s *suite) remove(path string) {
	s.Cleanup(func() {
		req, err := http.NewRequest(http.MethodDelete, s.URL+path, nil)
		if err != nil {
			return
		}
		req.Header.Set("Authorization", s.superuser())
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	})
}

// newUser makes an account; fields may override its username and password, with nil leave them out, and add to them.
func (s *suite) newUser(fields object) account {
	s.Helper()
	body := object{"username": newName(), "password": "pw-" + random(6)}
	maps.Copy(body, fields)
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	o := s.do("POST", users, s.superuser(), body).object(http.StatusCreated)
	a := account{id: fmt.Sprint(o["id"]), name: fmt.Sprint(o["username"]), password: fmt.Sprint(body["password"])}
	s.remove(a.path())
	return a
}

// one is the only object of a list page.
func (a answer) one() object {
	a.Helper()
	list, _ := a.page()
	if len(list) != 1 {
		a.Fatalf("%s: %d objects, want one", a.what, len(list))
	}
	return list[0]
}

// newGroup makes a group and returns its name and id.
func (s *suite) newGroup() (string, float64) {
	s.Helper()
	o := s.do("POST", groups, s.superuser(), object{"name": newName()}).object(http.StatusCreated)
	id, _ := o["id"].(float64)
	s.remove(fmt.Sprintf("%s%.0f/", groups, id))
	return fmt.Sprint(o["name"]), id
}

// permit makes a permission on own tokens; fields may override everything. It returns its path.
func (s *suite) permit(fields object) string {
	s.Helper()
	body := object{
		"name": newName(), "object_types": []string{"users.token"},
		"actions": []string{"view", "add", "change", "delete"}, "constraints": object{"user": "$user"},
	}
	maps.Copy(body, fields)
	o := s.do("POST", permissions, s.superuser(), body).object(http.StatusCreated)
	path := permissions + fmt.Sprint(o["id"]) + "/"
	s.remove(path)
	return path
}

// newMember makes an account that may manage its own tokens through a group.
func (s *suite) newMember() account {
	s.Helper()
	group, _ := s.newGroup()
	s.permit(object{"groups": []object{{"name": group}}})
	return s.newUser(object{"groups": []object{{"name": group}}})
}

// newToken makes a token of an account over Basic and returns it as the server shows it.
func (s *suite) newToken(a account, fields object) object {
	s.Helper()
	body := object{"key": newKey()}
	maps.Copy(body, fields)
	return s.do("POST", tokens, a.basic(), body).object(http.StatusCreated)
}

// keyOf and pathOf are what a token is used and found by.
func keyOf(t object) string  { return token(fmt.Sprint(t["key"])) }
func pathOf(t object) string { return tokens + fmt.Sprint(t["id"]) + "/" }

const (
	noCredentials = "Authentication credentials were not provided."
	noPermission  = "You do not have permission to perform this action."
	badPassword   = "Invalid username/password."
	noToken       = "No Token matches the given query."
	noUser        = "No User matches the given query."
	userTaken     = "A user with that username already exists."
	keyTaken      = "Token with this Key already exists."
)
