package nautobot

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// later is a time at which a token can expire; Nautobot keeps microseconds.
var later = time.Date(2099, 2, 3, 4, 5, 6, 789000, time.UTC)

func TestTokensAreReadByPasswordAndByToken(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		first := f.AddToken(account, nautobottest.Token{Key: key, Description: "nautobot-token: ns/name"})
		second := f.AddToken(account, nautobottest.Token{Key: otherKey, ReadOnly: true, Expires: later})
		want := []provision.Token{
			{ID: first.ID, Key: provision.Hide(key), Username: account, Description: "nautobot-token: ns/name", Created: first.Created.Truncate(time.Microsecond), Writable: true},
			{ID: second.ID, Key: provision.Hide(otherKey), Username: account, Created: second.Created.Truncate(time.Microsecond), Expires: later},
		}
		for scheme, login := range map[string]provision.Login{"Basic": byPassword, "Token": byToken} {
			f.ResetRequests()
			got, err := f.Client.Tokens(t.Context(), login)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: Tokens (-want +got):\n%s", scheme, diff)
			}
			requests := f.Requests()
			if len(requests) != 1 || requests[0].Scheme != scheme {
				t.Errorf("requests are %v, want one with %s", requests, scheme)
			}
		}
	})
}

func TestTokensOfAllPagesAreRead(t *testing.T) {
	tests := map[string]struct {
		tokens, maxPage int
		requests        int
	}{
		"none":                                   {0, 1000, 1},
		"one page exactly":                       {1000, 1000, 1},
		"one more than a page":                   {1001, 1000, 2},
		"a server that allows smaller pages":     {61, 20, 4},
		"the last page is full on such a server": {60, 20, 3},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nautobottest.Options{MaxPageSize: tc.maxPage})
			var want []string
			for i := range tc.tokens {
				want = append(want, f.AddToken(account, nautobottest.Token{Key: fmt.Sprintf("canary%034d", i)}).ID)
			}
			tokens, err := f.Client.Tokens(t.Context(), byPassword)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, token := range tokens {
				got = append(got, token.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d tokens, want the %d that were made, in their order", len(got), len(want))
			}
			if n := len(f.Requests()); n != tc.requests {
				t.Errorf("%d requests, want %d", n, tc.requests)
			}
		})
	}
}

// The links to more pages follow whatever host a request claims to be for.
func TestPagesAreNeverFollowedByLink(t *testing.T) {
	f := newFixture(t, nautobottest.Options{MaxPageSize: 1})
	f.AddToken(account, nautobottest.Token{Key: key})
	f.AddToken(account, nautobottest.Token{Key: otherKey})
	trap := stubServer(t, func(http.ResponseWriter, *http.Request) { t.Error("a link was followed to another host") })
	f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		return nautobottest.Substitute(func(body string) string { return strings.ReplaceAll(body, f.URL, trap) })
	})
	if tokens, err := f.Client.Tokens(t.Context(), byPassword); err != nil || len(tokens) != 2 {
		t.Errorf("%d tokens, error %v, want 2", len(tokens), err)
	}
}

// A part of a list must not be taken for all of it.
func TestListsThatDoNotEndAreErrors(t *testing.T) {
	one := `{"id":"` + someID + `","key":"` + key + `","write_enabled":true}`
	tests := map[string]struct {
		body     string
		requests int
		text     string
	}{
		"more objects than any account has": {
			`{"count":2000000000,"results":[` + one + strings.Repeat(","+one, largestPage-1) + `]}`, maxObjects / largestPage,
			"list tokens: Nautobot lists 100000 of 2000000000 objects",
		},
		"fewer objects than the count says": {`{"count":3,"results":[]}`, 1, "list tokens: Nautobot lists 0 of 3 objects"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			client := stub(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				say("application/json", tc.body)(w, r)
			})
			tokens, err := client.Tokens(t.Context(), byPassword)
			if n := int(requests.Load()); len(tokens) != 0 || n != tc.requests {
				t.Errorf("%d tokens in %d requests, want none in %d", len(tokens), n, tc.requests)
			}
			checkError(t, err, tc.text)
		})
	}
}

// A Nautobot that does not show keys is one that we cannot work with, and
// nothing else.
func TestHiddenKeys(t *testing.T) {
	const hint = " (nautobot-token has to see the keys of an account's own tokens, as Nautobot 2.4 to 3.2 show them: " +
		"is there a setting, a plug-in or a gateway that hides them?)"
	for name, field := range map[string]string{
		"not there":           ``,
		"null":                `"key":null,`,
		"empty":               `"key":"",`,
		"shortened":           `"key":"` + key[34:] + `",`,
		"shortened, with ...": `"key":"...` + key[34:] + `",`,
		"put out of sight":    `"key":"` + strings.Repeat("*", 34) + key[34:] + `",`,
		"all out of sight":    `"key":"` + strings.Repeat("•", 40) + `",`,
	} {
		one := `{"id":"` + someID + `",` + field + `"write_enabled":true}`
		_, err := stub(t, say("application/json", `{"count":1,"results":[`+one+`]}`)).Tokens(t.Context(), byPassword)
		if err == nil || err.Error() != "list tokens: Nautobot answered 200: tokens are listed without their keys"+hint {
			t.Errorf("%s: error is %v", name, err)
		}
		_, err = stub(t, say("application/json", one)).CreateToken(t.Context(), byPassword, provision.TokenFields{Key: provision.Hide(key)})
		if !errors.Is(err, provision.ErrUncertain) {
			t.Errorf("%s, of a token that was made: error is %v, want an uncertain one", name, err)
		}
	}
	for _, shown := range []string{"!\"#$%&'()*+,-./:;<=>?@[]^_{|}~", "short-token", strings.Repeat("0", 40)} {
		if hidden(shown) {
			t.Errorf("%q is taken for a hidden key", shown)
		}
	}
}

func TestOwnerIsReadOffTheDisplay(t *testing.T) {
	for display, want := range map[string]string{
		"3c9cb9 (svc)":          "svc",
		"3c9cb9 (a.b+c@d_e-f)":  "a.b+c@d_e-f",
		"3c9cb9 (svc":           "",
		"3c9cb9":                "",
		"":                      "",
		"(((((( (svc)":          "svc",
		"3c9cb9 ()":             "",
		"3c9cb9 (svc) (other))": "svc) (other)",
	} {
		if got := owner(display); got != want {
			t.Errorf("owner(%q) = %q, want %q", display, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	const denied = "Nautobot answered 403: "
	tests := map[string]struct {
		prepare func(*fixture)
		login   provision.Login
		want    []error
		text    string // empty: no error
		// A refusal of a password is compared with those of a wrong login and of none.
		requests int // 0: 1
	}{
		"the password is right": {login: byPassword},
		"the password is right, without any right in Nautobot": {
			prepare: func(f *fixture) { f.DeletePermission(managed) },
			login:   byPassword, requests: 3,
		},
		"the password is wrong": {
			requests: 3,
			login:    provision.Login{Username: account, Password: provision.Hide(otherKey)},
			want:     []error{provision.ErrDenied},
			text:     "check password: " + denied + "Invalid username/password.",
		},
		"the password is right, the account inactive": {
			prepare:  func(f *fixture) { f.Server.UpdateUser(account, func(u *nautobottest.User) { u.Inactive = true }) },
			requests: 3,
			login:    byPassword,
			want:     []error{provision.ErrDenied},
			text:     "check password: " + denied + "Invalid username/password.",
		},
		"the token is right": {
			prepare: func(f *fixture) { f.AddToken(account, nautobottest.Token{Key: key}) },
			login:   byToken,
		},
		"the token is right and read-only, without any right in Nautobot": {
			prepare: func(f *fixture) {
				f.AddToken(account, nautobottest.Token{Key: key, ReadOnly: true})
				f.DeletePermission(managed)
			},
			login: byToken,
		},
		"nobody has the token": {
			login: byToken,
			want:  []error{provision.ErrInvalidToken},
			text:  "check token: " + denied + "Invalid token",
		},
		"the token is expired": {
			prepare: func(f *fixture) { f.AddToken(account, nautobottest.Token{Key: key, Expires: time.Unix(1, 0)}) },
			login:   byToken,
			want:    []error{provision.ErrTokenExpired},
			text:    "check token: " + denied + "Token expired",
		},
		"the token's user is inactive": {
			prepare: func(f *fixture) {
				f.AddToken(account, nautobottest.Token{Key: key})
				f.Server.UpdateUser(account, func(u *nautobottest.User) { u.Inactive = true })
			},
			login: byToken,
			want:  []error{provision.ErrUserInactive},
			text:  "check token: " + denied + "User inactive",
		},
		"the password counts where a token is given too": {
			prepare:  func(f *fixture) { f.AddToken(account, nautobottest.Token{Key: key}) },
			requests: 3,
			login:    provision.Login{Username: account, Password: provision.Hide(otherKey), Token: provision.Hide(key)},
			want:     []error{provision.ErrDenied},
			text:     "check password: " + denied + "Invalid username/password.",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture) {
				if tc.prepare != nil {
					tc.prepare(f)
				}
				checkError(t, f.Authenticate(t.Context(), tc.login), tc.text, tc.want...)
				if len(f.Writes()) > 0 {
					t.Errorf("%d of the requests are writes, want none", len(f.Writes()))
				}
				if n := len(f.Requests()); n != max(tc.requests, 1) {
					t.Errorf("%d requests, want %d", n, max(tc.requests, 1))
				}
			})
		})
	}
}

func TestCreateToken(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		made, err := f.CreateToken(t.Context(), byPassword, provision.TokenFields{
			Key: provision.Hide(key), Description: new("nautobot-token: ns/name"), Writable: new(true),
		})
		if err != nil {
			t.Fatal(err)
		}
		stored := f.Server.Tokens(account)
		want := []nautobottest.Token{{Username: account, Key: key, Description: "nautobot-token: ns/name"}}
		if diff := cmp.Diff(want, stored, cmpopts.IgnoreFields(nautobottest.Token{}, "ID", "Created")); diff != "" {
			t.Fatalf("stored (-want +got):\n%s", diff)
		}
		returned := provision.Token{
			ID: stored[0].ID, Key: provision.Hide(key), Username: account, Description: "nautobot-token: ns/name",
			Created: stored[0].Created.Truncate(time.Microsecond), Writable: true,
		}
		if diff := cmp.Diff(returned, made); diff != "" {
			t.Errorf("CreateToken (-want +got):\n%s", diff)
		}
	})
}

func TestCreateTokenFails(t *testing.T) {
	tests := map[string]struct {
		prepare func(*fixture)
		fault   nautobottest.Fault
		want    []error
		text    string
	}{
		"another account has the key": {
			prepare: func(f *fixture) { f.AddToken(nautobottest.Admin, nautobottest.Token{Key: key}) },
			want:    []error{provision.ErrRejected, provision.RejectedField("key")},
			text:    "create token: Nautobot answered 400: key: Token with this Key already exists.",
		},
		"a race for the key is lost, and the answer contains the key": {
			prepare: func(f *fixture) { f.AddToken(account, nautobottest.Token{Key: key}) },
			fault:   nautobottest.LoseRace(),
			want:    []error{provision.ErrUncertain},
			text:    "create token: Nautobot answered 500",
		},
		"the account lacks the right": {
			prepare: func(f *fixture) { f.DeletePermission(managed) },
			want:    []error{provision.ErrDenied},
			text:    "create token: Nautobot answered 403: You do not have permission to perform this action.",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture) {
				tc.prepare(f)
				f.Intercept(func(nautobottest.Request, int) nautobottest.Fault { return tc.fault })
				_, err := f.CreateToken(t.Context(), byPassword, provision.TokenFields{Key: provision.Hide(key)})
				checkError(t, err, tc.text, tc.want...)
				if n := len(f.Requests()); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
			})
		})
	}
}

func TestUpdateTokenWritesOnlyWhatIsSet(t *testing.T) {
	before := nautobottest.Token{Username: account, Key: key, Description: "old", ReadOnly: true, Expires: later}
	tests := map[string]struct {
		fields provision.TokenFields
		change func(*nautobottest.Token)
	}{
		"nothing":         {provision.TokenFields{}, func(*nautobottest.Token) {}},
		"never the key":   {provision.TokenFields{Key: provision.Hide(otherKey)}, func(*nautobottest.Token) {}},
		"the description": {provision.TokenFields{Description: new("new")}, func(t *nautobottest.Token) { t.Description = "new" }},
		"write access":    {provision.TokenFields{Writable: new(true)}, func(t *nautobottest.Token) { t.ReadOnly = false }},
		"the expiry":      {provision.TokenFields{NeverExpire: true}, func(t *nautobottest.Token) { t.Expires = time.Time{} }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture) {
				id := f.AddToken(account, before).ID
				if err := f.Client.UpdateToken(t.Context(), byPassword, id, tc.fields); err != nil {
					t.Fatal(err)
				}
				want := before
				tc.change(&want)
				got := f.Server.Tokens(account)
				if diff := cmp.Diff([]nautobottest.Token{want}, got, cmpopts.IgnoreFields(nautobottest.Token{}, "ID", "Created")); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestSupersedingTakesOnlyTheNamedTokens(t *testing.T) {
	tests := map[string]struct {
		supersede func(*testing.T, *fixture, []string) error
		want      []nautobottest.Token
	}{
		"they expire": {
			func(t *testing.T, f *fixture, ids []string) error {
				return f.ExpireTokens(t.Context(), byToken, ids, later.Local())
			},
			[]nautobottest.Token{{Description: "new"}, {Description: "old", Expires: later}, {Description: "older", Expires: later}, {Description: "by hand"}},
		},
		"they are deleted": {
			func(t *testing.T, f *fixture, ids []string) error { return f.DeleteTokens(t.Context(), byToken, ids) },
			[]nautobottest.Token{{Description: "new"}, {Description: "by hand"}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture) {
				f.AddToken(account, nautobottest.Token{Key: key, Description: "new"})
				old := f.AddToken(account, nautobottest.Token{Description: "old"})
				older := f.AddToken(account, nautobottest.Token{Description: "older"})
				f.AddToken(account, nautobottest.Token{Description: "by hand"})
				foreign := f.AddToken(nautobottest.Admin, nautobottest.Token{Description: "foreign"})

				// One that is gone and one of another account are skipped.
				if err := tc.supersede(t, f, []string{old.ID, older.ID, someID, foreign.ID}); err != nil {
					t.Fatal(err)
				}
				ignore := cmpopts.IgnoreFields(nautobottest.Token{}, "ID", "Username", "Key", "Created")
				if diff := cmp.Diff(tc.want, f.Server.Tokens(account), ignore); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
				if got := f.Server.Tokens(nautobottest.Admin); len(got) != 2 || !got[1].Expires.IsZero() {
					t.Error("the token of another account was touched")
				}
			})
		})
	}
}

func TestTokenWritesWithAReadOnlyTokenAreDenied(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		id := f.AddToken(account, nautobottest.Token{Key: key, ReadOnly: true}).ID
		const text = ": Nautobot answered 403: You do not have permission to perform this action."
		err := f.Client.UpdateToken(t.Context(), byToken, id, provision.TokenFields{Writable: new(true)})
		checkError(t, err, "update token"+text, provision.ErrDenied)
		err = f.ExpireTokens(t.Context(), byToken, []string{id}, later)
		checkError(t, err, "expire superseded tokens"+text, provision.ErrDenied)
		err = f.DeleteTokens(t.Context(), byToken, []string{id})
		checkError(t, err, "delete superseded tokens"+text, provision.ErrDenied)
	})
}
