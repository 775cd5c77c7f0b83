package nautobot

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Error is a request that did not succeed. Its text holds no body, no URL and
// none of the secrets that the request knew.
type Error struct {
	Operation string // "create token"
	Status    int    // 0: no answer came
	Reason    string // Nautobot's own words, or why there is no answer
	Hint      string // what may be wrong, if that is known

	write  bool
	kind   error    // which of the token errors of package provision, or nil
	fields []string // that Nautobot found fault with
	cause  error    // of a missing answer
}

func (e *Error) Error() string {
	text := e.Operation + ": "
	if e.Status == 0 {
		text += "no answer from Nautobot"
	} else {
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
	case provision.ErrDenied:
		return e.Status == http.StatusForbidden && e.kind == nil
	case provision.ErrRejected:
		return len(e.fields) > 0
	case provision.ErrUncertain:
		// 404: what was to be changed went away meanwhile.
		return e.write && (e.Status < 300 || e.Status >= 500 || e.Status == http.StatusNotFound)
	}
	return e.kind != nil && e.kind == target
}

// temporary tells whether the same read may succeed a little later.
func (e *Error) temporary() bool {
	var certificate *tls.CertificateVerificationError
	return e.Status == 0 && !errors.As(e.cause, &certificate) && !errors.Is(e.cause, http.ErrSchemeMismatch) ||
		e.Status >= 500 || e.Status == http.StatusTooManyRequests
}

// Nautobot's own texts, which it never translates.
var tokenErrors = map[string]error{
	"Invalid token": provision.ErrInvalidToken,
	"Token expired": provision.ErrTokenExpired,
	"User inactive": provision.ErrUserInactive,
}

// readBody reads what Nautobot says of a request that it did not carry out:
// {"detail": text}, {field: [text, ...]}, or a list of the latter. Nothing else
// of a body is taken: the "error" of a 500 can quote a token.
func (e *Error) readBody(body io.Reader) {
	var answer any
	if json.NewDecoder(body).Decode(&answer) != nil || e.Status >= 500 {
		return
	}
	items, ok := answer.([]any)
	if !ok {
		items = []any{answer}
	}
	var said []string
	for _, item := range items {
		fields, _ := item.(map[string]any)
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			switch value := fields[field].(type) {
			case string:
				if field == "detail" {
					said = append(said, value)
				}
				if e.Status == http.StatusForbidden && field == "detail" {
					e.kind = tokenErrors[value]
				}
			case []any:
				if e.Status == http.StatusBadRequest {
					e.fields = append(e.fields, field)
				}
				for _, text := range value {
					said = append(said, field+": "+fmt.Sprint(text))
				}
			}
		}
	}
	e.Reason = strings.Join(said, "; ")
}

const maxReason = 500 // bytes

// clean makes a text fit for a line of a log, without the secrets.
func clean(text string, secrets []provision.Sensitive) string {
	// The longest first: one secret may be a part of another.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b provision.Sensitive) int {
		return len(b.Reveal()) - len(a.Reveal())
	})
	for _, secret := range secrets {
		if !secret.Empty() {
			text = strings.ReplaceAll(text, secret.Reveal(), secret.String())
		}
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return text
}

// unanswered is the error of a request that got no usable answer, without the
// URL, which names the account. Only texts are taken that cannot quote what
// came over the wire.
func unanswered(err error) (reason, hint string, cause error) {
	cause = err
	var asURL *url.Error
	if errors.As(err, &asURL) {
		cause = asURL.Err
	}
	var large *http.MaxBytesError
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	switch {
	case errors.As(err, &large):
		return fmt.Sprintf("the answer is larger than %d bytes", large.Limit), "", cause
	case errors.As(err, &certificate):
		return cause.Error(), "--nautobot-ca-file names the CA that signed the server's certificate", cause
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server speaks plain http there", "is --nautobot-url right?", cause
	case asURL != nil && asURL.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "timed out", "", cause
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return cause.Error(), "", cause
	}
	return errNotHTTP.Error(), "", errNotHTTP
}

var errNotHTTP = errors.New("what came is not HTTP")
