package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// asProgram, set in the environment, makes the test binary be the program.
const asProgram = "NAUTOBOT_TOKEN_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The Secret of most tests, and all that must never show.
const (
	username    = "svc-openstack"
	password    = "canary-Passw0rd/7f3a-9c1e"
	newPassword = "canary-Passw0rd/second"
	key         = "canary0key0canary0key0canary0key0canary0"
	newKey      = "canary1key1canary1key1canary1key1canary1"
	kubeToken   = "canary-kubernetes"
)

// world is a fake Nautobot, a stand-in for the Kubernetes API server, and the
// environment of the program.
type world struct {
	nautobot *nautobottest.Server
	kube     *cluster
}

// newWorld has a labelled Secret openstack/nautobot-token, a Secret with the
// superuser token, and an environment that names both servers.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{nautobottest.New(nautobottest.Options{}), newCluster(t)}
	t.Cleanup(w.nautobot.Close)
	w.kube.put("openstack/nautobot-token", map[string]string{"username": username, "password": password, "token": key})
	w.kube.put("nautobot/nautobot-superuser", map[string]string{"apitoken": w.nautobot.Token + "\n"})

	emptyEnvironment(t)
	t.Setenv("KUBECONFIG", w.kube.kubeconfig(t, "openstack"))
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
	noSecret(t, w, "the arguments", strings.Join(args, " "))
	noSecret(t, w, "standard output", stdout.String())
	noSecret(t, w, "standard error", stderr.String())
	noSecret(t, w, "the Events", strings.Join(w.kube.eventTexts(), "\n"))
	for _, r := range w.nautobot.Requests()[before:] {
		noSecret(t, w, "a URL", r.Path+"?"+r.RawQuery)
		anonymous := r.Path == "/api/users/tokens/" && r.RawQuery == "limit=1" // what does Nautobot say to nobody?
		if r.AuthorizationHeaders != 1 && !anonymous {
			t.Errorf("%v has %d Authorization headers, want 1", r, r.AuthorizationHeaders)
		}
	}
	return output{code, stdout.String(), stableLog(stderr.String())}
}

// noSecret reports secrets in a text, and does not show it.
func noSecret(t *testing.T, w *world, what, text string) {
	t.Helper()
	superuser := ""
	if w != nil {
		superuser = w.nautobot.Token
	}
	for i, secret := range []string{superuser, password, newPassword, key, newKey, kubeToken} {
		for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if secret != "" && strings.Contains(text, form) {
				t.Errorf("%s: secret no. %d shows", what, i)
				break
			}
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

// cluster is as much of a Kubernetes API server as the program asks for.
type cluster struct {
	*httptest.Server
	mu      sync.Mutex
	secrets map[string]map[string]any // by NAMESPACE/NAME
	refuse  int                       // a status for every request; 0: none
	version int
	asked   []string
	events  []map[string]any
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{secrets: map[string]map[string]any{}}
	c.Server = httptest.NewTLSServer(c)
	t.Cleanup(c.Close)
	return c
}

var secretPath = regexp.MustCompile(`^/api/v1/namespaces/([^/]+)/(secrets/([^/]+)|events)$`)

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := secretPath.FindStringSubmatch(r.URL.Path)
	c.asked = append(c.asked, r.Method+" "+r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	refuse := func(code int, reason string) {
		w.WriteHeader(code)
		name := ""
		if parts != nil {
			name = parts[3]
		}
		_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":%q,"details":{"kind":"secrets","name":%q}}`,
			code, reason, reason, name)
	}
	switch {
	case c.refuse != 0:
		refuse(c.refuse, strings.ReplaceAll(http.StatusText(c.refuse), " ", ""))
	case r.Header.Get("Authorization") != "Bearer "+kubeToken:
		refuse(http.StatusUnauthorized, "Unauthorized")
	case parts == nil:
		refuse(http.StatusNotFound, "NotFound")
	case r.Method == http.MethodGet && c.secrets[parts[1]+"/"+parts[3]] != nil:
		_ = json.NewEncoder(w).Encode(c.secrets[parts[1]+"/"+parts[3]])
	case r.Method == http.MethodPost && parts[2] == "events":
		var event map[string]any
		_ = json.NewDecoder(r.Body).Decode(&event)
		c.events = append(c.events, event)
		_, _ = io.WriteString(w, `{"kind":"Event","apiVersion":"v1"}`)
	default:
		refuse(http.StatusNotFound, "NotFound")
	}
}

// put stores a labelled Secret; each time it is a new version.
func (c *cluster) put(path string, values map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	namespace, name, _ := strings.Cut(path, "/")
	data := map[string]any{}
	for key, value := range values {
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	c.secrets[path] = map[string]any{
		"kind": "Secret", "apiVersion": "v1", "data": data,
		"metadata": map[string]any{
			"namespace": namespace, "name": name, "uid": "uid-of-" + name, "resourceVersion": fmt.Sprint(c.version),
			"labels": map[string]string{"token/type": "nautobot"},
		},
	}
}

func (c *cluster) unlabel(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.secrets[path]["metadata"].(map[string]any), "labels")
}

func (c *cluster) remove(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.secrets, path)
}

func (c *cluster) refuseAll(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = status
}

// eventTexts are the Events: type, object, reason and message.
func (c *cluster) eventTexts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var texts []string
	for _, e := range c.events {
		object := e["involvedObject"].(map[string]any)
		texts = append(texts, fmt.Sprintf("%s %s/%s %s: %s", e["type"], object["namespace"], object["name"], e["reason"], e["message"]))
	}
	return texts
}

func (c *cluster) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.asked...)
}

func (c *cluster) kubeconfig(t *testing.T, namespace string) string {
	t.Helper()
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}))
	return write(t, `{"apiVersion":"v1","kind":"Config","current-context":"main",
		"clusters":[{"name":"c","cluster":{"server":"`+c.URL+`","certificate-authority-data":"`+ca+`"}}],
		"users":[{"name":"u","user":{"token":"`+kubeToken+`"}}],
		"contexts":[{"name":"main","context":{"cluster":"c","user":"u","namespace":"`+namespace+`"}},
		            {"name":"other","context":{"cluster":"c","user":"u","namespace":"other"}}]}`)
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
