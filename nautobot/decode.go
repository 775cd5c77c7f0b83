package nautobot

import (
	"encoding/json"
	"errors"
	"io"
)

// errShape stands for every decoding error: the text of a real one can quote
// what it could not decode.
var errShape = errors.New("JSON of another shape than Nautobot's")

// nothing is the answer of a request that needs none.
type nothing struct{}

// decode reads an answer into a pointer to one of our narrow structs.
func decode(body io.Reader, into any) error {
	if _, ok := into.(*nothing); ok {
		return nil
	}
	if json.NewDecoder(body).Decode(into) != nil {
		return errShape
	}
	return nil
}
