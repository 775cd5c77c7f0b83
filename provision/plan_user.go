package provision

import (
	"slices"
	"strings"
)

// UserChange is the fields of the account that have to be written.
type UserChange struct {
	Change
	Write UserFields
	// Open: Write gives an account without a password one for the moment that
	// its token takes to be made.
	Open bool
	// Close: the account has such a password, which is cleared once the token
	// works.
	Close bool
}

// planUser compares the account, field by field.
func planUser(want Wanted, have State, token TokenChange) UserChange {
	change := UserChange{Change: Change{Object: "user/" + want.Username, Action: Unchanged}}
	switch {
	case have.User == nil:
		change.Action = Created
		change.create(want)
	case have.Own:
		change.Notes = []string{"the superuser token's own account: only its token is managed"}
	default:
		change.update(want, have, token)
		if len(change.Fields) > 0 {
			change.Action = Updated
		}
	}
	return change
}

func (c *UserChange) create(want Wanted) {
	c.Write = UserFields{
		Username:  want.Username,
		Password:  want.login().Password,
		FirstName: new(firstName),
		LastName:  new(want.Mark.lastName()),
	}
	for _, name := range want.groups() {
		c.Write.Groups = append(c.Write.Groups, Group{Name: name})
	}
	if want.apiOnly() {
		c.Write.FirstName, c.Close = new(firstNameOpening), true
	}
	if want.Email != "" {
		c.Write.Email = &want.Email
	}
	if want.Rule.Superuser {
		c.Write.Superuser = new(true)
	}
}

// update writes what differs and nothing else. The password comes first.
func (c *UserChange) update(want Wanted, have State, token TokenChange) {
	is := *have.User
	opening := want.apiOnly() && is.FirstName == firstNameOpening
	switch {
	case have.PasswordWrong && !want.apiOnly():
		c.Write.Password = want.Password
		c.Fields = append(c.Fields, "password")
	case want.apiOnly() && token.byPassword && have.PasswordWrong:
		c.Open = true
		c.Write.Password, c.Write.FirstName = want.login().Password, new(firstNameOpening)
	case opening:
		c.Close = true
		if !have.Opened { // by a run that did not come to its end
			c.Fields = append(c.Fields, "password")
		}
	}

	for _, name := range want.groups() {
		if !hasGroup(is.Groups, name) {
			c.Write.Groups = append(c.Write.Groups, Group{Name: name})
		}
	}
	if len(c.Write.Groups) > 0 {
		c.Write.Groups = slices.Concat(is.Groups, c.Write.Groups)
		c.Fields = append(c.Fields, "groups")
	}
	if want.Email != "" {
		c.text("email", &c.Write.Email, is.Email, want.Email)
	}
	c.flag("is_superuser", &c.Write.Superuser, is.Superuser, want.Rule.Superuser)
	c.flag("is_staff", &c.Write.Staff, is.Staff, false)
	c.flag("is_active", &c.Write.Active, is.Active, true)
	if !opening && !c.Open {
		c.text("first_name", &c.Write.FirstName, is.FirstName, firstName)
	}
	c.text("last_name", &c.Write.LastName, is.LastName, want.Mark.lastName())

	var others []string
	for _, group := range is.Groups {
		if !slices.Contains(want.groups(), group.Name) {
			others = append(others, group.Name)
		}
	}
	if len(others) > 0 {
		c.Notes = append(c.Notes, "also in groups "+strings.Join(others, ", "))
	}
}

func (c *UserChange) text(field string, write **string, is, want string) {
	if is != want {
		*write = &want
		c.Fields = append(c.Fields, field)
	}
}

func (c *UserChange) flag(field string, write **bool, is, want bool) {
	if is != want {
		*write = &want
		c.Fields = append(c.Fields, field)
	}
}

// writes tells whether the account is to be written before its token is.
func (c UserChange) writes() bool {
	w := c.Write
	return !w.Password.Empty() || w.Groups != nil || w.Email != nil || w.FirstName != nil || w.LastName != nil ||
		w.Superuser != nil || w.Staff != nil || w.Active != nil
}

// groups are the names of the groups that the account has to be in, each once.
func (w Wanted) groups() []string {
	names := []string{w.ManagedGroup}
	for _, name := range w.Rule.Groups {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
