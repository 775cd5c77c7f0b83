//go:build e2e

package examples

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

const (
	root   = "../.." // of the module
	folder = root + "/examples"
)

var (
	binary   string // the program under test
	global   *servers.ControlPlane
	site     *servers.ControlPlane
	nautobot *servers.Nautobot
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "examples:", err)
		code = 1
	}
	os.Exit(code)
}

// runAll builds the program, starts all servers, and stops them after the
// tests.
func runAll(m *testing.M) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "examples-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "nautobot-token")
	if err := servers.BuildProgram(ctx, binary); err != nil {
		return 0, err
	}
	defer stopServers()
	if err := servers.Together(ctx, startGlobal, startSite, startNautobot); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func startGlobal(ctx context.Context) (err error) {
	global, err = startCluster(ctx, servers.ArgoEventsCRDs, servers.ExternalSecretsCRDs, servers.ArgoCDCRDs, servers.SealedSecretsCRDs)
	return err
}

func startSite(ctx context.Context) (err error) {
	site, err = startCluster(ctx, servers.ArgoEventsCRDs)
	return err
}

func startNautobot(ctx context.Context) (err error) {
	nautobot, err = servers.StartNautobot(ctx, "3.2.7")
	return err
}

// startCluster starts a control plane with the namespaces of the examples,
// where Pod Security restricted is enforced.
func startCluster(ctx context.Context, crds ...servers.CRDs) (*servers.ControlPlane, error) {
	cluster, err := servers.StartControlPlane(ctx)
	if err != nil {
		return nil, err
	}
	if err := cluster.InstallCRDs(ctx, crds...); err != nil {
		cluster.Stop()
		return nil, err
	}
	for _, namespace := range []string{"nautobot", "openstack", "argo-events", "argocd"} {
		err := cluster.Apply(ctx, fmt.Appendf(nil,
			"{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}}", namespace))
		if err != nil {
			cluster.Stop()
			return nil, err
		}
	}
	return cluster, nil
}

func stopServers() {
	for _, cluster := range []*servers.ControlPlane{global, site} {
		if cluster != nil {
			cluster.Stop()
		}
	}
	if nautobot != nil {
		nautobot.Stop()
	}
}
