//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

var (
	binary    string // the program under test
	cluster   *servers.ControlPlane
	nautobots []*server
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// runAll builds the program, starts all servers, and stops them after the
// tests.
func runAll(m *testing.M) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "nautobot-token")
	if err := build(ctx, binary); err != nil {
		return 0, err
	}
	defer stopServers()
	if err := startServers(ctx, "3.2.7", "2.4.44"); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func build(ctx context.Context, to string) error {
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", to,
		"github.com/rackerlabs/understack/go/nautobot-token")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// startServers starts them side by side, and returns when all are up or one
// has failed. What did start is stopped by stopServers.
func startServers(ctx context.Context, versions ...string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if cluster, err = servers.StartControlPlane(ctx); err != nil {
			cancel(err)
		}
	})
	nautobots = make([]*server, len(versions))
	for i, version := range versions {
		wg.Go(func() {
			var err error
			if nautobots[i], err = startServer(ctx, version); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func stopServers() {
	if cluster != nil {
		cluster.Stop()
	}
	for _, nautobot := range nautobots {
		if nautobot != nil {
			nautobot.Stop()
		}
	}
}
