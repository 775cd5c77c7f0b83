package nautobot

import (
	"encoding/base64"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const (
	maxReason = 500  // bytes that show
	maxText   = 4096 // bytes that are looked at: a long secret in any escapes after maxReason
	redacted  = "[redacted]"
	partOfKey = 6 // characters: as many as Nautobot shows of a key
)

// secret is one that must not show in any form; of a token not even a part.
type secret struct {
	provision.Sensitive
	token bool
}

// clean makes a text of an answer fit for a line of a log. A text that holds a
// secret in any form is dropped whole: what is left of "This password is too
// short" without the password "short" tells it.
func clean(text string, secrets []secret) string {
	text = text[:min(len(text), maxText)] // what is cut off does not show either
	for _, form := range decodings(text) {
		if slices.ContainsFunc(secrets, func(s secret) bool { return s.showsIn(form) }) {
			return redacted
		}
	}
	text = strings.Map(func(r rune) rune {
		// Characters that break a line, or turn round what is read of it.
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " "))
	return limit(text)
}

// limit cuts a text that is too long for a line.
func limit(text string) string {
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return text
}

// showsIn tells whether a text holds the secret as it is or in base64, or a
// part of a token as long as Nautobot shows.
func (s secret) showsIn(text string) bool {
	if s.Empty() {
		return false
	}
	folded, lower := strings.ToLower(text), strings.ToLower(s.Reveal())
	if strings.Contains(folded, lower) {
		return true
	}
	for i := 0; s.token && i+partOfKey <= len(lower); i++ {
		if strings.Contains(folded, lower[i:i+partOfKey]) {
			return true
		}
	}
	text = baseAlphabet.Replace(text)
	return slices.ContainsFunc(inBase64(s.Reveal()), func(form string) bool { return strings.Contains(text, form) })
}

// baseAlphabet makes one of the two alphabets of base64, without line breaks.
var baseAlphabet = strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "", " ", "")

// inBase64 are the characters that every text with the secret in it has in
// base64, one for each place at which the secret can begin in a group.
func inBase64(secret string) []string {
	var forms []string
	for before := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + secret))
		from, to := (before*8+5)/6, (before+len(secret))*8/6
		if to-from >= 4 { // shorter ones are in every other word
			forms = append(forms, text[from:to])
		}
	}
	return forms
}

// decodings are the text, and what it says once its escapes are undone: those
// of URLs, JSON and HTML, up to three deep.
func decodings(text string) []string {
	all := []string{text}
	for range 3 {
		for _, known := range slices.Clone(all) {
			for _, decode := range []func(string) string{fromURL, fromForm, fromJSON, html.UnescapeString} {
				if decoded := decode(known); !slices.Contains(all, decoded) {
					all = append(all, decoded)
				}
			}
		}
	}
	return all
}

var (
	inURL  = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
	inJSON = regexp.MustCompile(`(?:\\u[0-9a-fA-F]{4})+|\\x[0-9a-fA-F]{2}|\\.`)
)

func fromURL(text string) string {
	return inURL.ReplaceAllStringFunc(text, func(escape string) string {
		code, _ := strconv.ParseUint(escape[1:], 16, 8)
		return string([]byte{byte(code)})
	})
}

// fromForm is fromURL where blanks are written as plus signs.
func fromForm(text string) string { return fromURL(strings.ReplaceAll(text, "+", " ")) }

func fromJSON(text string) string {
	return inJSON.ReplaceAllStringFunc(text, func(escape string) string {
		if hex, ok := strings.CutPrefix(escape, `\x`); ok && hex != "" {
			code, _ := strconv.ParseUint(hex, 16, 8)
			return string([]byte{byte(code)})
		}
		if len(escape) == 2 {
			return escape[1:] // what it says of line breaks and the like does not matter: no secret has any
		}
		var units []uint16 // two of them make an emoji
		for code := range strings.SplitSeq(escape[2:], `\u`) {
			unit, _ := strconv.ParseUint(code, 16, 16)
			units = append(units, uint16(unit))
		}
		return string(utf16.Decode(units))
	})
}
