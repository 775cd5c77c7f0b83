//go:build e2e

package examples

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// A row is one Secret that a cluster has.
type row struct {
	namespace, name string
	labelled        bool
	username        string // of the account that its token belongs to
	superuser       bool
}

// The two clusters' Secrets, seven in all. Two are not labelled: the program
// works with their tokens. Five are provisioned from, and with admin, which
// Nautobot comes with, there are six accounts: the site's superuser token is
// that of the account which the global cluster makes for it.
var (
	globalTable = []row{
		{"nautobot", "nautobot-superuser", false, "admin", true},
		{"openstack", "nautobot-token", true, "staging-openstack", false},
		{"argo-events", "nautobot-token", true, "staging-workflow", false},
		{"nautobot", "rxdb-lab-token", true, "rxdb-lab-token", true},
	}
	siteTable = []row{
		{"nautobot", "nautobot-superuser", false, "rxdb-lab-token", true},
		{"openstack", "nautobot-token", true, "rxdb-lab-openstack", false},
		{"argo-events", "nautobot-token", true, "rxdb-lab-workflow", false},
	}
)

// All Secrets of both clusters, as they are in the examples, and the charts'
// rules for them.
func TestTables(t *testing.T) {
	g := install(t, global, "global")
	g.apply(t, read(t, "global/secrets.yaml"))
	s := install(t, site, "site")
	s.apply(t, read(t, "site/secrets.yaml"))
	removeAtEnd(t, append(slices.Clone(g.secrets), s.secrets...))
	wantRows(t, globalTable, g.secrets)
	wantRows(t, siteTable, s.secrets)

	// A Secret that no rule names is not read, and another try does not help.
	unnamed := s.secrets[1]
	unnamed.Name = "another"
	if got := s.provision(t, unnamed); got.code != 3 || !strings.Contains(got.stderr, "has no rule for Secret "+unnamed.Namespace+"/another") {
		t.Errorf("a Secret without a rule: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}

	// Before the operator has made the superuser's token, and before the global
	// cluster has made the site's, a Job has to try again.
	for _, r := range []*release{g, s} {
		if got := r.provision(t, r.secrets[1]); got.code != 1 {
			t.Errorf("without a superuser token: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
		}
	}
	makeToken(t, g.secrets[0].StringData["apitoken"])

	created := func(secret corev1.Secret) []string {
		return []string{"user/" + secret.StringData["username"] + " created", "token/" + secret.Namespace + "/" + secret.Name + " created"}
	}
	g.provision(t, g.secrets[1]).want(t, 0, created(g.secrets[1])...)
	g.provision(t, g.secrets[2]).want(t, 0, created(g.secrets[2])...)
	g.provision(t, g.secrets[3]).want(t, 0, created(g.secrets[3])...)
	s.provision(t, s.secrets[1]).want(t, 0, created(s.secrets[1])...)
	s.provision(t, s.secrets[2]).want(t, 0, created(s.secrets[2])...)

	check := func() {
		t.Helper()
		g.wantTable(t, "staging", globalTable)
		s.wantTable(t, "rxdb-lab", siteTable)
	}
	check()
	for _, r := range []*release{g, s} {
		for _, secret := range r.secrets[1:] {
			r.provision(t, secret).want(t, 0, "user/"+secret.StringData["username"]+" unchanged", "token/"+secret.Namespace+"/"+secret.Name+" unchanged")
			r.wantEvent(t, secret)
		}
	}
	check()

	// What is not labelled is never provisioned from.
	for _, r := range []*release{g, s} {
		if got := r.provision(t, r.secrets[0]); got.code != 3 {
			t.Errorf("a Secret without the label: exit code %d\n%s", got.code, got.stdout)
		}
	}
}

// wantRows checks that the Secrets of a file are those of the table.
func wantRows(t *testing.T, table []row, secrets []corev1.Secret) {
	t.Helper()
	if len(secrets) != len(table) {
		t.Fatalf("%d Secrets, want %d", len(secrets), len(table))
	}
	for i, row := range table {
		secret := secrets[i]
		_, labelled := secret.Labels["token/type"]
		if secret.Namespace != row.namespace || secret.Name != row.name || labelled != row.labelled {
			t.Fatalf("Secret %s/%s, labelled: %t; want %+v", secret.Namespace, secret.Name, labelled, row)
		}
		if username, ok := secret.StringData["username"]; ok && username != row.username {
			t.Fatalf("Secret %s/%s is for %s, want %s", secret.Namespace, secret.Name, username, row.username)
		}
	}
}

// makeToken gives the admin a token, as a person would, until the test ends.
func makeToken(t *testing.T, key string) {
	t.Helper()
	var made servers.NautobotToken
	must(t, nautobot.Admin(), http.MethodPost, "tokens/", map[string]any{"key": key, "description": "for nautobot-token"}, &made)
	t.Cleanup(func() {
		if err := nautobot.Do(context.WithoutCancel(t.Context()), nautobot.Admin(), http.MethodDelete, "tokens/"+made.ID+"/", nil, nil); err != nil {
			t.Error(err)
		}
	})
}

// wantTable checks in Nautobot what the table says.
func (r *release) wantTable(t *testing.T, cluster string, table []row) {
	t.Helper()
	for i, row := range table {
		secret := r.secrets[i]
		if row.labelled {
			wantAccount(t, cluster, secret, row.superuser)
			wantOwner(t, secret.StringData["token"], row.username)
			continue
		}
		wantOwner(t, secret.StringData["apitoken"]+secret.StringData["token"], row.username) // it has one of the two
		if !accountOf(t, row.username).Superuser {
			t.Errorf("%s is no superuser", row.username)
		}
	}
}

// wantEvent looks for the Event that tells the Secret's owner.
func (r *release) wantEvent(t *testing.T, secret corev1.Secret) {
	t.Helper()
	answer, err := r.cluster.Get(t.Context(), "/api/v1/namespaces/"+secret.Namespace+"/events")
	if err != nil {
		t.Fatal(err)
	}
	var events corev1.EventList
	if err := json.Unmarshal(answer, &events); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
		return e.InvolvedObject.Name == secret.Name && e.Reason == "Provisioned"
	}) {
		t.Errorf("there is no Event on %s/%s", secret.Namespace, secret.Name)
	}
}
