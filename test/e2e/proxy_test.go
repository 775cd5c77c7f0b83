//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A proxy stands before a Nautobot, records every request, and spoils those
// that its fate says.
type proxy struct {
	URL string

	t         *testing.T
	target    *url.URL
	server    *httptest.Server
	transport *http.Transport
	closed    chan struct{}

	mu      sync.Mutex
	records []*record
	fate    func(n int, r *http.Request) fate
}

// A record is one request. Of its credentials it keeps the kinds only.
type record struct {
	Method, Path, Query string
	Schemes             []string // of its Authorization headers
	Status              int      // 0: not answered
}

func (r record) write() bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

func (r record) basic() bool { return len(r.Schemes) == 1 && r.Schemes[0] == "Basic" }

// An answer is what Nautobot, or somebody in its place, answers.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// A fate decides what becomes of a request, and is the answer to it. forward
// carries it out. A panic with http.ErrAbortHandler breaks the connection.
type fate func(r *http.Request, forward func() answer) answer

// newProxy starts a proxy on loopback; with a certificate it speaks TLS.
func newProxy(t *testing.T, target string, certificate *tls.Certificate) *proxy {
	t.Helper()
	return newProxyOn(t, "127.0.0.1", target, certificate)
}

// newProxyOn starts a proxy on an address of this machine.
func newProxyOn(t *testing.T, host, target string, certificate *tls.Certificate) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		t: t, target: to, closed: make(chan struct{}),
		transport: &http.Transport{DisableKeepAlives: true}, // Nautobot's server hangs up without saying so
	}
	p.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: p}}
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	if certificate == nil {
		p.server.Start()
	} else {
		p.server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		p.server.StartTLS()
	}
	p.URL = p.server.URL
	t.Cleanup(func() {
		close(p.closed)
		p.server.Close()
	})
	return p
}

// spoil lets f decide the fate of every request from now on; a nil fate leaves
// the request alone. n counts from 1 in each run of the program.
func (p *proxy) spoil(f func(n int, r *http.Request) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fate = f
}

// spoilAll gives every request the same fate.
func (p *proxy) spoilAll(f fate) {
	p.spoil(func(int, *http.Request) fate { return f })
}

// reset forgets the requests so far, and counts anew.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = nil
}

// requests are those since the last reset.
func (p *proxy) requests() []record {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []record
	for _, r := range p.records {
		all = append(all, *r)
	}
	return all
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry, decide := p.arrive(r)
	forward := func() answer { return p.forward(r) }
	var a answer
	if decide == nil {
		a = forward()
	} else {
		a = decide(r, forward)
	}
	p.mu.Lock()
	entry.Status = a.status
	p.mu.Unlock()
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func (p *proxy) arrive(r *http.Request) (*record, fate) {
	entry := &record{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery}
	for _, value := range r.Header.Values("Authorization") {
		scheme, _, _ := strings.Cut(value, " ")
		entry.Schemes = append(entry.Schemes, scheme)
	}
	p.mu.Lock()
	p.records = append(p.records, entry)
	n, decide := len(p.records), p.fate
	p.mu.Unlock()
	if decide == nil {
		return entry, nil
	}
	return entry, decide(n, r)
}

// forward carries a request out, also if the client hangs up meanwhile.
func (p *proxy) forward(r *http.Request) answer {
	out := r.Clone(context.WithoutCancel(r.Context()))
	out.URL.Scheme, out.URL.Host, out.RequestURI = p.target.Scheme, p.target.Host, ""
	resp, err := p.transport.RoundTrip(out)
	if err != nil {
		p.t.Errorf("proxy: %s %s: %v", r.Method, r.URL.Path, err)
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Errorf("proxy: %s %s: %v", r.Method, r.URL.Path, err)
		panic(http.ErrAbortHandler)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

// drop breaks the connection without carrying the request out.
func drop(*http.Request, func() answer) answer { panic(http.ErrAbortHandler) }

// carryOutAndDrop breaks the connection in place of the answer.
func carryOutAndDrop(_ *http.Request, forward func() answer) answer {
	forward()
	panic(http.ErrAbortHandler)
}

// unavailable is what a load balancer without a back end says.
func unavailable(*http.Request, func() answer) answer {
	return answer{
		http.StatusServiceUnavailable,
		http.Header{"Content-Type": {"text/html"}},
		[]byte("<html><title>503 Service Unavailable</title></html>"),
	}
}

// page is what some other web server says.
func page(*http.Request, func() answer) answer {
	return answer{
		http.StatusOK,
		http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		[]byte("<!doctype html><title>Welcome</title>" + strings.Repeat("<p>Not Nautobot.", 100)),
	}
}

// redirect sends every request to the same path elsewhere.
func redirect(elsewhere string) fate {
	return func(r *http.Request, _ func() answer) answer {
		return answer{http.StatusFound, http.Header{"Location": {elsewhere + r.URL.RequestURI()}}, nil}
	}
}

// hang answers nothing until the client gives up.
func (p *proxy) hang(r *http.Request, _ func() answer) answer {
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case <-r.Context().Done():
	case <-p.closed:
	}
	panic(http.ErrAbortHandler)
}

// A hold carries a request out and keeps the answer back.
type hold struct {
	carriedOut chan struct{} // closed when the request is carried out
	release    chan struct{} // to be closed for the answer to go on
	hungUp     chan struct{} // closed if the client hangs up before that
}

func newHold() *hold {
	return &hold{make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

func (h *hold) fate(r *http.Request, forward func() answer) answer {
	body, _ := io.ReadAll(r.Body) // only then does the server notice that the client hangs up
	r.Body = io.NopCloser(bytes.NewReader(body))
	a := forward()
	close(h.carriedOut)
	select {
	case <-h.release:
	case <-r.Context().Done():
		close(h.hungUp)
		panic(http.ErrAbortHandler)
	}
	return a
}
