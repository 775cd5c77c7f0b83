// Package leaks knows the ways in which a secret can be in a text.
package leaks

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// Forms are the texts that give a secret away, by their names.
func Forms(secret string) map[string]string {
	inJSON, _ := json.Marshal(secret) // of a string: cannot fail
	forms := map[string]string{"as it is": secret}
	for name, text := range map[string]string{
		"in JSON":        strings.Trim(string(inJSON), `"`),
		"URL-escaped":    url.QueryEscape(secret),
		"path-escaped":   url.PathEscape(secret),
		"quoted":         strings.Trim(fmt.Sprintf("%q", secret), `"`),
		"in hexadecimal": fmt.Sprintf("%x", secret),
	} {
		if text != secret {
			forms[name] = text
		}
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64url": base64.URLEncoding} {
		// What is in the encoding of any text that holds the secret, such as a
		// login, depends on where in the text it begins.
		for before := range 3 {
			encoded := encoding.EncodeToString([]byte(strings.Repeat("x", before) + secret))
			forms[fmt.Sprintf("%s after %d", name, before)] = encoded[(before*4+2)/3 : len(encoded)-4]
		}
	}
	return forms
}
