package nautobot

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

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
	found, err := c.users(ctx, username, false, func(request nb.ApiUsersUsersListRequest) nb.ApiUsersUsersListRequest {
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

// maxNames is how many bytes of last names a request may ask for: a web server
// accepts a few thousand in all.
const maxNames = 2000

// OwnedUsers returns all accounts with exactly one of those last names. If some
// cannot be read, the others come with an ErrTooLarge. Some databases ignore
// upper and lower case in a filter.
func (c *Client) OwnedUsers(ctx context.Context, lastNames ...string) ([]provision.User, error) {
	var owned []provision.User
	var failed error
	for len(lastNames) > 0 {
		n, size := 0, 0
		for n < len(lastNames) && (n == 0 || size < maxNames) {
			size += len("&last_name=") + len(url.QueryEscape(lastNames[n]))
			n++
		}
		names := lastNames[:n]
		lastNames = lastNames[n:]
		least := slices.Min(names) // empty if one of them is
		found, err := c.users(ctx, least, len(names) > 1, func(request nb.ApiUsersUsersListRequest) nb.ApiUsersUsersListRequest {
			return request.LastName(names)
		})
		if err != nil {
			failed = err
		}
		if err != nil && !errors.Is(err, provision.ErrTooLarge) {
			return nil, err
		}
		for _, u := range found {
			if slices.Contains(names, u.LastName) {
				owned = append(owned, u)
			}
		}
	}
	return owned, failed
}

// UsersUnder yields the accounts whose last names begin with that text, page by
// page. It ends with the first error, unless that is ErrTooLarge: one account
// could not be read.
func (c *Client) UsersUnder(ctx context.Context, prefix string) iter.Seq2[provision.User, error] {
	return func(yield func(provision.User, error) bool) {
		for found, err := range c.userPages(ctx, prefix, true, func(request nb.ApiUsersUsersListRequest) nb.ApiUsersUsersListRequest {
			return request.LastNameIsw([]string{prefix})
		}) {
			if err != nil && (!yield(provision.User{}, err) || !errors.Is(err, provision.ErrTooLarge)) {
				return
			}
			for _, u := range found {
				if strings.HasPrefix(*u.LastName, prefix) && !yield(toUser(u), nil) { // the filter ignores upper and lower case
					return
				}
			}
		}
	}
}

// users lists the accounts that a filter finds, with their groups. If one of many
// is too large, the others come with an ErrTooLarge.
func (c *Client) users(ctx context.Context, value string, many bool, filter userFilter) ([]provision.User, error) {
	var users []provision.User
	var tooLarge error
	for found, err := range c.userPages(ctx, value, many, filter) {
		switch {
		case many && errors.Is(err, provision.ErrTooLarge):
			tooLarge = err
		case err != nil:
			return nil, err
		}
		for _, u := range found {
			users = append(users, toUser(u))
		}
	}
	return users, tooLarge
}

type userFilter func(nb.ApiUsersUsersListRequest) nb.ApiUsersUsersListRequest

// userPages yields the pages of the accounts that a filter with that value finds.
// many: these may be several holders'.
func (c *Client) userPages(ctx context.Context, value string, many bool, filter userFilter) iter.Seq2[[]user, error] {
	call := asSuperuser("find user", "users.view_user")
	call.many = many
	if value == "" {
		return func(yield func([]user, error) bool) {
			yield(nil, errors.New(call.operation+": an empty filter would match every account"))
		}
	}
	return pages[user](ctx, c, call, func(ctx context.Context, limit, offset int32) (*http.Response, error) {
		request := filter(c.api.UsersUsersList(ctx).Depth(1).Limit(limit))
		if offset > 0 {
			request = request.Offset(offset)
		}
		_, resp, err := request.Execute()
		return resp, err
	})
}

// CreateUser creates an account.
func (c *Client) CreateUser(ctx context.Context, fields provision.UserFields) (provision.User, error) {
	call := asSuperuser("create user", "users.add_user").writing(fields.Password)
	return c.writeUser(ctx, call, func(ctx context.Context) (*http.Response, error) {
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
}

// UpdateUser writes the fields that are set and no others. It returns the account
// as it is then.
func (c *Client) UpdateUser(ctx context.Context, id string, fields provision.UserFields) (provision.User, error) {
	call := asSuperuser("update user", "users.change_user").writing(fields.Password)
	return c.writeUser(ctx, call, func(ctx context.Context) (*http.Response, error) {
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
}

// ClearPassword leaves the account without a password. Only a PUT can do that: a
// password that is left out is cleared, any other field that is left out stays.
func (c *Client) ClearPassword(ctx context.Context, id, username, firstName string) (provision.User, error) {
	call := asSuperuser("clear the password", "users.change_user").writing()
	return c.writeUser(ctx, call, func(ctx context.Context) (*http.Response, error) {
		_, resp, err := c.api.UsersUsersUpdate(ctx, id).UserRequest(nb.UserRequest{Username: username, FirstName: &firstName}).Execute()
		return resp, err
	})
}

// writeUser sends a write that Nautobot answers with the account as it is then.
func (c *Client) writeUser(ctx context.Context, call call, send func(context.Context) (*http.Response, error)) (provision.User, error) {
	written, err := do[user](ctx, c, call, send)
	if err != nil {
		return provision.User{}, err
	}
	return toUser(written), nil
}

// DeleteUser deletes an account, and with it its tokens.
func (c *Client) DeleteUser(ctx context.Context, id string) error {
	call := asSuperuser("delete user", "users.delete_user").writing()
	_, err := do[nothing](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
		return c.api.UsersUsersDestroy(ctx, id).Execute()
	})
	return err
}
