package nautobottest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

var userEndpoint = endpoint{
	model:   "users.user",
	title:   "User",
	filters: []string{"username", "username__ie", "last_name", "last_name__isw", "groups"},
	all: func(c *call) []object {
		all := pointers[User, *User](c.state.users)
		slices.SortStableFunc(all, func(a, b object) int { return cmp.Compare(a.(*User).Username, b.(*User).Username) })
		return all
	},
	write: (*call).writeUser,
	remove: func(st *state, pk string) {
		st.deleteUser(find(st.users, func(u *User) bool { return u.ID == pk }).Username)
	},
}

func (u *User) pk() string { return u.ID }

func (u *User) values(_ *state, field string) []any {
	switch field {
	case "username":
		return []any{u.Username}
	case "last_name":
		return []any{u.LastName}
	case "is_superuser":
		return []any{u.Superuser}
	case "is_staff":
		return []any{u.Staff}
	case "groups__name":
		var names []any
		for _, name := range u.Groups {
			names = append(names, name)
		}
		return names
	}
	return nil
}

func (u *User) render(c *call) fields {
	out := fields{
		"id": u.ID, "object_type": "users.user", "display": u.Username, "url": c.link("users/" + u.ID + "/"),
		"username": u.Username, "first_name": u.FirstName, "last_name": u.LastName, "email": u.Email,
		"is_superuser": u.Superuser, "is_staff": u.Staff, "is_active": !u.Inactive, "date_joined": showTime(u.Joined),
	}
	if !c.hideM2M {
		out["groups"] = c.showGroups(u.Groups)
	}
	return out
}

// writeUser makes a user or changes one.
//
// A password is stored stripped and kept if a PATCH does not name it; a PUT that does not name it makes it unusable and
// leaves every other field that it does not name alone. Groups replace the list.
func (c *call) writeUser(old object, in fields, put bool) (object, *answer) {
	f := form{}
	u := User{ID: newID(), Joined: c.options.Now()}
	if old != nil {
		u = *old.(*User)
	}
	f.text(in, "username", &u.Username, text{max: 150, required: old == nil || put})
	f.text(in, "first_name", &u.FirstName, text{max: 150, blank: true})
	f.text(in, "last_name", &u.LastName, text{max: 150, blank: true})
	f.text(in, "email", &u.Email, text{max: 254, blank: true})
	if !validEmail(u.Email) {
		f.add("email", "Enter a valid email address.")
	}
	f.text(in, "password", &u.Password, text{max: 128})
	boolean(in, "is_superuser", &u.Superuser)
	boolean(in, "is_staff", &u.Staff)
	negated(in, "is_active", &u.Inactive)
	c.groups(f, in, &u.Groups)
	taken := find(c.state.users, func(o *User) bool { return o.Username == u.Username && o.ID != u.ID }) != nil
	if taken && f["username"] == nil {
		if a := c.duplicate(f, "username", usernameTaken, "username", "auth_user_username_key", u.Username); a != nil {
			return nil, a
		}
	}
	if len(f) > 0 {
		return nil, invalid(f)
	}

	// Nautobot checks the following only if the fields of the body are good.
	_, named := in["password"]
	n := c.options.MinPasswordLength
	switch {
	case named && utf8.RuneCountInString(u.Password) < n:
		return nil, invalid(form{"non_field_errors": {fmt.Sprintf("This password is too short. It must contain at least %d characters.", n)}})
	case named:
		u.BlankPassword = false
	case put:
		u.Password, u.BlankPassword = "", false
	case u.BlankPassword:
		return nil, invalid(form{"password": {cannotBlank}})
	}
	if old == nil {
		c.state.users = append(c.state.users, u)
		return &c.state.users[len(c.state.users)-1], nil
	}
	stored := old.(*User)
	c.state.renameUser(stored.Username, u.Username)
	*stored = u
	return stored, nil
}

// validEmail is simpler than Nautobot's check: something, an @, a host with a dot; or nothing.
func validEmail(address string) bool {
	local, host, _ := strings.Cut(address, "@")
	return address == "" || local != "" && strings.Contains(strings.Trim(host, "."), ".") && !strings.ContainsAny(address, " \t\r\n")
}
