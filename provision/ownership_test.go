package provision

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func TestNewMark(t *testing.T) {
	tests := map[string]struct {
		cluster, lastName, description string
	}{
		"with a cluster":    {"lab", "lab/openstack/nautobot-token", "nautobot-token: lab/openstack/nautobot-token"},
		"without a cluster": {"", "openstack/nautobot-token", "nautobot-token: openstack/nautobot-token"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			mark := NewMark(test.cluster, Secret{Namespace: "openstack", Name: "nautobot-token"})
			if got := mark.lastName(); got != test.lastName {
				t.Errorf("last name: got %q, want %q", got, test.lastName)
			}
			if got := mark.description(); got != test.description {
				t.Errorf("description: got %q, want %q", got, test.description)
			}
		})
	}
}

// TestMarkFitsItsField: Nautobot stores 150 and 255 characters.
func TestMarkFitsItsField(t *testing.T) {
	fields := map[string]struct {
		of     func(Mark) string
		prefix string
		limit  int
	}{
		"last name":   {Mark.lastName, "", 150},
		"description": {Mark.description, "nautobot-token: ", 255},
	}
	for name, field := range fields {
		t.Run(name, func(t *testing.T) {
			fits := field.limit - len(field.prefix)
			for _, n := range []int{1, fits - 1, fits} {
				mark := Mark(strings.Repeat("m", n))
				if got, want := field.of(mark), field.prefix+string(mark); got != want {
					t.Errorf("%d characters: got %q, want %q", n, got, want)
				}
			}
			for _, n := range []int{fits + 1, fits + 2, 1000} {
				long := strings.Repeat("m", n)
				got := field.of(Mark(long))
				if len(got) != field.limit {
					t.Errorf("%d characters: got %d, want %d", n, len(got), field.limit)
				}
				head, tail := got[:len(got)-17], got[len(got)-17:]
				if !strings.HasPrefix(field.prefix+long, head) {
					t.Errorf("%d characters: got %q, which does not begin as the mark does", n, got)
				}
				if _, err := hex.DecodeString(tail[1:]); tail[0] != '-' || err != nil {
					t.Errorf("%d characters: got the end %q, want - and a hash", n, tail)
				}
				for other, mark := range map[string]string{
					"another end":         long[:n-1] + "x",
					"another beginning":   "x" + long[1:],
					"another middle":      long[:n/2] + "x" + long[n/2+1:],
					"one character more":  long + "m",
					"an end as the hash":  long[:n-17] + tail,
					"the mark in capital": strings.ToUpper(long),
				} {
					if field.of(Mark(mark)) == got {
						t.Errorf("%d characters: %s gives the same", n, other)
					}
				}
			}
		})
	}
	// What accounts bear must not change from one version to the next.
	const want = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm-59cf7a7dd8623568"
	if got := Mark(strings.Repeat("m", 151)).lastName(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMayChange is the whole table of accounts and rules.
func TestMayChange(t *testing.T) {
	const (
		yes        = "yes"
		other      = "other" // another Secret's
		adopt      = "adopt" // not made for this Secret
		power      = "power" // a superuser's or a member of staff's
		inactive   = "inactive"
		ourMark    = "lab/openstack/nautobot-token"
		otherMark  = "lab/nova/nautobot-token"
		noRule     = 0
		withAdopt  = 1
		superuser  = 2
		adoptSuper = 3
	)
	all := func(word string) [4]string { return [4]string{word, word, word, word} }
	tests := map[string]struct {
		user User
		own  bool
		want [4]string // no rule, adopt, superuser, adopt and superuser
	}{
		"ours":                             {User{FirstName: firstName, LastName: ourMark, Active: true}, false, all(yes)},
		"ours, a superuser":                {User{FirstName: firstName, LastName: ourMark, Active: true, Superuser: true}, false, all(yes)},
		"ours, staff":                      {User{FirstName: firstName, LastName: ourMark, Active: true, Staff: true}, false, all(yes)},
		"ours, opening":                    {User{FirstName: firstNameOpening, LastName: ourMark, Active: true}, false, all(yes)},
		"ours, renamed by hand":            {User{FirstName: "Ann", LastName: ourMark, Active: true}, false, all(yes)},
		"ours, revoked":                    {User{FirstName: firstNameRevoked, LastName: ourMark}, false, all(yes)},
		"ours, revoked, activated by hand": {User{FirstName: firstNameRevoked, LastName: ourMark, Active: true}, false, all(yes)},
		"ours, deactivated by hand":        {User{FirstName: firstName, LastName: ourMark}, false, all(inactive)},
		"ours, deactivated while opening":  {User{FirstName: firstNameOpening, LastName: ourMark}, false, all(inactive)},
		"ours, deactivated superuser":      {User{FirstName: firstName, LastName: ourMark, Superuser: true}, false, all(inactive)},
		"ours, the token's own":            {User{FirstName: firstName, LastName: ourMark, Active: true, Superuser: true}, true, all(yes)},

		"another Secret's":                    {User{FirstName: firstName, LastName: otherMark, Active: true}, false, all(other)},
		"another Secret's, opening":           {User{FirstName: firstNameOpening, LastName: otherMark, Active: true}, false, all(other)},
		"another Secret's, a superuser":       {User{FirstName: firstName, LastName: otherMark, Active: true, Superuser: true}, false, all(other)},
		"another Secret's, deactivated":       {User{FirstName: firstName, LastName: otherMark}, false, all(other)},
		"another Secret's, activated by hand": {User{FirstName: firstNameRevoked, LastName: otherMark, Active: true}, false, all(other)},
		"another Secret's, our mark within":   {User{FirstName: firstName, LastName: ourMark + "-2", Active: true}, false, all(other)},
		"another Secret's, other case":        {User{FirstName: firstName, LastName: "LAB/openstack/nautobot-token", Active: true}, false, all(other)},
		"another cluster's":                   {User{FirstName: firstName, LastName: "lab2/openstack/nautobot-token", Active: true}, false, all(other)},
		"another Secret's, revoked":           {User{FirstName: firstNameRevoked, LastName: otherMark}, false, [4]string{adopt, yes, adopt, yes}},
		"another Secret's, revoked superuser": {User{FirstName: firstNameRevoked, LastName: otherMark, Superuser: true}, false, [4]string{adopt, power, adopt, yes}},
		"another Secret's, the token's own":   {User{FirstName: firstName, LastName: otherMark, Active: true, Superuser: true}, true, [4]string{other, yes, other, yes}},

		"by hand":                           {User{Active: true}, false, [4]string{adopt, yes, adopt, yes}},
		"by hand, with a name":              {User{FirstName: "Ann", LastName: "Other", Active: true}, false, [4]string{adopt, yes, adopt, yes}},
		"by hand, with our first name":      {User{FirstName: firstName, Active: true}, false, [4]string{adopt, yes, adopt, yes}},
		"by hand, a superuser":              {User{Active: true, Superuser: true}, false, [4]string{adopt, power, adopt, yes}},
		"by hand, staff":                    {User{Active: true, Staff: true}, false, [4]string{adopt, power, adopt, yes}},
		"by hand, superuser and staff":      {User{Active: true, Superuser: true, Staff: true}, false, [4]string{adopt, power, adopt, yes}},
		"by hand, inactive":                 {User{}, false, [4]string{adopt, inactive, adopt, inactive}},
		"by hand, inactive superuser":       {User{Superuser: true}, false, [4]string{adopt, power, adopt, inactive}},
		"by hand, inactive staff":           {User{Staff: true}, false, [4]string{adopt, power, adopt, inactive}},
		"by hand, the token's own":          {User{Active: true, Superuser: true}, true, [4]string{adopt, yes, adopt, yes}},
		"by hand, the token's own staff":    {User{Active: true, Superuser: true, Staff: true}, true, [4]string{adopt, yes, adopt, yes}},
		"by hand, our mark as a first name": {User{FirstName: ourMark, Active: true}, false, [4]string{adopt, yes, adopt, yes}},
	}
	rules := [4]Rule{noRule: {}, withAdopt: {Adopt: true}, superuser: {Superuser: true}, adoptSuper: {Adopt: true, Superuser: true}}
	names := [4]string{noRule: "no rule", withAdopt: "adopt", superuser: "superuser", adoptSuper: "adopt and superuser"}
	for name, test := range tests {
		for i, rule := range rules {
			t.Run(name+", "+names[i], func(t *testing.T) {
				test.user.Username = "openstack"
				of := "an account"
				if test.user.Superuser || test.user.Staff {
					of = "a superuser or staff account"
				}
				want := map[string]string{
					yes:      "",
					other:    `account "openstack" belongs to another Secret, ` + test.user.LastName + ": one account, one Secret",
					adopt:    `"openstack" is ` + of + " that was not made for this Secret: choose another username, or allow to take it over with --adopt, or adopt: true in the policy's rule",
					power:    `"openstack" is ` + of + ": it is taken over only where the account may be a superuser too, with --superuser, or superuser: true in the policy's rule",
					inactive: `account "openstack" was deactivated in Nautobot: activate it there if it is to be used again`,
				}[test.want[i]]
				wanted := Wanted{Account: Account{Username: "openstack"}, Mark: ourMark, Rule: rule}
				got := ""
				if err := wanted.mayChange(State{User: &test.user, Own: test.own}); err != nil {
					got = err.Error()
					if _, ok := err.(*Refusal); !ok { //nolint:errorlint // not wrapped
						t.Errorf("got an error of type %T, want a *Refusal", err)
					}
				}
				if got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}

func TestLogin(t *testing.T) {
	base := Wanted{Account: Account{Username: "openstack"}, Mark: "lab/openstack/nautobot-token", SuperuserToken: Hide("superuser")}
	login := base.login()
	password := login.Password.Reveal()

	if again := base.login(); !again.Password.Equal(login.Password) {
		t.Error("two runs open the account with two passwords")
	}
	if login.Username != "openstack" || !login.Token.Empty() {
		t.Errorf("got a login of %q with token %v, want openstack's, by password", login.Username, !login.Token.Empty())
	}
	if len(password) < 43 || len(password) > 128 { // 256 bits in base64
		t.Errorf("got %d characters, want 43 to 128", len(password))
	}
	kinds := map[string]string{
		"a small letter": "abcdefghijklmnopqrstuvwxyz", "a capital": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "a digit": "0123456789", "a sign": "-_",
	}
	for i := range 1000 { // as validators of passwords want it, whatever comes out
		wanted := base
		wanted.Username += fmt.Sprint(i)
		for kind, characters := range kinds {
			if !strings.ContainsAny(wanted.login().Password.Reveal(), characters) {
				t.Fatalf("%s: the password lacks %s", wanted.Username, kind)
			}
		}
	}
	if strings.ContainsFunc(password, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		t.Error("it has characters that are trouble in a header")
	}
	if strings.Contains(strings.ToLower(password), "openstack") {
		t.Error("it resembles the username")
	}

	for name, change := range map[string]func(*Wanted){
		"another account":         func(w *Wanted) { w.Username = "nova" },
		"another mark":            func(w *Wanted) { w.Mark = "lab/nova/nautobot-token" },
		"another superuser token": func(w *Wanted) { w.SuperuserToken = Hide("superuser2") },
	} {
		other := base
		change(&other)
		if other.login().Password.Equal(login.Password) {
			t.Errorf("%s: the same password", name)
		}
	}

	base.Password = Hide("of the Secret")
	if got := base.login().Password; !got.Equal(base.Password) {
		t.Error("a Secret's password is not used")
	}
	if got := fmt.Sprintf("%+v %#v", login, login); strings.Contains(got, password) {
		t.Error("the login shows its password")
	}
}
