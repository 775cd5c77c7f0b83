package nautobottest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var userEndpoint = endpoint{
	model:  "users.user",
	title:  "User",
	name:   "username",
	sample: &User{},
	filters: map[string]filter{
		"id": {"id", idFilter}, "username": {"username", textFilter}, "first_name": {"first_name", textFilter},
		"last_name": {"last_name", textFilter}, "email": {"email", textFilter}, "is_staff": {"is_staff", boolFilter},
		"is_active": {"is_active", boolFilter}, "has_object_permissions": {"has_object_permissions", boolFilter},
		"groups": {"groups__name", groupFilter}, "groups_id": {"groups", groupIDFilter},
		"q": {"username first_name last_name email", searchFilter},
	},
	all: func(c *call) []object {
		var all []object
		for i := range c.state.users {
			all = append(all, &c.state.users[i])
		}
		slices.SortStableFunc(all, func(a, b object) int { return cmp.Compare(a.(*User).Username, b.(*User).Username) })
		return all
	},
	write: (*call).writeUser,
	remove: func(st *state, pk string) {
		st.deleteUser(find(st.users, func(u *User) bool { return u.ID == pk }).Username)
	},
}

func (u *User) pk() string { return u.ID }

func (u *User) lookup(st *state, field string) ([]any, bool) {
	switch field {
	case "id", "pk":
		return []any{u.ID}, true
	case "username":
		return []any{u.Username}, true
	case "first_name":
		return []any{u.FirstName}, true
	case "last_name":
		return []any{u.LastName}, true
	case "email":
		return []any{u.Email}, true
	case "is_superuser":
		return []any{u.Superuser}, true
	case "is_staff":
		return []any{u.Staff}, true
	case "is_active":
		return []any{!u.Inactive}, true
	case "date_joined":
		return []any{u.Joined}, true
	case "has_object_permissions":
		return []any{slices.ContainsFunc(st.permissions, func(p Permission) bool { return has(p.Users, u.Username) })}, true
	case "groups__name":
		return anys(u.Groups), true
	case "groups", "groups__id":
		return st.groupIDs(u.Groups), true
	}
	return nil, false
}

func (u *User) render(c *call) fields {
	out := fields{
		"id": u.ID, "object_type": "users.user", "display": u.Username, "url": c.link("users/users/" + u.ID + "/"),
		"natural_slug": u.Username + "_" + u.ID[:4], "last_login": nil, "is_superuser": u.Superuser, "username": u.Username,
		"first_name": u.FirstName, "last_name": u.LastName, "email": u.Email, "is_staff": u.Staff, "is_active": !u.Inactive,
		"date_joined": showTime(u.Joined), "config_data": fields{},
	}
	if !c.hideM2M {
		out["groups"] = c.showGroups(u.Groups)
		out["default_saved_views"] = []any{}
	}
	return out
}

// writeUser makes a user or changes one.
//
// A password is stored stripped and kept if a PATCH does not name it; a PUT that does not name it makes it unusable and
// leaves every other field that it does not name alone. Groups replace the list.
func (c *call) writeUser(old object, in fields, put bool) (object, *answer) {
	f := form{}
	u := User{Joined: c.options.Now()}
	if old != nil {
		u = *old.(*User)
	}
	f.id(in, old == nil, &u.ID)
	f.text(in, "username", &u.Username, text{max: 150, required: old == nil || put, check: checkUsername})
	f.text(in, "first_name", &u.FirstName, text{max: 150, blank: true})
	f.text(in, "last_name", &u.LastName, text{max: 150, blank: true})
	f.text(in, "email", &u.Email, text{max: 254, blank: true, check: checkEmail})
	f.boolean(in, "is_superuser", &u.Superuser)
	f.boolean(in, "is_staff", &u.Staff)
	f.flag(in, "is_active", &u.Inactive)
	password, named := in["password"]
	if named && password != nil {
		f.text(in, "password", &u.Password, text{max: 128})
	}
	if a := c.relatedGroups(f, in, &u.Groups); a != nil {
		return nil, a
	}
	others := slices.DeleteFunc(slices.Clone(c.state.users), func(o User) bool { return old != nil && o.ID == u.ID })
	taken := func(name string) bool {
		return slices.ContainsFunc(others, func(o User) bool { return o.Username == name })
	}
	if taken(u.Username) && f["username"] == nil {
		if a := c.duplicate(f, "username", usernameTaken, "username", "auth_user_username_key", u.Username); a != nil {
			return nil, a
		}
	}
	if len(f) > 0 {
		return nil, invalid(f)
	}

	// What follows Nautobot asks only of a body whose fields are good.
	if narrow := narrowed(u.Username); narrow != u.Username && taken(narrow) {
		f.add("username", usernameTaken)
	}
	if slices.ContainsFunc(others, func(o User) bool { return o.ID == u.ID }) {
		f.add("id", "User with this Id already exists.")
	}
	switch {
	case named && password == nil:
		f.add("password", cannotNull)
	case named:
		u.BlankPassword = false
		if n := c.options.MinPasswordLength; utf8.RuneCountInString(u.Password) < n {
			f.add("non_field_errors", fmt.Sprintf("This password is too short. It must contain at least %d characters.", n))
		}
	case put:
		u.Password, u.BlankPassword = "", false
	case u.BlankPassword:
		f.add("password", cannotBlank)
	}
	if len(f) > 0 {
		return nil, invalid(f)
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

const usernameTaken = "A user with that username already exists."

// checkUsername wants letters and digits of any script and @ . + - _ only.
func checkUsername(name string) string {
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune("@.+-_", r) {
			return "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters."
		}
	}
	return ""
}

// checkEmail is simpler than Nautobot's: something, an @, a host with a dot.
func checkEmail(address string) string {
	local, host, found := strings.Cut(address, "@")
	dotted := strings.Contains(strings.Trim(host, "."), ".") || host == "localhost"
	if !found || local == "" || !dotted || strings.ContainsAny(address, " \t\r\n") {
		return "Enter a valid email address."
	}
	return ""
}

// narrowed turns full-width letters into plain ones: the part of Unicode's NFKC, by which Nautobot compares a new
// username with the existing ones, that is known here.
func narrowed(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '！' && r <= '～' {
			return r - '！' + '!'
		}
		return r
	}, name)
}

func anys(all []string) []any {
	var out []any
	for _, s := range all {
		out = append(out, s)
	}
	return out
}
