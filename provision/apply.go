package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var (
	// errLookAgain says that the plan is overtaken or could not be complete:
	// observe and plan anew.
	errLookAgain = errors.New("look again")
	// errNoAccess says that the managed group or its permission may be missing.
	errNoAccess = errors.New("look at the managed group")
)

// apply carries out a plan in an order that leaves something usable wherever
// it ends: group and permission, account, new token, proof that it works, and
// only then the end of what came before.
func (r *run) apply(ctx context.Context, want Wanted, have State, plan Plan) error {
	if err := r.applyAccess(ctx, want, plan); err != nil {
		return err
	}
	if err := r.applyUser(ctx, want, have, plan); err != nil {
		return err
	}
	login := want.login()
	switch {
	case have.Own:
		login = want.bySuperuser()
	case want.apiOnly() && !plan.Token.byPassword:
		login = want.byToken()
	}
	if err := r.applyToken(ctx, want, have, login, plan.Token); err != nil {
		return err
	}
	if !plan.Pending() && !r.report.Changed() {
		r.report.add(plan.Token.Change)
		return nil
	}
	if err := r.verify(ctx, want); err != nil {
		return err
	}
	if plan.User.Close {
		if err := r.close(ctx, want, plan.User.Change); err != nil {
			return err
		}
	}
	if err := r.supersede(ctx, want, plan.Token); err != nil {
		return err
	}
	r.report.add(plan.Token.Change)
	for _, revoke := range plan.Revoke {
		if err := r.write(revoke.Change, func() error {
			return r.nautobot.UpdateUser(ctx, revoke.ID, UserFields{Active: new(false), FirstName: new(firstNameRevoked)})
		}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) applyAccess(ctx context.Context, want Wanted, plan Plan) error {
	if plan.Group != nil {
		if err := r.write(*plan.Group, func() error {
			return r.nautobot.CreateGroup(ctx, want.ManagedGroup)
		}); err != nil {
			return err
		}
	}
	if plan.Permission == nil {
		return nil
	}
	return r.write(plan.Permission.Change, func() error {
		return r.nautobot.SavePermission(ctx, plan.Permission.Permission)
	})
}

func (r *run) applyUser(ctx context.Context, want Wanted, have State, plan Plan) error {
	change := plan.User
	if have.User == nil {
		if r.userID != "" { // made already, before the permission turned out to be missing
			return nil
		}
		r.opened = r.opened || change.Close
		return r.write(change.Change, func() error {
			user, err := r.nautobot.CreateUser(ctx, change.Write)
			r.userID = user.ID
			return missingGroup(err, have)
		})
	}
	r.userID = have.User.ID
	// Whose token it is shows once the account has its rights back. Until
	// then its password stays as it is: the token may prove to be another's.
	proveFirst := have.Key == KeyUsable && !change.Write.Password.Empty() && !change.Open
	if proveFirst {
		change.Write.Password = Sensitive{}
		change.Fields = change.Fields[1:] // the password comes first
	}
	if change.writes() {
		r.opened = r.opened || change.Open
		if err := r.write(change.Change, func() error {
			return missingGroup(r.nautobot.UpdateUser(ctx, have.User.ID, change.Write), have)
		}); err != nil {
			return err
		}
	} else if !change.Close && !proveFirst {
		r.report.add(change.Change)
	}
	// What the account can do, and which tokens it has, may look otherwise now.
	if change.writes() || plan.Group != nil || plan.Permission != nil {
		return errLookAgain
	}
	if !have.TokensKnown {
		if r.mayLookAgain(change.Object) { // it may have got its rights between two of our questions
			return errLookAgain
		}
		return fmt.Errorf("account %q may not read its own tokens: group %q needs a permission for that, which the superuser token's account may not look at", want.Username, want.ManagedGroup)
	}
	return nil
}

// missingGroup turns Nautobot's refusal to put an account into a group that
// does not exist into a look at the managed group. The rule's groups were
// looked at before.
func missingGroup(err error, have State) error {
	if errors.Is(err, RejectedField("groups")) && have.Access == nil {
		return errNoAccess
	}
	return err
}

func (r *run) applyToken(ctx context.Context, want Wanted, have State, login Login, change TokenChange) error {
	done := Change{Object: change.Object, Action: change.Action, Fields: change.Fields} // without the notes on others
	switch {
	case !change.Write.Key.Empty():
		return r.write(done, func() error {
			err := r.createToken(ctx, want, login, change.Write)
			if errors.Is(err, ErrDenied) && have.Access == nil && !have.Own {
				return errNoAccess
			}
			return err
		})
	case len(change.Fields) > 0:
		return r.write(done, func() error {
			return r.nautobot.UpdateToken(ctx, login, change.ID, change.Write)
		})
	}
	return nil
}

func (r *run) createToken(ctx context.Context, want Wanted, login Login, fields TokenFields) error {
	token, err := r.nautobot.CreateToken(ctx, login, fields)
	if err != nil || token.Key.Equal(want.Token) {
		return err
	}
	// A Nautobot that chooses keys itself would leave a token that nobody knows.
	if err := r.nautobot.DeleteTokens(ctx, login, []string{token.ID}); err != nil {
		return err
	}
	return errors.New("create token: Nautobot made one with another key than the Secret's; it was deleted again")
}

// verify uses the token: it has to open the account, and to be its own.
func (r *run) verify(ctx context.Context, want Wanted) error {
	tokens, err := r.nautobot.Tokens(ctx, want.byToken())
	if err != nil {
		return fmt.Errorf("verify the token: %w", err)
	}
	if token := find(tokens, want.Token); token == nil || token.Username != want.Username {
		return fmt.Errorf("verify the token: Nautobot does not count it among the tokens of %q", want.Username)
	}
	return nil
}

// close takes the password away again that an account without one had for a
// moment. It may be done more than once and counts only when it is known to
// have worked, so it has more tries than other writes.
func (r *run) close(ctx context.Context, want Wanted, change Change) error {
	err := r.nautobot.ClearPassword(ctx, r.userID, want.Username, firstName)
	if errors.Is(err, ErrUncertain) {
		r.Log.Info("looking again: "+err.Error(), "object", change.Object)
		return errLookAgain
	}
	if err == nil {
		r.report.add(change)
	}
	return err
}

// supersede ends the older tokens, unless the Secret changed meanwhile: then
// one of them may be newer than ours.
func (r *run) supersede(ctx context.Context, want Wanted, change TokenChange) error {
	if len(change.Expire)+len(change.Delete) == 0 {
		return nil
	}
	if err := r.stillCurrent(ctx); err != nil {
		return err
	}
	ended := Change{Object: change.Object, Action: Updated}
	if len(change.Expire) > 0 {
		if err := r.write(ended, func() error {
			return r.nautobot.ExpireTokens(ctx, want.byToken(), change.Expire, change.Until)
		}); err != nil {
			return err
		}
	}
	if len(change.Delete) == 0 {
		return nil
	}
	return r.write(ended, func() error {
		return r.nautobot.DeleteTokens(ctx, want.byToken(), change.Delete)
	})
}

// write carries out one write and enters it in the report. Where it may have
// been done already, by us or by another run, the answer is to look again;
// but not for ever.
func (r *run) write(change Change, do func() error) error {
	err := do()
	if err == nil {
		r.report.add(change)
		return nil
	}
	// Another run may have been first, or have cleared or changed the password
	// with which the account was to write its token.
	ownDoing := strings.HasPrefix(change.Object, "token/")
	again := errors.Is(err, ErrUncertain) || ownDoing && errors.Is(err, ErrDenied)
	for _, unique := range []string{"username", "key", "name"} {
		again = again || change.Action == Created && errors.Is(err, RejectedField(unique))
	}
	switch {
	case again && r.mayLookAgain(change.Object):
		r.Log.Info("looking again: "+err.Error(), "object", change.Object)
		return errLookAgain
	case change.Action == Created && errors.Is(err, RejectedField("username")):
		return refuse("an account of that name exists, but the superuser token may not see it: %v", err)
	case errors.Is(err, ErrRejected) && !errors.Is(err, RejectedField("name")):
		return refuse("%v", err)
	}
	return err
}

// maxLooks is how often one object may surprise a run. Once is enough but for
// two runs that keep meeting.
const maxLooks = 3

func (r *run) mayLookAgain(object string) bool {
	r.looks[object]++
	return r.looks[object] <= maxLooks
}
