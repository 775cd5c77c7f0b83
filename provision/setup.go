package provision

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// ProvisionersGroup is the group of the accounts that Setup makes. They are no
// members of the managed group: else they could change themselves.
const ProvisionersGroup = "nautobot-token-provisioners"

// Setup prepares a Nautobot once: the managed group with its permission, and a
// provisioner, an account that can do what provisioning needs and no more. Its
// token serves as the superuser token wherever no rule grants superuser.
type Setup struct {
	Nautobot       Nautobot // with the rights of a superuser
	SuperuserToken Sensitive
	ManagedGroup   string
	Username       string
	Token          Sensitive // that the provisioner is to have
	Grace          time.Duration
	DryRun         bool
	Now            func() time.Time
	Log            *slog.Logger
}

// provisioners lets the members of the provisioners' group work on the members
// of the managed group, as long as those are no superusers. The server itself
// keeps them to that.
func provisioners(managedGroup string) Permission {
	return Permission{
		Name:        ProvisionersGroup + "-users",
		Enabled:     true,
		ObjectTypes: []string{"users.user"},
		Actions:     []string{"view", "add", "change"},
		Constraints: map[string]any{"is_superuser": false, "is_staff": false, "groups__name": managedGroup},
		Groups:      []Group{{Name: ProvisionersGroup}},
	}
}

// Run does what is missing, and nothing the second time.
func (s Setup) Run(ctx context.Context) (Report, error) {
	r := run{
		Provisioner:    Provisioner{DryRun: s.DryRun, Grace: s.Grace, Now: s.Now, Log: s.Log},
		nautobot:       s.Nautobot,
		superuserToken: s.SuperuserToken,
		looks:          map[string]int{},
	}
	err := errLookAgain
	for rounds := 0; errors.Is(err, errLookAgain) && rounds < maxRounds; rounds++ {
		err = s.prepare(ctx, &r)
	}
	if err != nil {
		return r.report, err
	}
	err = r.converge(ctx, Wanted{
		Account:        Account{Username: s.Username, Token: s.Token},
		Secret:         s.Username,
		Mark:           Mark(s.Username),
		ManagedGroup:   ProvisionersGroup,
		Grace:          s.Grace,
		SuperuserToken: s.SuperuserToken,
	})
	return r.report, err
}

// prepare makes the groups and permissions; the account follows.
func (s Setup) prepare(ctx context.Context, r *run) error {
	for _, group := range []string{s.ManagedGroup, ProvisionersGroup} {
		access, err := r.lookAtAccess(ctx, group)
		if err != nil {
			return err
		}
		if access == nil {
			return refuse("setting up takes a superuser's token: this one may not look at permissions")
		}
		var plan Plan
		plan.Group, plan.Permission = planAccess(group, access)
		if err := r.applyOrShow(ctx, group, plan); err != nil {
			return err
		}
	}
	users := provisioners(s.ManagedGroup)
	have, err := s.Nautobot.Permission(ctx, users.Name)
	if err != nil {
		return err
	}
	return r.applyOrShow(ctx, "", Plan{Permission: planPermission(users, have)})
}

func (r *run) applyOrShow(ctx context.Context, group string, plan Plan) error {
	if !r.DryRun {
		return r.applyAccess(ctx, Wanted{ManagedGroup: group}, plan)
	}
	if plan.Group != nil {
		r.report.add(*plan.Group)
	}
	if plan.Permission != nil {
		r.report.add(plan.Permission.Change)
	}
	return nil
}
