package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// everyKeyPolicy has every key.
const everyKeyPolicy = `# who may ask for what
managedGroup: token-managed
rules:
  - namespace: openstack
    secrets: ["nautobot-token"]
    usernames: ["*-openstack", nova]
    groups: [openstack-services]
    superuser: false
    adopt: false
    adoptFrom: []
    exclusive: true
  - namespace: nautobot
    secrets:
      - "site-*"
    usernames:
      - 'site-*-token'
    superuser: true
    adopt: true
    adoptFrom: [old/nautobot/site-token]
`

func TestParsePolicyTakes(t *testing.T) {
	smallest := provision.Policy{
		ManagedGroup: "nautobot-token-managed",
		Rules:        []provision.Rule{{Namespace: "a", Secrets: []string{"*"}, Usernames: []string{"b"}}},
	}
	tests := map[string]struct {
		text string
		want provision.Policy
	}{
		"with every key": {everyKeyPolicy, provision.Policy{
			ManagedGroup: "token-managed",
			Rules: []provision.Rule{
				{
					Namespace: "openstack", Secrets: []string{"nautobot-token"}, Usernames: []string{"*-openstack", "nova"},
					Groups: []string{"openstack-services"}, AdoptFrom: []string{}, Exclusive: true,
				},
				{
					Namespace: "nautobot", Secrets: []string{"site-*"}, Usernames: []string{"site-*-token"},
					Superuser: true, Adopt: true, AdoptFrom: []string{"old/nautobot/site-token"},
				},
			},
		}},
		"the least there can be":         {"rules:\n- namespace: a\n  usernames: [b]\n", smallest},
		"with line ends of Windows":      {"rules:\r\n- namespace: a\r\n  usernames: [b]\r\n", smallest},
		"without a newline at the end":   {"rules:\n- namespace: a\n  usernames: [b]", smallest},
		"with the end of the document":   {"rules:\n- namespace: a\n  usernames: [b]\n...\n", smallest},
		"with empty documents around it": {"---\n# one\n---\nrules:\n- namespace: a\n  usernames: [b]\n---\n", smallest},
		"in the words of JSON":           {"{\"rules\":\n[{\"namespace\": \"a\", \"usernames\": [\"b\"]}]}", smallest},
		"with comments":                  {"rules: # one\n- namespace: a # two\n  # three\n  usernames: [b] # four\n# five\n", smallest},
		"true and false in capitals":     {"rules:\n- namespace: a\n  usernames: [b]\n  superuser: False\n  adopt: FALSE\n", smallest},
		"YAML's other word for false":    {"rules:\n- namespace: a\n  usernames: [b]\n  superuser: no\n", smallest},
		"an anchor and an alias": {"rules:\n- namespace: a\n  secrets: &any ['*']\n  usernames: [b]\n- {namespace: c, secrets: *any, usernames: [d]}\n", provision.Policy{
			ManagedGroup: smallest.ManagedGroup,
			Rules:        append(smallest.Rules, provision.Rule{Namespace: "c", Secrets: []string{"*"}, Usernames: []string{"d"}}),
		}},
		"the managed group by its name": {"rules:\n- namespace: a\n  usernames: [b]\nmanagedGroup: nautobot-token-managed\n", smallest},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parsePolicy([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("policy (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	topKeys  = "managedGroup, rules"
	ruleKeys = "namespace, secrets, usernames, groups, superuser, adopt, adoptFrom, exclusive, revoke"
	noRules  = "rules: want a list with at least one item"
	aString  = "want a string (numbers, yes and no in quotes)"
	aList    = "want a list with at least one item"
	aGroup   = "managedGroup: want the name of a group: 1 to 150 characters, without white space around it or control characters"
	noYAML   = "want one policy in YAML: "
	smallest = "rules:\n- namespace: a\n  usernames: [b]\n"
)

// badPolicies are files that are wrong, and what is said about each.
var badPolicies = map[string]struct{ text, want string }{
	"an empty file":     {"", noYAML + "empty"},
	"comments alone":    {"# rules:\n", noYAML + "empty"},
	"an empty document": {"---\n", noYAML + "empty"},
	"null":              {"null\n", noYAML + "empty"},
	"a text":            {"rules\n", "want keys and values: " + topKeys},
	"a list":            {"- namespace: a\n  usernames: [b]\n", "want keys and values: " + topKeys},

	"no rules":                  {"managedGroup: a\n", "rules: required: without a rule every Secret is refused"},
	"an empty list of rules":    {"rules: []\n", noRules},
	"rules without a value":     {"rules:\n", noRules},
	"rules that are not a list": {"rules:\n  namespace: a\n  usernames: [b]\n", noRules},
	"a rule that is a text":     {"rules:\n- a\n", "rules[0]: want keys and values: " + ruleKeys},
	"a rule without a value":    {smallest + "-\n", "rules[1]: want keys and values: " + ruleKeys},

	"an unknown key at the top":   {smallest + "rule: []\n", "rule: unknown key, want one of " + topKeys},
	"a key of a rule at the top":  {smallest + "superuser: true\n", "superuser: unknown key, want one of " + topKeys},
	"an unknown key in a rule":    {smallest + "  superUser: true\n", "rules[0].superUser: unknown key, want one of " + ruleKeys},
	"a key of the top in a rule":  {smallest + "  managedGroup: b\n", "rules[0].managedGroup: unknown key, want one of " + ruleKeys},
	"a key in capitals":           {"Rules: []\n", "Rules: unknown key, want one of " + topKeys},
	"a key of the top twice":      {"managedGroup: a\n" + smallest + "managedGroup: a\n", noYAML + `line 5: key "managedGroup" already set in map`},
	"a key of a rule twice":       {smallest + "  superuser: false\n  superuser: true\n", noYAML + `line 5: key "superuser" already set in map`},
	"a key twice, once in quotes": {"rules:\n- namespace: a\n  \"namespace\": b\n", noYAML + `line 3: key "namespace" already set in map`},

	"a managed group without a name":        {"managedGroup: \"\"\n" + smallest, aGroup},
	"a managed group with a blank":          {"managedGroup: \"a \"\n" + smallest, aGroup},
	"a managed group with an escape":        {"managedGroup: \"a\\x9bb\"\n" + smallest, aGroup},
	"a managed group that is too long":      {"managedGroup: " + strings.Repeat("ü", 151) + "\n" + smallest, aGroup},
	"a managed group without a value":       {"managedGroup:\n" + smallest, "managedGroup: " + aString},
	"a managed group that is a list":        {"managedGroup: [a]\n" + smallest, "managedGroup: " + aString},
	"a managed group named as provisioners": {"managedGroup: a-provisioners\n" + smallest, "managedGroup: the groups of provisioners end in -provisioners: choose another name"},

	"no namespace":                       {"rules:\n- usernames: [b]\n", "rules[0].namespace: want the name of a single namespace"},
	"a namespace with a glob":            {"rules:\n- namespace: '*'\n  usernames: [b]\n", "rules[0].namespace: want the name of a single namespace"},
	"a namespace without a value":        {"rules:\n- namespace:\n  usernames: [b]\n", "rules[0].namespace: " + aString},
	"a namespace that is a number":       {"rules:\n- namespace: 12\n  usernames: [b]\n", "rules[0].namespace: " + aString},
	"a namespace that YAML takes for on": {"rules:\n- namespace: on\n  usernames: [b]\n", "rules[0].namespace: " + aString},
	"a namespace that is a list":         {"rules:\n- namespace: [a]\n  usernames: [b]\n", "rules[0].namespace: " + aString},

	"no usernames":                   {"rules:\n- namespace: a\n", "rules[0].usernames: required: globs of the account names that are allowed"},
	"usernames without a value":      {"rules:\n- namespace: a\n  usernames:\n", "rules[0].usernames: " + aList},
	"an empty list of usernames":     {"rules:\n- namespace: a\n  usernames: []\n", "rules[0].usernames: " + aList},
	"usernames that are a text":      {"rules:\n- namespace: a\n  usernames: \"*\"\n", "rules[0].usernames: " + aList},
	"usernames with a number":        {"rules:\n- namespace: a\n  usernames:\n  - b\n  - 12\n", "rules[0].usernames[1]: " + aString},
	"usernames with null":            {"rules:\n- namespace: a\n  usernames: [b, ~]\n", "rules[0].usernames[1]: " + aString},
	"a glob that some shells negate": {"rules:\n- namespace: a\n  usernames: [\"[!a]*\"]\n", `rules[0].usernames: "[!a]*" is not a glob: want letters, digits, @ . + - _, and * and ? in their usual meaning`},
	"a name that no Secret has":      {smallest + "  secrets: [a, Nautobot-Token]\n", `rules[0].secrets: "Nautobot-Token" is not a valid Secret name: want lower-case letters, digits, - and ., with a letter or digit at both ends`},
	"a name that is a path":          {smallest + "  secrets: [..]\n", `rules[0].secrets: ".." is not a valid Secret name: want lower-case letters, digits, - and ., with a letter or digit at both ends`},
	"an owner that is none":          {smallest + "  adoptFrom: [a]\n", `rules[0].adoptFrom: want NAMESPACE/NAME or CLUSTER/NAMESPACE/NAME, as in the last name of the account`},
	"an empty list of Secrets":       {smallest + "  secrets: []\n", "rules[0].secrets: " + aList},
	"Secrets without a value":        {smallest + "  secrets:\n", "rules[0].secrets: " + aList},
	"an empty list of groups":        {smallest + "  groups: []\n", "rules[0].groups: " + aList},
	"owners without a value":         {smallest + "  adoptFrom:\n", "rules[0].adoptFrom: " + aList},

	"superuser: 1":              {smallest + "  superuser: 1\n", "rules[0].superuser: want true or false"},
	"superuser: true in quotes": {smallest + "  superuser: \"true\"\n", "rules[0].superuser: want true or false"},
	"superuser without a value": {smallest + "  superuser:\n", "rules[0].superuser: want true or false"},
	"exclusive: null":           {smallest + "  exclusive: null\n", "rules[0].exclusive: want true or false"},

	"several mistakes": {
		"rule: 1\nrules:\n- namespace: 2\n  usernames: [b]\n- {namespace: c, usernames: [], adopt: maybe}\n",
		"rule: unknown key, want one of " + topKeys + "; rules[0].namespace: " + aString + "; rules[1].adopt: want true or false; rules[1].usernames: " + aList,
	},
	"several mistakes in what the keys mean": {
		"managedGroup: ' '\nrules:\n- {namespace: A, usernames: [b]}\n- {namespace: c}\n",
		aGroup + "; rules[0].namespace: want the name of a single namespace; rules[1].usernames: required: globs of the account names that are allowed",
	},

	"two documents":                        {smallest + "---\n" + smallest, noYAML + "more than one document"},
	"two documents without a line between": {"{rules: [{namespace: a, usernames: [b]}]}\n...\n{rules: []}\n", noYAML + "more than one document"},
	"a second document that is broken":     {smallest + "---\n[\n", noYAML + "more than one document"},
	"an anchor that is not there":          {"rules:\n- *r\n", noYAML + "an alias without an anchor: a text that begins with * needs quotes"},
	"a list as a key":                      {smallest + "  ? [c]\n  : d\n", noYAML + "not YAML or JSON"},
	"a number that is none":                {"managedGroup: !!int canary\n", noYAML + "not YAML or JSON"},
	"a tab for blanks":                     {"rules:\n- namespace: a\n\tusernames: [b]\n", noYAML + "line 3: found a tab character that violates indentation"},
	"a NUL":                                {"rules:\x00\n", noYAML + "control characters are not allowed"},
	"an invalid byte":                      {"rules: \xC3\x28\n", noYAML + "invalid trailing UTF-8 octet"},
	"a quote that stays open":              {"managedGroup: \"a\n", noYAML + "line 2: found unexpected end of stream"},
	"aliases that multiply":                {aliasBomb(), noYAML + "document contains excessive aliasing"},
}

// aliasBomb is YAML that would grow to 10^10 strings.
func aliasBomb() string {
	text := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := '1'; i <= '9'; i++ {
		text += fmt.Sprintf("a%c: &a%c [%s*a%c]\n", i, i, strings.Repeat(fmt.Sprintf("*a%c,", i-1), 9), i-1)
	}
	return text
}

func TestParsePolicyRefusesEveryMistake(t *testing.T) {
	for name, test := range badPolicies {
		t.Run(name, func(t *testing.T) {
			_, err := parsePolicy([]byte(test.text))
			if diff := cmp.Diff(test.want, fmt.Sprint(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadPolicy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	write(everyKeyPolicy)
	policy, err := readPolicy(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if policy.File != file || len(policy.Rules) != 2 {
		t.Errorf("got file %q and %d rules, want %q and 2", policy.File, len(policy.Rules), file)
	}

	// The largest file that is accepted; one byte more, and it is not even parsed.
	filler := everyKeyPolicy + "#" + strings.Repeat("x", maxFile-len(everyKeyPolicy)-1)
	write(filler)
	if _, err := readPolicy(t.Context(), file); err != nil {
		t.Errorf("%d bytes: %v", len(filler), err)
	}
	for name, text := range map[string]string{"one byte more": filler + "x", "2 MB of zeros": strings.Repeat("\x00", 2<<20)} {
		write(text)
		if _, err := readPolicy(t.Context(), file); err == nil || err.Error() != "the file is larger than 1048576 bytes" {
			t.Errorf("%s: got error %v", name, err)
		}
	}

	if _, err := readPolicy(t.Context(), file+".gone"); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "gone") {
		t.Errorf("a file that is not there: got error %v", err)
	}
	if _, err := readPolicy(t.Context(), filepath.Dir(file)); err == nil || err.Error() != "is a directory" {
		t.Errorf("a directory: got error %v", err)
	}
}

// The order in the file decides, not how closely a rule matches.
func TestFirstRuleOfAFileWins(t *testing.T) {
	policy, err := parsePolicy([]byte(`rules:
- namespace: openstack
  usernames: ["*"]
- namespace: openstack
  secrets: [nautobot-token]
  usernames: [nova]
  superuser: true
`))
	if err != nil {
		t.Fatal(err)
	}
	rule, err := policy.Allow(provision.Secret{Namespace: "openstack", Name: "nautobot-token"}, "nova")
	if err != nil || rule.Superuser {
		t.Errorf("got rule %+v and error %v, want the first", rule, err)
	}
}

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
		"a group that does not exist":           {func(*world) {}, nil, exitRefused, "refused"},
		"a username that no rule allows":        {func(w *world) { w.put("username", "svc-other") }, nil, exitRefused, "Secret openstack/nautobot-token may have an account called *-openstack"},
		"a Secret that no rule is for":          {func(w *world) { w.kube.Remove("openstack/nautobot-token") }, []string{"-n", "nautobot", "--"}, exitRefused, "there is no Secret"},
		"a flag that takes the place of a rule": {func(*world) {}, []string{"--superuser"}, exitUsage, ""},
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
	w.kube.Put("openstack/nautobot-token", values)
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

func FuzzPolicyRules(f *testing.F) {
	f.Add([]byte(everyKeyPolicy))
	for _, test := range badPolicies {
		f.Add([]byte(test.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := parsePolicy(text)
		again, errAgain := parsePolicy(text)
		if fmt.Sprint(err) != fmt.Sprint(errAgain) || err == nil && !cmp.Equal(policy, again) {
			t.Fatalf("asked twice, answered differently: %v, %v", err, errAgain)
		}
		if err != nil {
			if len(policy.Rules) > 0 {
				t.Errorf("got error %q and %d rules all the same", err, len(policy.Rules))
			}
			return
		}
		if provision.ValidateManagedGroup(policy.ManagedGroup) != nil || len(policy.Rules) == 0 {
			t.Errorf("accepted a policy with managed group %q and %d rules", policy.ManagedGroup, len(policy.Rules))
		}
		for i, rule := range policy.Rules {
			if key, err := rule.Validate(); err != nil {
				t.Errorf("accepted a rule with %s: %v", key, err)
			}
			if rule.Namespace == "" || len(rule.Secrets) == 0 {
				t.Errorf("accepted rule %d with namespace %q and Secrets %q", i, rule.Namespace, rule.Secrets)
			}
		}
	})
}

// An error fits on a screen, whatever the file holds.
func TestPolicyWithManyMistakes(t *testing.T) {
	_, err := parsePolicy([]byte("rules:\n" + strings.Repeat("- {namespace: a, usernames: [a], wrong: a}\n", 1000)))
	if err == nil || !strings.HasSuffix(err.Error(), "; and 980 more") || len(err.Error()) > 4000 {
		t.Errorf("error is %.200v", err)
	}
}
