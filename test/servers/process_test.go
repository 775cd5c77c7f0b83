package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// notReady is a probe that never succeeds.
func notReady(context.Context) error { return errors.New("not ready") }

func TestProcessThatEndsEarly(t *testing.T) {
	p, err := startProcess(t.TempDir(), "early", syscall.SIGTERM, exec.Command("sh", "-c", "echo the reason; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	err = p.ready(t.Context(), notReady)
	if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "early.log") {
		t.Errorf("ready: %v; want the end of the log and its name", err)
	}
	p.stop() // of an ended process
}

func TestProcessThatIsNotReady(t *testing.T) {
	p, err := startProcess(t.TempDir(), "slow", syscall.SIGTERM, exec.Command("sleep", "60"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = p.ready(ctx, notReady)
	if err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("ready: %v; want what the probe said", err)
	}
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	command := exec.Command("sh", "-c", "sleep 60 & echo started >&3; wait")
	command.ExtraFiles = []*os.File{writer}
	p, err := startProcess(t.TempDir(), "parent", syscall.SIGTERM, command)
	if err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if line, err := bufio.NewReader(reader).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	p.stop()
	if p.running() {
		t.Error("still running after stop")
	}
	// The pipe ends when nobody has it open any more.
	_ = reader.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := reader.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("its child is still running after stop: %v", err)
	}
}

// What stop has ended is not running, however soon somebody asks.
func TestStoppedIsNotRunning(t *testing.T) {
	for range 100 {
		p, err := startProcess(t.TempDir(), "short", syscall.SIGTERM, exec.Command("true"))
		if err != nil {
			t.Fatal(err)
		}
		p.stop()
		if p.running() {
			t.Fatal("running after stop")
		}
	}
}

func TestRunIsCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := run(ctx, exec.Command("sleep", "infinity")); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestStartTriesAnotherPort(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, c := range []struct {
		says  string
		tries int
	}{
		{"bind: Address already in use", 2},
		{"no such file", 1},
	} {
		tries := 0
		_, err := startInRunDir(t.Context(), "example", func(ctx context.Context, dir string) (any, error) {
			tries++
			p, err := startProcess(dir, "server", syscall.SIGTERM, exec.Command("echo", c.says))
			if err != nil {
				return nil, err
			}
			return nil, p.ready(ctx, notReady)
		})
		if tries != c.tries {
			t.Errorf("%s: %d tries, want %d", c.says, tries, c.tries)
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v; want what the server said: %s", err, c.says)
		}
	}
	kept, _ := os.ReadDir(os.TempDir())
	if len(kept) != 2 {
		t.Errorf("%d directories kept, want that of each failed start", len(kept))
	}
}

func TestLockedCacheExcludesOthers(t *testing.T) {
	t.Setenv("NAUTOBOT_TOKEN_CACHE", t.TempDir())
	_, unlock, err := lockedCache(t.Context(), "example")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := lockedCache(ctx, "example"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	if _, unlock, err = lockedCache(t.Context(), "example"); err != nil {
		t.Errorf("after unlock: %v", err)
	} else {
		unlock()
	}
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := freePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] {
			t.Error(fmt.Sprint(ports))
		}
		seen[port] = true
	}
}
