// Package nautobottest is a Nautobot server that keeps everything in memory: as much of one as a client that manages
// users, API tokens, groups and object permissions over REST can meet, over real HTTP.
//
// Its rules are those that Nautobot 2.4 and 3.2 were seen to follow, and the suite in test/conformance asks the same
// questions of this server and of real ones. What the suite does not ask, this server does not promise.
//
//	s := nautobottest.New(nautobottest.Options{Version: "2.4"})
//	defer s.Close()
//	// A client for s.URL, with s.Token as a superuser's token.
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
	Language          string           // LANGUAGE_CODE: "de", or English
}

// Server is a running fake. Its methods may be called from any goroutine.
//
// It is an http.Handler as well, for tests that need it behind TLS or a proxy of their own.
type Server struct {
	URL   string // origin, without trailing slash
	Token string // API token of the superuser "admin"

	options Options
	release string // full version: "3.2.7"
	http    *http.Server
	closed  chan struct{}
	close   sync.Once

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
	switch o.Version {
	case "2.4":
		s.release = "2.4.44"
	case "3.2", "":
		s.options.Version, s.release = "3.2", "3.2.7"
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
	s.send(w, answer, text, fault.kind == cutShort)
}

// send writes an answer out. Nautobot's own server sends no Date.
func (s *Server) send(w http.ResponseWriter, a answer, text string, cut bool) {
	header := w.Header()
	header["Date"] = nil
	if a.status != http.StatusNoContent {
		header.Set("Content-Type", a.contentType)
	}
	if cut {
		header.Set("Content-Length", fmt.Sprint(len(text)))
		text = text[:len(text)/2]
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, text)
	if cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// An answer is what the server says to one request.
type answer struct {
	status      int
	contentType string
	body        any // raw text, or a value to be written as JSON
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

const jsonType = "application/json"

// fields is a JSON object.
type fields = map[string]any

func reply(status int, body any) *answer {
	return &answer{status: status, contentType: jsonType, body: body}
}

func detail(status int, text string) *answer {
	return reply(status, fields{"detail": text})
}

func (c *call) forbidden() *answer { return detail(http.StatusForbidden, c.translated(noPermission)) }

// crash is what an exception inside Nautobot looks like.
func (s *Server) crash(exception, text string) *answer {
	return reply(http.StatusInternalServerError, fields{
		"error": text, "exception": exception, "nautobot_version": s.release, "python_version": "3.11.7",
	})
}

// Texts of Django and its REST framework, which a server with another language translates. Nautobot's own texts are
// "Invalid token", "Token expired" and "User inactive", and they are never translated.
const (
	noCredentials = "Authentication credentials were not provided."
	noPermission  = "You do not have permission to perform this action."
	badPassword   = "Invalid username/password."
	usernameTaken = "A user with that username already exists."
	keyTaken      = "Token with this Key already exists."
	groupTaken    = "group with this name already exists."
)

var german = map[string]string{
	noCredentials: "Anmeldedaten fehlen.",
	noPermission:  "Sie sind nicht berechtigt, diese Aktion durchzuführen.",
	badPassword:   "Ungültiger Benutzername/Passwort.",
	usernameTaken: "Dieser Benutzername ist bereits vergeben.",
	keyTaken:      "Token mit diesem Wert für das Feld Key existiert bereits.",
	groupTaken:    "Gruppe mit diesem Wert für das Feld Name existiert bereits.",
}

func (s *Server) translated(text string) string {
	if translation, known := german[text]; known && s.options.Language == "de" {
		return translation
	}
	return text
}

// A call is one request while it is carried out.
type call struct {
	*Server
	r        *http.Request
	query    url.Values
	body     []byte
	caller   caller
	lostRace bool // a duplicate shows up as the database's exception
	depth    bool // related objects are written out
	hideM2M  bool // leave out many-to-many fields
}

// carryOut decides one request, under the lock and as one transaction: what a refused request changed is undone.
func (s *Server) carryOut(r *http.Request, body []byte, lostRace bool) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	writes := r.Method != http.MethodGet // with thousands of accounts, a copy takes long
	var before state
	if writes {
		before = s.state.copy()
	}
	c := &call{Server: s, r: r, query: r.URL.Query(), body: body, lostRace: lostRace}
	a := c.route()
	if a.status >= 400 && writes {
		s.state = before
	}
	return *a
}

// route finds who answers a path: KIND/ or KIND/ID/ below /api/users/. Unknown paths need no authentication.
func (c *call) route() *answer {
	if !strings.HasPrefix(c.r.URL.Path, "/api/") {
		return &answer{http.StatusNotFound, "text/html; charset=utf-8", raw("<!doctype html><title>Page Not Found</title>")}
	}
	parts := strings.Split(strings.TrimPrefix(c.r.URL.Path, "/api/users/"), "/")
	last := len(parts) - 1
	e := endpointOf(parts[0])
	switch {
	case last == 1 && parts[1] == "" && parts[0] == "config":
		return c.config()
	case last == 1 && parts[1] == "" && e != nil:
		return c.rest(e, "")
	case last == 2 && parts[2] == "" && parts[1] != "" && e != nil:
		return c.rest(e, parts[1])
	}
	return detail(http.StatusNotFound, "Not found.")
}

// config is the caller's own preferences, which any token may read: the program checks tokens with it.
func (c *call) config() *answer {
	if a := c.authenticate(false); a != nil {
		return a
	}
	return reply(http.StatusOK, fields{})
}

// link is an absolute URL below /api/users/.
func (c *call) link(path string) string { return c.URL + "/api/users/" + path }
