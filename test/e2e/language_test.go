//go:build e2e

package e2e

import (
	"net/http"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// A Nautobot that speaks another language refuses in other words, except for
// three of its own. The program must not need the words.
func TestGermanNautobot(t *testing.T) {
	german, err := startServer(t.Context(), servers.NautobotVersions[0], `LANGUAGE_CODE = "de"`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(german.Stop)
	f := newFixture(t, german.as(superuser))
	f.provisionNew(t)
	f.wantAccount(t)
	f.wantUnchanged(t)

	// As the fake says it, too.
	for _, c := range []struct {
		who  servers.Login
		path string
		want string
	}{
		{"", "tokens/", "Anmeldedaten fehlen."},
		{servers.ByPassword(f.username, "wrong"), "tokens/", "Ungültiger Benutzername/Passwort."},
		{servers.ByToken(f.token), "users/", "Sie sind nicht berechtigt, diese Aktion durchzuführen."},
		{servers.ByToken("unknown"), "config/", "Invalid token"},
	} {
		if status, body := f.ask(t, c.who, http.MethodGet, c.path, nil); status != http.StatusForbidden || detail(body) != c.want {
			t.Errorf("GET %s: Nautobot answers %d %q, want 403 %q", c.path, status, detail(body), c.want)
		}
	}

	f.password = f.newPassword("second password")
	f.saveSecret(t)
	f.provision(t).want(t, 0).wantStdout(t, f.userLine("updated password"), f.tokenLine("unchanged"))
	f.wantAccount(t)

	taken := f.another()
	taken.token = f.token
	taken.saveSecret(t)
	taken.provision(t).want(t, 3)
}
