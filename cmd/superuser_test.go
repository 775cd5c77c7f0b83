package cmd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
				w.kube.Remove("nautobot/nautobot-superuser")
				w.kube.Put("ns/name", map[string]string{"token": newKey, "mine": w.nautobot.Token})
				t.Setenv("NAUTOBOT_SUPERUSER_SECRET", "ns/name")
				t.Setenv("NAUTOBOT_SUPERUSER_SECRET_KEY", "mine")
			},
			[]string{"openstack/secrets/nautobot-token", "ns/secrets/name"},
		},
		"its second key, where the first is empty": {
			func(_ *testing.T, w *world) {
				w.kube.Put("nautobot/nautobot-superuser", map[string]string{"apitoken": " \n", "token": w.nautobot.Token})
			},
			[]string{"openstack/secrets/nautobot-token", "nautobot/secrets/nautobot-superuser"},
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
			for _, request := range w.kube.Requests() {
				asked = append(asked, strings.TrimPrefix(request, "GET /api/v1/namespaces/"))
			}
			if diff := cmp.Diff(tc.asked, asked); diff != "" {
				t.Errorf("the cluster was asked (-want +got):\n%s", diff)
			}
		})
	}
}

// The usual ways to get a token wrong are named, wherever it comes from, and no
// part of it is shown.
func TestSuperuserTokenThatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"Token " + key:      "the token begins with Token or Bearer: give the token alone",
		"bearer  " + key:    "the token begins with Token or Bearer: give the token alone",
		`"` + key + `"`:     "the token is in quotes: give it without them",
		"'" + key:           "the token is in quotes: give it without them",
		"\ufeff" + key:      "the token begins with a byte order mark: save it without one",
		key + " " + newKey:  "the token contains characters that are not allowed in a token",
		key + "\n" + newKey: "the token contains characters that are not allowed in a token",
		key + "ü":           "the token contains characters that are not allowed in a token",
	} {
		const help = "\nSee 'nautobot-token provision --help'.\n"
		w := newWorld(t)
		w.kube.Put("nautobot/nautobot-superuser", map[string]string{"token": text})
		got := w.run(t, provisionIt...)
		if line := "secret/openstack/nautobot-token failed    superuser token: Secret nautobot/nautobot-superuser: " + want + "\n"; got.code != exitFailed || got.stdout != line {
			t.Errorf("in the Secret: exit code %d, %q, want %q", got.code, got.stdout, line)
		}
		t.Setenv("NAUTOBOT_TOKEN", text)
		w.run(t, provisionIt...).check(t, exitUsage, "", "nautobot-token: NAUTOBOT_TOKEN: "+want+help)
		t.Setenv("NAUTOBOT_TOKEN", "")
		t.Setenv("NAUTOBOT_TOKEN_FILE", write(t, text))
		w.run(t, provisionIt...).check(t, exitUsage, "", "nautobot-token: NAUTOBOT_TOKEN_FILE: "+want+help)
	}
}

// A file or a key that is not there may have a secret as its name.
func TestSuperuserTokenThatIsMissing(t *testing.T) {
	const (
		help   = "\nSee 'nautobot-token provision --help'.\n"
		secret = "secret/openstack/nautobot-token failed    superuser token: Secret nautobot/nautobot-superuser: "
	)
	tests := map[string]struct {
		env            map[string]string
		values         map[string]string // of the superuser Secret
		code           int
		stdout, stderr string
	}{
		"a token in place of a file": {
			env:  map[string]string{"NAUTOBOT_TOKEN_FILE": key},
			code: exitUsage, stderr: "nautobot-token: NAUTOBOT_TOKEN_FILE: no such file or directory" + help,
		},
		"a file that is a folder": {
			env:  map[string]string{"NAUTOBOT_TOKEN_FILE": t.TempDir()},
			code: exitUsage, stderr: "nautobot-token: NAUTOBOT_TOKEN_FILE: is a directory" + help,
		},
		"a file that is empty": {
			env:  map[string]string{"NAUTOBOT_TOKEN_FILE": write(t, "\n")},
			code: exitUsage, stderr: "nautobot-token: NAUTOBOT_TOKEN_FILE: the token is empty" + help,
		},
		"two tokens": {
			env:  map[string]string{"NAUTOBOT_TOKEN": key, "NAUTOBOT_TOKEN_FILE": "x"},
			code: exitUsage, stderr: "nautobot-token: NAUTOBOT_TOKEN and NAUTOBOT_TOKEN_FILE are both set: give one" + help,
		},
		"a token in place of a key": {
			env:    map[string]string{"NAUTOBOT_SUPERUSER_SECRET_KEY": key},
			values: map[string]string{"token": key},
			code:   exitFailed, stdout: secret + "the key of --superuser-secret-key (NAUTOBOT_SUPERUSER_SECRET_KEY) is missing\n",
		},
		"a key that is empty": {
			env:    map[string]string{"NAUTOBOT_SUPERUSER_SECRET_KEY": "mine"},
			values: map[string]string{"mine": "", "token": key},
			code:   exitFailed, stdout: secret + "the key of --superuser-secret-key (NAUTOBOT_SUPERUSER_SECRET_KEY) is empty\n",
		},
		"both keys are empty": {
			values: map[string]string{"apitoken": "", "token": "\n"},
			code:   exitFailed, stdout: secret + "the keys apitoken and token are empty\n",
		},
		"other keys": {
			values: map[string]string{"apiToken": key},
			code:   exitFailed, stdout: secret + "the keys apitoken and token are missing\n",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for variable, value := range tc.env {
				t.Setenv(variable, value)
			}
			w.kube.Put("nautobot/nautobot-superuser", tc.values)
			got := w.run(t, provisionIt...)
			if tc.stderr == "" {
				tc.stderr = got.stderr
			}
			got.check(t, tc.code, tc.stdout, tc.stderr)
			if n := len(w.nautobot.Requests()); n > 0 {
				t.Errorf("Nautobot was asked %d times, want 0", n)
			}
		})
	}
}
