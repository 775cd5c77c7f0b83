package servers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"sigs.k8s.io/yaml"
)

// ControlPlane is a running Kubernetes API with RBAC and its etcd. No
// controllers run: nothing makes service accounts of itself, starts pods, or
// finishes the deletion of a namespace. A Cluster has all that.
type ControlPlane struct {
	URL        string
	Kubeconfig string // path, for a user who may do everything

	dir       string
	client    *http.Client
	authority *keyPair
	processes []*process
}

// StartControlPlane starts etcd and kube-apiserver and returns when they are
// ready. The first time it builds them, which takes several minutes. They run
// until Stop; ctx is for starting them only.
func StartControlPlane(ctx context.Context) (*ControlPlane, error) {
	built, err := buildAll(ctx, etcd, apiserver)
	if err != nil {
		return nil, err
	}
	return startInRunDir(ctx, "kubernetes", func(ctx context.Context, dir string) (*ControlPlane, error) {
		c := newControlPlane(dir)
		if err := c.start(ctx, built); err != nil {
			stopAll(c.processes)
			return nil, err
		}
		return c, nil
	})
}

func newControlPlane(dir string) *ControlPlane {
	return &ControlPlane{dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig")}
}

// Stop ends everything that StartControlPlane started, and removes its data.
func (c *ControlPlane) Stop() {
	stopAll(c.processes)
	c.client.CloseIdleConnections()
	_ = os.RemoveAll(c.dir)
}

func (c *ControlPlane) start(ctx context.Context, built map[string]string) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	c.URL = "https://127.0.0.1:" + strconv.Itoa(ports[2])
	if err := c.writePKI(); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	etcdURL := "http://127.0.0.1:" + strconv.Itoa(ports[0])
	command := exec.Command(built["etcd"], etcdFlags(c.dir, etcdURL, "http://127.0.0.1:"+strconv.Itoa(ports[1]))...)
	if err := c.startProcess(ctx, etcdURL+"/health", http.DefaultClient, command); err != nil {
		return err
	}
	flags := append(c.apiserverFlags(etcdURL, "127.0.0.1", ports[2]),
		"--authorization-mode=RBAC",
		"--endpoint-reconciler-type=none") // an endpoint may not have a loopback address
	return c.startProcess(ctx, c.URL+"/readyz", c.client, exec.Command(built["kube-apiserver"], flags...))
}

func etcdFlags(dir, clientURL, peerURL string) []string {
	return []string{
		"--name=test", "--data-dir=" + filepath.Join(dir, "etcd"), "--log-level=warn", "--unsafe-no-fsync",
		"--listen-client-urls=" + clientURL, "--advertise-client-urls=" + clientURL,
		"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL, "--initial-cluster=test=" + peerURL,
	}
}

func (c *ControlPlane) apiserverFlags(etcdURL, address string, port int) []string {
	return []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=" + address, "--advertise-address=" + address, "--secure-port=" + strconv.Itoa(port),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + c.path("server.crt"), "--tls-private-key-file=" + c.path("server.key"),
		"--client-ca-file=" + c.path("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + c.path("service-accounts.key"),
		"--service-account-key-file=" + c.path("service-accounts.crt"),
	}
}

// startProcess starts a server, called by the name of its program, and waits
// until url answers 200.
func (c *ControlPlane) startProcess(ctx context.Context, url string, client *http.Client, command *exec.Cmd) error {
	command.Dir = c.dir
	server, err := startProcess(c.dir, programName(command), syscall.SIGTERM, command)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, server)
	return server.ready(ctx, func(ctx context.Context) error {
		_, err := send(ctx, client, http.MethodGet, url, "", nil)
		return err
	})
}

// writePKI makes all certificates, those files that kube-apiserver reads, the
// administrator's kubeconfig and c.client. Others are the addresses
// other than loopback at which kube-apiserver can be reached.
func (c *ControlPlane) writePKI(others ...string) error {
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	c.authority = authority
	server, err := authority.server(others...)
	if err != nil {
		return err
	}
	// Only its keys are used, to sign and to check tokens.
	serviceAccounts, err := newAuthority()
	if err != nil {
		return err
	}
	for name, pair := range map[string]*keyPair{"ca": authority, "server": server, "service-accounts": serviceAccounts} {
		if err := c.writePair(name, pair); err != nil {
			return err
		}
	}
	admin, err := authority.client("test-admin", "system:masters")
	if err != nil {
		return err
	}
	c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: admin.clientTLS(authority), ForceAttemptHTTP2: true}}
	return c.writeKubeconfig(c.Kubeconfig, c.URL, "", admin.kubeconfigUser())
}

// writePair writes a certificate and its key to NAME.crt and NAME.key.
func (c *ControlPlane) writePair(name string, pair *keyPair) error {
	if err := os.WriteFile(c.path(name+".crt"), pair.certificatePEM(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.path(name+".key"), pair.keyPEM(), 0o600)
}

// writeKubeconfig writes a kubeconfig that needs no other file. Namespace may
// be empty.
func (c *ControlPlane) writeKubeconfig(path, url, namespace string, user map[string]any) error {
	current := map[string]any{"cluster": "test", "user": "test"}
	if namespace != "" {
		current["namespace"] = namespace
	}
	config, err := yaml.Marshal(map[string]any{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": "test",
		"contexts":        []any{map[string]any{"name": "test", "context": current}},
		"users":           []any{map[string]any{"name": "test", "user": user}},
		"clusters": []any{map[string]any{"name": "test", "cluster": map[string]any{
			"server":                     url,
			"certificate-authority-data": c.authority.certificatePEM(),
		}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, config, 0o600)
}

// path is the path of a file in the run directory.
func (c *ControlPlane) path(name string) string {
	return filepath.Join(c.dir, name)
}

// HelmProgram is the path of the Helm command line. The first time it is built.
func HelmProgram(ctx context.Context) (string, error) { return helm.build(ctx) }

// Helm runs the Helm command line on the cluster and returns what it printed.
func (c *ControlPlane) Helm(ctx context.Context, args ...string) (string, error) {
	path, err := HelmProgram(ctx)
	if err != nil {
		return "", err
	}
	command := exec.Command(path, args...)
	home := c.path("helm")
	command.Env = append(environWithout("HELM_"), "KUBECONFIG="+c.Kubeconfig,
		"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	return run(ctx, command)
}
