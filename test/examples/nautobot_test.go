//go:build e2e

package examples

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What follows asks Nautobot itself, past the program.

type account struct {
	ID        string
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Superuser bool   `json:"is_superuser"`
	Staff     bool   `json:"is_staff"`
	Active    bool   `json:"is_active"`
	Groups    []struct{ Name string }
}

func (a account) groups() []string {
	var names []string
	for _, group := range a.Groups {
		names = append(names, group.Name)
	}
	return slices.Sorted(slices.Values(names))
}

type token struct {
	ID          string
	Key         string
	Display     string
	Description string
	Expires     *time.Time
	Writable    bool `json:"write_enabled"`
}

// login is the value of an Authorization header.
type login string

func byToken(token string) login { return login("Token " + token) }

func byPassword(username, password string) login {
	return login("Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
}

func admin() login { return byToken(nautobot.Token) }

// ask sends a request and returns an error if the answer is not a success.
func ask(ctx context.Context, who login, method, path string, body, into any) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, nautobot.URL+"/api/users/"+path, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", string(who))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	resp, err := direct.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// must is ask for what has to succeed; into may be nil.
func must(t *testing.T, who login, method, path string, body, into any) {
	t.Helper()
	if err := ask(t.Context(), who, method, path, body, into); err != nil {
		t.Fatal(err)
	}
}

// find returns the account of that name; nil if there is none.
func find(ctx context.Context, username string) (*account, error) {
	var found struct{ Results []account }
	err := ask(ctx, admin(), http.MethodGet, "users/?depth=1&exclude_m2m=false&username="+url.QueryEscape(username), nil, &found)
	if err != nil || len(found.Results) == 0 {
		return nil, err
	}
	return &found.Results[0], nil
}

func accountOf(t *testing.T, username string) account {
	t.Helper()
	found, err := find(t.Context(), username)
	if err != nil {
		t.Fatal(err)
	}
	if found == nil {
		t.Fatalf("there is no account %s", username)
	}
	return *found
}

// tokensOf are the tokens of whoever asks. It proves that the login works.
func tokensOf(t *testing.T, who login) []token {
	t.Helper()
	var found struct{ Results []token }
	must(t, who, http.MethodGet, "tokens/?limit=1000", nil, &found)
	return found.Results
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
	if got := is.groups(); !slices.Equal(got, []string{"nautobot-token-managed"}) {
		t.Errorf("%s: groups %v", username, got)
	}
	if is.FirstName != "Service account" || is.LastName != mark {
		t.Errorf("%s bears the mark %q %q, want %q", username, is.FirstName, is.LastName, mark)
	}
	for _, who := range []login{byToken(secret.StringData["token"]), byPassword(username, secret.StringData["password"])} {
		i := slices.IndexFunc(tokensOf(t, who), func(k token) bool {
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
	for _, k := range tokensOf(t, byToken(key)) {
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
			found, err := find(ctx, username)
			if err == nil && found != nil {
				err = ask(ctx, admin(), http.MethodDelete, "users/"+found.ID+"/", nil, nil)
			}
			if err != nil {
				t.Errorf("remove %s: %v", username, err)
			}
		}
	})
}
