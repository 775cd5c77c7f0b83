package nautobot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	nb "github.com/nautobot/go-nautobot/v2"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

type group struct {
	ID      int
	Name    string
	Display string // the name again, even for those who may not see the group
}

func (g *group) check() error { return want(g.ID != 0 && g.Name+g.Display != "") }

func toGroups(read []group) []provision.Group {
	var known []provision.Group
	for _, g := range read {
		if g.Name == "" {
			g.Name = g.Display
		}
		known = append(known, provision.Group{ID: g.ID, Name: g.Name})
	}
	return known
}

// toReferences names groups by id, or by name if there is no id yet. The odd name
// of the model is an accident of how go-nautobot was generated.
func toReferences(groups []provision.Group) []nb.BulkWritableCableRequestStatus {
	if groups == nil {
		return nil
	}
	refs := []nb.BulkWritableCableRequestStatus{}
	for _, g := range groups {
		by := map[string]any{"name": g.Name}
		if g.ID != 0 {
			by = map[string]any{"id": g.ID}
		}
		refs = append(refs, nb.BulkWritableCableRequestStatus{AdditionalProperties: by})
	}
	return refs
}

// GroupExists reports whether there is a group of exactly that name.
func (c *Client) GroupExists(ctx context.Context, name string) (bool, error) {
	if name == "" {
		return false, errors.New("find group: an empty name would match every group")
	}
	found, err := do[page[group]](ctx, c, asSuperuser("find group", "auth.view_group"), func(ctx context.Context) (*http.Response, error) {
		_, resp, err := c.api.UsersGroupsList(ctx).Name([]string{name}).Execute()
		return resp, err
	})
	if errors.Is(err, provision.ErrDenied) {
		return c.groupIsKnown(ctx, name, err)
	}
	for _, g := range found.Results {
		if g.Name == name {
			return true, err
		}
	}
	return false, err
}

// groupIsKnown finds out about a group without the right to see groups: in a
// filter of users Nautobot accepts only the names of groups that exist.
func (c *Client) groupIsKnown(ctx context.Context, name string, denied error) (bool, error) {
	_, err := do[page[user]](ctx, c, asSuperuser("find group", "auth.view_group"), func(ctx context.Context) (*http.Response, error) {
		_, resp, err := c.api.UsersUsersList(ctx).Groups([]string{name}).Limit(1).Execute()
		return resp, err
	})
	if errors.Is(err, provision.ErrDenied) {
		return false, denied
	}
	if errors.Is(err, provision.RejectedField("groups")) {
		return false, nil
	}
	return err == nil, err
}

// CreateGroup creates a group.
func (c *Client) CreateGroup(ctx context.Context, name string) error {
	_, err := do[group](ctx, c, asSuperuser("create group", "auth.add_group").writing(), func(ctx context.Context) (*http.Response, error) {
		_, resp, err := c.api.UsersGroupsCreate(ctx).GroupRequest(nb.GroupRequest{Name: name}).Execute()
		return resp, err
	})
	return err
}

type permission struct {
	ID          string
	Name        string
	Enabled     *bool
	ObjectTypes []string `json:"object_types"`
	Actions     []string
	Constraints json.RawMessage // null: none
	Groups      references
}

// Fields that are written back, or decide whether to write, must not be missing.
func (p *permission) check() error {
	return cmp.Or(
		want(p.ID != "" && p.Name != "" && p.Enabled != nil && p.ObjectTypes != nil && p.Actions != nil && p.Constraints != nil),
		p.Groups.check(),
	)
}

// references are the groups of a user or a permission. A list that is missing
// must not be taken for an empty one, nor written back.
type references []group

func (r references) check() error {
	return want(r != nil && !slices.ContainsFunc(r, func(g group) bool { return g.ID == 0 }))
}

// Permission returns the permission of exactly that name, nil if there is none.
func (c *Client) Permission(ctx context.Context, name string) (*provision.Permission, error) {
	if name == "" {
		return nil, errors.New("find permission: an empty name would match every permission")
	}
	call := asSuperuser("find permission", "users.view_objectpermission")
	found, err := do[page[permission]](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
		_, resp, err := c.api.UsersPermissionsList(ctx).Name([]string{name}).Depth(1).Execute()
		return resp, err
	})
	if err != nil {
		return nil, err
	}
	for _, p := range found.Results {
		if p.Name != name {
			continue
		}
		var constraints map[string]any
		_ = json.Unmarshal(p.Constraints, &constraints) // a list cannot be ours
		return &provision.Permission{
			ID: p.ID, Name: p.Name, Enabled: *p.Enabled, ObjectTypes: p.ObjectTypes,
			Actions: p.Actions, Constraints: constraints, Groups: toGroups(p.Groups),
		}, nil
	}
	return nil, nil
}

// SavePermission creates it if the ID is empty, and otherwise overwrites it.
func (c *Client) SavePermission(ctx context.Context, p provision.Permission) error {
	call := asSuperuser("create permission", "users.add_objectpermission").writing()
	if p.ID != "" {
		call = asSuperuser("update permission", "users.change_objectpermission").writing()
	}
	_, err := do[permission](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
		if p.ID == "" {
			_, resp, err := c.api.UsersPermissionsCreate(ctx).ObjectPermissionRequest(nb.ObjectPermissionRequest{
				Name: p.Name, Enabled: &p.Enabled, ObjectTypes: p.ObjectTypes, Actions: p.Actions,
				Constraints: p.Constraints, Groups: toReferences(p.Groups),
			}).Execute()
			return resp, err
		}
		_, resp, err := c.api.UsersPermissionsPartialUpdate(ctx, p.ID).PatchedObjectPermissionRequest(nb.PatchedObjectPermissionRequest{
			Enabled: &p.Enabled, ObjectTypes: p.ObjectTypes, Actions: p.Actions,
			Constraints: p.Constraints, Groups: toReferences(p.Groups),
		}).Execute()
		return resp, err
	})
	return err
}
