package nautobot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// errShape stands for every decoding error: the text of a real one can quote
// what it could not decode.
var errShape = errors.New("JSON of another shape than Nautobot's")

// decode reads an answer into a pointer to one of our narrow structs. JSON that
// lacks what Nautobot always says is another server's, and proves nothing.
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
	if checked, ok := into.(interface{ valid() bool }); ok && !checked.valid() {
		return errShape
	}
	return nil
}

// nothing is the answer to a request that deletes.
type nothing struct{}

// object is an answer of which only the kind counts.
type object map[string]any

func (o *object) valid() bool { return *o != nil }

// list is an answer to a request about several objects.
type list[T any] []T

func (l *list[T]) valid() bool { return *l != nil && allValid(*l) }

// page is one page of a list.
type page[T any] struct {
	Count   *int
	Results list[T]
}

func (p *page[T]) valid() bool { return p.Count != nil && p.Results.valid() }

func allValid[T any](items []T) bool {
	for i := range items {
		if checked, ok := any(&items[i]).(interface{ valid() bool }); ok && !checked.valid() {
			return false
		}
	}
	return true
}

const (
	largestPage = 1000 // Nautobot's default for MAX_PAGE_SIZE
	maxObjects  = 100 * largestPage
)

// all reads every page of a list. Pages are asked for by offset: the links in
// the answers follow whatever host a request claims to be for.
func all[T any](ctx context.Context, c *Client, call call, send func(ctx context.Context, offset int32) (*http.Response, error)) ([]T, error) {
	var items []T
	for {
		found, err := do[page[T]](ctx, c, call, func(ctx context.Context) (*http.Response, error) {
			return send(ctx, int32(len(items))) //nolint:gosec // G115: less than maxObjects
		})
		if err != nil {
			return nil, err
		}
		items = append(items, found.Results...)
		switch {
		case len(items) >= *found.Count:
			return items, nil
		case len(found.Results) == 0, len(items) >= maxObjects:
			return nil, fmt.Errorf("%s: Nautobot lists %d of %d objects", call.operation, len(items), *found.Count)
		}
	}
}
