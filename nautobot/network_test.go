package nautobot

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// counted is a fake Nautobot over TLS that says of each request over which
// connection it came, from 1, and whether that was opened with the session of an
// earlier one.
type counted struct {
	*httptest.Server
	client *Client
	mu     sync.Mutex
	conns  map[string]int
	got    []string
}

func newCounted(t *testing.T, http2 bool) *counted {
	t.Helper()
	fake := nautobottest.New(nautobottest.Options{})
	t.Cleanup(fake.Close)
	s := &counted{conns: map[string]int{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.conns[r.RemoteAddr] == 0 {
			s.conns[r.RemoteAddr] = len(s.conns) + 1
		}
		line := r.Method + " " + string(rune('0'+s.conns[r.RemoteAddr]))
		if r.TLS.DidResume {
			line += " resumed"
		}
		s.got = append(s.got, line)
		s.mu.Unlock()
		fake.ServeHTTP(w, r)
	}))
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	s.client = secureClient(t, s.URL, fake.Token, Config{Roots: roots})
	return s
}

// secureClient is the production client with these roots and this proxy.
func secureClient(t *testing.T, origin, token string, config Config) *Client {
	t.Helper()
	var err error
	if config.URL, err = url.Parse(origin); err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	t.Cleanup(func() { noSecret(t, "the log", log.String(), token) })
	config.Token, config.UserAgent, config.Log = provision.Hide(token), "nautobot-token/test", textLog(log)
	client := New(config)
	client.pause = time.Millisecond
	return client
}

// A handshake costs more than a read. A write on a connection that the server
// has closed fails, and cannot be sent again.
func TestReadsShareAConnectionAndWritesDoNot(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			s := newCounted(t, http2)
			for _, name := range []string{"a", "b"} {
				for _, act := range []func() error{
					func() error { _, _, err := s.client.FindUser(t.Context(), name); return err },
					func() error {
						_, err := s.client.CreateUser(t.Context(), provision.UserFields{Username: name})
						return err
					},
					func() error { _, err := s.client.GroupExists(t.Context(), name); return err },
				} {
					if err := act(); err != nil {
						t.Fatal(err)
					}
				}
			}
			want := []string{"GET 1", "POST 2 resumed", "GET 1", "GET 1", "POST 3 resumed", "GET 1"}
			if diff := cmp.Diff(want, s.got); diff != "" {
				t.Errorf("requests by connection (-want +got):\n%s", diff)
			}
		})
	}
}

// Nautobot's own uWSGI closes connections without saying so: a read that meets
// such a connection is sent again at once, on another.
func TestReadOnADeadConnectionIsSentAgain(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	var requests, posts atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				for n := 1; ; n++ {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					requests.Add(1)
					if req.Method == http.MethodPost {
						posts.Add(1)
						return // it hangs up on every write
					}
					if n > 1 {
						return // and on the second read of a connection
					}
					body := `{"count":0,"results":[]}`
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n"+body)
				}
			}()
		}
	}()

	client := newClient(t, "http://"+listener.Addr().String(), "canary-superuser")
	client.pause = forever // a pause would show
	for range 3 {
		if _, _, err := client.FindUser(t.Context(), account); err != nil {
			t.Errorf("FindUser: %v", err)
		}
	}
	if n := requests.Load(); n != 5 {
		t.Errorf("%d requests for 3 reads, want 5: the second and the third twice", n)
	}
	if err := client.CreateGroup(t.Context(), managed); !errors.Is(err, provision.ErrUncertain) {
		t.Errorf("CreateGroup: error is %v, want an uncertain one", err)
	}
	if n := posts.Load(); n != 1 {
		t.Errorf("the POST was sent %d times, want once", n)
	}
}

// proxy is a proxy that answers every CONNECT with this status.
func proxy(t *testing.T, status int, asked *atomic.Int32) func(*http.Request) (*url.URL, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method != http.MethodConnect || r.Header.Get("Authorization") != "" {
			t.Errorf("the proxy got %s, with Authorization: %v", r.Method, r.Header["Authorization"] != nil)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, key)
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return http.ProxyURL(at)
}

// A proxy that does not let us through says so: waiting would not change that.
func TestProxyThatRefuses(t *testing.T) {
	for status, text := range map[int]string{407: "407 Proxy Authentication Required", 403: "403 Forbidden"} {
		for _, op := range operations {
			var asked atomic.Int32
			client := secureClient(t, "https://nautobot.example.org", "canary-superuser", Config{Proxy: proxy(t, status, &asked)})
			client.pause = forever
			err := op.call(t.Context(), client)
			want := "no answer from Nautobot: proxy answered " + text +
				" (HTTPS_PROXY names the proxy and its login, NO_PROXY the hosts that are reached without one)"
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: error is %v, want %q", op.name, err, want)
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("%s: asked %d times, want once", op.name, n)
			}
			if got := errors.Is(err, provision.ErrUncertain); got != op.write {
				t.Errorf("%s: uncertain is %v, want %v", op.name, got, op.write)
			}
		}
	}
}

func TestProxyThatHasTroubleIsWaitedFor(t *testing.T) {
	var asked atomic.Int32
	client := secureClient(t, "https://nautobot.example.org", "canary-superuser", Config{Proxy: proxy(t, 503, &asked)})
	client.pause = forever // longer than there is time for
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, _, err := client.FindUser(ctx, account)
	if err == nil || !strings.HasPrefix(err.Error(), "gave up waiting: find user: no answer from Nautobot: proxy answered 503 Service Unavailable") {
		t.Errorf("error is %v, want one that gave up waiting", err)
	}
}

// With plain http a proxy would see the credentials.
func TestPlainHTTPNeverGoesThroughAProxy(t *testing.T) {
	fake := nautobottest.New(nautobottest.Options{})
	defer fake.Close()
	client := secureClient(t, fake.URL, fake.Token, Config{Proxy: func(*http.Request) (*url.URL, error) {
		t.Error("a proxy was asked for")
		return nil, errors.New("no")
	}})
	if _, _, err := client.FindUser(t.Context(), account); err != nil {
		t.Error(err)
	}
	if _, err := client.CreateUser(t.Context(), provision.UserFields{Username: "new"}); err != nil {
		t.Error(err)
	}
}

// Each kind of certificate that is not accepted has a remedy of its own, and
// waiting helps with none. All are given as CA file, except the unknown one.
func TestCertificatesThatAreNotAccepted(t *testing.T) {
	tests := map[string]struct {
		certificate x509.Certificate
		unknown     bool
		want        string
	}{
		"by an unknown authority": {
			certificate: x509.Certificate{DNSNames: []string{"localhost"}}, unknown: true,
			want: "x509: certificate signed by unknown authority (--nautobot-ca-file names the CA that signed the server's certificate)",
		},
		"expired": {
			certificate: x509.Certificate{DNSNames: []string{"localhost"}, NotAfter: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)},
			want:        "is after 2001-01-01T00:00:00Z (the certificate has to be renewed, unless the clock here is wrong; no CA file changes that)",
		},
		"for another host": {
			certificate: x509.Certificate{DNSNames: []string{"nautobot.example.org"}},
			want: "x509: certificate is valid for nautobot.example.org, not localhost " +
				"(--nautobot-url has to name a host that the certificate is for)",
		},
		"with a common name only": {
			certificate: x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}},
			want: "x509: certificate relies on legacy Common Name field, use SANs instead (the server needs a certificate with its host " +
				"as subjectAltName: a common name does not count, and no CA file changes that)",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			made := tc.certificate
			made.SerialNumber, made.IsCA, made.BasicConstraintsValid = big.NewInt(1), true, true
			made.NotBefore = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			if made.NotAfter.IsZero() {
				made.NotAfter = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
			}
			der, err := x509.CreateCertificate(rand.Reader, &made, &made, &private.PublicKey, private)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
			server.StartTLS()
			defer server.Close()
			roots := x509.NewCertPool()
			if !tc.unknown {
				roots.AddCert(parsed)
			}
			client := secureClient(t, strings.Replace(server.URL, "127.0.0.1", "localhost", 1), "canary-superuser", Config{Roots: roots})
			client.pause = forever
			_, _, err = client.FindUser(t.Context(), account)
			if err == nil || !strings.HasPrefix(err.Error(), "find user: no answer from Nautobot: tls: failed to verify certificate: ") ||
				!strings.HasSuffix(err.Error(), tc.want) {
				t.Errorf("error is %v, want %q", err, tc.want)
			}
		})
	}
}

// One line says what a redirect wants, and no more of the target than its origin:
// the rest may be anything.
func TestRedirectsAreNamedByTheirOrigin(t *testing.T) {
	const right = " (is --nautobot-url right?)"
	tests := map[string]struct{ to, want string }{
		"to https": {
			"https://nautobot.example.org/api/" + key + "?next=" + key,
			"a redirect to https://nautobot.example.org, which is not followed (--nautobot-url has to begin with https)",
		},
		"to another host": {
			"http://" + key + ":" + key + "@login.example.org:8080/" + key, "a redirect to http://login.example.org:8080, which is not followed" + right,
		},
		"to another page":        {"/login/?next=" + key, "a redirect, which is not followed" + right},
		"to a secret":            {"http://" + key + ".example.org/", "[redacted]" + right},
		"to nowhere":             {"", "a redirect, which is not followed" + right},
		"to what is not a place": {"http://%zz" + key, ""},
	}
	for name, tc := range tests {
		client := stub(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", tc.to)
			w.WriteHeader(http.StatusMovedPermanently)
		})
		err := client.Authenticate(t.Context(), byToken)
		want := "check token: Nautobot answered 301: " + tc.want
		if tc.want == "" {
			want = "check token: no answer from Nautobot: the answer is not HTTP"
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s: error is %v, want %q", name, err, want)
		}
	}
}
