package provision

import (
	"context"
	"errors"
)

// State is what Nautobot has, as far as it was looked at.
type State struct {
	User          *User // nil: there is none
	PasswordWrong bool  // proven: the Secret's password does not open the account
	TokensKnown   bool  // false: Tokens could not be read
	Tokens        []Token
	Key           KeyState
	// Access is nil unless something hinted that group or permission are missing.
	Access *AccessState
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
	user, err := r.nautobot.User(ctx, want.Username)
	if err != nil {
		return State{}, err
	}
	have := State{User: user}
	if user == nil {
		have.TokensKnown = true
		if have.Key, err = r.askKey(ctx, want.Token); err != nil {
			return State{}, err
		}
		have.Access, err = r.lookAtAccess(ctx, want.Rule.ManagedGroup)
		return have, err
	}
	// What will be refused is not asked for its password either.
	if err := want.mayChange(*user); err != nil {
		return State{}, err
	}
	if !user.Active {
		return r.observeInactive(ctx, want, have)
	}

	have.Tokens, err = r.nautobot.Tokens(ctx, want.byPassword())
	have.TokensKnown = err == nil
	if errors.Is(err, ErrDenied) {
		err = r.observeWithoutBasic(ctx, want, &have)
	}
	if err == nil && have.TokensKnown && find(have.Tokens, want.Token) == nil {
		have.Key, err = r.askKey(ctx, want.Token)
	}
	return have, err
}

// observeWithoutBasic finds out why the account may not read its tokens: a
// wrong password, or rights that it lost.
func (r *run) observeWithoutBasic(ctx context.Context, want Wanted, have *State) error {
	err := r.nautobot.Check(ctx, want.byPassword())
	if err != nil && !errors.Is(err, ErrDenied) {
		return err
	}
	have.PasswordWrong = err != nil

	tokens, err := r.nautobot.Tokens(ctx, want.byToken())
	switch {
	case err == nil && len(tokens) > 0 && tokens[0].Owner == want.Username:
		have.Tokens, have.TokensKnown = tokens, true
	case err == nil && len(tokens) > 0:
		have.Key = KeyTaken
	case err == nil:
		have.Key = KeyUsable
	default:
		if have.Key, err = keyState(err); err != nil {
			return err
		}
	}
	have.Access, err = r.lookAtAccess(ctx, want.Rule.ManagedGroup)
	return err
}

// observeInactive looks at an account that we revoked: nothing opens it, so
// its tokens are seen only once it is active again.
func (r *run) observeInactive(ctx context.Context, want Wanted, have State) (State, error) {
	err := r.nautobot.Check(ctx, want.byToken())
	switch {
	case err == nil:
		have.Key = KeyTaken
	case errors.Is(err, ErrUserInactive):
		have.Key = KeyUsable
	default:
		if have.Key, err = keyState(err); err != nil {
			return State{}, err
		}
	}
	have.Access, err = r.lookAtAccess(ctx, want.Rule.ManagedGroup)
	return have, err
}

// askKey asks with the Secret's token itself, so that the key stands in a
// header and never in a URL.
func (r *run) askKey(ctx context.Context, token Sensitive) (KeyState, error) {
	err := r.nautobot.Check(ctx, Login{Token: token})
	if err == nil {
		return KeyTaken, nil
	}
	state, err := keyState(err)
	if state == KeyUsable || state == KeyExpired { // the account's own are all known
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
	for i := range tokens {
		if tokens[i].Key.Equal(key) {
			return &tokens[i]
		}
	}
	return nil
}

func hasGroup(groups []Group, name string) bool {
	for _, group := range groups {
		if group.Name == name {
			return true
		}
	}
	return false
}
