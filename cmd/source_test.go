package cmd

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const manifest = `apiVersion: v1
kind: Secret
metadata: {name: nautobot-token, namespace: openstack, labels: {token/type: nautobot}}
stringData:
  username: ` + username + `
  password: ` + password + `
  token: ` + key + `
`

func TestSecretFromAManifest(t *testing.T) {
	w := newWorld(t)
	byName := w.run(t, with("--dry-run")...)
	file := write(t, manifest)

	w.run(t, "provision", "-f", file, "--dry-run").check(t, exitDone, byName.stdout, "")
	w.runWith(t.Context(), t, manifest, "provision", "-f", "-", "--dry-run").check(t, exitDone, byName.stdout, "")
	w.run(t, "provision", "-f", file, "-n", "openstack", "--dry-run").check(t, exitDone, byName.stdout, "")

	// With the superuser token in the environment, no cluster is needed.
	t.Setenv("NAUTOBOT_TOKEN", w.nautobot.Token)
	t.Setenv("KUBECONFIG", "/nowhere")
	before := len(w.kube.Requests())
	w.run(t, "provision", "-f", file).check(t, exitDone, strings.ReplaceAll(byName.stdout, " (dry run)", ""), "")
	if after := len(w.kube.Requests()); after != before {
		t.Errorf("the cluster was asked %d times, want 0", after-before)
	}
}

func TestManifestThatIsWrong(t *testing.T) {
	tests := map[string]struct {
		stdin, stdout string
		args          []string
		code          int
	}{
		"empty": {"", "secret/- refused   the manifest is empty\n", nil, exitRefused},
		"two of them": {
			manifest + "---\n" + manifest, "secret/- refused   the manifest holds more than one object, want one Secret\n", nil, exitRefused,
		},
		"in another namespace": {
			manifest, `secret/- refused   the manifest's namespace is "openstack", but the namespace asked for is "other"` + "\n", []string{"-n", "other"}, exitRefused,
		},
		"without the label": {
			strings.Replace(manifest, "token/type: nautobot", "", 1), "secret/openstack/nautobot-token refused   the label token/type: nautobot is missing\n", nil, exitRefused,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			got := w.runWith(t.Context(), t, tc.stdin, append([]string{"provision", "-f", "-"}, tc.args...)...)
			got.check(t, tc.code, tc.stdout, got.stderr)
			if n := len(w.nautobot.Requests()); n > 0 {
				t.Errorf("Nautobot was asked %d times, want 0", n)
			}
		})
	}
}

// A Secret that is deleted and recreated is missing for a moment.
func TestMissingSecretIsLookedForAgain(t *testing.T) {
	secrets := func(w *world) (n int) {
		for _, request := range w.kube.Requests() {
			if request == "GET /api/v1/namespaces/openstack/secrets/nautobot-token" {
				n++
			}
		}
		return n
	}
	for missing := range looks + 1 {
		w := newWorld(t)
		w.kube.Intercept(func(_ *http.Request, n int) http.Handler {
			if n <= missing {
				return kubetest.Refuse(http.StatusNotFound)
			}
			return nil
		})
		want := exitDone
		if missing == looks {
			want = exitRefused
		}
		if got := w.run(t, with("--dry-run")...); got.code != want || secrets(w) != min(missing+1, looks) {
			t.Errorf("missing %d times: exit code %d after %d looks, want %d; %s", missing, got.code, secrets(w), want, got.stdout)
		}
	}
}

// The end of the run ends the pauses.
func TestMissingSecretIsLookedForUntilTheEnd(t *testing.T) {
	defer func(before time.Duration) { pauseBetweenLooks = before }(pauseBetweenLooks)
	pauseBetweenLooks = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	_, err := patientSource{sourceFunc(func() error {
		cancel()
		return provision.ErrNoSecret
	})}.Secret(ctx)
	if !errors.Is(err, provision.ErrNoSecret) {
		t.Errorf("error is %v, want that the Secret is missing", err)
	}
}

type sourceFunc func() error

func (f sourceFunc) Secret(context.Context) (provision.Secret, error) {
	return provision.Secret{}, f()
}

func TestManifestOfAnotherKindIsNamed(t *testing.T) {
	w := newWorld(t)
	external := strings.NewReplacer("apiVersion: v1", "apiVersion: external-secrets.io/v1", "kind: Secret", "kind: ExternalSecret").Replace(manifest)
	got := w.runWith(t.Context(), t, external, "provision", "-f", "-")
	got.check(t, exitRefused, "secret/- refused   the manifest holds ExternalSecret nautobot-token: want a Secret, apiVersion v1\n", got.stderr)
}

func TestNamespaceComesFrom(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"the kubeconfig's context":       {nil, "openstack"},
		"another context":                {[]string{"--context", "other"}, "other"},
		"the flag, whatever the context": {[]string{"--context", "other", "-n", "mine"}, "mine"},
		"the flag in its long form":      {[]string{"--namespace=mine"}, "mine"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.run(t, append([]string{"provision", "x"}, tc.args...)...).check(t, exitRefused,
				"secret/"+tc.want+"/x refused   there is no Secret "+tc.want+"/x\n",
				"level=ERROR msg=refused secret="+tc.want+"/x error=\"there is no Secret "+tc.want+"/x\"\n")
		})
	}
}

func TestVerboseLogTellsOfEveryRequest(t *testing.T) {
	w := newWorld(t)
	got := w.run(t, with("-v", "--log-format", "json")...)
	requests := len(w.nautobot.Requests())
	if n := strings.Count(got.stderr, `{"level":"DEBUG","msg":"asked Nautobot","secret":"openstack/nautobot-token","operation":`); n != requests || n == 0 {
		t.Errorf("%d requests, %d lines about them in\n%s", requests, n, got.stderr)
	}
}
