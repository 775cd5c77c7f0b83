//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

var (
	binary    string // the program under test
	cluster   *servers.ControlPlane
	nautobots []*server
)

func TestMain(m *testing.M) {
	os.Exit(servers.RunTests("e2e", m.Run, stopServers, buildProgram, startServers))
}

func buildProgram(ctx context.Context) (err error) {
	binary, err = servers.BuildProgram(ctx)
	return err
}

func startServers(ctx context.Context) error {
	return servers.Together(ctx, startCluster, startNautobots)
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
	if binary != "" {
		_ = os.RemoveAll(filepath.Dir(binary))
	}
	if cluster != nil {
		cluster.Stop()
	}
	for _, nautobot := range nautobots {
		if nautobot != nil {
			nautobot.Stop()
		}
	}
}
