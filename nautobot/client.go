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
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Config says which Nautobot, and with whose rights.
type Config struct {
	URL       *url.URL // origin, and a path if Nautobot is not at the root
	Roots     *x509.CertPool
	Token     provision.Sensitive // the superuser token
	UserAgent string
	Log       *slog.Logger
	// Timeout is how long one request may take; 0: 20 s.
	Timeout time.Duration
	// Pause is how long to wait before a request is sent again, twice as long
	// each time, up to about 5 s; 0: half a second.
	Pause time.Duration
	// Patience is how long one request is repeated; 0: until its context ends.
	Patience time.Duration
	// Transport replaces the network in tests; nil: the network.
	Transport http.RoundTripper
	// Proxy finds the proxy for an https request; nil: the environment's.
	Proxy func(*http.Request) (*url.URL, error)
}

const (
	requestTimeout = 20 * time.Second
	firstPause     = 500 * time.Millisecond
	longestPause   = 5 * time.Second
	// longestRetryAfter is the longest that a server can make us wait.
	longestRetryAfter = 30 * time.Second
	// foreignRepeats is how often a read that something other than Nautobot
	// refused is sent again: a firewall may take a moment to let us through.
	foreignRepeats = 3
)

// Client is a provision.Nautobot.
type Client struct {
	api   *nb.UsersAPIService
	token provision.Sensitive
	log   *slog.Logger
	// As in Config, with the defaults.
	pause, perTry, patience time.Duration
}

var _ provision.Nautobot = (*Client)(nil)

// New makes a client. It does not connect yet.
func New(config Config) *Client {
	settings := nb.NewConfiguration()
	settings.Servers = nb.ServerConfigurations{{URL: strings.TrimRight(config.URL.String(), "/") + "/api"}}
	settings.UserAgent = config.UserAgent
	settings.HTTPClient = newHTTPClient(config)
	return &Client{
		api:    nb.NewAPIClient(settings).UsersAPI,
		token:  config.Token,
		log:    config.Log,
		pause:  cmp.Or(config.Pause, firstPause),
		perTry: cmp.Or(config.Timeout, requestTimeout),

		patience: config.Patience,
	}
}

// call is one request: who asks, and for what.
type call struct {
	operation string
	needs     string          // the permission that the superuser token's account needs
	login     provision.Login // empty: the superuser token
	anonymous bool            // without any credentials
	secrets   []provision.Sensitive
	write     bool
	many      bool // a list of several holders' objects: one that is too large is skipped
}

// asSuperuser is a read with the superuser token's rights.
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

func (c call) byPassword() bool { return !c.login.Password.Empty() }

func (c call) bySuperuser() bool {
	return !c.anonymous && c.login.Password.Empty() && c.login.Token.Empty()
}

// context puts the credentials where go-nautobot looks for them: always
// exactly one of the two kinds, or none for an anonymous call.
func (c *Client) context(ctx context.Context, call call) context.Context {
	token := c.token
	switch {
	case call.anonymous:
		return ctx
	case call.byPassword():
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
// use and returns what go-nautobot's Execute returned, without the model. The
// request is sent again if that may help and can do no harm, until ctx ends: see
// again.
func do[T any](ctx context.Context, c *Client, call call, send func(context.Context) (*http.Response, error)) (T, error) {
	backoff := wait.Backoff{Duration: c.pause, Factor: 2, Jitter: 0.2, Steps: 100, Cap: max(c.pause, longestPause)}
	foreign := 0
	var first error // best explains why we wait
	began := time.Now()
	for {
		value, err := once[T](ctx, c, call, send)
		if err != nil && first != nil && ctx.Err() != nil {
			return value, gaveUp(first)
		}
		failed, ok := errors.AsType[*Error](err)
		if !ok || !failed.again(foreign) {
			return value, err
		}
		if failed.foreign {
			foreign++
		}
		first = cmp.Or(first, err)
		pause, about := failed.retryAfter, failed.retryAfter
		if pause == 0 {
			about = backoff.Duration // without the jitter
			pause = backoff.Step()
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
			return value, gaveUp(first)
		}
		if c.patience > 0 && time.Since(began)+pause > c.patience {
			return value, first
		}
		c.log.Warn("waiting for Nautobot", "error", err.Error(), "pause", about.String())
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return value, gaveUp(first)
		}
	}
}

func gaveUp(why error) error { return fmt.Errorf("%w: %w", provision.ErrOutOfTime, why) }

// once sends the request once. A signal does not interrupt it: ctx is checked
// beforehand, and during the request only its deadline counts.
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
	if failed == nil {
		if err := decode(resp, &value); err != nil {
			failed = c.unreadable(call, resp, err)
		}
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

// secrets returns the secrets that a request knows. Nautobot's API accepts only
// tokens of 40 characters; the superuser's can be shorter, since Nautobot's own
// setup does not check.
func (c *Client) secrets(call call) []secret {
	all := []secret{{c.token, true}}
	for _, text := range call.secrets {
		all = append(all, secret{text, len(text.Reveal()) == keyLength})
	}
	return all
}
