package nautobot

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	nb "github.com/nautobot/go-nautobot/v2"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Config says which Nautobot, and with whose rights.
type Config struct {
	URL       *url.URL // origin, and a path where Nautobot is not at the root
	Roots     *x509.CertPool
	Token     provision.Sensitive // the superuser token
	UserAgent string
	Log       *slog.Logger
	// Timeout is how long one request may take; 0: 20 s.
	Timeout time.Duration
	// Pause is how long to wait before a read is tried again, twice as long
	// each time, 5 s at most; 0: half a second.
	Pause time.Duration
	// Transport stands in for the network in tests; nil: the network.
	Transport http.RoundTripper
}

const (
	requestTimeout = 20 * time.Second
	firstPause     = 500 * time.Millisecond
	longestPause   = 5 * time.Second
)

// Client is a provision.Nautobot.
type Client struct {
	api    *nb.UsersAPIService
	http   *http.Client
	base   string
	agent  string
	token  provision.Sensitive
	log    *slog.Logger
	pause  time.Duration // before a read is tried again for the first time
	perTry time.Duration // how long one request may take
}

var _ provision.Nautobot = (*Client)(nil)

// New makes a client. It connects to nothing yet.
func New(config Config) *Client {
	base := strings.TrimRight(config.URL.String(), "/")
	settings := nb.NewConfiguration()
	settings.Servers = nb.ServerConfigurations{{URL: base + "/api"}}
	settings.UserAgent = config.UserAgent
	settings.HTTPClient = newHTTPClient(config)
	return &Client{
		api:    nb.NewAPIClient(settings).UsersAPI,
		http:   settings.HTTPClient,
		base:   base,
		agent:  config.UserAgent,
		token:  config.Token,
		log:    config.Log,
		pause:  cmp.Or(config.Pause, firstPause),
		perTry: cmp.Or(config.Timeout, requestTimeout),
	}
}

// call is one request: who asks for what.
type call struct {
	operation string
	needs     string          // the permission that the superuser token's account needs
	login     provision.Login // empty: the superuser token
	secrets   []provision.Sensitive
	write     bool
}

// asSuperuser is a read with the rights of the superuser token.
func asSuperuser(operation, needs string) call { return call{operation: operation, needs: needs} }

// as is a read as the account itself.
func as(login provision.Login, operation string) call {
	return call{operation: operation, login: login, secrets: []provision.Sensitive{login.Password, login.Token}}
}

// writing marks a call as one that changes something, and names the secrets
// that it sends.
func (c call) writing(secrets ...provision.Sensitive) call {
	c.write, c.secrets = true, append(c.secrets, secrets...)
	return c
}

// context puts the credentials where go-nautobot looks for them: always
// exactly one of the two kinds.
func (c *Client) context(ctx context.Context, call call) context.Context {
	token := c.token
	switch {
	case !call.login.Password.Empty():
		return context.WithValue(ctx, nb.ContextBasicAuth, nb.BasicAuth{
			UserName: call.login.Username, Password: call.login.Password.Reveal(),
		})
	case !call.login.Token.Empty():
		token = call.login.Token
	}
	return context.WithValue(ctx, nb.ContextAPIKeys, map[string]nb.APIKey{
		"tokenAuth": {Prefix: "Token", Key: token.Reveal()},
	})
}

// do sends a request and decodes its answer into T. send gets the context to
// use and returns what go-nautobot's Execute returned, less the model. Reads
// are repeated while Nautobot is unreachable or broken, until ctx ends; writes
// never: whoever asked has to look first.
func do[T any](ctx context.Context, c *Client, call call, send func(context.Context) (*http.Response, error)) (T, error) {
	pause := c.pause
	var before error
	for {
		value, err := once[T](ctx, c, call, send)
		if err != nil && before != nil && ctx.Err() != nil {
			return value, fmt.Errorf("gave up waiting: %w", before) // why says more than that the time is over
		}
		var failed *Error
		if err == nil || call.write || !errors.As(err, &failed) || !failed.temporary() {
			return value, err
		}
		before = err
		c.log.Warn("waiting for Nautobot", "error", err.Error(), "pause", pause.String())
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return value, fmt.Errorf("gave up waiting: %w", err)
		}
		pause = min(2*pause, longestPause)
	}
}

// once sends the request once. A signal does not break it off: the context is
// looked at before it, and only its deadline holds during it.
func once[T any](ctx context.Context, c *Client, call call, send func(context.Context) (*http.Response, error)) (T, error) {
	var value T
	if err := ctx.Err(); err != nil {
		return value, fmt.Errorf("%s: %w", call.operation, context.Cause(ctx))
	}
	limit := time.Now().Add(c.perTry)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(limit) {
		limit = deadline
	}
	sending, cancel := context.WithDeadline(context.WithoutCancel(ctx), limit)
	defer cancel()

	start := time.Now()
	resp, err := send(c.context(sending, call))
	failed := c.classify(call, resp, err)
	if failed == nil && decode(resp, &value) != nil {
		failed = c.unreadable(call, resp)
	}
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	c.log.Debug("asked Nautobot", "operation", call.operation, "status", status, "took", time.Since(start).Round(time.Millisecond).String())
	if failed != nil {
		return value, failed
	}
	return value, nil
}

// classify tells an answer from the lack of one. go-nautobot also reports an
// answer that its own models cannot read; that is for decoding to find out.
func (c *Client) classify(call call, resp *http.Response, err error) *Error {
	failed := &Error{Operation: call.operation, write: call.write}
	var arrived *nb.GenericOpenAPIError // the body came whole; model or status was not liked
	if resp == nil || err != nil && !errors.As(err, &arrived) {
		failed.Reason, failed.Hint, failed.cause = unanswered(err)
		failed.Reason = clean(failed.Reason, c.secrets(call))
		return failed
	}
	if resp.StatusCode < 300 {
		return nil
	}
	failed.Status = resp.StatusCode
	failed.readBody(resp.Body)
	failed.Reason = clean(failed.Reason, c.secrets(call))
	superuser := call.login.Password.Empty() && call.login.Token.Empty()
	switch {
	case failed.Status < 400:
		failed.Reason = "a redirect, which is not followed"
		failed.Hint = "is --nautobot-url right?"
	case failed.Reason == "" && failed.Status < 500:
		failed.Hint = "not Nautobot's kind of answer: is --nautobot-url right?"
	case superuser && failed.kind != nil:
		failed.Hint = "the superuser token is not accepted"
	case superuser && failed.Status == http.StatusForbidden:
		failed.Hint = "the superuser token's account needs " + call.needs + " for this"
	}
	return failed
}

// unreadable says of an answer no more than its type: the text of a decoding
// error can quote what it could not decode.
func (c *Client) unreadable(call call, resp *http.Response) *Error {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return &Error{
		Operation: call.operation,
		Status:    resp.StatusCode,
		Reason:    fmt.Sprintf("the answer cannot be read (%s)", clean(kind, c.secrets(call))),
		Hint:      "is --nautobot-url right?",
		write:     call.write,
	}
}

func (c *Client) secrets(call call) []provision.Sensitive {
	return append([]provision.Sensitive{c.token}, call.secrets...)
}
