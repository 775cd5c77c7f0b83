package provision

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// step is one write and the line that reports it. A step without a write is
// only reported.
type step struct {
	Change
	write     write
	reobserve bool // what follows depends on its result
	recheck   bool // ends something: the Secret is read again just before
}

// planner makes the steps that bring what is observed to what is desired.
type planner struct {
	want  desired
	have  observed
	now   time.Time // Nautobot's
	steps []step
	// opens: the account gets a temporary password. clear: it gets one or may
	// have one, which is cleared once the token works.
	opens, clear bool
}

func (p *planner) add(s step) { p.steps = append(p.steps, s) }

// writes reports whether anything is to be written.
func writes(steps []step) bool {
	return slices.ContainsFunc(steps, func(s step) bool { return s.write != nil })
}

// makePlan decides everything: which writes, in which order, and which line
// reports each. It sends nothing and changes nothing. Wherever a run stops, the
// order leaves something usable: group and permission, account, new token, proof
// that it works, and only then the end of what was there before. A *Refusal says
// that none of it may be done.
func makePlan(want desired, have observed, now time.Time) ([]step, error) {
	p := planner{want: want, have: have, now: now}
	if err := p.check(); err != nil {
		return nil, err
	}
	if have.ManagedGroup != nil {
		p.planManagedGroup(want.ManagedGroup, *have.ManagedGroup)
	}
	p.planUser()
	switch {
	case have.TokensKnown:
	case !writes(p.steps):
		return nil, errNoRights{want}
	default: // by then, the account's rights and tokens may be different
		p.steps[lastWrite(p.steps)].reobserve = true
	}
	older, former := p.planToken(), p.formerSteps()
	if writes(p.steps) || p.clear || older.any() || writes(former) || have.wrote {
		p.add(step{write: verifyToken{want.byToken()}})
	}
	if p.clear {
		p.planClear()
	}
	p.planSupersede(older)
	if have.adopted {
		p.add(p.confirmOwner())
	}
	return append(p.steps, former...), nil
}

func lastWrite(steps []step) int {
	last := len(steps) - 1
	for last > 0 && steps[last].write == nil {
		last--
	}
	return last
}

func (p *planner) confirmOwner() step {
	return step{write: confirmOwner{p.want.Owner, p.want.Username}}
}

// check finds the reasons not to do anything.
func (p *planner) check() error {
	want, have := p.want, p.have
	if have.User != nil {
		if err := want.checkOwnership(have); err != nil {
			return err
		}
	}
	if len(have.MissingGroups) > 0 {
		refusal := &Refusal{}
		for _, name := range have.MissingGroups {
			refusal.Problems = append(refusal.Problems, "group "+name+", required by the rule, does not exist in Nautobot: create it first")
		}
		return refusal
	}
	if have.GroupMissing && (have.User == nil || !hasGroup(have.User.Groups, want.ManagedGroup)) {
		return errNoGroup(want)
	}
	if group := have.ManagedGroup; group != nil && !isOwnTokens(group.Permission) {
		return errForeignPermission(want.ManagedGroup)
	}
	if have.User == nil {
		if have.Token != tokenFree {
			return errTakenUnseen
		}
		return nil
	}
	unknown := have.Token == tokenHolderUnknown || have.Token == tokenExpired
	switch {
	case have.Token == tokenTaken:
		return errTaken
	case have.Token == tokenHolderUnknown && p.hasRights():
		// The account has every right that it needs, and still cannot see its
		// tokens with this one.
		return errTaken
	case unknown && !want.manages(*have.User):
		return refuse(`key "token": some account of Nautobot has this token, and %q is not written to until the token is known to be its own: generate a new token; or, if the token is its own, put the account into group %q in Nautobot, make sure that the token has not expired, and try again`, want.Username, want.ManagedGroup)
	case have.User.Active && !have.PasswordWorks && !want.apiOnly() && have.passwordWrites >= maxPasswordWrites:
		return errPasswordIgnored
	}
	return nil
}

// hasRights reports whether the account may certainly see its tokens.
func (p *planner) hasRights() bool {
	group := p.have.ManagedGroup
	if group == nil || !p.have.User.Active || !hasGroup(p.have.User.Groups, p.want.ManagedGroup) {
		return false
	}
	return group.Exists && permissionStep(ownTokens(p.want.ManagedGroup), group.Permission) == nil
}

// They do not say who has the token.
var (
	errTaken       = refuse(`key "token": it already belongs to another Nautobot account: generate a new one`)
	errTakenUnseen = refuse(`key "token": it already belongs to a Nautobot account, another one or one that the superuser token may not see (outside the managed group, staff or superuser): generate a new one, or let a superuser look`)
)

// errPasswordIgnored: writing the password once more would not help.
var errPasswordIgnored = errors.New("Nautobot stored the password but still does not accept it over Basic authentication: does something in between drop it, or lock the account?")

// errNoRights: the account may not read its own tokens, and there is nothing to
// do about it.
type errNoRights struct{ want desired }

func (e errNoRights) Error() string {
	return fmt.Sprintf("account %q may not read its own tokens: group %q needs a permission for that, which the superuser token's account may not look at: run setup, or use a superuser's token",
		e.want.Username, e.want.ManagedGroup)
}

func errNoGroup(want desired) error {
	return fmt.Errorf("account %q may not create its token: Nautobot needs the group %q with a permission for that, and the superuser token's account may not look at them: run setup, or use a superuser's token",
		want.Username, want.ManagedGroup)
}

// formerSteps take the accounts that the Secret named before out of service.
func (p *planner) formerSteps() (steps []step) {
	for _, user := range p.have.Former {
		object := "user/" + user.Username
		own := p.have.keepSelf(user)
		switch {
		case own != "":
			steps = append(steps, told(object, "the Secret named it before; "+own))
		case p.want.Owner.unique():
			steps = append(steps, deactivation(user, "the Secret names another account now"))
		default:
			steps = append(steps, told(object, "it has the same owner and is left alone: --cluster is not set"))
			if user.FirstName == firstNameOpening {
				steps = append(steps, step{
					Change: Change{Object: object, Action: Updated, Fields: []string{"password"}},
					write:  clearPassword{ID: user.ID, Username: user.Username}, recheck: true,
				})
			}
		}
	}
	return steps
}

// keepSelf says why an account is not taken out of service: the superuser token
// is its own, or may be. Empty: it is not.
func (o observed) keepSelf(user User) string {
	switch {
	case o.isSelf(user):
		return "left alone: the superuser token is its own"
	case o.Self == "" && !user.Superuser: // a superuser may list its tokens
		return "left alone: the superuser token may be its own, and that cannot be checked because the account may not list its tokens"
	}
	return ""
}

// deactivation takes an account out of service: neither its tokens nor its
// password open it then, and its first name says that we did it, not a person.
func deactivation(user User, why string) step {
	return step{
		Change:  Change{Object: "user/" + user.Username, Action: Revoked, Notes: []string{why}},
		write:   updateUser{ID: user.ID, Fields: UserFields{Active: new(false), FirstName: new(firstNameRevoked)}},
		recheck: true,
	}
}

// note adds a line about an object that is left as it is.
func (p *planner) note(object string, notes ...string) { p.add(told(object, notes...)) }

func told(object string, notes ...string) step {
	return step{Change: Change{Object: object, Action: Unchanged, Notes: notes}}
}
