package nautobot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

func TestGroups(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		const name = "a group/with: signs"
		if exists, err := f.GroupExists(t.Context(), name); exists || err != nil {
			t.Errorf("before: GroupExists = %v, %v, want false", exists, err)
		}
		if err := f.CreateGroup(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if exists, err := f.GroupExists(t.Context(), name); !exists || err != nil {
			t.Errorf("after: GroupExists = %v, %v, want true", exists, err)
		}
		if exists, err := f.GroupExists(t.Context(), "A group/with: signs"); exists || err != nil {
			t.Errorf("in other case: GroupExists = %v, %v, want false", exists, err)
		}
		checkError(t, f.CreateGroup(t.Context(), name), "create group: Nautobot answered 400: name: group with this name already exists.",
			provision.ErrRejected, provision.RejectedField("name"))
	})
}

func TestPermissionIsReadAsItIs(t *testing.T) {
	tests := map[string]struct {
		stored nautobottest.Permission
		want   provision.Permission
	}{
		"as it should be": {
			nautobottest.Permission{
				Name: "p", ObjectTypes: []string{"users.token"}, Actions: []string{"view", "add"},
				Constraints: map[string]any{"user": "$user"}, Groups: []string{"g", "h"},
			},
			provision.Permission{
				Name: "p", Enabled: true, ObjectTypes: []string{"users.token"}, Actions: []string{"view", "add"},
				Constraints: map[string]any{"user": "$user"}, Groups: []provision.Group{{Name: "g"}, {Name: "h"}},
			},
		},
		"disabled, without constraint or group": {
			nautobottest.Permission{Name: "p", Disabled: true, ObjectTypes: []string{"users.user"}, Actions: []string{"view"}},
			provision.Permission{Name: "p", ObjectTypes: []string{"users.user"}, Actions: []string{"view"}},
		},
		"with a list of constraints, which counts as none of ours": {
			nautobottest.Permission{Name: "p", ObjectTypes: []string{"users.token"}, Actions: []string{"view"}, Constraints: []any{map[string]any{"user": "$user"}}},
			provision.Permission{Name: "p", Enabled: true, ObjectTypes: []string{"users.token"}, Actions: []string{"view"}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture) {
				stored := f.AddPermission(tc.stored)
				got, err := f.Permission(t.Context(), "p")
				if err != nil {
					t.Fatal(err)
				}
				tc.want.ID = stored.ID
				if diff := cmp.Diff(&tc.want, got, cmpopts.IgnoreFields(provision.Group{}, "ID"), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("Permission (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestPermissionThatDoesNotExistIsNil(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		for _, name := range []string{"nosuch", "Nautobot-Token-Managed"} {
			if got, err := f.Permission(t.Context(), name); got != nil || err != nil {
				t.Errorf("Permission(%q) = %v, %v, want nil, nil", name, got, err)
			}
		}
	})
}

func TestSavePermission(t *testing.T) {
	save := provision.Permission{
		Name: "p", Enabled: true, ObjectTypes: []string{"users.token"}, Actions: []string{"view", "add", "change", "delete"},
		Constraints: map[string]any{"user": "$user"}, Groups: []provision.Group{{Name: managed}},
	}
	want := nautobottest.Permission{
		Name: "p", ObjectTypes: []string{"users.token"}, Actions: []string{"view", "add", "change", "delete"},
		Constraints: map[string]any{"user": "$user"}, Groups: []string{managed},
	}
	tests := map[string]struct {
		before *nautobottest.Permission
		kept   func(*nautobottest.Permission)
	}{
		"created if there is none": {nil, func(*nautobottest.Permission) {}},
		"overwritten, except what is not ours": {
			&nautobottest.Permission{
				Name: "p", Description: "by hand", Disabled: true, ObjectTypes: []string{"users.user"},
				Actions: []string{"view"}, Groups: []string{"other"}, Users: []string{account},
			},
			func(p *nautobottest.Permission) { p.Description, p.Users = "by hand", []string{account} },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture) {
				save, want := save, want
				if tc.before != nil {
					save.ID = f.AddPermission(*tc.before).ID
				}
				tc.kept(&want)
				if err := f.SavePermission(t.Context(), save); err != nil {
					t.Fatal(err)
				}
				stored := f.Snapshot().Permissions
				if diff := cmp.Diff(want, stored[len(stored)-1], cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestSavePermissionFails(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		p := provision.Permission{Name: managed, Enabled: true, ObjectTypes: []string{"users.token"}, Actions: []string{"view"}}
		checkError(t, f.SavePermission(t.Context(), p), "create permission: Nautobot answered 400: name: permission with this name already exists.",
			provision.ErrRejected, provision.RejectedField("name"))
		p.ID = someID
		checkError(t, f.SavePermission(t.Context(), p), "update permission: Nautobot answered 404: No ObjectPermission matches the given query.",
			provision.ErrUncertain)
	})
}

// A provisioner that is not a superuser, as the documentation recommends, may not
// see the names of groups.
func TestGroupNamesAreKnownWithoutTheRightToViewGroups(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.AddUser(nautobottest.User{Username: "provisioner"})
		f.AddPermission(nautobottest.Permission{
			Name: "provisioner", ObjectTypes: []string{"users.user"}, Actions: []string{"view", "add", "change"}, Users: []string{"provisioner"},
			Constraints: map[string]any{"is_superuser": false, "is_staff": false, "groups__name": managed},
		})
		client := newClient(t, f.URL, f.AddToken("provisioner", nautobottest.Token{}).Key)
		user, _, err := client.FindUser(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		if len(user.Groups) != 1 || user.Groups[0].Name != managed {
			t.Errorf("groups are %v, want %s", user.Groups, managed)
		}
		_, err = client.Permission(t.Context(), managed)
		checkError(t, err, "find permission: Nautobot answered 403: You do not have permission to perform this action. "+
			"(the superuser token's account needs users.view_objectpermission for this)", provision.ErrDenied)
		if user, _, err := client.FindUser(t.Context(), nautobottest.Admin); user != nil || err != nil {
			t.Errorf("the superuser is %v, %v, want unseen", user, err)
		}
	})
}
