package nautobot

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

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
	text := e.cause.Error() // the URL names accounts
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
		e.Reason, e.kind, e.permanent = fmt.Sprintf("the answer is larger than %d bytes", large.Limit), provision.ErrTooLarge, true
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
