package nautobot

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

func textLog(out io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestTLS(t *testing.T) {
	fake := nautobottest.New(nautobottest.Options{})
	defer fake.Close()
	secure := httptest.NewUnstartedServer(fake)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	old := httptest.NewUnstartedServer(fake)
	old.Config.ErrorLog = secure.Config.ErrorLog
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	ca := x509.NewCertPool()
	ca.AddCert(secure.Certificate())

	tests := map[string]struct {
		url   string
		roots *x509.CertPool
		want  string // part of the error; empty: none
	}{
		"with the CA":                {secure.URL, ca, ""},
		"without the CA":             {secure.URL, nil, "tls: failed to verify certificate: x509: certificate signed by unknown authority (--nautobot-ca-file names the CA that signed the server's certificate)"},
		"with another CA":            {secure.URL, x509.NewCertPool(), "certificate signed by unknown authority"},
		"by another name":            {strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), ca, "tls: failed to verify certificate"},
		"where plain http is":        {strings.Replace(fake.URL, "http:", "https:", 1), ca, "no answer from Nautobot: the server speaks plain http there (is --nautobot-url right?)"},
		"where TLS is out of date":   {old.URL, ca, "tls: "},
		"as plain http where TLS is": {strings.Replace(secure.URL, "https:", "http:", 1), ca, "the answer was 400: the server speaks https there (--nautobot-url has to begin with https)"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			client := New(Config{URL: u, Roots: tc.roots, Token: provision.Hide(fake.Token), Log: slog.New(slog.DiscardHandler)})
			// A write, because a read would wait for better times.
			err = client.CreateGroup(t.Context(), "group "+name)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error is %v, want %q", err, tc.want)
			}
		})
	}
}

// Waiting does not help with a certificate that is not trusted.
func TestUntrustedServerIsNotWaitedFor(t *testing.T) {
	fake := nautobottest.New(nautobottest.Options{})
	defer fake.Close()
	secure := httptest.NewUnstartedServer(fake)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	client := newClient(t, secure.URL, fake.Token)
	client.pause = forever
	if _, _, err := client.FindUser(t.Context(), account); err == nil {
		t.Error("no error")
	}
	if n := len(fake.Requests()); n != 0 {
		t.Errorf("%d requests came through, want 0", n)
	}
}

func TestNautobotBelowAPath(t *testing.T) {
	for _, path := range []string{"", "/", "/nautobot", "/nautobot/"} {
		var got []string
		origin := stubServer(t, func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.URL.Path)
			say("application/json", `{"count":0,"results":[]}`)(w, r)
		})
		client := newClient(t, origin+path, "canary-superuser")
		if _, _, err := client.FindUser(t.Context(), account); err != nil {
			t.Error(err)
		}
		if err := client.Authenticate(t.Context(), byPassword); err != nil {
			t.Error(err)
		}
		prefix := strings.TrimRight(path, "/")
		want := []string{prefix + "/api/users/users/", prefix + "/api/users/tokens/"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: paths (-want +got):\n%s", path, diff)
		}
	}
}

// What the requests look like: the access log of Nautobot holds nothing but this.
func TestRequestLines(t *testing.T) {
	want := map[string]string{
		"FindUser":                 "GET /api/users/users/?depth=1&exclude_m2m=false&limit=1000&username__ie=svc-openstack Token",
		"UsersUnder":               "GET /api/users/users/?depth=1&exclude_m2m=false&last_name__isw=lab%2Fns%2F&limit=1000 Token",
		"DeleteUser":               "DELETE /api/users/users/" + someID + "/?exclude_m2m=false Token",
		"OwnedUsers":               "GET /api/users/users/?depth=1&exclude_m2m=false&last_name=ns%2Fname&limit=1000 Token",
		"ClearPassword":            "PUT /api/users/users/" + someID + "/?exclude_m2m=false Token",
		"Authenticate by password": "GET /api/users/tokens/?limit=1 Basic",
		"Authenticate by token":    "GET /api/users/config/? Token",
		"Tokens":                   "GET /api/users/tokens/?limit=1000 Basic",
		"GroupExists":              "GET /api/users/groups/?name=nautobot-token-managed Token",
		"Permission":               "GET /api/users/permissions/?depth=1&exclude_m2m=false&name=nautobot-token-managed Token",
		"CreateUser":               "POST /api/users/users/?exclude_m2m=false Token",
		"UpdateUser":               "PATCH /api/users/users/" + someID + "/?exclude_m2m=false Token",
		"CreateToken":              "POST /api/users/tokens/? Basic",
		"UpdateToken":              "PATCH /api/users/tokens/" + someID + "/? Basic",
		"ExpireTokens":             "PATCH /api/users/tokens/? Token",
		"DeleteTokens":             "DELETE /api/users/tokens/? Token",
		"CreateGroup":              "POST /api/users/groups/? Token",
		"SavePermission, new":      "POST /api/users/permissions/?exclude_m2m=false Token",
		"SavePermission, known":    "PATCH /api/users/permissions/" + someID + "/?exclude_m2m=false Token",
	}
	f := newFixture(t, nautobottest.Options{})
	got := map[string]string{}
	for _, op := range operations {
		f.ResetRequests()
		_ = op.call(t.Context(), f.Client)
		for _, r := range f.Requests() {
			checkRequest(t, r, f.Server.Token)
			got[op.name] += r.Method + " " + r.Path + "?" + r.RawQuery + " " + r.Scheme
			if r.Header.Get("Accept") != "application/json" && r.Method != http.MethodDelete { // whose answer is empty
				t.Errorf("%v: Accept is %q", r, r.Header.Values("Accept"))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// The bodies of changes hold what is meant and no more; an id in the PATCH of
// one object could write another.
func TestRequestBodies(t *testing.T) {
	f := newFixture(t, nautobottest.Options{})
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.FixedZone("", 3600))
	calls := []struct {
		call func() error
		want string
	}{
		{func() error {
			_, err := f.Client.UpdateUser(t.Context(), someID, provision.UserFields{Staff: new(false)})
			return err
		}, `{"is_staff":false}`},
		{func() error {
			_, err := f.Client.UpdateUser(t.Context(), someID, provision.UserFields{Groups: []provision.Group{{ID: 3, Name: "a"}, {Name: "b"}}})
			return err
		}, `{"groups":[{"id":3},{"name":"b"}]}`},
		{func() error {
			return f.Client.UpdateToken(t.Context(), byPassword, someID, provision.TokenFields{NeverExpire: true, Writable: new(true)})
		}, `{"expires":null,"write_enabled":true}`},
		{func() error { _, err := f.ClearPassword(t.Context(), someID, account, "Service account"); return err }, `{"first_name":"Service account","username":"svc-openstack"}`},
		{func() error { return f.ExpireTokens(t.Context(), byPassword, []string{someID}, at) }, `[{"expires":"2026-11-24T09:00:00Z","id":"` + someID + `"}]`},
		{func() error { return f.DeleteTokens(t.Context(), byPassword, []string{someID}) }, `[{"id":"` + someID + `"}]`},
	}
	for _, tc := range calls {
		f.ResetRequests()
		_ = tc.call()
		for _, r := range f.Requests() {
			if diff := cmp.Diff(tc.want, strings.TrimSpace(string(r.Body))); diff != "" {
				t.Errorf("%v: body (-want +got):\n%s", r, diff)
			}
		}
	}
}
