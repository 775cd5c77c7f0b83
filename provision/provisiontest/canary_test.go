package provisiontest

import (
	"encoding/base64"
	"fmt"
	"html"
	"net/url"
	"testing"
)

func TestShows(t *testing.T) {
	const secret = `pa/ss"wo&rd'+<7>`
	for name, text := range map[string]string{
		"as it is":                   "Error: " + secret + " is wrong",
		"in a query":                 "GET /?q=" + url.QueryEscape(secret),
		"in a path":                  "GET /" + url.PathEscape(secret),
		"in JSON":                    fmt.Sprintf(`{"password": %q}`, secret),
		"in JSON that HTML may hold": `{"password": "pa/ss\"wo\u0026rd'+\u003c7\u003e"}`,
		"in HTML":                    "<p>" + html.EscapeString(secret),
		"in Django's HTML":           "<p>pa/ss&quot;wo&amp;rd&#x27;+&lt;7&gt;",
		"in base64":                  base64.StdEncoding.EncodeToString([]byte(secret)),
		"in base64, moved by one":    base64.StdEncoding.EncodeToString([]byte("u" + secret + "x")),
		"in base64, moved by two":    base64.StdEncoding.EncodeToString([]byte("u:" + secret + "xy")),
		"in Basic authentication":    base64.StdEncoding.EncodeToString([]byte("svc-openstack:" + secret)),
		"in base64 for URLs":         base64.RawURLEncoding.EncodeToString([]byte("user:" + secret)),
	} {
		if !Shows(text, secret) {
			t.Errorf("%s: not found in %q", name, text)
		}
	}
	if Shows("", secret) || Shows("password", secret) || Shows("anything", "") {
		t.Error("found where it is not")
	}
	const token = "0123456789abcdef0123456789abcdef01234567"
	if !ShowsToken("...234567", token) || ShowsToken("...23456", token) || ShowsToken("x", "") {
		t.Error("the last six of a token are not told from five")
	}
}
