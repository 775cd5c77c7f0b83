package servers

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

var (
	externalSecrets = program{
		name: "external-secrets", dir: "test/external-secrets",
		pkg: "github.com/external-secrets/external-secrets", module: "github.com/external-secrets/external-secrets",
	}
	// No refresh succeeds without these, even if nothing is generated.
	generatorStateCRD = CRDs{
		tools: externalSecrets.dir, module: externalSecrets.module,
		files: "config/crds/bases/generators.external-secrets.io_generatorstates.yaml",
	}
)

// ExternalSecrets is a running controller of External Secrets Operator. Its
// webhooks do not run.
type ExternalSecrets struct {
	dir     string
	process *process
}

// StartExternalSecrets gives the cluster of a kubeconfig the resource
// definitions of External Secrets Operator, starts its controller beside it,
// and returns when it is alive. The first time it builds the controller, which
// takes many minutes. It gets no environment but the given variables, such as
// SSL_CERT_FILE=ca.crt for a backend with a certificate of its own. It runs
// until Stop; ctx is for starting it only.
func StartExternalSecrets(ctx context.Context, kubeconfig string, env ...string) (*ExternalSecrets, error) {
	program, err := externalSecrets.build(ctx)
	if err != nil {
		return nil, err
	}
	kubeconfig, err = filepath.Abs(kubeconfig)
	if err != nil {
		return nil, err
	}
	cluster, err := connect(kubeconfig)
	if err != nil {
		return nil, err
	}
	defer cluster.client.CloseIdleConnections()
	if err := cluster.InstallCRDs(ctx, ExternalSecretsCRDs, generatorStateCRD); err != nil {
		return nil, err
	}
	return startInRunDir(ctx, "external-secrets", func(ctx context.Context, dir string) (*ExternalSecrets, error) {
		ports, err := freePorts(1)
		if err != nil {
			return nil, err
		}
		live := "127.0.0.1:" + strconv.Itoa(ports[0])
		command := exec.Command(program, "--enable-leader-election=false", "--metrics-addr=127.0.0.1:0",
			"--live-addr="+live, "--zap-time-encoding=rfc3339nano")
		command.Dir = dir
		// The clients of its backends heed VAULT_TOKEN, AWS_PROFILE and many
		// more: what a developer has set must not decide a test.
		command.Env = append([]string{"HOME=" + dir, "KUBECONFIG=" + kubeconfig}, env...)
		controller, err := startProcess(dir, "external-secrets", syscall.SIGTERM, command)
		if err != nil {
			return nil, err
		}
		err = controller.ready(ctx, func(ctx context.Context) error {
			_, err := send(ctx, http.DefaultClient, http.MethodGet, "http://"+live+"/healthz", "", nil)
			return err
		})
		if err != nil {
			controller.stop()
			return nil, err
		}
		return &ExternalSecrets{dir, controller}, nil
	})
}

// Log is what the controller has logged up to now.
func (e *ExternalSecrets) Log() (string, error) {
	text, err := os.ReadFile(e.process.log)
	return string(text), err
}

// Stop ends the controller. Its resource definitions stay in the cluster.
func (e *ExternalSecrets) Stop() {
	e.process.stop()
	_ = os.RemoveAll(e.dir)
}

// connect returns as much of a ControlPlane as it takes to ask a cluster that
// runs already.
func connect(kubeconfig string) (*ControlPlane, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &ControlPlane{URL: strings.TrimSuffix(config.Host, "/"), Kubeconfig: kubeconfig, client: client}, nil
}
