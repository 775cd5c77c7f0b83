package provision

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// AllowedHosts are the names by which Secrets may call the Nautobot of this run. A
// Secret's hostname is only compared with them and never connected to: whoever
// may write a labelled Secret must not choose where the superuser token goes.
type AllowedHosts struct {
	accepted []host
}

type host struct{ name, port string }

// NewAllowedHosts takes the URL of Nautobot and additional names, each HOST or
// HOST:PORT. Its error does not show the name, which can be a URL with a password.
func NewAllowedHosts(nautobot *url.URL, names []string) (AllowedHosts, error) {
	own := ownPort(nautobot.Port())
	hosts := AllowedHosts{[]host{{bareName(nautobot.Hostname()), own}}}
	for _, name := range names {
		h, err := parseHost(name)
		if err != nil || strings.Contains(name, "://") {
			return AllowedHosts{}, errors.New("want HOST or HOST:PORT")
		}
		if h.port == "" {
			h.port = own
		}
		hosts.accepted = append(hosts.accepted, h)
	}
	return hosts, nil
}

const schemePort = "the scheme's own"

// ownPort treats 80, 443 and no port as the same: which of them it is says
// nothing about which Nautobot is meant.
func ownPort(port string) string {
	switch port {
	case "", "80", "443":
		return schemePort
	}
	return port
}

func bareName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// check takes HOST, HOST:PORT or a URL; a port counts only if one is given.
func (h AllowedHosts) check(text string) error {
	asked, err := parseHost(text)
	if err != nil {
		return err
	}
	for _, one := range h.accepted {
		if asked.name == one.name && (asked.port == "" || asked.port == one.port) {
			return nil
		}
	}
	return errors.New("names a host other than this run's Nautobot (--nautobot-url, --nautobot-hostname)")
}

var errHost = errors.New("want HOST, HOST:PORT or a URL, without user information or control characters")

// parseHost never shows the text: a URL can hold a password.
func parseHost(text string) (host, error) {
	bare := !strings.Contains(text, "://")
	if bare {
		text = "https://" + strings.TrimSuffix(text, "/")
	}
	u, err := url.Parse(text) // which allows control characters in a fragment
	if err != nil || strings.ContainsFunc(text, unicode.IsControl) || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return host{}, errHost
	}
	if bare && u.Host != strings.TrimPrefix(text, "https://") { // a path, a query or a fragment
		return host{}, errHost
	}
	if !ValidPort(u) {
		return host{}, errHost
	}
	port := u.Port()
	if port != "" {
		port = ownPort(port)
	}
	return host{bareName(u.Hostname()), port}, nil
}

// ValidPort reports whether a URL has a possible port, or none.
func ValidPort(u *url.URL) bool {
	number, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && number > 0 || u.Port() == "" && !strings.HasSuffix(u.Host, ":")
}
