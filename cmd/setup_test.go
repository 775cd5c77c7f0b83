package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Setup makes what is missing, keeps the token in a file that nobody else may
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
	token := regexp.MustCompile(`apitoken: ([0-9a-f]{40})\n`).FindSubmatch(text)
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
		if permission.Name != "nautobot-token-provisioners-users" {
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

// A mistake changes nothing: no file, no request.
func TestSetupMistakes(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "p.yaml")
	own := write(t, "managedGroup: nautobot-token-provisioners\n"+policyText)
	tests := map[string]struct {
		args []string
		want string
	}{
		"no file":                        {nil, "--filename is required"},
		"an argument":                    {[]string{"-f", file, "x"}, "setup takes no arguments"},
		"no username":                    {[]string{"-f", file, "--username="}, `--username ""`},
		"no cluster and no token":        {[]string{"-f", file, "--kubeconfig=" + file}, "--kubeconfig (KUBECONFIG)"},
		"the provisioners' own group":    {[]string{"-f", file, "--policy=" + own}, "--policy (NAUTOBOT_TOKEN_POLICY)"},
		"a file whose folder is missing": {[]string{"-f", file + "/x"}, "--filename"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.run(t, append([]string{"setup"}, tc.args...)...)
			if got.code != exitUsage || !strings.Contains(got.stderr, tc.want) {
				t.Errorf("exit code %d, %q, want %d and %q", got.code, got.stderr, exitUsage, tc.want)
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("the file was written")
			}
			if requests := w.nautobot.Requests(); len(requests) > 0 {
				t.Errorf("requests: %v", requests)
			}
		})
	}
}
