package nautobottest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// An object is a stored user, token, group or permission, as REST shows it.
type object interface {
	pk() string
	// values are what constraints and filters see under a name; more than one for many-to-many relations.
	values(st *state, field string) []any
	render(c *call) fields
}

// An endpoint is what differs between the four kinds of object.
type endpoint struct {
	model   string // as permissions name it
	title   string // as texts name it
	basic   bool   // takes Basic authentication
	filters []string
	all     func(*call) []object                                             // in Nautobot's order
	write   func(c *call, old object, in fields, put bool) (object, *answer) // creates if old is nil
	remove  func(st *state, pk string)
}

// endpointOf finds an endpoint by the word after /api/users/.
func endpointOf(kind string) *endpoint {
	switch kind {
	case "users":
		return &userEndpoint
	case "tokens":
		return &tokenEndpoint
	case "groups":
		return &groupEndpoint
	case "permissions":
		return &permissionEndpoint
	}
	return nil
}

// rest answers /api/users/KIND/ and /api/users/KIND/ID/ in the order of Nautobot's views: who calls, may the caller do that
// at all, query, id, body.
func (c *call) rest(e *endpoint, id string) *answer {
	if a := c.authenticate(e.basic); a != nil {
		return a
	}
	method := c.r.Method
	if method == http.MethodOptions { // needs no right
		return reply(http.StatusOK, fields{"name": e.title, "renders": []string{jsonType}, "parses": []string{jsonType}})
	}
	action, known := actions[method]
	g := c.grant(e.model, action)
	if !g.given || c.caller.token != nil && c.caller.token.ReadOnly && action != "view" {
		return c.forbidden()
	}
	if !known || id != "" && method == http.MethodPost {
		return detail(http.StatusMethodNotAllowed, "Method \""+method+"\" not allowed.")
	}
	// Many-to-many fields are shown by default in Nautobot 2.4 and left out in 3.2; related objects are written out only
	// when reading.
	c.hideM2M = c.options.Version == "3.2"
	if c.query.Has("exclude_m2m") {
		c.hideM2M = c.query.Get("exclude_m2m") == "true"
	}
	c.depth = method == http.MethodGet && c.query.Get("depth") == "1"
	if id == "" && method == http.MethodPost {
		return c.create(e, g)
	}
	reach := slices.DeleteFunc(e.all(c), func(o object) bool { return !c.covers(g, o) })
	if id == "" && action != "view" {
		return c.bulk(e, g, reach)
	}
	reach, a := c.filter(e, reach)
	if a != nil {
		return a
	}
	if id == "" {
		return c.list(reach)
	}
	i := slices.IndexFunc(reach, func(o object) bool { return o.pk() == id })
	switch {
	case i < 0:
		return detail(http.StatusNotFound, "No "+e.title+" matches the given query.")
	case action == "view":
		return reply(http.StatusOK, reach[i].render(c))
	case action == "delete":
		e.remove(&c.state, id)
		return reply(http.StatusNoContent, raw(""))
	}
	body, a := c.decode()
	if a != nil {
		return a
	}
	in, _ := body.(fields)
	o, a := c.change(e, g, reach[i], in)
	if a != nil {
		return a
	}
	return reply(http.StatusOK, o.render(c))
}

// create makes one object, or each of a list. What was made must satisfy the caller's constraints, or all is undone.
func (c *call) create(e *endpoint, g grant) *answer {
	body, a := c.decode()
	if a != nil {
		return a
	}
	list, isList := body.([]any)
	if isList { // Nautobot checks all of them before it makes the first, so duplicates within a list meet in the database
		c.lostRace = true
	} else {
		list = []any{body}
	}
	shown := []any{}
	for _, item := range list {
		in, _ := item.(fields)
		o, a := e.write(c, nil, in, false)
		if a != nil {
			return a
		}
		if !c.covers(g, o) {
			return c.forbidden()
		}
		shown = append(shown, o.render(c))
	}
	if isList {
		return reply(http.StatusCreated, shown)
	}
	return reply(http.StatusCreated, shown[0])
}

// change writes into one object. The result must still satisfy the caller's constraints.
func (c *call) change(e *endpoint, g grant, o object, in fields) (object, *answer) {
	o, a := e.write(c, o, in, c.r.Method == http.MethodPut)
	if a == nil && !c.covers(g, o) {
		return nil, c.forbidden()
	}
	return o, a
}

// bulk is PATCH or DELETE of a list of objects with ids. Ids that are unknown or out of reach are skipped.
func (c *call) bulk(e *endpoint, g grant, reach []object) *answer {
	body, a := c.decode()
	if a != nil {
		return a
	}
	list, isList := body.([]any)
	if !isList {
		return invalid(form{"non_field_errors": {`Expected a list of items but got type "dict".`}})
	}
	meant := map[string]fields{}
	for _, item := range list {
		in, _ := item.(fields)
		id, _ := in["id"].(string)
		meant[id] = in
	}
	reach = slices.DeleteFunc(reach, func(o object) bool { return meant[o.pk()] == nil })
	if c.r.Method == http.MethodDelete {
		var pks []string // first all of them: objects move when one is removed
		for _, o := range reach {
			pks = append(pks, o.pk())
		}
		for _, pk := range pks {
			e.remove(&c.state, pk)
		}
		return reply(http.StatusNoContent, raw(""))
	}
	shown := []any{}
	for _, o := range reach {
		o, a := c.change(e, g, o, meant[o.pk()])
		if a != nil {
			return a
		}
		shown = append(shown, o.render(c))
	}
	return reply(http.StatusOK, shown)
}

// decode reads the body. None at all counts as {}.
func (c *call) decode() (any, *answer) {
	if len(c.body) == 0 {
		return fields{}, nil
	}
	decoder := json.NewDecoder(strings.NewReader(string(c.body)))
	decoder.UseNumber()
	var body any
	err := decoder.Decode(&body)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return body, nil
		}
		err = errors.New("Extra data")
	}
	return nil, detail(http.StatusBadRequest, "JSON parse error - "+err.Error())
}
