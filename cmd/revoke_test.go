package cmd

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
)

// provisioned is a world whose Secret has been provisioned, and is gone.
func provisioned(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.kube.Put("openstack/another", map[string]string{"username": "svc-another", "token": newKey})
	for _, name := range []string{"nautobot-token", "another"} {
		if got := w.run(t, "provision", name); got.code != exitDone {
			t.Fatalf("%s%s", got.stdout, got.stderr)
		}
	}
	w.kube.Remove("openstack/nautobot-token")
	w.nautobot.ResetRequests()
	return w
}

var revokeIt = []string{"revoke", "nautobot-token", "-n", "openstack"}

func TestRevoke(t *testing.T) {
	for _, settle := range []string{"0", "2ms"} {
		t.Run("settle "+settle, func(t *testing.T) {
			w := provisioned(t)
			revoke := append(revokeIt, "--settle", settle, "-q")[:6]
			dry := w.run(t, append(revoke, "--dry-run", "--detailed-exitcode")...)
			if dry.code != exitPending || dry.stdout != "user/svc-openstack revoked (dry run)   the Secret is gone\n" || len(w.nautobot.Writes()) > 0 {
				t.Errorf("exit code %d\n%s%s", dry.code, dry.stdout, dry.stderr)
			}
			got := w.run(t, revoke...)
			if got.code != exitDone || got.stdout != "user/svc-openstack revoked   the Secret is gone\n" {
				t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			w.checkInService(t, map[string]bool{username: false})
			if events := w.kube.EventTexts(); events[len(events)-1] != "Normal openstack/nautobot-token Revoked: user/svc-openstack revoked" {
				t.Errorf("Events: %q", events)
			}
			if again := w.run(t, revoke...); again.code != exitDone || !strings.Contains(again.stdout, "unchanged it is revoked already") {
				t.Errorf("exit code %d\n%s", again.code, again.stdout)
			}
			w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": password, "token": key})
			if back := w.run(t, provisionIt...); back.code != exitDone || !strings.Contains(back.stdout, "is_active") {
				t.Errorf("exit code %d\n%s", back.code, back.stdout)
			}
			w.run(t, provisionIt...).check(t, exitDone, unchanged, "")
		})
	}
}

// What can prevent an account from being revoked, and what is said about it.
func TestRevokeRefused(t *testing.T) {
	put := func(w *world) {
		w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": password, "token": key})
	}
	nothing := func(*world) {}
	tests := map[string]struct {
		prepare func(*world)
		args    []string
		code    int
		stdout  string
	}{
		"the Secret is there":              {put, nil, exitRefused, "secret/openstack/nautobot-token refused   the Secret is there: its account is revoked only once it is gone\n"},
		"the Secret is there, and settles": {put, []string{"--settle", "2ms"}, exitDone, "secret/openstack/nautobot-token unchanged it is there, so its account stays in service\n"},
		"the Secret has lost its label":    {func(w *world) { put(w); w.kube.Unlabel("openstack/nautobot-token") }, []string{"--settle", "2ms"}, exitDone, "secret/openstack/nautobot-token unchanged it is there, so its account stays in service\n"},
		"the policy has no rule":           {nothing, []string{"--policy", rulesFile(t, fleetRule)}, exitRefused, "has no rule for Secret openstack/nautobot-token"},
		"the rule does not say so":         {nothing, []string{"--policy", rulesFile(t, namedRule)}, exitRefused, "rules[0]: the account of Secret openstack/nautobot-token is revoked only if the rule says revoke: true"},
		"no account has the mark":          {nothing, []string{"--cluster", "another"}, exitDone, "secret/openstack/nautobot-token unchanged no account belongs to it\n"},
		"the superuser token is its own": {func(w *world) {
			w.nautobot.UpdateUser(nautobottest.Admin, func(u *nautobottest.User) { u.FirstName, u.LastName = "Service account", "lab/openstack/own" })
		}, []string{"own"}, exitDone, "user/admin unchanged left alone: the superuser token is its own\n"},
		"a person deactivated it":                   {func(w *world) { w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Inactive = true }) }, nil, exitDone, "user/svc-openstack unchanged it was deactivated in Nautobot\n"},
		"a person has the same last name":           {func(w *world) { w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.FirstName = "Ann" }) }, nil, exitDone, "secret/openstack/nautobot-token unchanged no account belongs to it\n"},
		"several Secrets of the namespace are gone": {func(w *world) { w.kube.Remove("openstack/another") }, []string{"--settle", "2ms", "--limit", "1"}, exitRefused, "2 Secrets of namespace openstack are gone at once, more than --limit 1 allows: another, nautobot-token."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := provisioned(t)
			test.prepare(w)
			args := append(revokeIt[:1:1], "nautobot-token", "-n", "openstack")
			if len(test.args) == 1 {
				args[1], test.args = test.args[0], nil
			}
			got := w.run(t, append(args, test.args...)...)
			if got.code != test.code || !strings.Contains(got.stdout, test.stdout) {
				t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			if len(w.nautobot.Writes()) > 0 {
				t.Errorf("it writes: %v", w.nautobot.Writes())
			}
		})
	}
}

// A name that is too long for the account's can only be compared: nobody can tell
// which of such Secrets are gone.
func TestRevokeLongNames(t *testing.T) {
	w := newWorld(t)
	name := func(i int) string { return fmt.Sprintf("%s-%d", strings.Repeat("n", 200), i) }
	for i := range 3 {
		w.kube.Put("fleet/"+name(i), map[string]string{"username": fmt.Sprintf("svc-%d", i), "token": fleetKey(i)})
	}
	w.run(t, "sync", "-n", "fleet", "-q")
	for i := range 3 {
		w.kube.Remove("fleet/" + name(i))
	}
	for i := range 3 {
		got := w.run(t, "revoke", name(i), "-n", "fleet", "--settle", "1ms", "--limit", "2")
		if got.code != exitRefused || !strings.Contains(got.stdout, "3 Secrets of namespace fleet have names that are too long") {
			t.Errorf("exit code %d\n%s", got.code, got.stdout)
		}
	}
	w.checkInService(t, nil)
	w.run(t, "revoke", name(0), "-n", "fleet", "--settle", "1ms", "--limit", "3")
	w.run(t, "revoke", name(1), "-n", "fleet")
	w.checkInService(t, map[string]bool{"svc-0": false, "svc-1": false})
}

// So long that not even the namespace is left in the account's last name.
func TestRevokeLongClusterName(t *testing.T) {
	w := newWorld(t)
	t.Setenv("CLUSTER_NAME", strings.Repeat("c", 140))
	for i := range 3 {
		w.putFleet(i, password)
	}
	w.run(t, "sync", "-n", "fleet", "-q")
	w.run(t, "sync", "-n", "fleet").checkSync(t, exitDone, "secrets=3 unchanged=3 changed=0 refused=0 failed=0 revoked=0 noRule=0")
	for i := range 3 {
		w.kube.Remove(fmt.Sprintf("fleet/svc-%03d", i))
	}
	got := w.run(t, "revoke", "svc-000", "-n", "fleet", "--settle", "1ms", "--limit", "2")
	if got.code != exitRefused || !strings.Contains(got.stdout, "3 Secrets of namespace fleet have names that are too long") {
		t.Errorf("exit code %d\n%s", got.code, got.stdout)
	}
	if got := w.run(t, "sync", "-n", "fleet", "--prune", "--settle", "0"); !strings.Contains(got.stderr, "unreadableOwner=3") {
		t.Errorf("prune is silent about them:\n%s", got.stderr)
	}
	w.checkInService(t, nil)
}

// Somebody changed the mark of an account into something that names no Secret:
// nobody can tell whether its Secret is gone, and the others do not suffer.
func TestRevokeBesideOwnersThatCannotBeRead(t *testing.T) {
	for _, name := range []string{"..", "100%", "Upper", "a b", "-", "a/b", "\x1b[2J\u202e"} {
		w := provisioned(t)
		w.nautobot.AddUser(nautobottest.User{Username: "odd", FirstName: "Service account", LastName: "lab/openstack/" + name, Password: "x"})
		w.nautobot.AddUser(nautobottest.User{Username: "odd-too", FirstName: "Service account", LastName: "lab/" + name + "/odd", Password: "x"})
		got := w.run(t, "revoke", "nautobot-token", "-n", "openstack", "--settle", "1ms")
		if got.code != exitDone || got.stdout != "user/svc-openstack revoked   the Secret is gone\n" {
			t.Errorf("%q: exit code %d\n%s", name, got.code, got.stdout)
		}
		if got := w.run(t, "sync", "-A", "--prune", "--settle", "0", "-q", "--refused-ok"); got.code != exitDone || strings.Contains(got.stdout, "odd") {
			t.Errorf("%q: exit code %d\n%s", name, got.code, got.stdout)
		}
		w.checkInService(t, map[string]bool{username: false})
	}
}

// A Secret that comes back at any moment is in service in the end.
func TestRevokeWhileTheSecretComesBack(t *testing.T) {
	for n := 1; ; n++ {
		w := provisioned(t)
		met := false
		w.nautobot.Intercept(func(_ nautobottest.Request, number int) nautobottest.Fault {
			if number == n {
				met = true
				w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": newPassword, "token": key})
			}
			return nautobottest.None()
		})
		got := w.run(t, revokeIt...)
		w.nautobot.Intercept(nil)
		if !met {
			break
		}
		if user, _ := w.nautobot.User(username); got.code != exitDone || user.Inactive || user.Password != newPassword {
			t.Errorf("back at request %d: exit code %d, inactive %v\n%s", n, got.code, user.Inactive, got.stdout)
		}
	}
}

// A run that is killed after its write, while the Secret comes back, leaves the
// account out of service: the next try, or sync, brings it back.
func TestRevokeAfterAKilledRun(t *testing.T) {
	for name, next := range map[string][]string{
		"the next try": append(revokeIt[:4:4], "--settle", "2ms"),
		"sync":         {"sync", "-n", "openstack", "--quick"},
	} {
		t.Run(name, func(t *testing.T) {
			w := provisioned(t)
			w.run(t, revokeIt...)
			w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": password, "token": key})
			got := w.run(t, next...)
			if user, _ := w.nautobot.User(username); got.code != exitDone || user.Inactive {
				t.Errorf("exit code %d, inactive %v\n%s", got.code, user.Inactive, got.stdout)
			}
		})
	}
}

// A namespace that is gone took its Secrets with it, and the right to ask.
func TestRevokeInANamespaceThatIsGone(t *testing.T) {
	w := provisioned(t)
	w.kube.Intercept(func(r *http.Request, _ int) http.Handler {
		switch {
		case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/openstack/"):
			return kubetest.Refuse(http.StatusForbidden)
		case r.URL.Path == "/api/v1/namespaces/openstack":
			return kubetest.Refuse(http.StatusNotFound)
		}
		return nil
	})
	got := w.run(t, revokeIt...)
	if got.code != exitDone || got.stdout != "user/svc-openstack revoked   the Secret is gone\n" {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestDelete(t *testing.T) {
	w := provisioned(t)
	got := w.run(t, append(revokeIt[:4:4], "--delete")...)
	if got.code != exitDone || got.stdout != "user/svc-openstack revoked   deleted: the Secret is gone\n" {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if _, ok := w.nautobot.User(username); ok || len(w.nautobot.Tokens(username)) > 0 {
		t.Error("the account, or a token of it, is there")
	}
	if _, ok := w.nautobot.User("svc-another"); !ok {
		t.Error("another account is gone too")
	}
}

func TestRevokeUsage(t *testing.T) {
	tests := map[string][]string{
		"give the NAME of one Secret":               {"revoke"},
		"NAME: give the name alone":                 {"revoke", "openstack/nautobot-token"},
		"--namespace: ":                             {"revoke", "nautobot-token", "-n", "Open"},
		"--namespace: it is set but empty":          {"revoke", "nautobot-token", "-n", " ", "--delete"},
		"--settle requires --cluster":               {"revoke", "nautobot-token", "--settle", "1m", "--cluster="},
		"--settle: want less than --timeout":        {"revoke", "nautobot-token", "--settle", "10m"},
		"--limit works only with --settle":          {"revoke", "nautobot-token", "--limit", "3"},
		"--limit: want 1 or more":                   {"revoke", "nautobot-token", "--settle", "1m", "--limit", "0"},
		"--delete cannot be combined with --settle": {"revoke", "nautobot-token", "--settle", "1m", "--delete"},
	}
	for want, args := range tests {
		t.Run(want, func(t *testing.T) {
			w := newWorld(t)
			if args[len(args)-1] == "--cluster=" {
				t.Setenv("CLUSTER_NAME", "")
				args = args[:len(args)-1]
			}
			got := w.run(t, args...)
			if got.code != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" {
				t.Errorf("exit code %d, %q, want %q", got.code, got.stderr, want)
			}
		})
	}
}
