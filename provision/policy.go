package provision

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// DefaultManagedGroup is the group that every account we create is a member
// of. The permission of the same name lets its members manage their own tokens.
const DefaultManagedGroup = "nautobot-token-managed"

// Policy says what Secrets may ask for. It is the operator's, never a Secret's.
type Policy struct {
	File         string // named in refusals; empty: there is no file
	ManagedGroup string
	Rules        []Rule // the first that matches counts
}

// Rule is for the Secrets of one namespace.
type Rule struct {
	Line      int      // in the file
	Namespace string   // empty: every namespace, as without a file
	Secrets   []string // globs of names
	Usernames []string // globs: what these Secrets may call their accounts
	Groups    []string // that the account is put into; they have to exist
	Superuser bool     // the account is a superuser
	Adopt     bool     // an existing account of that name may be taken over
	AdoptFrom []string // owners whose accounts these Secrets take over
	Exclusive bool     // the account's other tokens are superseded too
	Revoke    bool     // the account is deactivated when the Secret is gone
}

// Allow returns the rule for a Secret that asks for an account of that name.
func (p Policy) Allow(secret Secret, username string) (Rule, error) {
	for _, rule := range p.Rules {
		if rule.Namespace != "" && rule.Namespace != secret.Namespace || !matches(rule.Secrets, secret.Name) {
			continue
		}
		if !matches(rule.Usernames, username) {
			return Rule{}, refuse("policy %s, line %d: Secret %s/%s may have an account called %s, not %q: change the username in the Secret, or usernames in the rule",
				p.File, rule.Line, secret.Namespace, secret.Name, strings.Join(rule.Usernames, " or "), username)
		}
		return rule, nil
	}
	return Rule{}, refuse("policy %s has no rule for Secret %s/%s: it needs one with namespace: %s, secrets: that match %q, and usernames: that match %q",
		p.File, secret.Namespace, secret.Name, secret.Namespace, secret.Name, username)
}

// Validate finds what is wrong with a rule: the key, and why.
func (r Rule) Validate() (key string, err error) {
	if len(r.Usernames) == 0 {
		return "usernames", fmt.Errorf("is required: globs of the account names that are allowed")
	}
	for _, glob := range r.Secrets {
		if !isGlob(glob) {
			return "secrets", fmt.Errorf("%q is not a glob", glob)
		}
	}
	for _, glob := range r.Usernames {
		if !isGlob(glob) {
			return "usernames", fmt.Errorf("%q is not a glob", glob)
		}
	}
	for _, group := range r.Groups {
		if group == "" || group != strings.TrimSpace(group) || utf8.RuneCountInString(group) > maxGroupName {
			return "groups", fmt.Errorf("%q is not a name of a group", group)
		}
	}
	return "", nil
}

func isGlob(text string) bool {
	_, err := path.Match(text, "")
	return text != "" && err == nil
}

const maxGroupName = 150 // characters

// matches tells whether one of the globs matches the whole name.
func matches(globs []string, name string) bool {
	for _, glob := range globs {
		if ok, err := path.Match(glob, name); ok && err == nil {
			return true
		}
	}
	return false
}
