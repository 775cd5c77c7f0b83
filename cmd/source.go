package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// target is the Secret to work on, and where it is.
type target struct {
	name      string // NAMESPACE/NAME
	namespace string // of a Secret in the cluster
	source    provision.Source
	cluster   *kube.Client // nil: not needed
	inCluster bool         // the Secret comes from the cluster, not from a file
}

// findTarget finds the Secret by its NAME, or in a manifest with --filename.
func findTarget(ctx context.Context, stdin io.Reader, s *settings, args []string) (target, error) {
	fromFile := s.file != ""
	switch {
	case fromFile && len(args) > 0:
		return target{}, usagef("give the NAME of a Secret or --filename, not both")
	case !fromFile && len(args) == 0:
		return target{}, usagef("give the NAME of a Secret, or --filename for one in a manifest")
	case len(args) > 1:
		return target{}, usagef("give the NAME of one Secret, not %d arguments", len(args))
	}
	if err := s.checkNamespace(); err != nil {
		return target{}, err
	}
	if fromFile {
		return manifestTarget(ctx, stdin, s)
	}
	return clusterTarget(ctx, s, args[0])
}

func (s *settings) checkNamespace() error {
	if s.namespace == "" {
		return nil
	}
	if problems := validation.IsDNS1123Label(s.namespace); problems != nil {
		return usagef("--namespace: %s", problems[0])
	}
	return nil
}

func clusterTarget(ctx context.Context, s *settings, name string) (target, error) {
	if problems := validation.IsDNS1123Subdomain(name); problems != nil {
		before, _, slash := strings.Cut(name, "/")
		switch {
		case slash && slices.Contains([]string{"secret", "secrets"}, strings.ToLower(before)):
			return target{}, usagef("NAME: give the name alone, without the kind before it")
		case slash:
			return target{}, usagef("NAME: give the name alone; the namespace has a flag of its own, -n NAMESPACE")
		}
		return target{}, usagef("NAME: %s", problems[0])
	}
	cluster, err := s.connect(ctx)
	if err != nil {
		return target{name: path.Join(s.namespace, name)}, err
	}
	namespace := s.namespace
	if namespace == "" {
		namespace = cluster.Namespace
	}
	return target{
		name: namespace + "/" + name, namespace: namespace,
		source: patientSources(cluster)(namespace, name), cluster: cluster, inCluster: true,
	}, nil
}

func manifestTarget(ctx context.Context, stdin io.Reader, s *settings) (target, error) {
	manifest, err := await(ctx, func() (kube.Manifest, error) { return readManifest(stdin, s.file, s.namespace) })
	if err != nil {
		return target{name: filepath.Base(s.file)}, err
	}
	found := target{source: manifest}
	secret, err := manifest.Secret(ctx)
	found.name = secret.Namespace + "/" + secret.Name
	if err == nil && s.token.Empty() {
		if found.cluster, err = s.connect(ctx); err != nil {
			err = mistake(fmt.Errorf("%w; or give the superuser token as NAUTOBOT_TOKEN or NAUTOBOT_TOKEN_FILE", err))
		}
	}
	return found, err
}

// readManifest reads a file, or standard input for "-".
func readManifest(stdin io.Reader, name, namespace string) (kube.Manifest, error) {
	if name == "-" {
		return kube.ReadManifest(stdin, namespace)
	}
	file, err := os.Open(name) //nolint:gosec // G304: the person at the terminal names the file
	if err != nil {
		return kube.Manifest{}, usagef("--filename: %w", withoutPath(err))
	}
	defer func() { _ = file.Close() }()
	manifest, err := kube.ReadManifest(file, namespace)
	if errors.Is(err, syscall.EISDIR) {
		return manifest, usagef("--filename: %w", withoutPath(err))
	}
	return manifest, err
}

// A Secret can be missing for a moment while it is deleted and created again: it
// counts as gone if it is missing this many times in a row.
const looks = 4

var pauseBetweenLooks = time.Second // tests set it to less

func patientSources(cluster *kube.Client) func(namespace, name string) provision.Source {
	return func(namespace, name string) provision.Source { return patientSource{cluster.Source(namespace, name)} }
}

// patientSource looks again if a Secret is missing.
type patientSource struct{ provision.Source }

func (p patientSource) Secret(ctx context.Context) (provision.Secret, error) {
	for look := 1; ; look++ {
		secret, err := p.Source.Secret(ctx)
		if look == looks || !errors.Is(err, provision.ErrNoSecret) {
			return secret, err
		}
		select {
		case <-time.After(pauseBetweenLooks):
		case <-ctx.Done():
			return secret, err
		}
	}
}
