package nautobot

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const (
	maxReason = 500  // bytes that are shown
	maxText   = 4096 // bytes that are examined: room for a long, escaped secret after maxReason
	redacted  = "[redacted]"
	partOfKey = 6 // characters: as many as Nautobot shows of a key
)

// secret must not show in any form; of a token, not even a part may show.
type secret struct {
	provision.Sensitive
	token bool
}

// clean makes a text from an answer fit for a log line. A text that holds a
// secret in any form is dropped as a whole: "This password is too short" with the
// password "short" cut out would give it away.
func clean(text string, secrets []secret) string {
	text = text[:min(len(text), maxText)] // what is cut off is not shown either
	for _, form := range decodings(text) {
		if slices.ContainsFunc(secrets, func(s secret) bool { return s.showsIn(form) }) {
			return redacted
		}
	}
	text = strings.Map(func(r rune) rune {
		// Characters that break a line, or reverse its direction.
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

// showsIn reports whether a text holds the secret as it is or in base64, or a part
// of a token that is as long as the part Nautobot shows.
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

// baseAlphabet turns one of the two alphabets of base64 into the other, and drops
// white space.
var baseAlphabet = strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "", " ", "")

// inBase64 returns what the base64 of every text that contains the secret
// contains: one form for each position at which the secret can begin in a group.
func inBase64(secret string) []string {
	var forms []string
	for before := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + secret))
		from, to := (before*8+5)/6, (before+len(secret))*8/6
		if to-from >= 4 { // shorter ones would match ordinary words
			forms = append(forms, text[from:to])
		}
	}
	return forms
}

// decodings returns the text, and the text with its escapes undone: those of
// URLs, JSON and HTML, up to three levels deep.
func decodings(text string) []string {
	all := []string{text}
	for range 3 {
		for _, known := range slices.Clone(all) {
			for _, decode := range []func(string) string{fromURL, fromForm, fromJSON, fromHTML} {
				if decoded := decode(known); !slices.Contains(all, decoded) {
					all = append(all, decoded)
				}
			}
		}
	}
	return all
}

// Compiled when they are first needed: most runs do not need them.
var (
	inURL  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`%[0-9a-fA-F]{2}`) })
	inJSON = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:\\u[0-9a-fA-F]{4})+|\\x[0-9a-fA-F]{2}|\\.`)
	})
	inHTML = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos);?`)
	})
)

// htmlNames are the characters that HTML has to escape. The standard library
// knows two thousand more, which no server uses for the characters of a secret.
var htmlNames = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

func fromHTML(text string) string {
	return inHTML().ReplaceAllStringFunc(text, func(escape string) string {
		name := strings.TrimSuffix(escape[1:], ";")
		if character, ok := htmlNames[name]; ok {
			return character
		}
		digits, base := name[1:], 10
		if digits[0] == 'x' || digits[0] == 'X' {
			digits, base = digits[1:], 16
		}
		code, _ := strconv.ParseUint(digits, base, 32)
		return string(rune(code)) //nolint:gosec // G115: at most 7 digits
	})
}

func fromURL(text string) string {
	return inURL().ReplaceAllStringFunc(text, func(escape string) string {
		code, _ := strconv.ParseUint(escape[1:], 16, 8)
		return string([]byte{byte(code)})
	})
}

// fromForm is fromURL with spaces written as plus signs.
func fromForm(text string) string { return fromURL(strings.ReplaceAll(text, "+", " ")) }

func fromJSON(text string) string {
	return inJSON().ReplaceAllStringFunc(text, func(escape string) string {
		if hex, ok := strings.CutPrefix(escape, `\x`); ok && hex != "" {
			code, _ := strconv.ParseUint(hex, 16, 8)
			return string([]byte{byte(code)})
		}
		if len(escape) == 2 {
			return escape[1:] // not right for line breaks and the like, but no secret has any
		}
		var units []uint16 // two of them make an emoji
		for code := range strings.SplitSeq(escape[2:], `\u`) {
			unit, _ := strconv.ParseUint(code, 16, 16)
			units = append(units, uint16(unit))
		}
		return string(utf16.Decode(units))
	})
}
