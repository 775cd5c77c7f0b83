package kube

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// canary is the secret value in all tests: no error may show it.
const canary = "canary-7f3a9c1e"

// newServer is an API server without any objects.
func newServer(t *testing.T) *kubetest.Server {
	t.Helper()
	server := kubetest.New()
	t.Cleanup(server.Close)
	return server
}

// connect makes the production client from a kubeconfig of its own.
func connect(t *testing.T, server *kubetest.Server) *Client {
	t.Helper()
	client, err := Connect(write(t, server.Kubeconfig("here")), "", "nautobot-token/test")
	if err != nil {
		t.Fatal(err)
	}
	client.pause = time.Millisecond
	return client
}

// always answers every request with this.
func always(answer http.Handler) func(*http.Request, int) http.Handler {
	return func(*http.Request, int) http.Handler { return answer }
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

// noCanary fails if an error shows a secret value.
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
