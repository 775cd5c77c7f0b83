package nautobot

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// seed adds answers from real Nautobots to the corpus of a fuzz test.
func seed(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "answers", pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds like %s, error %v", pattern, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range []string{"", "null", "[]", "{}", "5", `{"count":1,"results":[null]}`, `{"count":1,"results":[{}]}`, `{"COUNT":0,"Results":[]}`, `{"count":-1,"results":[],"count":1}`} {
		f.Add(text)
	}
}

// decoded reads a text as an answer. What cannot be read has one text that
// quotes nothing.
func decoded[T any](t *testing.T, text string) (T, bool) {
	t.Helper()
	var value T
	err := decode(&http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(text))}, &value)
	if err != nil && !errors.Is(err, errShape) && !errors.Is(err, errKeysHidden) {
		t.Fatalf("error is %v, want %v or %v", err, errShape, errKeysHidden)
	}
	return value, err == nil
}

func FuzzDecodeUsers(f *testing.F) {
	seed(f, "user-*.json")
	f.Fuzz(func(t *testing.T, text string) {
		found, ok := decoded[page[user]](t, text)
		if !ok {
			return
		}
		if !strings.Contains(text, "{") {
			t.Errorf("%q was taken for a page", text)
		}
		for _, u := range found.Results {
			if known := toUser(u); known.ID == "" || known.Username == "" {
				t.Errorf("user %+v lacks what every user has", known)
			}
		}
	})
}

func FuzzDecodeTokens(f *testing.F) {
	seed(f, "token-*.json")
	f.Fuzz(func(t *testing.T, text string) {
		found, ok := decoded[page[token]](t, text)
		if !ok {
			return
		}
		for _, one := range found.Results {
			known := toToken(one)
			if known.ID == "" || known.Key.Empty() {
				t.Error("a token lacks what every token has")
			}
			if known.Username != "" && !strings.HasSuffix(one.Display, " ("+known.Username+")") {
				t.Errorf("owner of %q is %q", one.Display, known.Username)
			}
		}
	})
}

func FuzzDecodePermissions(f *testing.F) {
	seed(f, "permission-*.json")
	f.Fuzz(func(t *testing.T, text string) {
		found, _ := decoded[page[permission]](t, text)
		for _, p := range found.Results {
			for _, g := range toGroups(p.Groups) {
				if g.Name == "" && g.ID == 0 {
					continue // refers to nothing, and does so without a panic
				}
				toReferences([]provision.Group{g})
			}
		}
	})
}

func FuzzDecodeGroups(f *testing.F) {
	seed(f, "group-*.json")
	f.Fuzz(func(t *testing.T, text string) {
		found, ok := decoded[page[group]](t, text)
		if !ok {
			return
		}
		for _, g := range toGroups(found.Results) {
			if g.ID == 0 || g.Name == "" {
				t.Errorf("group %+v lacks what every group has", g)
			}
		}
	})
}

// What Nautobot says may be anything: it becomes one short line without the
// secrets of the request.
func FuzzErrorTexts(f *testing.F) {
	f.Add(403, `{"detail":"Invalid token"}`)
	f.Add(400, `{"key":["`+key+` is taken","and again `+key+`"],"`+password+`":["x"]}`)
	f.Add(400, `{"non_field_errors":["This password is too short.","\u0000\u001b[31m\u2028"]}`)
	f.Add(400, `[{"expires":["Datetime has wrong format."]}]`)
	f.Add(500, `{"error":"Key (key)=(`+key+`) already exists.","exception":"IntegrityError"}`)
	f.Add(404, `<html>`+password)
	f.Add(200, `{"id":`)
	f.Add(307, ``)
	f.Add(400, `{"a":["`+strings.Repeat("ü", 600)+`"]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 100 || status > 999 {
			return // net/http lets none of these through
		}
		client := newClient(t, "http://127.0.0.1:1", "canary-superuser")
		call := as(byPassword, "create token").writing(provision.Hide(key))
		resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {body}}, Body: http.NoBody}
		for _, failed := range []*Error{
			client.classify(call, withBody(resp, body), nil),
			client.classify(call, nil, errors.New(body)),
			client.unreadable(call, withBody(resp, ""), errShape),
		} {
			if failed == nil {
				continue
			}
			text := failed.Error()
			for _, secret := range []string{password, key, "canary-superuser"} {
				if strings.Contains(text, secret) {
					t.Error("the error shows a secret")
				}
			}
			if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) || len(text) > maxReason+200 {
				t.Errorf("the error is not a short line of text: %q", text)
			}
		}
	})
}

func withBody(resp *http.Response, body string) *http.Response {
	resp.Body = io.NopCloser(strings.NewReader(body))
	return resp
}
