//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// remove deletes the Secret from the cluster.
func (f *fixture) remove(t *testing.T) {
	t.Helper()
	if err := cluster.Delete(t.Context(), []byte(fmt.Sprintf(
		`{"apiVersion":"v1","kind":"Secret","metadata":{"namespace":%q,"name":%q}}`, f.namespace, f.name))); err != nil {
		t.Fatal(err)
	}
}

// sync runs sync on the fixture's namespace.
func (f *fixture) sync(t *testing.T, flags ...string) result {
	t.Helper()
	return f.run(t, append([]string{"sync", "-n", f.namespace}, flags...)...)
}

// inService checks whether the Secret's token opens the account.
func (f *fixture) inService(t *testing.T, want bool) {
	t.Helper()
	status, reason := http.StatusOK, ""
	if !want {
		status, reason = http.StatusForbidden, "User inactive"
	}
	f.wantToken(t, "the token of "+f.name, f.token, status, reason)
}

// TestSync: one request for each healthy Secret, and whatever was lost or
// changed by hand is repaired.
func TestSync(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		all := []*fixture{f, f.another(), f.another(), f.another(), f.another()}
		for _, one := range all {
			one.saveSecret(t)
		}
		before := f.snapshot(t)
		f.sync(t, "--dry-run", "--detailed-exitcode").want(t, 4).wantNoWrite(t)
		wantSame(t, before, f.snapshot(t))
		f.sync(t).want(t, 0).wantText(t, `"secrets":5,"unchanged":0,"changed":5`)
		for _, one := range all {
			one.wantAccount(t)
		}
		f.sync(t, "-q").want(t, 0).wantRequests(t, 6, 0, 5).wantStdout(t)
		f.sync(t, "-q", "--quick").want(t, 0).wantRequests(t, 6, 0, 0).wantStdout(t)

		user := all[1].user(t)
		f.must(t, f.superuser(), http.MethodPatch, "users/"+user.ID+"/", object{"password": f.newPassword("password by hand")}, nil)
		user = all[2].user(t)
		f.must(t, f.superuser(), http.MethodPatch, "users/"+user.ID+"/", object{"first_name": "Ann"}, nil)
		f.sync(t, "-q", "--quick").want(t, 3).wantText(t, "secret/"+f.namespace+"/"+all[2].name, "lost the names that mark it as this Secret's")
		f.must(t, f.superuser(), http.MethodPatch, "users/"+user.ID+"/", object{"first_name": "Service account"}, nil)
		f.sync(t, "-q").want(t, 0).wantStdout(t, all[1].userLine("updated password"))
		all[1].token = all[1].newToken("rotated token")
		all[1].saveSecret(t)
		f.sync(t, "-q", "--quick").want(t, 0).wantText(t, "1 superseded token expires in 1h")
		all[1].wantAccount(t)
		f.sync(t, "-q").want(t, 0).wantNoWrite(t).wantStdout(t)
	})
}

// TestSyncOfLongNames: the accounts of many Secrets are asked for together,
// whatever their names.
func TestSyncOfLongNames(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		for i := range 60 {
			one := f.another()
			one.name = fmt.Sprintf("%s%02d", strings.Repeat("long-name-", 9+i%10), i)
			one.saveSecret(t)
		}
		f.sync(t, "--dry-run").want(t, 0).wantNoWrite(t).wantText(t, `"secrets":60,"unchanged":0,"changed":60`)
	})
}

// TestRevoke: an account whose Secret is gone is out of service, and back when
// the Secret is.
func TestRevoke(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		stays := f.another()
		f.provisionNew(t)
		stays.provisionNew(t)
		revoke := []string{"revoke", f.name, "-n", f.namespace}
		f.run(t, revoke...).wantRefused(t, "the Secret is there").wantNoWrite(t)
		f.remove(t)
		for _, args := range map[string][]string{
			"revoke":          revoke,
			"revoke --settle": append(revoke[:4:4], "--settle", "100ms"),
			"sync --prune":    {"sync", "-n", f.namespace, "--prune", "--settle", "100ms", "-q"},
		} {
			f.run(t, append(args, "--dry-run")...).want(t, 0).wantNoWrite(t).wantStdout(t, f.userLine("revoked (dry run) the Secret is gone"))
			f.inService(t, true)
			f.run(t, args...).want(t, 0).wantStdout(t, f.userLine("revoked the Secret is gone"))
			f.inService(t, false)
			f.run(t, args...).want(t, 0).wantNoWrite(t)
			stays.inService(t, true)
			f.saveSecret(t)
			f.sync(t, "-q").want(t, 0).wantStdout(t, f.userLine("updated is_active, first_name"))
			f.inService(t, true)
			f.wantAccount(t)
			f.remove(t)
		}
		f.sync(t, "-q", "--prune", "--settle", "100ms").want(t, 0)
		// Nobody but a superuser deletes an account.
		deleted := f.run(t, append(revoke, "--delete")...)
		if nautobot.identity == provisioner {
			deleted.want(t, 1).wantText(t, "users.delete_user")
			return
		}
		deleted.want(t, 0).wantStdout(t, f.userLine("revoked deleted: the Secret is gone"))
		if f.user(t) != nil {
			t.Error("the account is there")
		}
		f.run(t, append(revoke, "--delete")...).want(t, 0).wantNoWrite(t)
		stays.wantAccount(t)
	})
}
