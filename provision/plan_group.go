package provision

import (
	"reflect"
	"slices"
)

// ownTokens lets the members of the group of the same name manage their own
// tokens. Nobody else can, not even a superuser, and without it only
// superusers could have tokens.
func ownTokens(group string) Permission {
	return Permission{
		Name:        group,
		Enabled:     true,
		ObjectTypes: []string{"users.token"},
		Actions:     []string{"view", "add", "change", "delete"},
		Constraints: map[string]any{"user": "$user"},
		Groups:      []Group{{Name: group}},
	}
}

// isOwnTokens reports whether a permission is, or may become, the one that lets
// accounts manage their own tokens. One for anything else is somebody else's.
func isOwnTokens(have *Permission) bool {
	return have == nil || len(have.ObjectTypes) == 0 || slices.Contains(have.ObjectTypes, "users.token")
}

func errForeignPermission(name string) error {
	return refuse("permission %q exists and is not about tokens: choose another managedGroup", name)
}

// planManagedGroup compares the managed group and its permission.
func (p *planner) planManagedGroup(name string, have managedGroup) {
	if !have.Exists {
		p.add(step{Change: Change{Object: "group/" + name, Action: Created}, write: createGroup{name}})
	}
	if s := permissionStep(ownTokens(name), have.Permission); s != nil {
		p.add(*s)
	}
}

// permissionStep compares a permission, field by field; nil: it is as it should
// be. Other groups that have the permission are left alone.
func permissionStep(want Permission, have *Permission) *step {
	change := Change{Object: "permission/" + want.Name, Action: Created}
	if have == nil {
		return &step{Change: change, write: savePermission{want}}
	}
	differs := func(field string, same bool) {
		if !same {
			change.Fields = append(change.Fields, field)
		}
	}
	differs("enabled", have.Enabled)
	differs("object_types", slices.Equal(have.ObjectTypes, want.ObjectTypes))
	differs("actions", sameSet(have.Actions, want.Actions))
	differs("constraints", reflect.DeepEqual(have.Constraints, want.Constraints))
	groups := slices.Clone(have.Groups)
	for _, group := range want.Groups {
		if !hasGroup(groups, group.Name) {
			groups = append(groups, group)
		}
	}
	differs("groups", len(groups) == len(have.Groups))
	if len(change.Fields) == 0 {
		return nil
	}
	change.Action = Updated
	want.ID, want.Groups = have.ID, groups
	return &step{Change: change, write: savePermission{want}}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
