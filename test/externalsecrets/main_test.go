//go:build e2e

package externalsecrets

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
	binary       string // the program
	cluster      *servers.ControlPlane
	controller   *servers.ExternalSecrets
	openBao      *servers.OpenBao
	passwordSafe *servers.PasswordSafe
	nautobot     *servers.Nautobot
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "externalsecrets:", err)
		code = 1
	}
	os.Exit(code)
}

// runAll builds the program, starts all servers, and stops them after the
// tests.
func runAll(m *testing.M) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "externalsecrets-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "nautobot-token")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", binary,
		"github.com/rackerlabs/understack/go/nautobot-token")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	defer stopServers()
	if err := startServers(ctx); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// startServers starts them side by side, and returns when all are up or one
// has failed. What did start is stopped by stopServers.
func startServers(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	passwordSafe = servers.StartPasswordSafe()
	var wg sync.WaitGroup
	for _, start := range []func() error{
		func() (err error) {
			if cluster, err = servers.StartControlPlane(ctx); err == nil {
				controller, err = servers.StartExternalSecrets(ctx, cluster.Kubeconfig)
			}
			return err
		},
		func() (err error) {
			openBao, err = servers.StartOpenBao(ctx)
			return err
		},
		func() (err error) {
			nautobot, err = servers.StartNautobot(ctx, "3.2.7")
			return err
		},
	} {
		wg.Go(func() {
			if err := start(); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func stopServers() {
	if controller != nil {
		controller.Stop()
	}
	if cluster != nil {
		cluster.Stop()
	}
	if openBao != nil {
		openBao.Stop()
	}
	passwordSafe.Stop()
	if nautobot != nil {
		nautobot.Stop()
	}
}
