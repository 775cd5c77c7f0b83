package charts

import (
	"bytes"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
)

// The real program takes the environment that the Job sets, and the policy.
func TestTheProgramAcceptsIt(t *testing.T) {
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			r := mustRender(t, values, chartutil.ReleaseOptions{})
			env := jobEnvironment(t, r)
			// It stops where it would talk to the API server: all before that was fine.
			code, stderr := run(t, env, "", "provision", "nautobot-token", "--namespace", "openstack", "--kubeconfig", "/does/not/exist")
			if code != 2 || !strings.Contains(stderr, "--kubeconfig") {
				t.Errorf("exit %d: %s", code, stderr)
			}
		})
	}
}

// The policy means what the values say.
func TestTheProgramObeysThePolicy(t *testing.T) {
	const refused, noNautobot = 3, 1
	for _, c := range []struct {
		values, namespace, secret, username string
		want                                int
	}{
		{"full", "openstack", "nautobot-token", "site-openstack", noNautobot},
		{"full", "openstack", "extra.token", "openstack", noNautobot},
		{"full", "openstack", "second", "second", noNautobot},
		{"full", "openstack", "second", "site-openstack", refused},
		{"full", "openstack", "third", "third", refused},
		{"full", "123", "site-1", "site-one", noNautobot},
		{"full", "123", "one", "site-one", refused},
		{"global", "nautobot", "rxdb-lab-token", "rxdb-lab-token", noNautobot},
		{"global", "nautobot", "nautobot-superuser", "admin", refused},
		{"global", "openstack", "nautobot-token", "staging-openstack", noNautobot},
		{"global", "openstack", "nautobot-token", "staging-workflow", refused},
		{"site", "openstack", "nautobot-token", "rxdb-lab-openstack", noNautobot},
		{"site", "argo-events", "nautobot-token", "rxdb-lab-workflow", noNautobot},
		{"site", "argo-events", "nautobot-token", "rxdb-lab-openstack", refused},
		{"site", "nautobot", "nautobot-token", "rxdb-lab-token", refused},
	} {
		r := mustRender(t, valuesFiles(t)[c.values], chartutil.ReleaseOptions{})
		env := append(jobEnvironment(t, r), "NAUTOBOT_TOKEN=0123456789")
		secret := "{apiVersion: v1, kind: Secret, metadata: {name: " + c.secret + ", namespace: '" + c.namespace + "', labels: {token/type: nautobot}}," +
			" stringData: {username: " + c.username + ", token: " + strings.Repeat("7c", 20) + "}}"
		code, stderr := run(t, env, secret, "provision", "-f", "-", "--dry-run", "--nautobot-url", "http://127.0.0.1:1", "--timeout", "100ms")
		if code != c.want {
			t.Errorf("%+v: exit %d: %s", c, code, stderr)
		}
	}
}

// jobEnvironment is the Job's, with its files in a folder here.
func jobEnvironment(t *testing.T, r rendered) []string {
	t.Helper()
	folder := t.TempDir()
	var env []string
	for _, variable := range r.job.Spec.Template.Spec.Containers[0].Env {
		if variable.ValueFrom == nil {
			env = append(env, variable.Name+"="+strings.ReplaceAll(variable.Value, "/etc/nautobot-token/", folder+"/"))
		}
		if variable.Name == "NAUTOBOT_CA_FILE" {
			server := httptest.NewTLSServer(nil)
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			server.Close()
			write(t, strings.ReplaceAll(variable.Value, "/etc/nautobot-token/", folder+"/"), ca)
		}
	}
	for name, text := range r.policy.Data {
		write(t, filepath.Join(folder, "policy", name), []byte(text))
	}
	return env
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, text, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, env []string, stdin string, args ...string) (code int, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	var output bytes.Buffer
	command.Env, command.Stdin, command.Stderr = env, strings.NewReader(stdin), &output
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), output.String()
}
