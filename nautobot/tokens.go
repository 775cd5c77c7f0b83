package nautobot

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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

func (t *token) check() error {
	if t.ID != "" && t.WriteEnabled != nil && hidden(t.Key) {
		return errKeysHidden
	}
	return want(t.ID != "" && t.WriteEnabled != nil)
}

const (
	keyLength    = 40 // of the tokens that Nautobot accepts over REST
	shortenedKey = 8  // characters: no token that anybody sets up is this short
	shownOfKey   = 6  // characters that begin a token's display
)

// masked reports whether a key is missing, shortened, or replaced by dots or the
// like except for its end. A holder can choose a key that looks like that.
func masked(key string) bool { return len(strings.Trim(key, ".*•…")) <= shortenedKey }

// hidden reports whether a key is masked and cannot have been chosen like that.
func hidden(key string) bool { return masked(key) && utf8.RuneCountInString(key) < keyLength }

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
	characters := []rune(display)
	name, begins := strings.CutPrefix(string(characters[min(len(characters), shownOfKey):]), " (")
	name, ends := strings.CutSuffix(name, ")")
	if !begins || !ends {
		return ""
	}
	return name
}

// Authenticate reports whether the login opens the account, whatever rights the
// account has.
func (c *Client) Authenticate(ctx context.Context, login provision.Login) error {
	if !login.Password.Empty() {
		return c.authenticateByPassword(ctx, login)
	}
	_, err := do[object](ctx, c, as(login, "check token"), func(ctx context.Context) (*http.Response, error) {
		_, resp, err := c.api.UsersConfigRetrieve(ctx).Execute()
		return resp, err
	})
	return err
}

// errNoBasic: passwords can be neither checked nor used to create tokens.
var errNoBasic = errors.New("Basic authentication does not reach Nautobot: something in between drops it")

// authenticateByPassword asks for tokens, the only thing that Nautobot returns
// for a password. It refuses a wrong password, missing credentials and a missing
// right with the same status, in words that may be translated. What they mean is
// found by comparing them with the words for a login that is certainly wrong, and
// for no login at all.
func (c *Client) authenticateByPassword(ctx context.Context, login provision.Login) error {
	const operation = "check password"
	own := c.askByPassword(ctx, as(login, operation))
	if !errors.Is(own, provision.ErrDenied) {
		return own
	}
	wrong := c.askByPassword(ctx, as(provision.Login{Username: "nobody-" + rand.Text(), Password: provision.Hide(rand.Text())}, operation))
	if !errors.Is(wrong, provision.ErrDenied) {
		return cmp.Or(wrong, fmt.Errorf("%s: a login that is certainly wrong is accepted", operation))
	}
	anonymous := c.askByPassword(ctx, call{operation: operation, anonymous: true})
	switch {
	case anonymous == nil:
		return fmt.Errorf("%s: tokens are listed without credentials", operation)
	case !errors.Is(anonymous, provision.ErrDenied):
		return anonymous
	case wordsOf(wrong) == wordsOf(anonymous):
		return fmt.Errorf("%s: %w", operation, errNoBasic)
	case wordsOf(own) == wordsOf(wrong):
		return own
	}
	return nil // the right password, without the right to see tokens
}

func (c *Client) askByPassword(ctx context.Context, call call) error {
	_, err := do[object](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
		_, resp, err := c.api.UsersTokensList(ctx).Limit(1).Execute()
		return resp, err
	})
	return err
}

// wordsOf returns Nautobot's own words from an error.
func wordsOf(err error) string {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed.detail
	}
	return ""
}

// Tokens lists those of the account's tokens that it may see.
func (c *Client) Tokens(ctx context.Context, login provision.Login) ([]provision.Token, error) {
	found, err := all[token](ctx, c, as(login, "list tokens"), func(ctx context.Context, limit, offset int32) (*http.Response, error) {
		// Never by key: a filter is part of the URL, and URLs get logged.
		request := c.api.UsersTokensList(ctx).Limit(limit)
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
	if len(found) > 0 && !slices.ContainsFunc(found, func(t token) bool { return !masked(t.Key) }) {
		return nil, keysHidden(call{operation: "list tokens"}, http.StatusOK)
	}
	return tokens, err
}

// CreateToken creates a token of the account, with the key from fields.
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
	if masked(made.Key) && made.Key != fields.Key.Reveal() {
		return provision.Token{}, keysHidden(call, http.StatusCreated)
	}
	return toToken(made), nil
}

// UpdateToken writes the fields that are set and no others. The key is never
// written: Nautobot would replace it in place.
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

// ExpireTokens makes all of them expire at that time. Nautobot skips the ids of
// tokens that are gone.
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

// DeleteTokens deletes all of them. Nautobot skips the ids of tokens that are
// gone.
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
