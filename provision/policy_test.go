package provision

import (
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPolicyAllow(t *testing.T) {
	policy := Policy{
		File: "policy.yaml",
		Rules: []Rule{
			{Line: 2, Namespace: "openstack", Secrets: []string{"nautobot-token"}, Usernames: []string{"*-openstack", "nova"}},
			{Line: 5, Namespace: "openstack", Secrets: []string{"*"}, Usernames: []string{"*"}, Groups: []string{"openstack-services"}},
			{Line: 9, Namespace: "nautobot", Secrets: []string{"site-*"}, Usernames: []string{"site-?-token"}, Superuser: true},
			{Line: 13, Namespace: "nautobot", Secrets: []string{"site-*", "old-site"}, Usernames: []string{"*"}, Adopt: true},
			{Line: 17, Namespace: "", Secrets: []string{"everywhere"}, Usernames: []string{"*"}, Exclusive: true},
		},
	}
	tests := map[string]struct {
		namespace, name, username string
		line                      int
		err                       string
	}{
		"the first rule":                    {"openstack", "nautobot-token", "lab-openstack", 2, ""},
		"the second glob of usernames":      {"openstack", "nautobot-token", "nova", 2, ""},
		"the second rule":                   {"openstack", "other", "admin", 5, ""},
		"a glob of one character":           {"nautobot", "site-a", "site-a-token", 9, ""},
		"the second glob of Secrets":        {"nautobot", "old-site", "x", 13, ""},
		"a rule for every namespace":        {"kube-system", "everywhere", "x", 17, ""},
		"it comes after the namespace's":    {"openstack", "everywhere", "x", 5, ""},
		"the first rule wins, and refuses":  {"openstack", "nautobot-token", "admin", 0, `policy policy.yaml, line 2: Secret openstack/nautobot-token may have an account called *-openstack or nova, not "admin": change the username in the Secret, or usernames in the rule`},
		"a later rule does not help":        {"nautobot", "site-a", "site-ab-token", 0, `policy policy.yaml, line 9: Secret nautobot/site-a may have an account called site-?-token, not "site-ab-token": change the username in the Secret, or usernames in the rule`},
		"the whole username counts":         {"openstack", "nautobot-token", "lab-openstack2", 0, `policy policy.yaml, line 2: Secret openstack/nautobot-token may have an account called *-openstack or nova, not "lab-openstack2": change the username in the Secret, or usernames in the rule`},
		"case counts":                       {"openstack", "nautobot-token", "Nova", 0, `policy policy.yaml, line 2: Secret openstack/nautobot-token may have an account called *-openstack or nova, not "Nova": change the username in the Secret, or usernames in the rule`},
		"no rule for the namespace":         {"default", "nautobot-token", "nova", 0, `policy policy.yaml has no rule for Secret default/nautobot-token: it needs one with namespace: default, secrets: that match "nautobot-token", and usernames: that match "nova"`},
		"no rule for the name":              {"nautobot", "sites-a", "nova", 0, `policy policy.yaml has no rule for Secret nautobot/sites-a: it needs one with namespace: nautobot, secrets: that match "sites-a", and usernames: that match "nova"`},
		"a namespace that begins as a rule": {"openstack2", "nautobot-token", "nova", 0, `policy policy.yaml has no rule for Secret openstack2/nautobot-token: it needs one with namespace: openstack2, secrets: that match "nautobot-token", and usernames: that match "nova"`},
		"a namespace is no glob":            {"*", "nautobot-token", "nova", 0, `policy policy.yaml has no rule for Secret */nautobot-token: it needs one with namespace: *, secrets: that match "nautobot-token", and usernames: that match "nova"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rule, err := policy.Allow(Secret{Namespace: test.namespace, Name: test.name}, test.username)
			var want Rule
			for _, rule := range policy.Rules {
				if rule.Line == test.line {
					want = rule
				}
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

func TestRuleCheck(t *testing.T) {
	rule := func(change func(*Rule)) Rule {
		r := Rule{Namespace: "openstack", Secrets: []string{"*"}, Usernames: []string{"a-*"}, Groups: []string{"group"}}
		change(&r)
		return r
	}
	tests := map[string]struct {
		rule     Rule
		key, err string
	}{
		"as it should be":           {rule(func(*Rule) {}), "", ""},
		"no Secrets and no groups":  {rule(func(r *Rule) { r.Secrets, r.Groups = nil, nil }), "", ""},
		"globs of every kind":       {rule(func(r *Rule) { r.Usernames = []string{"*", "?", "[a-z]*", "[^a]", `\*`, "a"} }), "", ""},
		"no usernames":              {rule(func(r *Rule) { r.Usernames = nil }), "usernames", "is required: globs of the account names that are allowed"},
		"an empty username":         {rule(func(r *Rule) { r.Usernames = []string{"a", ""} }), "usernames", `"" is not a glob`},
		"an open bracket":           {rule(func(r *Rule) { r.Usernames = []string{"a[b"} }), "usernames", `"a[b" is not a glob`},
		"an open bracket behind *":  {rule(func(r *Rule) { r.Usernames = []string{"*["} }), "usernames", `"*[" is not a glob`},
		"an empty class":            {rule(func(r *Rule) { r.Usernames = []string{"[]"} }), "usernames", `"[]" is not a glob`},
		"half a range":              {rule(func(r *Rule) { r.Usernames = []string{"[a-]"} }), "usernames", `"[a-]" is not a glob`},
		"a backslash at the end":    {rule(func(r *Rule) { r.Usernames = []string{`a\`} }), "usernames", `"a\\" is not a glob`},
		"a Secret that is no glob":  {rule(func(r *Rule) { r.Secrets = []string{"*", "["} }), "secrets", `"[" is not a glob`},
		"an empty Secret":           {rule(func(r *Rule) { r.Secrets = []string{""} }), "secrets", `"" is not a glob`},
		"a group without a name":    {rule(func(r *Rule) { r.Groups = []string{"group", ""} }), "groups", `"" is not a name of a group`},
		"a group with a blank":      {rule(func(r *Rule) { r.Groups = []string{"group "} }), "groups", `"group " is not a name of a group`},
		"a group of 150":            {rule(func(r *Rule) { r.Groups = []string{strings.Repeat("g", 150)} }), "", ""},
		"a group of 150, not ASCII": {rule(func(r *Rule) { r.Groups = []string{strings.Repeat("ü", 150)} }), "", ""},
		"a group of 151":            {rule(func(r *Rule) { r.Groups = []string{strings.Repeat("g", 151)} }), "groups", `"` + strings.Repeat("g", 151) + `" is not a name of a group`},
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

// TestGlobsThatAreAcceptedNeverFail tries every short pattern: one that failed
// on some names only would be a rule that silently does not match.
func TestGlobsThatAreAcceptedNeverFail(t *testing.T) {
	names := []string{"", "a", "ab", "-", "[", "]", "a-b", "a]b", `a\b`, "ba", "aaaa"}
	var try func(pattern string)
	try = func(pattern string) {
		if isGlob(pattern) {
			for _, name := range names {
				if _, err := path.Match(pattern, name); err != nil {
					t.Errorf("%q is accepted, but on %q: %v", pattern, name, err)
				}
			}
		}
		if len(pattern) == 5 {
			return
		}
		for _, c := range `[]^-\*?a` {
			try(pattern + string(c))
		}
	}
	try("")
}
