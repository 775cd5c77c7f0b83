package provision

import (
	"context"
	"log/slog"
	"time"
)

// provisionersGroup is the group of the accounts that Setup creates for a managed
// group. They are not members of the managed group, because they could then
// change themselves.
func provisionersGroup(managedGroup string) string {
	if managedGroup == DefaultManagedGroup {
		return "nautobot-token-provisioners"
	}
	return shorten(managedGroup+provisionersSuffix, maxGroupName, "~")
}

const (
	provisionersSuffix = "-provisioners"
	setupNamespace     = "nautobot-token setup" // in place of a namespace, none of which can have this name
)

// Setup prepares a Nautobot once: the managed group with its permission, and a
// provisioner, an account that can do what provisioning needs and no more. Its
// token serves as the superuser token if no rule grants superuser.
type Setup struct {
	Nautobot       Nautobot // with the rights of a superuser
	SuperuserToken Sensitive
	ManagedGroup   string
	Username       string
	Token          Sensitive // for the provisioner
	Grace          time.Duration
	DryRun         bool
	Now            func() time.Time
	Log            *slog.Logger
}

// manageUsers lets the members of the provisioners' group work on the members
// of the managed group, as long as those are not superusers. Nautobot itself
// enforces that.
func manageUsers(managedGroup string) Permission {
	group := provisionersGroup(managedGroup)
	return Permission{
		Name:        shorten(group+"-users", maxGroupName, "~"),
		Enabled:     true,
		ObjectTypes: []string{"users.user"},
		Actions:     []string{"view", "add", "change"},
		Constraints: map[string]any{"is_superuser": false, "is_staff": false, "groups__name": managedGroup},
		Groups:      []Group{{Name: group}},
	}
}

// Run does what is missing; a second run has nothing to do.
func (s Setup) Run(ctx context.Context) (Report, error) {
	r := reconciler{
		nautobot: s.Nautobot, superuserToken: s.SuperuserToken, dryRun: s.DryRun, now: s.Now, log: s.Log,
		current: func(context.Context) error { return nil }, // the file was read once
		retries: map[string]int{},
	}
	want := desired{
		Account:        Account{Username: s.Username, Token: s.Token},
		Owner:          Owner{Namespace: setupNamespace, Name: s.Username},
		Secret:         s.Username,
		ManagedGroup:   provisionersGroup(s.ManagedGroup),
		Grace:          s.Grace,
		SuperuserToken: s.SuperuserToken,
		Setup:          true,
	}
	err := r.untilDone(func() error { return s.prepare(ctx, &r, want) })
	if err == nil {
		err = r.reconcile(ctx, want)
	}
	if err != nil {
		err = r.abandon(ctx, want, err)
	}
	return r.report, err
}

// prepare creates the groups and permissions; the account follows. Nothing is
// created for an account that is refused.
func (s Setup) prepare(ctx context.Context, r *reconciler, want desired) error {
	var have observed
	if err := r.observeUsers(ctx, want, &have); err != nil {
		return err
	}
	if have.User != nil {
		if err := want.checkOwnership(have); err != nil {
			return err
		}
	}
	var p planner
	for _, group := range []string{s.ManagedGroup, want.ManagedGroup} {
		if err := r.observeManagedGroup(ctx, group, &have); err != nil {
			return err
		}
		if have.GroupUnknown {
			return refuse("setup needs a superuser's token: this one may not view permissions")
		}
		if !isOwnTokens(have.ManagedGroup.Permission) {
			return errForeignPermission(group)
		}
		p.planManagedGroup(group, *have.ManagedGroup)
	}
	users := manageUsers(s.ManagedGroup)
	permission, err := s.Nautobot.Permission(ctx, users.Name)
	if err != nil {
		return err
	}
	if step := permissionStep(users, permission); step != nil {
		p.add(*step)
	}
	return r.apply(ctx, p.steps)
}
