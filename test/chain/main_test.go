//go:build e2e

package chain

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

// What all tests share.
var (
	cluster  *servers.Cluster
	nautobot *servers.Nautobot
)

const (
	imageRepository = "test.invalid/nautobot-token"
	imageTag        = "test"
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chain:", redact(err.Error()))
		code = 1
	}
	os.Exit(code)
}

// runAll starts the cluster with Argo Events and the image, and Nautobot, and
// stops all of it after the tests.
func runAll(m *testing.M) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer stopServers()
	if err := startServers(ctx); err != nil {
		return 0, err
	}
	if err := install(ctx); err != nil {
		return 0, err
	}
	code := m.Run()
	return code, nothingLeaks(ctx)
}

func startServers(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if nautobot, err = servers.StartNautobot(ctx, "3.2.7"); err != nil {
			cancel(err)
			return
		}
		keepSecret("superuser token", nautobot.Token)
		keepSecret("superuser password", nautobot.Password)
	})
	wg.Go(func() {
		if err := startCluster(ctx); err != nil {
			cancel(err)
		}
	})
	wg.Wait()
	return context.Cause(ctx)
}

func startCluster(ctx context.Context) (err error) {
	if cluster, err = servers.StartCluster(ctx); err != nil {
		return err
	}
	if err := cluster.InstallArgoEvents(ctx); err != nil {
		return err
	}
	archive := filepath.Join(cluster.Dir(), "nautobot-token.tar")
	if out, err := exec.CommandContext(ctx, "../image/build.sh", archive, imageRepository+":"+imageTag).CombinedOutput(); err != nil {
		return fmt.Errorf("build the image: %w\n%s", err, out)
	}
	return cluster.LoadImage(ctx, archive)
}

func stopServers() {
	if cluster != nil {
		cluster.Stop()
	}
	if nautobot != nil {
		nautobot.Stop()
	}
}
