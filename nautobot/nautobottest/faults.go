package nautobottest

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// A Request is one entry of the log. It holds credentials: only String may be printed.
type Request struct {
	Method, Path, RawQuery string
	Scheme                 string // of Authorization: "Token", "Basic", or "" without one
	AuthorizationHeaders   int    // how many there were
	Header                 http.Header
	Body                   []byte
	Status                 int // 0: not answered (yet)
}

// String is a line that fits a failure message: no credential, no query, no body.
func (r Request) String() string {
	return strings.Join(strings.Fields(fmt.Sprint(r.Method, " ", r.Path, " ", r.Scheme, " ", r.Status)), " ")
}

// Safe reports whether the request asks for no change: GET, HEAD or OPTIONS.
func (r Request) Safe() bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

// Requests returns the log since the last ResetRequests, in order of arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.log))
	for i, r := range s.log {
		all[i] = *r
	}
	return all
}

// Writes returns those requests of the log that ask for a change, whether or not they were carried out.
func (s *Server) Writes() []Request {
	var writes []Request
	for _, r := range s.Requests() {
		if !r.Safe() {
			writes = append(writes, r)
		}
	}
	return writes
}

// ResetRequests empties the log and starts counting again.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// Intercept has f decide the fate of every request from now on; nil ends that. f gets the request and its number, from 1
// since the last ResetRequests, before it is carried out. f may block to hold a request back: the server's lock is not
// held in the meantime, so other requests go on.
func (s *Server) Intercept(f func(r Request, n int) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// arrive enters a request into the log and asks for its fate.
func (s *Server) arrive(r *http.Request, body []byte) (*Request, Fault) {
	headers := r.Header.Values("Authorization")
	entry := &Request{
		Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery,
		AuthorizationHeaders: len(headers), Header: r.Header.Clone(), Body: bytes.Clone(body),
	}
	if len(headers) > 0 {
		entry.Scheme, _, _ = strings.Cut(headers[0], " ")
	}
	s.mu.Lock()
	s.log = append(s.log, entry)
	n, f, seen := len(s.log), s.intercept, *entry
	s.mu.Unlock()
	if f == nil {
		return entry, Fault{}
	}
	return entry, f(seen, n)
}

// A Fault is what happens to a request. The zero value is not a fault: the request is carried out and answered.
type Fault struct {
	kind   faultKind
	answer answer
	change func(string) string
}

type faultKind int

const (
	none faultKind = iota
	instead
	drop
	dropAnswer
	hang
	substitute
	cutShort
	loseRace
)

// None lets the request through.
func None() Fault { return Fault{} }

// Answer answers this instead of carrying the request out.
func Answer(status int, contentType, body string) Fault {
	return Fault{kind: instead, answer: answer{status: status, contentType: contentType, body: raw(body)}}
}

// Drop closes the connection without carrying the request out.
//
// Go's http.Client sends a GET again by itself if that happens on a connection it has used before.
func Drop() Fault { return Fault{kind: drop} }

// CarryOutAndDrop carries the request out and closes the connection without an answer.
func CarryOutAndDrop() Fault { return Fault{kind: dropAnswer} }

// Hang neither carries the request out nor answers, until the client gives up or the server is closed.
func Hang() Fault { return Fault{kind: hang} }

// Substitute carries the request out and changes the body of the answer, but not its status and headers.
func Substitute(change func(body string) string) Fault {
	return Fault{kind: substitute, change: change}
}

// CutShort carries the request out and breaks the connection in the middle of the answer's body.
func CutShort() Fault { return Fault{kind: cutShort} }

// LoseRace carries the request out as the loser of a race: if it would make a duplicate, validation does not notice, and
// the answer is the database's IntegrityError: status 500 with the duplicate value, a token's key included, in its text.
func LoseRace() Fault { return Fault{kind: loseRace} }
