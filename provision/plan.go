package provision

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Wanted is what Nautobot is to have: the account that the Secret asks for
// and the operator's rule allows.
type Wanted struct {
	Account
	Secret string // NAMESPACE/NAME
	Mark   Mark
	Rule   Rule
	Grace  time.Duration // how long a superseded token keeps working
	// Spare is the superuser token: it is never superseded.
	Spare Sensitive
}

func (w Wanted) byPassword() Login { return Login{Username: w.Username, Password: w.Password} }
func (w Wanted) byToken() Login    { return Login{Username: w.Username, Token: w.Token} }

// Plan is what has to be written so that Nautobot has what is wanted: the
// changes in their order. A dry run prints it, a run carries it out.
type Plan struct {
	Group      *Change // nil: not needed
	Permission *PermissionChange
	User       UserChange
	Token      TokenChange
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
	Refused   Action = "refused"
	Failed    Action = "failed"
)

// PermissionChange is the permission as it has to be.
type PermissionChange struct {
	Change
	Permission Permission
}

// UserChange is the fields of the account that have to be written.
type UserChange struct {
	Change
	Fields UserFields
}

// TokenChange is what to do to the account's tokens: to the Secret's, and to
// the older ones that it supersedes.
type TokenChange struct {
	Change
	ID     string // of an existing token to update
	Fields TokenFields
	Expire []string // ids
	Delete []string // ids
	Until  time.Time
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
	return append(changes, p.User.Change, p.Token.Change)
}

// Pending tells whether anything has to be written.
func (p Plan) Pending() bool {
	return slices.ContainsFunc(p.Changes(), func(c Change) bool { return c.Action != Unchanged })
}

// MakePlan compares what is wanted with what Nautobot has. It asks nobody and
// changes nothing. A *Refusal says that nothing of it may be done.
func MakePlan(want Wanted, have State, now time.Time) (Plan, error) {
	if have.User != nil {
		if err := want.mayChange(*have.User); err != nil {
			return Plan{}, err
		}
	}
	if have.Key == KeyTaken {
		return Plan{}, errTaken
	}
	var plan Plan
	plan.Group, plan.Permission = planAccess(want.Rule.ManagedGroup, have.Access)
	plan.User = planUser(want, have)
	plan.Token = planToken(want, have, now)
	// The account has every right that it needs and is still not allowed to
	// see its tokens with this one: it cannot be its own.
	if have.Key == KeyUsable && have.User.Active && have.Access != nil &&
		plan.Group == nil && plan.Permission == nil && hasGroup(have.User.Groups, want.Rule.ManagedGroup) {
		return Plan{}, errTaken
	}
	return plan, nil
}

var errTaken = refuse(`key "token": another account of Nautobot has this token: make a new one`)

// planAccess compares the managed group and its permission.
func planAccess(name string, have *AccessState) (*Change, *PermissionChange) {
	if have == nil {
		return nil, nil
	}
	var group *Change
	if !have.GroupExists {
		group = &Change{Object: "group/" + name, Action: Created}
	}
	want := Permission{
		Name:        name,
		Enabled:     true,
		ObjectTypes: []string{"users.token"},
		Actions:     []string{"view", "add", "change", "delete"},
		Constraints: map[string]any{"user": "$user"},
		Groups:      []Group{{Name: name}},
	}
	change := PermissionChange{Change{Object: "permission/" + name, Action: Created}, want}
	if have.Permission == nil {
		return group, &change
	}

	is := *have.Permission
	change.Permission.ID = is.ID
	differs := func(field string, same bool) {
		if !same {
			change.Change.Fields = append(change.Change.Fields, field)
		}
	}
	differs("enabled", is.Enabled)
	differs("object_types", slices.Equal(is.ObjectTypes, want.ObjectTypes))
	differs("actions", sameSet(is.Actions, want.Actions))
	differs("constraints", reflect.DeepEqual(is.Constraints, want.Constraints))
	differs("groups", hasGroup(is.Groups, name))
	if len(change.Change.Fields) == 0 {
		return group, nil
	}
	if hasGroup(is.Groups, name) {
		change.Permission.Groups = is.Groups
	} else {
		change.Permission.Groups = append(slices.Clone(is.Groups), Group{Name: name})
	}
	change.Action = Updated
	return group, &change
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// planUser compares the account, field by field.
func planUser(want Wanted, have State) UserChange {
	change := UserChange{Change: Change{Object: "user/" + want.Username, Action: Created}}
	if have.User == nil {
		change.Fields = UserFields{
			Username:  want.Username,
			Password:  want.Password,
			FirstName: new(firstName),
			LastName:  new(want.Mark.lastName()),
			Groups:    []Group{{Name: want.Rule.ManagedGroup}},
		}
		if want.Email != "" {
			change.Fields.Email = &want.Email
		}
		if want.Rule.Superuser {
			change.Fields.Superuser = new(true)
		}
		return change
	}

	is, write := *have.User, &change.Fields
	changed := func(field string) { change.Change.Fields = append(change.Change.Fields, field) }
	text := func(field string, target **string, is, want string) {
		if is != want {
			*target = &want
			changed(field)
		}
	}
	flag := func(field string, target **bool, is, want bool) {
		if is != want {
			*target = &want
			changed(field)
		}
	}
	if have.PasswordWrong {
		write.Password = want.Password
		changed("password")
	}
	if !hasGroup(is.Groups, want.Rule.ManagedGroup) {
		write.Groups = append(slices.Clone(is.Groups), Group{Name: want.Rule.ManagedGroup})
		changed("groups")
	}
	if want.Email != "" {
		text("email", &write.Email, is.Email, want.Email)
	}
	flag("is_superuser", &write.Superuser, is.Superuser, want.Rule.Superuser)
	flag("is_staff", &write.Staff, is.Staff, false)
	flag("is_active", &write.Active, is.Active, true)
	text("first_name", &write.FirstName, is.FirstName, firstName)
	text("last_name", &write.LastName, is.LastName, want.Mark.lastName())
	change.Action = Updated
	if len(change.Change.Fields) == 0 {
		change.Action = Unchanged
	}
	return change
}

// clockSlack is how far apart the clocks of two runs may be before one of
// them corrects the other's expiry of a superseded token.
const clockSlack = time.Minute

// planToken compares the Secret's token and decides about the others. Where
// the tokens could not be read, the key's own answer has to do.
func planToken(want Wanted, have State, now time.Time) TokenChange {
	change := TokenChange{Change: Change{Object: "token/" + want.Secret, Action: Unchanged}}
	ours := find(have.Tokens, want.Token)
	switch {
	case ours != nil:
		planExisting(want, *ours, &change)
	case have.TokensKnown || have.Key == KeyUnused:
		change.Action = Created
		change.Fields = TokenFields{
			Key:         want.Token,
			Description: new(want.Mark.description()),
			Writable:    new(true),
		}
	case have.Key == KeyExpired:
		change.Action = Updated
		change.Change.Fields = []string{"expires"}
	}

	others := 0
	change.Until = now.Add(want.Grace)
	for _, token := range have.Tokens {
		switch {
		case token.Key.Equal(want.Token), token.Key.Equal(want.Spare):
		case token.Description != want.Mark.description():
			others++
		case want.Grace == 0, !token.Expires.IsZero() && !token.Expires.After(now):
			change.Delete = append(change.Delete, token.ID)
		case token.Expires.IsZero(), token.Expires.After(change.Until.Add(clockSlack)):
			change.Expire = append(change.Expire, token.ID)
		}
	}
	note := func(n int, one, many string) {
		if n == 1 {
			change.Notes = append(change.Notes, "1 "+one)
		} else if n > 1 {
			change.Notes = append(change.Notes, fmt.Sprint(n, " ", many))
		}
	}
	in := " in " + readable(want.Grace)
	note(len(change.Expire), "superseded token expires"+in, "superseded tokens expire"+in)
	note(len(change.Delete), "superseded token deleted", "superseded tokens deleted")
	note(others, "other token left alone", "other tokens left alone")
	if change.Action == Unchanged && len(change.Expire)+len(change.Delete) > 0 {
		change.Action = Updated
	}
	return change
}

// planExisting repairs the Secret's token where the account has it already.
func planExisting(want Wanted, is Token, change *TokenChange) {
	change.ID = is.ID
	if is.Description != want.Mark.description() {
		change.Fields.Description = new(want.Mark.description())
		change.Change.Fields = append(change.Change.Fields, "description")
	}
	if !is.Expires.IsZero() {
		change.Fields.NeverExpire = true
		change.Change.Fields = append(change.Change.Fields, "expires")
	}
	if !is.Writable {
		change.Fields.Writable = new(true)
		change.Change.Fields = append(change.Change.Fields, "write_enabled")
	}
	if len(change.Change.Fields) > 0 {
		change.Action = Updated
	}
}

// readable is a duration without its zero parts: 1h, not 1h0m0s.
func readable(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
