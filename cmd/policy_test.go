package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
    exclusive: true
  - namespace: nautobot
    secrets:
      - "site-*"
    usernames:
      - 'site-*-token'
    superuser: true
    adopt: true
`

func TestParsePolicyTakes(t *testing.T) {
	smallest := provision.Policy{
		ManagedGroup: "nautobot-token-managed",
		Rules:        []provision.Rule{{Line: 2, Namespace: "a", Secrets: []string{"*"}, Usernames: []string{"b"}}},
	}
	tests := map[string]struct {
		text string
		want provision.Policy
	}{
		"with every key": {everyKeyPolicy, provision.Policy{
			ManagedGroup: "token-managed",
			Rules: []provision.Rule{
				{
					Line: 4, Namespace: "openstack", Secrets: []string{"nautobot-token"}, Usernames: []string{"*-openstack", "nova"},
					Groups: []string{"openstack-services"}, Exclusive: true,
				},
				{Line: 11, Namespace: "nautobot", Secrets: []string{"site-*"}, Usernames: []string{"site-*-token"}, Superuser: true, Adopt: true},
			},
		}},
		"the least there can be":        {"rules:\n- namespace: a\n  usernames: [b]\n", smallest},
		"with line ends of Windows":     {"rules:\r\n- namespace: a\r\n  usernames: [b]\r\n", smallest},
		"without a newline at the end":  {"rules:\n- namespace: a\n  usernames: [b]", smallest},
		"with the end of the document":  {"rules:\n- namespace: a\n  usernames: [b]\n...\n", smallest},
		"in the words of JSON":          {"{\"rules\":\n[{\"namespace\": \"a\", \"usernames\": [\"b\"]}]}", smallest},
		"with comments":                 {"rules: # one\n- namespace: a # two\n  # three\n  usernames: [b] # four\n# five\n", smallest},
		"true and false in capitals":    {"rules:\n- namespace: a\n  usernames: [b]\n  superuser: False\n  adopt: FALSE\n", smallest},
		"numbers in quotes":             {"rules:\n- namespace: \"a\"\n  usernames: [\"b\"]\n", smallest},
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
	ruleKeys = "namespace, secrets, usernames, groups, superuser, adopt, exclusive"
	noRules  = "want a list of rules: without any, every Secret is refused"
)

// badPolicies are files with one mistake each, and what is said about it.
var badPolicies = map[string]struct{ text, want string }{
	"an empty file":     {"", "1: the file is empty; want rules:"},
	"comments alone":    {"# rules:\n", "1: the file is empty; want rules:"},
	"an empty document": {"---\n", "2: want keys and values: " + topKeys},
	"null":              {"null\n", "1: want keys and values: " + topKeys},
	"a text":            {"rules\n", "1: want keys and values: " + topKeys},
	"a list":            {"- namespace: a\n  usernames: [b]\n", "1: want keys and values: " + topKeys},

	"no rules":               {"managedGroup: a\n", "1: rules: " + noRules},
	"an empty list of rules": {"rules: []\n", "1: rules: " + noRules},
	"rules without a value":  {"rules:\n", "1: rules: " + noRules},
	"rules that are no list": {"rules:\n  namespace: a\n  usernames: [b]\n", "2: rules: " + noRules},
	"an empty list of rules further down": {
		"managedGroup: a\n\nrules: []\n", "3: rules: " + noRules,
	},
	"a rule that is a text":  {"rules:\n- a\n", "2: want keys and values: " + ruleKeys},
	"a rule without a value": {"rules:\n- namespace: a\n  usernames: [b]\n-\n", "4: want keys and values: " + ruleKeys},
	"a rule that is a list":  {"rules:\n- [a]\n", "2: want keys and values: " + ruleKeys},

	"an unknown key at the top": {"rule:\n- namespace: a\n", "1: rule: is no key of a policy; known here: " + topKeys},
	"a key of a rule at the top": {
		"rules:\n- namespace: a\n  usernames: [b]\nsuperuser: true\n", "4: superuser: is no key of a policy; known here: " + topKeys,
	},
	"an unknown key in a rule": {
		"rules:\n- namespace: a\n  usernames: [b]\n  superUser: true\n", "4: superUser: is no key of a policy; known here: " + ruleKeys,
	},
	"a key of the top in a rule": {
		"rules:\n- namespace: a\n  managedGroup: b\n", "3: managedGroup: is no key of a policy; known here: " + ruleKeys,
	},
	"a key in capitals": {"Rules: []\n", "1: Rules: is no key of a policy; known here: " + topKeys},
	"a key of the top twice": {
		"managedGroup: a\nrules:\n- namespace: a\n  usernames: [b]\nmanagedGroup: a\n", "5: managedGroup: stands there twice",
	},
	"a key of a rule twice": {
		"rules:\n- namespace: a\n  usernames: [b]\n  superuser: false\n  superuser: true\n", "5: superuser: stands there twice",
	},
	"a key twice, once in quotes": {"rules:\n- namespace: a\n  \"namespace\": b\n", "3: namespace: stands there twice"},

	"a managed group without a name": {"managedGroup: \"\"\nrules: []\n", "1: managedGroup: want the name of a group"},
	"a managed group with a blank":   {"managedGroup: \"a \"\nrules: []\n", "1: managedGroup: want the name of a group"},
	"a managed group without value":  {"managedGroup:\nrules: []\n", "1: managedGroup: want a text"},
	"a managed group that is a list": {"managedGroup: [a]\nrules: []\n", "1: managedGroup: want a text"},
	"a managed group that is a date": {"managedGroup: 2026-11-24\nrules: []\n", "1: managedGroup: want a text"},

	"no namespace":                {"rules:\n- usernames: [b]\n", "2: namespace: want the name of one namespace"},
	"a namespace without a value": {"rules:\n- namespace:\n  usernames: [b]\n", "2: namespace: want a text"},
	"a namespace that is a number": {
		"rules:\n- namespace: 12\n  usernames: [b]\n", "2: namespace: want a text",
	},
	"a namespace that is a list": {"rules:\n- namespace: [a]\n  usernames: [b]\n", "2: namespace: want a text"},

	"no usernames":                  {"rules:\n- namespace: a\n", "2: usernames: is required: globs of the account names that are allowed"},
	"usernames without a value":     {"rules:\n- namespace: a\n  usernames:\n", "3: usernames: want a list of texts"},
	"an empty list of usernames":    {"rules:\n- namespace: a\n  usernames: []\n", "3: usernames: want a list of texts"},
	"usernames that are a text":     {"rules:\n- namespace: a\n  usernames: \"*\"\n", "3: usernames: want a list of texts"},
	"usernames with a number":       {"rules:\n- namespace: a\n  usernames:\n  - b\n  - 12\n", "5: usernames: want a text"},
	"usernames with null":           {"rules:\n- namespace: a\n  usernames: [b, ~]\n", "3: usernames: want a text"},
	"usernames with a list":         {"rules:\n- namespace: a\n  usernames: [[b]]\n", "3: usernames: want a text"},
	"usernames with nothing in one": {"rules:\n- namespace: a\n  usernames: [\"\"]\n", `3: usernames: "" is not a glob`},
	"usernames with a bad glob":     {"rules:\n- namespace: a\n  usernames: [\"a[\"]\n", `3: usernames: "a[" is not a glob`},
	"an empty list of Secrets":      {"rules:\n- namespace: a\n  usernames: [b]\n  secrets: []\n", "4: secrets: want a list of texts"},
	"Secrets without a value":       {"rules:\n- namespace: a\n  usernames: [b]\n  secrets:\n", "4: secrets: want a list of texts"},
	"Secrets with a bad glob":       {"rules:\n- namespace: a\n  usernames: [b]\n  secrets: [\"[]\"]\n", `4: secrets: "[]" is not a glob`},
	"groups that are a text":        {"rules:\n- namespace: a\n  usernames: [b]\n  groups: admins\n", "4: groups: want a list of texts"},
	"a group without a name":        {"rules:\n- namespace: a\n  usernames: [b]\n  groups: [\"\"]\n", `4: groups: "" is not a name of a group`},
	"a group with a blank":          {"rules:\n- namespace: a\n  usernames: [b]\n  groups: [\" a\"]\n", `4: groups: " a" is not a name of a group`},

	"superuser: yes":                {"rules:\n- namespace: a\n  usernames: [b]\n  superuser: yes\n", "4: superuser: want true or false"},
	"superuser: on":                 {"rules:\n- namespace: a\n  usernames: [b]\n  superuser: on\n", "4: superuser: want true or false"},
	"superuser: 1":                  {"rules:\n- namespace: a\n  usernames: [b]\n  superuser: 1\n", "4: superuser: want true or false"},
	"superuser: true in quotes":     {"rules:\n- namespace: a\n  usernames: [b]\n  superuser: \"true\"\n", "4: superuser: want true or false"},
	"superuser: yes, called a bool": {"rules:\n- namespace: a\n  usernames: [b]\n  superuser: !!bool yes\n", "4: superuser: want true or false"},
	"superuser: yes in YAML 1.1": {
		"%YAML 1.1\n---\nrules:\n- namespace: a\n  usernames: [b]\n  superuser: yes\n", "6: superuser: want true or false",
	},
	"superuser without a value": {"rules:\n- namespace: a\n  usernames: [b]\n  superuser:\n", "4: superuser: want true or false"},
	"superuser as a list":       {"rules:\n- namespace: a\n  usernames: [b]\n  superuser: [true]\n", "4: superuser: want true or false"},
	"adopt: true in quotes":     {"rules:\n- namespace: a\n  usernames: [b]\n  adopt: 'true'\n", "4: adopt: want true or false"},
	"exclusive: null":           {"rules:\n- namespace: a\n  usernames: [b]\n  exclusive: null\n", "4: exclusive: want true or false"},
	"a tag of its own":          {"rules:\n- namespace: !name a\n  usernames: [b]\n", "2: namespace: want a text"},
	"a binary":                  {"rules:\n- namespace: !!binary YQ==\n  usernames: [b]\n", "2: namespace: want a text"},

	"an anchor on a value":        {"rules:\n- namespace: &a a\n  usernames: [b]\n", "2: namespace: want a text"},
	"an anchor on a list":         {"rules:\n- namespace: a\n  usernames: &b [b]\n", "3: usernames: want a list of texts"},
	"an anchor in a list":         {"rules:\n- namespace: a\n  usernames: [&b b]\n", "3: usernames: want a text"},
	"an anchor on a rule":         {"rules:\n- &r\n  namespace: a\n  usernames: [b]\n", "2: want keys and values: " + ruleKeys},
	"an anchor on the document":   {"&d\nrules: []\n", "1: want keys and values: " + topKeys},
	"an alias":                    {"rules:\n- namespace: &a a\n  usernames: [*a]\n", "2: namespace: want a text"},
	"an alias of a list":          {"managedGroup: &g a\nrules: *g\n", "1: managedGroup: want a text"},
	"a merge key":                 {"rules:\n- namespace: a\n  usernames: [b]\n  <<: {superuser: true}\n", "4: <<: is no key of a policy; known here: " + ruleKeys},
	"a merge key with an alias":   {"rules:\n- &r\n  namespace: a\n- <<: *r\n", "2: want keys and values: " + ruleKeys},
	"an anchor that is not there": {"rules:\n- *r\n", "1: unknown anchor 'r' referenced"},

	"two documents":                    {"rules:\n- namespace: a\n  usernames: [b]\n---\nrules: []\n", "4: want one YAML document"},
	"a document that begins after it":  {"rules:\n- namespace: a\n  usernames: [b]\n---\n", "4: want one YAML document"},
	"a second document that is broken": {"rules:\n- namespace: a\n  usernames: [b]\n---\n[\n", "5: did not find expected node content"},

	"a tab for blanks":        {"rules:\n- namespace: a\n\tusernames: [b]\n", "2: found a tab character that violates indentation"},
	"a tab at the beginning":  {"\trules: []\n", "1: found character that cannot start any token"},
	"a NUL":                   {"rules:\x00\n", "1: control characters are not allowed"},
	"an executable":           {"\x7FELF\x02\x01\x01\x00", "1: control characters are not allowed"},
	"an invalid byte":         {"rules: \xC3\x28\n", "1: invalid trailing UTF-8 octet"},
	"half a character":        {"rules: \xC3", "1: incomplete UTF-8 octet sequence"},
	"a mapping in a mapping":  {"rules: a: b\n", "1: mapping values are not allowed in this context"},
	"a quote that stays open": {"managedGroup: \"a\n", "2: found unexpected end of stream"},
}

func TestParsePolicyRefusesEveryMistake(t *testing.T) {
	for name, test := range badPolicies {
		t.Run(name, func(t *testing.T) {
			for range 10 { // always the same
				_, err := parsePolicy([]byte(test.text))
				if diff := cmp.Diff(test.want, fmt.Sprint(err)); diff != "" {
					t.Fatalf("error (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestParsePolicyTakesPlainKeysOnly: what a file says has to be there to read,
// at the place where it counts.
func TestParsePolicyTakesPlainKeysOnly(t *testing.T) {
	tests := map[string]struct{ text, line string }{
		"a list as a key":               {"rules:\n- namespace: a\n  ? [b]\n  : c\n", "3"},
		"an alias as a key":             {"rules:\n- &superuser namespace: a\n  usernames: [b]\n  *superuser : true\n", "2"},
		"an alias as a key of the top":  {"managedGroup: a\n&managedGroup rules: []\n*managedGroup : b\n", "2"},
		"an anchor on a key":            {"rules:\n- &x namespace: a\n  usernames: [b]\n", "2"},
		"an anchor on a key of the top": {"&x rules:\n- namespace: a\n  usernames: [b]\n", "1"},
		"an anchor on the rules":        {"rules: &r\n- namespace: a\n  usernames: [b]\n", "1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policy, err := parsePolicy([]byte(test.text))
			if err == nil {
				t.Fatalf("accepted: %+v", policy.Rules)
			}
			if line, _, _ := strings.Cut(err.Error(), ": "); line != test.line {
				t.Errorf("got error %q, want one at line %s", err, test.line)
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
	policy, err := readPolicy(file)
	if err != nil {
		t.Fatal(err)
	}
	if policy.File != file || len(policy.Rules) != 2 {
		t.Errorf("got file %q and %d rules, want %q and 2", policy.File, len(policy.Rules), file)
	}

	// The largest that is taken, and one byte more.
	filler := everyKeyPolicy + "#" + strings.Repeat("x", maxPolicy-len(everyKeyPolicy)-1)
	write(filler)
	if _, err := readPolicy(file); err != nil {
		t.Errorf("%d bytes: %v", len(filler), err)
	}
	write(filler + "x")
	if _, err := readPolicy(file); err == nil || err.Error() != file+" is larger than 1048576 bytes" {
		t.Errorf("%d bytes: got error %v", len(filler)+1, err)
	}
	write(strings.Repeat("\x00", 2<<20))
	if _, err := readPolicy(file); err == nil || err.Error() != file+" is larger than 1048576 bytes" {
		t.Errorf("2 MB of zeros: got error %v", err)
	}

	for name, test := range badPolicies {
		write(test.text)
		if _, err := readPolicy(file); err == nil || err.Error() != file+":"+test.want {
			t.Errorf("%s: got error %v, want %s:%s", name, err, file, test.want)
		}
	}

	if _, err := readPolicy(file + ".gone"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file+".gone") {
		t.Errorf("a file that is not there: got error %v", err)
	}
	if _, err := readPolicy(filepath.Dir(file)); err == nil || !strings.Contains(err.Error(), filepath.Dir(file)) {
		t.Errorf("a directory: got error %v", err)
	}
}

// TestFirstRuleOfAFileWins: the order in the file decides, not how closely a
// rule matches.
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
	if err != nil || rule.Line != 2 || rule.Superuser {
		t.Errorf("got rule %+v and error %v, want that of line 2", rule, err)
	}
}

func FuzzPolicyRules(f *testing.F) {
	f.Add([]byte(everyKeyPolicy))
	for _, test := range badPolicies {
		f.Add([]byte(test.text))
	}
	atLine := regexp.MustCompile(`^[0-9]+: `)
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := parsePolicy(text)
		again, errAgain := parsePolicy(text)
		if fmt.Sprint(err) != fmt.Sprint(errAgain) || err == nil && !cmp.Equal(policy, again) {
			t.Fatalf("asked twice, answered differently: %v, %v", err, errAgain)
		}
		if err != nil {
			if !atLine.MatchString(err.Error()) {
				t.Errorf("got error %q, which does not begin with a line", err)
			}
			return
		}
		if policy.ManagedGroup == "" || len(policy.Rules) == 0 {
			t.Errorf("accepted a policy with managed group %q and %d rules", policy.ManagedGroup, len(policy.Rules))
		}
		for _, rule := range policy.Rules {
			if key, err := rule.Validate(); err != nil {
				t.Errorf("accepted a rule with %s: %v", key, err)
			}
			if rule.Line < 1 || rule.Namespace == "" || len(rule.Secrets) == 0 {
				t.Errorf("accepted a rule at line %d with namespace %q and Secrets %q", rule.Line, rule.Namespace, rule.Secrets)
			}
		}
	})
}
