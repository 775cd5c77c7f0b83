package nautobottest

import (
	"fmt"
	"strconv"
	"strings"
)

// A reference is how a body names another object: by its name or by its id.
type reference struct {
	byName bool
	value  string
	text   string // as a refusal repeats it
}

// relatedGroups and relatedUsers read lists of groups and users into names.
func (c *call) relatedGroups(f form, in fields, names *[]string) *answer {
	return c.related(f, in, "groups", "name", true, names, func(r reference) (string, bool) {
		g := find(c.state.groups, func(g *Group) bool { return r.byName && g.Name == r.value || !r.byName && g.pk() == r.value })
		if g == nil {
			return "", false
		}
		return g.Name, true
	})
}

func (c *call) relatedUsers(f form, in fields, names *[]string) *answer {
	return c.related(f, in, "users", "username", false, names, func(r reference) (string, bool) {
		u := find(c.state.users, func(u *User) bool { return r.byName && u.Username == r.value || !r.byName && u.ID == r.value })
		if u == nil {
			return "", false
		}
		return u.Username, true
	})
}

func (c *call) related(f form, in fields, field, nameField string, integer bool, names *[]string, find func(reference) (string, bool)) *answer {
	list, ok := f.list(in, field, false)
	if !ok {
		return nil
	}
	found := []string{}
	for _, item := range list {
		ref, wrong, crash := c.reference(item, nameField, integer)
		if crash != nil {
			return crash
		}
		name, known := find(ref)
		if wrong == "" && !known {
			wrong = "Related object not found using the provided attributes: " + ref.text
		}
		if wrong != "" {
			f.add(field, wrong)
			return nil
		}
		if !has(found, name) {
			found = append(found, name)
		}
	}
	*names = found
	return nil
}

// reference reads one: an id, a full URL, or an object with "id", "url" or the name. A name that stands alone, and so does
// an integer id in quotes, crashes Nautobot.
func (c *call) reference(item any, nameField string, integer bool) (ref reference, wrong string, crash *answer) {
	attributes, isObject := item.(fields)
	if isObject {
		name, named := attributes[nameField].(string)
		switch {
		case attributes["id"] != nil:
			item = attributes["id"]
		case attributes["url"] != nil:
			item = attributes["url"]
		case named:
			return reference{true, name, fmt.Sprintf("{'%s': '%s'}", nameField, name)}, "", nil
		default:
			return reference{}, "Cannot resolve keyword into field.", nil
		}
	}
	id := fmt.Sprint(item)
	_, isText := item.(string)
	switch {
	case item == nil:
		return reference{}, "", c.crash("IntegrityError", "null value violates not-null constraint")
	case isText && strings.Contains(id, "://"):
		id = strings.TrimSuffix(id, "/")
		id = id[strings.LastIndex(id, "/")+1:]
	case isText && !isObject && !isUUID(id):
		return reference{}, "", c.crash("AttributeError", "type object has no attribute 'label_lower'")
	}
	_, err := strconv.Atoi(id)
	switch {
	case integer && err == nil:
		return reference{value: id, text: "{'pk': " + id + "}"}, "", nil
	case !integer && isUUID(id):
		return reference{value: strings.ToLower(id), text: "{'pk': UUID('" + id + "')}"}, "", nil
	}
	return reference{}, "Related objects must be referenced by ID or by dictionary of attributes. Received an unrecognized value: " + id, nil
}
