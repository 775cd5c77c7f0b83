//go:build e2e

package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Whatever is refused leaves Nautobot exactly as it was.
func TestRefused(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		f.provision(t).want(t, 0) // with the managed group
		byHand := f.makeByHand(t, nil)
		powerful := []*fixture{f.makeByHand(t, object{"is_superuser": true}), f.makeByHand(t, object{"is_staff": true})}
		inactive := f.another()
		inactive.saveSecret(t)
		inactive.provision(t).want(t, 0)
		f.must(t, f.superuser(), http.MethodPatch, "users/"+inactive.user(t).ID+"/", object{"is_active": false}, nil)

		before := f.snapshot(t)
		if !strings.Contains(before, f.username) || !strings.Contains(before, "token") {
			t.Fatal("the snapshot does not show what is there")
		}
		if nautobot.identity == provisioner { // nobody is asked, so once is enough
			t.Run("malformed", func(t *testing.T) { refuseMalformed(t, f) })
		}
		t.Run("not its own", func(t *testing.T) { refuseForeign(t, f, byHand, inactive, powerful) })
		wantSame(t, before, f.snapshot(t))
		f.wantAccount(t)

		if nautobot.identity == provisioner {
			return // it does not see what it could adopt
		}
		t.Run("adopted", func(t *testing.T) {
			old := byHand.password
			byHand.password = byHand.newPassword("password of the adopted account")
			byHand.saveSecret(t)
			byHand.provision(t, "--adopt").want(t, 0).wantStdout(t,
				byHand.userLine("updated password, groups, first_name, last_name"), byHand.tokenLine("created"))
			byHand.wantAccount(t)
			byHand.wantPassword(t, "the password from before", old, http.StatusForbidden)
			byHand.wantUnchanged(t)
		})
	})
}

// makeByHand makes an account as a person would, and a Secret that names it.
func (f *fixture) makeByHand(t *testing.T, more object) *fixture {
	t.Helper()
	g := f.another()
	account := object{"username": g.username, "password": g.password}
	maps.Copy(account, more)
	g.must(t, g.superuser(), http.MethodPost, "users/", account, nil)
	g.saveSecret(t)
	return g
}

func refuseMalformed(t *testing.T, f *fixture) {
	for _, c := range []struct {
		name    string
		data    map[string]string // besides what a good Secret has; absent: the key is taken away
		problem string
	}{
		{"no username", map[string]string{"username": absent}, `key "username" is missing`},
		{"no token", map[string]string{"token": absent}, `key "token" is missing`},
		{"no keys", map[string]string{"username": absent, "password": absent, "token": absent}, `key "username" is missing; key "token" is missing`},
		{"empty password", map[string]string{"password": ""}, `key "password" is empty`},
		{"token of 38 characters", map[string]string{"token": strings.Repeat("x", 38)}, `key "token" has 38 characters`},
		{"token of 41 characters", map[string]string{"token": strings.Repeat("x", 41)}, `key "token" has 41 characters`},
		{"token with a blank", map[string]string{"token": strings.Repeat("x", 20) + " " + strings.Repeat("x", 19)}, `key "token"`},
		{"token of the documentation", map[string]string{"token": "0123456789abcdef0123456789abcdef01234567"}, "documentation"},
		{"template without token", map[string]string{"token": "<no value>"}, `key "token": the template that rendered it found no value`},
		{"template without password", map[string]string{"password": "<no value>"}, `key "password": the template that rendered it found no value`},
		{"password ends in a blank", map[string]string{"password": f.password + " "}, `key "password" starts or ends with white space`},
		{"password ends in two newlines", map[string]string{"password": f.password + "\n\n"}, `key "password" starts or ends with white space`},
		{"password begins with a blank", map[string]string{"password": " " + f.password}, `key "password" starts or ends with white space`},
		{"password with a control character", map[string]string{"password": f.password + "\x00x"}, `key "password" contains control characters`},
		{"password too long", map[string]string{"password": strings.Repeat(f.password, 10)}, "want at most 128"},
		{"password in no encoding", map[string]string{"password": f.password + "\xff"}, `key "password" is not valid UTF-8`},
		{"token in no encoding", map[string]string{"token": f.token[:39] + "\xff"}, `key "token" is not valid UTF-8`},
		{"username with a slash", map[string]string{"username": "a/b"}, `key "username"`},
		{"username with a trailing dot", map[string]string{"username": "a."}, `key "username"`},
		{"foreign host", map[string]string{"hostname": "nautobot.example.net"}, `key "hostname": names a host other than`},
		{"foreign port", map[string]string{"hostname": "127.0.0.1:1"}, `key "hostname": names a host other than`},
		{"foreign URL", map[string]string{"url": "https://nautobot.example.net/api/"}, `key "url": names a host other than`},
		{"no e-mail address", map[string]string{"email": "nobody"}, `key "email" is not an email address`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := f.another()
			data := g.data()
			for key, value := range c.data {
				if value == absent {
					delete(data, key)
				} else {
					data[key] = value
				}
				if len(value) > 20 { // a part of a good secret, or with it
					g.secrets[key+": "+c.name] = value
				}
			}
			g.saveData(t, data)
			g.provision(t).wantRefused(t, c.problem).wantRequests(t, 0, 0, 0)
		})
	}

	t.Run("no label", func(t *testing.T) {
		g := f.another()
		for _, labels := range []map[string]string{nil, {"token/type": "other"}} {
			g.apply(t, secretObject(g.namespace, g.name, labels, g.data()))
			g.provision(t).wantRefused(t, "label token/type: nautobot").wantRequests(t, 0, 0, 0)
		}
	})
	t.Run("all problems at once", func(t *testing.T) {
		g := f.another()
		g.apply(t, secretObject(g.namespace, g.name, nil, map[string]string{"username": "", "password": " x", "hostname": "else.example"}))
		g.provision(t).wantRefused(t, "the label", `key "hostname"`, `key "username" is empty`, `key "password"`, `key "token" is missing`)
	})
	t.Run("no Secret", func(t *testing.T) {
		g := f.another()
		g.provision(t).wantRefused(t, "there is no Secret "+g.namespace+"/"+g.name).wantRequests(t, 0, 0, 0)
	})
	t.Run("no namespace", func(t *testing.T) {
		g := f.another()
		g.namespace = "not-there-" + randomText()
		g.provision(t).wantRefused(t, "there is no Secret "+g.namespace+"/"+g.name).wantRequests(t, 0, 0, 0)
	})
}

// absent stands for a key that is not there.
const absent = "\x00absent"

// refuseForeign: f has an account, byHand is one that a person made, inactive
// one that a person deactivated, and powerful are a superuser and a member of
// the staff.
func refuseForeign(t *testing.T, f, byHand, inactive *fixture, powerful []*fixture) {
	// A provisioner does not see accounts that are not managed.
	unseen := func(says string) string {
		if f.nautobot.identity == provisioner {
			return "an account of that name exists, but the superuser token may not see it"
		}
		return says
	}
	t.Run("the superuser", func(t *testing.T) {
		g := f.another()
		g.username = f.nautobot.Username
		g.saveSecret(t)
		g.provision(t).wantRefused(t, unseen("is a superuser"))
	})
	t.Run("the account of the token in use", func(t *testing.T) {
		if f.nautobot.identity == provisioner {
			g := f.another()
			g.username = "nautobot-token-provisioner"
			g.saveSecret(t)
			g.provision(t).wantRefused(t, unseen(""))
			g.provision(t, "--adopt", "--superuser").wantRefused(t, unseen(""))
		}
	})
	t.Run("another superuser, and somebody of the staff", func(t *testing.T) {
		for _, h := range powerful {
			h.provision(t).wantRefused(t, unseen("superuser or staff"))
			h.provision(t, "--adopt").wantRefused(t, unseen("superuser or staff"))
		}
	})
	t.Run("an account made by hand", func(t *testing.T) {
		r := byHand.provision(t).wantRefused(t, unseen("adopt"))
		if f.nautobot.identity == superuser {
			r.wantRequests(t, 3, 0, 0)
			byHand.provision(t, "--dry-run").wantRefused(t, "adopt")
		} else {
			byHand.provision(t, "--adopt").wantRefused(t, unseen(""))
		}
	})
	t.Run("an account that was deactivated", func(t *testing.T) {
		inactive.provision(t).wantRefused(t, "deactivated")
		inactive.provision(t, "--adopt").wantRefused(t, "deactivated")
	})
	t.Run("another account's token", func(t *testing.T) {
		g := f.another()
		g.token = f.token
		g.saveSecret(t)
		r := g.provision(t).wantRefused(t, "token")
		if strings.Contains(r.stdout+r.stderr, f.username) {
			t.Errorf("the refusal names the owner of the token\n%s", r)
		}
		// Of an account that is there already, too.
		byHand.saveData(t, map[string]string{"username": byHand.username, "password": byHand.password, "token": f.token})
		byHand.provision(t, "--adopt").wantRefused(t, "token")
	})
	t.Run("the superuser's token", func(t *testing.T) {
		g := f.another()
		g.token = f.nautobot.Token
		g.saveSecret(t)
		g.provision(t).wantRefused(t, "token")
	})
	t.Run("a second Secret for one account", func(t *testing.T) {
		g := f.another()
		g.username, g.password = f.username, f.password
		g.saveSecret(t)
		g.provision(t).wantRefused(t, f.namespace+"/"+f.name, "one account, one Secret")
		g.provision(t, "--adopt").wantRefused(t, "one account, one Secret")
		h := *g
		h.env = maps.Clone(g.env)
		h.env["CLUSTER_NAME"] = "elsewhere" // the same Secret of another cluster
		h.name = f.name
		h.provision(t, "--adopt").wantRefused(t, "is --cluster right?")
	})
}

// wantRefused checks the exit code, the line of output, and what it says.
func (r result) wantRefused(t *testing.T, says ...string) result {
	t.Helper()
	r.want(t, 3)
	if r.f.nautobot.identity == provisioner { // it can only try
		r.wantNothingStored(t)
	} else {
		r.wantNoWrite(t)
	}
	lines := r.lines()
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "secret/") || !strings.Contains(lines[0], " refused ") {
		t.Errorf("standard output is no line that says refused\n%s", r)
	}
	for _, text := range says {
		if !strings.Contains(r.stdout, text) {
			t.Errorf("the refusal does not say %q\n%s", text, r)
		}
	}
	return r
}

// wantSame compares two snapshots.
func wantSame(t *testing.T, before, after string) {
	t.Helper()
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			t.Errorf("Nautobot had and has no more: %s", line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			t.Errorf("Nautobot had not and has now: %s", line)
		}
	}
}
