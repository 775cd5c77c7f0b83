package nautobottest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A form collects what is wrong with a body, by field. All that is wrong is reported at once.
type form map[string][]string

func (f form) add(field string, texts ...string) { f[field] = append(f[field], texts...) }

func invalid(f form) *answer { return reply(http.StatusBadRequest, f) }

// Texts that the REST framework says of many fields.
const (
	required    = "This field is required."
	notNull     = "This field may not be null."
	notBlank    = "This field may not be blank."
	cannotBlank = "This field cannot be blank."
	cannotNull  = "This field cannot be null."
	notString   = "Not a valid string."
	nulByte     = "Null characters are not allowed."
)

// A text says what a character field accepts. Outer white space is always stripped.
type text struct {
	min, max int
	blank    bool // may be empty
	required bool // must be given
	check    func(string) string
}

// text reads a character field into value, if it is given and good.
func (f form) text(in fields, field string, value *string, rules text) {
	given, present := in[field]
	var s string
	switch v := given.(type) {
	case nil:
		switch {
		case present:
			f.add(field, notNull)
		case rules.required:
			f.add(field, required)
		}
		return
	case string:
		s = strings.TrimSpace(v)
	case json.Number:
		s = v.String()
	default:
		f.add(field, notString)
		return
	}
	if s == "" {
		if !rules.blank {
			f.add(field, notBlank)
		} else {
			*value = s
		}
		return
	}
	var wrong []string
	if rules.check != nil {
		if w := rules.check(s); w != "" {
			wrong = append(wrong, w)
		}
	}
	if n := utf8.RuneCountInString(s); n > rules.max {
		wrong = append(wrong, fmt.Sprintf("Ensure this field has no more than %d characters.", rules.max))
	} else if n < rules.min {
		wrong = append(wrong, fmt.Sprintf("Ensure this field has at least %d characters.", rules.min))
	}
	if strings.ContainsRune(s, 0) {
		wrong = append(wrong, nulByte)
	}
	if wrong != nil {
		f.add(field, wrong...)
		return
	}
	*value = s
}

// boolean reads a flag into value, if it is given and good.
func (f form) boolean(in fields, field string, value *bool) {
	given, present := in[field]
	switch word := strings.ToLower(fmt.Sprint(given)); {
	case !present:
	case given == nil:
		f.add(field, notNull)
	case slices.Contains([]string{"t", "y", "yes", "true", "on", "1"}, word):
		*value = true
	case slices.Contains([]string{"f", "n", "no", "false", "off", "0"}, word):
		*value = false
	default:
		f.add(field, "Must be a valid boolean.")
	}
}

// flag is boolean for a field stored the other way round.
func (f form) flag(in fields, field string, value *bool) {
	positive := !*value
	f.boolean(in, field, &positive)
	*value = !positive
}

// list reads a list, if it is given and good.
func (f form) list(in fields, field string, must bool) ([]any, bool) {
	given, present := in[field]
	list, isList := given.([]any)
	switch {
	case !present && must:
		f.add(field, required)
	case !present:
	case given == nil:
		f.add(field, notNull)
	case !isList:
		f.add(field, fmt.Sprintf("Expected a list of items but got type %q.", pythonType(given)))
	}
	return list, isList
}

// id reads the id that a client may choose when it makes an object. Otherwise, and always when changing one, it is ignored.
func (f form) id(in fields, creating bool, value *string) {
	given, present := in["id"]
	if !creating {
		return
	}
	*value = newID()
	s, _ := given.(string)
	switch {
	case !present:
	case given == nil:
		f.add("id", notNull)
	case isUUID(s):
		*value = strings.ToLower(s)
	default:
		f.add("id", "Must be a valid UUID.")
	}
}

// instant reads a time that may be null.
func (f form) instant(in fields, field string, value *time.Time) {
	given, present := in[field]
	if !present {
		return
	}
	if given == nil {
		*value = time.Time{}
		return
	}
	s, _ := given.(string)
	t, ok := parseTime(s)
	if !ok {
		f.add(field, "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].")
		return
	}
	*value = t
}

// parseTime takes what Nautobot takes: without an offset UTC is meant, without a time midnight.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05",
		"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Microsecond), true
		}
	}
	return time.Time{}, false
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
	f.add(field, text)
	return nil
}

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func isUUID(s string) bool { return uuidForm.MatchString(s) }

// pythonType is how Nautobot's texts name the type of a value.
func pythonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case string:
		return "str"
	case bool:
		return "bool"
	case []any:
		return "list"
	case fields:
		return "dict"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "float"
		}
	}
	return "int"
}
