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

// kinds are all errors that package provision looks for.
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

const foreignHint = " (not Nautobot's kind of answer: is a firewall, a gateway or a proxy in between, or is --nautobot-url wrong?)"

func TestAnswersByKind(t *testing.T) {
	const json, html = "application/json", "text/html; charset=utf-8"
	const wrongURL = " (is --nautobot-url right?)"
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
		"nobody has the token, and a gateway makes it a 401": {
			401, json, `{"detail":"Invalid token"}`, "Nautobot answered 401: Invalid token", " (the superuser token is not accepted)", "",
			[]error{provision.ErrInvalidToken},
			[]error{provision.ErrInvalidToken},
		},
		"Nautobot's words in an answer about another thing": {
			404, json, `{"detail":"Invalid token"}`, "Nautobot answered 404: Invalid token", "", "", nil, []error{provision.ErrUncertain},
		},
		"an API gateway's words": {
			403, json, `{"message":"` + key + `"}`, "the answer was 403: JSON of a shape other than Nautobot's" + foreignHint, "", "",
			nil,
			[]error{provision.ErrUncertain},
		},
		"an API gateway's words, one of them detail": {
			403, "application/problem+json", `{"detail":"Invalid token","status":403}`,
			"the answer was 403: JSON of a shape other than Nautobot's" + foreignHint, "", "", nil,
			[]error{provision.ErrUncertain},
		},
		"a list of errors that is not a list of texts": {
			400, json, `{"errors":[{"code":1020}]}`, "the answer was 400: JSON of a shape other than Nautobot's" + foreignHint, "", "",
			nil,
			[]error{provision.ErrUncertain},
		},
		"a field beside what is not a field": {
			400, json, `{"key":["taken"],"success":false}`, "the answer was 400: JSON of a shape other than Nautobot's" + foreignHint, "", "",
			nil,
			[]error{provision.ErrUncertain},
		},
		"fields with a status for something else": {
			403, json, `{"key":["taken"]}`, "the answer was 403: JSON of a shape other than Nautobot's" + foreignHint, "", "",
			nil,
			[]error{provision.ErrUncertain},
		},
		"a place in a list is at fault": {
			400, json, `{"actions":{"0":["not a word"],"2":["nor this"]}}`, "Nautobot answered 400: actions: not a word; actions: nor this", "", "",
			[]error{provision.ErrRejected},
			[]error{provision.ErrRejected},
		},
		"nothing but a status": {
			403, "", "", "the answer was 403: an empty body" + foreignHint, "", "", nil, []error{provision.ErrUncertain},
		},
		"the text of a firewall that says no type": {
			403, "", "x", "the answer was 403: a body of unknown type" + foreignHint, "", "", nil, []error{provision.ErrUncertain},
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
			400, html, "<h1>Bad Request (400)</h1>", "the answer was 400: text/html" + foreignHint, "", "", nil, []error{provision.ErrUncertain},
		},
		"there is no such object": {
			404, json, `{"detail":"No Token matches the given query."}`, "Nautobot answered 404: No Token matches the given query.", "", "",
			nil,
			[]error{provision.ErrUncertain},
		},
		"there is no such page": {
			404, html, "<html>", "the answer was 404: text/html" + foreignHint, "", "", nil, []error{provision.ErrUncertain},
		},
		"some proxy wants a password": {
			401, html, "<html>", "the answer was 401: text/html" + foreignHint, "", "", nil, []error{provision.ErrUncertain},
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
			once := func() context.Context {
				ctx, cancel := context.WithCancel(t.Context())
				f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
					cancel() // ends the waiting, not the request
					return nautobottest.Answer(tc.status, tc.contentType, tc.body)
				})
				return ctx
			}
			waited := map[bool]string{true: "gave up waiting: "}
			throttled := tc.status == 429
			repeated := throttled || tc.status >= 500 || strings.HasPrefix(tc.text, "the answer was")

			_, err := f.CreateToken(once(), byToken, provision.TokenFields{Key: provision.Hide(key)})
			checkError(t, err, waited[throttled]+"create token: "+tc.text+tc.ofWrite, tc.write...)

			_, _, err = f.FindUser(once(), account)
			checkError(t, err, waited[repeated]+"find user: "+tc.text+tc.ofRead, tc.read...)
		})
	}
}

// Not only the secret: the whole text. The field's name stays.
func TestTextsThatQuoteASecretAreRedacted(t *testing.T) {
	const refused = "create token: Nautobot answered 400: "
	tests := map[string]struct {
		status     int
		body, want string
	}{
		"the key in the text of a field": {
			400, `{"key":["` + key + ` is not good.","It is taken."]}`, refused + "key: [redacted]; key: It is taken.",
		},
		"the password in a detail": {
			403, `{"detail":"we do not know ` + password + `"}`, "create token: Nautobot answered 403: [redacted]",
		},
		"the key as the name of a field":     {400, `{"` + key + `":["bad"]}`, refused + "[redacted]: bad"},
		"the key written with escapes":       {400, `{"key":["\u0063anary0key0canary0key0canary0key0canary0"]}`, refused + "key: [redacted]"},
		"the key in a place of a list":       {400, `{"key":{"0":["` + key + `"]}}`, refused + "key: [redacted]"},
		"line breaks and escape sequences":   {400, `{"key":["one\ntwo\r\n\u001b[31mred\u0000\u0085\u009b31m"]}`, refused + "key: one two   [31mred   31m"},
		"line separators, and text reversed": {400, `{"key":["one\u2028two\u2029\u202eeerht"]}`, refused + "key: one two  eerht"},
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
	_, err := f.Client.UpdateUser(t.Context(), someID, provision.UserFields{Password: provision.Hide(password)})
	checkError(t, err, "update user: Nautobot answered 403: [redacted] "+
		"(the superuser token's account needs users.change_user for this)", provision.ErrDenied)
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
