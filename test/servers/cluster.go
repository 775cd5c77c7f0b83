package servers

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The addresses of a cluster. They are those of its own network only, so that
// all clusters can have the same.
const (
	NodeAddress = "192.0.2.1" // of the node, as its Pods see it
	pods        = "10.244.0.0/24"
	apiPort     = 6443
	nodeName    = "node"
)

// PauseImage is an image on every node whose program does nothing.
const PauseImage = "test.invalid/pause:1"

//go:embed node.sh
var nodeScript string

// Cluster is a whole Kubernetes with one node: a control plane with all its
// controllers, containerd, kubelet, kube-proxy and DNS, in a network of its
// own. Its Pods reach each other and the node; everything else only through
// Expose. No network policy is enforced.
type Cluster struct {
	*ControlPlane
	namespace namespace
	node      *process
	stdin     io.WriteCloser // of the node's first process
	inside    *http.Client   // for servers in the cluster's network
	relays    []*relay
	cgroup    string
}

// StartCluster starts it and returns when the node is ready. That needs Linux
// and root. The first time it builds all programs, which takes a quarter of an
// hour. They run until Stop; ctx is for starting them only.
func StartCluster(ctx context.Context) (*Cluster, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a node of Kubernetes needs root")
	}
	if err := installPackages(ctx, "a node of Kubernetes", nodePackages); err != nil {
		return nil, err
	}
	built, err := buildAll(ctx, etcd, apiserver, controllerManager, scheduler, kubelet, kubeProxy,
		containerd, containerdShim, ctr, coredns)
	if err != nil {
		return nil, err
	}
	return startInRunDir(ctx, "cluster", func(ctx context.Context, dir string) (*Cluster, error) {
		c := &Cluster{ControlPlane: newControlPlane(dir), cgroup: filepath.Base(dir)}
		if err := c.start(ctx, built); err != nil {
			c.end()
			return nil, err
		}
		return c, nil
	})
}

// Stop ends all that StartCluster started, and removes its data.
func (c *Cluster) Stop() {
	c.end()
	c.client.CloseIdleConnections()
	_ = os.RemoveAll(c.dir)
}

// end is Stop for a cluster that may not be complete, and keeps its directory.
func (c *Cluster) end() {
	for _, r := range c.relays {
		r.close()
	}
	if c.node != nil {
		c.node.stop()
	}
	stopAll(c.processes)
	removeCgroups(c.cgroup)
}

func (c *Cluster) start(ctx context.Context, built map[string]string) error {
	if err := c.startNode(ctx, built); err != nil {
		return err
	}
	if err := c.startControlPlane(ctx, built); err != nil {
		return err
	}
	if err := c.admitNode(ctx); err != nil {
		return err
	}
	if _, err := io.WriteString(c.stdin, "go\n"); err != nil {
		return err
	}
	return c.node.ready(ctx, 2*time.Minute, func(ctx context.Context) error {
		if err := c.nodeReady(ctx); err != nil {
			return err
		}
		_, err := send(ctx, c.inside, http.MethodGet, "http://127.0.0.1:8181/ready", "", nil) // DNS
		return err
	})
}

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
	return c.node.ready(ctx, 10*time.Second, func(context.Context) error {
		if log := logTail(c.node.log); !strings.Contains(log, "prepared") {
			return errors.New("it has not prepared its namespaces")
		}
		return nil
	})
}

// startControlPlane starts it in the node's network, and connects it to a
// loopback port of this machine.
func (c *Cluster) startControlPlane(ctx context.Context, built map[string]string) error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	api := fmt.Sprintf("%s:%d", NodeAddress, apiPort)
	c.relays = append(c.relays, startRelay(listener, func(ctx context.Context) (net.Conn, error) {
		return c.namespace.dial(ctx, "tcp4", api)
	}))
	c.URL = "https://" + listener.Addr().String()
	if err := c.writePKI(NodeAddress, "10.96.0.1"); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	c.inside = c.httpClient(c.client.Transport.(*http.Transport).TLSClientConfig.Clone())

	const etcdURL = "http://127.0.0.1:2379"
	command := c.namespace.inNetwork(built["etcd"], etcdFlags(c.dir, etcdURL, "http://127.0.0.1:2380")...)
	if err := c.startProcess(ctx, etcdURL+"/health", c.inside, command); err != nil {
		return err
	}
	if err := c.identity("kubelet-client", "test-kube-apiserver", "system:masters"); err != nil {
		return err
	}
	flags := append(c.apiserverFlags(etcdURL, NodeAddress, apiPort),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--kubelet-client-certificate="+c.path("kubelet-client.crt"), "--kubelet-client-key="+c.path("kubelet-client.key"),
		"--kubelet-certificate-authority="+c.path("ca.crt"), "--kubelet-preferred-address-types=InternalIP")
	command = c.namespace.inNetwork(built["kube-apiserver"], flags...)
	if err := c.startProcess(ctx, c.URL+"/readyz", c.client, command); err != nil {
		return err
	}
	return c.startControllers(ctx, built)
}

func (c *Cluster) startControllers(ctx context.Context, built map[string]string) error {
	for program, more := range map[string][]string{
		"kube-controller-manager": {
			"--secure-port=10257", "--service-account-private-key-file=" + c.path("service-accounts.key"), "--root-ca-file=" + c.path("ca.crt"),
			"--use-service-account-credentials=true",
			"--kube-api-qps=500", "--kube-api-burst=1000", // it is faster to start with more than the usual 20 a second
		},
		"kube-scheduler": {"--secure-port=10259"},
	} {
		if err := c.identity(program, "system:"+program); err != nil {
			return err
		}
		kubeconfig := c.path(program + ".kubeconfig")
		flags := append([]string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1", "--tls-cert-file=" + c.path("server.crt"), "--tls-private-key-file=" + c.path("server.key"),
			"--leader-elect=false",
		}, more...)
		_, port, _ := strings.Cut(more[0], "=")
		command := c.namespace.inNetwork(built[program], flags...)
		if err := c.startProcess(ctx, "https://127.0.0.1:"+port+"/healthz", c.inside, command); err != nil {
			return err
		}
	}
	return nil
}

// identity makes a certificate NAME.crt for a user, its key, and NAME.kubeconfig
// for programs in the cluster's network.
func (c *Cluster) identity(name, user string, groups ...string) error {
	pair, err := c.authority.client(user, groups...)
	if err != nil {
		return err
	}
	if err := c.writePair(name, pair); err != nil {
		return err
	}
	url := fmt.Sprintf("https://%s:%d", NodeAddress, apiPort)
	return c.writeKubeconfig(c.path(name+".kubeconfig"), url, "", pair.kubeconfigUser())
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

// LoadImage puts the image of an archive on the node.
func (c *Cluster) LoadImage(ctx context.Context, archive string) error {
	ctrPath, err := ctr.build(ctx)
	if err != nil {
		return err
	}
	_, err = run(ctx, c.namespace.inside(ctrPath, "-n", "k8s.io", "images", "import", archive))
	return err
}

// AddImage makes an image and puts it on the node.
func (c *Cluster) AddImage(ctx context.Context, image Image) error {
	file, err := os.CreateTemp(c.dir, "image-")
	if err != nil {
		return err
	}
	file.Close()
	defer func() { _ = os.Remove(file.Name()) }()
	if err := image.write(file.Name()); err != nil {
		return err
	}
	return c.LoadImage(ctx, file.Name())
}

// Expose makes a server on a loopback port of this machine reachable for the
// cluster's Pods, at NodeAddress and the given port, by TLS for a host name. It
// returns the certificate of the authority to trust.
func (c *Cluster) Expose(port int, host, server string) (authority []byte, err error) {
	pair, err := c.authority.server(NodeAddress, host)
	if err != nil {
		return nil, err
	}
	listener, err := c.namespace.listen(fmt.Sprintf("%s:%d", NodeAddress, port))
	if err != nil {
		return nil, err
	}
	c.relays = append(c.relays, startRelay(tls.NewListener(listener, pair.serverTLS()), func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp4", server)
	}))
	return c.authority.certificatePEM(), nil
}

// HTTP is a client for servers in the cluster's network, such as Pods.
func (c *Cluster) HTTP() *http.Client { return c.httpClient(nil) }

func (c *Cluster) httpClient(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: c.namespace.dial, TLSClientConfig: config, DisableKeepAlives: true,
	}}
}

// Dir is where the node keeps its files, those of its Pods included.
func (c *Cluster) Dir() string { return c.dir }

// removeCgroups removes the cgroups that a node has left. All of their
// processes are dead or dying.
func removeCgroups(name string) {
	trees, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
	for _, tree := range append(trees, "/sys/fs/cgroup/"+name) {
		for deadline := time.Now().Add(5 * time.Second); exists(tree) && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
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
