package nautobot

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// forms are what a server can make of a secret that it was sent.
var forms = map[string]func(string) string{
	"as it is":                func(s string) string { return s },
	"in capitals":             strings.ToUpper,
	"for a query":             url.QueryEscape,
	"for a path":              url.PathEscape,
	"for a query, twice":      func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"every byte for a URL":    func(s string) string { return each([]byte(s), "%%%02x") },
	"for HTML":                html.EscapeString,
	"as decimal entities":     func(s string) string { return each([]rune(s), "&#%d;") },
	"as hexadecimal entities": func(s string) string { return each([]rune(s), "&#X%x;") },
	"for HTML, then a URL":    func(s string) string { return url.QueryEscape(html.EscapeString(s)) },
	"as JSON":                 func(s string) string { text, _ := json.Marshal(s); return string(text) },
	"as JSON, all escaped":    func(s string) string { return each(utf16.Encode([]rune(s)), `\u%04x`) },
	"as Python shows bytes":   func(s string) string { return each([]byte(s), `\x%02x`) },
	"in base64":               func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"in base64 for URLs":      func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"in base64, one before":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte("x" + s + "y")) },
	"in base64, two before":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte("xy" + s + "yz")) },
	"as Basic credentials":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(account + ":" + s)) },
	"base64 for a URL":        func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) },
	"base64 on two lines": func(s string) string {
		text := base64.StdEncoding.EncodeToString([]byte(s))
		return text[:len(text)/2] + "\r\n" + text[len(text)/2:]
	},
}

// secretsOf are the secrets of a request that sends these.
func secretsOf(texts ...string) []secret {
	var sent []provision.Sensitive
	for _, text := range texts {
		sent = append(sent, provision.Hide(text))
	}
	return (&Client{}).secrets(call{secrets: sent})
}

func each[T any](items []T, format string) string {
	var text strings.Builder
	for _, item := range items {
		fmt.Fprintf(&text, format, item)
	}
	return text.String()
}

func TestASecretInAnyFormDropsTheText(t *testing.T) {
	secrets := map[string]string{
		"token": key, "password": password, "password with every kind of sign": "ä<&>\"'/\\ %+=?😀 canary",
	}
	for kind, secret := range secrets {
		for name, form := range forms {
			text := "the header was " + form(secret) + " as it came"
			if got := clean(text, secretsOf("something-else", secret)); got != redacted {
				t.Errorf("%s %s: it is kept, in %d characters", kind, name, len(got))
			}
		}
	}
	// Nautobot's own setup creates shorter ones for the superuser.
	short := &Client{token: provision.Hide("short-canary-9c1e")}
	if got := clean(`token "y-9c1e (admin)" exists`, short.secrets(call{})); got != redacted {
		t.Error("the end of the superuser token is kept")
	}
	if got := clean(`token "`+key[len(key)-6:]+` (svc)" exists`, secretsOf(key)); got != redacted {
		t.Error("the end of a token, which Nautobot shows as its name, is kept")
	}
}

// What is left of a text without the password would give it away.
func TestAWordOfNautobotAsPasswordIsNotToldByWhatIsLeft(t *testing.T) {
	const said = "This password is too short. It must contain at least 12 characters."
	for _, word := range []string{"short", "password", "This password is too short.", "12", "a"} {
		if got := clean(said, secretsOf(word)); got != redacted {
			t.Errorf("password %q: clean = %q, want nothing of it", word, got)
		}
	}
}

func TestTextsWithoutASecretAreKept(t *testing.T) {
	secrets := secretsOf(key, password, "")
	for _, text := range []string{
		"A user with that username already exists.",
		"Related object not found using the provided attributes: {'name': 'a&amp;b %41 +1'}",
		"Dieser Benutzername ist bereits vergeben. 😀",
	} {
		if got := clean(text, secrets); got != text {
			t.Errorf("clean = %q, want %q", got, text)
		}
	}
}

// A secret right after what is shown, and one across its end.
func TestASecretWhereTheTextIsCut(t *testing.T) {
	for _, before := range []int{maxReason - 20, maxReason} {
		if got := clean(strings.Repeat("x", before)+" "+key, secretsOf(key)); got != redacted {
			t.Errorf("a secret after %d characters: %d characters are shown", before, len(got))
		}
	}
}
