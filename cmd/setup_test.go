package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Setup creates what is missing, keeps the token in a file that nobody else may
// read, and writes nothing the second time.
func TestSetup(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "provisioner.yaml")
	objects := `group/nautobot-token-managed                 created
permission/nautobot-token-managed            created
group/nautobot-token-provisioners            created
permission/nautobot-token-provisioners       created
permission/nautobot-token-provisioners-users created
user/nautobot-token-provisioner              created
token/nautobot-token-provisioner             created
`
	dry := w.run(t, "setup", "-f", file, "--dry-run")
	if _, err := os.Stat(file); err == nil || len(w.nautobot.Writes()) > 0 {
		t.Error("a dry run writes")
	}
	first := w.run(t, "setup", "-f", file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file: %v, %v, want mode 0600", info, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`"apitoken": "([0-9a-f]{40})"\n`).FindSubmatch(text)
	if token == nil || strings.Contains(first.stdout+first.stderr, string(token[1])) {
		t.Fatal("the file has no token, or the output shows it")
	}
	first.check(t, exitDone, "file/provisioner.yaml                        created\n"+objects, "")
	if got := strings.ReplaceAll(dry.stdout, " (dry run)", ""); got != first.stdout {
		t.Errorf("the dry run says\n%s\nthe run\n%s", got, first.stdout)
	}
	user, _ := w.nautobot.User("nautobot-token-provisioner")
	if user.Superuser || user.Staff || user.Password != "" || !slices.Equal(user.Groups, []string{"nautobot-token-provisioners"}) {
		t.Errorf("the provisioner can do more than it needs, or log in: superuser %v, staff %v, groups %v", user.Superuser, user.Staff, user.Groups)
	}

	w.nautobot.ResetRequests()
	w.run(t, "setup", "-f", file).check(t, exitDone,
		"user/nautobot-token-provisioner  unchanged\ntoken/nautobot-token-provisioner unchanged\n", "")
	if writes := w.nautobot.Writes(); len(writes) > 0 {
		t.Errorf("a second run writes: %v", writes)
	}

	t.Setenv("NAUTOBOT_TOKEN", string(token[1]))
	if got := w.run(t, "provision", "nautobot-token"); got.code != exitDone {
		t.Errorf("a run with the provisioner's token: exit code %d, %s", got.code, got.stdout)
	}
}

// The provisioner has to see the members of the group that the runs use.
func TestSetupTakesTheManagedGroupOfThePolicy(t *testing.T) {
	w := newWorld(t)
	t.Setenv("NAUTOBOT_TOKEN_POLICY", write(t, "managedGroup: ours\n"+policyText))
	if got := w.run(t, "setup", "-f", filepath.Join(t.TempDir(), "p.yaml")); got.code != exitDone {
		t.Fatalf("exit code %d: %s", got.code, got.stdout)
	}
	for _, permission := range w.nautobot.Snapshot().Permissions {
		if permission.Name != "ours-provisioners-users" {
			continue
		}
		want := map[string]any{"is_superuser": false, "is_staff": false, "groups__name": "ours"}
		if diff := cmp.Diff(any(want), permission.Constraints); diff != "" {
			t.Errorf("constraints (-want +got):\n%s", diff)
		}
		return
	}
	t.Error("the provisioners have no permission")
}

// Names that YAML would take for something else have to survive the file.
func TestSetupReadsWhatItWrote(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "p.yaml")
	t.Setenv("NAUTOBOT_TOKEN", w.nautobot.Token)
	args := []string{"setup", "-f", file, "--superuser-secret", "1234/true", "--superuser-secret-key", "null"}
	for _, run := range []string{"first", "second"} {
		if got := w.run(t, args...); got.code != exitDone {
			t.Errorf("%s run: exit code %d: %s%s", run, got.code, got.stdout, got.stderr)
		}
	}
	if writes := len(w.nautobot.Tokens("nautobot-token-provisioner")); writes != 1 {
		t.Errorf("the provisioner has %d tokens, want the one of the file", writes)
	}
}

// A file that holds something else is left alone.
func TestSetupRefusesAFileThatIsNotItsOwn(t *testing.T) {
	for name, text := range map[string]string{
		"notes":            "not a manifest",
		"another kind":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
		"without a token":  "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {password: " + key + "}\n",
		"with a bad token": "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {apitoken: " + key[1:] + "}\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			file := write(t, text)
			got := w.run(t, "setup", "-f", file)
			if got.code != exitRefused || !strings.HasPrefix(got.stdout, "file/file refused   ") || !strings.Contains(got.stderr, "level=ERROR msg=refused") {
				t.Errorf("exit code %d, %q, %q", got.code, got.stdout, got.stderr)
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != text || len(w.nautobot.Requests()) > 0 {
				t.Errorf("the file changed, or Nautobot was asked: %v", err)
			}
		})
	}
}

// A mistake changes nothing: no file, no request.
func TestSetupMistakes(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "p.yaml")
	own := write(t, "managedGroup: nautobot-token-provisioners\n"+policyText)
	link, pipe := filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "pipe")
	if err := errors.Join(os.Symlink(file, link), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	tests := map[string]struct {
		args []string
		want string
	}{
		"no file":                        {nil, "--filename is required"},
		"an argument":                    {[]string{"-f", file, "x"}, "setup takes no arguments"},
		"no username":                    {[]string{"-f", file, "--username="}, "--username: want"},
		"no cluster and no token":        {[]string{"-f", file, "--kubeconfig=" + file}, "--kubeconfig (KUBECONFIG)"},
		"the provisioners' own group":    {[]string{"-f", file, "--policy=" + own}, "--policy (NAUTOBOT_TOKEN_POLICY)"},
		"a file whose folder is missing": {[]string{"-f", filepath.Join(t.TempDir(), "x", "y")}, "--filename: no such file or directory"},
		"the same, in a dry run":         {[]string{"-f", filepath.Join(t.TempDir(), "x", "y"), "--dry-run"}, "--filename: no such file or directory"},
		"a folder":                       {[]string{"-f", t.TempDir()}, "--filename: not a regular file"},
		"a pipe":                         {[]string{"-f", pipe}, "--filename: not a regular file"},
		"a link to nothing":              {[]string{"-f", link}, "--filename: file exists"},
		"the same link, in a dry run":    {[]string{"-f", link, "--dry-run"}, "--filename: file already exists"},
		"standard output":                {[]string{"-f", "-"}, "--filename: want a file"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.run(t, append([]string{"setup"}, tc.args...)...)
			if got.code != exitUsage || !strings.Contains(got.stderr, tc.want) {
				t.Errorf("exit code %d, %q, want %d and %q", got.code, got.stderr, exitUsage, tc.want)
			}
			here, _ := filepath.Glob("*")
			if _, err := os.Stat(file); err == nil || len(here) > 0 {
				t.Errorf("a file was written, or one of %q", here)
			}
			if requests := w.nautobot.Requests(); len(requests) > 0 {
				t.Errorf("requests: %v", requests)
			}
		})
	}
}
