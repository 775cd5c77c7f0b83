//go:build e2e

package e2e

import (
	"maps"
	"net/http"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// A Secret that names another account than before.
func TestRenamedAccount(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.env["CLUSTER_NAME"] = "cluster-" + randomText()
		f.provisionNew(t)
		f.wantAccount(t)

		g := f.renamed()
		g.provisionNew(t).wantStdout(t, g.userLine("created"), g.tokenLine("created"),
			f.userLine("revoked the Secret names another account now"))
		g.wantAccount(t)
		f.wantToken(t, "the former account's token", f.token, http.StatusForbidden, "User inactive")
		if user := f.user(t); user.Active || user.FirstName != "Service account (revoked)" {
			t.Errorf("the former account: active %t, first name %q", user.Active, user.FirstName)
		}
		g.wantUnchanged(t)

		// Back to the first.
		f.provisionNew(t).wantStdout(t, f.userLine("updated is_active, first_name"), f.tokenLine("unchanged"),
			g.userLine("revoked the Secret names another account now"))
		f.wantAccount(t)
		g.wantToken(t, "the former account's token", g.token, http.StatusForbidden, "User inactive")
		f.wantUnchanged(t)

		t.Run("without --cluster", func(t *testing.T) {
			f := f.another()
			delete(f.env, "CLUSTER_NAME")
			f.provisionNew(t)
			g := f.renamed()
			alone := f.userLine("unchanged it has the same owner and is left alone: --cluster is not set")
			g.provisionNew(t).wantStdout(t, g.userLine("created"), g.tokenLine("created"), alone)
			g.wantAccount(t)
			f.wantAccount(t)
			g.provision(t).want(t, 0).wantNoWrite(t).wantStdout(t, g.userLine("unchanged"), g.tokenLine("unchanged"), alone)
		})
	})
}

// renamed is the same Secret, for another account.
func (f *fixture) renamed() *fixture {
	g := f.another()
	g.name = f.name
	return g
}

// What people can do to an account between two runs.
func TestChangedByHand(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.provisionNew(t)
		patch := func(t *testing.T, fields object) {
			t.Helper()
			f.must(t, f.superuser(), http.MethodPatch, "users/"+f.user(t).ID+"/", fields, nil)
		}
		// unseen is for what a provisioner cannot mend: it does not see the
		// account any more.
		unseen := func(t *testing.T, mend object) bool {
			t.Helper()
			if nautobot.identity == superuser {
				return false
			}
			f.provision(t).wantRefused(t)
			f.wantToken(t, "the Secret's token", f.token, http.StatusOK, "")
			patch(t, mend)
			return true
		}
		for _, c := range []struct {
			name string
			do   func(t *testing.T)
		}{
			{"deleted", func(t *testing.T) {
				f.must(t, f.superuser(), http.MethodDelete, "users/"+f.user(t).ID+"/", nil, nil)
				f.provision(t).want(t, 0).wantStdout(t, f.userLine("created"), f.tokenLine("created"))
			}},
			{"disabled", func(t *testing.T) {
				patch(t, object{"is_active": false})
				f.provision(t).want(t, 3).wantNoWrite(t).wantText(t, "deactivated in Nautobot")
				f.wantToken(t, "the Secret's token", f.token, http.StatusForbidden, "User inactive")
				patch(t, object{"is_active": true})
			}},
			{"made staff", func(t *testing.T) {
				patch(t, object{"is_staff": true})
				if !unseen(t, object{"is_staff": false}) {
					f.provision(t).want(t, 0).wantStdout(t, f.userLine("updated is_staff"), f.tokenLine("unchanged"))
				}
			}},
			{"made superuser", func(t *testing.T) {
				patch(t, object{"is_superuser": true})
				if !unseen(t, object{"is_superuser": false}) {
					f.provision(t).want(t, 0).wantStdout(t, f.userLine("updated is_superuser"), f.tokenLine("unchanged"))
				}
			}},
			{"out of the group", func(t *testing.T) {
				patch(t, object{"groups": []int{}})
				if !unseen(t, object{"groups": []object{{"name": managed}}}) {
					f.provision(t).want(t, 0).wantStdout(t, f.userLine("updated groups"), f.tokenLine("unchanged"))
				}
			}},
			{"another password", func(t *testing.T) {
				foreign := f.newPassword("password set by hand")
				patch(t, object{"password": foreign})
				f.provision(t).want(t, 0).wantStdout(t, f.userLine("updated password"), f.tokenLine("unchanged"))
				f.wantPassword(t, "the password set by hand", foreign, http.StatusForbidden)
			}},
			{"token deleted", func(t *testing.T) {
				f.must(t, servers.ByToken(f.token), http.MethodDelete, "tokens/"+f.ownToken(t).ID+"/", nil, nil)
				f.provision(t).want(t, 0).wantStdout(t, f.userLine("unchanged"), f.tokenLine("created"))
			}},
			{"renamed", func(t *testing.T) { // its token cannot be two accounts'
				g := *f
				g.env = maps.Clone(f.env)
				g.username = "svc-" + randomText()
				patch(t, object{"username": g.username})
				f.provision(t).want(t, 3).wantNoWrite(t).wantText(t, "it already belongs to ")
				g.must(t, g.superuser(), http.MethodPatch, "users/"+g.user(t).ID+"/", object{"username": f.username}, nil)
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.do(t)
				f.wantAccount(t)
				f.wantUnchanged(t)
			})
		}
	})
}
