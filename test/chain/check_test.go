//go:build e2e

package chain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// A finding is a line of nautobot-token check.
type finding struct {
	Object, Status, Text string
	Mend                 []string
}

// well tells whether nothing is wrong. The tests suspend the CronJobs.
func (f finding) well() bool {
	return f.Status == "ok" || f.Status == "warning" && strings.HasPrefix(f.Object, "cronjob/") && f.Text == "it is suspended"
}

// builtProgram builds the program once, for this machine.
var builtProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(cluster.Dir(), "nautobot-token")
	out, err := exec.Command("go", "build", "-o", path, "../..").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return path, err
})

// intoCluster is an HTTP proxy that knows Nautobot's name in the cluster, as a
// person's VPN would.
var intoCluster = sync.OnceValue(func() string {
	dial := cluster.HTTP().Transport.(*http.Transport).DialContext
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != nautobotHost+":443" {
			http.Error(w, "there is no such host", http.StatusBadGateway)
			return
		}
		to, err := dial(r.Context(), "tcp4", net.JoinHostPort(servers.NodeAddress, fmt.Sprint(nautobotPort)))
		if err != nil {
			http.Error(w, "it does not answer", http.StatusBadGateway)
			return
		}
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); to.Close() }()
		go func() { _, _ = io.Copy(from, to); from.Close() }()
	}))
	return proxy.URL
})

// check runs nautobot-token check as an operator does, who knows nothing but the
// Secret.
func check(ctx context.Context, args ...string) ([]finding, error) {
	path, err := builtProgram()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, path, append([]string{"check", "-o", "json"}, args...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig, "HTTPS_PROXY="+intoCluster(), "NO_PROXY=127.0.0.1")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	if what := found(stdout.String() + stderr.String()); what != "" {
		return nil, errors.New("check shows the " + what)
	}
	var findings []finding
	failed := false
	for line := range strings.Lines(stdout.String()) {
		var one finding
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			return nil, err
		}
		findings = append(findings, one)
		failed = failed || one.Status == "failed"
	}
	if code := command.ProcessState.ExitCode(); code != map[bool]int{true: 1}[failed] {
		return nil, fmt.Errorf("check ends with code %d, %w: %s", code, err, &stderr)
	}
	return findings, nil
}

// finds is nil when check has such a finding for the account's Secret.
func (a *account) finds(ctx context.Context, status, object, says string, args ...string) error {
	return finds(ctx, status, object, says, append([]string{a.name, "-n", a.namespace}, args...)...)
}

func finds(ctx context.Context, status, object, says string, args ...string) error {
	findings, err := check(ctx, args...)
	if err != nil {
		return err
	}
	for _, one := range findings {
		if one.Status == status && strings.HasPrefix(one.Object, object) && strings.Contains(one.Text, says) {
			if status == "failed" && len(one.Mend) == 0 && !strings.HasPrefix(object, "account/") {
				return fmt.Errorf("%s: nothing is said about how to mend it", one.Object)
			}
			return nil
		}
	}
	return fmt.Errorf("no finding %s %s says %q: %+v", status, object, says, findings)
}

// wantFinding waits for a finding of check.
func (a *account) wantFinding(t *testing.T, status, object, says string, args ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error { return a.finds(ctx, status, object, says, args...) })
}

// ofRelease are the arguments for one of the releases of a namespace.
func ofRelease(namespace, name string) []string {
	return []string{"--release-namespace", namespace, "--release", name}
}

// Where all is well check finds nothing, with and without a Secret, and changes
// nothing. Once the token is gone from Nautobot it says so.
func TestCheckAllIsWell(t *testing.T) {
	a := newAccount(t, watched, "well")
	a.save(t)
	eventually(t, a.usable)
	a.wantJobs(t, 1)
	eventually(t, func(ctx context.Context) error { // the bus may have just been made
		findings, err := check(ctx, a.name, "-n", watched)
		for _, one := range findings {
			if err == nil && !one.well() {
				err = fmt.Errorf("%+v", one)
			}
		}
		return err
	})
	before := snapshot(t)
	for _, args := range [][]string{{a.name, "-n", watched}, ofRelease(home, release)} {
		begin := time.Now()
		findings, err := check(t.Context(), args...)
		if err != nil {
			t.Fatal(redact(err.Error()))
		}
		t.Logf("check %v took %s", args, time.Since(begin).Round(time.Millisecond))
		for _, one := range findings {
			if !one.well() {
				t.Errorf("%+v", one)
			}
		}
		if len(findings) < 8 {
			t.Errorf("%d findings: %+v", len(findings), findings)
		}
	}
	if after := snapshot(t); after != before {
		t.Error("something has changed in Nautobot")
	}

	if _, err := nautobot.Python(t.Context(), `
from nautobot.users.models import Token
Token.objects.filter(user__username="svc-well").delete()
`); err != nil {
		t.Fatal(redact(err.Error()))
	}
	a.wantFinding(t, "failed", "token/openstack/well", "not in Nautobot yet")
}

// The Secret is not as it should be.
func TestCheckSecret(t *testing.T) {
	a, elsewhere := newAccount(t, watched, "unseen"), newAccount(t, "elsewhere", "no-rule")
	a.wantFinding(t, "failed", "secret/openstack/unseen", "there is no such Secret")
	a.saveData(t, nil, a.data())
	a.wantFinding(t, "failed", "secret/openstack/unseen", "the label token/type=nautobot is missing")
	elsewhere.save(t)
	elsewhere.wantFinding(t, "failed", "rule/elsewhere/no-rule", "has no rule for Secret", ofRelease(home, release)...)
	elsewhere.wantFinding(t, "failed", "eventsource/", "does not watch namespace elsewhere", ofRelease(home, release)...)
	refused := newAccount(t, watched, "no-token")
	data := refused.data()
	delete(data, "token")
	refused.saveData(t, watchedLabel, data)
	refused.wantFinding(t, "failed", "keys/openstack/no-token", `key "token" is missing`)
	refused.wantFinding(t, "failed", "job/nautobot/", `exit code 3, the Secret was refused: key "token" is missing`)
}

// Somebody else has the account.
func TestCheckAccountTaken(t *testing.T) {
	a := newAccount(t, watched, "taken")
	if _, err := nautobot.Python(t.Context(), `
from nautobot.users.models import User
User.objects.create(username="svc-taken", first_name="A", last_name="Person")
`); err != nil {
		t.Fatal(redact(err.Error()))
	}
	a.save(t)
	a.wantFinding(t, "failed", "account/openstack/taken", "that was not made for this Secret")
}

// The superuser's Secret is missing, and then it holds a token that nobody has.
func TestCheckSuperuser(t *testing.T) {
	a := newAccount(t, watched, "superuser")
	a.save(t)
	a.wantJobs(t, 1)
	t.Cleanup(func() {
		if err := applySuperuser(context.WithoutCancel(t.Context())); err != nil {
			t.Error(redact(err.Error()))
		}
	})
	if err := remove(t.Context(), "Secret", home, "nautobot-superuser"); err != nil {
		t.Fatal(err)
	}
	a.wantFinding(t, "failed", "secret/nautobot/nautobot-superuser", "it is missing")
	a.wantFinding(t, "warning", "nautobot/", "whether it accepts the superuser token is not known")
	if err := apply(t.Context(), object{
		"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": "nautobot-superuser", "namespace": home},
		"stringData": object{"apitoken": strings.Repeat("abcdefgh", 5)},
	}); err != nil {
		t.Fatal(err)
	}
	a.wantFinding(t, "failed", "nautobot/", "the superuser token is not accepted")
}

// The EventSource may not list the Secrets of a namespace.
func TestCheckForbidden(t *testing.T) {
	a := newAccount(t, watched, "forbidden")
	a.save(t)
	a.wantJobs(t, 1)
	const binding = "nautobot.nautobot-token.watcher"
	path := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + watched + "/rolebindings/" + binding
	var kept object
	if err := get(t.Context(), path, &kept); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Delete(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"resourceVersion", "uid", "creationTimestamp", "managedFields"} {
		delete(kept["metadata"].(object), field)
	}
	before, err := pods(t.Context(), "eventsource-name="+release)
	if err != nil {
		t.Fatal(err)
	}
	removePods(t, "eventsource-name="+release)
	eventually(t, func(ctx context.Context) error { return renewed(ctx, "eventsource-name="+release, before) })
	a.wantFinding(t, "failed", "eventsource/nautobot/nautobot-token", "forbidden: it may not list secrets in namespace openstack")
	if err := apply(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		return a.finds(ctx, "ok", "eventsource/nautobot/nautobot-token", "it runs")
	})
}

// A quota keeps the Pod from a Job, for either reason, or the Sensor from the Job.
func TestCheckQuota(t *testing.T) {
	for name, c := range map[string]struct {
		hard                 object
		status, object, says string
	}{
		"exceeded": {object{"pods": "0"}, "warning", "job/nautobot/", "exceeded quota"},
		"demands":  {object{"limits.cpu": "100"}, "failed", "job/nautobot/", "must specify"},
		"jobs":     {object{"count/jobs.batch": "0"}, "failed", "sensor/nautobot/", "failed to execute a trigger"},
	} {
		a := newAccount(t, watched, "quota-"+name)
		quota := object{
			"apiVersion": "v1", "kind": "ResourceQuota", "metadata": object{"name": name, "namespace": home}, "spec": object{"hard": c.hard},
		}
		if err := apply(t.Context(), quota); err != nil {
			t.Fatal(err)
		}
		eventually(t, func(ctx context.Context) error {
			var now struct{ Status struct{ Hard object } }
			err := get(ctx, "/api/v1/namespaces/"+home+"/resourcequotas/"+name, &now)
			if err == nil && len(now.Status.Hard) == 0 {
				err = errors.New("the quota does not count yet")
			}
			return err
		})
		a.save(t)
		a.wantFinding(t, c.status, c.object, c.says)
		if name != "demands" {
			a.wantFinding(t, "warning", "resourcequota/nautobot/"+name, "exceeded quota")
		}
		if err := remove(t.Context(), "ResourceQuota", home, name); err != nil {
			t.Fatal(err)
		}
		eventually(t, a.usable)
		a.wantJobs(t, 1)
	}
}

// A Job's image cannot be had; its Pod has a container beside the program's; the
// chart's values are wrong.
func TestCheckJob(t *testing.T) {
	for name, c := range map[string]struct {
		change func(pod, container object)
		says   string
	}{
		"image": {func(_, container object) {
			container["image"], container["imagePullPolicy"] = imageRepository+":absent", "Never"
		}, "ErrImageNeverPull"},
		"sidecar": {func(pod, container object) {
			beside := object{"name": "proxy", "image": servers.PauseImage, "securityContext": container["securityContext"], "resources": container["resources"]}
			pod["containers"] = append(pod["containers"].([]any), beside)
		}, "runs on because of the container proxy"},
		"values": {func(_, container object) {
			container["args"] = append(container["args"].([]any), "--timeout", "soon")
		}, "exit code 2, a mistake in the chart's values: --timeout (TIMEOUT): want a duration"},
	} {
		a := newAccount(t, watched, "job-"+name)
		a.saveData(t, nil, a.data()) // the Job is made by hand: that of the Sensor is in order
		job := a.jobByHand(t, c.change)
		if err := apply(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		a.wantFinding(t, "failed", "job/nautobot/"+a.name, c.says)
		if err := cluster.Delete(t.Context(), fmt.Appendf(nil, "{apiVersion: batch/v1, kind: Job, metadata: {name: %s, namespace: %s}}", a.name, home)); err != nil {
			t.Fatal(err)
		}
	}
}

// jobByHand is the Job that the Sensor would create, changed.
func (a *account) jobByHand(t *testing.T, change func(pod, container object)) (job object) {
	t.Helper()
	var configMap corev1.ConfigMap
	if err := get(t.Context(), "/api/v1/namespaces/"+home+"/configmaps/nautobot-token-job", &configMap); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(configMap.Data["job.yaml"]), &job); err != nil {
		t.Fatal(err)
	}
	delete(job["metadata"].(object), "generateName")
	job["metadata"].(object)["name"] = a.name
	pod := job["spec"].(object)["template"].(object)["spec"].(object)
	container := pod["containers"].([]any)[0].(object)
	container["args"] = []any{"provision", a.name, "--namespace", a.namespace}
	change(pod, container)
	return job
}

// What a release says of Nautobot is wrong: the CA is missing, is another one, or
// the URL names a host that is not there. Nautobot is away.
func TestCheckNautobot(t *testing.T) {
	values := maps.Clone(chartValues)
	values["eventBus"] = object{"replicas": 1} // for which there is no volume
	values["superuserSecret"] = object{"namespace": home}
	delete(values, "test")
	const name = "wrong"
	install := func(verb string, nautobot object) {
		t.Helper()
		values["nautobot"] = nautobot
		if err := helm(t.Context(), verb, stuck, name, values); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := cluster.Helm(context.WithoutCancel(t.Context()), "uninstall", name, "--namespace", stuck); err != nil {
			t.Error(err)
		}
	})
	want := func(status, object, says string) {
		t.Helper()
		eventually(t, func(ctx context.Context) error {
			return finds(ctx, status, object, says, ofRelease(stuck, name)...)
		})
	}
	url := "https://" + nautobotHost
	install("install", object{"url": url, "caBundle": object{"configMap": "other-ca"}})
	want("failed", "configmap/stuck/other-ca", "it is missing")
	want("failed", "nautobot/", "--nautobot-ca-file names the CA")
	if err := apply(t.Context(), object{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "other-ca", "namespace": stuck}, "data": object{"ca.crt": "no certificate"},
	}); err != nil {
		t.Fatal(err)
	}
	want("failed", "configmap/stuck/other-ca", "holds no PEM certificate")
	install("upgrade", object{"url": "https://absent.nautobot.svc"})
	want("failed", "nautobot/absent.nautobot.svc", "proxy answered 502")
	want("failed", "eventbus/stuck/", "is Pending: it gets no volume")

	nautobot.Interrupt()
	err := poll(t.Context(), patience, func(ctx context.Context) error {
		return finds(ctx, "failed", "nautobot/", "no answer from Nautobot", ofRelease(home, release)...)
	})
	if resumed := nautobot.Resume(t.Context()); resumed != nil {
		t.Fatal(redact(resumed.Error()))
	}
	if err != nil {
		t.Error(redact(err.Error()))
	}
}

// What a person may not read is no failure.
func TestCheckMayNotRead(t *testing.T) {
	a := newAccount(t, watched, "unreadable")
	a.save(t)
	if err := apply(t.Context(), object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": "nobody", "namespace": "elsewhere"}}); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := cluster.ServiceAccountKubeconfig(t.Context(), "elsewhere", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	findings, err := check(t.Context(), a.name, "-n", watched, "--kubeconfig", kubeconfig)
	if err != nil {
		t.Fatal(redact(err.Error()))
	}
	for _, one := range findings {
		if one.Status == "failed" || strings.HasPrefix(one.Object, "secret/") && !strings.Contains(one.Text, "may not") {
			t.Errorf("%+v", one)
		}
	}
	if len(findings) < 5 {
		t.Errorf("%d findings: %+v", len(findings), findings)
	}
}
