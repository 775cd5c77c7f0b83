package provision

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
)

// What an account bears where Nautobot's user list shows a person's name. The
// last name is the mark.
const (
	firstName        = "Service account"
	firstNameOpening = "Service account (opening)" // has a password for a moment, see Wanted.login
	firstNameRevoked = "Service account (revoked)" // deactivated by us, not by a person

	descriptionPrefix = "nautobot-token: "

	maxLastName    = 150 // characters that Nautobot stores
	maxDescription = 255
)

// Mark names the Secret that an account belongs to: CLUSTER/NAMESPACE/NAME,
// without the cluster where it has no name.
type Mark string

// NewMark makes the mark of a Secret.
func NewMark(cluster string, secret Secret) Mark {
	mark := secret.Namespace + "/" + secret.Name
	if cluster != "" {
		mark = cluster + "/" + mark
	}
	return Mark(mark)
}

// lastName is the mark as an account bears it. Members of the managed group
// can neither read nor change it over REST.
func (m Mark) lastName() string { return shorten(string(m), maxLastName) }

// description is the mark as a token bears it.
func (m Mark) description() string { return shorten(descriptionPrefix+string(m), maxDescription) }

// shorten lets a text that is too long end in a hash of the whole.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	tail := "-" + hex.EncodeToString(sum[:8])
	return text[:limit-len(tail)] + tail
}

// mayChange refuses accounts that are not the Secret's to change.
func (w Wanted) mayChange(have State) error {
	user := *have.User
	ours := user.LastName == w.Mark.lastName()
	revoked := !user.Active && user.FirstName == firstNameRevoked
	powerful := user.Superuser || user.Staff
	power := map[bool]string{true: "a superuser or staff account", false: "an account"}[powerful]
	switch {
	case have.Own && (w.Rule.Adopt || ours): // nothing but its token is changed
		return nil
	case !ours && !revoked && slices.Contains([]string{firstName, firstNameOpening, firstNameRevoked}, user.FirstName) && user.LastName != "":
		return refuse("account %q belongs to another Secret, %s: one account, one Secret", user.Username, user.LastName)
	case !ours && !w.Rule.Adopt:
		return refuse("%q is %s that was not made for this Secret: choose another username, or allow to take it over with --adopt, or adopt: true in the policy's rule", user.Username, power)
	case !ours && powerful && !w.Rule.Superuser:
		return refuse("%q is %s: it is taken over only where the account may be a superuser too, with --superuser, or superuser: true in the policy's rule", user.Username, power)
	case !user.Active && !revoked:
		return refuse("account %q was deactivated in Nautobot: activate it there if it is to be used again", user.Username)
	}
	return nil
}

// login is how the account proves who it is where its token cannot: by the
// Secret's password. An account without one (nobody is to log in) gets one for
// the moment that its token takes to be made; first_name says so meanwhile.
// The password is derived, not drawn, so that two runs at once open the
// account with the same one, and a run that follows a killed one can go on.
// Nobody can derive it without the superuser token.
func (w Wanted) login() Login {
	if !w.apiOnly() {
		return Login{Username: w.Username, Password: w.Password}
	}
	mac := hmac.New(sha256.New, []byte(w.SuperuserToken.Reveal()))
	mac.Write([]byte("nautobot-token opens " + w.Username + " for " + string(w.Mark)))
	// The beginning satisfies validators that want one of each kind.
	return Login{Username: w.Username, Password: Hide("Aa1-" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))}
}

// byToken is the account proving itself with the Secret's token.
func (w Wanted) byToken() Login { return Login{Username: w.Username, Token: w.Token} }

// bySuperuser is the superuser token's own account.
func (w Wanted) bySuperuser() Login { return Login{Token: w.SuperuserToken} }

// apiOnly: the Secret has no password, so nobody may log in.
func (w Wanted) apiOnly() bool { return w.Password.Empty() }
