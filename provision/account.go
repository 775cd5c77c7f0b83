package provision

import (
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The label of the Secrets to provision.
const (
	labelKey   = "token/type"
	labelValue = "nautobot"

	// Selector is the label selector for these Secrets.
	Selector = labelKey + "=" + labelValue
)

// Secret is a Kubernetes Secret as it was read.
type Secret struct {
	Namespace, Name string
	UID             string
	ResourceVersion string
	Labels          map[string]string
	Data            map[string]Sensitive
}

// Labelled reports whether a Secret has the label.
func (s Secret) Labelled() bool { return s.Labels[labelKey] == labelValue }

// path is NAMESPACE/NAME.
func (s Secret) path() string { return s.Namespace + "/" + s.Name }

// object is what a report calls a Secret.
func (s Secret) object() string { return "secret/" + s.path() }

// Account is what a Secret asks for, checked.
type Account struct {
	Username string
	Password Sensitive // empty: nobody may log in
	Token    Sensitive
	Email    string // empty: not managed
	// Warnings are for people: what was corrected in the Secret's values.
	Warnings []string
}

const (
	tokenLength       = 40  // Nautobot accepts no other
	maxPasswordLength = 128 // characters, Nautobot's limit
	maxUsername       = 150
	minDifferent      = 8 // different characters in a token
)

// usernameRule is what ValidUsername demands of a name, for messages.
const usernameRule = "1 to 150 ASCII letters, digits and @ . + - _, starting and ending with a letter or digit"

// ValidUsername reports whether a name follows the rule for usernames, which is
// stricter than Nautobot's.
func ValidUsername(name string) bool {
	return name != "" && len(name) <= maxUsername && alphanumeric(name[0]) && alphanumeric(name[len(name)-1]) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !inUsername(r) })
}

func inUsername(r rune) bool {
	return r < utf8.RuneSelf && (alphanumeric(byte(r)) || strings.ContainsRune("@.+-_", r)) //nolint:gosec // G115: below 128
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// What template engines render for a value that they did not find: anywhere in
// a text, or as the whole of it.
var (
	noValues     = []string{"<no value>", "<nil>", "%!s(", "%!v(", "%!d("}
	noWholeValue = []string{"null", "nil", "None", "undefined"}
)

// Tokens that are in public documentation.
var knownTokens = []string{
	"0123456789abcdef0123456789abcdef01234567", // Nautobot's development environment
	"d6f4e314a5b5fefd164995169f28ae32d987704f", // pynautobot
	"9fc9b897abec9ada2da6aec9dbc34596293c9cb9", // Nautobot, REST API authentication
}

// ParseAccount is parseAccount, whatever label the Secret has.
func ParseAccount(secret Secret, hosts AllowedHosts) (Account, error) {
	secret.Labels = map[string]string{labelKey: labelValue}
	return parseAccount(secret, hosts)
}

// parseAccount checks a Secret. All its problems come in one *Refusal, each
// naming the key and the rule, never the value. hosts are the names by which
// the Secret may call the Nautobot of this run.
func parseAccount(secret Secret, hosts AllowedHosts) (Account, error) {
	p := parser{secret: secret}
	if !secret.Labelled() {
		p.problem("the label %s: %s is missing", labelKey, labelValue)
	}
	for _, key := range []string{"hostname", "url"} {
		if value, ok := p.optional(key); ok {
			if err := hosts.check(value); err != nil {
				p.problem("key %q: %v", key, err)
			}
		}
	}
	asked := Account{
		Username: p.username(),
		Password: Hide(p.password()),
		Token:    Hide(p.token(p.tokenKey())),
		Email:    p.email(),
	}
	asked.Warnings = p.warnings
	if len(p.problems) > 0 {
		return Account{}, &Refusal{Problems: p.problems}
	}
	return asked, nil
}

// ParseToken checks the token of a Secret, and nothing else in it. The token is
// under the first of the keys that the Secret has. Its problems come in one
// *Refusal.
func ParseToken(secret Secret, keys ...string) (Sensitive, error) {
	p := parser{secret: secret}
	i := slices.IndexFunc(keys, func(key string) bool { _, ok := secret.Data[key]; return ok })
	token := Hide(p.token(keys[max(i, 0)]))
	if len(p.problems) > 0 {
		return Sensitive{}, &Refusal{Problems: p.problems}
	}
	return token, nil
}

// parser collects the problems of one Secret.
type parser struct {
	secret   Secret
	problems []string
	warnings []string
}

func (p *parser) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

// required is like value, for a key that has to be there.
func (p *parser) required(key string) (string, bool) {
	if _, ok := p.secret.Data[key]; !ok {
		p.problem("key %q is missing", key)
		return "", false
	}
	return p.value(key)
}

// optional is like value, for a key that may be missing or empty.
func (p *parser) optional(key string) (string, bool) {
	switch p.secret.Data[key].Reveal() {
	case "", "\n", "\r\n":
		return "", false
	}
	return p.value(key)
}

// value returns a key's text without one trailing newline; false if the key
// is absent or its text breaks a rule that holds for every key.
func (p *parser) value(key string) (string, bool) {
	data, ok := p.secret.Data[key]
	if !ok {
		return "", false
	}
	text := data.Reveal()
	trimmed := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if strings.HasSuffix(text, "\n") {
		p.warnings = append(p.warnings, fmt.Sprintf("key %q ends in a newline, which is dropped", key))
		text = trimmed
	}
	switch {
	case text == "":
		p.problem("key %q is empty", key)
	case madeOfNothing(text):
		p.problem("key %q: the template that rendered it found no value", key)
	case !utf8.ValidString(text):
		p.problem("key %q is not valid UTF-8", key)
	case strings.TrimSpace(text) != text:
		p.problem("key %q starts or ends with white space, which Nautobot drops when it stores the value", key)
	default:
		return text, true
	}
	return "", false
}

func madeOfNothing(text string) bool {
	return slices.Contains(noWholeValue, text) ||
		slices.ContainsFunc(noValues, func(part string) bool { return strings.Contains(text, part) })
}

func (p *parser) username() string {
	text, ok := p.required("username")
	if ok && !ValidUsername(text) {
		p.problem(`key "username": want %s`, usernameRule)
	}
	return text
}

// tokenKey is the key that holds the token: token, or apiToken as in the chart
// nautobot-api-tokens.
func (p *parser) tokenKey() string {
	token, ok := p.secret.Data["token"]
	other, alias := p.secret.Data["apiToken"]
	switch {
	case ok && alias && !token.Equal(other):
		p.problem(`keys "token" and "apiToken" differ: keep one of them`)
	case !ok && alias:
		return "apiToken"
	}
	return "token"
}

func (p *parser) token(key string) string {
	text, ok := p.required(key)
	if !ok {
		return ""
	}
	if n := utf8.RuneCountInString(text); n != tokenLength {
		p.problem("key %q has %d characters, want exactly %d", key, n, tokenLength)
		return ""
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		p.problem("key %q: want visible ASCII characters only, no blanks", key)
		return ""
	}
	if slices.Contains(knownTokens, text) {
		p.problem("key %q is a token from public documentation: generate your own", key)
	}
	different := map[rune]bool{}
	for _, r := range text {
		different[r] = true
	}
	if len(different) < minDifferent {
		p.problem("key %q has fewer than %d different characters: generate a random one", key, minDifferent)
	}
	return text
}

// password is optional: without it the account is for the API only.
func (p *parser) password() string {
	text, ok := p.value("password")
	if !ok {
		return ""
	}
	if n := utf8.RuneCountInString(text); n > maxPasswordLength {
		p.problem(`key "password" has %d characters, want at most %d`, n, maxPasswordLength)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		p.problem(`key "password" contains control characters`)
	}
	return text
}

func (p *parser) email() string {
	text, ok := p.optional("email")
	if !ok {
		return ""
	}
	if address, err := mail.ParseAddress(text); err != nil || address.Address != text || len(text) > 254 {
		p.problem(`key "email" is not an email address`)
	}
	return text
}
