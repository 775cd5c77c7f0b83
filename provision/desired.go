package provision

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"
)

// desired is what Nautobot should have: the account that the Secret asks for
// and the operator's rule allows.
type desired struct {
	Account
	Owner        Owner
	Secret       string // NAMESPACE/NAME, the object of the token's line
	Rule         Rule
	ManagedGroup string
	Grace        time.Duration // how long a superseded token keeps working
	// SuperuserToken is the one that this run uses: it is never revoked.
	SuperuserToken Sensitive
	// Setup: a provisioner's own account, for which there is no policy.
	Setup bool
}

// apiOnly: the Secret has no password, so nobody may log in.
func (d desired) apiOnly() bool { return d.Password.Empty() }

// login is how the account proves who it is when its token cannot: by the
// Secret's password. An account without one is given a temporary password while
// its token is created; first_name records this. The password is derived, not
// random: two concurrent runs open the account with the same one, and the run
// after a killed one can go on with it. It depends on the token, so that a
// rotation does not bring back a former password, which Nautobot may forbid.
// Nobody can derive it without the superuser token.
func (d desired) login() Login {
	if !d.apiOnly() {
		return Login{Username: d.Username, Password: d.Password}
	}
	mac := hmac.New(sha256.New, []byte(d.SuperuserToken.Reveal()))
	mac.Write([]byte("nautobot-token opens " + d.Username + " for " + d.Owner.String() + " with " + d.Token.Reveal()))
	// The beginning satisfies validators that want one character of each kind.
	return Login{Username: d.Username, Password: Hide("Aa1-" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))}
}

// byToken is the account proving who it is by the Secret's token.
func (d desired) byToken() Login { return Login{Username: d.Username, Token: d.Token} }

// bySuperuser is the superuser token's own account.
func (d desired) bySuperuser() Login { return Login{Token: d.SuperuserToken} }

// groups are the names of the groups that the account has to be in, each once.
func (d desired) groups() []string {
	names := []string{d.ManagedGroup}
	for _, name := range d.Rule.Groups {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
