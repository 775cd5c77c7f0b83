package nautobottest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// A form collects what is wrong with a body, by field, so that it is reported all at once.
type form map[string][]string

func (f form) add(field string, texts ...string) { f[field] = append(f[field], texts...) }

func invalid(f form) *answer { return reply(http.StatusBadRequest, f) }

// Texts of the REST framework about many fields.
const (
	required    = "This field is required."
	notBlank    = "This field may not be blank."
	cannotBlank = "This field cannot be blank."
)

// A text says what a character field accepts. Outer white space is always stripped.
type text struct {
	min, max int
	blank    bool // may be empty
	required bool // must be given
}

// text reads a character field into value, if it is given and good.
func (f form) text(in fields, field string, value *string, rules text) {
	given, present := in[field].(string)
	s := strings.TrimSpace(given)
	n := utf8.RuneCountInString(s)
	switch {
	case !present && rules.required:
		f.add(field, required)
	case !present:
	case n == 0 && !rules.blank:
		f.add(field, notBlank)
	case n > rules.max:
		f.add(field, fmt.Sprintf("Ensure this field has no more than %d characters.", rules.max))
	case n < rules.min:
		f.add(field, fmt.Sprintf("Ensure this field has at least %d characters.", rules.min))
	default:
		*value = s
	}
}

// boolean reads a flag into value, if it is given.
func boolean(in fields, field string, value *bool) {
	if given, isBool := in[field].(bool); isBool {
		*value = given
	}
}

// negated is boolean for a field stored the other way round.
func negated(in fields, field string, value *bool) {
	if given, isBool := in[field].(bool); isBool {
		*value = !given
	}
}

// instant reads a time that may be null.
func (f form) instant(in fields, field string, value *time.Time) {
	given, present := in[field]
	if !present || given == nil {
		if present {
			*value = time.Time{}
		}
		return
	}
	s, _ := given.(string)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		f.add(field, "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].")
		return
	}
	*value = t.UTC().Truncate(time.Microsecond)
}

// texts reads a list of texts into value, if it is given.
func texts(in fields, field string, value *[]string) {
	if list, isList := in[field].([]any); isList {
		*value = []string{}
		for _, item := range list {
			*value = append(*value, fmt.Sprint(item))
		}
	}
}

// groups reads a list of references to groups into their names: [{"id": 3}, {"name": "x"}]. It replaces the list.
func (c *call) groups(f form, in fields, names *[]string) {
	list, isList := in["groups"].([]any)
	if !isList {
		return
	}
	found := []string{}
	for _, item := range list {
		reference, _ := item.(fields)
		var known *Group
		wanted := ""
		if id, byID := reference["id"].(json.Number); byID {
			known = find(c.state.groups, func(g *Group) bool { return g.pk() == id.String() })
			wanted = "{'pk': " + id.String() + "}"
		} else {
			name, _ := reference["name"].(string)
			known = c.state.group(name)
			wanted = "{'name': '" + name + "'}"
		}
		if known == nil {
			f.add("groups", "Related object not found using the provided attributes: "+wanted)
			return
		}
		if !has(found, known.Name) {
			found = append(found, known.Name)
		}
	}
	*names = found
}

// showTime writes a time as Nautobot does: micros only if there are any; zero is null.
func showTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

// duplicate refuses a value that another object has: by a field error, or as the loser of a race by the exception of the
// database, which quotes the value.
func (c *call) duplicate(f form, field, text, column, constraint, value string) *answer {
	if c.lostRace {
		return c.crash("IntegrityError", fmt.Sprintf(
			"duplicate key value violates unique constraint \"%s\"\nDETAIL:  Key (%s)=(%s) already exists.\n", constraint, column, value))
	}
	f.add(field, c.translated(text))
	return nil
}
