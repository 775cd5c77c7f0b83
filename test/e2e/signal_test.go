//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSignalDuringARequest(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		for _, c := range []struct {
			signal syscall.Signal
			code   int
			path   string // of the POST in flight
		}{
			{syscall.SIGTERM, 143, "/api/users/tokens/"},
			{syscall.SIGINT, 130, "/api/users/users/"},
		} {
			t.Run(c.signal.String(), func(t *testing.T) {
				f := newFixture(t, nautobot)
				f.saveSecret(t)
				h := newHold()
				f.proxy.spoil(func(_ int, r *http.Request) fate {
					if r.Method == http.MethodPost && r.URL.Path == c.path {
						return h.fate
					}
					return nil
				})
				child := f.start(t, "provision", f.name, "-n", f.namespace)
				select {
				case <-h.carriedOut:
				case <-time.After(10 * time.Minute):
					_ = child.process.Kill()
					t.Fatalf("no POST to %s\n%s", c.path, child.end())
				}
				if err := child.process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
				waitUntilTaken(t, child.process.Pid, c.signal)
				// Time to do it wrong: whoever breaks requests off does so now.
				select {
				case <-h.hungUp:
					t.Errorf("the request in flight was broken off\n%s", child.end())
					return
				case <-time.After(time.Second):
				}
				close(h.release)
				r := child.end().want(t, c.code)
				last := r.requests[len(r.requests)-1]
				if last.Method != http.MethodPost || last.Path != c.path || last.Status != http.StatusCreated {
					t.Errorf("the last request is not the one in flight\n%s", r)
				}

				f.proxy.spoil(nil)
				f.provision(t).want(t, 0)
				f.wantAccount(t)
				if all := f.tokens(t); len(all) != 1 {
					t.Errorf("%d tokens, want 1", len(all))
				}
				f.wantUnchanged(t)
			})
		}
	})
}

func TestSignalWhileWaiting(t *testing.T) {
	f := newFixture(t, nautobots[0].as(provisioner))
	f.saveSecret(t)
	asked := make(chan struct{}, 100)
	f.proxy.spoilAll(func(r *http.Request, forward func() answer) answer {
		asked <- struct{}{}
		return unavailable(r, forward)
	})
	child := f.start(t, "provision", f.name, "-n", f.namespace)
	<-asked
	<-asked // it waited once
	if err := child.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	child.end().want(t, 143) // 1, if it had waited to the end
}

// waitUntilTaken waits until a process has taken note of a signal.
func waitUntilTaken(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	deadline := time.After(10 * time.Minute)
	for again := time.NewTicker(10 * time.Millisecond); pending(t, pid, signal); {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("process %d does not take %v", pid, signal)
		}
	}
}

// pending tells whether the kernel still holds a signal for a process.
func pending(t *testing.T, pid int, signal syscall.Signal) bool {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		var mask uint64
		if name == "ShdPnd" || name == "SigPnd" {
			if _, err := fmt.Sscanf(strings.TrimSpace(value), "%x", &mask); err != nil {
				t.Fatal(err)
			}
		}
		if mask&(1<<(signal-1)) != 0 {
			return true
		}
	}
	return false
}
