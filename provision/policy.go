package provision

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultManagedGroup is the group that every account we create is a member
// of. The permission of the same name lets its members manage their own tokens.
const DefaultManagedGroup = "nautobot-token-managed"

// Policy says what Secrets may ask for. It is the operator's, never a Secret's.
type Policy struct {
	File         string // named in refusals; empty: there is no file
	ManagedGroup string
	Rules        []Rule // the first that matches applies
}

// Rule is for the Secrets of one namespace.
type Rule struct {
	Namespace string   // empty: every namespace, as without a file
	Secrets   []string // globs of names
	Usernames []string // globs: what these Secrets may call their accounts
	Groups    []string // that the account is put into; they have to exist
	Superuser bool     // the account is a superuser
	Adopt     bool     // an existing account with that username may be taken over
	// AdoptFrom are the owners, as in an account's last name, whose accounts
	// these Secrets take over; * and ? are allowed in their parts.
	AdoptFrom []string
	Exclusive bool // the account's other tokens are superseded too
	Revoke    bool // the account is taken out of service when the Secret is gone
}

// Allow returns the rule for a Secret that asks for an account with that username.
func (p Policy) Allow(secret Secret, username string) (Rule, error) {
	i := p.find(secret.Namespace, secret.Name)
	if i < 0 {
		return Rule{}, refuse("policy %s has no rule for Secret %s/%s: it needs one with namespace: %s, secrets: that match %q, and usernames: that match %q",
			p.File, secret.Namespace, secret.Name, secret.Namespace, secret.Name, username)
	}
	rule := p.Rules[i]
	if !matches(rule.Usernames, username) {
		return Rule{}, refuse("policy %s, rules[%d]: Secret %s/%s may have an account called %s, not %q: change the username in the Secret, or usernames in the rule",
			p.File, i, secret.Namespace, secret.Name, strings.Join(rule.Usernames, " or "), username)
	}
	return rule, nil
}

// allowRevoke refuses unless the rule for a Secret lets its account be taken out
// of service.
func (p Policy) allowRevoke(namespace, name string) error {
	i := p.find(namespace, name)
	switch {
	case i < 0:
		return refuse("policy %s has no rule for Secret %s/%s: its account is revoked only with one that says revoke: true", p.File, namespace, name)
	case !p.Rules[i].Revoke:
		return refuse("policy %s, rules[%d]: the account of Secret %s/%s is revoked only if the rule says revoke: true", p.File, i, namespace, name)
	}
	return nil
}

// NoRule refuses a Secret that the policy does not cover, whatever is in it.
func (p Policy) NoRule(namespace, name string) error {
	return refuse("policy %s has no rule for Secret %s/%s: it needs one with namespace: %s and secrets: that match %q",
		p.File, namespace, name, namespace, name)
}

// Covers reports whether there is a rule for a Secret.
func (p Policy) Covers(namespace, name string) bool { return p.find(namespace, name) >= 0 }

// Namespaces returns the namespaces of the rules, each once.
func (p Policy) Namespaces() (namespaces []string) {
	for _, rule := range p.Rules {
		if rule.Namespace != "" && !slices.Contains(namespaces, rule.Namespace) {
			namespaces = append(namespaces, rule.Namespace)
		}
	}
	return namespaces
}

// SecretNames returns the names of a namespace's Secrets if the rules name each
// of them; otherwise ok is false.
func (p Policy) SecretNames(namespace string) (names []string, ok bool) {
	for _, rule := range p.Rules {
		if rule.Namespace != "" && rule.Namespace != namespace {
			continue
		}
		for _, name := range rule.Secrets {
			if strings.ContainsAny(name, "*?") {
				return nil, false
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, true
}

// find returns the number of the rule for a Secret: the first that matches.
func (p Policy) find(namespace, name string) int {
	return slices.IndexFunc(p.Rules, func(r Rule) bool {
		return (r.Namespace == "" || r.Namespace == namespace) && matches(r.Secrets, name)
	})
}

// Validate finds what is wrong with a rule: the key, and why.
func (r Rule) Validate() (key string, err error) {
	if len(r.Usernames) == 0 {
		return "usernames", errors.New("required: globs of the account names that are allowed")
	}
	for _, glob := range r.Secrets {
		if !isGlob(glob) {
			return "secrets", errGlob(glob)
		}
	}
	for _, glob := range r.Usernames {
		if !isGlob(glob) {
			return "usernames", errGlob(glob)
		}
	}
	for _, group := range r.Groups {
		if err := validateGroup(group); err != nil {
			return "groups", err
		}
	}
	for _, owner := range r.AdoptFrom {
		parts := strings.Split(owner, "/")
		if len(parts) < 2 || len(parts) > 3 || slices.ContainsFunc(parts, func(part string) bool { return !isGlob(part) }) {
			return "adoptFrom", errors.New("want NAMESPACE/NAME or CLUSTER/NAMESPACE/NAME, as in the last name of the account")
		}
	}
	return "", nil
}

// validateGroup finds what is wrong with the name of a group.
func validateGroup(name string) error {
	if name == "" || name != strings.TrimSpace(name) || utf8.RuneCountInString(name) > maxGroupName || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("want the name of a group: 1 to %d characters, without white space around it or control characters", maxGroupName)
	}
	return nil
}

// ValidateManagedGroup finds what is wrong with the name of a managed group. The
// groups of the provisioners themselves are not for others to manage.
func ValidateManagedGroup(name string) error {
	if err := validateGroup(name); err != nil {
		return err
	}
	if strings.HasSuffix(name, provisionersSuffix) || name == strings.TrimSuffix(provisionersGroup(DefaultManagedGroup), provisionersSuffix) {
		return fmt.Errorf("the groups of provisioners end in %s: choose another name", provisionersSuffix)
	}
	return nil
}

const maxGroupName = 150 // characters

// isGlob reports whether a text is a glob: * and ?, and the characters that names
// of Secrets and accounts consist of.
func isGlob(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r != '*' && r != '?' && !inUsername(r) })
}

func errGlob(text string) error {
	return fmt.Errorf("%q is not a glob: want letters, digits, @ . + - _, and * and ? in their usual meaning", text)
}

// matches reports whether one of the globs matches the whole name.
func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := path.Match(glob, name)
		return ok && err == nil
	})
}
