package nautobottest

import "slices"

// Everybody, superusers too, sees and makes only their own tokens. Basic authentication works here and nowhere else.
var tokenEndpoint = endpoint{
	model: "users.token",
	title: "Token",
	basic: true,
	all: func(c *call) []object {
		return slices.DeleteFunc(pointers[Token, *Token](c.state.tokens), func(o object) bool {
			return o.(*Token).Username != c.caller.user.Username
		})
	},
	write: (*call).writeToken,
	remove: func(st *state, pk string) {
		st.tokens = slices.DeleteFunc(st.tokens, func(t Token) bool { return t.ID == pk })
	},
}

func (t *Token) pk() string { return t.ID }

func (t *Token) values(st *state, field string) []any {
	if field == "user" {
		return []any{st.user(t.Username).ID}
	}
	return nil
}

func (t *Token) render(c *call) fields {
	return fields{
		"id": t.ID, "object_type": "users.token", "display": t.Key[len(t.Key)-6:] + " (" + t.Username + ")",
		"url": c.link("tokens/" + t.ID + "/"), "key": t.Key, "expires": showTime(t.Expires),
		"write_enabled": !t.ReadOnly, "description": t.Description, "created": showTime(t.Created),
	}
}

// writeToken makes a token of the caller or changes one; a user named in the body is ignored. A key is any 40 characters.
func (c *call) writeToken(old object, in fields, _ bool) (object, *answer) {
	f := form{}
	t := Token{ID: newID(), Username: c.caller.user.Username, Created: c.options.Now(), Key: newKey()}
	if old != nil {
		t = *old.(*Token)
	}
	f.text(in, "key", &t.Key, text{min: 40, max: 40})
	f.text(in, "description", &t.Description, text{max: 255, blank: true})
	negated(in, "write_enabled", &t.ReadOnly)
	f.instant(in, "expires", &t.Expires)
	if len(f) > 0 {
		return nil, invalid(f)
	}
	// Nautobot looks for duplicates only if the fields are good.
	if find(c.state.tokens, func(o *Token) bool { return o.Key == t.Key && o.ID != t.ID }) != nil {
		if a := c.duplicate(f, "key", keyTaken, "key", "users_token_key_key", t.Key); a != nil {
			return nil, a
		}
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
