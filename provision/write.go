package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// write is a request that a plan can hold.
type write interface {
	kind() kind
	send(ctx context.Context, r *reconciler) error
}

// kind is what a write does.
type kind string

type (
	createGroup    struct{ Name string }
	savePermission struct{ Permission Permission }
	createUser     struct {
		Fields UserFields
		Opens  bool // with a temporary password
	}
	updateUser struct {
		ID     string
		Fields UserFields
		Opens  bool // with a temporary password
		Adopts bool // the account was not the Secret's before
	}
	clearPassword struct{ ID, Username string } // no ID: the account that this run created
	deleteUser    struct{ ID string }
	createToken   struct {
		Login  Login
		Fields TokenFields
	}
	updateToken struct {
		Login  Login
		ID     string
		Fields TokenFields
	}
	expireTokens struct {
		Login Login
		IDs   []string
		In    time.Duration // from now, by Nautobot's clock
	}
	deleteTokens struct {
		Login Login
		IDs   []string
	}
	// verifyToken uses the token: it has to open the account and to be its own.
	verifyToken struct{ Login Login }
	// confirmOwner checks once more whose account it is: somebody else may have
	// taken it over at the same moment.
	confirmOwner struct {
		Owner    Owner
		Username string
	}
)

func (createGroup) kind() kind    { return "create group" }
func (savePermission) kind() kind { return "save permission" }
func (createUser) kind() kind     { return "create user" }
func (updateUser) kind() kind     { return "update user" }
func (clearPassword) kind() kind  { return "clear password" }
func (deleteUser) kind() kind     { return "delete user" }
func (createToken) kind() kind    { return "create token" }
func (updateToken) kind() kind    { return "update token" }
func (expireTokens) kind() kind   { return "expire tokens" }
func (deleteTokens) kind() kind   { return "delete tokens" }
func (verifyToken) kind() kind    { return "verify token" }
func (confirmOwner) kind() kind   { return "confirm owner" }

func (w createGroup) send(ctx context.Context, r *reconciler) error {
	return r.nautobot.CreateGroup(ctx, w.Name)
}

func (w savePermission) send(ctx context.Context, r *reconciler) error {
	return r.nautobot.SavePermission(ctx, w.Permission)
}

func (w createUser) send(ctx context.Context, r *reconciler) error {
	r.opened = r.opened || w.Opens
	user, err := r.nautobot.CreateUser(ctx, w.Fields)
	if err == nil {
		// Nautobot's answer may name its groups by id only.
		user.Groups = w.Fields.Groups
		r.created, r.userID, r.mine = &user, user.ID, true
	}
	return err
}

func (w updateUser) send(ctx context.Context, r *reconciler) error {
	r.opened = r.opened || w.Opens
	user, err := r.nautobot.UpdateUser(ctx, w.ID, w.Fields)
	if err == nil && !w.Fields.Password.Empty() && !w.Opens {
		r.passwordWrites++
	}
	r.mine = r.mine || err == nil && w.Adopts
	done := err == nil || errors.Is(err, ErrUncertain)
	r.adopted = r.adopted || done && w.Adopts
	r.revived = r.revived || done && w.Fields.Active != nil && *w.Fields.Active
	// Some script has left an empty password, with which Nautobot accepts no write.
	r.blankPassword = errors.Is(err, RejectedField("password")) && w.Fields.Password.Empty()
	if w.Fields.FirstName != nil && w.Fields.Active == nil {
		return r.keepMark(ctx, user, err)
	}
	return err
}

func (w clearPassword) send(ctx context.Context, r *reconciler) error {
	if w.ID == "" {
		w.ID = r.userID
	}
	err := r.clearPassword(ctx, w.ID, w.Username)
	r.opened = r.opened && err != nil
	return err
}

func (w deleteUser) send(ctx context.Context, r *reconciler) error {
	return r.nautobot.DeleteUser(ctx, w.ID)
}

func (w createToken) send(ctx context.Context, r *reconciler) error {
	token, err := r.nautobot.CreateToken(ctx, w.Login, w.Fields)
	r.madeToken = r.madeToken || err == nil || errors.Is(err, ErrUncertain)
	if err != nil {
		return err
	}
	r.sawClock(token.Created)
	if token.Key.Equal(w.Fields.Key) {
		return nil
	}
	// A Nautobot that chose the key itself would leave a token that nobody knows.
	if err := r.nautobot.DeleteTokens(ctx, w.Login, []string{token.ID}); err != nil {
		return err
	}
	return errors.New("create token: Nautobot created one with a key other than the Secret's; it has been deleted")
}

func (w updateToken) send(ctx context.Context, r *reconciler) error {
	return r.nautobot.UpdateToken(ctx, w.Login, w.ID, w.Fields)
}

func (w expireTokens) send(ctx context.Context, r *reconciler) error {
	return r.nautobot.ExpireTokens(ctx, w.Login, w.IDs, r.clock(nil).Add(w.In))
}

func (w deleteTokens) send(ctx context.Context, r *reconciler) error {
	return r.nautobot.DeleteTokens(ctx, w.Login, w.IDs)
}

func (w verifyToken) send(ctx context.Context, r *reconciler) error {
	tokens, err := r.nautobot.Tokens(ctx, w.Login)
	if err != nil {
		return fmt.Errorf("verify the token: %w", err)
	}
	if token := find(tokens, w.Login.Token); token == nil || token.Username != w.Login.Username {
		return fmt.Errorf("verify the token: Nautobot does not count it among the tokens of %q", w.Login.Username)
	}
	return nil
}

func (w confirmOwner) send(ctx context.Context, r *reconciler) error {
	owned, err := r.nautobot.OwnedUsers(ctx, w.Owner.lastName())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(owned, func(u User) bool { return u.Username == w.Username }) {
		return nil
	}
	r.lost = true
	return refuse("account %q was taken over for another Secret at the same time: change the username in one of the two", w.Username)
}

// verdict is what to do after a write that failed.
type verdict int

const (
	fail      verdict = iota
	again             // observe again: it may have been done already, by us or by another run
	needGroup         // the managed group or its permission may be missing
	forbidden         // refuse
)

// meanings say what Nautobot's answer to a write means. The first row that fits
// counts; after a few tries a row with again or needGroup is skipped.
var meanings = []struct {
	of    []kind // empty: any
	when  error
	means verdict
}{
	{nil, ErrUncertain, again},
	{[]kind{"create user"}, RejectedField("username"), again},
	{[]kind{"create token"}, RejectedField("key"), again},
	{[]kind{"create group", "save permission"}, RejectedField("name"), again},
	{[]kind{"create group", "save permission"}, ErrRejected, fail},
	{[]kind{"create user", "update user"}, RejectedField("groups"), needGroup},
	{[]kind{"update user"}, errBlankPassword, again},
	{[]kind{"create user", "update user"}, errGrantsSuperuser, forbidden},
	{[]kind{"create token", "update token", "expire tokens", "delete tokens"}, ErrDenied, needGroup},
	// Another run may have cleared or changed the password that was used.
	{[]kind{"create token", "update token", "expire tokens", "delete tokens"}, ErrDenied, again},
	// A revoke that looked before the Secret came back was quicker.
	{[]kind{"create token", "update token", "expire tokens", "delete tokens", "verify token"}, ErrUserInactive, again},
	{nil, ErrRejected, forbidden},
}

// Two meanings that also depend on what was sent.
var (
	errBlankPassword   = errors.New("the account's password is empty, which Nautobot does not accept in a write")
	errGrantsSuperuser = errors.New("only a superuser's token can make an account a superuser")
)

// fits reports whether the error of a write is the one in a row of meanings.
func fits(w write, err, when error) bool {
	update, updates := w.(updateUser)
	switch {
	case errors.Is(when, errBlankPassword):
		return updates && update.Fields.Password.Empty() && errors.Is(err, RejectedField("password"))
	case errors.Is(when, errGrantsSuperuser):
		return grantsSuperuser(w) && errors.Is(err, ErrDenied)
	}
	return errors.Is(err, when)
}

func grantsSuperuser(w write) bool {
	var flag *bool
	switch w := w.(type) {
	case createUser:
		flag = w.Fields.Superuser
	case updateUser:
		flag = w.Fields.Superuser
	}
	return flag != nil && *flag
}

// refusal is what to say about a write that Nautobot will never accept.
func (r *reconciler) refusal(w write, err error) error {
	switch {
	case grantsSuperuser(w) && errors.Is(err, ErrDenied):
		return refuse("the rule grants superuser, which requires a superuser's token: the superuser token's account is not one")
	case w.kind() == "create user" && errors.Is(err, RejectedField("username")):
		return refuse("an account of that name exists, but the superuser token may not see it: %v", err)
	}
	return refuse("%v", err)
}
