package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The Go module that pins etcd and Kubernetes, below the root of this one.
const kubernetesModule = "test/tools/kubernetes"

// buildKubernetes returns the paths of etcd and kube-apiserver, in the versions
// that the module test/tools/kubernetes pins. It builds them if the cache does
// not have them.
func buildKubernetes(ctx context.Context) (etcd, apiserver string, err error) {
	root, err := goCommand(ctx, ".", "list", "-m", "-f", "{{.Dir}}", "github.com/rackerlabs/understack/go/nautobot-token")
	if err != nil {
		return "", "", fmt.Errorf("find the source of this module: %w\nrun this in its directory", err)
	}
	source := filepath.Join(root, kubernetesModule)

	etcdVersion, err := goCommand(ctx, source, "list", "-m", "-f", "{{.Version}}", "go.etcd.io/etcd/server/v3")
	if err != nil {
		return "", "", err
	}
	etcd, err = goBuild(ctx, source, "go.etcd.io/etcd/server/v3", "etcd", etcdVersion, "-s -w")
	if err != nil {
		return "", "", err
	}

	version, err := goCommand(ctx, source, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return "", "", err
	}
	number := strings.Split(strings.TrimPrefix(version, "v"), ".")
	// Otherwise the API server would call itself v0.0.0.
	flags := fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s",
		"k8s.io/component-base/version", version, number[0], number[1])
	apiserver, err = goBuild(ctx, source, "k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver", version, flags)
	return etcd, apiserver, err
}

// goBuild builds a program, unless that version of it is in the cache, and
// returns its path.
func goBuild(ctx context.Context, source, pkg, name, version, linkerFlags string) (string, error) {
	cache, unlock, err := lockedCache(ctx, name+"-"+version)
	if err != nil {
		return "", err
	}
	defer unlock()
	program := filepath.Join(cache, name)
	if exists(program) {
		return program, nil
	}
	progress("building %s %s (takes minutes, once)", name, version)
	unfinished := program + ".new"
	if _, err := goCommand(ctx, source, "build", "-trimpath", "-buildvcs=false",
		"-ldflags", linkerFlags, "-o", unfinished, pkg); err != nil {
		return "", err
	}
	return program, os.Rename(unfinished, program)
}

// goCommand runs the go command in a module's directory and returns its output.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.Command("go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off")
	out, err := run(ctx, command)
	return strings.TrimSpace(out), err
}
