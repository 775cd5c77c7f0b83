//go:build e2e

package servers

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOpenBao(t *testing.T) {
	ctx := t.Context()
	start := time.Now()
	bao, err := StartOpenBao(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bao.Stop)
	t.Logf("started in %s", time.Since(start).Round(time.Millisecond))

	var answer struct {
		Data struct{ Data map[string]string }
	}
	for _, word := range []string{"first", "second"} {
		if err := bao.Put(ctx, "team/example", fmt.Appendf(nil, `{"word": %q}`, word)); err != nil {
			t.Fatal(err)
		}
		if err := bao.ask(ctx, http.MethodGet, "secret/data/team/example", nil, &answer); err != nil || answer.Data.Data["word"] != word {
			t.Errorf("stored %q and got %v, %v", word, answer.Data.Data, err)
		}
	}
	if err := bao.Delete(ctx, "team/example"); err != nil {
		t.Error(err)
	}
	if err := bao.ask(ctx, http.MethodGet, "secret/data/team/example", nil, nil); err == nil || !strings.Contains(err.Error(), ": 404 ") {
		t.Errorf("after Delete: %v; want 404", err)
	}
	if err := bao.Put(ctx, "broken", []byte(`{"word": "private`)); err == nil || strings.Contains(err.Error(), "private") {
		t.Errorf("a document that is no JSON: %v; want an error that does not tell it", err)
	}
	checkLogs(t, bao.dir, bao.Token)

	bao.Token = "wrong"
	if err := bao.Put(ctx, "team/example", []byte(`{}`)); err == nil || !strings.Contains(err.Error(), ": 403 ") {
		t.Errorf("a wrong token: %v; want 403", err)
	}
	bao.Stop()
	if exists(bao.dir) || bao.process.running() {
		t.Error("something is left after Stop")
	}
}

func TestExternalSecrets(t *testing.T) {
	ctx := t.Context()
	cluster, err := StartControlPlane(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	t.Setenv("VAULT_TOKEN", "of-a-developer")
	start := time.Now()
	controller, err := StartExternalSecrets(ctx, cluster.Kubeconfig, "EXAMPLE=given")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(controller.Stop)
	t.Logf("started in %s", time.Since(start).Round(time.Millisecond))

	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", controller.process.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(env), "VAULT_TOKEN") || !strings.Contains(string(env), "EXAMPLE=given") {
		t.Errorf("its environment: %q", env)
	}
	// It works: it finds what is wrong with a store.
	if err := cluster.Apply(ctx, []byte(`
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: example, namespace: default}
spec: {provider: {vault: {server: "http://127.0.0.1:1", auth: {tokenSecretRef: {name: missing, key: token}}}}}
`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		store, err := cluster.Get(ctx, "/apis/external-secrets.io/v1/namespaces/default/secretstores/example")
		if err == nil && !strings.Contains(string(store), `"InvalidProviderConfig"`) {
			err = fmt.Errorf("the store's status is not that it is invalid: %s", store)
		}
		return err
	})
	if log, err := controller.Log(); err != nil || !strings.Contains(log, "starting manager") {
		t.Errorf("its log: %q, %v", log, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", controller.process.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM") {
			t.Logf("memory at its peak: %s", strings.TrimSpace(line))
		}
	}
	controller.Stop()
	if exists(controller.dir) || controller.process.running() {
		t.Error("something is left after Stop")
	}
}

// checkLogs looks for a secret in all files of a run directory.
func checkLogs(t *testing.T, dir, secret string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in %s, %v", len(files), dir, err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), secret) {
			t.Errorf("%s holds a secret, or cannot be read: %v", file, err)
		}
	}
}
