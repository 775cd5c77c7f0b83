package cmd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const wholePolicy = `# what Secrets may ask for
managedGroup: our-group
rules:
  - namespace: openstack
    secrets: ["nautobot-token", "other-*"]
    usernames: ["*-openstack"]
    groups: [openstack-services, "a group/with: signs"]
    superuser: true
    adopt: true
    exclusive: true
  - namespace: nautobot
    usernames: ["site-?-token"]
`

func TestPolicyDecides(t *testing.T) {
	file := write(t, strings.NewReplacer("our-group", provision.DefaultManagedGroup).Replace(wholePolicy))
	tests := map[string]struct {
		prepare func(*world)
		args    []string
		code    int
		want    string // part of standard output
	}{
		"a rule that matches": {
			func(w *world) {
				w.nautobot.AddGroup("openstack-services")
				w.nautobot.AddGroup("a group/with: signs")
			},
			nil, exitDone, "user/svc-openstack                created",
		},
		"a group that does not exist":        {func(*world) {}, nil, exitRefused, "refused"},
		"a username that no rule allows":     {func(w *world) { w.put("username", "svc-other") }, nil, exitRefused, "line 4: Secret openstack/nautobot-token may have an account called *-openstack"},
		"a Secret that no rule is for":       {func(w *world) { w.kube.remove("openstack/nautobot-token") }, []string{"-n", "nautobot", "--"}, exitRefused, "there is no Secret"},
		"a flag that stands in for the rule": {func(*world) {}, []string{"--superuser"}, exitUsage, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.prepare(w)
			t.Setenv("NAUTOBOT_TOKEN_POLICY", file)
			got := w.run(t, with(tc.args...)...)
			if got.code != tc.code || !strings.Contains(got.stdout, tc.want) {
				t.Errorf("exit code %d, want %d; standard output\n%s%s", got.code, tc.code, got.stdout, got.stderr)
			}
			user, made := w.nautobot.User(username)
			if made != (tc.code == exitDone) || made && !user.Superuser {
				t.Errorf("account made: %v, superuser %v", made, user.Superuser)
			}
		})
	}
}

// put changes one value of the Secret.
func (w *world) put(name, value string) {
	values := map[string]string{"username": username, "password": password, "token": key}
	values[name] = value
	w.kube.put("openstack/nautobot-token", values)
}

// An account without a password in the Secret: its token works, and nobody
// can log in.
func TestAccountForTheAPIOnly(t *testing.T) {
	w := newWorld(t)
	w.kube.put("openstack/nautobot-token", map[string]string{"username": username, "token": key})
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

func TestRuleOfTheFlags(t *testing.T) {
	w := newWorld(t)
	w.nautobot.AddUser(nautobottest.User{Username: username, Password: password, Groups: []string{"theirs"}})
	w.nautobot.AddToken(username, nautobottest.Token{Description: "by hand"})
	w.nautobot.AddGroup("ours")
	got := w.run(t, with("--adopt", "--superuser", "--exclusive", "--rotation-grace=0", "--group=ours")...)
	user, _ := w.nautobot.User(username)
	if got.code != exitDone || !user.Superuser || !cmp.Equal(user.Groups, []string{"theirs", "ours", provision.DefaultManagedGroup}, inAnyOrder) {
		t.Errorf("exit code %d, superuser %v, groups %q: %s", got.code, user.Superuser, user.Groups, got.stderr)
	}
	if tokens := w.nautobot.Tokens(username); len(tokens) != 1 || tokens[0].Key != key {
		t.Errorf("%d tokens, want only the Secret's", len(tokens))
	}
}

var inAnyOrder = cmpopts.SortSlices(func(a, b string) bool { return a < b })
