package nautobot

import (
	"crypto/tls"
	"net/http"
	"strings"
)

const maxAnswer = 8 << 20 // bytes; a page of 1000 tokens has about 0.4 MB

// newHTTPClient is the one way to Nautobot. Time-outs come with each request.
func newHTTPClient(config Config) *http.Client {
	transport := config.Transport
	if transport == nil {
		network := http.DefaultTransport.(*http.Transport).Clone()
		network.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: config.Roots}
		// Nautobot's own uWSGI hangs up without saying so, and a POST on such a
		// connection fails.
		network.DisableKeepAlives = true
		transport = network
	}
	return &http.Client{
		Transport: bounded{withGroups{transport}},
		// A redirect could take credentials elsewhere, or turn a POST into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
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
