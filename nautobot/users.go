package nautobot

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	nb "github.com/nautobot/go-nautobot/v2"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

type user struct {
	ID          string
	Username    string
	FirstName   *string `json:"first_name"`
	LastName    *string `json:"last_name"`
	Email       *string
	IsActive    *bool `json:"is_active"`
	IsSuperuser *bool `json:"is_superuser"`
	IsStaff     *bool `json:"is_staff"`
	Groups      references
}

// Fields that are written back, or decide whether to write, must not be missing.
func (u *user) check() error {
	return cmp.Or(
		want(u.ID != "" && u.Username != "" && u.FirstName != nil && u.LastName != nil && u.Email != nil),
		want(u.IsActive != nil && u.IsSuperuser != nil && u.IsStaff != nil),
		u.Groups.check(),
	)
}

func toUser(u user) provision.User {
	return provision.User{
		ID: u.ID, Username: u.Username, FirstName: *u.FirstName, LastName: *u.LastName, Email: *u.Email,
		Active: *u.IsActive, Superuser: *u.IsSuperuser, Staff: *u.IsStaff, Groups: toGroups(u.Groups),
	}
}

// FindUser returns the account of exactly that name, nil if there is none, and
// the names of accounts that differ from it only in upper and lower case.
func (c *Client) FindUser(ctx context.Context, username string) (user *provision.User, similar []string, err error) {
	found, err := c.users(ctx, username, func(request nb.ApiUsersUsersListRequest) nb.ApiUsersUsersListRequest {
		return request.UsernameIe([]string{username})
	})
	for _, u := range found {
		if u.Username == username {
			user = &u
		} else {
			similar = append(similar, u.Username)
		}
	}
	return user, similar, err
}

// OwnedUsers returns all accounts with exactly that last name. Some
// databases ignore upper and lower case in a filter.
func (c *Client) OwnedUsers(ctx context.Context, lastName string) ([]provision.User, error) {
	found, err := c.users(ctx, lastName, func(request nb.ApiUsersUsersListRequest) nb.ApiUsersUsersListRequest {
		return request.LastName([]string{lastName})
	})
	return slices.DeleteFunc(found, func(u provision.User) bool { return u.LastName != lastName }), err
}

// users lists the accounts that a filter finds, with their groups.
func (c *Client) users(ctx context.Context, value string, filter func(nb.ApiUsersUsersListRequest) nb.ApiUsersUsersListRequest) ([]provision.User, error) {
	call := asSuperuser("find user", "users.view_user")
	if value == "" {
		return nil, errors.New(call.operation + ": an empty filter would match every account")
	}
	found, err := all[user](ctx, c, call, func(ctx context.Context, offset int32) (*http.Response, error) {
		request := filter(c.api.UsersUsersList(ctx).Depth(1).Limit(largestPage))
		if offset > 0 {
			request = request.Offset(offset)
		}
		_, resp, err := request.Execute()
		return resp, err
	})
	var users []provision.User
	for _, u := range found {
		users = append(users, toUser(u))
	}
	return users, err
}

// CreateUser creates an account.
func (c *Client) CreateUser(ctx context.Context, fields provision.UserFields) (provision.User, error) {
	call := asSuperuser("create user", "users.add_user").writing(fields.Password)
	made, err := do[user](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
		request := nb.UserRequest{
			Username: fields.Username, FirstName: fields.FirstName, LastName: fields.LastName, Email: fields.Email,
			IsActive: fields.Active, IsSuperuser: fields.Superuser, IsStaff: fields.Staff, Groups: toReferences(fields.Groups),
		}
		if !fields.Password.Empty() {
			request.Password.Set(new(fields.Password.Reveal()))
		}
		_, resp, err := c.api.UsersUsersCreate(ctx).UserRequest(request).Execute()
		return resp, err
	})
	if err != nil {
		return provision.User{}, err
	}
	return toUser(made), nil
}

// UpdateUser writes the fields that are set and no others.
func (c *Client) UpdateUser(ctx context.Context, id string, fields provision.UserFields) error {
	call := asSuperuser("update user", "users.change_user").writing(fields.Password)
	_, err := do[user](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
		request := nb.PatchedUserRequest{
			FirstName: fields.FirstName, LastName: fields.LastName, Email: fields.Email,
			IsActive: fields.Active, IsSuperuser: fields.Superuser, IsStaff: fields.Staff, Groups: toReferences(fields.Groups),
		}
		if !fields.Password.Empty() {
			request.Password.Set(new(fields.Password.Reveal()))
		}
		_, resp, err := c.api.UsersUsersPartialUpdate(ctx, id).PatchedUserRequest(request).Execute()
		return resp, err
	})
	return err
}

// ClearPassword leaves the account without a password. Only a PUT can do that: a
// password that is left out is cleared, any other field that is left out stays.
func (c *Client) ClearPassword(ctx context.Context, id, username, firstName string) error {
	call := asSuperuser("clear the password", "users.change_user").writing()
	_, err := do[user](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
		_, resp, err := c.api.UsersUsersUpdate(ctx, id).UserRequest(nb.UserRequest{Username: username, FirstName: &firstName}).Execute()
		return resp, err
	})
	return err
}
