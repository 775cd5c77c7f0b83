//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPages runs the commands that README and the pages of docs show, in their
// order, on what they say they need. Those of check, setup and the moves have
// tests of their own.
func TestPages(t *testing.T) {
	f := newFixture(t, nautobots[0].as(superuser))
	f.namespace, f.dir = "openstack", t.TempDir()
	delete(f.env, "TIMEOUT")
	f.apply(t, object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": f.namespace}})
	f.saveSecret(t)
	f.file(t, "policy.yaml", `rules: [{namespace: openstack, usernames: ["svc-*"], revoke: true}]`)
	f.file(t, "secret.yaml", `{apiVersion: v1, kind: Secret, metadata: {name: nautobot-token, namespace: openstack, labels: {token/type: nautobot}},
stringData: {username: svc-of-a-page, token: `+f.newToken("token in the manifest")+`}}`)
	ran := map[string]int{}
	for _, page := range []string{"README.md", "docs/usage.md", "docs/operations.md"} {
		text, err := os.ReadFile(filepath.Join("../..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile(`(?m)^    nautobot-token ([^#\n]+)`).FindAllStringSubmatch(string(text), -1) {
			args := strings.Fields(strings.NewReplacer("NAMESPACE", f.namespace, "NAME", f.name, "NS", f.namespace, "CLUSTER", "e2e").Replace(line[1]))
			if args[0] == "check" {
				continue
			}
			if args[0] == "revoke" { // "its Secret is gone"
				f.remove(t)
			}
			if got := f.run(t, args...); got.code != 0 {
				t.Errorf("%s: nautobot-token %s: exit code %d\n%s", page, line[1], got.code, got)
			}
			f.saveSecret(t)
			ran[args[0]]++
		}
	}
	if ran["provision"] < 3 || ran["sync"] < 3 || ran["revoke"] < 2 {
		t.Errorf("commands that ran: %v", ran)
	}
	f.provision(t).want(t, 0)
	f.wantAccount(t)
}

// file writes a file into the folder in which the program runs.
func (f *fixture) file(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
