//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

func TestFirstRunAndSecondRun(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		first := f.provisionNew(t).wantStdout(t, f.userLine("created"), f.tokenLine("created"))
		if len(first.requests) > 6 {
			t.Errorf("%d requests, want 6 at most\n%s", len(first.requests), first)
		}
		f.wantAccount(t)
		f.wantUnchanged(t)
	})
}

// The very first run of all makes the managed group, too.
func TestVeryFirstRun(t *testing.T) {
	asSuperuser(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.removeManagedGroup(t)
		first := f.provisionNew(t).wantStdout(t,
			"group/"+managed+" created", "permission/"+managed+" created", f.userLine("created"), f.tokenLine("created"))
		if len(first.requests) > 11 {
			t.Errorf("%d requests, want 11 at most\n%s", len(first.requests), first)
		}
		f.wantAccount(t)
		f.wantUnchanged(t)
	})
}

// wantUnchanged checks that a run finds everything as it should be.
func (f *fixture) wantUnchanged(t *testing.T) {
	t.Helper()
	f.provision(t).want(t, 0).wantStdout(t, f.userLine("unchanged"), f.tokenLine("unchanged")).wantRequests(t, 2, 0, 1)
}

// removeManagedGroup leaves Nautobot as it was before the very first run.
func (f *fixture) removeManagedGroup(t *testing.T) {
	t.Helper()
	f.removeByName(t, "permissions/", managed)
	f.removeByName(t, "groups/", managed)
}

// removeByName removes permissions or groups, those that are there.
func (f *fixture) removeByName(t *testing.T, kind string, names ...string) {
	t.Helper()
	for _, name := range names {
		var found struct{ Results []struct{ ID any } }
		f.must(t, f.superuser(), http.MethodGet, kind+"?name="+name, nil, &found)
		for _, one := range found.Results {
			f.must(t, f.superuser(), http.MethodDelete, fmt.Sprintf("%s%v/", kind, one.ID), nil, nil)
		}
	}
}

func TestLostAccess(t *testing.T) {
	asSuperuser(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		f.provision(t).want(t, 0)

		// Single sign-on can replace the groups of an account.
		f.must(t, f.superuser(), http.MethodPatch, "users/"+f.user(t).ID+"/", object{"groups": []int{}}, nil)
		f.provision(t).want(t, 0).wantStdout(t, f.userLine("updated groups"), f.tokenLine("unchanged"))
		f.wantAccount(t)
		f.wantUnchanged(t)

		f.removeManagedGroup(t)
		f.provision(t).want(t, 0)
		f.wantAccount(t)
		f.wantUnchanged(t)
	})
}

// A provisioner cannot mend what only a superuser may see. It says what is
// missing, and after setup goes on where it was.
func TestLostAccessOfAProvisioner(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		t.Cleanup(func() { f.setUpAgain(t) })
		f.saveSecret(t)
		f.removeByName(t, "permissions/", managed)
		f.provision(t).want(t, 1).wantText(t, "the group \""+managed+"\" with a permission")
		f.setUpAgain(t)
		f.provision(t).want(t, 0)
		f.wantAccount(t)
		f.wantUnchanged(t)

		g := f.another()
		g.saveSecret(t)
		f.removeManagedGroup(t)
		g.provision(t).want(t, 1).wantText(t, "the group \""+managed+"\" with a permission")
		if g.user(t) != nil {
			t.Error("the account was made without its group")
		}
		f.setUpAgain(t)
		g.provision(t).want(t, 0)
		g.wantAccount(t)
		g.wantUnchanged(t)

		// The group is back, but its members are not: f's account is out of sight.
		f.provision(t).wantRefused(t)
		f.wantToken(t, "the Secret's token", f.token, http.StatusOK, "")
	})
}

// setUpAgain runs setup with the provisioner that all tests share.
func (f *fixture) setUpAgain(t *testing.T) {
	t.Helper()
	if err := f.nautobot.setUp(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(f.redact(err.Error()))
	}
}

func TestUsernames(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		for _, format := range []string{"svc.%s.v1", "svc+%s+v1", "svc@%s.example", "Svc_%s@a.b+c-d_E"} {
			g := f.another()
			g.username = fmt.Sprintf(format, randomText())
			t.Run(fmt.Sprintf(format, "x"), func(t *testing.T) {
				g.saveSecret(t)
				g.provision(t).want(t, 0).wantStdout(t, g.userLine("created"), g.tokenLine("created"))
				g.wantAccount(t)
				g.wantUnchanged(t)
			})
		}
	})
}

func TestManyTokensMadeByHand(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		f.provision(t).want(t, 0)

		const n = 60 // a page of Nautobot's has 50
		var byHand []object
		for i := range n {
			byHand = append(byHand, object{"description": fmt.Sprint("by hand ", i)})
		}
		var made []servers.NautobotToken
		f.must(t, servers.ByToken(f.token), http.MethodPost, "tokens/", byHand, &made)
		if len(made) != n {
			t.Fatalf("%d tokens made, want %d", len(made), n)
		}
		for _, token := range made {
			f.secrets["token made by hand "+token.ID] = token.Key
		}
		f.provision(t).want(t, 0).
			wantStdout(t, f.userLine("unchanged"), f.tokenLine("unchanged 60 other tokens left alone")).
			wantRequests(t, 2, 0, 1)

		old := f.token
		f.token = f.newToken("rotated token") // the newest of all, on the last page
		f.saveSecret(t)
		f.provision(t, "--rotation-grace=0").want(t, 0).
			wantStdout(t, f.userLine("unchanged"), f.tokenLine("created 1 superseded token deleted; 60 other tokens left alone"))
		f.wantAccount(t)
		f.wantToken(t, "the old token", old, http.StatusForbidden, "Invalid token")

		left := map[string]servers.NautobotToken{}
		for _, token := range f.tokens(t) {
			left[token.ID] = token
		}
		if len(left) != n+1 {
			t.Errorf("%d tokens, want %d", len(left), n+1)
		}
		for _, token := range made {
			if left[token.ID] != token {
				t.Errorf("a token made by hand was changed: %q, ID %s", token.Description, token.ID)
			}
		}
		f.provision(t).want(t, 0).wantRequests(t, 2, 0, 1)
	})
}

func TestNewlineAtTheEndOfAValue(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveData(t, map[string]string{"username": f.username + "\n", "password": f.password + "\r\n", "token": f.token + "\n"})
		f.provision(t).want(t, 0).
			wantStdout(t, f.userLine("created"), f.tokenLine("created")).
			wantText(t, `key \"token\" ends in a newline`, `key \"password\" ends in a newline`, `key \"username\" ends in a newline`)
		f.wantAccount(t)
		f.wantUnchanged(t)
	})
}

func TestHostnameAndEmail(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		data := f.data()
		data["email"] = f.username + "@example.com"
		data["hostname"] = "nautobot.example.com"
		data["url"] = f.proxy.URL + "/api/"
		f.saveData(t, data)
		f.env["NAUTOBOT_HOSTNAMES"] = "other.example.com,nautobot.example.com"
		f.provision(t).want(t, 0)
		f.wantAccount(t)
		if have := f.user(t).Email; have != data["email"] {
			t.Errorf("e-mail address %q, want %q", have, data["email"])
		}
		f.wantUnchanged(t)
	})
}

// The ways to run it without a cluster.
func TestManifest(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		manifest, err := json.Marshal(secretObject(f.namespace, f.name, map[string]string{"token/type": "nautobot"}, f.data()))
		if err != nil {
			t.Fatal(err)
		}
		f.stdin = string(manifest)
		delete(f.env, "KUBECONFIG")
		f.env["NAUTOBOT_TOKEN"] = nautobot.workToken
		f.run(t, "provision", "-f", "-").want(t, 0).wantStdout(t, f.userLine("created"), f.tokenLine("created"))
		f.wantAccount(t)
		f.run(t, "provision", "--filename=-").want(t, 0).wantRequests(t, 2, 0, 1)
	})
}

// The superuser Secret that is looked for where nothing else is said.
func TestDefaultSuperuserSecret(t *testing.T) {
	f := newFixture(t, nautobots[0].as(provisioner))
	f.saveSecret(t)
	delete(f.env, "NAUTOBOT_SUPERUSER_SECRET")
	f.apply(t, object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": "nautobot"}})
	for _, key := range []string{"apitoken", "token"} {
		f.apply(t, secretObject("nautobot", "nautobot-superuser", nil, map[string]string{key: f.nautobot.workToken + "\n"}))
		f.provision(t).want(t, 0)
	}
	f.wantAccount(t)
}

func TestUserAgent(t *testing.T) {
	f := newFixture(t, nautobots[0].as(provisioner))
	f.saveSecret(t)
	var agents []string
	f.proxy.spoil(func(_ int, r *http.Request) fate {
		agents = append(agents, r.UserAgent())
		return nil
	})
	f.provision(t).want(t, 0)
	for _, agent := range agents {
		if !strings.HasPrefix(agent, "nautobot-token/") {
			t.Errorf("User-Agent %q", agent)
		}
	}
}

// No filter by the token's key, in any way of spelling it.
func TestNoFilterByKey(t *testing.T) {
	f := newFixture(t, nautobots[0].as(provisioner))
	f.saveSecret(t)
	for _, request := range f.provision(t).want(t, 0).requests {
		query, err := url.ParseQuery(request.Query)
		if err != nil || query.Has("key") {
			t.Errorf("%s %s has a filter by key (%v)", request.Method, request.Path, err)
		}
	}
}
