//go:build e2e

package examples

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// What follows asks Nautobot itself, past the program.

// must is ask for what has to succeed; into may be nil.
func must(t *testing.T, who servers.Login, method, path string, body, into any) {
	t.Helper()
	if err := nautobot.Do(t.Context(), who, method, path, body, into); err != nil {
		t.Fatal(err)
	}
}

func accountOf(t *testing.T, username string) servers.NautobotUser {
	t.Helper()
	found, err := nautobot.User(t.Context(), username)
	if err != nil {
		t.Fatal(err)
	}
	if found == nil {
		t.Fatalf("there is no account %s", username)
	}
	return *found
}

// tokensOf are the tokens of whoever asks. It proves that the login works.
func tokensOf(t *testing.T, who servers.Login) []servers.NautobotToken {
	t.Helper()
	tokens, err := nautobot.Tokens(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// wantAccount checks that password and token of a labelled Secret work, and
// that its account bears the mark, and has the managed group and no power but
// what is expected.
func wantAccount(t *testing.T, cluster string, secret corev1.Secret, superuser bool) {
	t.Helper()
	username := secret.StringData["username"]
	mark := cluster + "/" + secret.Namespace + "/" + secret.Name
	is := accountOf(t, username)
	if is.Superuser != superuser || is.Staff || !is.Active {
		t.Errorf("%s: superuser %t, staff %t, active %t; want superuser %t", username, is.Superuser, is.Staff, is.Active, superuser)
	}
	if got := is.GroupNames(); !slices.Equal(got, []string{"nautobot-token-managed"}) {
		t.Errorf("%s: groups %v", username, got)
	}
	if is.FirstName != "Service account" || is.LastName != mark {
		t.Errorf("%s bears the mark %q %q, want %q", username, is.FirstName, is.LastName, mark)
	}
	for _, who := range []servers.Login{servers.ByToken(secret.StringData["token"]), servers.ByPassword(username, secret.StringData["password"])} {
		i := slices.IndexFunc(tokensOf(t, who), func(k servers.NautobotToken) bool {
			return k.Key == secret.StringData["token"] && k.Description == "nautobot-token: "+mark && k.Expires == nil && k.Writable
		})
		if i < 0 {
			t.Errorf("%s: the Secret's token is not there as it should be", username)
		}
	}
}

// wantOwner checks whose token that is.
func wantOwner(t *testing.T, key, username string) {
	t.Helper()
	for _, k := range tokensOf(t, servers.ByToken(key)) {
		if k.Key == key && strings.HasSuffix(k.Display, " ("+username+")") {
			return
		}
	}
	t.Errorf("the token is not one of %s", username)
}

// removeAtEnd takes the Secrets' accounts out of Nautobot when the test ends:
// others have some of the same names.
func removeAtEnd(t *testing.T, secrets []corev1.Secret) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, secret := range secrets {
			username := secret.StringData["username"]
			if username == "" {
				continue
			}
			found, err := nautobot.User(ctx, username)
			if err == nil && found != nil {
				err = nautobot.Do(ctx, nautobot.Admin(), http.MethodDelete, "users/"+found.ID+"/", nil, nil)
			}
			if err != nil {
				t.Errorf("remove %s: %v", username, err)
			}
		}
	})
}
