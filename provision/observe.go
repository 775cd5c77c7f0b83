package provision

import (
	"context"
	"errors"
	"slices"
)

// observed is what Nautobot has, as far as it was asked.
type observed struct {
	User    *User    // nil: there is none
	Similar []string // accounts whose names differ only in upper and lower case
	Former  []User   // active accounts that the Secret named before
	// Self is the account that the superuser token belongs to. Empty if that was
	// not asked, or if the account may not list its tokens. SelfAsked: it was asked.
	Self      string
	SelfAsked bool

	PasswordWorks bool    // the password opens the account
	TokensKnown   bool    // false: Tokens could not be read
	Tokens        []Token // of the account
	Token         tokenStatus
	MissingGroups []string // of the rule's groups: Nautobot has none of that name
	// ManagedGroup is nil if nothing hints at a problem with it, or if the
	// superuser token's account may not look at it.
	ManagedGroup *managedGroup
	// GroupUnknown: the superuser token's account may not look at it.
	// GroupMissing: nor is there such a group.
	GroupUnknown, GroupMissing bool

	progress // what this run has done so far
}

// tokenStatus is what Nautobot says about a Secret's token that is not among the
// account's tokens, as far as those are known.
type tokenStatus int

const (
	tokenNotProbed     tokenStatus = iota
	tokenFree                      // nobody has it
	tokenTaken                     // another account has it
	tokenHolderUnknown             // some account has it
	tokenExpired                   // some account has it, and it is expired
)

// managedGroup is the group whose members may manage their own tokens, and the
// permission of the same name that lets them.
type managedGroup struct {
	Exists     bool
	Permission *Permission
}

// isSelf reports whether an account is the one that the superuser token belongs to.
func (o observed) isSelf(user User) bool { return o.Self != "" && o.Self == user.Username }

// observe asks for as little as possible: two requests if all is well.
func (r *reconciler) observe(ctx context.Context, want desired) (observed, error) {
	o := observed{progress: r.progress}
	if err := r.observeUsers(ctx, want, &o); err != nil {
		return o, err
	}
	if o.User != nil && !want.mayChange(o) {
		// A Secret's password is not tried on an account that is not its own.
		r.observeForeign(ctx, want, &o)
		return o, nil
	}
	if err := r.observeGroups(ctx, want, &o); err != nil {
		return o, err
	}
	var err error
	switch {
	case o.User == nil:
		o.TokensKnown = true
	case o.isSelf(*o.User): // its tokens are known already
	case !o.User.Active:
		err = r.observeInactive(ctx, want, &o)
	case want.apiOnly() && o.User.FirstName != firstNameOpening:
		err = r.observeByToken(ctx, want, &o)
	case r.quick:
		err = r.observeByToken(ctx, want, &o)
		o.PasswordWorks = err == nil // as far as a quick look goes
	default:
		err = r.observeByPassword(ctx, want, &o)
	}
	if err == nil && o.TokensKnown && find(o.Tokens, want.Token) == nil && o.Token == tokenNotProbed {
		o.Token, err = r.probe(ctx, want.Token)
	}
	// An account without rights cannot tell whose token it is, and a dry run cannot
	// find out by trying whether the managed group is there.
	joins := o.User == nil || !o.isSelf(*o.User) && !hasGroup(o.User.Groups, want.ManagedGroup)
	if err == nil && o.ManagedGroup == nil && !o.GroupUnknown && (o.Token == tokenHolderUnknown || r.dryRun && joins) {
		err = r.observeManagedGroup(ctx, want.ManagedGroup, &o)
	}
	return o, err
}

// observeUsers finds the account by its owner, which also shows the one that
// the Secret named before, or else by its name.
func (r *reconciler) observeUsers(ctx context.Context, want desired, o *observed) error {
	owned, err := r.nautobot.OwnedUsers(ctx, want.Owner.lastName())
	if err != nil {
		return err
	}
	for _, user := range owned {
		switch {
		case user.Username == want.Username:
			o.User = &user
		case user.Active && want.Owner.owns(user):
			o.Former = append(o.Former, user)
		}
	}
	if o.User == nil {
		if o.User, o.Similar, err = r.nautobot.FindUser(ctx, want.Username); err != nil {
			return err
		}
	}
	if !want.mayTouchSelf(*o) {
		return nil
	}
	return r.observeSelf(ctx, o)
}

// observeSelf finds out whose the superuser token is.
func (r *reconciler) observeSelf(ctx context.Context, o *observed) error {
	tokens, err := r.nautobot.Tokens(ctx, Login{Token: r.superuserToken})
	o.SelfAsked = err == nil || errors.Is(err, ErrDenied)
	if len(tokens) > 0 {
		o.Self = tokens[0].Username
		if o.User != nil && o.isSelf(*o.User) {
			o.Tokens, o.TokensKnown = tokens, true
		}
	}
	if errors.Is(err, ErrDenied) {
		return nil
	}
	return err
}

// mayTouchSelf reports whether it matters whose the superuser token is: if an
// account could be taken over, lose its rights, or be deactivated.
func (d desired) mayTouchSelf(o observed) bool {
	if len(o.Former) > 0 {
		return true
	}
	if o.User == nil {
		return false
	}
	if d.Owner.owns(*o.User) {
		return o.User.Superuser || o.User.Staff
	}
	return d.Rule.Adopt || d.inherits(*o.User)
}

// observeForeign uses the Secret's token to list its account's tokens, so that
// the refusal can say more. It is only a hint: if it fails, nothing else changes.
func (r *reconciler) observeForeign(ctx context.Context, want desired, o *observed) {
	tokens, err := r.nautobot.Tokens(ctx, want.byToken())
	if err == nil && len(tokens) > 0 && tokens[0].Username == want.Username {
		o.Tokens = tokens
	}
}

// observeGroups looks for those of the rule's groups that the account is not
// in yet.
func (r *reconciler) observeGroups(ctx context.Context, want desired, o *observed) error {
	if o.User != nil && o.isSelf(*o.User) {
		return nil
	}
	for _, name := range want.groups()[1:] { // the managed group is created if it is missing
		if o.User != nil && hasGroup(o.User.Groups, name) {
			continue
		}
		exists, err := r.nautobot.GroupExists(ctx, name)
		if errors.Is(err, ErrDenied) { // if it is missing, Nautobot will refuse to put the account into it
			continue
		}
		if err != nil {
			return err
		}
		if !exists {
			o.MissingGroups = append(o.MissingGroups, name)
		}
	}
	return nil
}

// observeByPassword reads the tokens over Basic authentication: one answer
// that also proves the password.
func (r *reconciler) observeByPassword(ctx context.Context, want desired, o *observed) error {
	var err error
	o.Tokens, err = r.nautobot.Tokens(ctx, want.login())
	o.TokensKnown = err == nil
	o.PasswordWorks = err == nil
	if !errors.Is(err, ErrDenied) {
		return err
	}
	// A wrong password, or an account that has lost its rights.
	err = r.nautobot.Authenticate(ctx, want.login())
	if err != nil && !errors.Is(err, ErrDenied) {
		return err
	}
	o.PasswordWorks = err == nil
	if err := r.observeByToken(ctx, want, o); err != nil || !o.PasswordWorks {
		return err
	}
	return r.observeManagedGroup(ctx, want.ManagedGroup, o)
}

// observeByToken reads the tokens with the Secret's own.
func (r *reconciler) observeByToken(ctx context.Context, want desired, o *observed) error {
	tokens, err := r.nautobot.Tokens(ctx, want.byToken())
	switch {
	case err != nil:
		o.Token, err = statusOf(err)
	case len(tokens) == 0:
		o.Token = tokenHolderUnknown
	case tokens[0].Username == want.Username:
		o.Tokens, o.TokensKnown = tokens, true
	default:
		o.Token = tokenTaken
	}
	return err
}

// observeInactive looks at an account that we revoked: nothing opens it, so its
// tokens can be seen only once it is active again.
func (r *reconciler) observeInactive(ctx context.Context, want desired, o *observed) error {
	err := r.nautobot.Authenticate(ctx, want.byToken())
	switch {
	case err == nil:
		o.Token = tokenTaken
	case errors.Is(err, ErrUserInactive):
		o.Token, err = tokenHolderUnknown, nil
	default:
		o.Token, err = statusOf(err)
	}
	return err
}

// probe sends a request with the Secret's token, so that the key is in a header
// and never in a URL. The account's own tokens are all known: whoever has this
// one is somebody else.
func (r *reconciler) probe(ctx context.Context, token Sensitive) (tokenStatus, error) {
	err := r.nautobot.Authenticate(ctx, Login{Token: token})
	if err == nil {
		return tokenTaken, nil
	}
	status, err := statusOf(err)
	if status == tokenHolderUnknown || status == tokenExpired {
		status = tokenTaken
	}
	return status, err
}

// statusOf reads the answer to a request with the Secret's token.
func statusOf(err error) (tokenStatus, error) {
	switch {
	case errors.Is(err, ErrInvalidToken):
		return tokenFree, nil
	case errors.Is(err, ErrTokenExpired):
		return tokenExpired, nil
	case errors.Is(err, ErrUserInactive): // ours is active
		return tokenTaken, nil
	case errors.Is(err, ErrDenied):
		return tokenHolderUnknown, nil
	}
	return tokenNotProbed, err
}

// observeManagedGroup needs one request if all is well. If the superuser token's
// account may not look, somebody with more rights has set things up.
func (r *reconciler) observeManagedGroup(ctx context.Context, name string, o *observed) error {
	permission, err := r.nautobot.Permission(ctx, name)
	if err != nil && !errors.Is(err, ErrDenied) {
		return err
	}
	o.GroupUnknown = err != nil
	group := managedGroup{Exists: true, Permission: permission}
	if permission == nil || !hasGroup(permission.Groups, name) {
		group.Exists, err = r.nautobot.GroupExists(ctx, name)
		if err != nil && !errors.Is(err, ErrDenied) {
			return err
		}
	}
	if o.GroupUnknown {
		o.GroupMissing = err == nil && !group.Exists
		return nil
	}
	o.ManagedGroup = &group
	return nil
}

func find(tokens []Token, key Sensitive) *Token {
	i := slices.IndexFunc(tokens, func(t Token) bool { return t.Key.Equal(key) })
	if i < 0 {
		return nil
	}
	return &tokens[i]
}

func hasGroup(groups []Group, name string) bool {
	return slices.ContainsFunc(groups, func(g Group) bool { return g.Name == name })
}
