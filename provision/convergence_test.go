package provision_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

var errKilled = errors.New("killed")

// faults are what may happen to one request. A run that is killed sends
// nothing more, whether its last request arrived or not.
var faults = map[string]func(kill func()) nautobottest.Fault{
	"answers 500": func(func()) nautobottest.Fault {
		return nautobottest.Answer(http.StatusInternalServerError, "application/json", `{"error": "boom", "exception": "OperationalError"}`)
	},
	"answers 503 in HTML": func(func()) nautobottest.Fault {
		return nautobottest.Answer(http.StatusServiceUnavailable, "text/html", "<h1>Service Unavailable</h1>")
	},
	"is dropped":                          func(func()) nautobottest.Fault { return nautobottest.Drop() },
	"is carried out and its answer lost":  func(func()) nautobottest.Fault { return nautobottest.CarryOutAndDrop() },
	"is carried out and answered in part": func(func()) nautobottest.Fault { return nautobottest.CutShort() },
	"hangs":                               func(func()) nautobottest.Fault { return nautobottest.Hang() },
	"loses a race":                        func(func()) nautobottest.Fault { return nautobottest.LoseRace() },
	"is the last before the process is killed": func(kill func()) nautobottest.Fault {
		kill()
		return nautobottest.Drop()
	},
	"is carried out, and the process is killed": func(kill func()) nautobottest.Fault {
		kill()
		return nautobottest.CarryOutAndDrop()
	},
}

// Whatever happens to any one request of any run, the next run brings Nautobot to
// the state that the run would have reached.
func TestEveryFaultHeals(t *testing.T) {
	t.Parallel()
	for scenario, prepare := range scenarios {
		undisturbed := newWorld(t)
		prepare(t, undisturbed)
		undisturbed.nautobot.ResetRequests()
		undisturbed.mustRun(t)
		requests := len(undisturbed.nautobot.Requests())
		want := undisturbed.state()
		undisturbed.mustBeDone(t)

		for fault, spoil := range faults {
			for n := 1; n <= requests; n++ {
				t.Run(fmt.Sprintf("%s/request %d %s", scenario, n, fault), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					prepare(t, w)
					if fault == "hangs" {
						w.timeout = 50 * time.Millisecond
					}
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					w.nautobot.ResetRequests()
					w.nautobot.Intercept(func(_ nautobottest.Request, number int) nautobottest.Fault {
						if number == n {
							return spoil(func() { cancel(errKilled) })
						}
						return nautobottest.None()
					})
					_, err := w.run(ctx)
					if refused := (*provision.Refusal)(nil); errors.As(err, &refused) {
						t.Errorf("a fault is not a reason to refuse: %v", err)
					}

					w.nautobot.Intercept(nil)
					w.timeout = 0
					w.mustRun(t)
					if diff := cmp.Diff(want, w.state()); diff != "" {
						t.Errorf("end state (-undisturbed +healed):\n%s", diff)
					}
					w.mustBeDone(t)
				})
			}
		}
	}
}

// A run that meets one passing fault recovers by itself: it looks again.
func TestOnePassingFaultIsOvercome(t *testing.T) {
	t.Parallel()
	for scenario, prepare := range scenarios {
		for _, fault := range []string{"answers 500", "is dropped", "is carried out and its answer lost", "loses a race"} {
			t.Run(scenario+"/"+fault, func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					w := newWorld(t)
					prepare(t, w)
					w.nautobot.ResetRequests()
					met := false
					w.nautobot.Intercept(func(_ nautobottest.Request, number int) nautobottest.Fault {
						if number != n {
							return nautobottest.None()
						}
						met = true
						return faults[fault](nil)
					})
					_, err := w.run(t.Context())
					w.nautobot.Intercept(nil)
					if !met {
						return
					}
					if err != nil {
						t.Errorf("request %d: %v", n, err)
						continue
					}
					w.mustBeDone(t)
				}
			})
		}
	}
}

// Healthy runs cost next to nothing.
func TestRequests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare   func(tb, *world)
		first     int // requests of the run that has something to do, at most
		healthy   int
		passwords int // healthy requests that make the server hash
	}{
		"with a password":                       {scenarios["create where the group is there"], 6 + 5, 2, 1},
		"with a password, group and permission": {withAccess, 6, 2, 1},
		"without a password":                    {scenarios["create without a password"], 7 + 5, 2, 0},
		"rotated":                               {scenarios["rotate the token"], 6, 2, 1},
		"the superuser token's own account":     {ownAccount, 6, 3, 0},
		"taken over, with the right password":   {scenarios["adopt"], 20, 2, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.prepare(t, w)
			w.nautobot.ResetRequests()
			w.mustRun(t)
			if got := len(w.nautobot.Requests()); got > test.first {
				t.Errorf("the first run sends %d requests, want at most %d: %v", got, test.first, w.nautobot.Requests())
			}
			w.nautobot.ResetRequests()
			w.mustRun(t)
			passwords := 0
			for _, request := range w.nautobot.Requests() {
				if request.Scheme == "Basic" {
					passwords++
				}
			}
			if got := len(w.nautobot.Requests()); got != test.healthy || passwords != test.passwords {
				t.Errorf("a healthy run sends %d requests, %d with a password, want %d and %d: %v",
					got, passwords, test.healthy, test.passwords, w.nautobot.Requests())
			}
		})
	}
}

// withAccess has already provisioned another account.
func withAccess(t tb, w *world) {
	w.mustRun(t)
	w.nautobot.DeleteUser(username)
}

// ownAccount is a site cluster's Secret that names the account whose token
// the runs use.
func ownAccount(_ tb, w *world) {
	w.rule.Adopt, w.rule.Superuser = true, true
	w.set("username", nautobottest.Admin)
}

// The superuser token's own account: its token is managed and nothing else.
func TestOwnAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ownAccount(t, w)
	before, _ := w.nautobot.User(nautobottest.Admin)

	w.mustRun(t)
	w.set("token", key("second"))
	w.grace = 0
	w.mustRun(t)

	after, _ := w.nautobot.User(nautobottest.Admin)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the account itself was written (-before +after):\n%s", diff)
	}
	var keys []string
	for _, token := range w.nautobot.Tokens(nautobottest.Admin) {
		keys = append(keys, token.Key)
	}
	if len(keys) != 2 || keys[0] != w.nautobot.Token || keys[1] != w.secret["token"] {
		t.Errorf("the account has %d tokens, want the one in use and the Secret's", len(keys))
	}
	w.nautobot.ResetRequests()
	w.mustRun(t)
	if writes := w.nautobot.Writes(); len(writes) > 0 {
		t.Errorf("another run writes: %v", writes)
	}
}

// The superuser token may itself come from a managed Secret: it is never ended,
// not even if everything else is.
func TestSuperuserTokenIsNeverEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ownAccount(t, w)
	w.rule.Exclusive = true
	w.grace = 0
	w.nautobot.UpdateToken(w.nautobot.Token, func(token *nautobottest.Token) { token.Description = description })
	w.mustRun(t)
	for _, token := range w.nautobot.Tokens(nautobottest.Admin) {
		if token.Key == w.nautobot.Token && token.Expires.IsZero() {
			return
		}
	}
	t.Error("the token that the run uses was ended")
}

// foreign are answers that are not Nautobot's own, or that say nothing about
// what was asked for.
var foreign = map[string]nautobottest.Fault{
	"403 in HTML":              nautobottest.Answer(http.StatusForbidden, "text/html", "<html>blocked by the firewall</html>"),
	"403 without a body":       nautobottest.Answer(http.StatusForbidden, "", ""),
	"403 in JSON of a gateway": nautobottest.Answer(http.StatusForbidden, "application/json", `{"message":"forbidden","code":16}`),
	"401 in JSON of a gateway": nautobottest.Answer(http.StatusUnauthorized, "application/json", `{"error":"unauthorized"}`),
	"404 of a load balancer":   nautobottest.Answer(http.StatusNotFound, "text/plain", "default backend - 404"),
	"407 of a proxy":           nautobottest.Answer(http.StatusProxyAuthRequired, "text/html", "<html>log in</html>"),
	"200 in HTML":              nautobottest.Answer(http.StatusOK, "text/html", "<html>please log in</html>"),
	"204 without a body":       nautobottest.Answer(http.StatusNoContent, "", ""),
	"400 of a web server":      nautobottest.Answer(http.StatusBadRequest, "text/html", "<html>Bad Request</html>"),
}

// Whatever something in front of Nautobot answers to any one request of any run,
// it is never a refusal, and the next run brings Nautobot to where it should be.
func TestForeignAnswersAreNeverARefusal(t *testing.T) {
	t.Parallel()
	for scenario, prepare := range scenarios {
		for answer, fault := range foreign {
			t.Run(scenario+"/"+answer, func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					w := newWorld(t)
					w.direct = true
					prepare(t, w)
					w.nautobot.ResetRequests()
					met, kind := false, ""
					w.nautobot.Intercept(func(r nautobottest.Request, number int) nautobottest.Fault {
						if number == n {
							met, kind = true, r.Method+" "+r.Path
						}
						if kind != r.Method+" "+r.Path { // from then on it answers all of this kind
							return nautobottest.None()
						}
						return fault
					})
					_, err := w.run(t.Context())
					w.nautobot.Intercept(nil)
					if !met {
						return
					}
					if isRefused(err) {
						t.Errorf("request %d, %s: refused: %v", n, kind, err)
					}
					w.mustRun(t)
					w.mustBeDone(t)
				}
			})
		}
	}
}

// A throttled request did nothing: it is sent again, a write like a read.
func TestThrottledRequestsAreSentAgain(t *testing.T) {
	t.Parallel()
	for scenario, prepare := range scenarios {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.direct = true
			prepare(t, w)
			throttled := 0
			w.nautobot.Intercept(func(_ nautobottest.Request, number int) nautobottest.Fault {
				if number%2 == 0 {
					return nautobottest.None()
				}
				throttled++
				return nautobottest.Answer(http.StatusTooManyRequests, "application/json", `{"detail":"Request was throttled."}`)
			})
			_, err := w.run(t.Context())
			w.nautobot.Intercept(nil)
			if err != nil || throttled < 2 {
				t.Errorf("error %v after %d throttled requests", err, throttled)
			}
			w.mustBeDone(t)
		})
	}
}
