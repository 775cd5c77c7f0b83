package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// nautobotPackages are the Debian packages that Nautobot needs and the machine
// lacks.
func nautobotPackages(ctx context.Context) []string {
	var missing []string
	if _, _, err := postgresPrograms(); err != nil {
		missing = append(missing, "postgresql")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		missing = append(missing, "redis-server")
	}
	// Debian's python3 comes without the modules that make environments.
	if _, err := run(ctx, exec.Command("python3", "-c", "import venv, ensurepip")); err != nil {
		missing = append(missing, "python3", "python3-venv")
	}
	return missing
}

// networkPlugins is where Debian has the programs that connect Pods.
const networkPlugins = "/usr/lib/cni"

// nodePackages are the Debian packages that a node of Kubernetes needs and the
// machine lacks.
func nodePackages(context.Context) []string {
	var missing []string
	for program, pkg := range map[string]string{"runc": "runc", "iptables": "iptables", "ip": "iproute2", "nsenter": "util-linux"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if !exists(filepath.Join(networkPlugins, "bridge")) {
		missing = append(missing, "containernetworking-plugins")
	}
	return missing
}

// imagePackages are the Debian packages that test/image/build.sh needs and the
// machine lacks.
func imagePackages(context.Context) []string {
	var missing []string
	for program, pkg := range map[string]string{"buildah": "buildah", "busybox": "busybox-static"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	return missing
}

const aptGetInstall = "apt-get install --yes --no-install-recommends "

// needPackages is an error that says what to install, if something is missing.
// Only Prepare installs it: a test does not change the machine that it runs on.
func needPackages(ctx context.Context, purpose string, missing func(context.Context) []string) error {
	packages := missing(ctx)
	if err := ctx.Err(); err != nil { // what could not be looked for is not missing
		return err
	}
	if len(packages) == 0 {
		return nil
	}
	return fmt.Errorf("%s needs programs that are not installed; run `make servers` as root, or: %s%s",
		purpose, aptGetInstall, strings.Join(packages, " "))
}

// installPackages installs all Debian packages that the machine lacks, if root
// asks for it: nobody else can, and whatever needs a package says so itself.
func installPackages(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return nil
	}
	// One program at a time, and those that waited find everything there.
	_, unlock, err := lockedCache(ctx, "packages")
	if err != nil {
		return err
	}
	defer unlock()
	packages := slices.Concat(nautobotPackages(ctx), nodePackages(ctx), imagePackages(ctx))
	if len(packages) == 0 {
		return nil
	}
	install := aptGetInstall + strings.Join(packages, " ")
	progress("%s", install)
	for _, line := range []string{"apt-get update -qq", install + " -qq"} {
		words := strings.Fields(line)
		command := exec.Command(words[0], words[1:]...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if _, err := run(ctx, command); err != nil {
			return fmt.Errorf("%w\ninstall these programs yourself: %s", err, install)
		}
	}
	return nil
}

// postgresPrograms is the directory with the programs of the newest installed
// PostgreSQL, and its major version.
func postgresPrograms() (dir string, major int, err error) {
	version := regexp.MustCompile(`/([0-9]+)/bin/postgres$`)
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	for _, program := range programs {
		if match := version.FindStringSubmatch(program); match != nil {
			if found, _ := strconv.Atoi(match[1]); found > major {
				dir, major = filepath.Dir(program), found
			}
		}
	}
	if major == 0 {
		return "", 0, fmt.Errorf("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin/postgres; install the package postgresql")
	}
	return dir, major, nil
}
