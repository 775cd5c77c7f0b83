package provision

import "testing"

// rightGroup is the managed group and its permission as they should be.
func rightGroup() *managedGroup {
	return &managedGroup{Exists: true, Permission: &Permission{
		ID: "permission-1", Name: "managed", Enabled: true, ObjectTypes: []string{"users.token"},
		Actions: []string{"view", "add", "change", "delete"}, Constraints: map[string]any{"user": "$user"}, Groups: []Group{{1, "managed"}},
	}}
}

// permissionSaved is the step that makes the permission right, with these groups.
func permissionSaved(groups []Group, fields ...string) step {
	right := *rightGroup().Permission
	right.Groups = groups
	return step{Change: Change{Object: "permission/managed", Action: Updated, Fields: fields}, write: savePermission{right}}
}

func TestPlanGroup(t *testing.T) {
	group := func(drift func(*managedGroup)) func(*observed) {
		return func(o *observed) {
			o.ManagedGroup = rightGroup()
			drift(o.ManagedGroup)
		}
	}
	groupMade := step{Change: Change{Object: "group/managed", Action: Created}, write: createGroup{"managed"}}
	same := []Group{{1, "managed"}}
	permissionMade := step{Change: Change{Object: "permission/managed", Action: Created}, write: savePermission{Permission{
		Name: "managed", Enabled: true, ObjectTypes: []string{"users.token"},
		Actions: []string{"view", "add", "change", "delete"}, Constraints: map[string]any{"user": "$user"}, Groups: []Group{{Name: "managed"}},
	}}}
	tests := map[string]planCase{
		"as they should be":       {nil, group(func(*managedGroup) {}), nil},
		"neither is there":        {nil, func(o *observed) { o.ManagedGroup = &managedGroup{} }, []step{groupMade, permissionMade}},
		"only the group is there": {nil, func(o *observed) { o.ManagedGroup = &managedGroup{Exists: true} }, []step{permissionMade}},
		"only the permission is there": {
			nil, group(func(g *managedGroup) { g.Exists, g.Permission.Groups = false, nil }),
			[]step{groupMade, permissionSaved([]Group{{Name: "managed"}}, "groups")},
		},
		"the actions in another order": {
			nil, group(func(g *managedGroup) { g.Permission.Actions = []string{"delete", "change", "view", "add"} }), nil,
		},
		"other groups have the permission, too": {
			nil, group(func(g *managedGroup) { g.Permission.Groups = []Group{{9, "people"}, {1, "managed"}} }), nil,
		},
		"disabled": {nil, group(func(g *managedGroup) { g.Permission.Enabled = false }), []step{permissionSaved(same, "enabled")}},
		"for more than tokens": {
			nil, group(func(g *managedGroup) { g.Permission.ObjectTypes = []string{"users.token", "users.user"} }),
			[]step{permissionSaved(same, "object_types")},
		},
		"more actions": {
			nil, group(func(g *managedGroup) { g.Permission.Actions = append(g.Permission.Actions, "run") }),
			[]step{permissionSaved(same, "actions")},
		},
		"for everybody's tokens": {
			nil, group(func(g *managedGroup) { g.Permission.Constraints = map[string]any{} }), []step{permissionSaved(same, "constraints")},
		},
		"everything about the permission": {
			nil, group(func(g *managedGroup) {
				g.Permission = &Permission{ID: "permission-1", Name: "managed", ObjectTypes: []string{"users.token", "users.user"}, Actions: []string{"view"}, Groups: []Group{{9, "people"}}}
			}),
			[]step{permissionSaved([]Group{{9, "people"}, {Name: "managed"}}, "enabled", "object_types", "actions", "constraints", "groups")},
		},
	}
	for name, test := range tests { // the account and its token stay as they are
		test.steps = append(test.steps, userStays, tokenStays)
		if len(test.steps) > 2 {
			test.steps = append(test.steps, verified)
		}
		tests[name] = test
	}
	testPlans(t, tests)
}
