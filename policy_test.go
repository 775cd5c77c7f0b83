package main

import (
	"os"
	"path/filepath"
	"regexp"
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

func TestParsePolicy(t *testing.T) {
	got, err := parsePolicy([]byte(wholePolicy))
	if err != nil {
		t.Fatal(err)
	}
	want := provision.Policy{ManagedGroup: "our-group", Rules: []provision.Rule{
		{
			Line: 4, Namespace: "openstack", Secrets: []string{"nautobot-token", "other-*"}, Usernames: []string{"*-openstack"},
			Groups: []string{"openstack-services", "a group/with: signs"}, Superuser: true, Adopt: true, Exclusive: true,
		},
		{Line: 11, Namespace: "nautobot", Secrets: []string{"*"}, Usernames: []string{"site-?-token"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if got, err := parsePolicy([]byte(policyText)); err != nil || got.ManagedGroup != provision.DefaultManagedGroup {
		t.Errorf("managed group %q by default, error %v", got.ManagedGroup, err)
	}
}

// Every mistake is told by line and key.
func TestParsePolicyRefuses(t *testing.T) {
	const rule = "rules:\n- namespace: a\n  usernames: [x]\n"
	const knownInRule = "namespace, secrets, usernames, groups, superuser, adopt, exclusive"
	tests := map[string]struct{ text, want string }{
		"nothing":                         {"", "1: the file is empty; want rules:"},
		"a text":                          {"rules", "1: want keys and values: managedGroup, rules"},
		"no rules":                        {"managedGroup: g\n", "1: rules: want a list of rules: without any, every Secret is refused"},
		"an empty list of rules":          {"rules: []\n", "1: rules: want a list of rules: without any, every Secret is refused"},
		"a misspelt key":                  {"rule: []\n", "1: rule: is no key of a policy; known here: managedGroup, rules"},
		"a misspelt key in a rule":        {rule + "  superUser: true\n", "4: superUser: is no key of a policy; known here: " + knownInRule},
		"a key twice":                     {rule + "  usernames: [y]\n", "4: usernames: stands there twice"},
		"rules twice":                     {rule + "rules: []\n", "4: rules: stands there twice"},
		"a rule without a namespace":      {"rules:\n- usernames: [x]\n", "2: namespace: is required: the name of one namespace"},
		"a glob of namespaces":            {"rules:\n- namespace: '*'\n  usernames: [x]\n", "2: namespace: is required: the name of one namespace"},
		"a rule without usernames":        {"rules:\n- namespace: a\n", "2: usernames: is required: globs of the account names that are allowed"},
		"an empty list of usernames":      {"rules:\n- namespace: a\n  usernames: []\n", "3: usernames: want a list of texts"},
		"a text instead of a list":        {"rules:\n- namespace: a\n  usernames: x\n", "3: usernames: want a list of texts"},
		"a number in a list":              {"rules:\n- namespace: a\n  usernames:\n  - x\n  - 5\n", "5: usernames: want a text"},
		"a glob that is none":             {"rules:\n- namespace: a\n  usernames: ['[']\n", `3: usernames: "[" is not a glob`},
		"an empty glob":                   {rule + "  secrets: ['']\n", `4: secrets: "" is not a glob`},
		"a group with a blank at its end": {rule + "  groups: ['g ']\n", `4: groups: "g " is not a name of a group`},
		"a flag that is a text":           {rule + "  superuser: 'true'\n", "4: superuser: want true or false"},
		"a flag of YAML 1.1":              {rule + "  superuser: yes\n", "4: superuser: want true or false"},
		"a flag that is empty":            {rule + "  adopt:\n", "4: adopt: want true or false"},
		"an anchor":                       {"rules:\n- namespace: &n a\n  usernames: [x]\n", "2: namespace: want a text"},
		"an alias":                        {"managedGroup: &g g\nrules: []\n", "1: managedGroup: want a text"},
		"a merge key":                     {"rules:\n- <<: {superuser: true}\n", "2: <<: is no key of a policy; known here: " + knownInRule},
		"a tag":                           {"rules:\n- namespace: !x a\n  usernames: [x]\n", "2: namespace: want a text"},
		"two documents":                   {rule + "---\n" + rule, "4: want one YAML document"},
		"no YAML":                         {"rules:\n\t- a\n", "2: found character that cannot start any token"},
		"an empty managed group":          {"managedGroup: ''\n" + rule, "1: managedGroup: want the name of a group"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parsePolicy([]byte(tc.text))
			if err == nil || err.Error() != tc.want {
				t.Errorf("policy %+v, error %v, want %q", got, err, tc.want)
			}
		})
	}
}

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

func TestPolicyFileIsNamedInTheError(t *testing.T) {
	w := newWorld(t)
	file := write(t, "rules:\n- namespace: a\n  user: x\n")
	got := w.run(t, with("--policy", file)...)
	got.check(t, exitUsage, "", "nautobot-token: --policy (NAUTOBOT_TOKEN_POLICY): "+file+
		":3: user: is no key of a policy; known here: namespace, secrets, usernames, groups, superuser, adopt, exclusive\n"+
		"See 'nautobot-token provision --help'.\n")
	if got := w.run(t, with("--policy", write(t, strings.Repeat("#", maxPolicy+1)))...); got.code != exitUsage || !strings.Contains(got.stderr, "is larger than") {
		t.Errorf("a file that is too large: exit code %d, %s", got.code, got.stderr)
	}
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

var begins = regexp.MustCompile(`^[1-9][0-9]*: `)

func FuzzParsePolicy(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "policies", "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds, error %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("*a"))
	f.Add([]byte("rules: [{namespace: a, usernames: [\"\\x00\"]}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := parsePolicy(text)
		if err != nil {
			if !begins.MatchString(err.Error()) {
				t.Errorf("error %q names no line", err)
			}
			return
		}
		if policy.ManagedGroup == "" || len(policy.Rules) == 0 {
			t.Errorf("policy %+v allows what nobody wrote down", policy)
		}
		for _, rule := range policy.Rules {
			if rule.Namespace == "" || len(rule.Secrets) == 0 || len(rule.Usernames) == 0 || rule.Line < 1 {
				t.Errorf("rule %+v allows what nobody wrote down", rule)
			}
		}
	})
}
