package nautobot

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Error is a request that failed. Its text holds no body, no query and none of
// the secrets that the request knew.
type Error struct {
	Operation string // "create token"
	Status    int    // 0: no answer came
	Reason    string // Nautobot's own words, or why there is no answer
	Hint      string // what may be wrong, if that is known

	write      bool
	foreign    bool          // a refusal that is not in Nautobot's words
	permanent  bool          // it does not go away by itself
	kind       error         // ErrDenied, ErrTooLarge or one of the token errors of package provision, or nil
	detail     string        // Nautobot's words, unchanged: only for comparisons
	fields     []string      // that Nautobot rejected
	retryAfter time.Duration // that the server asks for; 0: it asks for none
	cause      error         // of a missing answer
}

func (e *Error) Error() string {
	text := e.Operation + ": "
	switch {
	case e.Status == 0:
		text += "no answer from Nautobot"
	case e.foreign:
		text += fmt.Sprintf("the answer was %d", e.Status)
	default:
		text += fmt.Sprintf("Nautobot answered %d", e.Status)
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.cause }

// Is tells what an error means to package provision.
func (e *Error) Is(target error) bool {
	if field, ok := target.(provision.RejectedField); ok {
		return slices.Contains(e.fields, string(field))
	}
	switch target {
	case provision.ErrRejected:
		return len(e.fields) > 0
	case provision.ErrUncertain:
		// 404: what was to be changed has gone in the meantime.
		return e.write && (e.foreign || e.Status < 300 || e.Status >= 500 || e.Status == http.StatusNotFound)
	}
	return e.kind != nil && e.kind == target
}

// again reports whether the same request may succeed a little later and may be
// sent again. A write may be only if it is certain that nothing was done;
// otherwise whoever sent it has to look first.
func (e *Error) again(foreignBefore int) bool {
	switch {
	case e.Status == http.StatusTooManyRequests:
		return true
	case e.write, e.permanent:
		return false
	case e.foreign:
		return foreignBefore < foreignRepeats
	}
	return e.Status == 0 || e.Status >= 500
}
