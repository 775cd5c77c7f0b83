package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"
)

// Provisioner provisions the accounts that Secrets describe. It is made once
// and may provision many Secrets, from several goroutines.
type Provisioner struct {
	// Connect returns Nautobot, and the superuser token that is used there. It
	// is called for each Secret, once the Secret has been accepted.
	Connect func(context.Context) (Nautobot, Sensitive, error)
	Hosts   AllowedHosts
	Policy  Policy
	Cluster string        // part of every mark; may be empty
	Grace   time.Duration // how long a superseded token keeps working; 0: not at all
	DryRun  bool
	Now     func() time.Time
	Log     *slog.Logger
}

// maxVersions is how many versions of a Secret a run follows if the Secret keeps
// changing.
const maxVersions = 3

// Result is what became of one Secret.
type Result struct {
	Secret Secret // as it was last read
	Report Report
}

// Provision provisions one Secret: read it, observe Nautobot, plan, write what
// differs, verify, read the Secret again. The Report says what was done, even if
// the error says why no more was. A *Refusal means that trying again cannot help,
// and that nothing was written; ErrNoSecret, that the Secret is gone.
func (p *Provisioner) Provision(ctx context.Context, source Source) (Result, error) {
	r := run{Provisioner: p, source: source}
	var err error
	if r.secret, err = source.Secret(ctx); err != nil {
		return Result{Secret: r.secret}, err
	}
	for range maxVersions {
		err = r.provisionVersion(ctx)
		if !errors.Is(err, errSecretChanged) {
			break
		}
		p.Log.Info("the Secret changed during the run: starting over")
	}
	if err != nil {
		for _, e := range r.earlier {
			e.leave(ctx, e.want, errors.As(err, new(*Refusal)))
		}
		err = r.abandon(ctx, r.want, err)
	}
	return Result{r.secret, r.report}, err
}

// run is one call of Provision.
type run struct {
	*Provisioner
	reconciler
	source Source
	secret Secret
	want   desired
	// earlier are the versions of the Secret whose account this run opened or
	// activated before it found another one.
	earlier []version
}

type version struct {
	reconciler
	want desired
}

// provisionVersion works on the Secret as it was last read.
func (r *run) provisionVersion(ctx context.Context) error {
	want, err := r.desire(r.secret)
	for _, warning := range want.Warnings {
		r.Log.Warn(warning)
	}
	if err != nil {
		return err
	}
	if err := r.begin(ctx, want); err != nil {
		return err
	}
	err = r.reconcile(ctx, r.want)
	if err == nil && !r.wrote {
		return nil
	}
	// What went wrong counts only if it was about the Secret as it is now.
	if current := r.current(ctx); err == nil || errors.Is(current, errSecretChanged) {
		return current
	}
	return err
}

// begin moves the run on to another version of the Secret. With the first it
// connects to Nautobot, which is not done until the Secret has been accepted.
func (r *run) begin(ctx context.Context, want desired) error {
	before := r.reconciler
	if before.opened || before.revived {
		r.earlier = append(r.earlier, version{before, r.want})
	}
	if before.nautobot == nil {
		var err error
		if before.nautobot, before.superuserToken, err = r.Connect(ctx); err != nil {
			return err
		}
	}
	r.reconciler = r.newReconciler(before.nautobot, before.superuserToken)
	r.current = r.unchanged
	r.report, r.ahead = before.report, before.ahead
	r.progress = progress{wrote: before.wrote, kept: before.kept}
	r.warnPasswordKept = want.Password.Empty() && len(before.report.Changes) == 0
	r.want = want
	r.want.SuperuserToken = r.superuserToken
	return nil
}

// desire is what the Secret asks for and the policy allows, except for the
// superuser token. If the policy refuses the Secret, it still has the warnings.
func (p *Provisioner) desire(secret Secret) (desired, error) {
	account, err := parseAccount(secret, p.Hosts)
	if err != nil {
		return desired{}, err
	}
	rule, err := p.Policy.Allow(secret, account.Username)
	return desired{
		Account:      account,
		Owner:        p.ownerOf(secret),
		Secret:       secret.path(),
		Rule:         rule,
		ManagedGroup: p.Policy.ManagedGroup,
		Grace:        p.Grace,
	}, err
}

func (p *Provisioner) ownerOf(secret Secret) Owner {
	return Owner{p.Cluster, secret.Namespace, secret.Name}
}

// loggingFor is the same Provisioner, whose log lines name the Secret.
func (p *Provisioner) loggingFor(secret Secret) *Provisioner {
	one := *p
	one.Log = p.Log.With("secret", secret.path())
	return &one
}

func (p *Provisioner) newReconciler(nautobot Nautobot, superuserToken Sensitive) reconciler {
	return reconciler{
		nautobot: nautobot, superuserToken: superuserToken,
		dryRun: p.DryRun, now: p.Now, log: p.Log,
		retries: map[string]int{},
	}
}

var errSecretChanged = errors.New("the Secret kept changing during the run")

// unchanged reads the Secret again. An overtaken run must neither end the
// newest token nor leave an older version behind.
func (r *run) unchanged(ctx context.Context) error {
	now, err := r.source.Secret(ctx)
	if err != nil {
		return fmt.Errorf("read the Secret again: %w", err)
	}
	if r.secret.sameAs(now) {
		return nil
	}
	r.secret = now
	return errSecretChanged
}

// sameAs compares the parts of a Secret that count: its annotations may change
// for other reasons.
func (s Secret) sameAs(other Secret) bool {
	return s.UID == other.UID && s.Labels[labelKey] == other.Labels[labelKey] &&
		maps.EqualFunc(s.Data, other.Data, Sensitive.Equal)
}
