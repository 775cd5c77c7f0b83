//go:build e2e

package chain

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// What all tests share.
var (
	cluster         *servers.Cluster
	nautobot        *servers.Nautobot
	externalSecrets *servers.ExternalSecrets
	openBao         *servers.OpenBao
	passwordSafe    *servers.PasswordSafe
)

const (
	imageRepository = "test.invalid/nautobot-token"
	imageTag        = "test"
)

func TestMain(m *testing.M) {
	// Those that need nothing for themselves run at the same time, when the others
	// are done. They wait more than they compute.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
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
	passwordSafe = servers.StartPasswordSafe()
	keepSecret("API key of the web API", passwordSafe.APIKey)
	defer stopServers()
	if err := servers.Together(ctx, startCluster, startNautobot, startOpenBao); err != nil {
		return 0, err
	}
	if err := install(ctx); err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { // nobody tells the tests
		stopServers()
		os.Exit(1)
	})()
	code := m.Run()
	return code, nothingLeaks(ctx)
}

func startNautobot(ctx context.Context) (err error) {
	if nautobot, err = servers.StartNautobot(ctx, "3.2.7", servers.CheapPasswords); err != nil {
		return err
	}
	keepSecret("superuser token", nautobot.Token)
	keepSecret("superuser password", nautobot.Password)
	return nil
}

func startOpenBao(ctx context.Context) (err error) {
	if openBao, err = servers.StartOpenBao(ctx); err != nil {
		return err
	}
	keepSecret("token of OpenBao", openBao.Token)
	return nil
}

func startCluster(ctx context.Context) (err error) {
	if cluster, err = servers.StartCluster(ctx); err != nil {
		return err
	}
	if err := cluster.InstallArgoEvents(ctx); err != nil {
		return err
	}
	if externalSecrets, err = servers.StartExternalSecrets(ctx, cluster.Kubeconfig); err != nil {
		return err
	}
	archive := filepath.Join(cluster.Dir(), "nautobot-token.tar")
	if out, err := exec.CommandContext(ctx, "../image/build.sh", archive, imageRepository+":"+imageTag).CombinedOutput(); err != nil {
		return fmt.Errorf("build the image: %w\n%s", err, out)
	}
	return cluster.LoadImage(ctx, archive)
}

func stopServers() {
	passwordSafe.Stop()
	if externalSecrets != nil {
		externalSecrets.Stop()
	}
	if openBao != nil {
		openBao.Stop()
	}
	if cluster != nil {
		cluster.Stop()
	}
	if nautobot != nil {
		nautobot.Stop()
	}
}
