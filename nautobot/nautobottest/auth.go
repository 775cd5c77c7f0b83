package nautobottest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// A caller is who makes a request. token is nil over Basic.
type caller struct {
	user  User
	token *Token
}

// authenticate tells who calls, or answers 403: Nautobot never answers 401. Basic counts only where the view says so.
func (c *call) authenticate(basic bool) *answer {
	refuse := func(text string) *answer { return detail(http.StatusForbidden, text) }
	words := strings.Fields(strings.Join(c.r.Header.Values("Authorization"), ", "))
	if len(words) == 0 {
		return refuse("Authentication credentials were not provided.")
	}
	switch scheme := strings.ToLower(words[0]); {
	case scheme == "token" && len(words) == 1, scheme == "basic" && basic && len(words) == 1:
		return refuse("Invalid " + scheme + " header. No credentials provided.")
	case scheme == "token" && len(words) > 2:
		return refuse("Invalid token header. Token string should not contain spaces.")
	case scheme == "basic" && basic && len(words) > 2:
		return refuse("Invalid basic header. Credentials string should not contain spaces.")
	case scheme == "token" && !utf8.ValidString(words[1]):
		return refuse("Invalid token header. Token string should not contain invalid characters.")
	case scheme == "token":
		return c.byToken(words[1])
	case scheme == "basic" && basic:
		return c.byPassword(words[1])
	}
	return refuse("Authentication credentials were not provided.")
}

func (c *call) byToken(key string) *answer {
	token := c.state.token(key)
	switch {
	case token == nil:
		return detail(http.StatusForbidden, "Invalid token")
	case !token.Expires.IsZero() && !token.Expires.After(c.options.Now()):
		return detail(http.StatusForbidden, "Token expired")
	}
	user := c.state.user(token.Username)
	if user.Inactive {
		return detail(http.StatusForbidden, "User inactive")
	}
	c.caller = caller{*user, token}
	return nil
}

// byPassword compares byte for byte: unlike a password that is set, one that is checked is not stripped.
func (c *call) byPassword(credentials string) *answer {
	decoded, err := base64.StdEncoding.DecodeString(credentials)
	name, password, found := strings.Cut(string(decoded), ":")
	if err != nil || !found {
		return detail(http.StatusForbidden, "Invalid basic header. Credentials not correctly base64 encoded.")
	}
	user := c.state.user(name)
	if user == nil || user.Inactive || user.Password == "" || user.Password != password {
		return detail(http.StatusForbidden, "Invalid username/password.")
	}
	c.caller = caller{*user, nil}
	return nil
}

// actions are the rights that methods need. OPTIONS needs none.
var actions = map[string]string{
	http.MethodGet: "view", http.MethodHead: "view", http.MethodPost: "add",
	http.MethodPut: "change", http.MethodPatch: "change", http.MethodDelete: "delete",
}

// A grant is what the caller may do with one kind of object: with all of them, or with those that satisfy one of the
// constraints.
type grant struct {
	given, all  bool
	constraints []any
}

// grant collects the caller's permissions for an action, given directly or to a group. A superuser needs none.
func (c *call) grant(model, action string) grant {
	user := c.caller.user
	if user.Superuser {
		return grant{given: true, all: true}
	}
	var g grant
	for _, p := range c.state.permissions {
		if p.Disabled || !has(p.ObjectTypes, model) || !has(p.Actions, action) || !has(p.Users, user.Username) && !overlap(p.Groups, user.Groups) {
			continue
		}
		g.given = true
		g.all = g.all || empty(p.Constraints)
		alternatives, isList := p.Constraints.([]any)
		if !isList {
			alternatives = []any{p.Constraints}
		}
		g.constraints = append(g.constraints, alternatives...)
	}
	return g
}

// check crashes like every use of a constraint that makes no sense: one that is no object, has unknown fields, or compares
// something else than a user with "$user". Nothing is checked when a permission is made.
func (c *call) check(g grant, e *endpoint) *answer {
	if g.all {
		return nil
	}
	for _, constraint := range g.constraints {
		conditions, isObject := constraint.(fields)
		if !isObject {
			return c.crash("AttributeError", fmt.Sprintf("'%s' object has no attribute 'items'", pythonType(constraint)))
		}
		for path, want := range conditions {
			field := strings.TrimSuffix(path, "__in")
			if _, known := e.sample.lookup(&c.state, field); !known {
				return c.crash("FieldError", "Cannot resolve keyword '"+field+"' into field.")
			}
			id, isText := want.(string)
			wantsID := field == "user" || field == "id" || field == "user__id"
			if wantsID && isText && !isUUID(id) && (id != "$user" || field != "user") {
				return c.crash("ValidationError", "['“"+id+"” is not a valid UUID.']")
			}
		}
	}
	return nil
}

// covers says whether a grant reaches an object.
func (c *call) covers(g grant, o object) bool {
	return g.all || slices.ContainsFunc(g.constraints, func(constraint any) bool { return c.satisfies(o, constraint.(fields)) })
}

func (c *call) satisfies(o object, conditions fields) bool {
	for path, want := range conditions {
		field, isIn := strings.CutSuffix(path, "__in")
		wanted, isList := want.([]any)
		if !isIn || !isList {
			wanted = []any{want}
		}
		have, _ := o.lookup(&c.state, field)
		if !slices.ContainsFunc(wanted, func(w any) bool {
			if w == "$user" {
				w = c.caller.user.ID
			}
			return slices.ContainsFunc(have, func(h any) bool { return same(h, w) })
		}) {
			return false
		}
	}
	return true
}

// same compares a stored value with one from a constraint.
func same(have, want any) bool {
	if number, isNumber := want.(json.Number); isNumber {
		want = number.String()
	}
	if _, isBool := have.(bool); !isBool {
		have = fmt.Sprint(have)
		if _, isText := want.(string); !isText {
			want = fmt.Sprint(want)
		}
	}
	return have == want
}

// empty says whether a constraint constrains nothing.
func empty(constraint any) bool {
	switch v := constraint.(type) {
	case nil:
		return true
	case fields:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}
