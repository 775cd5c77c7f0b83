package servers

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed node.sh
var nodeScript string

// startNode starts the node's first process and waits until it has prepared
// everything but the node's programs.
func (c *Cluster) startNode(ctx context.Context, built map[string]string) error {
	pause := c.path("pause")
	source, err := sourceDir(ctx, ".")
	if err != nil {
		return err
	}
	if _, err := goCommand(ctx, source, "build", "-trimpath", "-buildvcs=false", "-o", pause, "./test/servers/pause"); err != nil {
		return err
	}
	if err := os.Mkdir(c.path("images"), 0o700); err != nil {
		return err
	}
	image := Image{Name: PauseImage, Files: map[string]string{"/pause": pause}, Entrypoint: []string{"/pause"}}
	if err := image.write(c.path("images/pause.tar")); err != nil {
		return err
	}

	command := exec.Command("bash", "-c", nodeScript)
	command.Dir = c.dir
	path := os.Getenv("PATH")
	for _, program := range built {
		path = filepath.Dir(program) + ":" + path
	}
	command.Env = append(environWithout("KUBE"), "PATH="+path, "NODE="+nodeName, "ADDRESS="+NodeAddress, "PODS="+pods,
		"CGROUP="+c.cgroup, "CNI="+networkPlugins, "PAUSE="+PauseImage)
	inNewNamespaces(command)
	if c.stdin, err = command.StdinPipe(); err != nil {
		return err
	}
	// The first process of a namespace takes no other signal.
	if c.node, err = startProcess(c.dir, "node", syscall.SIGKILL, command); err != nil {
		return err
	}
	c.namespace = namespace{command.Process.Pid}
	return c.node.ready(ctx, func(context.Context) error {
		if log := logTail(c.node.log); !strings.Contains(log, "prepared") {
			return errors.New("it has not prepared its namespaces")
		}
		return nil
	})
}

// admitNode makes the certificates and the rights of the node's programs.
func (c *Cluster) admitNode(ctx context.Context) error {
	server, err := c.authority.server(NodeAddress)
	if err == nil {
		err = c.writePair("kubelet-server", server)
	}
	if err == nil {
		err = c.identity("kubelet", "system:node:"+nodeName, "system:nodes")
	}
	if err == nil {
		err = c.identity("kube-proxy", "system:kube-proxy")
	}
	if err == nil {
		err = c.identity("coredns", "system:coredns")
	}
	if err != nil {
		return err
	}
	return c.Apply(ctx, []byte(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: system:coredns}
rules:
  - {apiGroups: [""], resources: [namespaces, services], verbs: [list, watch]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: system:coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:coredns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: system:coredns}]
`))
}

// nodeReady is nil when Pods can be started: the node is ready, and the
// controllers have made the first service account.
func (c *Cluster) nodeReady(ctx context.Context) error {
	if _, err := c.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
		return err
	}
	answer, err := c.Get(ctx, "/api/v1/nodes/"+nodeName)
	if err != nil {
		return err
	}
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(answer, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" && condition.Status == "True" {
			return nil
		}
	}
	return fmt.Errorf("the node is not ready: %v", node.Status.Conditions)
}

// removeCgroups removes the cgroups that a node has left. All of their
// processes are dead or dying.
func removeCgroups(name string) {
	trees, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
	for _, tree := range append(trees, "/sys/fs/cgroup/"+name) {
		for deadline := time.Now().Add(stopGrace); exists(tree) && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			var groups []string
			_ = filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					groups = append(groups, path)
				}
				return nil
			})
			for i := len(groups) - 1; i >= 0; i-- {
				_ = os.Remove(groups[i]) // a group is empty when its last process is gone
			}
		}
	}
}
