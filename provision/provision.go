package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Provisioner makes Nautobot have the account that a Secret describes.
type Provisioner struct {
	Source Source
	// Connect gives Nautobot, and the superuser token that is used there. It
	// is called once the Secret is accepted.
	Connect func(context.Context) (Nautobot, Sensitive, error)
	Hosts   Hosts
	Rule    Rule
	Cluster string        // part of every mark; may be empty
	Grace   time.Duration // how long a superseded token keeps working; 0: not at all
	DryRun  bool
	Now     func() time.Time
	Log     *slog.Logger
}

// maxVersions is how many versions of a Secret that changes during the run
// are followed.
const maxVersions = 3

// run is the state of one call of Provision.
type run struct {
	Provisioner
	nautobot    Nautobot
	spare       Sensitive
	secret      Secret
	report      Report
	lookedAgain map[string]bool // by object
}

// Provision does it once: look, plan, write what differs, verify, look again.
// The report tells what was done even where the error tells why no more was.
// A *Refusal means that trying again cannot help.
func (p Provisioner) Provision(ctx context.Context) (Secret, Report, error) {
	r := run{Provisioner: p}
	var err error
	if r.secret, err = p.Source.Secret(ctx); err != nil {
		return r.secret, r.report, err
	}
	for range maxVersions {
		err = r.provisionVersion(ctx)
		if !errors.Is(err, errSecretChanged) {
			break
		}
		p.Log.Info("the Secret changed during the run: starting over")
	}
	return r.secret, r.report, err
}

// provisionVersion works on the Secret as it was last read.
func (r *run) provisionVersion(ctx context.Context) error {
	account, err := ParseAccount(r.secret, r.Hosts)
	if err != nil {
		return err
	}
	for _, warning := range account.Warnings {
		r.Log.Warn(warning)
	}
	if r.nautobot == nil {
		if r.nautobot, r.spare, err = r.Connect(ctx); err != nil {
			return err
		}
	}
	want := Wanted{
		Account: account,
		Secret:  r.secret.Namespace + "/" + r.secret.Name,
		Mark:    NewMark(r.Cluster, r.secret),
		Rule:    r.Rule,
		Grace:   r.Grace,
		Spare:   r.spare,
	}
	r.lookedAgain = map[string]bool{}
	for range maxRounds {
		if err = r.round(ctx, want); !errors.Is(err, errLookAgain) {
			break
		}
	}
	if errors.Is(err, errLookAgain) {
		return errors.New("Nautobot does not keep what was written: it looks different each time")
	}
	if err != nil || !r.report.Changed() || r.DryRun {
		return err
	}
	return r.stillCurrent(ctx)
}

// maxRounds is far more than the writes that can each be overtaken once.
const maxRounds = 12

func (r *run) round(ctx context.Context, want Wanted) error {
	have, err := r.observe(ctx, want)
	if err != nil {
		return err
	}
	plan, err := MakePlan(want, have, r.Now())
	if err != nil {
		return err
	}
	if r.DryRun {
		for _, change := range plan.Changes() {
			r.report.add(change)
		}
		return nil
	}
	return r.apply(ctx, want, have, plan)
}

var errSecretChanged = errors.New("the Secret kept changing during the run")

// stillCurrent reads the Secret again. An overtaken run must neither end the
// newest token nor leave an older version behind.
func (r *run) stillCurrent(ctx context.Context) error {
	now, err := r.Source.Secret(ctx)
	if err != nil {
		return fmt.Errorf("read the Secret again, as the run ends: %s", err) // not a refusal: something was written
	}
	if now.ResourceVersion == r.secret.ResourceVersion && now.UID == r.secret.UID {
		return nil
	}
	r.secret = now
	return errSecretChanged
}
