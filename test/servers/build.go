package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A program is built from a module of this repository that pins it and
// everything it needs.
type program struct {
	name    string // of the file
	dir     string // the module's directory, below the root
	pkg     string // what is built
	module  string // whose version names what is built
	tags    string
	ldflags func(version string) string // besides those that leave out debugging information
}

var (
	etcd              = program{name: "etcd", dir: "test/tools/kubernetes", pkg: "go.etcd.io/etcd/server/v3", module: "go.etcd.io/etcd/server/v3"}
	apiserver         = kubernetesProgram("kube-apiserver")
	controllerManager = kubernetesProgram("kube-controller-manager")
	scheduler         = kubernetesProgram("kube-scheduler")
	kubelet           = kubernetesProgram("kubelet")
	kubeProxy         = kubernetesProgram("kube-proxy")
	containerd        = containerdProgram("containerd")
	containerdShim    = containerdProgram("containerd-shim-runc-v2")
	ctr               = containerdProgram("ctr")
	coredns           = program{name: "coredns", dir: "test/tools/coredns", pkg: ".", module: "github.com/coredns/coredns"}
	natsServer        = program{name: "nats-server", dir: "test/tools/nats-server", pkg: "github.com/nats-io/nats-server/v2", module: "github.com/nats-io/nats-server/v2"}
	argoEvents        = program{name: "argo-events", dir: "test/tools/argo-events", pkg: "github.com/argoproj/argo-events/cmd", module: "github.com/argoproj/argo-events"}
	helm              = program{name: "helm", dir: "charts", pkg: "helm.sh/helm/v3/cmd/helm", module: "helm.sh/helm/v3"}
)

func containerdProgram(name string) program {
	return program{
		name: name, dir: "test/tools/containerd", pkg: "github.com/containerd/containerd/v2/cmd/" + name,
		module: "github.com/containerd/containerd/v2", tags: "no_btrfs no_aufs no_zfs no_devmapper",
	}
}

func kubernetesProgram(name string) program {
	return program{
		name: name, dir: "test/tools/kubernetes", pkg: "k8s.io/kubernetes/cmd/" + name, module: "k8s.io/kubernetes",
		// Otherwise it would call itself v0.0.0.
		ldflags: func(version string) string {
			number := strings.Split(strings.TrimPrefix(version, "v"), ".")
			return fmt.Sprintf("-X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s",
				"k8s.io/component-base/version", version, number[0], number[1])
		},
	}
}

// build builds the program, unless that version of it is in the cache, and
// returns its path.
func (p program) build(ctx context.Context) (string, error) {
	source, err := sourceDir(ctx, p.dir)
	if err != nil {
		return "", err
	}
	version, err := goCommand(ctx, source, "list", "-m", "-f", "{{.Version}}", p.module)
	if err != nil {
		return "", err
	}
	cache, unlock, err := lockedCache(ctx, p.name+"-"+version)
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(cache, p.name)
	if exists(path) {
		return path, nil
	}
	progress("building %s %s (takes minutes, once)", p.name, version)
	ldflags := "-s -w"
	if p.ldflags != nil {
		ldflags += " " + p.ldflags(version)
	}
	unfinished := path + ".new"
	if _, err := goCommand(ctx, source, "build", "-trimpath", "-buildvcs=false", "-tags", p.tags,
		"-ldflags", ldflags, "-o", unfinished, p.pkg); err != nil {
		return "", fmt.Errorf("build %s %s: %w", p.name, version, err)
	}
	return path, os.Rename(unfinished, path)
}

// buildAll builds programs, and returns their paths by their names.
func buildAll(ctx context.Context, programs ...program) (map[string]string, error) {
	built := map[string]string{}
	for _, p := range programs {
		path, err := p.build(ctx)
		if err != nil {
			return nil, err
		}
		built[p.name] = path
	}
	return built, nil
}

// ModuleDir is the directory with the source of a Go module, in the version
// that the module in the directory dir, below the root of this one, pins.
func ModuleDir(ctx context.Context, dir, module string) (string, error) {
	source, err := sourceDir(ctx, dir)
	if err != nil {
		return "", err
	}
	if _, err := goCommand(ctx, source, "mod", "download", module); err != nil {
		return "", err
	}
	return goCommand(ctx, source, "list", "-m", "-f", "{{.Dir}}", module)
}

// sourceDir is a directory below the root of this module.
func sourceDir(ctx context.Context, dir string) (string, error) {
	root, err := goCommand(ctx, ".", "list", "-m", "-f", "{{.Dir}}", "github.com/rackerlabs/understack/go/nautobot-token")
	if err != nil {
		return "", fmt.Errorf("find the source of this module: %w\nrun this in its directory", err)
	}
	return filepath.Join(root, dir), nil
}

// goCommand runs the go command in a module's directory and returns its output.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.Command("go", args...)
	command.Dir = dir
	// Without cgo everywhere, as in the Makefile: what is compiled once is used
	// by all, and programs run in images that hold nothing else.
	command.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	out, err := run(ctx, command)
	return strings.TrimSpace(out), err
}

// BuildProgram builds nautobot-token as `make build` does, but without a
// version, in a new directory, which is the caller's to remove.
func BuildProgram(ctx context.Context) (path string, err error) {
	source, err := sourceDir(ctx, ".")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "nautobot-token-")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "nautobot-token")
	_, err = goCommand(ctx, source, "build", "-trimpath", "-buildvcs=false", "-o", path, ".")
	return path, err
}
