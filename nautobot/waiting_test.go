package nautobot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// passing are the ways in which Nautobot is not there for a while.
var passing = map[string]nautobottest.Fault{
	"it breaks connections":      nautobottest.Drop(),
	"it breaks off its answers":  nautobottest.CutShort(),
	"it answers 500":             nautobottest.Answer(500, "application/json", `{"error":"`+key+`"}`),
	"a proxy answers 502":        nautobottest.Answer(502, "text/html", "<html>"),
	"it answers 503":             nautobottest.Answer(503, "application/json", `{"detail":"down"}`),
	"it is asked too often, 429": nautobottest.Answer(429, "application/json", `{"detail":"throttled"}`),
}

func TestReadsAreRepeatedUntilNautobotIsThere(t *testing.T) {
	for name, fault := range passing {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nautobottest.Options{})
			f.Intercept(func(_ nautobottest.Request, n int) nautobottest.Fault {
				if n <= 3 {
					return fault
				}
				return nautobottest.None()
			})
			user, _, err := f.FindUser(t.Context(), account)
			if err != nil || user == nil {
				t.Errorf("User = %v, %v, want the account", user, err)
			}
			if n := len(f.Requests()); n != 4 {
				t.Errorf("%d requests, want 4", n)
			}
		})
	}
}

func TestWritesAreNeverRepeated(t *testing.T) {
	for name, fault := range passing {
		t.Run(name, func(t *testing.T) {
			for _, op := range operations {
				if !op.write {
					continue
				}
				f := newFixture(t, nautobottest.Options{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f.Intercept(func(_ nautobottest.Request, n int) nautobottest.Fault {
					if n > 1 {
						cancel() // seen enough
					}
					return fault
				})
				if err := op.call(ctx, f.Client); err == nil {
					t.Errorf("%s: no error", op.name)
				}
				if n := len(f.Requests()); n != 1 {
					t.Errorf("%s: %d requests, want 1", op.name, n)
				}
			}
		})
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	for _, status := range []int{301, 400, 401, 403, 404, 405, 406} {
		f := newFixture(t, nautobottest.Options{})
		f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
			return nautobottest.Answer(status, "application/json", `{"detail":"no"}`)
		})
		if _, _, err := f.FindUser(t.Context(), account); err == nil {
			t.Errorf("%d: no error", status)
		}
		if n := len(f.Requests()); n != 1 {
			t.Errorf("%d: %d requests, want 1", status, n)
		}
	}
}

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// The pauses grow to the longest one, and the log tells of each.
func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &buffer{}
		client := newClient(t, "http://127.0.0.1:1", "canary-superuser")
		client.log = textLog(log)
		client.pause = firstPause
		var at []time.Duration
		start := time.Now()
		_, err := do[nothing](t.Context(), client, asSuperuser("find user", ""), func(context.Context) (*http.Response, error) {
			at = append(at, time.Since(start))
			if len(at) == 7 {
				return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
			}
			return nil, refused
		})
		if err != nil {
			t.Fatal(err)
		}
		const half = 500 * time.Millisecond
		if want := []time.Duration{0, half, 3 * half, 7 * half, 15 * half, 25 * half, 35 * half}; !slices.Equal(at, want) {
			t.Errorf("asked at %v, want %v", at, want)
		}
		if got := strings.Count(log.String(), "waiting for Nautobot"); got != 6 {
			t.Errorf("%d lines about waiting, want 6:\n%s", got, log)
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "http://127.0.0.1:1", "canary-superuser")
		client.pause = firstPause
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("the --timeout of 10s is over"))
		defer cancel()
		start := time.Now()
		_, err := do[nothing](ctx, client, asSuperuser("find user", ""), func(context.Context) (*http.Response, error) {
			return nil, refused
		})
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
		if err == nil || !strings.Contains(err.Error(), "find user: no answer from Nautobot: dial tcp: connection refused") {
			t.Errorf("error is %v, want the last reason", err)
		}
	})
}

func TestEachRequestHasItsOwnLimit(t *testing.T) {
	tests := map[string]struct {
		timeout time.Duration // of the context
		want    time.Duration // until the request's deadline
	}{
		"the request's own":                   {time.Hour, requestTimeout},
		"what is left of the run, if shorter": {3 * time.Second, 3 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t, "http://127.0.0.1:1", "canary-superuser")
				client.pause = 0
				ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
				defer cancel()
				var got time.Duration
				_, _ = do[nothing](ctx, client, asSuperuser("x", "").writing(), func(ctx context.Context) (*http.Response, error) {
					deadline, _ := ctx.Deadline()
					got = time.Until(deadline)
					return nil, refused
				})
				if got != tc.want {
					t.Errorf("deadline in %v, want %v", got, tc.want)
				}
			})
		})
	}
}

var errSignal = errors.New("stopped by a signal: terminated")

// A signal lets the request in flight finish, so that nobody has to guess
// whether it was carried out; no further one is sent.
func TestSignalFinishesTheRequestInFlight(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancelCause(t.Context())
		f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
			cancel(errSignal)
			return nautobottest.None()
		})
		made, err := f.CreateUser(ctx, provision.UserFields{Username: "new"})
		if err != nil || made.Username != "new" {
			t.Errorf("CreateUser = %v, %v, want the user", made, err)
		}
		for _, op := range operations {
			err := op.call(ctx, f.Client)
			if !errors.Is(err, errSignal) || errors.Is(err, provision.ErrUncertain) {
				t.Errorf("%s after the signal: error is %v, want %v", op.name, err, errSignal)
			}
		}
		if n := len(f.Requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestSignalBetweenPagesEndsTheList(t *testing.T) {
	f := newFixture(t, nautobottest.Options{MaxPageSize: 2})
	for i := range 5 {
		f.AddToken(account, nautobottest.Token{Key: fmt.Sprintf("canary%034d", i)})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		cancel(errSignal)
		return nautobottest.None()
	})
	if tokens, err := f.Client.Tokens(ctx, byPassword); !errors.Is(err, errSignal) {
		t.Errorf("%d tokens, error %v, want %v", len(tokens), err, errSignal)
	}
	if n := len(f.Requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestSignalEndsTheWaiting(t *testing.T) {
	f := newFixture(t, nautobottest.Options{})
	f.pause = forever
	ctx, cancel := context.WithCancelCause(t.Context())
	f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		cancel(errSignal)
		return nautobottest.Answer(503, "text/html", "<html>")
	})
	_, _, err := f.FindUser(ctx, account)
	checkError(t, err, "gave up waiting: find user: Nautobot answered 503")
}
