package nautobot

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	kind       error         // ErrDenied or one of the token errors of package provision, or nil
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

// again tells whether the same request may succeed a little later and may be
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

// Nautobot's own texts, which it never translates.
var tokenErrors = map[string]error{
	"Invalid token": provision.ErrInvalidToken,
	"Token expired": provision.ErrTokenExpired,
	"User inactive": provision.ErrUserInactive,
}

// readBody reads what Nautobot says about a request that it did not carry out:
// {"detail": text}, or {field: [text, ...]}, or a list of the latter. Anything in
// another form is not from Nautobot: it does not count, and is not shown.
func (e *Error) readBody(resp *http.Response, call call, clean func(string) string) {
	body, _ := io.ReadAll(resp.Body)
	var answer any
	isJSON := json.Unmarshal(body, &answer) == nil
	if detail, ok := detailOf(answer); ok {
		e.Reason, e.detail = clean(detail), detail
		if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
			e.kind = provision.ErrDenied
			if token := tokenErrors[detail]; token != nil && !call.byPassword() && !call.anonymous {
				e.kind = token
			}
		}
		return
	}
	if said, fields, ok := fieldErrors(answer, clean); ok && e.Status == http.StatusBadRequest {
		e.Reason, e.fields = limit(strings.Join(said, "; ")), fields
		return
	}
	if e.Status == http.StatusTooManyRequests {
		return // whoever says it, nothing was done
	}
	e.foreign = true
	switch {
	case len(body) == 0:
		e.Reason = "an empty body"
	case isJSON:
		e.Reason = "JSON of a shape other than Nautobot's"
	default:
		e.Reason = clean(mediaType(resp))
	}
	e.Hint = "not Nautobot's kind of answer: does a firewall, a gateway or a proxy stand in between, or is --nautobot-url wrong?"
	if e.Status == http.StatusBadRequest && wantsTLS(body) {
		e.Reason, e.Hint, e.permanent = "the server speaks https there", "--nautobot-url has to begin with https", true
	}
}

// wantsTLS recognizes how Go, nginx and Apache answer plain http on a TLS port.
func wantsTLS(body []byte) bool {
	text := strings.ToLower(string(body))
	return strings.Contains(text, "plain http") || strings.Contains(text, "http request to an https server")
}

func detailOf(answer any) (string, bool) {
	object, _ := answer.(map[string]any)
	detail, ok := object["detail"].(string)
	return detail, ok && len(object) == 1
}

// maxTexts is how many texts are kept: more would not fit on a line.
const maxTexts = 20

// fieldErrors returns the texts about fields, and the fields' names.
func fieldErrors(answer any, clean func(string) string) (said, fields []string, ok bool) {
	items, ok := answer.([]any)
	if !ok {
		items = []any{answer}
	}
	for _, item := range items {
		object, ok := item.(map[string]any)
		if !ok {
			return nil, nil, false
		}
		for _, field := range slices.Sorted(maps.Keys(object)) {
			texts, ok := textsOf(object[field])
			if !ok {
				return nil, nil, false
			}
			fields = append(fields, field)
			for _, text := range texts {
				if len(said) < maxTexts {
					said = append(said, clean(field)+": "+clean(text))
				}
			}
		}
	}
	return said, fields, len(fields) > 0
}

// textsOf returns the texts about one field: a list, or for a field that is
// itself a list, an object with such lists by position.
func textsOf(value any) (texts []string, ok bool) {
	switch value := value.(type) {
	case []any:
		for _, one := range value {
			text, ok := one.(string)
			if !ok {
				return nil, false
			}
			texts = append(texts, text)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			more, ok := textsOf(value[key])
			if !ok {
				return nil, false
			}
			texts = append(texts, more...)
		}
	}
	return texts, len(texts) > 0
}

// mediaType is the type of the body.
func mediaType(resp *http.Response) string {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if kind == "" {
		return "a body of unknown type"
	}
	return kind
}

// redirect says where a redirect leads: the origin and no more, since path and
// query may hold anything.
func redirect(resp *http.Response) (reason, hint string) {
	reason, hint = "a redirect, which is not followed", "is --nautobot-url right?"
	if resp.Request == nil {
		return reason, hint
	}
	to, err := resp.Location()
	from := resp.Request.URL
	if err != nil || to.Host == "" || to.Scheme == from.Scheme && to.Host == from.Host {
		return reason, hint
	}
	origin := to.Scheme + "://" + to.Host
	if from.Scheme == "http" && to.Scheme == "https" {
		hint = "--nautobot-url has to begin with https"
	}
	return "a redirect to " + origin + ", which is not followed", hint
}

// proxyError is the answer of a proxy that does not let us through.
type proxyError struct{ status int }

func (e proxyError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("proxy answered %d %s", e.status, http.StatusText(e.status)))
}

var (
	errNotHTTP = errors.New("the answer is not HTTP")
	errBroken  = errors.New("the connection broke")
)

// unanswered is the error of a request that got no usable answer, without the
// URL, which names the account. Only texts that cannot quote what came over the
// wire are used.
func (e *Error) unanswered(err error) {
	e.cause = err
	if asURL, ok := errors.AsType[*url.Error](err); ok {
		e.cause = asURL.Err
	}
	text := err.Error()
	timedOut, _ := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	proxy, byProxy := errors.AsType[proxyError](err)
	large, tooLarge := errors.AsType[*http.MaxBytesError](err)
	certificate, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, notTLS := errors.AsType[tls.RecordHeaderError](err)
	_, network := errors.AsType[*net.OpError](err)
	switch {
	case byProxy:
		e.Reason = proxy.Error()
		e.Hint = "HTTPS_PROXY names the proxy and its login, NO_PROXY the hosts that are reached without one"
		e.permanent = proxy.status < 500
	case tooLarge:
		e.Reason, e.permanent = fmt.Sprintf("the answer is larger than %d bytes", large.Limit), true
	case untrusted:
		e.Reason, e.Hint, e.permanent = e.cause.Error(), certificateHint(certificate.Err), true
	case errors.Is(err, http.ErrSchemeMismatch):
		e.Reason, e.Hint, e.permanent = "the server speaks plain http there", "is --nautobot-url right?", true
	case notTLS:
		e.Reason, e.Hint, e.permanent = "the server does not speak TLS there", "is --nautobot-url right?", true
	case timedOut != nil && timedOut.Timeout(), errors.Is(err, context.DeadlineExceeded):
		e.Reason = "timed out"
	case network, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Reason = e.cause.Error()
	case strings.Contains(text, "malformed"), strings.Contains(text, "Location header"), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		e.Reason, e.cause, e.permanent = errNotHTTP.Error(), errNotHTTP, true
	default:
		e.Reason, e.cause = errBroken.Error(), errBroken
	}
}

// certificateHint says what to do about a certificate that is not accepted.
func certificateHint(err error) string {
	host, wrongHost := errors.AsType[x509.HostnameError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case wrongHost && len(host.Certificate.DNSNames)+len(host.Certificate.IPAddresses) == 0:
		return "the server needs a certificate with its host as subjectAltName: a common name does not count, and no CA file changes that"
	case wrongHost:
		return "--nautobot-url has to name a host that the certificate is for"
	case isInvalid && invalid.Reason == x509.Expired:
		return "the certificate has to be renewed, unless the clock here is wrong; no CA file changes that"
	case unknown:
		return "--nautobot-ca-file names the CA that signed the server's certificate"
	}
	return "the server needs another certificate"
}
