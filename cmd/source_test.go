package cmd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const manifest = `apiVersion: v1
kind: Secret
metadata: {name: nautobot-token, namespace: openstack, labels: {token/type: nautobot}}
stringData: {username: ` + username + `, password: ` + password + `, token: ` + key + `}
`

func TestSecretFromAManifest(t *testing.T) {
	w := newWorld(t)
	byName := w.run(t, with("--dry-run")...)
	file := write(t, manifest)

	w.run(t, "provision", "-f", file, "--dry-run").check(t, exitDone, byName.stdout, "")
	w.runWith(t.Context(), t, manifest, "provision", "-f", "-", "--dry-run").check(t, exitDone, byName.stdout, "")
	w.run(t, "provision", "-f", file, "-n", "openstack", "--dry-run").check(t, exitDone, byName.stdout, "")

	// With the superuser token in the environment no cluster is needed at all.
	t.Setenv("NAUTOBOT_TOKEN", w.nautobot.Token)
	t.Setenv("KUBECONFIG", "/nowhere")
	before := len(w.kube.requests())
	w.run(t, "provision", "-f", file).check(t, exitDone, strings.ReplaceAll(byName.stdout, " (dry run)", ""), "")
	if after := len(w.kube.requests()); after != before {
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
			manifest, `secret/- refused   the manifest's namespace is "openstack", the namespace asked for is "other"` + "\n", []string{"-n", "other"}, exitRefused,
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

func TestSuperuserTokenComesFrom(t *testing.T) {
	tests := map[string]struct {
		prepare func(*testing.T, *world)
		asked   []string // of the cluster
	}{
		"the superuser Secret": {
			func(*testing.T, *world) {}, []string{"openstack/secrets/nautobot-token", "nautobot/secrets/nautobot-superuser"},
		},
		"another Secret and key": {
			func(t *testing.T, w *world) {
				w.kube.remove("nautobot/nautobot-superuser")
				w.kube.put("ns/name", map[string]string{"token": newKey, "mine": w.nautobot.Token})
				t.Setenv("NAUTOBOT_SUPERUSER_SECRET", "ns/name")
				t.Setenv("NAUTOBOT_SUPERUSER_SECRET_KEY", "mine")
			},
			[]string{"openstack/secrets/nautobot-token", "ns/secrets/name"},
		},
		"NAUTOBOT_TOKEN": {
			func(t *testing.T, w *world) { t.Setenv("NAUTOBOT_TOKEN", w.nautobot.Token) }, []string{"openstack/secrets/nautobot-token"},
		},
		"NAUTOBOT_TOKEN_FILE, with a newline": {
			func(t *testing.T, w *world) { t.Setenv("NAUTOBOT_TOKEN_FILE", write(t, w.nautobot.Token+"\r\n")) },
			[]string{"openstack/secrets/nautobot-token"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.prepare(t, w)
			if got := w.run(t, with("--dry-run")...); got.code != exitDone {
				t.Errorf("exit code %d: %s", got.code, got.stderr)
			}
			var asked []string
			for _, request := range w.kube.requests() {
				asked = append(asked, strings.TrimPrefix(request, "GET /api/v1/namespaces/"))
			}
			if diff := cmp.Diff(tc.asked, asked); diff != "" {
				t.Errorf("the cluster was asked (-want +got):\n%s", diff)
			}
		})
	}
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
