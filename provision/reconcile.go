package provision

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// reconciler brings one account to what is desired: that of one Secret, or of Setup.
type reconciler struct {
	nautobot       Nautobot
	superuserToken Sensitive
	dryRun         bool
	quick          bool             // passwords are taken on trust: for a look that writes nothing
	now            func() time.Time // of this machine
	log            *slog.Logger
	// current says whether what was desired still is: nil, or why not.
	current func(context.Context) error

	report   Report
	doubtful []step         // writes that got no answer
	retries  map[string]int // how often each write made the run observe again
	ahead    time.Duration  // how far Nautobot's clock is ahead of ours
	created  *User          // by this run, in this round
	userID   string         // of the account
	// warnPasswordKept: the Secret has no password, and the warning is still to come.
	warnPasswordKept bool
	progress
}

// progress is what a run has done so far, as far as it decides what comes next.
type progress struct {
	wrote          bool // anything
	kept           bool // anything that is not taken back if the account is refused
	opened         bool // gave the account a temporary password, which it still has
	revived        bool // activated an account that was revoked
	adopted        bool // took an account over
	blankPassword  bool // the account's stored password is empty
	mine           bool // the account was the Secret's at some point
	lost           bool // the account was the Secret's and is another's now
	madeToken      bool // created the Secret's token
	passwordWrites int
}

// errStale: what was observed is out of date, or the plan ends where more has to
// be known: observe again.
var errStale = errors.New("observe again")

// errNeedGroup: the managed group or its permission may be missing.
type errNeedGroup struct{ error }

const (
	// maxRounds is more than the number of writes that another run can overtake.
	maxRounds = 20
	// maxRetries is how often one write may make a run observe again. Once is
	// enough unless two runs keep colliding.
	maxRetries = 3
	// maxDoubts is how often what may have been caused by another run is looked
	// at again. An account that is revoked and comes back changes twice.
	maxDoubts = 2
)

// reconcile observes, plans and applies until nothing is left to do.
func (r *reconciler) reconcile(ctx context.Context, want desired) error {
	return r.untilDone(func() error {
		have, err := r.observe(ctx, want)
		if err != nil {
			return err
		}
		r.remember(want, have)
		steps, err := makePlan(want, have, r.clock(have.Tokens))
		if err != nil {
			return r.doubt(ctx, err)
		}
		err = r.apply(ctx, steps)
		if missing, ok := errors.AsType[errNeedGroup](err); ok {
			return r.withGroup(ctx, want, have, missing.error)
		}
		return err
	})
}

// untilDone repeats a round until it does not ask for another.
func (r *reconciler) untilDone(round func() error) error {
	var err error
	for range maxRounds {
		r.created = nil
		if err = round(); !errors.Is(err, errStale) {
			return err
		}
	}
	return fmt.Errorf("did not converge after %d rounds: something else keeps changing the account (%w)", maxRounds, err)
}

// withGroup goes on with a plan that ran into a missing managed group. What was
// observed is amended, not asked for again: nothing else has changed.
func (r *reconciler) withGroup(ctx context.Context, want desired, have observed, cause error) error {
	if have.User != nil && have.isSelf(*have.User) {
		return cause
	}
	if err := r.observeManagedGroup(ctx, want.ManagedGroup, &have); err != nil {
		return err
	}
	if have.ManagedGroup == nil {
		return errNoGroup(want)
	}
	if r.created != nil {
		have.User, have.PasswordWorks = r.created, true
	}
	have.progress = r.progress
	steps, err := makePlan(want, have, r.clock(have.Tokens))
	if err != nil {
		return err
	}
	err = r.apply(ctx, steps)
	if errors.As(err, new(errNeedGroup)) {
		return errStale
	}
	return err
}

// remember notes which account this is, and whether somebody else has removed
// the temporary password.
func (r *reconciler) remember(want desired, have observed) {
	if r.warnPasswordKept && have.User != nil && !have.isSelf(*have.User) {
		r.warnPasswordKept = false
		r.log.Warn("the Secret has no password: if Nautobot has one for the account from before, it is left as it is")
	}
	if have.User != nil {
		r.userID = have.User.ID
		r.opened = r.opened && isOpen(*have.User)
		r.mine = r.mine || want.manages(*have.User)
		r.lost = r.mine && !want.manages(*have.User)
	}
}

// apply carries out the steps, one after another. A dry run only reports them.
func (r *reconciler) apply(ctx context.Context, steps []step) error {
	r.confirm(steps)
	for _, step := range steps {
		if step.write == nil || r.dryRun {
			r.report.add(step.Change)
			continue
		}
		if step.recheck {
			if err := r.current(ctx); err != nil {
				return err
			}
		}
		if err := r.carryOut(ctx, step); err != nil {
			return err
		}
		if step.reobserve {
			return errStale
		}
	}
	return nil
}

// carryOut sends one write, and decides what its answer means.
func (r *reconciler) carryOut(ctx context.Context, step step) error {
	err := step.write.send(ctx, r)
	if step.Object != "" && !errors.Is(err, ErrRejected) && !errors.Is(err, ErrDenied) { // these did nothing
		r.wrote = true
		r.kept = r.kept || !isTakenBack(step.write)
	}
	if err == nil {
		r.report.add(step.Change)
		return nil
	}
	if errors.Is(err, ErrUncertain) && step.Object != "" {
		r.doubtful = append(r.doubtful, step)
	}
	for _, row := range meanings {
		if len(row.of) > 0 && !slices.Contains(row.of, step.write.kind()) || !fits(step.write, err, row.when) {
			continue
		}
		switch {
		case row.means == again && r.mayRetry(string(step.write.kind())+step.Object):
			r.log.Info("observing again: "+err.Error(), "object", step.Object)
			return errStale
		case row.means == needGroup && r.mayRetry("managed group"):
			return errNeedGroup{err}
		case row.means == forbidden:
			return r.refusal(step.write, err)
		case row.means == fail:
			return err
		}
	}
	return err
}

// isTakenBack reports whether leave undoes a write.
func isTakenBack(w write) bool {
	update, ok := w.(updateUser)
	return ok && !update.Adopts && (update.Opens || update.Fields.Active != nil && *update.Fields.Active) || w.kind() == "clear password"
}

func (r *reconciler) mayRetry(what string) bool {
	r.retries[what]++
	return r.retries[what] <= maxRetries
}

// confirm reports the writes that got no answer and that a new plan no longer
// contains: they were carried out.
func (r *reconciler) confirm(steps []step) {
	for _, sent := range r.doubtful {
		if !slices.ContainsFunc(steps, func(s step) bool {
			return s.Object == sent.Object && s.write != nil && s.write.kind() == sent.write.kind()
		}) {
			r.report.add(sent.Change)
		}
	}
	r.doubtful = nil
}

// doubt looks again before it believes what only another run may have caused.
func (r *reconciler) doubt(ctx context.Context, err error) error {
	taken := errors.Is(err, errTaken) || errors.Is(err, errTakenUnseen)
	transient := taken || errors.As(err, new(errNoRights)) || errors.Is(err, errPasswordIgnored)
	if transient && r.retries[err.Error()] < maxDoubts {
		r.retries[err.Error()]++
		return errStale
	}
	if !taken {
		return err
	}
	// A proxy that logs everybody in makes every token look taken.
	nonsense := make([]byte, tokenLength/2)
	_, _ = rand.Read(nonsense) // never fails
	if r.nautobot.Authenticate(ctx, Login{Token: Hide(hex.EncodeToString(nonsense))}) == nil {
		return errors.New("a token that nobody has is accepted as well: something in front of Nautobot logs in every request as an account of its own")
	}
	return err
}

// clock is Nautobot's time, as far as it is known: tokens say when they were
// created, and one that this run has created gives the exact time.
func (r *reconciler) clock(tokens []Token) time.Time {
	for _, token := range tokens {
		if token.Created.After(r.now().Add(r.ahead)) {
			r.sawClock(token.Created)
		}
	}
	return r.now().Add(r.ahead)
}

// sawClock notes Nautobot's time.
func (r *reconciler) sawClock(now time.Time) {
	if !now.IsZero() {
		r.ahead = now.Sub(r.now())
	}
}

// abandon leaves an account that cannot be finished as safe as possible, and
// decides what the error means, given what was written.
func (r *reconciler) abandon(ctx context.Context, want desired, cause error) error {
	refusal, refused := errors.AsType[*Refusal](cause)
	var current error
	begun := r.opened || r.lost || refused && r.revived
	if begun {
		current = r.current(ctx)
	}
	takenBack := false
	switch {
	case !begun, errors.Is(current, errSecretChanged): // then the next run is on its way, and sees to the account
	case ctx.Err() != nil:
		r.remains(context.Cause(ctx))
	case current == nil || errors.Is(current, ErrNoSecret):
		takenBack = r.leave(ctx, want, refused)
	default:
		r.remains(current)
	}
	if errors.Is(cause, ErrNoSecret) { // in the middle of a run; the next run decides what it means
		return errors.New(cause.Error())
	}
	if refused && r.wrote && !r.kept && takenBack {
		r.report.forget("user/" + want.Username)
		return fmt.Errorf("after a write that was needed to find out and has been taken back: %v", refusal)
	}
	if refused && r.wrote {
		if refusal.Owner != "" { // the error below no longer has it
			r.log.Info("the account belongs to another Secret", "owner", refusal.Owner)
		}
		return fmt.Errorf("after part of it was written: %v; the next run will be refused before it writes anything", refusal)
	}
	return cause
}

// leave takes back what must not stay: a temporary password, the activation of
// an account that is refused, and all of it in an account that is another's now.
// It reports whether there was anything, and it is gone.
func (r *reconciler) leave(ctx context.Context, want desired, refused bool) bool {
	var err error
	switch {
	case r.lost:
		err = r.leaveToOthers(ctx, want)
	case r.opened || refused && r.revived:
		err = r.leaveAsItWas(ctx, want, refused)
	default:
		return false
	}
	if errors.Is(err, errStale) { // the account was revoked: nothing is left to do
		err = nil
	}
	if err != nil {
		r.remains(err)
	}
	return err == nil
}

// remains warns about what leave could not take back.
func (r *reconciler) remains(why error) {
	r.log.Warn("what this run began remains until the next one", "error", why.Error())
}

// leaveAsItWas looks first: the write that should have opened or activated the
// account may not have been carried out.
func (r *reconciler) leaveAsItWas(ctx context.Context, want desired, refused bool) error {
	owned, err := r.nautobot.OwnedUsers(ctx, want.Owner.lastName())
	for _, user := range owned {
		if user.Username != want.Username {
			continue
		}
		if isOpen(user) {
			if err := r.clearPassword(ctx, user.ID, user.Username); err != nil {
				return err
			}
		}
		if refused && r.revived && user.Active {
			_, err := r.nautobot.UpdateUser(ctx, user.ID, UserFields{Active: new(false), FirstName: new(firstNameRevoked)})
			return err
		}
	}
	return err
}

// leaveToOthers removes what this run gave to an account that somebody else has
// since taken over: its password and its token.
func (r *reconciler) leaveToOthers(ctx context.Context, want desired) error {
	if (r.opened || r.passwordWrites > 0) && r.nautobot.Authenticate(ctx, want.login()) == nil {
		if err := r.clearPassword(ctx, r.userID, want.Username); err != nil {
			return err
		}
	}
	if !r.madeToken {
		return nil
	}
	tokens, err := r.nautobot.Tokens(ctx, want.byToken())
	if errors.Is(err, ErrInvalidToken) {
		return nil // it is already gone
	}
	token := find(tokens, want.Token)
	if err != nil || token == nil || token.Username != want.Username || !want.Owner.made(*token) {
		return err
	}
	return r.nautobot.DeleteTokens(ctx, want.byToken(), []string{token.ID})
}

// clearPassword removes a temporary password, and with it the first name that
// records it.
func (r *reconciler) clearPassword(ctx context.Context, id, username string) error {
	user, err := r.nautobot.ClearPassword(ctx, id, username, firstName)
	return r.keepMark(ctx, user, err)
}

// keepMark follows a write of an active account's first name. If the account was
// revoked at that moment, its first name recorded that, and has to do so again:
// otherwise a person would seem to have deactivated it. What comes next has to be
// observed.
func (r *reconciler) keepMark(ctx context.Context, user User, err error) error {
	if err != nil || user.Active {
		return err
	}
	if _, err := r.nautobot.UpdateUser(ctx, user.ID, UserFields{FirstName: new(firstNameRevoked)}); err != nil {
		return err
	}
	return errStale
}
