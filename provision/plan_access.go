package provision

import (
	"reflect"
	"slices"
)

// PermissionChange is the permission as it has to be.
type PermissionChange struct {
	Change
	Permission Permission
}

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

// planAccess compares the managed group and its permission.
func planAccess(name string, have *AccessState) (*Change, *PermissionChange) {
	if have == nil {
		return nil, nil
	}
	return planGroup(name, have.GroupExists), planPermission(ownTokens(name), have.Permission)
}

func planGroup(name string, exists bool) *Change {
	if exists {
		return nil
	}
	return &Change{Object: "group/" + name, Action: Created}
}

// planPermission compares a permission, field by field. Groups that it has
// besides are left to it.
func planPermission(want Permission, have *Permission) *PermissionChange {
	change := PermissionChange{Change{Object: "permission/" + want.Name, Action: Created}, want}
	if have == nil {
		return &change
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
	change.Permission.ID, change.Permission.Groups = have.ID, groups
	return &change
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
