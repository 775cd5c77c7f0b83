package nautobot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

var (
	// errShape replaces every decoding error, whose text could quote what
	// could not be decoded.
	errShape = errors.New("JSON of a shape other than Nautobot's")
	// errKeysHidden: tokens arrive without their keys.
	errKeysHidden = errors.New("tokens are listed without their keys")
)

// decode reads an answer into a pointer to one of our narrow structs. JSON that
// lacks what Nautobot always sends is from another server, and proves nothing.
func decode(resp *http.Response, into any) error {
	if _, ok := into.(*nothing); ok {
		if resp.StatusCode != http.StatusNoContent {
			return errShape
		}
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || json.Unmarshal(body, into) != nil {
		return errShape
	}
	return check(into)
}

// checked is an answer that knows what Nautobot always puts into it.
type checked interface{ check() error }

func check(value any) error {
	if value, ok := value.(checked); ok {
		return value.check()
	}
	return nil
}

// want is nil if an answer has what it must have.
func want(has bool) error {
	if !has {
		return errShape
	}
	return nil
}

// nothing is the answer to a request that deletes.
type nothing struct{}

// object is an answer that only has to be a JSON object.
type object map[string]any

func (o *object) check() error { return want(*o != nil) }

// list is an answer to a request about several objects.
type list[T any] []T

func (l *list[T]) check() error {
	for i := range *l {
		if err := check(any(&(*l)[i])); err != nil {
			return err
		}
	}
	return want(*l != nil)
}

// page is one page of a list.
type page[T any] struct {
	Count   *int
	Results list[T]
}

func (p *page[T]) check() error { return cmp.Or(want(p.Count != nil), p.Results.check()) }

const (
	largestPage = 1000 // Nautobot's default for MAX_PAGE_SIZE
	maxObjects  = 100 * largestPage
)

// listing asks for one page of a list.
type listing func(ctx context.Context, limit, offset int32) (*http.Response, error)

// all reads every page of a list.
func all[T any](ctx context.Context, c *Client, call call, send listing) ([]T, error) {
	var items []T
	for found, err := range pages[T](ctx, c, call, send) {
		if err != nil {
			return nil, err
		}
		items = append(items, found...)
	}
	return items, nil
}

// maxTooLarge is how many objects of a list may be too large to be read.
const maxTooLarge = 10

// pages yields the pages of a list, and ends with the first error. It asks for
// them by offset: the links in the answers name whatever host the request
// claimed to be for.
//
// A holder can make its own account too large to be read. If a call is about many,
// a page that is too large is asked for in smaller parts; for the object itself,
// an ErrTooLarge comes between the pages, and then the list goes on.
func pages[T any](ctx context.Context, c *Client, call call, send listing) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		n, limit, passed := 0, largestPage, 0
		for {
			found, err := do[page[T]](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
				return send(ctx, int32(limit), int32(n)) //nolint:gosec // G115: less than maxObjects
			})
			if call.many && errors.Is(err, provision.ErrTooLarge) {
				if limit > 1 && ctx.Err() == nil {
					limit /= 2
					continue
				}
				n, passed = n+1, passed+1
				if passed > maxTooLarge {
					yield(nil, fmt.Errorf("%s: more than %d objects are too large to be read", call.operation, maxTooLarge))
					return
				}
				if !yield(nil, err) {
					return
				}
				continue
			}
			n += len(found.Results)
			switch {
			case err != nil:
			case n < *found.Count && (len(found.Results) == 0 || n >= maxObjects):
				err = fmt.Errorf("%s: Nautobot lists %d of %d objects", call.operation, n, *found.Count)
			}
			if !yield(found.Results, err) || err != nil || n >= *found.Count {
				return
			}
			limit = min(2*limit, largestPage)
		}
	}
}
