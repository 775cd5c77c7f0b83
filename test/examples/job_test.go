//go:build e2e

package examples

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/rackerlabs/understack/go/nautobot-token/test/leaks"
	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// A release is the chart on a cluster, and the Secrets that lie there.
type release struct {
	cluster    *servers.ControlPlane
	job        batchv1.Job // that the Sensor creates
	env        []string    // of the Job, with files and servers of the test
	kubeconfig string      // of the Job's service account
	secrets    []corev1.Secret
}

// install renders the chart with the values of a folder and what is set
// besides, as `helm install` does, and applies it.
func install(t *testing.T, cluster *servers.ControlPlane, values string, set ...string) *release {
	t.Helper()
	manifests := render(t, cluster, values, set...)
	if err := cluster.Apply(t.Context(), manifests); err != nil {
		t.Fatal(err)
	}
	r := &release{cluster: cluster}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	for _, d := range split(t, string(manifests)) {
		switch d.Kind {
		case "ConfigMap":
			var configMap corev1.ConfigMap
			d.decode(t, &configMap)
			if text, ok := configMap.Data["job.yaml"]; ok {
				document{text: text}.decode(t, &r.job)
			} else if err := os.WriteFile(policy, []byte(configMap.Data["policy.yaml"]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	pod := r.job.Spec.Template.Spec
	var err error
	r.kubeconfig, err = cluster.ServiceAccountKubeconfig(t.Context(), r.job.Namespace, pod.ServiceAccountName)
	if err != nil {
		t.Fatal(err)
	}
	r.env = environment(t, pod.Containers[0].Env, map[string]string{
		"NAUTOBOT_URL":          nautobot.URL,
		"NAUTOBOT_TOKEN_POLICY": policy,
		"LOG_LEVEL":             "debug", // the more is said, the more can leak
	})
	r.env = append(r.env,
		"NAUTOBOT_HOSTNAMES=nautobot.example.com", // the Secrets' name for it
		"KUBECONFIG="+r.kubeconfig, "HOME="+t.TempDir(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	return r
}

func render(t *testing.T, cluster *servers.ControlPlane, values string, set ...string) []byte {
	t.Helper()
	answer, err := cluster.Get(t.Context(), "/version")
	if err != nil {
		t.Fatal(err)
	}
	var version struct{ GitVersion string }
	if err := json.Unmarshal(answer, &version); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"template", "nautobot-token", filepath.Join(root, "charts/nautobot-token"), "--no-hooks", "--kube-version", version.GitVersion,
		"--namespace", "nautobot", "--values", filepath.Join(folder, values, "values.yaml"),
	}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	manifests, err := cluster.Helm(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(manifests)
}

// environment is the Job's, with other values in place of its own.
func environment(t *testing.T, variables []corev1.EnvVar, instead map[string]string) []string {
	t.Helper()
	var env []string
	for _, v := range variables {
		if v.ValueFrom != nil {
			t.Errorf("the test does not know what %s is", v.Name)
		}
		if value, ok := instead[v.Name]; ok {
			v.Value = value
			delete(instead, v.Name)
		}
		env = append(env, v.Name+"="+v.Value)
	}
	for name := range instead {
		t.Errorf("the Job has no variable %s", name)
	}
	return env
}

// apply applies Secrets and waits until the Job's service account may read
// them: the API server learns of new rights a moment after they are given.
func (r *release) apply(t *testing.T, secrets []document) {
	t.Helper()
	for _, d := range secrets {
		var secret corev1.Secret
		d.decode(t, &secret)
		if err := r.cluster.Apply(t.Context(), []byte(d.text)); err != nil {
			t.Fatal(err)
		}
		r.secrets = append(r.secrets, secret)
	}
	client, host := clientFor(t, r.kubeconfig)
	for _, secret := range r.secrets {
		path := fmt.Sprintf("%s/api/v1/namespaces/%s/secrets/%s", host, secret.Namespace, secret.Name)
		for deadline := time.Now().Add(10 * time.Minute); ; {
			response, err := client.Get(path)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the Job may not read %s/%s: %s", secret.Namespace, secret.Name, response.Status)
			}
		}
	}
}

// clientFor speaks to the API server as a kubeconfig says.
func clientFor(t *testing.T, kubeconfig string) (client *http.Client, host string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if client, err = rest.HTTPClientFor(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client, config.Host
}

// A result is what a run printed, and its exit code.
type result struct {
	code           int
	stdout, stderr string
}

// provision runs the program as the Job for a Secret does.
func (r *release) provision(t *testing.T, secret corev1.Secret) result {
	t.Helper()
	args := slices.Clone(r.job.Spec.Template.Spec.Containers[0].Args)
	args[1], args[3] = secret.Name, secret.Namespace // as the Sensor fills them in
	return r.run(t, binary, args...)
}

// run runs a program with the Job's environment and no other, and looks for
// secrets in what it prints.
func (r *release) run(t *testing.T, program string, args ...string) result {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = r.env
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if bytes.Count(stderr.Bytes(), []byte("\n")) == 0 {
		t.Error("the program logs nothing, so no leak could be seen")
	}
	for what, text := range r.forbidden() {
		if strings.Contains(stdout.String()+stderr.String()+strings.Join(args, " "), text) {
			t.Errorf("%s shows %s", strings.Join(args, " "), what)
		}
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), r.redact(stderr.String())}
}

// forbidden is what may be in no output: every secret, as it is and encoded.
func (r *release) forbidden() map[string]string {
	texts := map[string]string{
		"the admin's token":    nautobot.Token,
		"the admin's password": nautobot.Password,
	}
	for _, secret := range r.secrets {
		for _, key := range []string{"apitoken", "apiToken", "token", "password"} {
			if value := secret.StringData[key]; value != "" {
				texts[fmt.Sprintf("%s of %s/%s", key, secret.Namespace, secret.Name)] = value
			}
		}
	}
	all := map[string]string{}
	for what, text := range texts {
		for name, form := range leaks.Forms(text) {
			all[what+" "+name] = form
		}
	}
	return all
}

func (r *release) redact(text string) string {
	for what, secret := range r.forbidden() {
		text = strings.ReplaceAll(text, secret, "["+what+"]")
	}
	return text
}

// want checks the exit code and the lines of standard output, each without
// the padding of its columns. Group and permission are made by whichever run
// is the first: they may be among the lines.
func (got result) want(t *testing.T, code int, lines ...string) {
	t.Helper()
	var printed []string
	for line := range strings.Lines(got.stdout) {
		if strings.HasPrefix(line, "group/nautobot-token-managed ") || strings.HasPrefix(line, "permission/nautobot-token-managed ") {
			continue
		}
		printed = append(printed, strings.Join(strings.Fields(line), " "))
	}
	if got.code != code || !slices.Equal(printed, lines) {
		t.Errorf("exit code %d, want %d; printed\n  %s\nwant\n  %s\n%s", got.code, code,
			strings.Join(printed, "\n  "), strings.Join(lines, "\n  "), got.stderr)
	}
}
