package cmd

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
)

var provisionIt = []string{"provision", "nautobot-token", "-n", "openstack"}

const unchanged = "user/svc-openstack             unchanged\ntoken/openstack/nautobot-token unchanged\n"

// with adds arguments to the usual ones.
func with(args ...string) []string { return append(slices.Clone(provisionIt), args...) }

func TestFirstRunCreatesAndSecondRunWritesNothing(t *testing.T) {
	w := newWorld(t)
	dry := w.run(t, with("--dry-run")...)
	golden(t, "dry-run", dry.stdout)
	dry.check(t, exitDone, dry.stdout, "")
	if n := len(w.nautobot.Writes()); n > 0 {
		t.Errorf("the dry run sent %d writes", n)
	}
	asJSON := w.run(t, with("--dry-run", "-o", "json")...)
	golden(t, "dry-run-json", asJSON.stdout)
	asJSON.check(t, exitDone, asJSON.stdout, "")

	w.run(t, provisionIt...).check(t, exitDone, strings.ReplaceAll(dry.stdout, " (dry run)", ""), "")
	user, _ := w.nautobot.User(username)
	if user.Password != password || user.Superuser || user.Staff || user.LastName != "lab/openstack/nautobot-token" {
		t.Errorf("the account is superuser %v, staff %v, of %q", user.Superuser, user.Staff, user.LastName)
	}
	if tokens := w.nautobot.Tokens(username); len(tokens) != 1 || tokens[0].Key != key || tokens[0].ReadOnly {
		t.Errorf("the account has %d tokens, want the Secret's", len(tokens))
	}

	w.nautobot.ResetRequests()
	w.run(t, provisionIt...).check(t, exitDone, unchanged, "")
	if writes, all := w.nautobot.Writes(), w.nautobot.Requests(); len(writes) > 0 || len(all) > 3 {
		t.Errorf("the second run sent %v, want at most 3 reads", all)
	}
	if events := w.kube.EventTexts(); len(events) != 1 || !strings.HasPrefix(events[0], "Normal openstack/nautobot-token Provisioned: ") {
		t.Errorf("Events are %q, want one, of the first run", events)
	}
}

func TestDryRunSaysWhatTheRunDoes(t *testing.T) {
	tests := map[string]func(*world){
		"everything is missing": func(w *world) { w.nautobot.DeleteUser(username) },
		"the token was rotated": func(w *world) {
			w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": password, "token": newKey})
		},
		"the password was rotated": func(w *world) {
			w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": newPassword, "token": key})
		},
		"the token was made read-only by hand": func(w *world) {
			w.nautobot.UpdateToken(key, func(t *nautobottest.Token) { t.ReadOnly = true })
		},
		"the account was made staff by hand": func(w *world) {
			w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Staff = true })
		},
		"nothing": func(*world) {},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if made := w.run(t, provisionIt...); made.code != exitDone {
				t.Fatalf("exit code %d, %s", made.code, made.stderr)
			}
			change(w)
			w.nautobot.ResetRequests()
			dry := w.run(t, with("--dry-run")...)
			if n := len(w.nautobot.Writes()); n > 0 {
				t.Errorf("the dry run sent %d writes", n)
			}
			pending := w.run(t, with("--dry-run", "--detailed-exitcode")...)
			want := map[bool]int{true: exitPending, false: exitDone}[strings.Contains(dry.stdout, "created") || strings.Contains(dry.stdout, "updated")]
			if pending.code != want || pending.stdout != dry.stdout {
				t.Errorf("--detailed-exitcode: exit code %d, want %d", pending.code, want)
			}
			w.run(t, provisionIt...).check(t, exitDone, strings.ReplaceAll(dry.stdout, " (dry run)", ""), "")
			w.run(t, provisionIt...).check(t, exitDone, unchanged, "")
		})
	}
}

func TestRotationSupersedesTheOldToken(t *testing.T) {
	w := newWorld(t)
	w.run(t, provisionIt...)
	w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": password, "token": newKey})
	w.run(t, with("--rotation-grace", "90m")...).check(t, exitDone,
		"user/svc-openstack             unchanged\n"+
			"token/openstack/nautobot-token created   1 superseded token expires in 1h30m\n", "")
	w.run(t, with("--rotation-grace", "0")...).check(t, exitDone,
		"user/svc-openstack             unchanged\n"+
			"token/openstack/nautobot-token updated   1 superseded token deleted\n", "")
	if tokens := w.nautobot.Tokens(username); len(tokens) != 1 || tokens[0].Key != newKey {
		t.Errorf("the account has %d tokens, want only the new one", len(tokens))
	}
}

// If the rules name Secrets, so does the right to read them. A Secret that only
// has the label is refused, and not tried again.
func TestSecretWithoutRuleThatMayNotBeRead(t *testing.T) {
	for namespace, want := range map[string]struct {
		code int
		text string
	}{
		"openstack": {exitRefused, ` refused   policy of operators has no rule for Secret openstack/another: it needs one with namespace: openstack and secrets: that match "another"`},
		"fleet":     {exitFailed, " failed    read Secret fleet/another: "},
	} {
		w := newWorld(t)
		w.kube.Put(namespace+"/another", map[string]string{"username": "x"})
		w.kube.RefuseAll(http.StatusForbidden)
		policy := rulesFile(t, namedRule, fleetRule)
		got := w.run(t, "provision", "another", "-n", namespace, "--policy", policy)
		got.stdout = strings.ReplaceAll(got.stdout, policy, "of operators")
		if got.code != want.code || !strings.Contains(got.stdout, want.text) {
			t.Errorf("exit code %d, %s, want %d, %s", got.code, got.stdout, want.code, want.text)
		}
	}
}

func TestTextAndJSONAgree(t *testing.T) {
	tests := map[string]func(*world) []string{
		"created":   func(*world) []string { return provisionIt },
		"unchanged": func(w *world) []string { w.run(t, provisionIt...); return provisionIt },
		"refused": func(w *world) []string {
			w.kube.Put("openstack/nautobot-token", map[string]string{"username": "a b", "password": " ", "token": "short"})
			return provisionIt
		},
		"failed": func(w *world) []string { w.kube.RefuseAll(http.StatusForbidden); return provisionIt },
		"updated": func(w *world) []string {
			w.run(t, provisionIt...)
			w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "password": newPassword, "token": newKey})
			return provisionIt
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			args := append(slices.Clone(prepare(w)), "--dry-run")
			text, asJSON := w.run(t, args...), w.run(t, append(args, "-o", "json")...)
			var lines []row
			for decoder := json.NewDecoder(strings.NewReader(asJSON.stdout)); decoder.More(); {
				var l row
				if err := decoder.Decode(&l); err != nil {
					t.Fatal(err)
				}
				lines = append(lines, l)
			}
			if n := strings.Count(asJSON.stdout, "\n"); n != len(lines) {
				t.Errorf("%d objects in %d lines", len(lines), n)
			}
			width, got := 0, ""
			for _, l := range lines {
				width = max(width, len(l.Object))
			}
			for _, l := range lines {
				got += l.text(width) + "\n"
			}
			if diff := cmp.Diff(text.stdout, got); diff != "" || text.code != asJSON.code || len(lines) == 0 {
				t.Errorf("exit codes %d and %d, JSON as text (-text +json):\n%s", text.code, asJSON.code, diff)
			}
			if !strings.Contains(got, name) {
				t.Errorf("no line says %q:\n%s", name, got)
			}
		})
	}
}

// What is refused is refused for good: exit 3, all problems at once, an Event,
// and nothing written.
func TestRefusals(t *testing.T) {
	const missing = "secret/openstack/nautobot-token refused   "
	secret := func(change func(map[string]string)) func(*world) {
		return func(w *world) {
			values := map[string]string{"username": username, "password": password, "token": key}
			change(values)
			w.kube.Put("openstack/nautobot-token", values)
		}
	}
	tests := map[string]struct {
		prepare func(*world)
		want    string // the line, after its beginning
		noEvent bool
	}{
		"the Secret is not there": {
			func(w *world) { w.kube.Remove("openstack/nautobot-token") }, "there is no Secret openstack/nautobot-token", true,
		},
		"the label is missing": {
			func(w *world) { w.kube.Unlabel("openstack/nautobot-token") }, "the label token/type: nautobot is missing", false,
		},
		"keys are missing": {
			secret(func(v map[string]string) { delete(v, "username"); delete(v, "token") }),
			`key "username" is missing; key "token" is missing`, false,
		},
		"several values are wrong": {
			secret(func(v map[string]string) { v["username"], v["password"], v["token"] = "a b", " "+password, key[:38] }),
			`key "username": want 1 to 150 ASCII letters, digits and @ . + - _, starting and ending with a letter or digit; ` +
				`key "password" starts or ends with white space, which Nautobot drops when it stores the value; ` +
				`key "token" has 38 characters, want exactly 40`, false,
		},
		"a template found no value": {
			secret(func(v map[string]string) { v["token"] = "<no value>" }),
			`key "token": the template that rendered it found no value`, false,
		},
		"it is meant for another Nautobot": {
			secret(func(v map[string]string) { v["url"] = "https://evil.example.org" }),
			`key "url": names a host other than this run's Nautobot (--nautobot-url, --nautobot-hostname)`, false,
		},
		"the account was made by hand": {
			func(w *world) { w.nautobot.AddUser(nautobottest.User{Username: username}) },
			`"svc-openstack" is an account that was not made for this Secret: choose another username, or allow taking it over with --adopt, or adopt: true in the policy's rule`, false,
		},
		"another account has the token": {
			func(w *world) { w.nautobot.AddToken(nautobottest.Admin, nautobottest.Token{Key: key}) }, "", false,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.prepare(w)
			before := w.nautobot.Snapshot()
			got := w.run(t, provisionIt...)
			if tc.want != "" && got.stdout != missing+tc.want+"\n" {
				t.Errorf("standard output (-want +got):\n%s", cmp.Diff(missing+tc.want+"\n", got.stdout))
			}
			if got.code != exitRefused || !strings.HasPrefix(got.stdout, missing) || strings.Count(got.stdout, "\n") != 1 {
				t.Errorf("exit code %d, want %d; standard output %q", got.code, exitRefused, got.stdout)
			}
			if !strings.HasPrefix(got.stderr, "level=ERROR msg=refused secret=openstack/nautobot-token error=") {
				t.Errorf("standard error is %q", got.stderr)
			}
			if writes := w.nautobot.Writes(); len(writes) > 0 || !cmp.Equal(before, w.nautobot.Snapshot()) {
				t.Errorf("wrote %v", writes)
			}
			events := w.kube.EventTexts()
			if tc.noEvent != (len(events) == 0) || !tc.noEvent && !strings.HasPrefix(events[0], "Warning openstack/nautobot-token Refused: "+tc.want) {
				t.Errorf("Events are %q", events)
			}
		})
	}
}

// What may work next time is exit 1, in bounded time, and the Secret's owner is
// told, even if time has run out.
func TestFailures(t *testing.T) {
	tests := map[string]struct {
		prepare func(*testing.T, *world)
		want    string // part of the line
		unread  bool   // the Secret could not be read
	}{
		"nobody listens": {
			func(_ *testing.T, w *world) { w.nautobot.Close() }, "no answer from Nautobot: dial tcp", false,
		},
		"Nautobot answers 503": {
			func(_ *testing.T, w *world) { always(w, nautobottest.Answer(503, "text/html", key)) }, "Nautobot answered 503", false,
		},
		"Nautobot answers with a page": {
			func(_ *testing.T, w *world) { always(w, nautobottest.Answer(200, "text/html", key)) },
			"find user: Nautobot answered 200: the answer cannot be read (text/html) (is --nautobot-url right?)", false,
		},
		"Nautobot accepts and never answers": {
			func(_ *testing.T, w *world) { always(w, nautobottest.Hang()) }, "no answer from Nautobot: timed out", false,
		},
		"the superuser token is wrong": {
			func(t *testing.T, _ *world) { t.Setenv("NAUTOBOT_TOKEN", newKey) },
			"find user: Nautobot answered 403: Invalid token (the superuser token is not accepted)", false,
		},
		"there is no superuser Secret": {
			func(_ *testing.T, w *world) { w.kube.Remove("nautobot/nautobot-superuser") },
			"superuser token: there is no Secret nautobot/nautobot-superuser", false,
		},
		"the superuser Secret has no such key": {
			func(t *testing.T, _ *world) { t.Setenv("NAUTOBOT_SUPERUSER_SECRET_KEY", "nosuch") },
			"superuser token: Secret nautobot/nautobot-superuser: the key of --superuser-secret-key (NAUTOBOT_SUPERUSER_SECRET_KEY) is missing", false,
		},
		"the superuser token cannot be sent in a header": {
			func(_ *testing.T, w *world) {
				w.kube.Put("nautobot/nautobot-superuser", map[string]string{"token": key + "\n" + newKey})
			},
			"superuser token: Secret nautobot/nautobot-superuser: the token contains characters that are not allowed in a token", false,
		},
		"RBAC forbids": {
			func(_ *testing.T, w *world) { w.kube.RefuseAll(http.StatusForbidden) },
			"; the service account needs a Role that allows it to get the Secret", true,
		},
		"a load balancer answers for the API server": {
			func(_ *testing.T, w *world) {
				w.kube.Intercept(func(*http.Request, int) http.Handler {
					return kubetest.Answer(http.StatusNotFound, "text/plain", "default backend - 404")
				})
			},
			"read Secret openstack/nautobot-token: ", true,
		},
		"the API server has trouble": {
			func(_ *testing.T, w *world) { w.kube.RefuseAll(http.StatusInternalServerError) }, "read Secret openstack/nautobot-token: ", true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.prepare(t, w)
			got := w.run(t, with("--timeout", "2s")...)
			const beginning = "secret/openstack/nautobot-token failed    "
			if got.code != exitFailed || !strings.HasPrefix(got.stdout, beginning) || !strings.Contains(got.stdout, tc.want) {
				t.Errorf("exit code %d, standard output %q, want %d and %q", got.code, got.stdout, exitFailed, tc.want)
			}
			if !strings.Contains(got.stderr, "level=ERROR msg=failed secret=openstack/nautobot-token error=") {
				t.Errorf("standard error is %q", got.stderr)
			}
			events := w.kube.EventTexts()
			if tc.unread && len(events) > 0 || !tc.unread && (len(events) != 1 || !strings.HasPrefix(events[0], "Warning openstack/nautobot-token Failed: ") || !strings.Contains(events[0], tc.want)) {
				t.Errorf("Events are %q, want one if the Secret could be read", events)
			}
		})
	}
}

func always(w *world, fault nautobottest.Fault) {
	w.nautobot.Intercept(func(nautobottest.Request, int) nautobottest.Fault { return fault })
}

func TestNautobotThatComesBackIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.nautobot.Intercept(func(_ nautobottest.Request, n int) nautobottest.Fault {
		if n == 1 {
			return nautobottest.Answer(503, "text/html", "<html>")
		}
		return nautobottest.None()
	})
	got := w.run(t, provisionIt...)
	got.check(t, exitDone, got.stdout,
		`level=WARN msg="waiting for Nautobot" secret=openstack/nautobot-token error="find user: Nautobot answered 503" pause=500ms`+"\n")
}

// Each request in turn is the last one: it is finished, and none follows.
func TestSignalEndsTheRunAfterTheRequestInFlight(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorld(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		signalled := false
		w.nautobot.Intercept(func(_ nautobottest.Request, number int) nautobottest.Fault {
			if number == n {
				signalled = true
				cancel(stoppedError{syscall.SIGTERM})
			}
			return nautobottest.None()
		})
		got := w.runWith(ctx, t, "", provisionIt...)
		if !signalled {
			if n < 5 || got.code != exitDone {
				t.Errorf("undisturbed run no. %d ends with %d", n, got.code)
			}
			return
		}
		requests := w.nautobot.Requests()
		if len(requests) != n || requests[n-1].Status == 0 {
			t.Errorf("signal at request %d: %v were sent", n, requests)
		}
		if !strings.HasSuffix(got.stderr, "nautobot-token: stopped by a signal: terminated\n") {
			t.Errorf("signal at request %d: the last line does not say so: %s", n, got.stderr)
		}
		if got.code != exitSignal+int(syscall.SIGTERM) {
			t.Errorf("signal at request %d: exit code %d, want 143; %s", n, got.code, got.stderr)
		}
		if events := w.kube.EventTexts(); len(events) > 0 {
			t.Errorf("signal at request %d: Events are %q, want none: nothing is wrong", n, events)
		}
	}
}

// A signal leaves a temporary password to the next run, and the log says so.
func TestSignalWhileAnAccountIsOpen(t *testing.T) {
	w := newWorld(t)
	w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "token": key})
	ctx, cancel := context.WithCancelCause(t.Context())
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Method == http.MethodPost && r.Path == "/api/users/tokens/" {
			cancel(stoppedError{syscall.SIGTERM})
		}
		return nautobottest.None()
	})
	got := w.runWith(ctx, t, "", provisionIt...)
	const warning = `level=WARN msg="what this run began remains until the next one" secret=openstack/nautobot-token error="stopped by a signal: terminated"`
	if got.code != exitSignal+15 || !strings.Contains(got.stderr, warning) {
		t.Errorf("exit code %d\n%s", got.code, got.stderr)
	}
	w.run(t, provisionIt...)
	if user, _ := w.nautobot.User(username); user.Password != "" || user.FirstName != "Service account" {
		t.Errorf("after the next run, first name %q, open %v", user.FirstName, user.Password != "")
	}
}

// An account without a password in the Secret: its token works, and nobody
// can log in.
func TestAccountForTheAPIOnly(t *testing.T) {
	w := newWorld(t)
	w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "token": key})
	if got := w.run(t, provisionIt...); got.code != exitDone {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	if user, _ := w.nautobot.User(username); user.Password != "" {
		t.Error("the account has a password")
	}
	w.nautobot.ResetRequests()
	if got := w.run(t, provisionIt...); got.code != exitDone || got.stdout != unchanged {
		t.Errorf("second run: exit code %d, standard output %q", got.code, got.stdout)
	}
	for _, r := range w.nautobot.Requests() {
		if !r.Safe() || r.Scheme == "Basic" {
			t.Errorf("the second run sent %v", r)
		}
	}
}
