package provision

import (
	"fmt"
	"strings"
	"testing"
)

func TestLogin(t *testing.T) {
	base := desired{
		Account: Account{Username: "openstack", Token: Hide(someToken)}, Owner: Owner{"lab", "openstack", "nautobot-token"},
		SuperuserToken: Hide("superuser"),
	}
	login := base.login()
	password := login.Password.Reveal()

	if again := base.login(); !again.Password.Equal(login.Password) {
		t.Error("two runs give the account two passwords")
	}
	if login.Username != "openstack" || !login.Token.Empty() {
		t.Errorf("got a login of %q with token %v, want openstack's, by password", login.Username, !login.Token.Empty())
	}
	if len(password) < 43 || len(password) > maxPasswordLength { // 256 bits in base64
		t.Errorf("got %d characters, want 43 to 128", len(password))
	}
	if strings.ContainsFunc(password, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		t.Error("it has characters that are trouble in a header")
	}
	if strings.Contains(strings.ToLower(password), "openstack") {
		t.Error("it resembles the username")
	}
	if got := fmt.Sprintf("%+v %#v", login, login); strings.Contains(got, password) {
		t.Error("the login shows its password")
	}
	for name, characters := range map[string]string{
		"a small letter": "abcdefghijklmnopqrstuvwxyz", "a capital": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "a digit": "0123456789", "a sign": "-_",
	} {
		for i := range 100 { // as password validators want it, whatever comes out
			desired := base
			desired.Username += fmt.Sprint(i)
			if !strings.ContainsAny(desired.login().Password.Reveal(), characters) {
				t.Fatalf("%s: the password lacks %s", desired.Username, name)
			}
		}
	}

	for name, change := range map[string]func(*desired){
		"another account":         func(d *desired) { d.Username = "nova" },
		"another owner":           func(d *desired) { d.Owner.Name = "other" },
		"another cluster":         func(d *desired) { d.Owner.Cluster = "" },
		"another superuser token": func(d *desired) { d.SuperuserToken = Hide("superuser2") },
		// Validators that know former passwords would refuse it at each rotation.
		"another token": func(d *desired) { d.Token = Hide(oldToken) },
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
}
