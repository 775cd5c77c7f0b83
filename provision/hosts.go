package provision

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// AllowedHosts are the names by which Secrets may call the Nautobot of this run. A
// Secret's hostname is only compared with them and never connected to: whoever
// may write a labelled Secret must not choose where the superuser token goes.
type AllowedHosts struct {
	accepted []host
}

type host struct{ name, port string }

// NewAllowedHosts takes the URL of Nautobot and further names, each HOST or HOST:PORT.
func NewAllowedHosts(nautobot *url.URL, names []string) (AllowedHosts, error) {
	port := nautobot.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[nautobot.Scheme]
	}
	hosts := AllowedHosts{[]host{{strings.ToLower(strings.TrimSuffix(nautobot.Hostname(), ".")), port}}}
	for _, name := range names {
		h, err := parseHost(name)
		if err != nil || strings.Contains(name, "://") {
			return AllowedHosts{}, fmt.Errorf("%q: want HOST or HOST:PORT", name)
		}
		if h.port == "" {
			h.port = port
		}
		hosts.accepted = append(hosts.accepted, h)
	}
	return hosts, nil
}

// check takes HOST, HOST:PORT or a URL; a port counts only where one is given.
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
	return errors.New("names another host than the Nautobot of this run (--nautobot-url, --nautobot-hostname)")
}

var errHost = errors.New("want HOST, HOST:PORT or a URL without user information")

// parseHost never shows the text: a URL can hold a password.
func parseHost(text string) (host, error) {
	bare := !strings.Contains(text, "://")
	if bare {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return host{}, errHost
	}
	if bare && u.Host != strings.TrimPrefix(text, "https://") { // a path, a query or a fragment
		return host{}, errHost
	}
	port := u.Port()
	if port == "" && strings.HasSuffix(u.Host, ":") {
		return host{}, errHost
	}
	return host{strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port}, nil
}
