package nautobottest

import "slices"

// Everybody, superusers too, sees and makes only their own tokens. Basic authentication works here and nowhere else.
var tokenEndpoint = endpoint{
	model:  "users.token",
	title:  "Token",
	sample: &Token{},
	basic:  true,
	filters: map[string]filter{
		"id": {"id", idFilter}, "key": {"key", textFilter}, "description": {"description", textFilter},
		"write_enabled": {"write_enabled", boolFilter}, "created": {"created", timeFilter}, "expires": {"expires", timeFilter},
		"q": {"description", searchFilter},
	},
	all: func(c *call) []object {
		var own []object
		for i := range c.state.tokens {
			if c.state.tokens[i].Username == c.caller.user.Username {
				own = append(own, &c.state.tokens[i])
			}
		}
		return own
	},
	write: (*call).writeToken,
	remove: func(st *state, pk string) {
		st.tokens = slices.DeleteFunc(st.tokens, func(t Token) bool { return t.ID == pk })
	},
}

func (t *Token) pk() string { return t.ID }

func (t *Token) lookup(st *state, field string) ([]any, bool) {
	switch field {
	case "id", "pk":
		return []any{t.ID}, true
	case "user", "user__id":
		if u := st.user(t.Username); u != nil {
			return []any{u.ID}, true
		}
		return nil, true
	case "user__username":
		return []any{t.Username}, true
	case "key":
		return []any{t.Key}, true
	case "description":
		return []any{t.Description}, true
	case "write_enabled":
		return []any{!t.ReadOnly}, true
	case "created":
		return []any{t.Created}, true
	case "expires":
		if t.Expires.IsZero() {
			return []any{nil}, true
		}
		return []any{t.Expires}, true
	}
	return nil, false
}

func (t *Token) render(c *call) fields {
	return fields{
		"id": t.ID, "object_type": "users.token", "display": t.Key[len(t.Key)-6:] + " (" + t.Username + ")",
		"url": c.link("users/tokens/" + t.ID + "/"), "natural_slug": t.ID + "_" + t.ID[:4], "key": t.Key,
		"expires": showTime(t.Expires), "write_enabled": !t.ReadOnly, "description": t.Description, "created": showTime(t.Created),
	}
}

// writeToken makes a token of the caller or changes one; a user named in the body is ignored. A key is any 40 characters,
// and a new one replaces the old one in place.
func (c *call) writeToken(old object, in fields, _ bool) (object, *answer) {
	f := form{}
	t := Token{Username: c.caller.user.Username, Created: c.options.Now(), Key: newKey()}
	if old != nil {
		t = *old.(*Token)
	}
	f.id(in, old == nil, &t.ID)
	f.text(in, "key", &t.Key, text{min: 40, max: 40, blank: true})
	f.text(in, "description", &t.Description, text{max: 255, blank: true})
	f.flag(in, "write_enabled", &t.ReadOnly)
	f.instant(in, "expires", &t.Expires)
	if len(f) > 0 {
		return nil, invalid(f)
	}

	// What follows Nautobot asks only of a body whose fields are good.
	if t.Key == "" {
		f.add("key", cannotBlank)
	}
	others := slices.DeleteFunc(slices.Clone(c.state.tokens), func(o Token) bool { return old != nil && o.ID == t.ID })
	if slices.ContainsFunc(others, func(o Token) bool { return o.ID == t.ID }) {
		f.add("id", "Token with this Id already exists.")
	}
	if slices.ContainsFunc(others, func(o Token) bool { return o.Key == t.Key }) {
		if a := c.duplicate(f, "key", "Token with this Key already exists.", "key", "users_token_key_key", t.Key); a != nil {
			return nil, a
		}
	}
	if len(f) > 0 {
		return nil, invalid(f)
	}
	if old == nil {
		c.state.tokens = append(c.state.tokens, t)
		return &c.state.tokens[len(c.state.tokens)-1], nil
	}
	stored := old.(*Token)
	*stored = t
	return stored, nil
}
