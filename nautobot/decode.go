package nautobot

import (
	"encoding/json"
	"errors"
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
