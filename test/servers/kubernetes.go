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
	"time"

	"sigs.k8s.io/yaml"
)

// ControlPlane is a running Kubernetes API with RBAC and its etcd. No
// controllers run: nothing makes service accounts of itself, starts pods, or
// finishes the deletion of a namespace.
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
	etcd, err := etcd.build(ctx)
	if err != nil {
		return nil, err
	}
	apiserver, err := apiserver.build(ctx)
	if err != nil {
		return nil, err
	}
	return startInRunDir(ctx, "kubernetes", func(ctx context.Context, dir string) (*ControlPlane, error) {
		c := &ControlPlane{dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig")}
		if err := c.start(ctx, etcd, apiserver); err != nil {
			stopAll(c.processes)
			return nil, err
		}
		return c, nil
	})
}

// Stop ends all that StartControlPlane started, and removes its data.
func (c *ControlPlane) Stop() {
	stopAll(c.processes)
	c.client.CloseIdleConnections()
	_ = os.RemoveAll(c.dir)
}

func (c *ControlPlane) start(ctx context.Context, etcd, apiserver string) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	etcdURL := "http://127.0.0.1:" + strconv.Itoa(ports[0])
	peerURL := "http://127.0.0.1:" + strconv.Itoa(ports[1])
	apiPort := strconv.Itoa(ports[2])
	c.URL = "https://127.0.0.1:" + apiPort

	err = c.startProcess(ctx, "etcd", etcdURL+"/health", http.DefaultClient, exec.Command(etcd,
		"--name=test", "--data-dir="+filepath.Join(c.dir, "etcd"), "--log-level=warn", "--unsafe-no-fsync",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster=test="+peerURL,
	))
	if err != nil {
		return err
	}
	if err := c.writePKI(); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	return c.startProcess(ctx, "kube-apiserver", c.URL+"/readyz", c.client, exec.Command(apiserver,
		"--etcd-servers="+etcdURL,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+apiPort,
		"--endpoint-reconciler-type=none", // an endpoint may not have a loopback address
		"--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file="+c.path("server.crt"), "--tls-private-key-file="+c.path("server.key"),
		"--client-ca-file="+c.path("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file="+c.path("service-accounts.key"),
		"--service-account-key-file="+c.path("service-accounts.crt"),
		"--authorization-mode=RBAC",
	))
}

// startProcess starts a server and waits until url answers 200.
func (c *ControlPlane) startProcess(ctx context.Context, name, url string, client *http.Client, command *exec.Cmd) error {
	command.Dir = c.dir
	server, err := startProcess(c.dir, name, syscall.SIGTERM, command)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, server)
	return server.ready(ctx, time.Minute, func(ctx context.Context) error {
		_, err := send(ctx, client, http.MethodGet, url, "", nil)
		return err
	})
}

// writePKI makes all certificates, those files that kube-apiserver reads, the
// administrator's kubeconfig and c.client.
func (c *ControlPlane) writePKI() error {
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	c.authority = authority
	server, err := authority.server()
	if err != nil {
		return err
	}
	// Only its keys are used, to sign and to check tokens.
	serviceAccounts, err := newAuthority()
	if err != nil {
		return err
	}
	for name, pair := range map[string]*keyPair{"ca": authority, "server": server, "service-accounts": serviceAccounts} {
		key, err := pair.keyPEM()
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.path(name+".crt"), pair.certificatePEM(), 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(c.path(name+".key"), key, 0o600); err != nil {
			return err
		}
	}

	admin, err := authority.client("test-admin", "system:masters")
	if err != nil {
		return err
	}
	key, err := admin.keyPEM()
	if err != nil {
		return err
	}
	c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: admin.clientTLS(authority), ForceAttemptHTTP2: true}}
	return c.writeKubeconfig(c.Kubeconfig, "", map[string]any{
		"client-certificate-data": admin.certificatePEM(),
		"client-key-data":         key,
	})
}

// writeKubeconfig writes a kubeconfig that needs no other file. Namespace may
// be empty.
func (c *ControlPlane) writeKubeconfig(path, namespace string, user map[string]any) error {
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
			"server":                     c.URL,
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
