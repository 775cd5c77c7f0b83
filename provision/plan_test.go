package provision

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const (
	planUsername = "openstack"
	userObject   = "user/" + planUsername
	tokenObject  = "token/openstack/nautobot-token"
	planOwner    = "lab/openstack/nautobot-token"
	formerOwner  = "openstack/old-name" // whose accounts a rule may let us inherit
	otherOwner   = "lab/nova/nautobot-token"
	byUs         = descriptionPrefix + planOwner // how our tokens are described
	oldToken     = "OLDOLDOLDOLDOLDOLDOLDOLDOLDOLDOLDOLDOLD0"
	superuser    = "SUPSUPSUPSUPSUPSUPSUPSUPSUPSUPSUPSUPSUP0"
)

// someDesired is an account with a password, under a rule that grants nothing.
func someDesired() desired {
	return desired{
		Account:        Account{Username: planUsername, Password: Hide(somePassword), Token: Hide(someToken)},
		Owner:          Owner{"lab", "openstack", "nautobot-token"},
		Secret:         "openstack/nautobot-token",
		ManagedGroup:   "managed",
		Grace:          time.Hour,
		SuperuserToken: Hide(superuser),
	}
}

func apiOnly(d *desired) { d.Password = Sensitive{} }

// healthyObserved has exactly that.
func healthyObserved() observed {
	return observed{
		User:          &User{ID: "user-1", Username: planUsername, FirstName: firstName, LastName: planOwner, Active: true, Groups: []Group{{1, "managed"}}},
		PasswordWorks: true,
		TokensKnown:   true,
		Tokens:        []Token{{ID: "token-1", Key: Hide(someToken), Username: planUsername, Description: byUs, Writable: true}},
	}
}

// unknownTokens is for an account that cannot list its tokens; is says how
// Nautobot answered the Secret's token.
func unknownTokens(o *observed, is tokenStatus) {
	o.Tokens, o.TokensKnown, o.PasswordWorks, o.Token = nil, false, false, is
}

// The ways in which the account proves who it is.
var (
	byPassword  = Login{Username: planUsername, Password: Hide(somePassword)}
	byToken     = Login{Username: planUsername, Token: Hide(someToken)}
	bySuperuser = Login{Token: Hide(superuser)}
	byTemporary = func() Login { d := someDesired(); apiOnly(&d); return d.login() }()
)

// line is a step that only reports that an object is left as it is.
func line(object string, notes ...string) step {
	return step{Change: Change{Object: object, Action: Unchanged, Notes: notes}}
}

// The steps that most plans have.
var (
	userStays  = line(userObject)
	tokenStays = line(tokenObject)
	verified   = step{write: verifyToken{byToken}}
	confirmed  = step{write: confirmOwner{someDesired().Owner, planUsername}}
)

func rechecked(s step) step {
	s.recheck = true
	return s
}

func noted(s step, notes ...string) step {
	s.Notes = notes
	return s
}

type planCase struct {
	want  func(*desired)  // what differs from someDesired
	have  func(*observed) // and from healthyObserved
	steps []step
}

func (c planCase) arguments() (desired, observed) {
	want, have := someDesired(), healthyObserved()
	if c.want != nil {
		c.want(&want)
	}
	if c.have != nil {
		c.have(&have)
	}
	return want, have
}

var exported = cmp.AllowUnexported(step{}, observed{}, progress{})

func testPlans(t *testing.T, tests map[string]planCase) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want, have := test.arguments()
			got, err := makePlan(want, have, noon)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.steps, got, exported); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	permission := ownTokens("managed")
	testPlans(t, map[string]planCase{
		"all as it should be": {steps: []step{userStays, tokenStays}},
		"all as it should be, after a write of this run": {
			have:  func(o *observed) { o.wrote = true },
			steps: []step{userStays, tokenStays, verified},
		},
		"all as it should be, after this run took the account over": {
			have:  func(o *observed) { o.wrote, o.adopted = true, true },
			steps: []step{userStays, tokenStays, verified, confirmed},
		},
		// Group and permission, account, token, proof, and then what ends something.
		"everything from nothing": {
			want: func(d *desired) { apiOnly(d); d.Rule.Exclusive = true },
			have: func(o *observed) {
				*o = observed{TokensKnown: true, Token: tokenFree, ManagedGroup: &managedGroup{}, Former: []User{{ID: "user-2", Username: "old"}}, Self: "admin"}
			},
			steps: []step{
				{Change: Change{Object: "group/managed", Action: Created}, write: createGroup{"managed"}},
				{Change: Change{Object: "permission/managed", Action: Created}, write: savePermission{permission}},
				{Change: Change{Object: userObject, Action: Created}, write: createUser{Opens: true, Fields: UserFields{
					Username: planUsername, Password: byTemporary.Password, Groups: []Group{{Name: "managed"}},
					FirstName: new(firstNameOpening), LastName: new(planOwner),
				}}},
				tokenMade(byTemporary), verified,
				{Change: Change{Object: userObject, Action: Unchanged}, write: clearPassword{"", planUsername}, recheck: true},
				deactivated("user-2", "old"),
			},
		},
		// What follows from the tokens is known once they can be read: the last
		// write before makes the run observe anew.
		"the permission is missing, so the tokens cannot be read": {
			have: func(o *observed) {
				unknownTokens(o, tokenNotProbed)
				o.PasswordWorks, o.ManagedGroup = true, &managedGroup{Exists: true}
			},
			steps: []step{
				{Change: Change{Object: "permission/managed", Action: Created}, write: savePermission{permission}, reobserve: true},
				userStays, tokenUnknown("not known until the account can list its tokens"), verified,
			},
		},
	})
}

func TestPlanStops(t *testing.T) {
	const (
		taken    = `key "token": it already belongs to another Nautobot account: generate a new one`
		unseen   = `key "token": it already belongs to a Nautobot account, another one or one that the superuser token may not see (outside the managed group, staff or superuser): generate a new one, or let a superuser look`
		unsure   = `key "token": some account of Nautobot has this token, and "openstack" is not written to until the token is known to be its own: generate a new token; or, if the token is its own, put the account into group "managed" in Nautobot, make sure that the token has not expired, and try again`
		missing  = "group one, required by the rule, does not exist in Nautobot: create it first; group two, required by the rule, does not exist in Nautobot: create it first"
		unowned  = `"openstack" is an account that was not made for this Secret: choose another username, or allow taking it over with --adopt, or adopt: true in the policy's rule`
		noGroup  = `account "openstack" may not create its token: Nautobot needs the group "managed" with a permission for that, and the superuser token's account may not look at them: run setup, or use a superuser's token`
		noRights = `account "openstack" may not read its own tokens: group "managed" needs a permission for that, which the superuser token's account may not look at: run setup, or use a superuser's token`
		twice    = "Nautobot stored the password but still does not accept it over Basic authentication: does something in between drop it, or lock the account?"
	)
	adopt := func(d *desired) { d.Rule.Adopt = true }
	inherit := func(d *desired) { d.Rule.AdoptFrom = []string{formerOwner} }
	byHand := func(o *observed, is tokenStatus) {
		o.User.FirstName, o.User.LastName = "Ann", "Other"
		unknownTokens(o, is)
	}
	withRights := func(o *observed) {
		unknownTokens(o, tokenHolderUnknown)
		o.ManagedGroup = rightGroup()
	}
	tests := map[string]struct {
		want    func(*desired)
		have    func(*observed)
		err     string // empty: it is not stopped
		refused bool
	}{
		"groups are missing":               {nil, func(o *observed) { o.MissingGroups = []string{"one", "two"} }, missing, true},
		"another has the token":            {nil, func(o *observed) { o.Tokens, o.Token = nil, tokenTaken }, taken, true},
		"new, another has the token":       {nil, func(o *observed) { *o = observed{TokensKnown: true, Token: tokenTaken} }, unseen, true},
		"new, another's expired token":     {nil, func(o *observed) { *o = observed{TokensKnown: true, Token: tokenExpired} }, unseen, true},
		"every right, and no token":        {nil, withRights, taken, true},
		"every right but the group":        {nil, func(o *observed) { withRights(o); o.User.Groups = nil }, "", false},
		"every right, but inactive":        {nil, func(o *observed) { withRights(o); o.User.Active, o.User.FirstName = false, firstNameRevoked }, "", false},
		"every right, but no such group":   {nil, func(o *observed) { withRights(o); o.ManagedGroup.Exists = false }, "", false},
		"every right, but no permission":   {nil, func(o *observed) { withRights(o); o.ManagedGroup.Permission = nil }, "", false},
		"adopted, some account's token":    {adopt, func(o *observed) { byHand(o, tokenHolderUnknown) }, unsure, true},
		"adopted, some expired token":      {adopt, func(o *observed) { byHand(o, tokenExpired) }, unsure, true},
		"adopted, nobody's token":          {adopt, func(o *observed) { byHand(o, tokenFree) }, "", false},
		"inherited, some account's token":  {inherit, func(o *observed) { o.User.LastName = formerOwner; unknownTokens(o, tokenExpired) }, "", false},
		"ownership comes first":            {nil, func(o *observed) { byHand(o, tokenTaken); o.MissingGroups = []string{"one"} }, unowned, true},
		"groups come before the token":     {nil, func(o *observed) { o.Token, o.MissingGroups = tokenTaken, []string{"one", "two"} }, missing, true},
		"new, no managed group":            {nil, func(o *observed) { *o = observed{TokensKnown: true, Token: tokenFree, GroupMissing: true} }, noGroup, false},
		"outside of no managed group":      {nil, func(o *observed) { o.GroupMissing, o.User.Groups = true, nil }, noGroup, false},
		"in a managed group not seen":      {nil, func(o *observed) { o.GroupMissing = true }, "", false},
		"no rights":                        {nil, func(o *observed) { unknownTokens(o, tokenHolderUnknown); o.PasswordWorks = true }, noRights, false},
		"no rights, and another password":  {nil, func(o *observed) { unknownTokens(o, tokenHolderUnknown) }, noRights, false},
		"password written twice":           {nil, func(o *observed) { o.PasswordWorks, o.passwordWrites = false, 2 }, twice, false},
		"password written once":            {nil, func(o *observed) { o.PasswordWorks, o.passwordWrites = false, 1 }, "", false},
		"password written twice, it works": {nil, func(o *observed) { o.passwordWrites = 2 }, "", false},
		"password written, then removed":   {apiOnly, func(o *observed) { o.PasswordWorks, o.passwordWrites = false, 2 }, "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want, have := planCase{want: test.want, have: test.have}.arguments()
			steps, err := makePlan(want, have, noon)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.err, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if refused := errors.As(err, new(*Refusal)); refused != test.refused || err != nil && steps != nil {
				t.Errorf("got a *Refusal: %v, and %d steps", refused, len(steps))
			}
		})
	}
}

// someCase draws what is desired and what is there, from all that each can be.
// The same seed gives the same.
func someCase(seed uint64) (desired, observed) {
	r := rand.New(rand.NewPCG(seed, 0))
	flip := func() bool { return r.IntN(2) == 0 }
	rarely := func() bool { return r.IntN(5) == 0 }
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }

	want := someDesired()
	want.Grace = []time.Duration{0, time.Minute, time.Hour}[r.IntN(3)]
	want.Rule = Rule{Adopt: flip(), Superuser: flip(), Exclusive: flip(), Groups: []string{"one", "two", "managed"}[:r.IntN(4)]}
	owner := planOwner
	if rarely() {
		want.Owner.Cluster, owner = "", strings.TrimPrefix(planOwner, "lab/")
	}
	if flip() {
		want.Rule.AdoptFrom = []string{"openstack/old-*"}
	}
	if flip() {
		apiOnly(&want)
	}
	want.Email = pick("", "openstack@lab.example")
	if rarely() {
		want.SuperuserToken = want.Token
	}

	have := observed{TokensKnown: true, Token: tokenFree, SelfAsked: flip()}
	have.progress = progress{wrote: flip(), revived: rarely(), adopted: rarely(), blankPassword: rarely(), passwordWrites: r.IntN(3)}
	have.wrote = have.wrote || have.revived || have.adopted || have.passwordWrites > 0
	if have.SelfAsked {
		have.Self = pick("", "admin", planUsername, "old-0")
	}
	if rarely() {
		have.ManagedGroup = &managedGroup{Exists: flip()}
		if flip() {
			have.ManagedGroup = rightGroup()
			have.ManagedGroup.Permission.Enabled = flip()
		}
	}
	for i := range r.IntN(3) {
		have.Former = append(have.Former, User{
			ID: fmt.Sprint("former-", i), Username: fmt.Sprint("old-", i), LastName: owner, Active: true,
			FirstName: pick(firstName, firstNameOpening), Superuser: rarely(),
		})
	}
	if r.IntN(25) == 0 {
		have.MissingGroups = want.Rule.Groups
	}
	if rarely() {
		return want, have
	}

	have.User = &User{
		ID: "user-1", Username: planUsername, LastName: pick(owner, owner, owner, owner, "", otherOwner, formerOwner),
		FirstName: pick(firstName, firstName, firstNameOpening, firstNameRevoked, "Ann"), Email: pick("", "openstack@lab.example", "old@lab.example"),
		Active: !rarely(), Superuser: rarely(), Staff: rarely(),
	}
	for i, name := range []string{"people", "managed", "one", "two", "more"} {
		if flip() {
			have.User.Groups = append(have.User.Groups, Group{i + 1, name})
		}
	}
	have.PasswordWorks, have.opened = flip(), rarely()
	have.Token = []tokenStatus{tokenFree, tokenFree, tokenTaken, tokenHolderUnknown, tokenExpired}[r.IntN(5)]
	if !have.isSelf(*have.User) && (!have.User.Active || rarely()) {
		have.TokensKnown = false
		return want, have
	}
	if have.Token != tokenTaken {
		have.Token = tokenFree
	}
	for i := range r.IntN(6) {
		have.Tokens = append(have.Tokens, Token{
			ID: fmt.Sprint("token-", i+1), Key: Hide(fmt.Sprint("key-", i)), Username: planUsername, Writable: flip(),
			Description: descriptionPrefix + pick(owner, owner, otherOwner, formerOwner),
			Expires: []time.Time{
				{}, {}, noon.Add(-time.Hour), noon, noon.Add(time.Second), noon.Add(time.Hour), noon.Add(48 * time.Hour),
			}[r.IntN(7)],
		})
		if rarely() {
			have.Tokens[i].Description = pick("of Ann", "")
		}
	}
	for _, key := range []Sensitive{want.Token, want.SuperuserToken} {
		if n := len(have.Tokens); n > 0 && flip() {
			have.Tokens[r.IntN(n)].Key = key
		}
	}
	if find(have.Tokens, want.Token) != nil {
		have.Token = tokenNotProbed
	}
	return want, have
}

const cases = 10_000

// TestPlanIsPure: the same question has the same answer, and is not changed.
func TestPlanIsPure(t *testing.T) {
	for seed := range uint64(cases / 10) {
		want, have := someCase(seed)
		steps, err := makePlan(want, have, noon)
		again, errAgain := makePlan(want, have, noon)
		if !cmp.Equal(steps, again, exported) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("seed %d: makePlan answers differently when asked again", seed)
		}
		wantBefore, haveBefore := someCase(seed)
		if !cmp.Equal(wantBefore, want) || !cmp.Equal(haveBefore, have, exported) {
			t.Fatalf("seed %d: makePlan changed its arguments", seed)
		}
	}
}

// TestPlanKeepsItsPromises checks every plan for what must never happen.
func TestPlanKeepsItsPromises(t *testing.T) {
	planned := 0
	for seed := range uint64(cases) {
		p := promises{say: func(format string, args ...any) { t.Errorf("seed %d: "+format, append([]any{seed}, args...)...) }}
		p.want, p.have = someCase(seed)
		steps, err := makePlan(p.want, p.have, noon)
		shown := fmt.Sprintf("%+v %v", steps, err)
		for _, secret := range []Sensitive{p.want.Token, p.want.SuperuserToken, p.want.login().Password} {
			if strings.Contains(shown, secret.Reveal()) {
				p.say("it shows a secret")
			}
		}
		if err == nil {
			planned++
		}
		p.checkOrder(steps)
		for _, s := range steps {
			p.checkWrite(s)
		}
	}
	if planned < cases/4 {
		t.Errorf("only %d of %d cases were not stopped", planned, cases)
	}
}

type promises struct {
	want  desired
	have  observed
	ended []string // tokens
	say   func(format string, args ...any)
}

// order is that of the writes of a plan; accounts from before come after it.
var order = []kind{
	"create group", "save permission", "create user", "update user", "create token", "update token",
	"verify token", "clear password", "expire tokens", "delete tokens",
}

func (p *promises) checkOrder(steps []step) {
	last, known, verified := 0, p.have.TokensKnown, false
	for _, s := range steps {
		if s.write == nil {
			continue
		}
		place := slices.Index(order, s.write.kind())
		verified = verified || s.write.kind() == "verify token"
		switch {
		case p.former(s.write) != nil:
			place = len(order)
		case s.write.kind() == "confirm owner":
			place = max(last, 7)
		}
		switch {
		case place < last:
			p.say("%s comes too late", s.write.kind())
		case place >= 4 && !known:
			p.say("%s comes before the tokens are known", s.write.kind())
		case place >= 7 && place < len(order) && !verified:
			p.say("%s comes before the token is verified", s.write.kind())
		case place >= 7 && s.write.kind() != "confirm owner" && !s.recheck:
			p.say("%s comes without a look at the Secret", s.write.kind())
		}
		last, known = place, known || s.reobserve
	}
}

// former is the account that the Secret named before, if the write is one of it.
func (p *promises) former(w write) *User {
	id := ""
	switch w := w.(type) {
	case updateUser:
		id = w.ID
	case clearPassword:
		id = w.ID
	}
	for _, user := range p.have.Former {
		if user.ID == id {
			return &user
		}
	}
	return nil
}

func (p *promises) checkWrite(s step) {
	former := p.former(s.write)
	if former != nil && (p.have.isSelf(*former) || p.have.Self == "" && !former.Superuser) {
		p.say("it writes an account that may be the superuser token's own")
	}
	switch w := s.write.(type) {
	case createUser:
		if p.have.User != nil || w.Fields.Username != p.want.Username || *w.Fields.LastName != p.want.Owner.String() || w.Fields.Password.Empty() {
			p.say("it creates an account that is not whole")
		}
		p.checkUser(User{}, w.Fields, w.Opens)
	case updateUser:
		revokes := w.Fields.Active != nil && !*w.Fields.Active
		switch {
		case former != nil && (!p.want.Owner.unique() || !revokes || *w.Fields.FirstName != firstNameRevoked):
			p.say("it writes an account that may be another cluster's")
		case former != nil:
		case w.ID != "user-1" || w.Fields.Username != "" || revokes:
			p.say("it renames or deactivates the account, or another")
		case p.have.isSelf(*p.have.User):
			p.say("it changes the superuser token's own account")
		case !w.Opens && !w.Fields.Password.Empty() && p.have.PasswordWorks:
			p.say("it sets a password that is right already")
		case !s.recheck && (w.Fields.Active != nil || !w.Fields.Password.Empty()):
			p.say("it may undo what a newer run did")
		default:
			p.checkUser(*p.have.User, w.Fields, w.Opens)
		}
	case clearPassword:
		if former == nil && !p.want.apiOnly() {
			p.say("it clears the Secret's password")
		}
	case expireTokens:
		for _, id := range w.IDs {
			p.checkEnd(id, &w.In)
		}
	case deleteTokens:
		for _, id := range w.IDs {
			p.checkEnd(id, nil)
		}
	}
}

// checkUser looks at what a write makes of the account.
func (p *promises) checkUser(is User, fields UserFields, opens bool) {
	switch {
	case fields.Staff != nil && *fields.Staff, fields.Superuser != nil && *fields.Superuser && !p.want.Rule.Superuser:
		p.say("it gives the account more power than the rule grants")
	case opens != (fields.FirstName != nil && *fields.FirstName == firstNameOpening), opens != (p.want.apiOnly() && !fields.Password.Empty()):
		p.say("the account does not tell whether its password is temporary")
	}
	for _, group := range is.Groups {
		if fields.Groups != nil && !slices.Contains(fields.Groups, group) {
			p.say("it takes the account out of group %q", group.Name)
		}
	}
	for _, group := range fields.Groups {
		if !slices.Contains(is.Groups, group) && !slices.Contains(p.want.groups(), group.Name) {
			p.say("it puts the account into group %q", group.Name)
		}
	}
}

// checkEnd looks at a token that expires in a while, or is deleted.
func (p *promises) checkEnd(id string, in *time.Duration) {
	i := slices.IndexFunc(p.have.Tokens, func(token Token) bool { return token.ID == id })
	if i < 0 || slices.Contains(p.ended, id) {
		p.say("it ends a token %q that does not exist, or no longer does", id)
		return
	}
	p.ended = append(p.ended, id)
	token := p.have.Tokens[i]
	from, marked := strings.CutPrefix(token.Description, descriptionPrefix)
	ours := marked && (from == p.want.Owner.String() || from == formerOwner && p.want.Rule.AdoptFrom != nil)
	foreign := marked && !ours && !p.have.isSelf(*p.have.User)
	dead := !token.Expires.IsZero() && !token.Expires.After(noon)
	switch {
	case token.Key.Equal(p.want.Token), token.Key.Equal(p.want.SuperuserToken):
		p.say("it ends a token that is in use")
	case !ours && !foreign && !p.want.Rule.Exclusive:
		p.say("it ends a token by hand")
	case in == nil && p.want.Grace > 0 && !dead && !foreign:
		p.say("it deletes a token that still has its grace")
	case in != nil && *in != p.want.Grace:
		p.say("a token expires in %v", *in)
	case in != nil && (dead || !token.Expires.IsZero() && token.Expires.Before(noon.Add(*in))):
		p.say("it makes a token live longer")
	}
}

// TestPlanConverges carries plans out on paper, as far as each goes. A run ends
// after a few rounds and is never refused on the way; the next run writes nothing.
func TestPlanConverges(t *testing.T) {
	for seed := range uint64(cases) {
		want, have := someCase(seed)
		have.passwordWrites = 0 // paper cannot show that a password is ignored
		for round := 1; ; round++ {
			steps, err := makePlan(want, have, noon)
			if err != nil && round == 1 {
				break // nothing was written
			} else if err != nil || round > 4 {
				t.Fatalf("seed %d: round %d: error %v, steps %+v", seed, round, err, steps)
			}
			if carriedOut(want, &have, steps) {
				continue
			}
			have.progress = progress{}
			if steps, err = makePlan(want, have, noon); err != nil || writes(steps) {
				t.Fatalf("seed %d: the next run: error %v, steps %+v", seed, err, steps)
			}
			break
		}
	}
}

// carriedOut turns what was observed into what is there after a plan, and reports
// whether the run observes anew.
func carriedOut(want desired, have *observed, steps []step) bool {
	have.Tokens, have.Former = slices.Clone(have.Tokens), slices.Clone(have.Former)
	for _, s := range steps {
		have.wrote = have.wrote || s.write != nil
		switch w := s.write.(type) {
		case createGroup:
			have.ManagedGroup.Exists = true
		case savePermission:
			have.ManagedGroup.Permission = &w.Permission
		case createUser:
			have.User = &User{ID: "user-1", Username: w.Fields.Username, Active: true}
			written(have, w.Fields, w.Opens)
		case updateUser:
			if w.ID == "user-1" {
				have.adopted, have.revived = have.adopted || w.Adopts, have.revived || w.Fields.Active != nil
				written(have, w.Fields, w.Opens)
			}
			have.Former = slices.DeleteFunc(have.Former, func(user User) bool { return user.ID == w.ID })
		case clearPassword:
			user := have.User
			if i := slices.IndexFunc(have.Former, func(user User) bool { return user.ID == w.ID }); i >= 0 {
				user = &have.Former[i]
			}
			user.FirstName, have.opened = firstName, have.opened && user != have.User
		case createToken:
			have.Token = tokenNotProbed
			have.Tokens = append(have.Tokens, Token{ID: "new", Key: w.Fields.Key, Description: *w.Fields.Description, Writable: *w.Fields.Writable})
		case updateToken:
			token := find(have.Tokens, want.Token)
			if w.Fields.NeverExpire {
				token.Expires = time.Time{}
			}
			if w.Fields.Description != nil {
				token.Description = *w.Fields.Description
			}
			token.Writable = token.Writable || w.Fields.Writable != nil
		case expireTokens:
			for i := range have.Tokens {
				if slices.Contains(w.IDs, have.Tokens[i].ID) {
					have.Tokens[i].Expires = noon.Add(w.In)
				}
			}
		case deleteTokens:
			have.Tokens = slices.DeleteFunc(have.Tokens, func(token Token) bool { return slices.Contains(w.IDs, token.ID) })
		}
		if s.write != nil && s.reobserve {
			if !have.TokensKnown && have.Token != tokenFree { // the account has the token after all
				have.Token, have.Tokens = tokenNotProbed, []Token{{ID: "found", Key: want.Token}}
			}
			have.TokensKnown = true
			return true
		}
	}
	return false
}

// written is the account after a write.
func written(have *observed, fields UserFields, opens bool) {
	user := have.User
	for from, to := range map[*string]*string{fields.FirstName: &user.FirstName, fields.LastName: &user.LastName, fields.Email: &user.Email} {
		if from != nil {
			*to = *from
		}
	}
	for from, to := range map[*bool]*bool{fields.Active: &user.Active, fields.Superuser: &user.Superuser, fields.Staff: &user.Staff} {
		if from != nil {
			*to = *from
		}
	}
	if fields.Groups != nil {
		user.Groups = fields.Groups
	}
	have.opened, have.blankPassword = have.opened || opens, false
	have.PasswordWorks = have.PasswordWorks || !fields.Password.Empty()
}
