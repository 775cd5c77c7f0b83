package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"
)

// The first names of our accounts. Nautobot's list of users shows them;
// members of the managed group can neither read nor change them over REST.
const (
	firstName        = "Service account"
	firstNameOpening = "Service account (opening)" // has a temporary password, see desired.login
	firstNameRevoked = "Service account (revoked)" // deactivated by us, not by a person

	descriptionPrefix = "nautobot-token: "

	maxLastName    = 150 // characters that Nautobot stores
	maxDescription = 255
)

// Owner is the Secret that an account belongs to. It is the account's last name,
// and part of its tokens' descriptions.
type Owner struct{ Cluster, Namespace, Name string }

// String is CLUSTER/NAMESPACE/NAME, or NAMESPACE/NAME if the cluster has no name.
func (o Owner) String() string {
	text := o.Namespace + "/" + o.Name
	if o.Cluster != "" {
		text = o.Cluster + "/" + text
	}
	return text
}

// secret names the Secret, without anything that is in it.
func (o Owner) secret() Secret { return Secret{Namespace: o.Namespace, Name: o.Name} }

// parseOwner reads what String makes for a cluster with a name. A text that was
// too long cannot be read: it can only be compared. Nor can one that somebody
// changed into something that names no Secret.
func parseOwner(text string) (Owner, bool) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 || slices.ContainsFunc(parts, func(part string) bool { return !isObjectName(part) }) {
		return Owner{}, false
	}
	return Owner{parts[0], parts[1], parts[2]}, true
}

// unique reports whether no Secret in another cluster can have the same owner.
func (o Owner) unique() bool { return o.Cluster != "" }

// isObjectName reports whether a text can be the name of a Kubernetes object.
func isObjectName(text string) bool {
	return text != "" && strings.Trim(text, "-.") == text && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

func (o Owner) lastName() string { return shorten(o.String(), maxLastName, "~") }
func (o Owner) description() string {
	return shorten(descriptionPrefix+o.String(), maxDescription, "~")
}

// owns reports whether an account is the owner's: both of its names have to say
// so. A person may share the last name with a Secret, but hardly both names.
func (o Owner) owns(user User) bool {
	return isService(user) && sameShortened(user.LastName, o.String(), maxLastName)
}

// made reports whether a token came from the owner's Secret.
func (o Owner) made(token Token) bool {
	return sameShortened(token.Description, descriptionPrefix+o.String(), maxDescription)
}

// isService reports whether an account was made by this program.
func isService(user User) bool {
	return slices.Contains([]string{firstName, firstNameOpening, firstNameRevoked}, user.FirstName) && strings.ContainsAny(user.LastName, "/~")
}

// isRevoked reports whether this program deactivated the account.
func isRevoked(user User) bool { return !user.Active && user.FirstName == firstNameRevoked }

// isOpen reports whether an account for the API only may have a temporary password.
// One that is active and called revoked may have been opened just before the
// mark of a revoke was restored, see clearPassword.
func isOpen(user User) bool {
	return user.FirstName == firstNameOpening || user.Active && user.FirstName == firstNameRevoked
}

// isMarked reports whether a token came from any Secret.
func isMarked(token Token) bool { return strings.HasPrefix(token.Description, descriptionPrefix) }

// shorten makes a text that is too long end in a hash of the whole. The
// separator ~ occurs in no Kubernetes name, so a shortened text can never be
// another Secret's full name.
func shorten(text string, limit int, separator string) string {
	if len(text) <= limit && !strings.Contains(text, "~") {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	tail := separator + hex.EncodeToString(sum[:tailBytes])
	return strings.ToValidUTF8(text[:min(len(text), limit-len(tail))], "") + tail
}

const tailBytes = 8 // of the hash

// leftOf is the part of a prefix of owners that is left in a shortened last name.
func leftOf(prefix string) string {
	return prefix[:min(len(prefix), maxLastName-len("~")-2*tailBytes)]
}

// sameShortened compares what Nautobot stores with a text. Versions before the
// first release shortened with "-", which is still recognized.
func sameShortened(stored, text string, limit int) bool {
	return stored == shorten(text, limit, "~") || len(text) > limit && stored == shorten(text, limit, "-")
}

// ownedBy reports whether one of the owners, which may hold the globs * and ?, is
// the one that Nautobot stores after the prefix. Provisioners belong to none of
// them: whoever writes a rule must not get the account that carries it out.
func ownedBy(owners []string, stored, prefix string, limit int) bool {
	if strings.HasPrefix(stored, prefix+setupNamespace+"/") {
		return false
	}
	return slices.ContainsFunc(owners, func(owner string) bool {
		if sameShortened(stored, prefix+owner, limit) {
			return true
		}
		ok, err := path.Match(owner, strings.TrimPrefix(stored, prefix))
		return ok && err == nil && strings.HasPrefix(stored, prefix)
	})
}

// inherits reports whether the rule lets the Secret take over the account of the
// Secret that it replaces.
func (d desired) inherits(user User) bool {
	return isService(user) && ownedBy(d.Rule.AdoptFrom, user.LastName, "", maxLastName)
}

// manages reports whether the account is the Secret's already, or may be inherited.
func (d desired) manages(user User) bool { return d.Owner.owns(user) || d.inherits(user) }

// supersedes reports whether a token is an older one of the same Secret, or of
// the Secret that it replaces.
func (d desired) supersedes(token Token) bool {
	return d.Owner.made(token) || ownedBy(d.Rule.AdoptFrom, token.Description, descriptionPrefix, maxDescription)
}

// mayChange reports whether checkOwnership allows it.
func (d desired) mayChange(o observed) bool { return d.checkOwnership(o) == nil }

// checkOwnership refuses accounts that the Secret may not change.
func (d desired) checkOwnership(o observed) error {
	user := *o.User
	powerful := user.Superuser || user.Staff
	kind := map[bool]string{true: "a superuser or staff account", false: "an account"}[powerful]
	switch {
	case o.isSelf(user) && (d.manages(user) || d.Rule.Adopt && (d.Rule.Superuser || !powerful)):
		return nil // nothing but its token is changed
	case d.Setup && !d.Owner.owns(user):
		return refuse("%q is %s that setup did not create: choose another name with --username", user.Username, kind)
	case !d.manages(user) && isService(user) && !isRevoked(user):
		return d.refuseOwned(o)
	case !d.manages(user) && !d.Rule.Adopt:
		return d.refuseUnowned(o, kind)
	case !d.manages(user) && powerful && !d.Rule.Superuser:
		return refuse("%q is %s: it is taken over only if the account may be a superuser, with --superuser, or superuser: true in the policy's rule", user.Username, kind)
	case !user.Active && !isRevoked(user):
		return refuse("account %q was deactivated in Nautobot: activate it there if it is to be used again", user.Username)
	case !d.Owner.owns(user) && o.SelfAsked && o.Self == "" && !user.Superuser:
		// A superuser may list its tokens, so the superuser token cannot be a superuser's here.
		return refuse("%q is not taken over: the superuser token may be its own, and that cannot be checked because the account may not list its tokens: give it users.view_token on them", user.Username)
	}
	return nil
}

// refuseOwned is for an account of another Secret. Its owner is for the log:
// another tenant's names are not this tenant's business.
func (d desired) refuseOwned(o observed) error {
	text := "account %q belongs to another Secret: one account, one Secret"
	if name := d.Owner.Namespace + "/" + d.Owner.Name; o.User.LastName == name || strings.HasSuffix(o.User.LastName, "/"+name) {
		text = "account %q belongs to the Secret of this name in another cluster, or this cluster had another name before: is --cluster right? " +
			"If the cluster was renamed, name the former owner with --adopt-from, or adoptFrom in the policy's rule"
	} else if token := find(o.Tokens, d.Token); token != nil && !d.Owner.made(*token) {
		text += "; that Secret has the same token: if this one is a copy, remove its label"
	} else {
		text += "; if this Secret replaces it, name its owner with --adopt-from, or adoptFrom in the policy's rule"
	}
	err := refuse(text, o.User.Username)
	err.Owner = o.User.LastName
	return err
}

// refuseUnowned is for an account without the mark of a Secret.
func (d desired) refuseUnowned(o observed, kind string) error {
	if token := find(o.Tokens, d.Token); token != nil && d.Owner.made(*token) {
		return refuse("account %q has lost the names that mark it as this Secret's, but its token is this Secret's: does a directory or single sign-on manage the account? Exclude it there, then allow taking it over with --adopt, or adopt: true in the policy's rule", o.User.Username)
	}
	return refuse("%q is %s that was not made for this Secret: choose another username, or allow taking it over with --adopt, or adopt: true in the policy's rule", o.User.Username, kind)
}
