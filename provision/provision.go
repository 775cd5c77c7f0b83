package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Provisioner provisions the accounts that Secrets describe. It is made once
// and may provision many Secrets, from several goroutines.
type Provisioner struct {
	// Connect gives Nautobot, and the superuser token that is used there. It
	// is called for each Secret, once the Secret is accepted.
	Connect func(context.Context) (Nautobot, Sensitive, error)
	Hosts   AllowedHosts
	Policy  Policy
	Cluster string        // part of every mark; may be empty
	Grace   time.Duration // how long a superseded token keeps working; 0: not at all
	DryRun  bool
	Now     func() time.Time
	Log     *slog.Logger
}

const (
	// maxVersions is how many versions of a Secret are followed that changes
	// during the run.
	maxVersions = 3
	// maxRounds is more than the writes that can each be overtaken.
	maxRounds = 20
)

// run is the state of one call of Provision.
type run struct {
	Provisioner
	source         Source
	nautobot       Nautobot
	superuserToken Sensitive
	secret         Secret
	report         Report
	userID         string         // of the account, in this round
	passwordless   bool           // the Secret has no password, which is still to be said
	opened         bool           // the account has a password for a moment, from us
	looks          map[string]int // how often each object made us look again
	takenTwice     bool
}

// Result is what became of one Secret.
type Result struct {
	Secret Secret // as it was last read
	Report Report
}

// Provision provisions one Secret: observe, plan, write what differs, verify,
// read the Secret again. The Report tells what was done even if the error tells
// why no more was. A *Refusal means that trying again cannot help, ErrNoSecret
// that the Secret is gone.
func (p *Provisioner) Provision(ctx context.Context, source Source) (Result, error) {
	r := run{Provisioner: *p, source: source}
	var err error
	if r.secret, err = source.Secret(ctx); err != nil {
		return Result{r.secret, r.report}, err
	}
	for range maxVersions {
		err = r.provisionVersion(ctx)
		if !errors.Is(err, errSecretChanged) {
			break
		}
		p.Log.Info("the Secret changed during the run: starting over")
	}
	return Result{r.secret, r.report}, err
}

// provisionVersion works on the Secret as it was last read.
func (r *run) provisionVersion(ctx context.Context) error {
	want, err := r.want(ctx)
	if err != nil {
		return err
	}
	err = r.converge(ctx, want)
	if r.DryRun || !r.report.Changed() {
		return err
	}
	// What went wrong counts only if it was about the Secret as it is now.
	if current := r.stillCurrent(ctx); err == nil || errors.Is(current, errSecretChanged) {
		return current
	}
	return err
}

// converge looks, plans and writes until nothing differs.
func (r *run) converge(ctx context.Context, want Wanted) error {
	r.looks, r.takenTwice = map[string]int{}, false
	for range maxRounds {
		if err := r.round(ctx, want); !errors.Is(err, errLookAgain) {
			return err
		}
	}
	return errors.New("Nautobot does not keep what was written: it looks different each time")
}

// want is what the Secret asks for and the policy allows. Nautobot is
// connected to once both are settled.
func (r *run) want(ctx context.Context) (Wanted, error) {
	account, err := ParseAccount(r.secret, r.Hosts)
	if err != nil {
		return Wanted{}, err
	}
	for _, warning := range account.Warnings {
		r.Log.Warn(warning)
	}
	r.passwordless = account.Password.Empty() && len(r.report.Changes) == 0
	rule, err := r.Policy.Allow(r.secret, account.Username)
	if err != nil {
		return Wanted{}, err
	}
	if r.nautobot == nil {
		if r.nautobot, r.superuserToken, err = r.Connect(ctx); err != nil {
			return Wanted{}, err
		}
	}
	return Wanted{
		Account:        account,
		Secret:         r.secret.Namespace + "/" + r.secret.Name,
		Mark:           NewMark(r.Cluster, r.secret),
		Named:          r.Cluster != "",
		Rule:           rule,
		ManagedGroup:   r.Policy.ManagedGroup,
		Grace:          r.Grace,
		SuperuserToken: r.superuserToken,
	}, nil
}

// round is one look, one plan, and its writes as far as they go.
func (r *run) round(ctx context.Context, want Wanted) error {
	r.userID = ""
	have, err := r.observe(ctx, want)
	if err != nil {
		return err
	}
	if r.passwordless && have.User != nil && !have.Own {
		r.passwordless = false
		r.Log.Warn("the Secret has no password: one that Nautobot has for the account from before is left as it is")
	}
	plan, err := MakePlan(want, have, r.Now())
	if (errors.Is(err, errTaken) || errors.Is(err, errTakenUnseen)) && !r.takenTwice {
		// Another run may have made it between two of our questions.
		r.takenTwice = true
		return errLookAgain
	}
	if err != nil {
		return r.leaveClosed(ctx, want, have, err)
	}
	if r.DryRun {
		for _, change := range plan.Changes() {
			r.report.add(change)
		}
		return nil
	}
	err = r.apply(ctx, want, have, plan)
	if !errors.Is(err, errNoAccess) {
		return err
	}
	if have.Access, err = r.lookAtAccess(ctx, want.ManagedGroup); err != nil {
		return err
	}
	if have.Access == nil {
		return fmt.Errorf("account %q may not make its token: Nautobot needs the group %q with a permission for that, and the superuser token's account may not look at them",
			want.Username, want.ManagedGroup)
	}
	if plan, err = MakePlan(want, have, r.Now()); err != nil {
		return err
	}
	return r.apply(ctx, want, have, plan)
}

// leaveClosed is for a refusal that could only be found while the account had
// its password for a moment.
func (r *run) leaveClosed(ctx context.Context, want Wanted, have State, refusal error) error {
	if !r.opened || r.DryRun || have.User == nil || have.User.FirstName != firstNameOpening {
		return refusal
	}
	if err := r.nautobot.ClearPassword(ctx, have.User.ID, want.Username, firstName); err != nil {
		return err
	}
	return refusal
}

var errSecretChanged = errors.New("the Secret kept changing during the run")

// stillCurrent reads the Secret again. An overtaken run must neither end the
// newest token nor leave an older version behind.
func (r *run) stillCurrent(ctx context.Context) error {
	if r.source == nil { // Setup works on a file, read once
		return nil
	}
	now, err := r.source.Secret(ctx)
	if err != nil {
		return fmt.Errorf("read the Secret again, as the run ends: %s", err) // not a refusal: something was written
	}
	if now.ResourceVersion == r.secret.ResourceVersion && now.UID == r.secret.UID {
		return nil
	}
	r.secret = now
	return errSecretChanged
}
