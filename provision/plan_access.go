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

// planAccess compares the managed group and the permission of the same name,
// which lets members manage their own tokens: nobody else can, not even a
// superuser, and without it only superusers could have tokens.
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
			change.Fields = append(change.Fields, field)
		}
	}
	differs("enabled", is.Enabled)
	differs("object_types", slices.Equal(is.ObjectTypes, want.ObjectTypes))
	differs("actions", sameSet(is.Actions, want.Actions))
	differs("constraints", reflect.DeepEqual(is.Constraints, want.Constraints))
	differs("groups", hasGroup(is.Groups, name))
	if len(change.Fields) == 0 {
		return group, nil
	}
	change.Permission.Groups = is.Groups
	if !hasGroup(is.Groups, name) {
		change.Permission.Groups = append(slices.Clone(is.Groups), Group{Name: name})
	}
	change.Action = Updated
	return group, &change
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
