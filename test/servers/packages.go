package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// installPackages installs the Debian packages that the function missing names.
// Only root can do that; others are told what to install.
func installPackages(ctx context.Context, purpose string, missing func(context.Context) []string) error {
	// One program at a time, and those that waited find everything there.
	_, unlock, err := lockedCache(ctx, "packages")
	if err != nil {
		return err
	}
	defer unlock()

	packages := missing(ctx)
	if len(packages) == 0 {
		return nil
	}
	install := "apt-get install " + strings.Join(packages, " ")
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s needs programs that are not installed; as root, run: %s", purpose, install)
	}
	progress("%s", install)
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-qq", "-y", "--no-install-recommends"}, packages...),
	} {
		command := exec.Command("apt-get", args...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if _, err := run(ctx, command); err != nil {
			return fmt.Errorf("%w\n%s needs these programs; install them yourself: %s", err, purpose, install)
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
