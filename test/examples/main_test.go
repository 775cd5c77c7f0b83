//go:build e2e

package examples

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
	os.Exit(servers.RunTests("examples", m.Run, stopServers, buildProgram, startServers))
}

func buildProgram(ctx context.Context) (err error) {
	binary, err = servers.BuildProgram(ctx)
	return err
}

func startServers(ctx context.Context) error {
	return servers.Together(ctx, startGlobal, startSite, startNautobot)
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
	nautobot, err = servers.StartNautobot(ctx, "3.2.7", servers.CheapPasswords)
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
	if binary != "" {
		_ = os.RemoveAll(filepath.Dir(binary))
	}
	for _, cluster := range []*servers.ControlPlane{global, site} {
		if cluster != nil {
			cluster.Stop()
		}
	}
	if nautobot != nil {
		nautobot.Stop()
	}
}
