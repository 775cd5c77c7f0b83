package kube

import (
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// canary stands for every secret value: no error may show it.
const canary = "canary-7f3a9c1e"

// apiServer is as much of a Kubernetes API server as this package asks for:
// objects by path, and what was posted.
type apiServer struct {
	*httptest.Server
	answers  map[string]answer // by method and path
	requests []string          // method and path
	posted   []string
	agents   []string
}

type answer struct {
	status      int
	contentType string
	body        string
}

func newAPIServer(t *testing.T, answers map[string]answer) *apiServer {
	t.Helper()
	s := &apiServer{answers: answers}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		if r.Header.Get("Authorization") != "Bearer "+canary {
			t.Errorf("%s without the kubeconfig's token", r.Method)
		}
		s.agents = append(s.agents, r.UserAgent())
		if r.Method == http.MethodPost {
			s.posted = append(s.posted, string(body))
		}
		a, known := s.answers[r.Method+" "+r.URL.Path]
		if !known {
			a = status(404, "NotFound", "not found")
		}
		if a.contentType == "" {
			a.contentType = "application/json"
		}
		w.Header().Set("Content-Type", a.contentType)
		w.Header().Set("Warning", `299 - "the API server warns"`)
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(s.Close)
	return s
}

// status is how an API server refuses.
func status(code int, reason, message string) answer {
	return answer{status: code, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"` + reason +
		`","message":"` + message + `","code":` + strconv.Itoa(code) + `}`}
}

// client connects to the server by a kubeconfig of its own.
func (s *apiServer) client(t *testing.T) *Client {
	t.Helper()
	client, err := Connect(s.kubeconfig(t, "here"), "", "nautobot-token/test")
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// kubeconfig writes one whose current context has that namespace.
func (s *apiServer) kubeconfig(t *testing.T, namespace string) string {
	t.Helper()
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return write(t, strings.NewReplacer("SERVER", s.URL, "CA", ca, "NAMESPACE", namespace).Replace(`
apiVersion: v1
kind: Config
current-context: main
clusters: [{name: c, cluster: {server: SERVER, certificate-authority-data: CA}}]
users: [{name: u, user: {token: `+canary+`}}]
contexts:
- {name: main, context: {cluster: c, user: u, namespace: NAMESPACE}}
- {name: bare, context: {cluster: c, user: u}}
`))
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// nowhere makes sure that the test's own environment names no cluster.
func nowhere(t *testing.T) {
	t.Helper()
	before := clientcmd.RecommendedHomeFile // taken from $HOME once
	t.Cleanup(func() { clientcmd.RecommendedHomeFile = before })
	clientcmd.RecommendedHomeFile = filepath.Join(t.TempDir(), "missing")
	t.Setenv("KUBECONFIG", "")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBERNETES_SERVICE_PORT", "")
}

// noCanary reports a secret value in an error.
func noCanary(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("the error shows a secret value")
	}
}

// revealed makes the values of a Secret comparable and printable.
func revealed(secret provision.Secret) map[string]string {
	values := map[string]string{}
	for key, value := range secret.Data {
		values[key] = value.Reveal()
	}
	return values
}
