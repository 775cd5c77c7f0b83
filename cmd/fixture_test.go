package cmd

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision/provisiontest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// asProgram, set in the environment, makes the test binary be the program.
const asProgram = "NAUTOBOT_TOKEN_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main())
	}
	pauseBetweenLooks = time.Millisecond
	os.Exit(m.Run())
}

// The Secret of most tests, and everything that must never show. The characters of the
// passwords are those that URLs, JSON and HTML escape.
const (
	username    = "svc-openstack"
	password    = `canary-Passw0rd/7f3a"&<9c1e'`
	newPassword = `canary-Passw0rd+second"&<'`
	key         = "canary0key0canary0key0canary0key0canary0"
	newKey      = "canary1key1canary1key1canary1key1canary1"
)

// world is a fake Nautobot, a fake Kubernetes API server, and the environment of
// the program.
type world struct {
	nautobot *nautobottest.Server
	kube     *kubetest.Server
}

// newWorld has a labelled Secret openstack/nautobot-token, a Secret with the
// superuser token, and an environment that names both servers.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{nautobottest.New(nautobottest.Options{}), kubetest.New()}
	t.Cleanup(w.nautobot.Close)
	t.Cleanup(w.kube.Close)
	w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": password, "token": key})
	w.kube.Put("nautobot/nautobot-superuser", map[string]string{"apitoken": w.nautobot.Token + "\n"})

	emptyEnvironment(t)
	t.Setenv("KUBECONFIG", write(t, w.kube.Kubeconfig("openstack")))
	t.Setenv("NAUTOBOT_URL", w.nautobot.URL)
	t.Setenv("CLUSTER_NAME", "lab")
	t.Setenv("LOG_FORMAT", "text")
	return w
}

// emptyEnvironment sets every variable of the program to nothing, which counts
// as absent.
func emptyEnvironment(t *testing.T) {
	t.Helper()
	for field := range reflect.TypeFor[environment]().Fields() {
		t.Setenv(field.Tag.Get("envconfig"), "")
	}
	if err := os.Unsetenv("NAUTOBOT_TOKEN_POLICY"); err != nil { // where empty is a mistake
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
}

// output is what a run of the program leaves behind.
type output struct {
	code           int
	stdout, stderr string
}

func (w *world) run(t *testing.T, args ...string) output {
	t.Helper()
	return w.runWith(t.Context(), t, "", args...)
}

// runWith runs the program, and checks what must hold of every run.
func (w *world) runWith(ctx context.Context, t *testing.T, stdin string, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	before := len(w.nautobot.Requests())
	code := run(ctx, args, strings.NewReader(stdin), &stdout, &stderr)
	noSecret(t, w, "standard output", stdout.String())
	noSecret(t, w, "standard error", stderr.String())
	noSecret(t, w, "the Events", strings.Join(w.kube.EventTexts(), "\n"))
	for _, r := range w.nautobot.Requests()[before:] {
		noSecret(t, w, "a URL", r.Path+"?"+r.RawQuery)
		anonymous := r.Path == "/api/users/tokens/" && r.RawQuery == "limit=1" // what does Nautobot say to nobody?
		if r.AuthorizationHeaders != 1 && !anonymous {
			t.Errorf("%v has %d Authorization headers, want 1", r, r.AuthorizationHeaders)
		}
	}
	return output{code, stdout.String(), stableLog(stderr.String())}
}

// noSecret reports secrets in a text, in any form, without showing them.
func noSecret(t *testing.T, w *world, what, text string) {
	t.Helper()
	for i, secret := range []string{password, newPassword, kubetest.Token} {
		if provisiontest.Shows(text, secret) {
			t.Errorf("%s: secret no. %d shows", what, i)
		}
	}
	for i, token := range []string{w.nautobot.Token, key, newKey} {
		if provisiontest.ShowsToken(text, token) {
			t.Errorf("%s: token no. %d shows", what, i)
		}
	}
	if strings.Contains(text, "canary") {
		t.Errorf("%s: a part of a secret shows", what)
	}
}

var unstable = regexp.MustCompile(`time=\S+ |"time":"[^"]*",`)

// stableLog is a log without its times.
func stableLog(text string) string { return unstable.ReplaceAllString(text, "") }

// check compares a run's exit code and both streams.
func (o output) check(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	if diff := cmp.Diff(output{code, stdout, stderr}, o, cmp.AllowUnexported(output{})); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}

// golden compares a text with a file of testdata, or writes the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), go test -update accepts it:\n%s", path, diff)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
