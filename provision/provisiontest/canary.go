// Package provisiontest finds secrets in what a test sees.
package provisiontest

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Shows reports whether a text shows a password, a token or a key in any form
// that a program or a server is likely to give it.
func Shows(text, secret string) bool {
	return slices.ContainsFunc(forms(secret), func(form string) bool { return strings.Contains(text, form) })
}

// ShowsToken is Shows for a token, of which Nautobot shows the last six
// characters itself.
func ShowsToken(text, token string) bool {
	return Shows(text, token) || token != "" && strings.Contains(text, token[max(0, len(token)-6):])
}

// forms are all the ways to write a secret. The base64 forms are the part that
// is the same whatever comes before and after the secret, so they find
// user:password too.
func forms(secret string) []string {
	if secret == "" {
		return nil
	}
	all := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret),
		strings.ReplaceAll(strings.ReplaceAll(html.EscapeString(secret), "&#39;", "&#x27;"), "&#34;", "&quot;"), // Django's way
		numbered(secret, "&#%d;"), numbered(secret, "&#x%x;"),
	}
	if quoted, err := json.Marshal(secret); err == nil {
		all = append(all, strings.Trim(string(quoted), `"`))
	}
	all = append(all, strings.Trim(strconv.Quote(secret), `"`))
	for skip := range min(3, len(secret)) {
		part := secret[skip:]
		part = part[:len(part)/3*3]
		if len(part) >= 6 {
			all = append(all, base64.StdEncoding.EncodeToString([]byte(part)), base64.URLEncoding.EncodeToString([]byte(part)))
		}
	}
	return all
}

// numbered writes each character as a numeric HTML entity.
func numbered(secret, format string) string {
	var b strings.Builder
	for _, r := range secret {
		b.WriteString(strings.NewReplacer("%d", strconv.Itoa(int(r)), "%x", strconv.FormatInt(int64(r), 16)).Replace(format))
	}
	return b.String()
}
