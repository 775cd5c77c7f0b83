package nautobot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	nb "github.com/nautobot/go-nautobot/v2"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// temporary are the ways in which Nautobot can be unavailable for a while.
var temporary = map[string]nautobottest.Fault{
	"it breaks connections":     nautobottest.Drop(),
	"it breaks off its answers": nautobottest.CutShort(),
	"it answers 500":            nautobottest.Answer(500, "application/json", `{"error":"`+key+`"}`),
	"a proxy answers 502":       nautobottest.Answer(502, "text/html", "<html>"),
	"it answers 503":            nautobottest.Answer(503, "application/json", `{"detail":"down"}`),
}

func TestReadsAreRepeatedUntilNautobotIsThere(t *testing.T) {
	for name, fault := range temporary {
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
	for name, fault := range temporary {
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

// The pauses grow to the longest one, each randomly up to a fifth longer, and the
// log reports each.
func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &buffer{}
		client := newClient(t, "http://127.0.0.1:1", "canary-superuser")
		client.log = textLog(log)
		client.pause = firstPause
		var pauses []time.Duration
		last := time.Now()
		_, err := do[nothing](t.Context(), client, asSuperuser("find user", ""), func(context.Context) (*http.Response, error) {
			pauses = append(pauses, time.Since(last))
			last = time.Now()
			if len(pauses) == 7 {
				return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
			}
			return nil, refused
		})
		if err != nil {
			t.Fatal(err)
		}
		const half = 500 * time.Millisecond
		for i, want := range []time.Duration{0, half, 2 * half, 4 * half, 8 * half, longestPause, longestPause} {
			if got := pauses[i]; got < want || got > want*6/5 {
				t.Errorf("pause %d is %v, want %v to %v", i, got, want, want*6/5)
			}
		}
		if got := strings.Count(log.String(), "waiting for Nautobot"); got != 6 {
			t.Errorf("%d lines about waiting, want 6:\n%s", got, log)
		}
	})
}

// Whoever waits is told why it began, not that the time ran out at its end.
func TestGivingUp(t *testing.T) {
	const html = "text/html"
	answer := func(status int, header http.Header) func(context.Context) (*http.Response, error) {
		return func(context.Context) (*http.Response, error) {
			resp := &http.Response{StatusCode: status, Header: header, Body: http.NoBody}
			return resp, &nb.GenericOpenAPIError{}
		}
	}
	hang := func(ctx context.Context) (*http.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	tests := map[string]struct {
		timeout time.Duration
		answers []func(context.Context) (*http.Response, error) // the last one is repeated
		write   bool
		want    string
		took    time.Duration // at most
	}{
		"at once where the pause is longer than the time left": {
			timeout: 400 * time.Millisecond, answers: []func(context.Context) (*http.Response, error){answer(503, nil)},
			want: "gave up waiting: x: Nautobot answered 503",
		},
		"with the first reason, where the last request times out": {
			timeout: 3 * time.Second, answers: []func(context.Context) (*http.Response, error){answer(503, nil), hang},
			want: "gave up waiting: x: Nautobot answered 503", took: 3 * time.Second,
		},
		"with the first reason, if there are several": {
			timeout: 3 * time.Second, answers: []func(context.Context) (*http.Response, error){answer(502, nil), answer(504, nil)},
			want: "gave up waiting: x: Nautobot answered 502", took: 3 * time.Second,
		},
		"where the server wants more time than there is": {
			timeout: 9 * time.Second, answers: []func(context.Context) (*http.Response, error){answer(429, http.Header{"Retry-After": {"10"}})},
			want: "gave up waiting: x: Nautobot answered 429",
		},
		"of a write that was not carried out": {
			timeout: 25 * time.Second, answers: []func(context.Context) (*http.Response, error){answer(429, http.Header{"Retry-After": {"10"}})}, write: true,
			want: "gave up waiting: x: Nautobot answered 429", took: 20 * time.Second,
		},
		"with a reason that is not the time, where one comes": {
			timeout: time.Minute,
			answers: []func(context.Context) (*http.Response, error){answer(503, nil), answer(403, http.Header{"Content-Type": {html}})},
			want:    "x: the answer was 403: an empty body" + foreignHint, took: 10 * time.Second,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t, "http://127.0.0.1:1", "canary-superuser")
				client.pause = firstPause
				ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
				defer cancel()
				start, sent := time.Now(), 0
				call := asSuperuser("x", "")
				call.write = tc.write
				_, err := do[nothing](ctx, client, call, func(ctx context.Context) (*http.Response, error) {
					sent++
					return tc.answers[min(sent, len(tc.answers))-1](ctx)
				})
				checkError(t, err, tc.want)
				if took := time.Since(start); took > tc.took {
					t.Errorf("took %v, want at most %v", took, tc.took)
				}
			})
		})
	}
}

// A run that is stopped while it waits says why it waited, whichever of the
// two it notices first.
func TestStoppedWhileWaiting(t *testing.T) {
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		client := newClient(t, "http://127.0.0.1:1", "canary-superuser")
		client.log = textLog(writer(func(text []byte) {
			if strings.Contains(string(text), "waiting") {
				cancel()
			}
		}))
		client.pause = 0
		_, err := do[nothing](ctx, client, asSuperuser("x", ""), func(context.Context) (*http.Response, error) { return nil, refused })
		checkError(t, err, "gave up waiting: x: no answer from Nautobot: dial tcp: connection refused")
	}
}

type writer func([]byte)

func (w writer) Write(text []byte) (int, error) {
	w(text)
	return len(text), nil
}

// A server that is asked too often did nothing: writes are sent again too.
func TestRetryAfterIsWaitedFor(t *testing.T) {
	tests := map[string]struct {
		header string
		want   time.Duration
	}{
		"seconds":             {"7", 7 * time.Second},
		"more than we wait":   {"86400", longestRetryAfter},
		"a time":              {"Sat, 01 Jan 2000 00:00:09 GMT", 9 * time.Second}, // synctest begins at 00:00:00
		"a time that is over": {"Fri, 31 Dec 1999 23:59:59 GMT", firstPause},
		"nothing":             {"", firstPause},
		"nonsense":            {"soon", firstPause},
		"a negative number":   {"-5", firstPause},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, write := range []bool{false, true} {
					// synctest's clock goes on from one round to the next.
					if write && strings.HasSuffix(tc.header, "GMT") {
						continue
					}
					client := newClient(t, "http://127.0.0.1:1", "canary-superuser")
					client.pause = firstPause
					call := asSuperuser("x", "")
					call.write = write
					start, sent := time.Now(), 0
					_, err := do[nothing](t.Context(), client, call, func(context.Context) (*http.Response, error) {
						if sent++; sent == 2 {
							return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
						}
						return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {tc.header}}, Body: http.NoBody}, &nb.GenericOpenAPIError{}
					})
					if took := time.Since(start); err != nil || took < tc.want || took > tc.want*6/5 {
						t.Errorf("write: %v: waited %v, error %v, want %v to %v", write, took, err, tc.want, tc.want*6/5)
					}
				}
			})
		})
	}
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
// whether it was carried out; no more are sent.
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

// What a broken connection means does not depend on the account's name, which is
// in the URL.
func TestNameOfAnAccountIsNotAnError(t *testing.T) {
	address, _ := url.Parse("https://nautobot.example.org")
	tries := 0
	client := New(Config{
		URL: address, Token: provision.Hide(key), Log: slog.New(slog.DiscardHandler), Pause: time.Millisecond,
		Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			if tries++; tries < 3 {
				return nil, errors.New("http2: server sent GOAWAY and closed the connection")
			}
			return &http.Response{
				StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(strings.NewReader(`{"count":0,"results":[]}`)),
			}, nil
		}),
	})
	if user, _, err := client.FindUser(t.Context(), "malformed"); user != nil || err != nil || tries != 3 {
		t.Errorf("%v, error %v, after %d tries", user, err, tries)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }
