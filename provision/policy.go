package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// DefaultManagedGroup is the group that every account we create is a member
// of. The permission of the same name lets its members manage their own tokens.
const DefaultManagedGroup = "nautobot-token-managed"

// Rule says what a Secret may ask for. It is the operator's, never the Secret's.
type Rule struct {
	ManagedGroup string
	Superuser    bool // the account is a superuser
	Adopt        bool // an existing account of that name may be taken over
}

const (
	maxLastName    = 150 // characters that Nautobot stores
	maxDescription = 255
	firstName      = "Service account"
	// firstNameRevoked tells an account that we deactivated from one that a
	// person did.
	firstNameRevoked  = "Service account (revoked)"
	descriptionPrefix = "nautobot-token: "
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
func (w Wanted) mayChange(user User) error {
	ours := user.LastName == w.Mark.lastName()
	managed := strings.HasPrefix(user.FirstName, firstName) && user.LastName != ""
	power := map[bool]string{true: "a superuser or staff account", false: "an account"}[user.Superuser || user.Staff]
	switch {
	case !ours && managed:
		return refuse("account %q belongs to another Secret, %s: one account, one Secret", user.Username, user.LastName)
	case !ours && !w.Rule.Adopt:
		return refuse("%q is %s that was not made for this Secret: choose another username, or allow to take it over (--adopt)", user.Username, power)
	case !ours && (user.Superuser || user.Staff) && !w.Rule.Superuser:
		return refuse("%q is %s: it is taken over only where superuser accounts are granted too", user.Username, power)
	case !user.Active && (!ours || user.FirstName != firstNameRevoked):
		return refuse("account %q was deactivated in Nautobot: activate it there if it is to be used again", user.Username)
	}
	return nil
}
