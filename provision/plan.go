package provision

import (
	"slices"
	"time"
)

// Wanted is what Nautobot is to have: the account that the Secret asks for
// and the operator's rule allows.
type Wanted struct {
	Account
	Secret       string // NAMESPACE/NAME
	Mark         Mark
	Rule         Rule
	ManagedGroup string
	Grace        time.Duration // how long a superseded token keeps working
	// SuperuserToken is the one that this run uses: it is never ended.
	SuperuserToken Sensitive
	// Named: the mark holds the cluster's name, so no other cluster has it.
	Named bool
}

// Plan is what has to be written so that Nautobot has what is wanted: the
// changes in their order. A dry run prints it, a run carries it out.
type Plan struct {
	Group      *Change // nil: not needed
	Permission *PermissionChange
	User       UserChange
	Token      TokenChange
	Revoke     []RevokeChange // the accounts that the Secret named before
}

// Change is one object, what happens to it, and the names of its fields.
type Change struct {
	Object string
	Action Action
	Fields []string
	Notes  []string
}

// Action is a fixed word for what happened to an object.
type Action string

const (
	Created   Action = "created"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
	Revoked   Action = "revoked"
	Refused   Action = "refused"
	Failed    Action = "failed"
)

// RevokeChange takes an account out of service.
type RevokeChange struct {
	Change
	ID string
}

// Changes lists the plan's changes in the order in which they are made.
func (p Plan) Changes() []Change {
	var changes []Change
	if p.Group != nil {
		changes = append(changes, *p.Group)
	}
	if p.Permission != nil {
		changes = append(changes, p.Permission.Change)
	}
	changes = append(changes, p.User.Change, p.Token.Change)
	for _, revoke := range p.Revoke {
		changes = append(changes, revoke.Change)
	}
	return changes
}

// Pending tells whether anything has to be written.
func (p Plan) Pending() bool {
	return p.User.Open || p.User.Close ||
		slices.ContainsFunc(p.Changes(), func(c Change) bool { return c.Action != Unchanged })
}

// MakePlan compares what is wanted with what Nautobot has. It asks nobody and
// changes nothing. A *Refusal says that nothing of it may be done.
func MakePlan(want Wanted, have State, now time.Time) (Plan, error) {
	if have.User != nil {
		if err := want.mayChange(have); err != nil {
			return Plan{}, err
		}
	}
	var problems Refusal
	for _, name := range have.MissingGroups {
		problems.Problems = append(problems.Problems, "Nautobot has no group "+name+", which the rule gives to the account: create it first")
	}
	if len(problems.Problems) > 0 {
		return Plan{}, &problems
	}
	if have.Key == KeyTaken && have.User == nil {
		return Plan{}, errTakenUnseen
	}
	if have.Key == KeyTaken {
		return Plan{}, errTaken
	}

	var plan Plan
	plan.Group, plan.Permission = planAccess(want.ManagedGroup, have.Access)
	plan.Token = planToken(want, have, now)
	plan.User = planUser(want, have, plan.Token)
	plan.Revoke = planRevoke(want, have, &plan.User)
	// The account has every right that it needs and is still not allowed to
	// see its tokens with this one: it cannot be its own.
	if have.Key == KeyUsable && have.User != nil && have.Access != nil && plan.Group == nil && plan.Permission == nil &&
		hasGroup(have.User.Groups, want.ManagedGroup) {
		return Plan{}, errTaken
	}
	return plan, nil
}

// They do not say who has the token.
var (
	errTaken       = refuse(`key "token": another account of Nautobot has this token: make a new one`)
	errTakenUnseen = refuse(`key "token": an account of Nautobot has this token, another one or one that the superuser token may not see (outside the managed group, staff or superuser): make a new one, or let a superuser look`)
)

// planRevoke takes the accounts out of service that the Secret named before.
// Without a cluster's name the mark may be another cluster's as well.
func planRevoke(want Wanted, have State, user *UserChange) []RevokeChange {
	var changes []RevokeChange
	for _, other := range have.Others {
		if !want.Named {
			user.Notes = append(user.Notes, "account "+other.Username+" has the same mark and is left alone: --cluster is not set")
			continue
		}
		changes = append(changes, RevokeChange{
			Change: Change{Object: "user/" + other.Username, Action: Revoked, Notes: []string{"the Secret names another account now"}},
			ID:     other.ID,
		})
	}
	return changes
}
