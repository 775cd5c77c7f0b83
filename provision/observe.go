package provision

import (
	"context"
	"errors"
	"slices"
)

// State is what Nautobot has, as far as it was looked at.
type State struct {
	User          *User   // nil: there is none
	Others        []User  // further active accounts with the Secret's mark
	Own           bool    // the account is the one that the superuser token belongs to
	PasswordWrong bool    // the password does not open the account
	TokensKnown   bool    // false: Tokens could not be read
	Tokens        []Token // of the account
	Key           KeyState
	MissingGroups []string // of the rule's groups: there are none of that name
	// Access is nil unless something hints that group or permission are missing.
	Access *AccessState
	// Opened: this run gave the account its password for a moment.
	Opened bool
}

// KeyState is what Nautobot says of the Secret's token where it is not among
// the account's tokens, as far as they are known.
type KeyState int

const (
	KeyNotAsked KeyState = iota
	KeyUnused            // nobody has it
	KeyTaken             // somebody else has it
	KeyUsable            // somebody has it: who is unknown
	KeyExpired           // the same, but it is expired
)

// AccessState is the group and the permission that let accounts manage their
// own tokens.
type AccessState struct {
	GroupExists bool
	Permission  *Permission
}

// observe asks as little as possible: two requests where all is well.
func (r *run) observe(ctx context.Context, want Wanted) (State, error) {
	have := State{Opened: r.opened}
	if err := r.observeUsers(ctx, want, &have); err != nil {
		return have, err
	}
	if have.User != nil {
		// What will be refused is not asked for its password either.
		if err := want.mayChange(have); err != nil {
			return have, err
		}
	}
	if err := r.observeGroups(ctx, want, &have); err != nil {
		return have, err
	}
	var err error
	switch {
	case have.User == nil:
		have.TokensKnown = true
	case have.Own:
		have.TokensKnown = true // read already
	case !have.User.Active:
		err = r.observeInactive(ctx, want, &have)
	case want.apiOnly():
		err = r.observeAPIOnly(ctx, want, &have)
	default:
		err = r.observeByPassword(ctx, want, &have)
	}
	if err == nil && have.TokensKnown && have.Key == KeyNotAsked && find(have.Tokens, want.Token) == nil {
		have.Key, err = r.askKey(ctx, want.Token)
	}
	// A run finds out by trying whether the managed group is there.
	joins := have.User == nil || !have.Own && !hasGroup(have.User.Groups, want.ManagedGroup)
	if err == nil && r.DryRun && joins && have.Access == nil {
		have.Access, err = r.lookAtAccess(ctx, want.ManagedGroup)
	}
	return have, err
}

// observeUsers finds the account by the Secret's mark, which also shows the
// one that the Secret named before, or else by its name.
func (r *run) observeUsers(ctx context.Context, want Wanted, have *State) error {
	marked, err := r.nautobot.OwnedUsers(ctx, want.Mark.lastName())
	if err != nil {
		return err
	}
	for _, user := range marked {
		if user.Username == want.Username {
			have.User = &user
		} else if user.Active {
			have.Others = append(have.Others, user)
		}
	}
	if have.User == nil {
		if have.User, _, err = r.nautobot.FindUser(ctx, want.Username); err != nil || have.User == nil {
			return err
		}
	}

	// Is it the account whose token we use ourselves? It matters where the
	// account could be taken over, or lose its power.
	ours := have.User.LastName == want.Mark.lastName()
	if !ours && !want.Rule.Adopt || ours && !have.User.Superuser && !have.User.Staff {
		return nil
	}
	tokens, err := r.nautobot.Tokens(ctx, want.bySuperuser())
	if errors.Is(err, ErrDenied) { // an account that may not see its tokens, so no superuser
		return nil
	}
	if err != nil {
		return err
	}
	if have.Own = len(tokens) > 0 && tokens[0].Username == want.Username; have.Own {
		have.Tokens = tokens
	}
	return nil
}

// observeGroups looks for those of the rule's groups that the account is not
// in yet.
func (r *run) observeGroups(ctx context.Context, want Wanted, have *State) error {
	if have.Own {
		return nil
	}
	for _, name := range want.groups()[1:] { // the managed group is made where it is missing
		if have.User != nil && hasGroup(have.User.Groups, name) {
			continue
		}
		exists, err := r.nautobot.GroupExists(ctx, name)
		if errors.Is(err, ErrDenied) { // then Nautobot refuses to put the account into it
			continue
		}
		if err != nil {
			return err
		}
		if !exists {
			have.MissingGroups = append(have.MissingGroups, name)
		}
	}
	return nil
}

// observeByPassword reads the tokens over Basic authentication: one answer
// that also proves the password.
func (r *run) observeByPassword(ctx context.Context, want Wanted, have *State) error {
	var err error
	have.Tokens, err = r.nautobot.Tokens(ctx, want.login())
	have.TokensKnown = err == nil
	if !errors.Is(err, ErrDenied) {
		return err
	}
	// A wrong password, or rights that the account lost.
	err = r.nautobot.Authenticate(ctx, want.login())
	if err != nil && !errors.Is(err, ErrDenied) {
		return err
	}
	have.PasswordWrong = err != nil
	if err := r.observeByToken(ctx, want, have); err != nil {
		return err
	}
	have.Access, err = r.lookAtAccess(ctx, want.ManagedGroup)
	return err
}

// observeAPIOnly hashes nothing on the server as long as the token works.
func (r *run) observeAPIOnly(ctx context.Context, want Wanted, have *State) error {
	have.PasswordWrong = true // it has none
	if err := r.observeByToken(ctx, want, have); err != nil {
		return err
	}
	switch {
	case have.Key == KeyUsable:
		var err error
		have.Access, err = r.lookAtAccess(ctx, want.ManagedGroup)
		return err
	case have.User.FirstName == firstNameOpening && planToken(want, *have, r.Now()).byPassword:
		have.PasswordWrong, have.Key = false, KeyNotAsked
		return r.observeByPassword(ctx, want, have)
	}
	return nil
}

// observeByToken reads the tokens with the Secret's own.
func (r *run) observeByToken(ctx context.Context, want Wanted, have *State) error {
	tokens, err := r.nautobot.Tokens(ctx, want.byToken())
	switch {
	case err == nil && len(tokens) > 0 && tokens[0].Username == want.Username:
		have.Tokens, have.TokensKnown = tokens, true
		return nil
	case err == nil && len(tokens) > 0:
		have.Key = KeyTaken
		return nil
	case err == nil:
		have.Key = KeyUsable
		return nil
	}
	have.Key, err = keyState(err)
	return err
}

// observeInactive looks at an account that we revoked: nothing opens it, so
// its tokens are seen only once it is active again.
func (r *run) observeInactive(ctx context.Context, want Wanted, have *State) error {
	err := r.nautobot.Authenticate(ctx, want.byToken())
	switch {
	case err == nil:
		have.Key = KeyTaken
	case errors.Is(err, ErrUserInactive):
		have.Key = KeyUsable
	default:
		have.Key, err = keyState(err)
		return err
	}
	return nil
}

// askKey asks with the Secret's token itself, so that the key stands in a
// header and never in a URL. The account's own tokens are all known: whoever
// has it is somebody else.
func (r *run) askKey(ctx context.Context, token Sensitive) (KeyState, error) {
	err := r.nautobot.Authenticate(ctx, Login{Token: token})
	if err == nil {
		return KeyTaken, nil
	}
	state, err := keyState(err)
	if state == KeyUsable || state == KeyExpired {
		state = KeyTaken
	}
	return state, err
}

// keyState reads the answer to a request with the Secret's token.
func keyState(err error) (KeyState, error) {
	switch {
	case errors.Is(err, ErrInvalidToken):
		return KeyUnused, nil
	case errors.Is(err, ErrTokenExpired):
		return KeyExpired, nil
	case errors.Is(err, ErrUserInactive): // ours is active
		return KeyTaken, nil
	case errors.Is(err, ErrDenied):
		return KeyUsable, nil
	}
	return KeyNotAsked, err
}

// lookAtAccess needs one request where all is well. It returns nil where the
// superuser token's account may not look: then somebody with more rights has
// set things up, and what is missing shows when an account is denied.
func (r *run) lookAtAccess(ctx context.Context, name string) (*AccessState, error) {
	permission, err := r.nautobot.Permission(ctx, name)
	if errors.Is(err, ErrDenied) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	access := &AccessState{Permission: permission}
	if permission != nil && hasGroup(permission.Groups, name) {
		access.GroupExists = true
		return access, nil
	}
	access.GroupExists, err = r.nautobot.GroupExists(ctx, name)
	return access, err
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
