package nautobot

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// kinds are all errors that package provision asks for.
var kinds = []error{
	provision.ErrInvalidToken, provision.ErrTokenExpired, provision.ErrUserInactive, provision.ErrDenied,
	provision.ErrRejected, provision.RejectedField("username"), provision.RejectedField("groups"),
	provision.RejectedField("key"), provision.RejectedField("name"), provision.RejectedField("non_field_errors"),
	provision.ErrUncertain,
}

// checkError compares an error's whole text and all its kinds. An empty text
// wants no error.
func checkError(t *testing.T, err error, text string, want ...error) {
	t.Helper()
	if err == nil || text == "" {
		if err != nil || text != "" {
			t.Errorf("error is %v, want %q", err, text)
		}
		return
	}
	noSecret(t, "the error", err.Error())
	if diff := cmp.Diff(text, err.Error()); diff != "" {
		t.Errorf("text of the error (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(texts(want), texts(kindsOf(err))); diff != "" {
		t.Errorf("kinds of the error (-want +got):\n%s", diff)
	}
}

func kindsOf(err error) []error {
	return slices.DeleteFunc(slices.Clone(kinds), func(kind error) bool { return !errors.Is(err, kind) })
}

func texts(errs []error) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}

func TestAnswersByKind(t *testing.T) {
	const json, html = "application/json", "text/html; charset=utf-8"
	const wrongURL = " (is --nautobot-url right?)"
	const noNautobot = " (not Nautobot's kind of answer: is --nautobot-url right?)"
	tests := map[string]struct {
		status          int
		contentType     string
		body            string
		text            string // after "find user: " and "create token: "
		ofRead, ofWrite string // added for one of them
		read, write     []error
	}{
		"nobody has the token": {
			403, json, `{"detail":"Invalid token"}`, "Nautobot answered 403: Invalid token", " (the superuser token is not accepted)", "",
			[]error{provision.ErrInvalidToken},
			[]error{provision.ErrInvalidToken},
		},
		"the token is expired": {
			403, json, `{"detail":"Token expired"}`, "Nautobot answered 403: Token expired", " (the superuser token is not accepted)", "",
			[]error{provision.ErrTokenExpired},
			[]error{provision.ErrTokenExpired},
		},
		"the user is inactive": {
			403, json, `{"detail":"User inactive"}`, "Nautobot answered 403: User inactive", " (the superuser token is not accepted)", "",
			[]error{provision.ErrUserInactive},
			[]error{provision.ErrUserInactive},
		},
		"a right is missing, said in another language": {
			403, json, `{"detail":"Sie sind nicht berechtigt diese Aktion durchzuführen."}`,
			"Nautobot answered 403: Sie sind nicht berechtigt diese Aktion durchzuführen.",
			" (the superuser token's account needs users.view_user for this)", "",
			[]error{provision.ErrDenied},
			[]error{provision.ErrDenied},
		},
		"a text that only resembles Nautobot's": {
			403, json, `{"detail":"Invalid token header. No credentials provided."}`,
			"Nautobot answered 403: Invalid token header. No credentials provided.",
			" (the superuser token's account needs users.view_user for this)", "",
			[]error{provision.ErrDenied},
			[]error{provision.ErrDenied},
		},
		"one field is at fault": {
			400, json, `{"key":["Token with this Key already exists."]}`,
			"Nautobot answered 400: key: Token with this Key already exists.", "", "",
			[]error{provision.ErrRejected, provision.RejectedField("key")},
			[]error{provision.ErrRejected, provision.RejectedField("key")},
		},
		"several fields are at fault, one twice": {
			400, json, `{"username":["Dieser Benutzername ist bereits vergeben.","Zu lang."],"groups":["Related object not found"]}`,
			"Nautobot answered 400: groups: Related object not found; username: Dieser Benutzername ist bereits vergeben.; username: Zu lang.", "", "",
			[]error{provision.ErrRejected, provision.RejectedField("username"), provision.RejectedField("groups")},
			[]error{provision.ErrRejected, provision.RejectedField("username"), provision.RejectedField("groups")},
		},
		"the request could not be read": {
			400, json, `{"detail":"JSON parse error - Extra data"}`, "Nautobot answered 400: JSON parse error - Extra data", "", "", nil, nil,
		},
		"the host is not allowed": {
			400, html, "<h1>Bad Request (400)</h1>", "Nautobot answered 400" + noNautobot, "", "", nil, nil,
		},
		"there is no such object": {
			404, json, `{"detail":"No Token matches the given query."}`, "Nautobot answered 404: No Token matches the given query.", "", "",
			nil,
			[]error{provision.ErrUncertain},
		},
		"there is no such page": {
			404, html, "<html>", "Nautobot answered 404" + noNautobot, "", "", nil, []error{provision.ErrUncertain},
		},
		"some proxy wants a password": {
			401, html, "<html>", "Nautobot answered 401" + noNautobot, "", "", nil, nil,
		},
		"too many requests": {
			429, json, `{"detail":"Request was throttled."}`, "Nautobot answered 429: Request was throttled.", "", "", nil, nil,
		},
		"the database is gone, and the body quotes the key": {
			500, json, `{"error":"DETAIL:  Key (key)=(` + key + `) already exists.","exception":"IntegrityError"}`,
			"Nautobot answered 500", "", "", nil,
			[]error{provision.ErrUncertain},
		},
		"a 500 in the shape of a 403": {
			500, json, `{"detail":"Invalid token"}`, "Nautobot answered 500", "", "", nil, []error{provision.ErrUncertain},
		},
		"a 500 in the shape of a 400": {
			500, json, `{"key":["` + key + `"]}`, "Nautobot answered 500", "", "", nil, []error{provision.ErrUncertain},
		},
		"a proxy finds nobody behind it": {
			503, html, "<html>" + password + "</html>", "Nautobot answered 503", "", "", nil, []error{provision.ErrUncertain},
		},
		"a login page": {
			200, html, "<html>" + password + "</html>", "Nautobot answered 200: the answer cannot be read (text/html)" + wrongURL, "", "",
			nil,
			[]error{provision.ErrUncertain},
		},
		"JSON that ends too early": {
			200, json, `{"count": 1, "results": [{"id": "` + key, "Nautobot answered 200: the answer cannot be read (application/json)" + wrongURL, "", "",
			nil,
			[]error{provision.ErrUncertain},
		},
		"JSON with a secret where a number should be": {
			200, json, `{"count": "` + key + `", "results": [], "id": 1, "key": {"` + key + `": 1}}`,
			"Nautobot answered 200: the answer cannot be read (application/json)" + wrongURL, "", "",
			nil,
			[]error{provision.ErrUncertain},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nautobottest.Options{})
			f.pause = forever
			f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
				return nautobottest.Answer(tc.status, tc.contentType, tc.body)
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := f.CreateToken(ctx, byPassword, provision.TokenFields{Key: provision.Hide(key)})
			checkError(t, err, "create token: "+tc.text+tc.ofWrite, tc.write...)

			f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
				cancel() // ends the waiting, not the request
				return nautobottest.Answer(tc.status, tc.contentType, tc.body)
			})
			_, _, err = f.FindUser(ctx, account)
			waited := ""
			if tc.status >= 500 || tc.status == 429 {
				waited = "gave up waiting: "
			}
			checkError(t, err, waited+"find user: "+tc.text+tc.ofRead, tc.read...)
		})
	}
}

func TestTextsThatQuoteASecretAreRedacted(t *testing.T) {
	tests := map[string]struct {
		status     int
		body, want string
	}{
		"the key in the text of a field": {
			400, `{"key":["` + key + ` is not good, nor is ` + key + `."]}`,
			"create token: Nautobot answered 400: key: [redacted] is not good, nor is [redacted].",
		},
		"the password in a detail": {
			403, `{"detail":"` + password + `"}`, "create token: Nautobot answered 403: [redacted]",
		},
		"the key as the name of a field": {
			400, `{"` + key + `":["bad"]}`, "create token: Nautobot answered 400: [redacted]: bad",
		},
		"the key written with escapes": {
			400, `{"key":["\u0063anary0key0canary0key0canary0key0canary0"]}`, "create token: Nautobot answered 400: key: [redacted]",
		},
		"the key deep in something that is no text": {
			400, `{"key":[{"value":["` + key + `"]}]}`, "create token: Nautobot answered 400: key: map[value:[[redacted]]]",
		},
		"line breaks and escape sequences": {
			400, `{"key":["one\ntwo\r\n\u001b[31mred\u0000\u0085\u009b31m"]}`,
			"create token: Nautobot answered 400: key: one two   [31mred   31m",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nautobottest.Options{})
			f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
				return nautobottest.Answer(tc.status, "application/json", tc.body)
			})
			_, err := f.CreateToken(t.Context(), byPassword, provision.TokenFields{Key: provision.Hide(key)})
			if err == nil || err.Error() != tc.want {
				t.Errorf("error is %q, want %q", err, tc.want)
			}
			noSecret(t, "the error", err.Error())
		})
	}
}

func TestSuperuserTokenIsRedacted(t *testing.T) {
	f := newFixture(t, nautobottest.Options{})
	f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		return nautobottest.Answer(403, "application/json", `{"detail":"who is `+f.Server.Token+`?"}`)
	})
	err := f.Client.UpdateUser(t.Context(), someID, provision.UserFields{Password: provision.Hide(password)})
	checkError(t, err, "update user: Nautobot answered 403: who is [redacted]? "+
		"(the superuser token's account needs users.change_user for this)", provision.ErrDenied)
}

// A secret that is part of another one must not save the rest of it.
func TestSecretInsideASecretIsRedacted(t *testing.T) {
	login := provision.Login{Username: account, Password: provision.Hide("canary0key0"), Token: provision.Hide(key)}
	got := clean("it was "+key+".", []provision.Sensitive{login.Password, login.Token})
	if want := "it was [redacted]."; got != want {
		t.Errorf("clean = %q, want %q", got, want)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	f := newFixture(t, nautobottest.Options{})
	f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		return nautobottest.Answer(400, "application/json", `{"key":["`+strings.Repeat("ü", 1<<20)+`"]}`)
	})
	_, err := f.CreateToken(t.Context(), byPassword, provision.TokenFields{Key: provision.Hide(key)})
	if err == nil || len(err.Error()) > maxReason+100 || !strings.HasSuffix(err.Error(), "ü...") {
		t.Errorf("error is %.600q, want one of about %d bytes that ends in whole characters", err, maxReason)
	}
}
