package provision

import (
	"context"
	"errors"
	"fmt"
)

// errLookAgain says that the plan is overtaken or could not be complete:
// observe and plan anew.
var errLookAgain = errors.New("look again")

// apply carries out a plan in an order that leaves something usable wherever
// it ends: group and permission, account, new token, proof that it works, and
// only then the end of the old ones.
func (r *run) apply(ctx context.Context, want Wanted, have State, plan Plan) error {
	if err := r.applyAccess(ctx, want, plan); err != nil {
		return err
	}
	if err := r.applyUser(ctx, want, have, plan); err != nil {
		return err
	}
	if err := r.applyToken(ctx, want, plan.Token); err != nil {
		return err
	}
	if !plan.Pending() && !r.report.Changed() {
		r.report.add(plan.Token.Change)
		return nil
	}
	if err := r.verify(ctx, want); err != nil {
		return err
	}
	if err := r.supersede(ctx, want, plan.Token); err != nil {
		return err
	}
	r.report.add(plan.Token.Change)
	return nil
}

func (r *run) applyAccess(ctx context.Context, want Wanted, plan Plan) error {
	if plan.Group != nil {
		if err := r.write(*plan.Group, func() error {
			return r.nautobot.CreateGroup(ctx, want.Rule.ManagedGroup)
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
		return r.write(change.Change, func() error {
			_, err := r.nautobot.CreateUser(ctx, change.Fields)
			return err
		})
	}
	// Whose token it is shows once the account has its rights back. Until
	// then its password stays as it is: the token may prove to be another's.
	password := change.Fields.Password
	proveFirst := have.Key == KeyUsable && have.User.Active && !password.Empty()
	if proveFirst {
		change.Fields.Password = Sensitive{}
		change.Change.Fields = change.Change.Fields[1:] // the password comes first
	}
	if len(change.Change.Fields) == 0 && !proveFirst {
		r.report.add(change.Change)
	} else if len(change.Change.Fields) > 0 {
		if err := r.write(change.Change, func() error {
			return r.nautobot.UpdateUser(ctx, have.User.ID, change.Fields)
		}); err != nil {
			return err
		}
	}
	// What the account can do, and which tokens it has, may look otherwise now.
	if len(change.Change.Fields) > 0 || plan.Group != nil || plan.Permission != nil {
		return errLookAgain
	}
	if !have.TokensKnown {
		return fmt.Errorf("account %q may not read its own tokens: group %q needs a permission for that, which the superuser token's account may not look at", want.Username, want.Rule.ManagedGroup)
	}
	return nil
}

func (r *run) applyToken(ctx context.Context, want Wanted, change TokenChange) error {
	if change.Fields.Key.Empty() {
		if len(change.Change.Fields) == 0 {
			return nil
		}
		return r.write(repaired(change), func() error {
			return r.nautobot.UpdateToken(ctx, want.byPassword(), change.ID, change.Fields)
		})
	}
	return r.write(Change{Object: change.Object, Action: change.Action}, func() error {
		token, err := r.nautobot.CreateToken(ctx, want.byPassword(), change.Fields)
		if err != nil || token.Key.Equal(want.Token) {
			return err
		}
		// A Nautobot that chooses keys itself would leave a token that nobody knows.
		if err := r.nautobot.DeleteTokens(ctx, want.byPassword(), []string{token.ID}); err != nil {
			return err
		}
		return errors.New("Nautobot made a token with another key than the Secret's; it was deleted again")
	})
}

// repaired is the change of the token itself, without the notes on others.
func repaired(change TokenChange) Change {
	return Change{Object: change.Object, Action: change.Action, Fields: change.Change.Fields}
}

// verify uses the token: it has to open the account, and to be its own.
func (r *run) verify(ctx context.Context, want Wanted) error {
	tokens, err := r.nautobot.Tokens(ctx, want.byToken())
	if err != nil {
		return fmt.Errorf("verify the token: %w", err)
	}
	if token := find(tokens, want.Token); token == nil || token.Owner != want.Username {
		return fmt.Errorf("verify the token: Nautobot does not count it among the tokens of %q", want.Username)
	}
	return nil
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
// but only once for each object.
func (r *run) write(change Change, do func() error) error {
	err := do()
	if err == nil {
		r.report.add(change)
		return nil
	}
	done := errors.Is(err, ErrUncertain)
	for _, field := range []string{"username", "key", "name"} { // each is unique in Nautobot
		done = done || change.Action == Created && errors.Is(err, RejectedField(field))
	}
	switch {
	case done && !r.lookedAgain[change.Object]:
		r.lookedAgain[change.Object] = true
		r.Log.Info("looking again: "+err.Error(), "object", change.Object)
		return errLookAgain
	case change.Action == Created && errors.Is(err, RejectedField("username")):
		return refuse("an account of that name exists, but the superuser token may not see it: %v", err)
	case errors.Is(err, ErrRejected) && !errors.Is(err, RejectedField("name")):
		return refuse("%v", err)
	}
	return err
}
