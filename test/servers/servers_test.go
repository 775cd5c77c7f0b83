//go:build e2e

package servers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const manifests = `# Who may read one secret of two.
---
apiVersion: v1
kind: Namespace
metadata:
  name: example
---
apiVersion: v1
kind: Secret
metadata:
  name: mine
  namespace: example
stringData:
  word: %[1]s
---
apiVersion: v1
kind: Secret
metadata:
  name: other
  namespace: example
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: reader
  namespace: example
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: reader
  namespace: example
rules:
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [mine]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reader
  namespace: example
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: reader
subjects:
- kind: ServiceAccount
  name: reader
  namespace: example
`

func TestControlPlane(t *testing.T) {
	ctx := t.Context()
	start := time.Now()
	cluster, err := StartControlPlane(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	t.Logf("started in %s", time.Since(start).Round(time.Millisecond))

	// The second time updates.
	for _, word := range []string{"first", "second"} {
		if err := cluster.Apply(ctx, fmt.Appendf(nil, manifests, word)); err != nil {
			t.Fatal(err)
		}
	}
	const secrets = "/api/v1/namespaces/example/secrets/"
	secret, err := cluster.Get(ctx, secrets+"mine")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(secret), `"word":"c2Vjb25k"`) {
		t.Errorf("the secret was not updated: %s", secret)
	}

	kubeconfig, err := cluster.ServiceAccountKubeconfig(ctx, "example", "reader")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	// RBAC learns of new roles a moment after they are made.
	eventually(t, func() error {
		_, err := send(ctx, client, http.MethodGet, config.Host+secrets+"mine", "", nil)
		return err
	})
	_, err = send(ctx, client, http.MethodGet, config.Host+secrets+"other", "", nil)
	if status := new(statusError); !errors.As(err, &status) || status.code != http.StatusForbidden {
		t.Errorf("a secret that the role does not name: %v; want 403", err)
	}

	secretOnly := []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: mine, namespace: example}\n")
	for range 2 { // the second time there is nothing to delete
		if err := cluster.Delete(ctx, secretOnly); err != nil {
			t.Error(err)
		}
	}
	if _, err = cluster.Get(ctx, secrets+"mine"); err == nil {
		t.Error("the secret is still there after Delete")
	}
	checkStop(t, cluster.dir, cluster.Stop)
}

func TestCluster(t *testing.T) {
	ctx := t.Context()
	start := time.Now()
	cluster, err := StartCluster(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	t.Logf("started in %s", time.Since(start).Round(time.Millisecond))
	const pod = "{apiVersion: v1, kind: Pod, metadata: {name: pause}, spec: {containers: [{name: pause, image: " + PauseImage + "}]}}"
	if err := cluster.Apply(ctx, []byte(pod)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		pod, err := cluster.Get(ctx, "/api/v1/namespaces/default/pods/pause")
		if err == nil && !strings.Contains(string(pod), `"phase":"Running"`) {
			err = errors.New("the Pod does not run")
		}
		return err
	})
	checkStop(t, cluster.dir, cluster.Stop)
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		if left, _ := filepath.Glob(pattern + cluster.cgroup); left != nil {
			t.Errorf("left by Stop: %v", left)
		}
	}
}

func TestNautobot(t *testing.T) {
	for _, version := range NautobotVersions {
		t.Run(version, func(t *testing.T) {
			ctx := t.Context()
			start := time.Now()
			nautobot, err := StartNautobot(ctx, version)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nautobot.Stop)
			t.Logf("started in %s", time.Since(start).Round(time.Millisecond))

			// StartNautobot asked with the superuser's token already.
			token := nautobot.Token
			if err := nautobot.probe(ctx); err != nil {
				t.Error(err)
			}
			nautobot.Token = strings.Repeat("0", 40)
			if err := nautobot.probe(ctx); err == nil || !strings.Contains(err.Error(), ": 403 ") {
				t.Errorf("a wrong token: %v; want 403", err)
			}
			nautobot.Token = token

			out, err := nautobot.Python(ctx, fmt.Sprintf(`
import nautobot
from django.contrib.auth import authenticate
print(nautobot.__version__, authenticate(username=%q, password=%q).is_superuser)
`, nautobot.Username, nautobot.Password))
			if want := version + " True"; err != nil || strings.TrimSpace(out) != want {
				t.Errorf("Python: %q, %v; want %q", out, err, want)
			}
			if out, err := nautobot.Snapshot(ctx); err != nil || !regexp.MustCompile(
				`(?m)^user \S+ admin \S+ '' '' 'admin@example.com' t t t {}$\n^token \S+ admin \S+ '' t$`).MatchString(out) {
				t.Errorf("Snapshot: %q, %v; want the superuser and the token", out, err)
			}
			if _, err := nautobot.Python(ctx, "raise SystemError('on purpose')"); err == nil || !strings.Contains(err.Error(), "on purpose") {
				t.Errorf("Python that fails: %v", err)
			}
			checkStop(t, nautobot.dir, nautobot.Stop)
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		// From here the web server takes seconds.
		for !slices.ContainsFunc(descendants(os.Getpid()), isPostgres) && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}()
	nautobot, err := StartNautobot(ctx, "3.2.7")
	if err == nil {
		nautobot.Stop()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want that it was cancelled", err)
	}
	if children := descendants(os.Getpid()); len(children) != 0 {
		t.Errorf("processes left: %v", children)
	}
}

func isPostgres(pid int) bool {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return string(name) == "postgres\n"
}

// eventually tries until there is no error, for a minute.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// ended tells whether a process is gone. One in state Z has ended as well and
// waits for init to take note: init gets those whose parent ended before them.
func ended(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil //nolint:nilerr // there is no such process any more
	}
	if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "Z") {
		return nil
	}
	return fmt.Errorf("left by Stop: %s", stat)
}

// checkStop checks that stop leaves no process and no directory.
func checkStop(t *testing.T, dir string, stop func()) {
	t.Helper()
	before := descendants(os.Getpid())
	if len(before) < 2 {
		t.Errorf("only %d processes run before Stop: the check does not see them", len(before))
	}
	start := time.Now()
	stop()
	t.Logf("stopped %d processes in %s", len(before), time.Since(start).Round(time.Millisecond))
	for _, pid := range before {
		eventually(t, func() error { return ended(pid) })
	}
	if exists(dir) {
		t.Errorf("left by Stop: %s", dir)
	}
}

// descendants are the children of a process, and theirs.
func descendants(pid int) []int {
	var all []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(text)) {
			child, _ := strconv.Atoi(field)
			all = append(append(all, child), descendants(child)...)
		}
	}
	return all
}
