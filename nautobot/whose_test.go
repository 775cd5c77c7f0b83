package nautobot

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Whose answer is it? Every request, against answers from Nautobot and from what
// may be in between.
func TestWhoseAnswerIsIt(t *testing.T) {
	tests := map[string]struct {
		status      int
		contentType string
		body        string
		foreign     bool
		token       error // what it means to a login by token
	}{
		"a firewall's page":               {403, "text/html", "<html>" + key, true, nil},
		"a login page":                    {401, "text/html", "<html>" + key, true, nil},
		"a 403 and nothing else":          {403, "", "", true, nil},
		"a 401 and nothing else":          {401, "", "", true, nil},
		"a gateway's JSON":                {403, "application/json", `{"message":"Forbidden"}`, true, nil},
		"a gateway's JSON, as a list":     {401, "application/json", `[]`, true, nil},
		"a gateway's JSON, with a detail": {403, "application/problem+json", `{"title":"Forbidden","detail":"Invalid token"}`, true, nil},
		"a wrong path of a proxy":         {404, "text/html", "<html>", true, nil},
		"a method that a proxy refuses":   {405, "text/plain", "no", true, nil},
		"Nautobot's 403":                  {403, "application/json", `{"detail":"Verboten."}`, false, provision.ErrDenied},
		"Nautobot's words with 401":       {401, "application/json", `{"detail":"Invalid token"}`, false, provision.ErrInvalidToken},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, op := range operations {
				var requests atomic.Int32
				client := stub(t, func(w http.ResponseWriter, _ *http.Request) {
					requests.Add(1)
					w.Header().Set("Content-Type", tc.contentType)
					w.WriteHeader(tc.status)
					_, _ = io.WriteString(w, tc.body)
				})
				client.pause = time.Microsecond
				err := op.call(t.Context(), client)
				if err == nil {
					t.Errorf("%s: no error", op.name)
					continue
				}
				noSecret(t, op.name, err.Error())
				var want []error
				count := 1
				switch {
				case tc.foreign && op.write:
					want = []error{provision.ErrUncertain}
				case tc.foreign:
					count += foreignRepeats
				case op.name == "Authenticate by password":
					count = 3 // the same words for every login, and for none
					if !errors.Is(err, errNoBasic) {
						t.Errorf("%s: error is %v, want %v", op.name, err, errNoBasic)
					}
				case passwordUsed(op):
					want = []error{provision.ErrDenied}
				default:
					want = []error{tc.token}
					if op.name == "GroupExists" && errors.Is(tc.token, provision.ErrDenied) {
						count = 2 // asked in another way
					}
				}
				if got := texts(kindsOf(err)); strings.Join(got, ";") != strings.Join(texts(want), ";") {
					t.Errorf("%s: kinds are %q, want %q", op.name, got, texts(want))
				}
				if tc.foreign && !strings.Contains(err.Error(), "is a firewall, a gateway or a proxy in between") {
					t.Errorf("%s: error is %v, without a hint at what is in between", op.name, err)
				}
				if n := int(requests.Load()); n != count {
					t.Errorf("%s: %d requests, want %d", op.name, n, count)
				}
			}
		})
	}
}

// passwordUsed reports operations whose login is the account's password.
func passwordUsed(op operation) bool {
	return op.name == "Tokens" || op.name == "CreateToken" || op.name == "UpdateToken"
}

// A request that was refused for being one too many did nothing: it is sent again
// until it is accepted, and then not once more.
func TestTooManyRequestsAreSentAgain(t *testing.T) {
	for name, body := range map[string]string{"Nautobot's": `{"detail":"Request was throttled."}`, "a firewall's": "<html>", "empty": ""} {
		for _, op := range operations {
			var requests atomic.Int32
			client := stub(t, func(w http.ResponseWriter, _ *http.Request) {
				if requests.Add(1) <= 5 {
					w.WriteHeader(http.StatusTooManyRequests)
					_, _ = io.WriteString(w, body)
					return
				}
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"detail":"No User matches the given query."}`)
			})
			client.pause = time.Microsecond
			err := op.call(t.Context(), client)
			if err == nil || errors.Is(err, provision.ErrUncertain) != op.write || !strings.Contains(err.Error(), "Nautobot answered 404") {
				t.Errorf("%s, %s: error is %v, want that of the 404", name, op.name, err)
			}
			if n := requests.Load(); n != 6 {
				t.Errorf("%s, %s: %d requests, want 6", name, op.name, n)
			}
		}
	}
}

// Some gateways drop or keep what Nautobot should get. What that means for a
// password is found by comparison with logins whose answer is known.
func TestPasswordThroughAGateway(t *testing.T) {
	tests := map[string]struct {
		gateway  func(r *http.Request) // changes a request on its way
		right    bool                  // the password
		language func(string) string   // changes Nautobot's words
		text     string
		want     []error
	}{
		"Basic is dropped, the password is right": {
			gateway: func(r *http.Request) { r.Header.Del("Authorization") }, right: true,
			text: "check password: Basic authentication does not reach Nautobot: something in between drops it",
		},
		"Basic is dropped, the password is wrong": {
			gateway: func(r *http.Request) { r.Header.Del("Authorization") },
			text:    "check password: Basic authentication does not reach Nautobot: something in between drops it",
		},
		"the server speaks German, the password is wrong": {
			language: func(body string) string {
				return strings.ReplaceAll(body, "Invalid username/password.", "Ungültiger Benutzername/Passwort.")
			},
			text: "check password: Nautobot answered 403: Ungültiger Benutzername/Passwort.",
			want: []error{provision.ErrDenied},
		},
		"the server speaks German, the password is right, the right to see tokens is missing": {
			language: func(body string) string {
				return strings.ReplaceAll(body, "You do not have permission to perform this action.", "Sie sind nicht berechtigt.")
			},
			right: true,
		},
		"a gateway logs everybody in": {
			gateway: func(r *http.Request) {
				if user, _, _ := r.BasicAuth(); strings.HasPrefix(user, "nobody-") {
					r.SetBasicAuth("other", "other")
				}
			},
			text: "check password: a login that is certainly wrong is accepted",
		},
		"a gateway knows who comes without a login": {
			gateway: func(r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					r.SetBasicAuth("other", "other")
				}
			},
			text: "check password: tokens are listed without credentials",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nautobottest.Options{})
			f.DeletePermission(managed)
			f.AddUser(nautobottest.User{Username: "other", Password: "other", Superuser: true})
			if tc.language != nil {
				f.Intercept(func(nautobottest.Request, int) nautobottest.Fault { return nautobottest.Substitute(tc.language) })
			}
			client := stub(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet {
					t.Errorf("sent %s, which a gateway may answer itself", r.Method)
				}
				if tc.gateway != nil {
					tc.gateway(r)
				}
				f.ServeHTTP(w, r)
			})
			login := byPassword
			if !tc.right {
				login.Password = provision.Hide(otherKey)
			}
			checkError(t, client.Authenticate(t.Context(), login), tc.text, tc.want...)
		})
	}
}
