// Package nautobottest is a Nautobot server that keeps everything in memory: as much of one as a client that manages
// users, API tokens, groups and object permissions over REST can meet, on real HTTP.
//
// Its rules are those that Nautobot 2.4 and 3.2 were seen to follow, and the suite in test/conformance asks the same
// questions of this server and of real ones. What neither asks, this server does not promise.
//
//	s := nautobottest.New(nautobottest.Options{Version: "2.4"})
//	defer s.Close()
//	client := nautobot.New(s.URL, s.Token)
//
// A test prepares and inspects the state without HTTP (AddUser, User, Tokens, Snapshot, ...), reads the log of requests
// (Requests, Writes) and spoils chosen requests (Intercept).
package nautobottest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options says what kind of Nautobot a Server is. The zero value is a Nautobot 3.2 with default settings.
type Options struct {
	Version           string           // "2.4" or "3.2" (default)
	Now               func() time.Time // the server's clock: expiry is decided by it; default time.Now
	MinPasswordLength int              // a password validator, as in AUTH_PASSWORD_VALIDATORS; 0: none
	PageSize          int              // PAGINATE_COUNT, default 50
	MaxPageSize       int              // MAX_PAGE_SIZE, default 1000
}

// Server is a running fake. Its methods may be called from any goroutine.
//
// It is an http.Handler as well, for tests that need it behind TLS or a proxy of their own.
type Server struct {
	URL   string // origin, without trailing slash
	Token string // API token of the superuser "admin"

	options  Options
	release  string   // full version: "3.2.7"
	versions []string // API versions that a client may ask for, oldest first
	http     *http.Server
	closed   chan struct{}
	close    sync.Once

	mu        sync.Mutex
	state     state
	log       []*Request
	intercept func(Request, int) Fault
}

// Admin is the username of the superuser that every Server starts with. It has no password and one token, Server.Token.
const Admin = "admin"

// New starts a server on a free loopback port. It panics on an unknown version or if it cannot listen.
func New(o Options) *Server {
	s := &Server{options: o, closed: make(chan struct{})}
	s.versions = []string{"2.0", "2.1", "2.2", "2.3", "2.4"}
	switch o.Version {
	case "2.4":
		s.release = "2.4.44"
	case "3.2", "":
		s.options.Version, s.release = "3.2", "3.2.7"
		s.versions = append(s.versions, "3.0", "3.1", "3.2")
	default:
		panic("nautobottest: no such version: " + o.Version)
	}
	if o.Now == nil {
		s.options.Now = time.Now
	}
	if o.PageSize == 0 {
		s.options.PageSize = 50
	}
	if o.MaxPageSize == 0 {
		s.options.MaxPageSize = 1000
	}
	s.AddUser(User{Username: Admin, Superuser: true, Staff: true})
	s.Token = s.AddToken(Admin, Token{}).Key

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("nautobottest: " + err.Error())
	}
	s.URL = "http://" + listener.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.http.Serve(listener) }()
	return s
}

// Close stops listening and breaks every connection. It does not wait for requests in progress.
func (s *Server) Close() {
	s.close.Do(func() {
		close(s.closed)
		_ = s.http.Close()
	})
}

// ServeHTTP carries out one request, as the fault chosen for it allows.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	entry, fault := s.arrive(r, body)
	answer := fault.answer
	switch fault.kind {
	case drop:
		panic(http.ErrAbortHandler)
	case hang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	case instead:
	default:
		answer = s.carryOut(r, body, fault.kind == loseRace)
	}

	s.mu.Lock()
	entry.Status = answer.status
	s.mu.Unlock()
	if fault.kind == dropAnswer {
		panic(http.ErrAbortHandler)
	}
	text := answer.text()
	if fault.kind == substitute {
		text = fault.change(text)
	}
	s.send(w, r, answer, text, fault.kind == cutShort)
}

// send writes an answer out. Nautobot's own server sends no Date.
func (s *Server) send(w http.ResponseWriter, r *http.Request, a answer, text string, cut bool) {
	header := w.Header()
	header["Date"] = nil
	if a.status != http.StatusNoContent {
		header.Set("Content-Type", a.contentType)
	}
	if a.version != "" {
		header.Set("API-Version", a.version)
	}
	if a.location != "" {
		header.Set("Location", a.location)
	}
	if cut {
		header.Set("Content-Length", fmt.Sprint(len(text)))
		text = text[:len(text)/2]
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, text)
	}
	if cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// An answer is what the server says to one request.
type answer struct {
	status      int
	contentType string
	body        any    // raw text, or a value to be written as JSON
	version     string // API-Version header
	location    string
}

// raw is a body that is sent as it is.
type raw string

func (a answer) text() string {
	if text, isRaw := a.body.(raw); isRaw {
		return string(text)
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(a.body); err != nil {
		panic("nautobottest: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

const (
	jsonType = "application/json"
	htmlType = "text/html; charset=utf-8"
)

// fields is a JSON object.
type fields = map[string]any

func reply(status int, body any) *answer {
	return &answer{status: status, contentType: jsonType, body: body}
}

func detail(status int, text string) *answer {
	return reply(status, fields{"detail": text})
}

func html(status int, body raw) *answer {
	return &answer{status: status, contentType: htmlType, body: body}
}

func forbidden() *answer {
	return detail(http.StatusForbidden, "You do not have permission to perform this action.")
}

// crash is what an exception inside Nautobot looks like.
func (s *Server) crash(exception, text string) *answer {
	return reply(http.StatusInternalServerError, fields{
		"error": text, "exception": exception, "nautobot_version": s.release, "python_version": "3.11.7",
	})
}

// A call is one request while it is carried out.
type call struct {
	*Server
	r        *http.Request
	query    url.Values
	body     []byte
	caller   caller
	lostRace bool // a duplicate shows itself by the database's exception
	depth    int  // how far related objects are written out
	hideM2M  bool // leave out many-to-many fields
}

// carryOut decides one request, under the lock and as one transaction: what a refused request changed is undone.
func (s *Server) carryOut(r *http.Request, body []byte, lostRace bool) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.state.copy()
	c := &call{Server: s, r: r, query: r.URL.Query(), body: body, lostRace: lostRace}
	a := c.route()
	if a.status >= 400 {
		s.state = before
	}
	return *a
}

// route finds who answers a path. Redirects, unknown paths and the health page are not the REST framework's
// and know no authentication.
func (c *call) route() *answer {
	path := c.r.URL.Path
	if path == "/health/" {
		return c.health()
	}
	rest, inAPI := strings.CutPrefix(path, "/api/")
	view := c.view(rest)
	if !inAPI || view == nil {
		if slash := path + "/"; slash == "/health/" || slash == "/api/" || strings.HasPrefix(slash, "/api/") && c.view(slash[5:]) != nil {
			return c.addSlash()
		}
		if strings.HasPrefix(path, "/api/") {
			return detail(http.StatusNotFound, "Not found.")
		}
		return html(http.StatusNotFound, "<!doctype html><title>Page Not Found</title>")
	}
	return view()
}

// view is the function behind a path below /api/, or nil. Ids hold no dots, so a username with one is an unknown path.
func (c *call) view(rest string) func() *answer {
	switch rest {
	case "", "users/":
		return func() *answer { return c.page(c.root(rest)) }
	case "status/":
		return func() *answer { return c.page(fields{"nautobot-version": c.release}) }
	case "users/config/":
		return c.config
	}
	if !strings.HasPrefix(rest, "users/") || !strings.HasSuffix(rest, "/") {
		return nil
	}
	kind, id, _ := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(rest, "/"), "users/"), "/")
	e := endpointOf(kind)
	if e == nil || strings.ContainsAny(id, "./") || id == "" && rest != "users/"+kind+"/" {
		return nil
	}
	return func() *answer { return c.rest(e, id) }
}

func (c *call) addSlash() *answer {
	a := html(http.StatusMovedPermanently, "")
	a.location = c.r.URL.EscapedPath() + "/"
	if c.r.URL.RawQuery != "" {
		a.location += "?" + c.r.URL.RawQuery
	}
	return a
}

// health is the check without authentication: JSON only for those who ask for it.
func (c *call) health() *answer {
	if !strings.Contains(c.r.Header.Get("Accept"), jsonType) {
		return html(http.StatusOK, "<!doctype html><title>System status</title>")
	}
	return reply(http.StatusOK, fields{
		"DatabaseBackend": "working", "DefaultFileStorageHealthCheck": "working",
		"MigrationsBackend": "working", "RedisBackend": "working",
	})
}

func (c *call) root(below string) fields {
	names := []string{"config", "groups", "permissions", "tokens", "users"}
	if below == "" {
		names = []string{"status", "users"}
	}
	links := fields{}
	for _, name := range names {
		links[name] = c.link(below + name + "/")
	}
	return links
}

// page answers one of the pages that any authenticated caller may read.
func (c *call) page(body any) *answer {
	version, a := c.negotiate()
	if a != nil {
		return a
	}
	if a = c.authenticate(false); a == nil {
		switch c.r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
			a = reply(http.StatusOK, body)
		default:
			a = c.notAllowed()
		}
	}
	a.version = version
	return a
}

// config is the caller's own preferences. This view tells no API-Version. Writing them is not implemented here.
func (c *call) config() *answer {
	a := c.page(fields{})
	if c.r.Method == http.MethodPatch && a.status == http.StatusMethodNotAllowed {
		a = html(http.StatusNotImplemented, "nautobottest: users/config/ cannot be written")
	}
	a.version = ""
	return a
}

func (c *call) notAllowed() *answer {
	return detail(http.StatusMethodNotAllowed, fmt.Sprintf("Method %q not allowed.", c.r.Method))
}

// negotiate reads the Accept header: an API version that the server knows, and JSON (or HTML, the browsable API).
func (c *call) negotiate() (version string, refusal *answer) {
	version = c.options.Version
	accept := strings.Join(c.r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return version, nil
	}
	for _, kind := range strings.Split(accept, ",") {
		name, parameters, _ := strings.Cut(kind, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case jsonType, "application/*", "*/*", "text/html", "text/*":
			for p := range strings.SplitSeq(parameters, ";") {
				if v, ok := strings.CutPrefix(strings.TrimSpace(p), "version="); ok {
					version = v
				}
			}
			if !slices.Contains(c.versions, version) {
				return "", detail(http.StatusNotAcceptable, fmt.Sprintf(
					"Invalid version %q in \"Accept\" header. Supported versions are: %s", version, strings.Join(c.versions, ", ")))
			}
			return version, nil
		}
	}
	return "", detail(http.StatusNotAcceptable, "Could not satisfy the request Accept header.")
}

// link is an absolute URL below /api/. Nautobot builds them from what the request says its host is.
func (c *call) link(path string) string {
	scheme, host := "http", c.r.Host
	if c.r.TLS != nil {
		scheme = "https"
	}
	if h := c.r.Header.Get("X-Forwarded-Host"); h != "" {
		host = h
	}
	if p := c.r.Header.Get("X-Forwarded-Proto"); p != "" {
		scheme = p
	}
	return scheme + "://" + host + "/api/" + path
}
