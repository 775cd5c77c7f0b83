package nautobottest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An object is a stored user, token, group or permission, as REST shows it.
type object interface {
	pk() string
	// lookup returns the values that constraints, filters and sorting see under a name; more than one for
	// many-to-many relations. It says false if there is no such field.
	lookup(st *state, field string) ([]any, bool)
	render(c *call) fields
}

// An endpoint is what differs between the four kinds of object.
type endpoint struct {
	model   string // as permissions name it
	title   string // as texts name it
	name    string // the field by which detail pages are found, besides the id; may be empty
	sample  object // of this kind, to ask which fields there are
	basic   bool   // takes Basic authentication
	integer bool   // ids are integers, not UUIDs
	filters map[string]filter
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

// rest answers /api/users/KIND/ and /api/users/KIND/ID/ in the order of Nautobot's views: Accept header, who calls, may
// the caller do that at all, query, id, body.
func (c *call) rest(e *endpoint, id string) *answer {
	version, a := c.negotiate()
	if a != nil {
		return a
	}
	a = c.restricted(e, id)
	if a.status != http.StatusInternalServerError {
		a.version = version
	}
	return a
}

func (c *call) restricted(e *endpoint, id string) *answer {
	if a := c.authenticate(e.basic); a != nil {
		return a
	}
	method := c.r.Method
	if method == http.MethodOptions {
		return reply(http.StatusOK, fields{"name": e.title, "renders": []string{jsonType}, "parses": []string{jsonType}})
	}
	action, known := actions[method]
	if !known {
		return c.notAllowed()
	}
	g := c.grant(e.model, action)
	if !g.given || c.caller.token != nil && c.caller.token.ReadOnly && action != "view" {
		return forbidden()
	}
	if id != "" && method == http.MethodPost {
		return c.notAllowed()
	}
	if a := c.check(g, e); a != nil {
		return a
	}
	if a := c.presentation(); a != nil {
		return a
	}
	if id == "" && method == http.MethodPost {
		return c.create(e, g)
	}
	reach := slices.DeleteFunc(e.all(c), func(o object) bool { return !c.covers(g, o) })
	switch {
	case id == "" && method == http.MethodDelete:
		return c.bulkDelete(e, reach)
	case id == "" && action == "change":
		return c.bulkUpdate(e, g, reach)
	}
	reach, a := c.filter(e, reach)
	if a != nil {
		return a
	}
	if id == "" {
		return c.list(reach)
	}
	o, a := c.pick(e, reach, id)
	switch {
	case a != nil:
		return a
	case action == "view":
		return reply(http.StatusOK, o.render(c))
	case action == "delete":
		e.remove(&c.state, o.pk())
		return reply(http.StatusNoContent, raw(""))
	}
	in, a := c.object()
	if a != nil {
		return a
	}
	if o, a = c.change(e, g, o, in); a != nil {
		return a
	}
	return reply(http.StatusOK, o.render(c))
}

// presentation reads the parameters that shape answers. Many-to-many fields are shown by default in Nautobot 2.4 and left
// out in 3.2; related objects are written out only when reading.
func (c *call) presentation() *answer {
	c.hideM2M = c.options.Version == "3.2"
	if values, given := c.query["exclude_m2m"]; given {
		switch value := values[len(values)-1]; strings.ToLower(value) {
		case "y", "yes", "t", "true", "on", "1":
			c.hideM2M = true
		case "n", "no", "f", "false", "off", "0":
			c.hideM2M = false
		default:
			return c.crash("ValueError", fmt.Sprintf("Invalid truthy value: `%s`", value))
		}
	}
	if c.r.Method == http.MethodGet {
		c.depth, _ = strconv.Atoi(c.query.Get("depth"))
	}
	if c.depth < 0 || c.depth > 10 {
		if c.options.Version == "2.4" {
			return c.crash("AssertionError", "'depth' may not be negative or greater than 10.")
		}
		return detail(http.StatusBadRequest, "The depth parameter must be an integer between 0 and 10")
	}
	return nil
}

// pick finds an object by the id of a detail page. Users and permissions are also found by their name, quoted once more
// than usual; for groups and tokens a name is a crash.
func (c *call) pick(e *endpoint, reach []object, id string) (object, *answer) {
	_, err := strconv.Atoi(id)
	isID := isUUID(id) || e.integer && err == nil
	switch {
	case !isID && e.integer:
		return nil, c.crash("ValueError", "Field 'id' expected a number but got '"+id+"'.")
	case !isID && e.name == "":
		return nil, c.crash("ValidationError", "['“"+id+"” is not a valid UUID.']")
	}
	for _, o := range reach {
		if isID && o.pk() == strings.ToLower(id) {
			return o, nil
		}
		if name, _ := o.lookup(&c.state, e.name); !isID && same(name[0], unquote(id)) {
			return o, nil
		}
	}
	return nil, detail(http.StatusNotFound, "No "+e.title+" matches the given query.")
}

// unquote undoes the quoting of a natural key; a plus is a blank there.
func unquote(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// create makes one object, or each of a list. What was made must satisfy the caller's constraints, or all is undone.
func (c *call) create(e *endpoint, g grant) *answer {
	body, a := c.decode()
	if a != nil {
		return a
	}
	list, isList := body.([]any)
	if !isList {
		list = []any{body}
	}
	if isList { // Nautobot checks all of them before it makes the first, so duplicates within a list meet in the database
		if a := c.checkAll(e, list); a != nil {
			return a
		}
		c.lostRace = true
	}
	var made []object
	for _, item := range list {
		o, a := c.make(e, item)
		if a != nil {
			return a
		}
		made = append(made, o)
	}
	shown := []any{}
	for _, o := range made {
		if !c.covers(g, o) {
			return forbidden()
		}
		shown = append(shown, o.render(c))
	}
	if isList {
		return reply(http.StatusCreated, shown)
	}
	return reply(http.StatusCreated, shown[0])
}

// checkAll refuses a list if one of its items would be refused, with one entry for each.
func (c *call) checkAll(e *endpoint, list []any) *answer {
	refused, bad := []any{}, false
	for _, item := range list {
		before := c.state.copy()
		_, a := c.make(e, item)
		c.state = before
		switch {
		case a == nil:
			refused = append(refused, fields{})
		case a.status != http.StatusBadRequest:
			return a
		default:
			refused, bad = append(refused, a.body), true
		}
	}
	if bad {
		return reply(http.StatusBadRequest, refused)
	}
	return nil
}

func (c *call) make(e *endpoint, item any) (object, *answer) {
	in, ok := item.(fields)
	if !ok {
		return nil, notObject(item)
	}
	return e.write(c, nil, in, false)
}

// change writes into one object. The result must still satisfy the caller's constraints.
func (c *call) change(e *endpoint, g grant, o object, in fields) (object, *answer) {
	o, a := e.write(c, o, in, c.r.Method == http.MethodPut)
	if a == nil && !c.covers(g, o) {
		return nil, forbidden()
	}
	return o, a
}

// bulkUpdate is PATCH or PUT of a list of objects with ids. Ids that are unknown or out of reach are passed over.
func (c *call) bulkUpdate(e *endpoint, g grant, reach []object) *answer {
	changes, a := c.bulk(e)
	if a != nil {
		return a
	}
	shown := []any{}
	for _, o := range reach {
		in, meant := changes[o.pk()]
		switch {
		case !meant:
			continue
		case e.integer: // Nautobot looks integer ids up as text, and finds nothing
			return invalid(form{"non_field_errors": {"No data provided"}})
		}
		o, a := c.change(e, g, o, in)
		if a != nil {
			return a
		}
		shown = append(shown, o.render(c))
	}
	return reply(http.StatusOK, shown)
}

// bulkDelete is DELETE of a list of objects with ids.
func (c *call) bulkDelete(e *endpoint, reach []object) *answer {
	doomed, a := c.bulk(e)
	if a != nil {
		return a
	}
	var pks []string // first all of them: objects move when one is removed
	for _, o := range reach {
		if _, meant := doomed[o.pk()]; meant {
			pks = append(pks, o.pk())
		}
	}
	for _, pk := range pks {
		e.remove(&c.state, pk)
	}
	return reply(http.StatusNoContent, raw(""))
}

// bulk reads a list of objects with ids.
func (c *call) bulk(e *endpoint) (map[string]fields, *answer) {
	body, a := c.decode()
	if a != nil {
		return nil, a
	}
	list, isList := body.([]any)
	if !isList {
		return nil, invalid(form{"non_field_errors": {fmt.Sprintf("Expected a list of items but got type %q.", pythonType(body))}})
	}
	changes, refused, bad := map[string]fields{}, []any{}, false
	for _, item := range list {
		in, ok := item.(fields)
		if !ok {
			return nil, reply(http.StatusBadRequest, []any{notObject(item).body})
		}
		f := form{}
		switch id := in["id"].(type) {
		case nil:
			f.add("id", "This field is required.")
		case json.Number:
			changes[id.String()] = in
		case string:
			if e.integer {
				f.add("id", "A valid integer is required.")
			} else if !isUUID(id) {
				f.add("id", "Must be a valid UUID.")
			}
			changes[strings.ToLower(id)] = in
		}
		refused, bad = append(refused, f), bad || len(f) > 0
		delete(in, "id")
	}
	if bad {
		return nil, reply(http.StatusBadRequest, refused)
	}
	return changes, nil
}

// object reads a body that must be one object.
func (c *call) object() (fields, *answer) {
	body, a := c.decode()
	if a != nil {
		return nil, a
	}
	switch in := body.(type) {
	case fields:
		return in, nil
	case []any:
		return nil, c.crash("NotImplementedError", "Serializers with many=True do not support multiple update by default")
	}
	return nil, notObject(body)
}

func notObject(body any) *answer {
	if body == nil {
		return invalid(form{"non_field_errors": {"No data provided"}})
	}
	return invalid(form{"non_field_errors": {"Invalid data. Expected a dictionary, but got " + pythonType(body) + "."}})
}

// decode reads the body. None at all counts as {}.
func (c *call) decode() (any, *answer) {
	if len(c.body) == 0 {
		return fields{}, nil
	}
	header := c.r.Header.Get("Content-Type")
	if kind, _, _ := mime.ParseMediaType(header); kind != jsonType {
		return nil, detail(http.StatusUnsupportedMediaType, fmt.Sprintf("Unsupported media type \"%s\" in request.", header))
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
