package charts

import (
	"bytes"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	corev1 "k8s.io/api/core/v1"
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
			// And so do the CronJobs and the Job that revokes, with their own arguments.
			var others []corev1.PodTemplateSpec
			for _, cronJob := range r.cronJobs {
				others = append(others, cronJob.Spec.JobTemplate.Spec.Template)
			}
			if r.revokeJob != nil {
				others = append(others, r.revokeJob.Spec.Template)
			}
			for _, pod := range others {
				args := strings.Split(strings.ReplaceAll(strings.Join(pod.Spec.Containers[0].Args, "\n"), "$(JOB_COMPLETION_INDEX)", "0"), "\n")
				if args[0] == "revoke" {
					args[1], args[3] = "nautobot-token", "openstack" // as the Sensor fills them in
				}
				code, stderr := run(t, podEnvironment(t, r, pod), "", append(args, "--kubeconfig", "/does/not/exist")...)
				if code != 2 || !strings.Contains(stderr, "--kubeconfig") {
					t.Errorf("%q: exit %d: %s", args, code, stderr)
				}
			}
		})
	}
}

// A mistake that the program would find in each Job is found when rendering,
// and nothing is refused that the program would take.
func TestSameVerdict(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	rule := func(key string, value any) []any {
		return []any{with(map[string]any{"namespace": "openstack", "usernames": []any{"*"}}, key, value)}
	}
	one := func(values ...any) []any { return values }
	type verdict struct {
		path  string
		value any
	}
	var good, bad []verdict
	add := func(to *[]verdict, path string, values ...any) {
		for _, value := range values {
			*to = append(*to, verdict{path, value})
		}
	}
	add(&good, "nautobot.url", "https://nautobot.example.com", "HTTPS://nautobot.example.com:443/", "https://[2001:db8::1]:8443/nautobot/", "https://nautobot.example.com/a%20b", "https://nautobot.example.com/a b",
		"http://localhost:8080", "http://127.0.0.2", "http://[::1]:8080/", "https://nautobot_1.example.com", "https://nautobot.example.com/api/")
	add(&bad, "nautobot.url", "", "nautobot.example.com", "ftp://nautobot.example.com", "https://", "https:///x", "https://:443", "https://nautobot.example.com:", "https://nautobot.example.com:x", "https://nautobot.example.com:65536", "https://nautobot.example.com:0",
		"https://user@nautobot.example.com", "https://user:password@nautobot.example.com", "https://nautobot.example.com/?x=y", "https://nautobot.example.com/#x",
		"https://nauto bot.example.com", "https://nautobot.example.com/%zz", "https://[::1", "http://nautobot.example.com", "http://localhost.example.com")
	add(&good, "nautobot.hostnames", one(), one("nautobot.internal"), one("nautobot.internal:8443", "[2001:db8::1]:443"), one("NAUTOBOT.internal"))
	add(&bad, "nautobot.hostnames", one("a:b"), one("a", "b:"), one("https://a"), one("a/b"), one("user@a"), one("a b"), one("a?b"), one("a#b"))
	add(&good, "cluster", "", "global", "iad3.prod", "1e3", long(63))
	add(&bad, "cluster", "Global", "a..b", "-a", "a-", "a_b", "a b", "a/b", long(254))
	add(&good, "managedGroup", "service accounts", long(150), "provisioners")
	add(&bad, "managedGroup", " x", "x ", long(151), "x-provisioners")
	add(&good, "rotationGrace", "0", "0s", "30m", "1h30m", "1.5h", "500us")
	add(&bad, "rotationGrace", "1d", "-1s", "60", "1 h", "h")
	add(&good, "timeout", "1ms", "0.5s", "1m0s", "2h")
	add(&bad, "timeout", "0", "0s", "-1s", "1d", "2")
	add(&bad, "logLevel", "trace", "5")
	add(&bad, "superuserSecret.namespace", "a.b", "A")
	add(&bad, "superuserSecret.name", "UPPER", "a_b", "a..b", "a/b")
	add(&bad, "rules", one(), rule("namespace", ""), rule("namespace", "*"), rule("namespace", "A"), rule("namespace", "a.b"), rule("namespace", long(64)))
	add(&good, "rules", rule("namespace", "2024"), rule("namespace", "on"))
	for _, key := range []string{"secrets", "usernames"} {
		add(&good, "rules", rule(key, one("*")), rule(key, one("a-?", "*.b", "c-*")), rule(key, one("1e3")))
		add(&bad, "rules", rule(key, one()), rule(key, one("")), rule(key, one("[")), rule(key, one("a[b")), rule(key, one("[a-z]*")), rule(key, one("a\\*")), rule(key, one("a b")), rule(key, one("a", "b,c")))
	}
	add(&good, "rules", rule("usernames", one("svc-*@example.com", "a.b+c_d", "Svc", "..")), rule("secrets", one(long(253))))
	add(&bad, "rules", rule("secrets", one("a", "svc@example.com")), rule("secrets", one("Svc")), rule("secrets", one("..")), rule("secrets", one("a..*")), rule("secrets", one("*-")), rule("secrets", one(long(254))))
	add(&good, "rules", rule("groups", one("read only", "a/b")), rule("groups", one(long(150))))
	add(&bad, "rules", rule("groups", one("")), rule("groups", one("a", " b")), rule("groups", one("a\u00a0")), rule("groups", one("a\tb")), rule("groups", one(long(151))))
	add(&good, "rules", rule("adoptFrom", one("openstack/nautobot-token", "iad3.prod/openstack/*")), rule("adoptFrom", one("old?/openstack/nautobot-token")))
	add(&bad, "rules", rule("adoptFrom", one("openstack")), rule("adoptFrom", one("")), rule("adoptFrom", one("a/b", "/b")), rule("adoptFrom", one("a/b/c/d")), rule("adoptFrom", one("a/b c")))
	add(&bad, "rules", rule("superuser", "yes"), rule("superUser", true))
	add(&good, "rules", rule("revoke", true), rule("revoke", false))
	add(&bad, "rules", rule("revoke", "yes"))

	loose := unchecked(t)
	for _, of := range []struct {
		cases []verdict
		bad   bool
	}{{good, false}, {bad, true}} {
		for _, c := range of.cases {
			values := with(valuesFiles(t)["minimal"], c.path, c.value)
			_, refusal := render(t, values, chartutil.ReleaseOptions{})
			if (refusal != nil) != of.bad {
				t.Errorf("%s=%q: the chart: %v", c.path, c.value, refusal)
			}
			texts, err := renderChart(loose, values, chartutil.ReleaseOptions{})
			if err != nil {
				t.Errorf("%s=%q: %v", c.path, c.value, err)
				continue
			}
			code, stderr := run(t, jobEnvironment(t, read(t, texts)), "", "provision", "nautobot-token", "--namespace", "openstack", "--kubeconfig", "/does/not/exist")
			if refused := code == 2 && !strings.Contains(stderr, "--kubeconfig"); refused != of.bad || code != 2 {
				t.Errorf("%s=%q: the program: exit %d: %s", c.path, c.value, code, stderr)
			}
			if words := aboutPolicy(stderr); refusal != nil && !strings.Contains(refusal.Error(), words) {
				t.Errorf("%s=%q: the program says\n%s\nand the chart\n%v", c.path, c.value, words, refusal)
			}
		}
	}
}

// aboutPolicy is what the program says of a glob, an owner or a group, which the
// chart says in the same words; of all else it knows the values' names.
func aboutPolicy(stderr string) string {
	_, words, _ := strings.Cut(strings.Split(stderr, "\n")[0], "(NAUTOBOT_TOKEN_POLICY): ")
	if strings.Contains(words, "is not a glob") || strings.Contains(words, "is not a valid Secret name") || strings.Contains(words, "is not an owner") || strings.Contains(words, "name of a group") || strings.Contains(words, "groups of provisioners") {
		return words
	}
	return ""
}

// unchecked is the chart without its checks.
func unchecked(t *testing.T) *chart.Chart {
	t.Helper()
	copied := *loadChart(t)
	copied.Schema = nil
	copied.Templates = slices.Clone(copied.Templates)
	for i, template := range copied.Templates {
		if strings.HasSuffix(template.Name, "_check.tpl") {
			copied.Templates[i] = &chart.File{Name: template.Name, Data: []byte(`{{ define "nautobot-token.check" }}{{ end }}{{ define "nautobot-token.checkSize" }}{{ end }}`)}
		}
	}
	return &copied
}

// The policy means what the values say.
func TestTheProgramObeysThePolicy(t *testing.T) {
	// It speaks no TLS, which is not waited for.
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	url := strings.Replace(server.URL, "http://", "https://", 1)
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
			" stringData: {username: " + c.username + ", token: " + strings.Repeat("7c0e5d1a8f", 4) + "}}"
		code, stderr := run(t, env, secret, "provision", "-f", "-", "--dry-run", "--nautobot-url", url)
		if code != c.want {
			t.Errorf("%+v: exit %d: %s", c, code, stderr)
		}
	}
}

// jobEnvironment is the Job's, with its files in a folder here.
func jobEnvironment(t *testing.T, r rendered) []string {
	t.Helper()
	return podEnvironment(t, r, r.job.Spec.Template)
}

func podEnvironment(t *testing.T, r rendered, pod corev1.PodTemplateSpec) []string {
	t.Helper()
	folder := t.TempDir()
	var env []string
	for _, variable := range pod.Spec.Containers[0].Env {
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
