package provision

import (
	"net/url"
	"strings"
	"testing"
	"unicode"
)

// testHosts are the hosts of https://nautobot.example, which has two more names.
func testHosts(tb testing.TB) AllowedHosts {
	tb.Helper()
	return hostsOf(tb, "https://nautobot.example", "nautobot.nautobot.svc", "nautobot.lab.example:8443")
}

func hostsOf(tb testing.TB, address string, names ...string) AllowedHosts {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	hosts, err := NewAllowedHosts(u, names)
	if err != nil {
		tb.Fatal(err)
	}
	return hosts
}

// hostTexts are what a Secret may have as hostname or url, with what is said
// about it; "" for those that are accepted.
var hostTexts = map[string]struct{ text, want string }{
	"the host":                          {"nautobot.example", ""},
	"the host in capitals":              {"NAUTOBOT.Example", ""},
	"the host with the root's dot":      {"nautobot.example.", ""},
	"the host and the default port":     {"nautobot.example:443", ""},
	"the host, the dot and the port":    {"nautobot.example.:443", ""},
	"the URL":                           {"https://nautobot.example", ""},
	"the URL with a slash":              {"https://nautobot.example/", ""},
	"the URL with a path":               {"https://nautobot.example/api/", ""},
	"the URL with query and fragment":   {"https://nautobot.example/?a=b#c", ""},
	"the URL with the default port":     {"https://nautobot.example:443/", ""},
	"the URL with another scheme":       {"http://nautobot.example", ""}, // it is never connected to
	"the URL with a scheme in capitals": {"HTTPS://nautobot.example", ""},
	"an additional name":                {"nautobot.nautobot.svc", ""},
	"an additional name and the port":   {"nautobot.nautobot.svc:443", ""},
	"an additional name with a port":    {"nautobot.lab.example", ""},
	"an additional name with its port":  {"nautobot.lab.example:8443", ""},

	"the host with a slash, no URL":               {"nautobot.example/", ""},
	"the host, the port and a slash":              {"nautobot.example:443/", ""},
	"the default port of another scheme":          {"nautobot.example:80", ""},
	"the default port of another scheme in a URL": {"http://nautobot.example:80", ""},

	"another host":          {"evil.example", otherHostProblem},
	"another port":          {"nautobot.example:8443", otherHostProblem},
	"another port in a URL": {"https://nautobot.example:8443/", otherHostProblem},

	"an additional name with the port of the URL": {"nautobot.lab.example:443", otherHostProblem},
	"the port with a zero":                        {"nautobot.example:0443", otherHostProblem},
	"two dots at the end":                         {"nautobot.example..", otherHostProblem},
	"a dot before it":                             {".nautobot.example", otherHostProblem},
	"a host below it":                             {"evil.nautobot.example", otherHostProblem},
	"a host that it begins":                       {"nautobot.example.evil.example", otherHostProblem},
	"a part of it":                                {"example", otherHostProblem},
	"IPv4":                                        {"192.0.2.1", otherHostProblem},
	"IPv6":                                        {"[2001:db8::1]", otherHostProblem},
	"IPv6 with a port":                            {"[2001:db8::1]:443", otherHostProblem},
	"a Cyrillic letter":                           {"nаutobot.example", otherHostProblem},
	"a full-width letter":                         {"ｎautobot.example", otherHostProblem},
	"an ideographic full stop":                    {"nautobot。example", otherHostProblem},
	"punycode":                                    {"xn--nutobot-2fg.example", otherHostProblem},
	"a zero-width space":                          {"nautobot.example\u200B", otherHostProblem},
	"a semicolon":                                 {"nautobot.example;evil.example", otherHostProblem},
	"a comma":                                     {"nautobot.example,evil.example", otherHostProblem},
	"a wildcard":                                  {"*.example", otherHostProblem},
	"the host as the path of another":             {"https://evil.example/nautobot.example", otherHostProblem},
	"the host as the fragment of another":         {"https://evil.example#nautobot.example", otherHostProblem},
	"the host as the query of another":            {"https://evil.example?nautobot.example", otherHostProblem},
	"the host behind a backslash in the path":     {`https://evil.example/\nautobot.example`, otherHostProblem},
	"the URL of the host in the path of another":  {"https://evil.example/https://nautobot.example", otherHostProblem},
	"the host as the user of another":             {"nautobot.example@evil.example", hostProblem},
	"the host and port as the user of another":    {"nautobot.example:443@evil", hostProblem},
	"another as the user of the host":             {"evil.example@nautobot.example", hostProblem},
	"the host as the user of another, in a URL":   {"https://nautobot.example@evil.example/", hostProblem},
	"a user and a password":                       {"https://user:password@nautobot.example", hostProblem},
	"an empty user":                               {"https://@nautobot.example", hostProblem},
	"the host as the fragment of another, no URL": {"evil.example#nautobot.example", hostProblem},
	"the host with a fragment, no URL":            {"nautobot.example#evil.example", hostProblem},
	"the host as the query of another, no URL":    {"evil.example?nautobot.example", hostProblem},
	"the host with a query, no URL":               {"nautobot.example?x", hostProblem},
	"the host with an empty query, no URL":        {"nautobot.example?", hostProblem},
	"the host with an empty fragment, no URL":     {"nautobot.example#", hostProblem},
	"the host with a path, no URL":                {"nautobot.example/api", hostProblem},
	"the host with two slashes, no URL":           {"nautobot.example//", hostProblem},
	"a slash alone":                               {"/", hostProblem},
	"a URL without a scheme":                      {"//nautobot.example", hostProblem},
	"a backslash before it":                       {`evil.example\nautobot.example`, hostProblem},
	"a backslash after it":                        {`nautobot.example\`, hostProblem},
	"a backslash and an @":                        {`nautobot.example\@evil.example`, hostProblem},
	"backslashes for slashes":                     {`https:\\nautobot.example`, hostProblem},
	"an escaped dot":                              {"nautobot%2Eexample", hostProblem},
	"an escaped letter in a URL":                  {"https://%6Eautobot.example", hostProblem},
	"an escaped slash":                            {"nautobot.example%2F.evil.example", hostProblem},
	"another scheme":                              {"ftp://nautobot.example", hostProblem},
	"the host as scheme":                          {"nautobot.example://evil.example", hostProblem},
	"a scheme without a host":                     {"https://", hostProblem},
	"a scheme and a path":                         {"https:///nautobot.example", hostProblem},
	"a scheme and a port":                         {"https://:443", hostProblem},
	"a port alone":                                {":443", hostProblem},
	"a colon without a port":                      {"nautobot.example:", hostProblem},
	"a URL with a colon without a port":           {"https://nautobot.example:/", hostProblem},
	"two ports":                                   {"nautobot.example:443:443", hostProblem},
	"a port that is a word":                       {"nautobot.example:https", hostProblem},
	"IPv6 without brackets":                       {"2001:db8::1", hostProblem},
	"a bracket that is never closed":              {"[2001:db8::1", hostProblem},
	"a blank":                                     {"nautobot.example evil.example", hostProblem},
	"a tab":                                       {"nautobot.example\t", hostProblem},
	"a newline":                                   {"nautobot.example\nevil.example", hostProblem},
	"a NUL":                                       {"nautobot.example\x00.evil.example", hostProblem},
	"a control character in a fragment":           {"https://nautobot.example#\x03", hostProblem},
	"a control character of Latin-1 in a path":    {"https://nautobot.example/\u0085", hostProblem},
	"nothing":                                     {"", hostProblem},
}

func TestAllowedHostsCheck(t *testing.T) {
	hosts := testHosts(t)
	for name, test := range hostTexts {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := hosts.check(test.text); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%q: got %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestHostsOfOtherURLs(t *testing.T) {
	tests := map[string]struct {
		url      string
		names    []string
		accepted []string
		refused  []string
	}{
		"a port of its own": {
			url:      "https://nautobot.example:8443/nautobot",
			accepted: []string{"nautobot.example", "nautobot.example:8443", "https://nautobot.example:8443/"},
			refused:  []string{"nautobot.example:443", "nautobot.example:80"},
		},
		"plain http": {
			url:      "http://nautobot.example",
			accepted: []string{"nautobot.example:80", "http://nautobot.example:80", "https://nautobot.example", "nautobot.example:443"},
			refused:  []string{"nautobot.example:8080"},
		},
		"in capitals": {
			url:      "https://Nautobot.EXAMPLE",
			names:    []string{"Nautobot.NAUTOBOT.svc"},
			accepted: []string{"nautobot.example", "NAUTOBOT.example", "nautobot.nautobot.svc"},
		},
		"IPv6": {
			url:      "https://[2001:db8::1]:8443",
			accepted: []string{"[2001:db8::1]", "[2001:DB8::1]:8443", "https://[2001:db8::1]"},
			refused:  []string{"[2001:db8::1]:443", "[2001:db8::2]", "2001:db8::1"},
		},
		"IPv4": {
			url:      "https://192.0.2.1",
			accepted: []string{"192.0.2.1", "192.0.2.1:443"},
			refused:  []string{"192.0.2.11", "192.0.2", "3221225985", "0xC0000201"},
		},
		"names with and without a port": {
			url:      "https://nautobot.example:8443",
			names:    []string{"one.example", "two.example:443", "[::1]:9443"},
			accepted: []string{"one.example", "one.example:8443", "two.example", "two.example:443", "[::1]", "[::1]:9443"},
			refused:  []string{"one.example:443", "two.example:8443", "[::1]:8443", "three.example"},
		},
		"the root's dot in the URL": {
			url:      "https://nautobot.example./",
			accepted: []string{"nautobot.example", "nautobot.example.", "https://nautobot.example./"},
		},
		"the root's dot in a name": {
			url:      "https://nautobot.example",
			names:    []string{"one.example."},
			accepted: []string{"one.example", "one.example."},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hosts := hostsOf(t, test.url, test.names...)
			for _, text := range test.accepted {
				if err := hosts.check(text); err != nil {
					t.Errorf("%q: got error %q, want none", text, err)
				}
			}
			for _, text := range test.refused {
				if err := hosts.check(text); err == nil {
					t.Errorf("%q: accepted", text)
				}
			}
		})
	}
}

func TestNewHostsRefusesNames(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "",
		"a URL":          "https://nautobot.example",
		"a path":         "nautobot.example/api",
		"a user":         "user@nautobot.example",
		"a password":     "https://user:password@nautobot.example",
		"a blank":        "nautobot example",
		"a colon":        "nautobot.example:",
		"a bad port":     "nautobot.example:https",
		"IPv6, no [ ]":   "2001:db8::1",
		"another scheme": "ftp://nautobot.example",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewAllowedHosts(&url.URL{Scheme: "https", Host: "nautobot.example"}, []string{"one.example", text})
			if err == nil {
				t.Fatalf("%q: accepted", text)
			}
			if got, want := err.Error(), "want HOST or HOST:PORT"; got != want { // and never the text
				t.Errorf("got error %q, want %q", got, want)
			}
		})
	}
}

// FuzzHosts finds the accepted name in whatever is accepted, without the URL
// parser.
func FuzzHosts(f *testing.F) {
	for _, test := range hostTexts {
		f.Add(test.text)
	}
	hosts := testHosts(f)
	accepted := map[string]string{"nautobot.example": "443", "nautobot.nautobot.svc": "443", "nautobot.lab.example": "8443"}
	f.Fuzz(func(t *testing.T, text string) {
		err := hosts.check(text)
		if err != nil {
			if got := err.Error(); got != hostProblem && got != otherHostProblem {
				t.Errorf("%q: got error %q, which is none of the fixed texts", text, got)
			}
			return
		}
		rest := text
		for _, scheme := range []string{"https://", "http://"} {
			if len(rest) >= len(scheme) && strings.EqualFold(rest[:len(scheme)], scheme) {
				rest = rest[len(scheme):]
				if end := strings.IndexAny(rest, "/?#"); end >= 0 {
					rest = rest[:end]
				}
				break
			}
		}
		name, port, withPort := strings.Cut(strings.TrimSuffix(rest, "/"), ":")
		want, ok := accepted[lowerASCII(strings.TrimSuffix(name, "."))]
		if port == "80" {
			port = "443"
		}
		if !ok || withPort && port != want {
			t.Errorf("%q: accepted, as %q", text, rest)
		}
		if strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%q: accepted with control characters", text)
		}
	})
}

func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
