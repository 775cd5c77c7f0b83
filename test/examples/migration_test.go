//go:build e2e

package examples

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

const oldToken = "thetokenthattheplaybookmadebeforethis001"

// Every step of migration/README.md, and the way back from each.
func TestMigration(t *testing.T) { onEachNautobot(t, testMigration) }

func testMigration(t *testing.T) {
	r := install(t, site, "migration")
	r.apply(t, read(t, "site/secrets.yaml"))
	r.applySuperuser(t)
	removeAtEnd(t, r.secrets)
	services := r.secrets[1:]
	for _, secret := range services {
		playbookMakes(t, secret)
	}
	openstack, workflow := services[0], services[1]
	username := openstack.StringData["username"]
	// The playbook never ended a token, nor set a password anew.
	must(t, servers.ByPassword(username, openstack.StringData["password"]), http.MethodPost, "tokens/", map[string]any{"key": oldToken, "description": "ansible-created-token"}, nil)
	must(t, nautobot.Admin(), http.MethodPatch, "users/"+accountOf(t, workflow.StringData["username"]).ID+"/", map[string]any{"password": "the-one-before"}, nil)

	lines := func(secret corev1.Secret, user, token string) []string {
		return []string{"user/" + secret.StringData["username"] + " " + user, "token/" + secret.Namespace + "/" + secret.Name + " " + token}
	}
	const left = "; 1 other token left alone"

	// Without adopt nobody's account is taken.
	after := r.with(t, "site")
	for _, secret := range services {
		if got := after.provision(t, secret); got.code != 3 {
			t.Errorf("exit code %d for an account of the playbook\n%s", got.code, got.stdout)
		}
	}

	// Step 2.
	dry := r.run(t, binary, "provision", openstack.Name, "-n", openstack.Namespace, "--dry-run")
	r.provision(t, openstack).want(t, 0, lines(openstack, "updated groups, is_staff, first_name, last_name", "updated description"+left)...)
	r.provision(t, workflow).want(t, 0, lines(workflow, "updated password, groups, is_staff, first_name, last_name", "updated description")...)
	if !strings.Contains(dry.stdout, "updated (dry run)") {
		t.Errorf("the dry run said\n%s", dry.stdout)
	}
	r.provision(t, openstack).want(t, 0, lines(openstack, "unchanged", "unchanged 1 other token left alone")...)
	r.provision(t, workflow).want(t, 0, lines(workflow, "unchanged", "unchanged")...)
	check := func(superuser bool) {
		t.Helper()
		for _, secret := range services {
			wantAccount(t, "rxdb-lab", secret, superuser)
			playbookHasNothingToDo(t, secret)
		}
		wantOwner(t, oldToken, username)
	}
	check(true)

	// Step 4, back, and again.
	after = r.with(t, "site")
	for _, c := range []struct {
		release   *release
		superuser bool
	}{{after, false}, {r.with(t, "migration"), true}, {after, false}} {
		c.release.provision(t, openstack).want(t, 0, lines(openstack, "updated is_superuser", "unchanged 1 other token left alone")...)
		c.release.provision(t, workflow).want(t, 0, lines(workflow, "updated is_superuser", "unchanged")...)
		check(c.superuser)
	}

	// Step 5.
	exclusive := r.with(t, "site", "rules[0].exclusive=true")
	exclusive.provision(t, openstack).want(t, 0, lines(openstack, "unchanged", "updated 1 superseded token expires in 1h")...)
	check(false) // for an hour
	ends := slices.ContainsFunc(tokensOf(t, servers.ByToken(openstack.StringData["token"])), func(k servers.NautobotToken) bool { return k.Key == oldToken && k.Expires != nil })
	if !ends {
		t.Error("the old token does not end")
	}
}

// with is the same release after an upgrade to other values.
func (r *release) with(t *testing.T, values string, set ...string) *release {
	t.Helper()
	upgraded := install(t, r.cluster, values, set...)
	upgraded.secrets = r.secrets
	return upgraded
}

// applySuperuser puts the admin's own token into the superuser Secret.
func (r *release) applySuperuser(t *testing.T) {
	t.Helper()
	r.secrets[0].StringData = map[string]string{"token": nautobot.Token}
	err := r.cluster.Apply(t.Context(), fmt.Appendf(nil, "{apiVersion: v1, kind: Secret, metadata: {name: %s, namespace: %s}, stringData: {token: %s}}",
		r.secrets[0].Name, r.secrets[0].Namespace, nautobot.Token))
	if err != nil {
		t.Fatal(err)
	}
}

// playbookMakes does in Nautobot what the Ansible playbook did for a Secret.
func playbookMakes(t *testing.T, secret corev1.Secret) {
	t.Helper()
	username, password := secret.StringData["username"], secret.StringData["password"]
	must(t, nautobot.Admin(), http.MethodPost, "users/", map[string]any{"username": username, "password": password, "is_staff": true, "is_superuser": true}, nil)
	must(t, servers.ByPassword(username, password), http.MethodPost, "tokens/", map[string]any{
		"key": secret.StringData["token"], "description": "ansible-created-token", "write_enabled": true,
	}, nil)
}

// playbookHasNothingToDo asks what the playbook asked: is the account there,
// does the password open it, and is the token among the first of its tokens?
func playbookHasNothingToDo(t *testing.T, secret corev1.Secret) {
	t.Helper()
	username := secret.StringData["username"]
	must(t, nautobot.Admin(), http.MethodGet, "users/"+username, nil, nil)
	var found struct{ Results []servers.NautobotToken }
	must(t, servers.ByPassword(username, secret.StringData["password"]), http.MethodGet, "tokens/", nil, &found)
	if !slices.ContainsFunc(found.Results, func(k servers.NautobotToken) bool { return k.Key == secret.StringData["token"] }) {
		t.Errorf("%s: the playbook would make the token again", username)
	}
}
