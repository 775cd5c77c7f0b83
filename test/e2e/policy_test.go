//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// One policy file for all Secrets of a namespace.
func TestPolicy(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		group := f.makeGroup(t)
		file := filepath.Join(t.TempDir(), "policy.yaml")
		write := func(text string) {
			t.Helper()
			text = strings.NewReplacer("NAMESPACE", f.namespace, "GROUP", group).Replace(text)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(`rules:
  - {namespace: NAMESPACE, secrets: ["first-*"], usernames: ["svc-*-one"], groups: [GROUP]}
  - {namespace: NAMESPACE, secrets: ["first-*"], usernames: ["*"]}
  - {namespace: NAMESPACE, secrets: ["missing"], usernames: ["*"], groups: [GROUP, not-there]}
  - {namespace: NAMESPACE, secrets: ["super"], usernames: ["*"], superuser: true}
  - {namespace: NAMESPACE, secrets: ["adopt"], usernames: ["*"], adopt: true}
  - {namespace: NAMESPACE, secrets: ["exclusive", "other"], usernames: ["svc-*"], exclusive: true}
  - {namespace: another-one, usernames: ["*"]}
`)
		f.env["NAUTOBOT_TOKEN_POLICY"] = file
		secret := func(name string) *fixture {
			g := f.another()
			g.name = name
			g.saveSecret(t)
			return g
		}

		t.Run("groups", func(t *testing.T) {
			g := secret("first-a")
			g.username += "-one"
			g.provisionNew(t).wantStdout(t, g.userLine("created"), g.tokenLine("created"))
			g.wantAccount(t, group)
			g.wantUnchanged(t)

			more := f.makeGroup(t)
			g.setGroups(t, managed, group, more)
			g.provision(t).want(t, 0).wantNoWrite(t).wantStdout(t, g.userLine("unchanged also in groups "+more), g.tokenLine("unchanged"))
			g.setGroups(t, managed, more)
			g.provision(t).want(t, 0).wantStdout(t, g.userLine("updated groups; also in groups "+more), g.tokenLine("unchanged"))
			g.wantAccount(t, group, more)
		})
		t.Run("first match wins", func(t *testing.T) {
			g := secret("first-b") // the second rule would allow it
			g.provision(t).wantRefused(t, file+", rules[0]", "svc-*-one", g.username).wantRequests(t, 0, 0, 0)
		})
		t.Run("no match", func(t *testing.T) {
			g := secret("unknown")
			g.provision(t).wantRefused(t, file, "namespace: "+f.namespace, `secrets: that match "unknown"`, "usernames: that match").wantRequests(t, 0, 0, 0)
		})
		t.Run("group that does not exist", func(t *testing.T) {
			g := secret("missing")
			g.provision(t).wantRefused(t, "not-there")
			if g.user(t) != nil {
				t.Error("the account was made")
			}
		})
		t.Run("superuser", func(t *testing.T) {
			g := secret("super")
			if nautobot.identity == provisioner {
				g.provision(t).wantRefused(t, "the rule grants superuser, which requires a superuser's token")
				return
			}
			g.provision(t).want(t, 0)
			if user := g.user(t); !user.Superuser || user.Staff {
				t.Errorf("superuser %t, staff %t", user.Superuser, user.Staff)
			}
			g.provision(t).want(t, 0).wantStdout(t, g.userLine("unchanged"), g.tokenLine("unchanged")).wantNoWrite(t)
			// Granted no more.
			delete(g.env, "NAUTOBOT_TOKEN_POLICY")
			g.provision(t).want(t, 0).wantStdout(t, g.userLine("updated is_superuser"), g.tokenLine("unchanged"))
			g.wantAccount(t)
			g.wantUnchanged(t)
		})
		t.Run("adopt", func(t *testing.T) {
			g := f.makeByHand(t, nil)
			g.name = "adopt"
			g.saveSecret(t)
			if nautobot.identity == provisioner {
				g.provision(t).wantRefused(t, "may not see it")
				return
			}
			g.provision(t).want(t, 0)
			g.wantAccount(t)
			g.wantUnchanged(t)
		})
		t.Run("exclusive", func(t *testing.T) {
			g := secret("exclusive")
			g.provision(t).want(t, 0)
			var made []servers.NautobotToken
			g.must(t, servers.ByToken(g.token), http.MethodPost, "tokens/", []object{{"description": "by hand"}, {"description": g.mark()}}, &made)
			for _, token := range made {
				g.secrets["token made by hand "+token.ID] = token.Key
			}
			g.provision(t).want(t, 0).wantStdout(t, g.userLine("unchanged"), g.tokenLine("updated 2 superseded tokens expire in 1h"))
			g.wantUnchanged(t)
			g.provision(t, "--rotation-grace=0").want(t, 0).wantStdout(t, g.userLine("unchanged"), g.tokenLine("updated 2 superseded tokens deleted"))
			for _, token := range made {
				g.wantToken(t, "a token made by hand", token.Key, http.StatusForbidden, "Invalid token")
			}
			g.wantAccount(t)
			g.wantUnchanged(t)
		})
		t.Run("a mistake in it", func(t *testing.T) {
			write("rules:\n  - namespace: NAMESPACE\n    usernames: [x]\n    superuser: maybe\n")
			f.saveSecret(t)
			f.provision(t).want(t, 2).wantText(t, "--policy (NAUTOBOT_TOKEN_POLICY): rules[0].superuser: want true or false").wantRequests(t, 0, 0, 0)
		})
	})
}

// setGroups puts the account into exactly these groups, as a person would.
func (f *fixture) setGroups(t *testing.T, names ...string) {
	t.Helper()
	groups := []object{}
	for _, name := range names {
		groups = append(groups, object{"name": name})
	}
	f.must(t, f.superuser(), http.MethodPatch, "users/"+f.user(t).ID+"/", object{"groups": groups}, nil)
}
