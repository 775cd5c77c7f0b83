package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const (
	firstPause   = 500 * time.Millisecond
	longestPause = 5 * time.Second
	// longestRetryAfter is the longest that a server can make us wait.
	longestRetryAfter = 30 * time.Second
)

// patiently asks until there is an answer, or an error that does not go away by
// itself, or Patience or ctx ends. If ctx ends, the first reason to wait best
// explains what is wrong.
func (c *Client) patiently(ctx context.Context, ask func() error) error {
	backoff := wait.Backoff{Duration: c.pause, Factor: 2, Jitter: 0.2, Steps: 100, Cap: max(c.pause, longestPause)}
	var first error
	began := time.Now()
	for {
		err := ask()
		if err != nil && first != nil && ctx.Err() != nil {
			return fmt.Errorf("%w: %w", provision.ErrOutOfTime, first)
		}
		if err == nil || !temporary(err) {
			return err
		}
		if first == nil {
			first = err
		}
		pause := backoff.Step()
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok && seconds > 0 {
			pause = min(time.Duration(seconds)*time.Second, longestRetryAfter)
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
			return fmt.Errorf("%w: %w", provision.ErrOutOfTime, first)
		}
		if c.Patience > 0 && time.Since(began)+pause > c.Patience {
			return first
		}
		if c.Log != nil {
			c.Log.Warn("waiting for the Kubernetes API server", "error", oneLine(err).Error())
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", provision.ErrOutOfTime, first)
		}
	}
}

// temporary reports whether the same read may succeed a little later. Waiting does
// not help with a bad certificate, a missing right or a missing Secret.
func temporary(err error) bool {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		code := status.ErrStatus.Code
		return code == http.StatusTooManyRequests || code >= 500
	}
	return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) ||
		utilnet.IsTimeout(err) || utilnet.IsHTTP2ConnectionLost(err)
}

// reworded removes from an error the words of anybody but the API server:
// client-go quotes what a proxy sends.
func reworded(err error) error {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if ok && apierrors.IsUnexpectedServerError(err) && status.ErrStatus.Code != http.StatusTooManyRequests {
		status.ErrStatus.Message = elsewhere(status.ErrStatus.Code).Error()
	}
	return err
}

// elsewhere is the error of an answer whose status anything may have sent.
func elsewhere(status int32) error {
	return fmt.Errorf("the answer was %d, not in the Kubernetes API server's words: does something else answer there?", status)
}

// errNotKubernetes is for an answer that no API server would give.
var errNotKubernetes = errors.New("the server is not a Kubernetes API server")

const maxError = 500 // bytes

// oneLine makes an error fit on a log line: some of client-go's have several
// lines, with what a server or a plug-in printed.
func oneLine(err error) error {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool {
		return r == ' ' || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
	}), " ")
	if len(text) > maxError {
		text = cut(text, maxError) + "..."
	}
	return lineError{text, err}
}

type lineError struct {
	text  string
	cause error
}

func (e lineError) Error() string { return e.text }
func (e lineError) Unwrap() error { return e.cause }
