//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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
	if err := servers.BuildProgram(ctx, binary); err != nil {
		return 0, err
	}
	defer stopServers()
	if err := servers.Together(ctx, startCluster, startNautobots); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func startCluster(ctx context.Context) (err error) {
	cluster, err = servers.StartControlPlane(ctx)
	return err
}

func startNautobots(ctx context.Context) error {
	nautobots = make([]*server, len(servers.NautobotVersions))
	var starts []func(context.Context) error
	for i, version := range servers.NautobotVersions {
		starts = append(starts, func(ctx context.Context) (err error) {
			nautobots[i], err = startServer(ctx, version)
			return err
		})
	}
	return servers.Together(ctx, starts...)
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
