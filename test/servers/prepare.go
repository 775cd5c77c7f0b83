package servers

import (
	"context"
	"slices"
)

// NautobotVersions are the versions that the tests run on.
var NautobotVersions = []string{"3.2.7", "2.4.44"}

// Prepare does everything that takes long the first time a server is started: it
// installs Debian packages, and builds and installs what the cache directory
// does not have.
func Prepare(ctx context.Context) error {
	if err := installPackages(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{
		func(ctx context.Context) error {
			_, err := buildAll(ctx, append(slices.Clone(clusterPrograms), argoEvents, natsServer, helm, externalSecrets)...)
			return err
		},
		func(ctx context.Context) error {
			_, err := installOpenBao(ctx)
			return err
		},
	}
	for _, version := range NautobotVersions {
		steps = append(steps, func(ctx context.Context) error {
			_, err := prepareNautobot(ctx, version)
			return err
		})
	}
	return Together(ctx, steps...)
}
