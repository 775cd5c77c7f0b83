//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// Whatever happens to a run for an account without a password: the next one
// leaves an account that nobody can log in to, with a token that works.
func TestFaultsOfAPIOnlyAccounts(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.env["ROTATION_GRACE"] = "0"
		for _, scenario := range []struct {
			name    string
			prepare func(t *testing.T) *fixture
		}{
			{"creation", func(t *testing.T) *fixture {
				g := f.another()
				g.saveAPIOnly(t)
				return g
			}},
			{"rotation", func(t *testing.T) *fixture {
				g := f
				g.token = g.newToken("token " + randomText())
				g.saveAPIOnly(t)
				return g
			}},
		} {
			t.Run(scenario.name, func(t *testing.T) {
				f.saveAPIOnly(t)
				f.provision(t).want(t, 0)
				f.wantPassword(t, "an empty password", "", http.StatusForbidden)
				f.wantPassword(t, "a password", f.password, http.StatusForbidden)
				healthy := scenario.prepare(t).provision(t).want(t, 0).requests
				for n, request := range healthy {
					n++
					// Before and after a read Nautobot is the same: a process that
					// is killed there is as one killed after the write before it.
					faults := []string{"500", "dropped"}[n%2 : n%2+1]
					if request.write() {
						faults = []string{"500", "dropped", "answer dropped", "killed before", "killed after"}
					}
					for _, fault := range faults {
						t.Run(fmt.Sprintf("%s %d %s", fault, n, request.Method), func(t *testing.T) {
							g := scenario.prepare(t)
							g.faultyRun(t, n, fault)
							g.proxy.spoil(nil)
							r := g.provision(t).want(t, 0)
							g.wantAPIOnly(t)
							if t.Failed() {
								t.Logf("the run that was to heal it:\n%s", r)
							}
						})
					}
				}
			})
		}
	})
}

// saveAPIOnly writes the Secret without a password.
func (f *fixture) saveAPIOnly(t *testing.T) {
	t.Helper()
	f.saveData(t, map[string]string{"username": f.username, "token": f.token})
}

// faultyRun spoils the n-th request of a run.
func (f *fixture) faultyRun(t *testing.T, n int, fault string) {
	t.Helper()
	inFlight := make(chan struct{})
	kill := func(r *http.Request, _ func() answer) answer {
		close(inFlight)
		<-r.Context().Done() // the process is dead
		panic(http.ErrAbortHandler)
	}
	spoil := map[string]fate{
		"500":            internalError,
		"dropped":        drop,
		"answer dropped": carryOutAndDrop,
		"killed before":  kill,
		"killed after": func(r *http.Request, forward func() answer) answer {
			forward()
			return kill(r, forward)
		},
	}[fault]
	f.proxy.spoil(func(i int, r *http.Request) fate {
		f.notePassword(t, r)
		if i == n {
			return spoil
		}
		return nil
	})
	child := f.start(t, "provision", f.name, "-n", f.namespace)
	if fault != "killed before" && fault != "killed after" {
		if r := child.end(); r.code != 0 && r.code != 1 {
			t.Errorf("exit code %d, want 0 or 1\n%s", r.code, r)
		}
		return
	}
	select {
	case <-inFlight:
	case <-time.After(10 * time.Minute):
		t.Errorf("no request number %d", n)
	}
	if err := child.process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.end().want(t, -1)
}

// wantAPIOnly checks the end state, and that the next run writes nothing.
func (f *fixture) wantAPIOnly(t *testing.T) {
	t.Helper()
	f.wantToken(t, "the Secret's token", f.token, http.StatusOK, "")
	if opening := f.secrets[f.openingName()]; opening != "" {
		f.wantPassword(t, "the password for a moment", opening, http.StatusForbidden)
	}
	user := f.user(t)
	if user == nil || user.Superuser || user.Staff || !user.Active || user.FirstName != "Service account" {
		t.Errorf("the account: %+v", user)
	}
	if all := f.tokens(t); len(all) != 1 {
		t.Errorf("%d tokens, want 1", len(all))
	}
	f.provision(t).want(t, 0).wantStdout(t, f.userLine("unchanged"), f.tokenLine("unchanged")).wantRequests(t, 2, 0, 0)
}

func (f *fixture) openingName() string { return "password for a moment of " + f.username }

// opening is the password that the account had for a moment.
func (f *fixture) opening(t *testing.T) string {
	t.Helper()
	if f.secrets[f.openingName()] == "" {
		t.Fatal("no request set a password")
	}
	return f.secrets[f.openingName()]
}

// internalError is what Nautobot says when it breaks.
func internalError(r *http.Request, _ func() answer) answer {
	_, _ = io.Copy(io.Discard, r.Body)
	return answer{
		http.StatusInternalServerError,
		http.Header{"Content-Type": {"application/json"}},
		[]byte(`{"error": "boom", "exception": "ProgrammingError"}`),
	}
}
