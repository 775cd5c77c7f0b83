package provision

import "testing"

// updated is the step that updates the account. Another look follows.
func updated(write updateUser, fields ...string) step {
	write.ID = "user-1"
	change := Change{Object: userObject, Action: Updated, Fields: fields}
	if len(fields) == 0 {
		change.Action = Unchanged
	}
	return step{Change: change, write: write, reobserve: true}
}

// set is an update with nothing special about it.
func set(fields UserFields, names ...string) step {
	return updated(updateUser{Fields: fields}, names...)
}

// opened is the update that gives the account a temporary password, and writes
// more with it.
func opened(write updateUser, fields ...string) step {
	write.Opens, write.Fields.Password, write.Fields.FirstName = true, byTemporary.Password, new(firstNameOpening)
	return rechecked(updated(write, fields...))
}

// cleared is the step that removes it again.
func cleared(fields ...string) step {
	s := step{Change: Change{Object: userObject, Action: Unchanged, Fields: fields}, write: clearPassword{"user-1", planUsername}, recheck: true}
	if len(fields) > 0 {
		s.Action = Updated
	}
	return s
}

func TestPlanNewUser(t *testing.T) {
	created := func(email *string, superuser *bool, groups []Group, notes ...string) []step {
		return []step{
			{Change: Change{Object: userObject, Action: Created, Notes: notes}, write: createUser{Fields: UserFields{
				Username: planUsername, Password: Hide(somePassword), FirstName: new(firstName), LastName: new(planOwner),
				Email: email, Superuser: superuser, Groups: append([]Group{{Name: "managed"}}, groups...),
			}}},
			tokenMade(byPassword), verified,
		}
	}
	none := func(o *observed) { *o = observed{TokensKnown: true, Token: tokenFree} }
	testPlans(t, map[string]planCase{
		"under a rule that grants nothing": {nil, none, created(nil, nil, nil)},
		"with all that a rule gives": {
			func(d *desired) {
				d.Email, d.Rule = "openstack@lab.example", Rule{Superuser: true, Groups: []string{"one", "two"}}
			},
			none, created(new("openstack@lab.example"), new(true), []Group{{Name: "one"}, {Name: "two"}}),
		},
		"the rule names the managed group, and another twice": {
			func(d *desired) { d.Rule.Groups = []string{"managed", "one", "one"} }, none, created(nil, nil, []Group{{Name: "one"}}),
		},
		"accounts of nearly the same name": {
			nil, func(o *observed) { none(o); o.Similar = []string{"OpenStack", "OPENSTACK"} },
			created(nil, nil, nil, "account OpenStack also exists: its name differs only in upper and lower case",
				"account OPENSTACK also exists: its name differs only in upper and lower case"),
		},
		"by a provisioner, which does not see every account": {
			nil, func(o *observed) { none(o); o.GroupUnknown = true },
			created(nil, nil, nil, "not known: whether an account that the superuser token may not see has this name"),
		},
	})
}

// TestPlanUser compares an account field by field; its token stays as it is.
func TestPlanUser(t *testing.T) {
	const email, old = "openstack@lab.example", "old@lab.example"
	managed := []Group{{Name: "managed"}}
	mail := func(d *desired) { d.Email = email }
	superuser := func(d *desired) { d.Rule.Superuser = true }
	adopt := func(d *desired) { d.Rule.Adopt = true }
	inherit := func(d *desired) { d.Rule.AdoptFrom = []string{"openstack/*"} }
	groups := func(groups ...Group) func(*observed) { return func(o *observed) { o.User.Groups = groups } }
	adopted := func(fields UserFields, names ...string) step {
		return updated(updateUser{Adopts: true, Fields: fields}, names...)
	}
	tests := map[string]planCase{
		"another password": {
			nil, func(o *observed) { o.PasswordWorks = false },
			[]step{rechecked(set(UserFields{Password: Hide(somePassword)}, "password"))},
		},
		"not in the managed group": {nil, groups(), []step{set(UserFields{Groups: managed}, "groups")}},
		"not in a group of the rule": {
			func(d *desired) { d.Rule.Groups = []string{"one", "two"} }, groups(Group{1, "managed"}, Group{2, "two"}),
			[]step{set(UserFields{Groups: []Group{{1, "managed"}, {2, "two"}, {Name: "one"}}}, "groups")},
		},
		"in groups of its own": {
			nil, groups(Group{3, "people"}, Group{1, "managed"}, Group{4, "more"}), []step{line(userObject, "also in groups people, more")},
		},
		"in groups of its own, and not in ours": {
			nil, groups(Group{3, "people"}),
			[]step{noted(set(UserFields{Groups: []Group{{3, "people"}, {Name: "managed"}}}, "groups"), "also in groups people")},
		},
		"another e-mail address":       {mail, func(o *observed) { o.User.Email = old }, []step{set(UserFields{Email: new(email)}, "email")}},
		"an e-mail address of its own": {nil, func(o *observed) { o.User.Email = old }, []step{userStays}},
		"a superuser without a rule": {
			nil, func(o *observed) { o.User.Superuser = true }, []step{set(UserFields{Superuser: new(false)}, "is_superuser")},
		},
		"not a superuser, with a rule": {superuser, nil, []step{set(UserFields{Superuser: new(true)}, "is_superuser")}},
		"a superuser, with a rule":     {superuser, func(o *observed) { o.User.Superuser = true }, []step{userStays}},
		"staff, with a rule": {
			superuser, func(o *observed) { o.User.Superuser, o.User.Staff = true, true }, []step{set(UserFields{Staff: new(false)}, "is_staff")},
		},
		"revoked, and activated by hand": {
			nil, func(o *observed) { o.User.FirstName = firstNameRevoked }, []step{set(UserFields{FirstName: new(firstName)}, "first_name")},
		},
		"left with a temporary password, and the Secret has one now": {
			nil, func(o *observed) { o.User.FirstName, o.PasswordWorks = firstNameOpening, false },
			[]step{rechecked(set(UserFields{Password: Hide(somePassword), FirstName: new(firstName)}, "password", "first_name"))},
		},
		"taken over": {
			adopt, func(o *observed) { o.User.FirstName, o.User.LastName, o.User.Groups = "Ann", "Other", nil },
			[]step{adopted(UserFields{FirstName: new(firstName), LastName: new(planOwner), Groups: managed}, "groups", "first_name", "last_name")},
		},
		"renamed by a person, and taken over again": {
			adopt, func(o *observed) { o.User.FirstName = "Ann" }, []step{adopted(UserFields{FirstName: new(firstName)}, "first_name")},
		},
		"inherited": {
			inherit, func(o *observed) { o.User.LastName = formerOwner }, []step{adopted(UserFields{LastName: new(planOwner)}, "last_name")},
		},
		"a superuser that is inherited": {
			inherit, func(o *observed) { o.User.LastName, o.User.Superuser = formerOwner, true },
			[]step{adopted(UserFields{Superuser: new(false), LastName: new(planOwner)}, "is_superuser", "last_name")},
		},
		"everything about the account": {
			func(d *desired) { d.Email, d.Rule = email, Rule{Adopt: true, Superuser: true, Groups: []string{"one"}} },
			func(o *observed) {
				*o.User = User{ID: "user-1", Username: planUsername, FirstName: "a", LastName: "b", Email: "c", Staff: true, Active: true}
				o.PasswordWorks = false
			},
			[]step{rechecked(adopted(UserFields{
				Password: Hide(somePassword), Groups: []Group{{Name: "managed"}, {Name: "one"}}, Email: new(email),
				Superuser: new(true), Staff: new(false), FirstName: new(firstName), LastName: new(planOwner),
			}, "password", "groups", "email", "is_superuser", "is_staff", "first_name", "last_name"))},
		},

		// Without a password in the Secret.
		"no password": {apiOnly, func(o *observed) { o.PasswordWorks = false }, []step{userStays}},
		"no password, a run before left a temporary one": {
			apiOnly, func(o *observed) { o.User.FirstName, o.PasswordWorks = firstNameOpening, false },
			[]step{userStays, tokenStays, verified, cleared("password")},
		},
		"no password, this run gave a temporary one": {
			apiOnly, func(o *observed) { o.User.FirstName, o.opened = firstNameOpening, true },
			[]step{userStays, tokenStays, verified, cleared()},
		},
		"no password, a run before left a temporary one, and more differs": {
			apiOnly, func(o *observed) { o.User.FirstName, o.User.Staff = firstNameOpening, true },
			[]step{set(UserFields{Staff: new(false)}, "is_staff"), tokenStays, verified, cleared("password")},
		},
		"no password, taken over with whatever it had": {
			func(d *desired) { apiOnly(d); adopt(d) }, func(o *observed) { o.User.FirstName, o.User.LastName = "Ann", "Other" },
			[]step{
				opened(updateUser{Adopts: true, Fields: UserFields{LastName: new(planOwner)}}, "password", "first_name", "last_name"),
				tokenStays, verified, cleared(),
			},
		},
		"no password, inherited": { // the program made it, and nothing opens it
			func(d *desired) { apiOnly(d); inherit(d) }, func(o *observed) { o.User.LastName, o.PasswordWorks = formerOwner, false },
			[]step{adopted(UserFields{LastName: new(planOwner)}, "last_name")},
		},
		"no password, and an empty one that Nautobot takes in no write": {
			apiOnly, func(o *observed) { o.PasswordWorks, o.blankPassword = false, true },
			[]step{opened(updateUser{}), tokenStays, verified, cleared()},
		},
	}
	for name, test := range tests {
		if len(test.steps) == 1 {
			test.steps = append(test.steps, tokenStays)
			if test.steps[0].write != nil {
				test.steps = append(test.steps, verified)
			}
		}
		tests[name] = test
	}
	testPlans(t, tests)
}

// TestPlanUserWithoutTokens is about accounts that cannot list their tokens.
func TestPlanUserWithoutTokens(t *testing.T) {
	later := tokenUnknown("not known until the account can list its tokens")
	active := tokenUnknown("not known until the account is active")
	revoked := func(o *observed) {
		o.User.Active, o.User.FirstName = false, firstNameRevoked
		unknownTokens(o, tokenHolderUnknown)
	}
	lostGroup := func(o *observed) {
		o.User.Groups = nil
		unknownTokens(o, tokenHolderUnknown)
	}
	joins := set(UserFields{Groups: []Group{{Name: "managed"}}}, "groups")
	passwordSet := rechecked(set(UserFields{Password: Hide(somePassword)}, "password"))
	testPlans(t, map[string]planCase{
		"revoked, and wanted again": { // the password is looked at once it is active
			nil, revoked,
			[]step{rechecked(set(UserFields{Active: new(true), FirstName: new(firstName)}, "is_active", "first_name")), active, verified},
		},
		"revoked, and wanted again without a password": { // the one from before must not open it
			apiOnly, revoked,
			[]step{opened(updateUser{Fields: UserFields{Active: new(true)}}, "is_active", "first_name"), active, verified, cleared()},
		},
		"another Secret's that was revoked, and is taken over": {
			func(d *desired) { d.Rule.Adopt = true }, func(o *observed) { revoked(o); o.User.LastName, o.Token = otherOwner, tokenFree },
			[]step{rechecked(updated(updateUser{Adopts: true, Fields: UserFields{
				Password: Hide(somePassword), Active: new(true), FirstName: new(firstName), LastName: new(planOwner),
			}}, "password", "is_active", "first_name", "last_name")), tokenMade(byPassword), verified},
		},
		"not in the managed group": {nil, func(o *observed) { lostGroup(o); o.PasswordWorks = true }, []step{joins, later, verified}},
		// Until it is known who owns the token, the password stays as it is.
		"not in the managed group, and another password": {nil, lostGroup, []step{joins, passwordSet, later, verified}},
		"another password, and nobody has the token": {
			nil, func(o *observed) { unknownTokens(o, tokenFree) }, []step{passwordSet, tokenMade(byPassword), verified},
		},
	})
}

// TestPlanSelf is about the account that the superuser token belongs to.
func TestPlanSelf(t *testing.T) {
	stays := line(userObject, "the superuser token's own account: only its token is managed")
	adopt := func(d *desired) { d.Rule.Adopt, d.Rule.Superuser = true, true }
	self := func(more ...Token) func(*observed) {
		return func(o *observed) {
			*o.User = User{ID: "user-1", Username: planUsername, FirstName: "Ann", LastName: "Other", Superuser: true, Staff: true, Active: true}
			o.Self, o.PasswordWorks, o.Tokens = planUsername, false, append(o.Tokens, more...)
		}
	}
	without := func(tokens ...Token) func(*observed) {
		return func(o *observed) { self()(o); o.Tokens, o.Token = tokens, tokenFree }
	}
	testPlans(t, map[string]planCase{
		"its token is rotated, and the superuser token is an older one of the Secret": {
			adopt, without(Token{ID: "sup", Key: Hide(superuser), Description: byUs}, old("a", never)),
			[]step{stays, tokenMade(bySuperuser), verified, expired("1 superseded token expires in 1h", "a")},
		},
		"its token lacks the mark": {
			adopt, func(o *observed) { self()(o); o.Tokens[0].Description = "of Ann" },
			[]step{stays, tokenMended(bySuperuser, TokenFields{Description: new(byUs)}, "description"), verified},
		},
		"exclusive and without grace": { // its other tokens may be in use elsewhere
			func(d *desired) { adopt(d); d.Rule.Exclusive, d.Grace = true, 0 },
			self(Token{ID: "sup", Key: Hide(superuser), Expires: noon}, byHand("a", never)),
			[]step{stays, tokenStays, line(tokenObject, "1 other token left alone")},
		},
		"the superuser token is the Secret's": {
			func(d *desired) { adopt(d); d.SuperuserToken = d.Token }, self(old("a", never)),
			[]step{stays, tokenStays, verified, expired("1 superseded token expires in 1h", "a")},
		},
		"it has tokens of other Secrets": { // several Secrets may name it, each with a token
			adopt, self(foreign("a")), []step{stays, tokenStays, line(tokenObject, "1 other token left alone")},
		},
		"without a password": {func(d *desired) { adopt(d); apiOnly(d) }, without(), []step{stays, tokenMade(bySuperuser), verified}},
	})
}

// deactivated is the step that takes an account out of service.
func deactivated(id, name string) step {
	return rechecked(step{
		Change: Change{Object: "user/" + name, Action: Revoked, Notes: []string{"the Secret names another account now"}},
		write:  updateUser{ID: id, Fields: UserFields{Active: new(false), FirstName: new(firstNameRevoked)}},
	})
}

// TestPlanFormer is about the accounts that the Secret named before, once this
// run has created the new one.
func TestPlanFormer(t *testing.T) {
	const (
		alone = "it has the same owner and is left alone: --cluster is not set"
		own   = "the Secret named it before; left alone: the superuser token is its own"
		mayBe = "the Secret named it before; left alone: the superuser token may be its own, and that cannot be checked because the account may not list its tokens"
	)
	former := func(self string, users ...User) func(*observed) {
		return func(o *observed) { o.wrote, o.Self, o.SelfAsked, o.Former = true, self, true, users }
	}
	unnamed := func(o *observed) {
		o.User.LastName, o.Tokens[0].Description = "openstack/nautobot-token", descriptionPrefix+"openstack/nautobot-token"
	}
	noCluster := func(d *desired) { d.Owner.Cluster = "" }
	one, two := User{ID: "user-2", Username: "old-1"}, User{ID: "user-3", Username: "old-2"}
	power := User{ID: "user-4", Username: "old-3", Superuser: true}
	left := User{ID: "user-5", Username: "old-4", FirstName: firstNameOpening}
	leftCleared := rechecked(step{
		Change: Change{Object: "user/old-4", Action: Updated, Fields: []string{"password"}}, write: clearPassword{"user-5", "old-4"},
	})
	tests := map[string]planCase{
		"two":                          {nil, former("admin", one, two), []step{deactivated("user-2", "old-1"), deactivated("user-3", "old-2")}},
		"the superuser token's own":    {nil, former("old-1", one, two), []step{line("user/old-1", own), deactivated("user-3", "old-2")}},
		"perhaps the token's own":      {nil, former("", one), []step{line("user/old-1", mayBe)}},
		"a superuser would have known": {nil, former("", power), []step{deactivated("user-4", "old-3")}},
		"a cluster without a name": {
			noCluster, func(o *observed) { unnamed(o); former("admin", one)(o) }, []step{line("user/old-1", alone)},
		},
		"a cluster without a name, and a temporary password was left": {
			noCluster, func(o *observed) { unnamed(o); former("admin", left)(o) }, []step{line("user/old-4", alone), leftCleared},
		},
	}
	for name, test := range tests {
		test.steps = append([]step{userStays, tokenStays, verified}, test.steps...)
		tests[name] = test
	}
	testPlans(t, tests)
}
