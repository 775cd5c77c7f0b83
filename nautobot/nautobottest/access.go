package nautobottest

import (
	"cmp"
	"slices"
	"strconv"
)

var groupEndpoint = endpoint{
	model:   "auth.group",
	title:   "Group",
	filters: []string{"name"},
	all: func(c *call) []object {
		all := pointers[Group, *Group](c.state.groups)
		slices.SortStableFunc(all, func(a, b object) int { return cmp.Compare(a.(*Group).Name, b.(*Group).Name) })
		return all
	},
	write: (*call).writeGroup,
	remove: func(st *state, pk string) {
		st.deleteGroup(find(st.groups, func(g *Group) bool { return g.pk() == pk }).Name)
	},
}

func (g *Group) pk() string { return strconv.Itoa(g.ID) }

func (g *Group) values(*state, string) []any { return []any{g.Name} }

func (g *Group) render(c *call) fields {
	return fields{"id": g.ID, "object_type": "auth.group", "url": c.link("groups/" + g.pk() + "/"), "display": g.Name, "name": g.Name}
}

// showGroups writes groups out inside another object, at the request's depth. Whoever may not view groups gets their display
// instead of their name.
func (c *call) showGroups(names []string) []any {
	out := []any{}
	for _, g := range c.state.groups {
		if !has(names, g.Name) {
			continue
		}
		shown := g.render(c)
		if !c.depth {
			delete(shown, "display")
		}
		if !c.depth || !c.grant("auth.group", "view").given {
			delete(shown, "name")
		}
		out = append(out, shown)
	}
	return out
}

// writeGroup makes a group. Changing one is not implemented: it stays as it is.
func (c *call) writeGroup(old object, in fields, _ bool) (object, *answer) {
	if old != nil {
		return old, nil
	}
	f, name := form{}, ""
	f.text(in, "name", &name, text{max: 150, required: true})
	if c.state.group(name) != nil {
		if a := c.duplicate(f, "name", groupTaken, "name", "auth_group_name_key", name); a != nil {
			return nil, a
		}
	}
	if len(f) > 0 {
		return nil, invalid(f)
	}
	return c.state.addGroup(name), nil
}

var permissionEndpoint = endpoint{
	model:   "users.objectpermission",
	title:   "ObjectPermission",
	filters: []string{"name"},
	all:     func(c *call) []object { return pointers[Permission, *Permission](c.state.permissions) },
	write:   (*call).writePermission,
	remove: func(st *state, pk string) {
		st.permissions = slices.DeleteFunc(st.permissions, func(p Permission) bool { return p.ID == pk })
	},
}

func (p *Permission) pk() string { return p.ID }

func (p *Permission) values(*state, string) []any { return []any{p.Name} }

func (p *Permission) render(c *call) fields {
	out := fields{
		"id": p.ID, "object_type": "users.objectpermission", "display": p.Name, "url": c.link("permissions/" + p.ID + "/"),
		"object_types": orEmpty(p.ObjectTypes), "name": p.Name, "description": p.Description,
		"enabled": !p.Disabled, "actions": orEmpty(p.Actions), "constraints": p.Constraints,
	}
	if !c.hideM2M {
		out["groups"] = c.showGroups(p.Groups)
	}
	return out
}

// writePermission makes a permission or changes one. Nautobot checks neither the constraints nor the actions.
func (c *call) writePermission(old object, in fields, _ bool) (object, *answer) {
	f := form{}
	p := Permission{ID: newID()}
	if old != nil {
		p = *old.(*Permission)
	}
	f.text(in, "name", &p.Name, text{max: 255, required: old == nil})
	negated(in, "enabled", &p.Disabled)
	texts(in, "object_types", &p.ObjectTypes)
	texts(in, "actions", &p.Actions)
	if constraints, given := in["constraints"]; given {
		p.Constraints = constraints
	}
	c.groups(f, in, &p.Groups)
	if find(c.state.permissions, func(o *Permission) bool { return o.Name == p.Name && o.ID != p.ID }) != nil {
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

func orEmpty(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}
