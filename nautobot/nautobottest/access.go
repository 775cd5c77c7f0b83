package nautobottest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var groupEndpoint = endpoint{
	model:   "auth.group",
	title:   "Group",
	sample:  &Group{},
	integer: true,
	filters: map[string]filter{"id": {"id", idFilter}, "name": {"name", textFilter}, "q": {"name", searchFilter}},
	all: func(c *call) []object {
		var all []object
		for i := range c.state.groups {
			all = append(all, &c.state.groups[i])
		}
		slices.SortStableFunc(all, func(a, b object) int { return cmp.Compare(a.(*Group).Name, b.(*Group).Name) })
		return all
	},
	write: (*call).writeGroup,
	remove: func(st *state, pk string) {
		st.deleteGroup(find(st.groups, func(g *Group) bool { return g.pk() == pk }).Name)
	},
}

func (g *Group) pk() string { return strconv.Itoa(g.ID) }

func (g *Group) lookup(_ *state, field string) ([]any, bool) {
	switch field {
	case "id", "pk":
		return []any{g.ID}, true
	case "name":
		return []any{g.Name}, true
	}
	return nil, false
}

// render shows how many members a group has, but not to those who just made it.
func (g *Group) render(c *call) fields {
	out := g.brief(c, 1)
	if c.r.Method != http.MethodPost {
		members := 0
		for _, u := range c.state.users {
			if has(u.Groups, g.Name) {
				members++
			}
		}
		out["user_count"] = members
	}
	return out
}

// brief is a group inside another object, at the depth asked for.
func (g *Group) brief(c *call, depth int) fields {
	id := strconv.Itoa(g.ID)
	out := fields{"id": g.ID, "object_type": "auth.group", "url": c.link("users/groups/" + id + "/")}
	if depth > 0 {
		out["display"], out["name"], out["natural_slug"] = g.Name, g.Name, g.Name+"_"+id
	}
	return out
}

// showGroups writes groups out at the request's depth. Who may not view groups gets their display instead of their name.
func (c *call) showGroups(names []string) []any {
	out := []any{}
	for _, g := range c.state.groups {
		if !has(names, g.Name) {
			continue
		}
		shown := g.brief(c, c.depth)
		if c.depth > 0 && !c.grant("auth.group", "view").given {
			delete(shown, "name")
			delete(shown, "natural_slug")
		}
		out = append(out, shown)
	}
	return out
}

func (c *call) writeGroup(old object, in fields, put bool) (object, *answer) {
	f, g := form{}, Group{}
	if old != nil {
		g = *old.(*Group)
	}
	f.text(in, "name", &g.Name, text{max: 150, required: old == nil || put})
	if other := c.state.group(g.Name); other != nil && other.ID != g.ID && f["name"] == nil {
		if a := c.duplicate(f, "name", "group with this name already exists.", "name", "auth_group_name_key", g.Name); a != nil {
			return nil, a
		}
	}
	if len(f) > 0 {
		return nil, invalid(f)
	}
	if old == nil {
		return c.state.addGroup(g.Name), nil
	}
	stored := old.(*Group)
	c.state.renameGroup(stored.Name, g.Name)
	*stored = g
	return stored, nil
}

var permissionEndpoint = endpoint{
	model:  "users.objectpermission",
	title:  "ObjectPermission",
	name:   "name",
	sample: &Permission{},
	filters: map[string]filter{
		"id": {"id", idFilter}, "name": {"name", textFilter}, "description": {"description", textFilter},
		"enabled": {"enabled", boolFilter}, "groups": {"groups__name", groupFilter},
		"groups_id": {"groups", groupIDFilter}, "q": {"name description", searchFilter},
	},
	all: func(c *call) []object {
		var all []object
		for i := range c.state.permissions {
			all = append(all, &c.state.permissions[i])
		}
		slices.SortStableFunc(all, func(a, b object) int { return cmp.Compare(a.(*Permission).Name, b.(*Permission).Name) })
		return all
	},
	write: (*call).writePermission,
	remove: func(st *state, pk string) {
		st.permissions = slices.DeleteFunc(st.permissions, func(p Permission) bool { return p.ID == pk })
	},
}

func (p *Permission) pk() string { return p.ID }

func (p *Permission) lookup(st *state, field string) ([]any, bool) {
	switch field {
	case "id", "pk":
		return []any{p.ID}, true
	case "name":
		return []any{p.Name}, true
	case "description":
		return []any{p.Description}, true
	case "enabled":
		return []any{!p.Disabled}, true
	case "groups__name":
		return anys(p.Groups), true
	case "groups":
		return st.groupIDs(p.Groups), true
	}
	return nil, false
}

func (p *Permission) render(c *call) fields {
	out := fields{
		"id": p.ID, "object_type": "users.objectpermission", "display": p.Name, "url": c.link("users/permissions/" + p.ID + "/"),
		"natural_slug": p.Name + "_" + p.ID[:4], "object_types": orEmpty(p.ObjectTypes), "name": p.Name, "description": p.Description,
		"enabled": !p.Disabled, "actions": orEmpty(p.Actions), "constraints": p.Constraints,
		"created": showTime(p.Created), "last_updated": showTime(p.Updated),
	}
	if c.hideM2M && c.query.Has("exclude_m2m") {
		delete(out, "object_types") // left out only if asked for
	}
	if !c.hideM2M {
		users := []any{}
		for _, name := range p.Users {
			u := c.state.user(name)
			shown := fields{"id": u.ID, "object_type": "users.user", "url": c.link("users/users/" + u.ID + "/")}
			if c.depth > 0 {
				c := *c
				c.hideM2M = true
				shown = u.render(&c)
			}
			users = append(users, shown)
		}
		out["users"], out["groups"] = users, c.showGroups(p.Groups)
	}
	return out
}

// models are the content types that a permission can name here; Nautobot knows some hundred more.
var models = []string{"users.user", "users.token", "users.objectpermission", "auth.group", "auth.permission", "dcim.device", "dcim.location"}

// writePermission makes a permission or changes one. Nautobot checks neither the constraints nor the actions: what makes
// no sense shows when the permission is used.
func (c *call) writePermission(old object, in fields, put bool) (object, *answer) {
	f, now := form{}, c.options.Now()
	p := Permission{Created: now}
	if old != nil {
		p = *old.(*Permission)
	}
	p.Updated = now
	f.id(in, old == nil, &p.ID)
	f.text(in, "name", &p.Name, text{max: 255, required: old == nil || put})
	f.text(in, "description", &p.Description, text{max: 255, blank: true})
	f.flag(in, "enabled", &p.Disabled)
	f.objectTypes(in, old == nil || put, &p.ObjectTypes)
	f.actions(in, old == nil || put, &p.Actions)
	if constraints, given := in["constraints"]; given {
		p.Constraints = constraints
	}
	if a := c.relatedGroups(f, in, &p.Groups); a != nil {
		return nil, a
	}
	if a := c.relatedUsers(f, in, &p.Users); a != nil {
		return nil, a
	}
	others := slices.DeleteFunc(slices.Clone(c.state.permissions), func(o Permission) bool { return old != nil && o.ID == p.ID })
	if slices.ContainsFunc(others, func(o Permission) bool { return o.Name == p.Name }) && f["name"] == nil {
		if a := c.duplicate(f, "name", "permission with this name already exists.", "name", "users_objectpermission_name_8d7a5900_uniq", p.Name); a != nil {
			return nil, a
		}
	}
	if len(f) > 0 {
		return nil, invalid(f)
	}
	if old == nil {
		c.state.permissions = append(c.state.permissions, p)
		return &c.state.permissions[len(c.state.permissions)-1], nil
	}
	stored := old.(*Permission)
	*stored = p
	return stored, nil
}

func (f form) objectTypes(in fields, must bool, types *[]string) {
	list, ok := f.list(in, "object_types", must)
	if !ok {
		return
	}
	found := []string{}
	for _, item := range list {
		name, _ := item.(string)
		switch {
		case strings.Count(name, ".") != 1:
			f.add("object_types", "Invalid value. Specify a content type as '<app_label>.<model_name>'.")
			return
		case !has(models, name):
			f.add("object_types", "Invalid content type: "+name)
			return
		}
		found = append(found, name)
	}
	*types = found
}

// actions reads a list of words. What else Nautobot 2.4 and 3.2 take or crash on differs, and nothing needs it.
func (f form) actions(in fields, must bool, actions *[]string) {
	list, ok := f.list(in, "actions", must)
	if !ok {
		return
	}
	found := []string{}
	for _, item := range list {
		word, isText := item.(string)
		if !isText {
			f.add("actions", notString)
			return
		}
		found = append(found, word)
	}
	if len(found) == 0 {
		f.add("actions", cannotBlank)
	}
	*actions = found
}

func orEmpty(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}
