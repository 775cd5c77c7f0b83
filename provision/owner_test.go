package provision

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOwner(t *testing.T) {
	for text, owner := range map[string]Owner{
		"lab/openstack/nautobot-token": {"lab", "openstack", "nautobot-token"},
		"openstack/nautobot-token":     {"", "openstack", "nautobot-token"},
	} {
		if got := owner.String(); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
		if got := owner.lastName(); got != text {
			t.Errorf("last name: got %q, want %q", got, text)
		}
		if got, want := owner.description(), "nautobot-token: "+text; got != want {
			t.Errorf("description: got %q, want %q", got, want)
		}
		if got, want := owner.unique(), owner.Cluster != ""; got != want {
			t.Errorf("%s: unique: got %v, want %v", text, got, want)
		}
	}
}

// longOwner is an owner of n characters.
func longOwner(n int) Owner { return Owner{Namespace: "n", Name: strings.Repeat("m", n-2)} }

// TestOwnerFitsItsField: Nautobot stores 150 and 255 characters.
func TestOwnerFitsItsField(t *testing.T) {
	tests := map[string]struct {
		of     func(Owner) string
		prefix string
		limit  int
	}{
		"last name":   {Owner.lastName, "", 150},
		"description": {Owner.description, "nautobot-token: ", 255},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fits := test.limit - len(test.prefix)
			for _, n := range []int{3, fits - 1, fits} {
				owner := longOwner(n)
				if got, want := test.of(owner), test.prefix+owner.String(); got != want {
					t.Errorf("%d characters: got %q, want %q", n, got, want)
				}
			}
			for _, n := range []int{fits + 1, fits + 2, 1000} {
				owner := longOwner(n)
				got := test.of(owner)
				if len(got) != test.limit {
					t.Errorf("%d characters: got %d, want %d", n, len(got), test.limit)
				}
				head, hash, _ := strings.Cut(got, "~")
				if _, err := hex.DecodeString(hash); err != nil || len(hash) != 16 || !strings.HasPrefix(test.prefix+owner.String(), head) {
					t.Errorf("%d characters: got %q, want the beginning, ~ and a hash", n, got)
				}
				for name, other := range map[string]Owner{
					"another end":        {Namespace: "n", Name: owner.Name[1:] + "x"},
					"another beginning":  {Namespace: "x", Name: owner.Name},
					"one character more": {Namespace: "n", Name: owner.Name + "m"},
					"other slashes":      {Cluster: "n", Namespace: "m", Name: owner.Name[2:]},
					// No Kubernetes name has a ~. It would not help either.
					"what was shortened": {Namespace: "n", Name: strings.TrimPrefix(got, test.prefix+"n/")},
				} {
					if test.of(other) == got {
						t.Errorf("%d characters: %s gives the same", n, name)
					}
				}
			}
		})
	}
	// What accounts bear must not change from one version to the next.
	want := "n/" + strings.Repeat("m", 131) + "~5f56293c48850738"
	if got := longOwner(151).lastName(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOwnerShortenedBefore: versions before the first release put a - before the
// hash. What they made is still ours, and gets the new form.
func TestOwnerShortenedBefore(t *testing.T) {
	owner := longOwner(250)
	before := func(text string) string { i := strings.LastIndex(text, "~"); return text[:i] + "-" + text[i+1:] }
	lastName, description := before(owner.lastName()), before(owner.description())

	if !owner.owns(User{FirstName: firstName, LastName: lastName}) || !owner.made(Token{Description: description}) {
		t.Error("the owner does not own what it had")
	}
	if other := longOwner(251); other.owns(User{FirstName: firstName, LastName: lastName}) || other.made(Token{Description: description}) {
		t.Error("another owns it, too")
	}
	heir := desired{Rule: Rule{AdoptFrom: []string{owner.String()}}}
	if !heir.inherits(User{FirstName: firstName, LastName: lastName}) || !heir.supersedes(Token{Description: description}) {
		t.Error("an heir does not inherit it")
	}
	short := Owner{"lab~", "openstack", "nautobot-token"}
	if stored := shorten(short.String(), maxLastName, "-"); short.owns(User{FirstName: firstName, LastName: stored}) {
		t.Errorf("%q is not the owner's: its name was never shortened", stored)
	}

	want, have := someDesired(), healthyObserved()
	want.Owner = owner
	have.User.LastName, have.Tokens[0].Description = lastName, description
	got, err := makePlan(want, have, noon)
	if err != nil {
		t.Fatal(err)
	}
	steps := []step{
		set(UserFields{LastName: new(owner.lastName())}, "last_name"),
		tokenMended(byPassword, TokenFields{Description: new(owner.description())}, "description"), verified,
	}
	if diff := cmp.Diff(steps, got, exported); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestCheckOwnership is the whole table of accounts and rules.
func TestCheckOwnership(t *testing.T) {
	rules := []desired{
		{Rule: Rule{}},
		{Rule: Rule{Superuser: true}},
		{Rule: Rule{Adopt: true}},
		{Rule: Rule{Adopt: true, Superuser: true}},
		{Rule: Rule{AdoptFrom: []string{"none/*", "openstack/old-*"}}},
		{Setup: true},
	}
	tests := map[string]struct {
		user User
		self bool   // the superuser token is its own
		want string // for each of the rules
	}{
		"ours":                             {User{FirstName: firstName, LastName: planOwner, Active: true}, false, "yes yes yes yes yes yes"},
		"ours, a superuser":                {User{FirstName: firstName, LastName: planOwner, Active: true, Superuser: true}, false, "yes yes yes yes yes yes"},
		"ours, staff":                      {User{FirstName: firstName, LastName: planOwner, Active: true, Staff: true}, false, "yes yes yes yes yes yes"},
		"ours, with a temporary password":  {User{FirstName: firstNameOpening, LastName: planOwner, Active: true}, false, "yes yes yes yes yes yes"},
		"ours, revoked":                    {User{FirstName: firstNameRevoked, LastName: planOwner}, false, "yes yes yes yes yes yes"},
		"ours, revoked, activated by hand": {User{FirstName: firstNameRevoked, LastName: planOwner, Active: true}, false, "yes yes yes yes yes yes"},
		"ours, deactivated by hand":        {User{FirstName: firstName, LastName: planOwner}, false, "inactive inactive inactive inactive inactive inactive"},
		"ours, deactivated while open":     {User{FirstName: firstNameOpening, LastName: planOwner}, false, "inactive inactive inactive inactive inactive inactive"},
		"ours, the token's own":            {User{FirstName: firstName, LastName: planOwner, Active: true, Superuser: true}, true, "yes yes yes yes yes yes"},
		"ours, the token's own, inactive":  {User{FirstName: firstName, LastName: planOwner}, true, "yes yes yes yes yes yes"},

		// A person may have the name of a Secret.
		"a person with our last name":  {User{FirstName: "Ann", LastName: planOwner, Active: true}, false, "adopt adopt yes yes adopt setup"},
		"nobody with our last name":    {User{LastName: planOwner, Active: true}, false, "adopt adopt yes yes adopt setup"},
		"a person with our first name": {User{FirstName: firstName, Active: true}, false, "adopt adopt yes yes adopt setup"},
		"almost our first name":        {User{FirstName: "service account", LastName: planOwner, Active: true}, false, "adopt adopt yes yes adopt setup"},
		"our names exchanged":          {User{FirstName: planOwner, LastName: firstName, Active: true}, false, "adopt adopt yes yes adopt setup"},
		"an heir's last name":          {User{FirstName: "Ann", LastName: formerOwner, Active: true}, false, "adopt adopt yes yes adopt setup"},

		"another's":                     {User{FirstName: firstName, LastName: otherOwner, Active: true}, false, "other other other other other setup"},
		"another's, a temporary one":    {User{FirstName: firstNameOpening, LastName: otherOwner, Active: true}, false, "other other other other other setup"},
		"another's, a superuser":        {User{FirstName: firstName, LastName: otherOwner, Active: true, Superuser: true}, false, "other other other other other setup"},
		"another's, deactivated":        {User{FirstName: firstName, LastName: otherOwner}, false, "other other other other other setup"},
		"another's, activated by hand":  {User{FirstName: firstNameRevoked, LastName: otherOwner, Active: true}, false, "other other other other other setup"},
		"another's, longer than ours":   {User{FirstName: firstName, LastName: planOwner + "-2", Active: true}, false, "other other other other other setup"},
		"another's, in other case":      {User{FirstName: firstName, LastName: "LAB/openstack/nautobot-token", Active: true}, false, "cluster cluster cluster cluster cluster setup"},
		"another cluster's":             {User{FirstName: firstName, LastName: "lab2/openstack/nautobot-token", Active: true}, false, "cluster cluster cluster cluster cluster setup"},
		"of no cluster":                 {User{FirstName: firstName, LastName: "openstack/nautobot-token", Active: true}, false, "cluster cluster cluster cluster cluster setup"},
		"another's, revoked":            {User{FirstName: firstNameRevoked, LastName: otherOwner}, false, "adopt adopt yes yes adopt setup"},
		"another's, revoked, superuser": {User{FirstName: firstNameRevoked, LastName: otherOwner, Superuser: true}, false, "adopt adopt power yes adopt setup"},
		"another's, the token's own":    {User{FirstName: firstName, LastName: otherOwner, Active: true, Superuser: true}, true, "other other other yes other setup"},

		// Of the Secret that ours replaces.
		"the former's":                       {User{FirstName: firstName, LastName: formerOwner, Active: true}, false, "other other other other yes setup"},
		"the former's, superuser and staff":  {User{FirstName: firstName, LastName: formerOwner, Active: true, Superuser: true, Staff: true}, false, "other other other other yes setup"},
		"the former's, revoked":              {User{FirstName: firstNameRevoked, LastName: formerOwner}, false, "adopt adopt yes yes yes setup"},
		"the former's, deactivated":          {User{FirstName: firstName, LastName: formerOwner}, false, "other other other other inactive setup"},
		"the former's, the token's own":      {User{FirstName: firstName, LastName: formerOwner, Active: true}, true, "other other yes yes yes setup"},
		"a glob has to match all of it":      {User{FirstName: firstName, LastName: formerOwner + "/more", Active: true}, false, "other other other other other setup"},
		"a glob does not match the cluster":  {User{FirstName: firstName, LastName: "lab/" + formerOwner, Active: true}, false, "other other other other other setup"},
		"a glob does not match another part": {User{FirstName: firstName, LastName: "openstack/new-name", Active: true}, false, "other other other other other setup"},

		"by hand":                       {User{Active: true}, false, "adopt adopt yes yes adopt setup"},
		"by hand, with names":           {User{FirstName: "Ann", LastName: "Other", Active: true}, false, "adopt adopt yes yes adopt setup"},
		"by hand, a superuser":          {User{Active: true, Superuser: true}, false, "adopt adopt power yes adopt setup"},
		"by hand, staff":                {User{Active: true, Staff: true}, false, "adopt adopt power yes adopt setup"},
		"by hand, inactive":             {User{}, false, "adopt adopt inactive inactive adopt setup"},
		"by hand, inactive superuser":   {User{Superuser: true}, false, "adopt adopt power inactive adopt setup"},
		"by hand, the token's own":      {User{Active: true, Superuser: true}, true, "adopt adopt power yes adopt setup"},
		"by hand, as if it was revoked": {User{FirstName: firstNameRevoked}, false, "adopt adopt yes yes adopt setup"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.user.Username = planUsername
			of := "an account"
			if test.user.Superuser || test.user.Staff {
				of = "a superuser or staff account"
			}
			texts := map[string]string{
				"yes":      "",
				"other":    `account "openstack" belongs to another Secret: one account, one Secret; if this Secret replaces it, name its owner with --adopt-from, or adoptFrom in the policy's rule`,
				"cluster":  `account "openstack" belongs to the Secret of this name in another cluster, or this cluster had another name before: is --cluster right? If the cluster was renamed, name the former owner with --adopt-from, or adoptFrom in the policy's rule`,
				"adopt":    `"openstack" is ` + of + " that was not made for this Secret: choose another username, or allow taking it over with --adopt, or adopt: true in the policy's rule",
				"power":    `"openstack" is ` + of + ": it is taken over only if the account may be a superuser, with --superuser, or superuser: true in the policy's rule",
				"inactive": `account "openstack" was deactivated in Nautobot: activate it there if it is to be used again`,
				"setup":    `"openstack" is ` + of + " that setup did not create: choose another name with --username",
			}
			for i, word := range strings.Fields(test.want) {
				desired := someDesired()
				desired.Rule, desired.Setup = rules[i].Rule, rules[i].Setup
				observed := observed{User: &test.user, Self: "admin", SelfAsked: true}
				if test.self {
					observed.Self = planUsername
				}
				checkRefusal(t, desired.checkOwnership(observed), texts[word], map[bool]string{true: test.user.LastName}[word == "other" || word == "cluster"])
			}
		})
	}
}

// checkRefusal compares a refusal with its text, and with the owner that it
// names for the log alone.
func checkRefusal(t *testing.T, err error, text, owner string) {
	t.Helper()
	if err == nil {
		err = &Refusal{} // nothing to say
	}
	got, ok := err.(*Refusal) //nolint:errorlint // not wrapped
	if !ok {
		t.Fatalf("got an error of type %T, want a *Refusal", err)
	}
	if diff := cmp.Diff(text, got.Error()); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
	if got.Owner != owner || owner != "" && strings.Contains(got.Error(), owner) {
		t.Errorf("got owner %q, want %q, and not in the text", got.Owner, owner)
	}
}

// TestCheckOwnershipOfUnknownSelf: the superuser token's account may not say who
// it is, and might be the one that is to be taken over.
func TestCheckOwnershipOfUnknownSelf(t *testing.T) {
	const maybe = `"openstack" is not taken over: the superuser token may be its own, and that cannot be checked because the account may not list its tokens: give it users.view_token on them`
	tests := map[string]struct {
		user  User
		rule  Rule
		asked bool
		want  string
	}{
		"adopted":                      {User{Active: true}, Rule{Adopt: true}, true, maybe},
		"inherited":                    {User{FirstName: firstName, LastName: formerOwner, Active: true}, Rule{AdoptFrom: []string{formerOwner}}, true, maybe},
		"ours":                         {User{FirstName: firstName, LastName: planOwner, Active: true, Staff: true}, Rule{Adopt: true}, true, ""},
		"a superuser would have known": {User{Active: true, Superuser: true}, Rule{Adopt: true, Superuser: true}, true, ""},
		"staff would not":              {User{Active: true, Staff: true}, Rule{Adopt: true, Superuser: true}, true, maybe},
		"not asked":                    {User{Active: true}, Rule{Adopt: true}, false, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			desired := someDesired()
			desired.Rule, test.user.Username = test.rule, planUsername
			checkRefusal(t, desired.checkOwnership(observed{User: &test.user, SelfAsked: test.asked}), test.want, "")
		})
	}
}

// TestCheckOwnershipHints: the Secret's token opens the refused account, which
// shows why.
func TestCheckOwnershipHints(t *testing.T) {
	const (
		copied = `account "openstack" belongs to another Secret: one account, one Secret; that Secret has the same token: if this one is a copy, remove its label`
		moved  = `account "openstack" belongs to another Secret: one account, one Secret; if this Secret replaces it, name its owner with --adopt-from, or adoptFrom in the policy's rule`
		lost   = `account "openstack" has lost the names that mark it as this Secret's, but its token is this Secret's: does a directory or single sign-on manage the account? Exclude it there, then allow taking it over with --adopt, or adopt: true in the policy's rule`
		plain  = `"openstack" is an account that was not made for this Secret: choose another username, or allow taking it over with --adopt, or adopt: true in the policy's rule`
	)
	ours, others := healthyObserved().Tokens[0], healthyObserved().Tokens[0]
	others.Description = descriptionPrefix + otherOwner
	tests := map[string]struct {
		firstName, lastName string
		token               Token
		want, owner         string
	}{
		"another Secret's, the same token":         {firstName, otherOwner, others, copied, otherOwner},
		"another Secret's, our token":              {firstName, otherOwner, ours, moved, otherOwner},
		"our token, and the names were replaced":   {"Open", "Stack", ours, lost, ""},
		"our token, and the names were taken away": {"", "", ours, lost, ""},
		"our token by another's mark":              {"Ann", "Other", others, plain, ""},
		"another token by our mark":                {"Ann", "Other", old("a", never), plain, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			have := healthyObserved()
			have.User.FirstName, have.User.LastName, have.Tokens = test.firstName, test.lastName, []Token{test.token}
			checkRefusal(t, someDesired().checkOwnership(have), test.want, test.owner)
		})
	}
}
