package nautobot

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
)

const maxAnswer = 8 << 20 // bytes; a page of 1000 tokens is about 0.4 MB

// newHTTPClient makes the only client that talks to Nautobot. Each request brings
// its own time-out.
func newHTTPClient(config Config) *http.Client {
	transport := config.Transport
	if transport == nil {
		transport = newNetwork(config)
	}
	return &http.Client{
		Transport: bounded{withGroups{transport}},
		// A redirect could take credentials elsewhere, or turn a POST into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// network keeps separate connections for reads and for writes. Nautobot's uWSGI
// hangs up without saying so. net/http sends a read on such a connection again,
// but cannot do so with a write: each write gets a fresh connection.
type network struct{ reads, writes *http.Transport }

func newNetwork(config Config) network {
	reads := http.DefaultTransport.(*http.Transport).Clone()
	reads.TLSClientConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: config.Roots,
		ClientSessionCache: tls.NewLRUClientSessionCache(0), // shared: a fresh connection needs no full handshake
	}
	reads.MaxIdleConnsPerHost = reads.MaxIdleConns // there is one host
	proxy := config.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	reads.Proxy = func(req *http.Request) (*url.URL, error) {
		if req.URL.Scheme != "https" {
			return nil, nil // a proxy would see the credentials
		}
		return proxy(req)
	}
	reads.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return proxyError{resp.StatusCode}
		}
		return nil
	}
	writes := reads.Clone()
	writes.DisableKeepAlives = true
	return network{reads, writes}
}

func (n network) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		return n.reads.RoundTrip(req)
	}
	return n.writes.RoundTrip(req)
}

// bounded cuts off endless answers: go-nautobot reads a body to its end.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

// withGroups asks for the groups of users and permissions, which Nautobot 3
// leaves out of its answers otherwise.
type withGroups struct{ next http.RoundTripper }

func (w withGroups) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.Contains(req.URL.Path, "/api/users/users/") || strings.Contains(req.URL.Path, "/api/users/permissions/") {
		req = req.Clone(req.Context())
		query := req.URL.Query()
		query.Set("exclude_m2m", "false")
		req.URL.RawQuery = query.Encode()
	}
	return w.next.RoundTrip(req)
}
