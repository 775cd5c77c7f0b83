package servers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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

// clusterPrograms are what a cluster is made of.
var clusterPrograms = []program{
	etcd, apiserver, controllerManager, scheduler, kubelet, kubeProxy, containerd, containerdShim, ctr, coredns,
}

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
	if err := needPackages(ctx, "a node of Kubernetes", nodePackages); err != nil {
		return nil, err
	}
	built, err := buildAll(ctx, clusterPrograms...)
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

// Stop ends everything that StartCluster started, and removes its data.
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
	return c.node.ready(ctx, func(ctx context.Context) error {
		if err := c.nodeReady(ctx); err != nil {
			return err
		}
		_, err := send(ctx, c.inside, http.MethodGet, "http://127.0.0.1:8181/ready", "", nil) // DNS
		return err
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
	err = c.relay(port, server, func(listener net.Listener) net.Listener { return tls.NewListener(listener, pair.serverTLS()) })
	return c.authority.certificatePEM(), err
}

// Forward is Expose without TLS, and for any host name.
func (c *Cluster) Forward(port int, server string) error {
	return c.relay(port, server, func(listener net.Listener) net.Listener { return listener })
}

func (c *Cluster) relay(port int, server string, wrap func(net.Listener) net.Listener) error {
	listener, err := c.namespace.listen(fmt.Sprintf("%s:%d", NodeAddress, port))
	if err != nil {
		return err
	}
	c.relays = append(c.relays, startRelay(wrap(listener), func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp4", server)
	}))
	return nil
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
