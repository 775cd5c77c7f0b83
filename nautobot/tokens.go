package nautobot

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	nb "github.com/nautobot/go-nautobot/v2"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

type token struct {
	ID           string
	Key          string
	Display      string // the last characters of the key, and the owner: never shown
	Description  string
	Created      time.Time
	Expires      *time.Time
	WriteEnabled *bool `json:"write_enabled"`
}

func (t *token) valid() bool { return t.ID != "" && t.Key != "" && t.WriteEnabled != nil }

func toToken(t token) provision.Token {
	known := provision.Token{
		ID: t.ID, Key: provision.Hide(t.Key), Username: owner(t.Display),
		Description: t.Description, Created: t.Created, Writable: *t.WriteEnabled,
	}
	if t.Expires != nil {
		known.Expires = *t.Expires
	}
	return known
}

// owner reads the username out of "3c9cb9 (username)": no other field of a
// token names it.
func owner(display string) string {
	_, name, _ := strings.Cut(display, " (")
	name, ok := strings.CutSuffix(name, ")")
	if !ok {
		return ""
	}
	return name
}

// Authenticate tells whether the login opens the account, whatever its rights are.
func (c *Client) Authenticate(ctx context.Context, login provision.Login) error {
	call := as(login, "check token")
	send := func(ctx context.Context) (*http.Response, error) {
		_, resp, err := c.api.UsersConfigRetrieve(ctx).Execute()
		return resp, err
	}
	if !login.Password.Empty() {
		call.operation = "check password"
		// The only endpoint that takes a password; OPTIONS needs no right there.
		send = func(ctx context.Context) (*http.Response, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodOptions, c.base+"/api/users/tokens/", http.NoBody)
			if err != nil {
				return nil, err
			}
			req.SetBasicAuth(login.Username, login.Password.Reveal())
			req.Header.Set("Accept", "application/json")
			req.Header.Set("User-Agent", c.agent)
			resp, err := c.http.Do(req)
			if err != nil {
				return nil, err
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			resp.Body = io.NopCloser(strings.NewReader(string(body)))
			return resp, err
		}
	}
	_, err := do[object](ctx, c, call, send)
	return err
}

// Tokens lists the account's tokens, those that it may see.
func (c *Client) Tokens(ctx context.Context, login provision.Login) ([]provision.Token, error) {
	found, err := all[token](ctx, c, as(login, "list tokens"), func(ctx context.Context, offset int32) (*http.Response, error) {
		// Never by key: a filter stands in the URL, and URLs are logged.
		request := c.api.UsersTokensList(ctx).Limit(largestPage)
		if offset > 0 {
			request = request.Offset(offset)
		}
		_, resp, err := request.Execute()
		return resp, err
	})
	var tokens []provision.Token
	for _, t := range found {
		tokens = append(tokens, toToken(t))
	}
	return tokens, err
}

// CreateToken makes a token of the account, with the key that fields give.
func (c *Client) CreateToken(ctx context.Context, login provision.Login, fields provision.TokenFields) (provision.Token, error) {
	call := as(login, "create token").writing(fields.Key)
	made, err := do[token](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
		request := nb.TokenRequest{
			Key: new(fields.Key.Reveal()), Description: fields.Description, WriteEnabled: fields.Writable,
		}
		_, resp, err := c.api.UsersTokensCreate(ctx).TokenRequest(request).Execute()
		return resp, err
	})
	if err != nil {
		return provision.Token{}, err
	}
	return toToken(made), nil
}

// UpdateToken writes the fields that are set and no other. The key is not
// among them: Nautobot would replace it in place.
func (c *Client) UpdateToken(ctx context.Context, login provision.Login, id string, fields provision.TokenFields) error {
	_, err := do[token](ctx, c, as(login, "update token").writing(), func(ctx context.Context) (*http.Response, error) {
		request := nb.PatchedTokenRequest{Description: fields.Description, WriteEnabled: fields.Writable}
		if fields.NeverExpire {
			request.SetExpiresNil()
		}
		_, resp, err := c.api.UsersTokensPartialUpdate(ctx, id).PatchedTokenRequest(request).Execute()
		return resp, err
	})
	return err
}

// ExpireTokens lets all of them end at that time. Ids of tokens that are gone
// are skipped by Nautobot.
func (c *Client) ExpireTokens(ctx context.Context, login provision.Login, ids []string, at time.Time) error {
	_, err := do[list[token]](ctx, c, as(login, "expire superseded tokens").writing(), func(ctx context.Context) (*http.Response, error) {
		var request []nb.PatchedBulkWritableTokenRequest
		for _, id := range ids {
			one := nb.PatchedBulkWritableTokenRequest{Id: id}
			one.SetExpires(at.UTC())
			request = append(request, one)
		}
		_, resp, err := c.api.UsersTokensBulkPartialUpdate(ctx).PatchedBulkWritableTokenRequest(request).Execute()
		return resp, err
	})
	return err
}

// DeleteTokens deletes all of them. Ids of tokens that are gone are skipped by
// Nautobot.
func (c *Client) DeleteTokens(ctx context.Context, login provision.Login, ids []string) error {
	_, err := do[nothing](ctx, c, as(login, "delete superseded tokens").writing(), func(ctx context.Context) (*http.Response, error) {
		var request []nb.BulkOperationRequest
		for _, id := range ids {
			request = append(request, nb.BulkOperationRequest{Id: id})
		}
		return c.api.UsersTokensBulkDestroy(ctx).BulkOperationRequest(request).Execute()
	})
	return err
}
