package nautobottest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// A caller is who makes a request. token is nil over Basic.
type caller struct {
	user  User
	token *Token
}

// authenticate finds out who calls, or answers 403: Nautobot never answers 401. Basic counts only where the view says so.
func (c *call) authenticate(basic bool) *answer {
	scheme, credentials, _ := strings.Cut(strings.Join(c.r.Header.Values("Authorization"), ", "), " ")
	switch scheme = strings.ToLower(scheme); {
	case scheme == "token" && strings.Contains(credentials, " "):
		return detail(http.StatusForbidden, "Invalid token header. Token string should not contain spaces.")
	case scheme == "token":
		return c.byToken(credentials)
	case scheme == "basic" && basic:
		return c.byPassword(credentials)
	}
	return detail(http.StatusForbidden, c.translated(noCredentials))
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
	decoded, _ := base64.StdEncoding.DecodeString(credentials)
	name, password, _ := strings.Cut(string(decoded), ":")
	user := c.state.user(name)
	if user == nil || user.Inactive || user.Password == "" || user.Password != password {
		return detail(http.StatusForbidden, c.translated(badPassword))
	}
	c.caller = caller{*user, nil}
	return nil
}

// actions are the rights that methods need. OPTIONS needs none.
var actions = map[string]string{
	http.MethodGet: "view", http.MethodPost: "add",
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

// covers reports whether a grant reaches an object.
func (c *call) covers(g grant, o object) bool {
	return g.all || slices.ContainsFunc(g.constraints, func(constraint any) bool {
		conditions, _ := constraint.(fields)
		for field, want := range conditions {
			if want == "$user" {
				want = c.caller.user.ID
			}
			if !slices.Contains(o.values(&c.state, field), want) {
				return false
			}
		}
		return true
	})
}

// empty reports whether a constraint constrains nothing.
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
