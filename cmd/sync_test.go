package cmd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
)

// fleet is a world with n more Secrets, fleet/svc-000 and so on.
func fleet(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t)
	for i := range n {
		w.putFleet(i, password)
	}
	return w
}

func fleetKey(i int) string { return fmt.Sprintf("canary%010d", i) + strings.Repeat("x-yz", 6) }

func (w *world) putFleet(i int, password string) {
	name := fmt.Sprintf("svc-%03d", i)
	w.kube.Put("fleet/"+name, map[string]string{"username": name, "password": password, "token": fleetKey(i)})
}

func rulesFile(t *testing.T, rules ...string) string {
	t.Helper()
	return write(t, "rules:\n"+strings.Join(rules, "\n"))
}

const (
	fleetRule  = `- {namespace: fleet, usernames: ["svc-*"], revoke: true}`
	namedRule  = `- {namespace: openstack, secrets: [nautobot-token], usernames: ["svc-*"]}`
	strictRule = `- {namespace: fleet, secrets: ["svc-00[12]"]}`
)

// summary returns the numbers of the last line of a log, which sums a run up.
func (o output) summary(t *testing.T) string {
	t.Helper()
	_, after, ok := strings.Cut(o.stderr, "msg=synced ")
	text, _, _ := strings.Cut(after, " took=")
	if !ok {
		t.Fatalf("there is no summary:\n%s", o.stderr)
	}
	return text
}

func (o output) checkSync(t *testing.T, code int, summary string) {
	t.Helper()
	if got := o.summary(t); o.code != code || got != summary {
		t.Errorf("exit code %d, %s, want %d, %s\n%s%s", o.code, got, code, summary, o.stdout, o.stderr)
	}
}

// A first sync creates everything, a second one needs one request for each
// Secret, and finds what was changed by hand.
func TestSync(t *testing.T) {
	w := fleet(t, 120)
	sync := []string{"sync", "--policy", rulesFile(t, fleetRule, namedRule)}
	dry := w.run(t, append(sync, "--dry-run", "--detailed-exitcode")...)
	dry.checkSync(t, exitPending, "secrets=121 unchanged=0 changed=121 refused=0 failed=0 revoked=0 noRule=0")
	if writes := w.nautobot.Writes(); len(writes) > 0 {
		t.Errorf("a dry run writes: %v", writes)
	}
	w.run(t, sync...).checkSync(t, exitDone, "secrets=121 unchanged=0 changed=121 refused=0 failed=0 revoked=0 noRule=0")

	for _, quick := range []string{"--quick=false", "--quick"} {
		w.nautobot.ResetRequests()
		healthy := w.run(t, append(sync, quick, "-q")...)
		healthy.checkSync(t, exitDone, "secrets=121 unchanged=121 changed=0 refused=0 failed=0 revoked=0 noRule=0")
		if healthy.stdout != "" {
			t.Errorf("%s -q prints %q", quick, healthy.stdout)
		}
		basic, all := 0, w.nautobot.Requests()
		for _, r := range all {
			if r.Scheme == "Basic" {
				basic++
			}
		}
		if want := map[string]int{"--quick": 0}[quick]; len(all) > 127 || basic != want && quick == "--quick" {
			t.Errorf("%s sends %d requests, %d with a password, for 121 Secrets", quick, len(all), basic)
		}
	}

	w.nautobot.UpdateUser("svc-007", func(u *nautobottest.User) { u.Password = "by hand" })
	w.nautobot.UpdateUser("svc-008", func(u *nautobottest.User) { u.Groups = nil })
	w.nautobot.DeleteToken(fleetKey(9))
	w.run(t, append(sync, "--quick", "-q")...).checkSync(t, exitDone, "secrets=121 unchanged=119 changed=2 refused=0 failed=0 revoked=0 noRule=0")
	full := w.run(t, append(sync, "-q")...)
	full.checkSync(t, exitDone, "secrets=121 unchanged=120 changed=1 refused=0 failed=0 revoked=0 noRule=0")
	if !strings.HasPrefix(full.stdout, "user/svc-007 updated   password\n") {
		t.Errorf("-q prints %q", full.stdout)
	}
	w.run(t, sync...).checkSync(t, exitDone, "secrets=121 unchanged=121 changed=0 refused=0 failed=0 revoked=0 noRule=0")
}

// Which Secrets are synced.
func TestSyncScope(t *testing.T) {
	named := `- {namespace: openstack, secrets: [nautobot-token, not-there-yet], usernames: ["*"]}`
	tests := map[string]struct {
		args []string
		want []string // Secrets
		log  string   // a part of it
		list bool
	}{
		"the policy's namespaces":            {[]string{"--policy", rulesFile(t, named, fleetRule)}, []string{"openstack/nautobot-token", "fleet/svc-000", "fleet/svc-001"}, "noRule=0", true},
		"names are read one by one":          {[]string{"--policy", rulesFile(t, named)}, []string{"openstack/nautobot-token"}, "noRule=0", false},
		"one of the policy's namespaces":     {[]string{"--policy", rulesFile(t, named, fleetRule), "-n", "fleet"}, []string{"fleet/svc-000", "fleet/svc-001"}, "noRule=0", true},
		"a namespace without a rule":         {[]string{"--policy", rulesFile(t, named), "-n", "fleet"}, nil, "the policy has no rule for the namespace", false},
		"all namespaces, some without rules": {[]string{"--policy", rulesFile(t, named), "-A"}, []string{"openstack/nautobot-token"}, "noRule=3", true},
		"Secrets that a rule leaves out":     {[]string{"--policy", rulesFile(t, `- {namespace: fleet, secrets: ["*-001", "x-*"], usernames: ["*"]}`)}, []string{"fleet/svc-001"}, "noRule=1", true},
		"without a policy, the context's":    {nil, []string{"openstack/nautobot-token"}, "noRule=0", true},
		"a namespace that is given twice":    {[]string{"-n", "fleet,openstack", "-n", "fleet"}, []string{"openstack/nautobot-token", "fleet/svc-000", "fleet/svc-001"}, "secrets=3", true},
		"without a policy, two namespaces":   {[]string{"-n", "fleet,openstack"}, []string{"openstack/nautobot-token", "fleet/svc-000", "fleet/svc-001"}, "noRule=0", true},
		"a namespace that does not exist":    {[]string{"-n", "gone"}, nil, "there are no labelled Secrets", true},
		"no labelled Secret, no policy":      {[]string{"-n", "empty,fleet"}, []string{"fleet/svc-000", "fleet/svc-001"}, `msg="there are no labelled Secrets" namespace=empty label="token/type=nautobot"`, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := fleet(t, 2)
			w.kube.Put("fleet/unlabelled", map[string]string{"username": "x"})
			w.kube.Unlabel("fleet/unlabelled")
			got := w.run(t, append([]string{"sync"}, test.args...)...)
			if got.code != exitDone || !strings.Contains(got.stderr, test.log) {
				t.Errorf("exit code %d, log without %q:\n%s", got.code, test.log, got.stderr)
			}
			var synced []string
			for line := range strings.Lines(got.stdout) {
				if object, _, _ := strings.Cut(line, " "); strings.HasPrefix(object, "token/") {
					synced = append(synced, strings.TrimPrefix(object, "token/"))
				}
			}
			slices.Sort(synced)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, synced); diff != "" {
				t.Errorf("Secrets (-want +got):\n%s", diff)
			}
			listed := slices.ContainsFunc(w.kube.Requests(), func(r string) bool { return strings.Contains(r, "labelSelector") })
			if listed != test.list {
				t.Errorf("Secrets are listed: %v, want %v", listed, test.list)
			}
		})
	}
}

// Every shard does its part: each Secret once, in all of them together.
func TestSyncShards(t *testing.T) {
	w := fleet(t, 40)
	var done []string
	for _, shard := range []string{"0/4", "1/4", "2/4", "3/4"} {
		got := w.run(t, "sync", "-n", "fleet", "--shard", shard)
		if got.code != exitDone {
			t.Fatalf("shard %s: %s", shard, got.stderr)
		}
		part := strings.Count(got.stdout, "token/")
		if part == 0 || part == 40 {
			t.Errorf("shard %s has %d of 40 Secrets", shard, part)
		}
		for line := range strings.Lines(got.stdout) {
			if strings.HasPrefix(line, "token/") {
				done = append(done, line)
			}
		}
	}
	slices.Sort(done)
	if n := len(slices.Compact(slices.Clone(done))); n != 40 || len(done) != 40 {
		t.Errorf("%d lines about %d Secrets, want 40 about 40", len(done), n)
	}
}

// A problem with one Secret does not stop the others, and counts as it would by
// itself.
func TestSyncGoesOn(t *testing.T) {
	forbid := func(path string) func(*http.Request, int) http.Handler {
		return func(r *http.Request, _ int) http.Handler {
			if r.URL.Path == path {
				return kubetest.Refuse(http.StatusForbidden)
			}
			return nil
		}
	}
	spoil := func(w *world) { w.kube.Put("fleet/svc-001", map[string]string{"username": "svc-001"}) }
	both := rulesFile(t, fleetRule, namedRule)
	tests := map[string]struct {
		prepare func(*world)
		args    []string
		code    int
		summary string
		stdout  string // a part of it
	}{
		"a Secret that is refused":               {spoil, nil, exitRefused, "secrets=4 unchanged=0 changed=3 refused=1 failed=0 revoked=0 noRule=0", "secret/fleet/svc-001 refused"},
		"a Secret that is refused, and that may": {spoil, []string{"--refused-ok"}, exitDone, "secrets=4 unchanged=0 changed=3 refused=1 failed=0 revoked=0 noRule=0", "secret/fleet/svc-001 refused"},
		"a namespace that may not be listed": {
			func(w *world) { w.kube.Intercept(forbid("/api/v1/namespaces/fleet/secrets")) }, nil,
			exitFailed, "secrets=1 unchanged=0 changed=1 refused=0 failed=1 revoked=0 noRule=0", "namespace/fleet failed    list Secrets: ",
		},
		"a Secret that may not be read": {
			func(w *world) { w.kube.Intercept(forbid("/api/v1/namespaces/openstack/secrets/nautobot-token")) }, nil,
			exitFailed, "secrets=3 unchanged=0 changed=3 refused=0 failed=1 revoked=0 noRule=0", "secret/openstack/nautobot-token failed    read Secret openstack/nautobot-token: ",
		},
		"refused and failed": {
			func(w *world) {
				spoil(w)
				w.kube.Intercept(forbid("/api/v1/namespaces/openstack/secrets/nautobot-token"))
			},
			[]string{"--refused-ok"},
			exitFailed, "secrets=3 unchanged=0 changed=2 refused=1 failed=1 revoked=0 noRule=0", "secret/fleet/svc-001 refused",
		},
		"two Secrets for one account": {
			func(w *world) { w.kube.Put("fleet/svc-001", map[string]string{"username": username, "token": newKey}) },
			[]string{"--parallel", "1"},
			exitRefused, "secrets=4 unchanged=0 changed=3 refused=1 failed=0 revoked=0 noRule=0", "belongs to another Secret",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := fleet(t, 3)
			test.prepare(w)
			got := w.run(t, append([]string{"sync", "--policy", both}, test.args...)...)
			got.checkSync(t, test.code, test.summary)
			if !strings.Contains(got.stdout, test.stdout) {
				t.Errorf("output without %q:\n%s", test.stdout, got.stdout)
			}
		})
	}
}

// A namespace or an account for which a server always fails does not use up the
// time of the others.
func TestSyncLosesPatience(t *testing.T) {
	before := leastPatience
	leastPatience = time.Millisecond
	t.Cleanup(func() { leastPatience = before })
	tests := map[string]struct {
		spoil   func(*world)
		summary string
	}{
		"a namespace that cannot be listed, as with a Secret that cannot be decrypted": {func(w *world) {
			w.kube.Intercept(func(r *http.Request, _ int) http.Handler {
				if r.URL.Path == "/api/v1/namespaces/broken/secrets" {
					return kubetest.Refuse(http.StatusInternalServerError)
				}
				return nil
			})
		}, "secrets=3 unchanged=3 changed=0 refused=0 failed=1 revoked=0 noRule=0"},
		"a Secret that cannot be read": {func(w *world) {
			w.nautobot.DeleteToken(newKey)
			w.kube.Intercept(func(r *http.Request, _ int) http.Handler {
				if r.URL.Path == "/api/v1/namespaces/broken/secrets/svc-broken" {
					return kubetest.Refuse(http.StatusInternalServerError)
				}
				return nil
			})
		}, "secrets=4 unchanged=3 changed=0 refused=0 failed=1 revoked=0 noRule=0"},
		"an account": {func(w *world) {
			w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
				if name, _, _ := (&http.Request{Header: r.Header}).BasicAuth(); name == "svc-broken" {
					return nautobottest.Answer(http.StatusInternalServerError, "", "")
				}
				return nautobottest.None()
			})
		}, "secrets=4 unchanged=3 changed=0 refused=0 failed=1 revoked=0 noRule=0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := fleet(t, 3)
			w.kube.Put("broken/svc-broken", map[string]string{"username": "svc-broken", "password": password, "token": newKey})
			sync := []string{"sync", "-n", "broken,fleet", "--parallel", "1", "--timeout", "4s"}
			w.run(t, sync...)
			test.spoil(w)
			w.run(t, sync...).checkSync(t, exitFailed, test.summary)
		})
	}
}

// A problem with all of them is reported once.
func TestSyncStops(t *testing.T) {
	tests := map[string]struct {
		prepare func(*testing.T, *world)
		stdout  string // a part of it
	}{
		"the superuser token is not accepted": {func(_ *testing.T, w *world) {
			w.kube.Put("nautobot/nautobot-superuser", map[string]string{"apitoken": newKey})
		}, "sync failed    find user: Nautobot answered 403: Invalid token"},
		"there is no superuser Secret": {func(_ *testing.T, w *world) { w.kube.Remove("nautobot/nautobot-superuser") }, "sync failed    superuser token: there is no Secret"},
		"time is up": {func(t *testing.T, w *world) {
			t.Setenv("TIMEOUT", "3s")
			w.nautobot.Intercept(func(nautobottest.Request, int) nautobottest.Fault { return nautobottest.Answer(503, "", "") })
		}, "sync failed "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := fleet(t, 150)
			test.prepare(t, w)
			got := w.run(t, "sync", "-n", "fleet")
			if n := strings.Count(got.stdout, "\n"); got.code != exitFailed || !strings.Contains(got.stdout, test.stdout) || n > 1+4 {
				t.Errorf("exit code %d, %d lines:\n%s%s", got.code, n, got.stdout, got.stderr)
			}
		})
	}
}

// A signal ends a sync after the requests in flight.
func TestSyncIsStopped(t *testing.T) {
	w := fleet(t, 150)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	w.nautobot.Intercept(func(_ nautobottest.Request, n int) nautobottest.Fault {
		if n == 30 {
			cancel(stoppedError{syscall.SIGTERM})
		}
		return nautobottest.None()
	})
	got := w.runWith(ctx, t, "", "sync", "-n", "fleet")
	if got.code != exitSignal+15 || !strings.Contains(got.stdout, "sync failed    stopped by a signal") {
		t.Errorf("exit code %d\n%s", got.code, got.stdout)
	}
	w.nautobot.Intercept(nil)
	if got := w.run(t, "sync", "-n", "fleet"); got.code != exitDone {
		t.Errorf("the next run: exit code %d\n%s", got.code, got.stderr)
	}
	w.run(t, "sync", "-n", "fleet").checkSync(t, exitDone, "secrets=150 unchanged=150 changed=0 refused=0 failed=0 revoked=0 noRule=0")
}

// A Secret that was handed out but no longer looked at is not a success.
func TestSyncIsStoppedAtTheLastSecret(t *testing.T) {
	w := fleet(t, 1)
	w.run(t, "sync", "-n", "fleet")
	for range 20 { // whether it was handed out is a matter of chance
		ctx, cancel := context.WithCancelCause(t.Context())
		w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
			if strings.HasPrefix(r.Path, "/api/users/users/") {
				cancel(stoppedError{syscall.SIGTERM})
			}
			return nautobottest.None()
		})
		got := w.runWith(ctx, t, "", "sync", "-n", "fleet", "--parallel", "1")
		if got.code != exitSignal+15 || !strings.Contains(got.stdout, "sync failed    stopped by a signal") {
			t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
		}
	}
}

// A list that cannot be continued starts over; no Secret is done twice, and none
// is left out.
func TestSyncWithAListThatExpires(t *testing.T) {
	w := fleet(t, 600)
	w.kube.Intercept(func(r *http.Request, n int) http.Handler {
		if r.URL.Query().Has("continue") && n%3 != 0 {
			w.kube.ExpireLists()
		}
		return nil
	})
	w.run(t, "sync", "-n", "fleet", "--parallel", "16").checkSync(t, exitDone, "secrets=600 unchanged=0 changed=600 refused=0 failed=0 revoked=0 noRule=0")
}

// Large Secrets are not kept in memory until there are a hundred of them.
func TestSyncOfLargeSecrets(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		name := fmt.Sprintf("svc-%03d", i)
		w.kube.Put("fleet/"+name, map[string]string{"username": name, "token": fleetKey(i), "other": strings.Repeat("x", 1<<20)})
	}
	w.run(t, "sync", "-n", "fleet", "-q")
	w.nautobot.ResetRequests()
	w.run(t, "sync", "-n", "fleet").checkSync(t, exitDone, "secrets=4 unchanged=4 changed=0 refused=0 failed=0 revoked=0 noRule=0")
	lookups := 0
	for _, r := range w.nautobot.Requests() {
		if strings.HasPrefix(r.Path, "/api/users/users/") {
			lookups++
		}
	}
	if lookups != 4 {
		t.Errorf("the accounts of 4 large Secrets are asked for in %d requests, want one for each", lookups)
	}
}

// A Secret may go, come or change while sync is working on it.
func TestSyncWhileSecretsChange(t *testing.T) {
	tests := map[string]struct {
		change  func(*world)
		summary string
	}{
		"one goes":            {func(w *world) { w.kube.Remove("fleet/svc-149") }, "secrets=149 unchanged=0 changed=149 refused=0 failed=0 revoked=0 noRule=0"},
		"one loses its label": {func(w *world) { w.kube.Unlabel("fleet/svc-149") }, "secrets=149 unchanged=0 changed=149 refused=0 failed=0 revoked=0 noRule=0"},
		"one changes":         {func(w *world) { w.putFleet(149, newPassword) }, "secrets=150 unchanged=0 changed=150 refused=0 failed=0 revoked=0 noRule=0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := fleet(t, 150)
			w.nautobot.Intercept(func(_ nautobottest.Request, n int) nautobottest.Fault {
				if n == 1 {
					test.change(w)
				}
				return nautobottest.None()
			})
			w.run(t, "sync", "-n", "fleet").checkSync(t, exitDone, test.summary)
			if user, ok := w.nautobot.User("svc-149"); name == "one changes" && (!ok || user.Password != newPassword) {
				t.Error("the account does not have the newest password")
			}
		})
	}
}

// Prune revokes the accounts whose Secrets are gone: those of this cluster,
// under a rule that says so, and not too many.
func TestPrune(t *testing.T) {
	w := fleet(t, 12)
	sync := []string{"sync", "--policy", rulesFile(t, fleetRule, namedRule), "--prune", "--settle", "0", "-q"}
	if got := w.run(t, sync...); got.code != exitDone {
		t.Fatalf("%s%s", got.stdout, got.stderr)
	}
	t.Setenv("CLUSTER_NAME", "another")
	w.kube.Put("fleet/elsewhere", map[string]string{"username": "svc-elsewhere", "token": newKey})
	if got := w.run(t, "provision", "elsewhere", "-n", "fleet"); got.code != exitDone {
		t.Fatalf("%s%s", got.stdout, got.stderr)
	}
	t.Setenv("CLUSTER_NAME", "lab")
	w.nautobot.AddUser(nautobottest.User{Username: "ann", FirstName: "Ann", LastName: "lab/fleet/gone", Password: "x"})
	w.nautobot.AddUser(nautobottest.User{Username: "long", FirstName: "Service account", LastName: "lab/fleet/gone~0123456789abcdef", Password: "x"})
	w.nautobot.AddUser(nautobottest.User{Username: "other-case", FirstName: "Service account", LastName: "LAB/fleet/gone", Password: "x"})
	for _, path := range []string{"fleet/elsewhere", "fleet/svc-003", "fleet/svc-004", "openstack/nautobot-token"} {
		w.kube.Remove(path)
	}
	w.kube.Unlabel("fleet/svc-005")

	dry := w.run(t, append(sync, "--dry-run", "--detailed-exitcode")...)
	if dry.code != exitPending || !strings.Contains(dry.stdout, "user/svc-003 revoked (dry run)   the Secret is gone\n") {
		t.Errorf("exit code %d\n%s", dry.code, dry.stdout)
	}
	w.nautobot.ResetRequests()
	got := w.run(t, sync...)
	got.checkSync(t, exitDone, "secrets=9 unchanged=9 changed=0 refused=0 failed=0 revoked=2 noRule=0")
	if want := "user/svc-003 revoked   the Secret is gone\nuser/svc-004 revoked   the Secret is gone\n"; got.stdout != want {
		t.Errorf("output:\n%s", got.stdout)
	}
	w.checkInService(t, map[string]bool{"svc-003": false, "svc-004": false})
	if got := w.run(t, sync...); got.code != exitDone || got.stdout != "" {
		t.Errorf("another run: exit code %d\n%s", got.code, got.stdout)
	}
}

// checkInService compares which accounts are not active: those that are named.
func (w *world) checkInService(t *testing.T, want map[string]bool) {
	t.Helper()
	got := map[string]bool{}
	for _, user := range w.nautobot.Snapshot().Users {
		if user.Inactive {
			got[user.Username] = !user.Inactive
		}
	}
	if want == nil {
		want = map[string]bool{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("accounts that are in service (-want +got):\n%s", diff)
	}
}

// Too many Secrets that are gone look like an accident.
func TestPruneLimit(t *testing.T) {
	w := fleet(t, 20)
	sync := []string{"sync", "--policy", rulesFile(t, fleetRule, namedRule), "--prune", "--settle", "0", "-q"}
	w.run(t, sync...)
	for i := range 6 {
		w.kube.Remove(fmt.Sprintf("fleet/svc-%03d", i))
	}
	got := w.run(t, append(sync, "--refused-ok")...) // which is only about single Secrets
	want := "namespace/fleet refused   6 Secrets of namespace fleet are gone at once, more than --limit 5 allows: svc-000, svc-001, svc-002, svc-003, svc-004, svc-005. " +
		"If this is intended, raise it, or revoke each by hand\n"
	if got.code != exitRefused || got.stdout != want {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	w.checkInService(t, nil)
	w.run(t, append(sync, "--limit", "6")...)
	w.checkInService(t, map[string]bool{"svc-000": false, "svc-001": false, "svc-002": false, "svc-003": false, "svc-004": false, "svc-005": false})
}

// If Secrets cannot be listed, no account is asked for.
func TestPruneWhereSecretsCannotBeListed(t *testing.T) {
	w := fleet(t, 3)
	w.run(t, "sync", "-n", "fleet")
	w.kube.Remove("fleet/svc-001")
	w.kube.Intercept(func(r *http.Request, _ int) http.Handler {
		if strings.HasSuffix(r.URL.Path, "/secrets") {
			return kubetest.Refuse(http.StatusForbidden)
		}
		return nil
	})
	for _, scope := range [][]string{{"-A"}, {"-n", "fleet"}} {
		got := w.run(t, append([]string{"sync", "--prune", "--settle", "0"}, scope...)...)
		if got.code != exitFailed || strings.Count(got.stdout, "\n") != 1 || !strings.Contains(got.stdout, "failed    list Secrets: ") {
			t.Errorf("%s: exit code %d\n%s", scope, got.code, got.stdout)
		}
	}
	w.checkInService(t, nil)
}

// A cluster other than the one that --cluster names, or one that is being rebuilt,
// has few of the Secrets: no limit of a namespace would notice.
func TestPruneInAnotherCluster(t *testing.T) {
	w := newWorld(t)
	var rules []string
	for i := range 9 {
		name := fmt.Sprintf("svc-%03d", i)
		w.kube.Put(fmt.Sprintf("ns-%d/%s", i, name), map[string]string{"username": name, "token": fleetKey(i)})
		rules = append(rules, fmt.Sprintf(`- {namespace: ns-%d, usernames: ["svc-*"], revoke: true}`, i))
	}
	sync := []string{"sync", "--policy", rulesFile(t, rules...), "--prune", "--settle", "0", "-q"}
	w.run(t, sync...)
	for i := range 6 {
		w.kube.Remove(fmt.Sprintf("ns-%d/svc-%03d", i, i))
	}
	got := w.run(t, sync...)
	if want := "sync refused   of 9 Secrets that accounts of cluster lab belong to, 6 are gone, which is most of them, and more than --limit 5 allows"; got.code != exitRefused || !strings.HasPrefix(got.stdout, want) {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	w.checkInService(t, nil)
	w.run(t, append(sync, "--limit", "6")...)
	if got := w.run(t, sync...); got.code != exitDone || got.stdout != "" {
		t.Errorf("another run: exit code %d\n%s", got.code, got.stdout)
	}
}

// Only the API server's own word says that a Secret is gone.
func TestNotGone(t *testing.T) {
	tests := map[string]http.Handler{
		"forbidden":                 kubetest.Refuse(http.StatusForbidden),
		"another server's 404":      kubetest.Answer(http.StatusNotFound, "text/html", "<h1>404</h1>"),
		"an error":                  kubetest.Refuse(http.StatusInternalServerError),
		"something else altogether": kubetest.Answer(http.StatusOK, "text/html", "<h1>Welcome</h1>"),
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			w := fleet(t, 2)
			w.run(t, "sync", "-n", "fleet")
			w.kube.Remove("fleet/svc-001")
			w.kube.Intercept(func(r *http.Request, _ int) http.Handler {
				if strings.HasSuffix(r.URL.Path, "/svc-001") || strings.HasSuffix(r.URL.Path, "/namespaces/fleet") {
					return answer
				}
				return nil
			})
			for _, args := range [][]string{
				{"sync", "-n", "fleet", "--prune", "--settle", "0", "--timeout", "200ms"},
				{"revoke", "svc-001", "-n", "fleet", "--timeout", "200ms"},
				{"revoke", "svc-001", "-n", "fleet", "--timeout", "200ms", "--settle", "1ms"},
			} {
				if got := w.run(t, args...); got.code != exitFailed {
					t.Errorf("%s: exit code %d\n%s", args, got.code, got.stdout)
				}
			}
			w.checkInService(t, nil)
		})
	}
}

// An API server that does not answer an Event delays a sync once, not for each
// Secret.
func TestSyncDoesNotWaitForEvents(t *testing.T) {
	defer func(before time.Duration) { eventTimeout = before }(eventTimeout)
	eventTimeout = 2 * time.Second // enough to send one, on a busy machine too
	w := fleet(t, 20)
	var asked atomic.Int32
	w.kube.Intercept(func(r *http.Request, _ int) http.Handler {
		if !strings.HasSuffix(r.URL.Path, "/events") {
			return nil
		}
		asked.Add(1)
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection would go unnoticed
			<-r.Context().Done()
		})
	})
	w.run(t, "sync", "-n", "fleet", "-q").checkSync(t, exitDone, "secrets=20 unchanged=0 changed=20 refused=0 failed=0 revoked=0 noRule=0")
	if n := asked.Load(); n < 1 || n > 4 {
		t.Errorf("%d Events were sent, want 1 to 4, as many as are sent at the same time", n)
	}
}

// A Secret that comes back while prune waits, and whose account another run had
// revoked, does not count as revoked.
func TestPruneCountsWhatCameBack(t *testing.T) {
	w := fleet(t, 2)
	w.run(t, "sync", "-n", "fleet")
	w.kube.Remove("fleet/svc-001")
	reads := 0
	w.kube.Intercept(func(r *http.Request, _ int) http.Handler {
		if !strings.HasSuffix(r.URL.Path, "/svc-001") {
			return nil
		}
		if reads++; reads == 2 {
			w.putFleet(1, password)
			w.nautobot.UpdateUser("svc-001", func(u *nautobottest.User) { u.Inactive, u.FirstName = true, "Service account (revoked)" })
		}
		return nil
	})
	got := w.run(t, "sync", "-n", "fleet", "--prune", "--settle", "1ms", "-q")
	got.checkSync(t, exitDone, "secrets=1 unchanged=1 changed=1 refused=0 failed=0 revoked=0 noRule=0")
	w.checkInService(t, nil)
}

// A holder that makes its account too large to be read stops neither the sync nor
// the revoke of others.
func TestAccountThatIsTooLarge(t *testing.T) {
	w := fleet(t, 12)
	sync := []string{"sync", "-n", "fleet", "-q"}
	w.run(t, sync...).checkSync(t, exitDone, "secrets=12 unchanged=0 changed=12 refused=0 failed=0 revoked=0 noRule=0")
	w.kube.Remove("fleet/svc-004")
	w.kube.Remove("fleet/svc-006")
	w.nautobot.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		return nautobottest.Substitute(func(body string) string {
			if strings.Contains(body, `"svc-005"`) || strings.Contains(body, `"svc-006"`) {
				body += strings.Repeat(" ", 8<<20)
			}
			return body
		})
	})
	const answer = "find user: no answer from Nautobot: the answer is larger than 8388608 bytes"
	got := w.run(t, append(sync, "--prune", "--settle", "0")...)
	got.checkSync(t, exitFailed, "secrets=10 unchanged=9 changed=0 refused=0 failed=3 revoked=1 noRule=0")
	passed := "namespace/fleet failed    an account is skipped: " + answer + "\n"
	if want := "secret/fleet/svc-005 failed    " + answer + "\n" + passed + passed + "user/svc-004 revoked   the Secret is gone\n"; got.stdout != want {
		t.Errorf("output:\n%s\nwant:\n%s", got.stdout, want)
	}
	w.checkInService(t, map[string]bool{"svc-004": false})
	w.kube.Remove("fleet/svc-007")
	if got := w.run(t, "revoke", "svc-007", "-n", "fleet", "--settle", "1ms"); got.code != exitDone {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// What was written for a Secret that has since lost its label is reported.
func TestSyncTellsWhatItWroteForASecretWithoutLabel(t *testing.T) {
	w := fleet(t, 2)
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Path == "/api/users/tokens/" && !r.Safe() && strings.Contains(string(r.Body), fleetKey(1)) {
			w.kube.Unlabel("fleet/svc-001")
		}
		return nautobottest.None()
	})
	got := w.run(t, "sync", "-n", "fleet")
	got.checkSync(t, exitFailed, "secrets=2 unchanged=0 changed=1 refused=0 failed=1 revoked=0 noRule=0")
	for _, want := range []string{"user/svc-001        created", "token/fleet/svc-001 created", "secret/fleet/svc-001 failed"} {
		if !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("the result does not tell of %q:\n%s", want, got.stdout)
		}
	}
}

func TestSyncUsage(t *testing.T) {
	tests := map[string][]string{
		"--namespace: a lowercase RFC 1123":    {"-n", "Fleet"},
		"give --namespace or --all-namespaces": {"-n", "fleet", "-A"},
		"--namespace is set but empty":         {"-n", " ", "--prune"},
		"sync takes no arguments":              {"fleet"},
		"--parallel: want 1 to 64":             {"--parallel", "0"},
		"--parallel: want a whole number":      {"--parallel", key},
		"--shard: want I/N":                    {"--shard", "4/4"},
		"--limit: want a whole number":         {"--prune", "--limit", key},
		"--settle works only with --prune":     {"--settle", "1m"},
		"--limit works only with --prune":      {"--limit", "1"},
		"--limit: want 1 or more":              {"--prune", "--limit", "0"},
		"--settle: want less than --timeout":   {"--prune", "--settle", "2h"},
		"--prune requires --cluster":           {"--prune", "--cluster="},
		"--detailed-exitcode works only with":  {"--detailed-exitcode"},
		"cannot be combined with --policy":     {"--policy", rulesFile(t, fleetRule), "--adopt"},
		"rules[0].revoke: want true or false":  {"--policy", rulesFile(t, `- {namespace: fleet, usernames: ["*"], revoke: "yes"}`)},
		"rules[0].usernames: required":         {"--policy", rulesFile(t, strictRule)},
	}
	for want, args := range tests {
		t.Run(want, func(t *testing.T) {
			w := newWorld(t)
			if slices.Contains(args, "--cluster=") {
				t.Setenv("CLUSTER_NAME", "")
				args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--cluster=" })
			}
			got := w.run(t, append([]string{"sync"}, args...)...)
			if got.code != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" {
				t.Errorf("exit code %d, %q, want %q", got.code, got.stderr, want)
			}
		})
	}
}
