package provision

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPolicyAllow(t *testing.T) {
	policy := Policy{
		File: "policy.yaml",
		Rules: []Rule{
			{Namespace: "openstack", Secrets: []string{"nautobot-token"}, Usernames: []string{"*-openstack", "nova"}},
			{Namespace: "openstack", Secrets: []string{"*"}, Usernames: []string{"*"}, Groups: []string{"openstack-services"}},
			{Namespace: "nautobot", Secrets: []string{"site-*"}, Usernames: []string{"site-?-token"}, Superuser: true},
			{Namespace: "nautobot", Secrets: []string{"site-*", "old-site"}, Usernames: []string{"*"}, Adopt: true},
			{Namespace: "", Secrets: []string{"everywhere"}, Usernames: []string{"*"}, Exclusive: true},
		},
	}
	tests := map[string]struct {
		namespace, name, username string
		rule                      int // -1: none
		err                       string
	}{
		"the first rule":                    {"openstack", "nautobot-token", "lab-openstack", 0, ""},
		"the second glob of usernames":      {"openstack", "nautobot-token", "nova", 0, ""},
		"the second rule":                   {"openstack", "other", "admin", 1, ""},
		"a glob of one character":           {"nautobot", "site-a", "site-a-token", 2, ""},
		"the second glob of Secrets":        {"nautobot", "old-site", "x", 3, ""},
		"a rule for every namespace":        {"kube-system", "everywhere", "x", 4, ""},
		"it comes after the namespace's":    {"openstack", "everywhere", "x", 1, ""},
		"the first rule wins, and refuses":  {"openstack", "nautobot-token", "admin", -1, `policy policy.yaml, rules[0]: Secret openstack/nautobot-token may have an account called *-openstack or nova, not "admin": change the username in the Secret, or usernames in the rule`},
		"a later rule does not help":        {"nautobot", "site-a", "site-ab-token", -1, `policy policy.yaml, rules[2]: Secret nautobot/site-a may have an account called site-?-token, not "site-ab-token": change the username in the Secret, or usernames in the rule`},
		"the whole username counts":         {"openstack", "nautobot-token", "lab-openstack2", -1, `policy policy.yaml, rules[0]: Secret openstack/nautobot-token may have an account called *-openstack or nova, not "lab-openstack2": change the username in the Secret, or usernames in the rule`},
		"case counts":                       {"openstack", "nautobot-token", "Nova", -1, `policy policy.yaml, rules[0]: Secret openstack/nautobot-token may have an account called *-openstack or nova, not "Nova": change the username in the Secret, or usernames in the rule`},
		"no rule for the namespace":         {"default", "nautobot-token", "nova", -1, `policy policy.yaml has no rule for Secret default/nautobot-token: it needs one with namespace: default, secrets: that match "nautobot-token", and usernames: that match "nova"`},
		"no rule for the name":              {"nautobot", "sites-a", "nova", -1, `policy policy.yaml has no rule for Secret nautobot/sites-a: it needs one with namespace: nautobot, secrets: that match "sites-a", and usernames: that match "nova"`},
		"a namespace that begins as a rule": {"openstack2", "nautobot-token", "nova", -1, `policy policy.yaml has no rule for Secret openstack2/nautobot-token: it needs one with namespace: openstack2, secrets: that match "nautobot-token", and usernames: that match "nova"`},
		"a namespace is not a glob":         {"*", "nautobot-token", "nova", -1, `policy policy.yaml has no rule for Secret */nautobot-token: it needs one with namespace: *, secrets: that match "nautobot-token", and usernames: that match "nova"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rule, err := policy.Allow(Secret{Namespace: test.namespace, Name: test.name}, test.username)
			var want Rule
			if test.rule >= 0 {
				want = policy.Rules[test.rule]
			}
			if diff := cmp.Diff(want, rule); diff != "" {
				t.Errorf("rule (-want +got):\n%s", diff)
			}
			got := ""
			if err != nil {
				got = err.Error()
				if !errors.As(err, new(*Refusal)) {
					t.Errorf("got an error of type %T, want a *Refusal", err)
				}
			}
			if diff := cmp.Diff(test.err, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPolicyWithoutRulesAllowsNothing(t *testing.T) {
	_, err := Policy{File: "policy.yaml"}.Allow(Secret{Namespace: "a", Name: "b"}, "c")
	if !errors.As(err, new(*Refusal)) {
		t.Errorf("got %v, want a *Refusal", err)
	}
}

func TestRuleValidate(t *testing.T) {
	rule := func(change func(*Rule)) Rule {
		r := Rule{Namespace: "openstack", Secrets: []string{"*"}, Usernames: []string{"a-*"}, Groups: []string{"group"}}
		change(&r)
		return r
	}
	tests := map[string]struct {
		rule     Rule
		key, err string
	}{
		"as it should be":             {rule(func(*Rule) {}), "", ""},
		"no Secrets and no groups":    {rule(func(r *Rule) { r.Secrets, r.Groups = nil, nil }), "", ""},
		"globs of every kind":         {rule(func(r *Rule) { r.Usernames = []string{"*", "?", "a-?*@.+_"} }), "", ""},
		"no usernames":                {rule(func(r *Rule) { r.Usernames = nil }), "usernames", "required: globs of the account names that are allowed"},
		"an empty username":           {rule(func(r *Rule) { r.Usernames = []string{"a", ""} }), "usernames", errGlob("").Error()},
		"an open bracket":             {rule(func(r *Rule) { r.Usernames = []string{"a[b"} }), "usernames", errGlob("a[b").Error()},
		"an open bracket behind *":    {rule(func(r *Rule) { r.Usernames = []string{"*["} }), "usernames", errGlob("*[").Error()},
		"an empty class":              {rule(func(r *Rule) { r.Usernames = []string{"[]"} }), "usernames", errGlob("[]").Error()},
		"half a range":                {rule(func(r *Rule) { r.Usernames = []string{"[a-]"} }), "usernames", errGlob("[a-]").Error()},
		"a backslash at the end":      {rule(func(r *Rule) { r.Usernames = []string{`a\`} }), "usernames", errGlob("a\\").Error()},
		"a Secret that is not a glob": {rule(func(r *Rule) { r.Secrets = []string{"*", "["} }), "secrets", errGlob("[").Error()},
		"an empty Secret":             {rule(func(r *Rule) { r.Secrets = []string{""} }), "secrets", errGlob("").Error()},
		"a group without a name":      {rule(func(r *Rule) { r.Groups = []string{"group", ""} }), "groups", validateGroup("").Error()},
		"a group with a blank":        {rule(func(r *Rule) { r.Groups = []string{"group "} }), "groups", validateGroup("group ").Error()},
		"a group of 150":              {rule(func(r *Rule) { r.Groups = []string{strings.Repeat("g", 150)} }), "", ""},
		"a group of 150, not ASCII":   {rule(func(r *Rule) { r.Groups = []string{strings.Repeat("ü", 150)} }), "", ""},
		"a group of 151":              {rule(func(r *Rule) { r.Groups = []string{strings.Repeat("g", 151)} }), "groups", validateGroup(strings.Repeat("g", 151)).Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := test.rule.Validate()
			got := ""
			if err != nil {
				got = err.Error()
			}
			if key != test.key || got != test.err {
				t.Errorf("got %q, %q; want %q, %q", key, got, test.key, test.err)
			}
		})
	}
}

// Shells disagree about everything except * and ?: the rest is a mistake, never a
// rule that matches something other than its author thinks.
func TestGlobsAreStarsAndQuestionMarks(t *testing.T) {
	for _, text := range []string{"[!a]*", "[^a]*", "[a-z]*", "{a,b}", `\*`, `a\`, "a b", "a/b", "ü*", "a,b", "!a", "a\n"} {
		if isGlob(text) {
			t.Errorf("%q is accepted", text)
		}
	}
	for glob, names := range map[string][]string{
		"*": {"a", "a.b@c"}, "?": {"a", "-"}, "a-*": {"a-", "a-b"}, "*.b": {"a.b"}, "a+b@c_d": {"a+b@c_d"},
	} {
		if !isGlob(glob) {
			t.Errorf("%q is not accepted", glob)
		}
		for _, name := range names {
			if !matches([]string{glob}, name) || matches([]string{glob}, "x/"+name) {
				t.Errorf("%q and %q do not match as they should", glob, name)
			}
		}
	}
}

func TestAdoptFrom(t *testing.T) {
	for owner, valid := range map[string]bool{
		"ns/name": true, "lab/ns/name": true, "old-ns/*": true, "*/*/*": true, "lab.example.com/ns/na.me": true,
		"": false, "*": false, "name": false, "/name": false, "ns/": false, "a/b/c/d": false, "a//c": false, "[a]/b": false,
	} {
		key, err := Rule{Usernames: []string{"*"}, AdoptFrom: []string{owner}}.Validate()
		if valid != (err == nil) || !valid && key != "adoptFrom" {
			t.Errorf("%q: %q, %v", owner, key, err)
		}
	}
}
