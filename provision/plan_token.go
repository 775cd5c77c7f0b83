package provision

import (
	"fmt"
	"strings"
	"time"
)

// TokenChange is what to do to the account's tokens: to the Secret's, and to
// the older ones that it supersedes.
type TokenChange struct {
	Change
	ID     string // of an existing token to update
	Write  TokenFields
	Expire []string // ids
	Delete []string // ids
	Until  time.Time
	// byPassword: the token cannot do this itself, the account has to.
	byPassword bool
}

// clockSlack is how far apart the clocks of two runs may be before one of
// them corrects the other's expiry of a superseded token.
const clockSlack = time.Minute

// planToken compares the Secret's token and decides about the others. Where
// the tokens could not be read, the key's own answer has to do.
func planToken(want Wanted, have State, now time.Time) TokenChange {
	change := TokenChange{Change: Change{Object: "token/" + want.Secret, Action: Unchanged}}
	ours := find(have.Tokens, want.Token)
	switch {
	case ours != nil:
		change.repair(want, *ours, now)
	case have.TokensKnown || have.Key == KeyUnused:
		change.Action = Created
		change.byPassword = true
		change.Write = TokenFields{
			Key:         want.Token,
			Description: new(want.Mark.description()),
			Writable:    new(true),
		}
	case have.Key == KeyExpired:
		change.Action = Updated
		change.byPassword = true
		change.Fields = []string{"expires"}
	}
	change.supersede(want, have.Tokens, now)
	return change
}

// repair is for the Secret's token where the account has it already.
func (c *TokenChange) repair(want Wanted, is Token, now time.Time) {
	c.ID = is.ID
	if is.Description != want.Mark.description() {
		c.Write.Description = new(want.Mark.description())
		c.Fields = append(c.Fields, "description")
	}
	if !is.Expires.IsZero() {
		c.Write.NeverExpire = true
		c.Fields = append(c.Fields, "expires")
		c.byPassword = !is.Expires.After(now)
	}
	if !is.Writable {
		c.Write.Writable = new(true)
		c.Fields = append(c.Fields, "write_enabled")
	}
	if len(c.Fields) > 0 {
		c.Action = Updated
		c.byPassword = c.byPassword || !is.Writable
	}
}

// supersede ends the tokens that came from the same Secret before.
func (c *TokenChange) supersede(want Wanted, tokens []Token, now time.Time) {
	others := 0
	c.Until = now.Add(want.Grace)
	for _, token := range tokens {
		switch {
		case token.Key.Equal(want.Token), token.Key.Equal(want.SuperuserToken):
		case token.Description != want.Mark.description() && !want.Rule.Exclusive:
			others++
		case want.Grace == 0, !token.Expires.IsZero() && !token.Expires.After(now):
			c.Delete = append(c.Delete, token.ID)
		case token.Expires.IsZero(), token.Expires.After(c.Until.Add(clockSlack)):
			c.Expire = append(c.Expire, token.ID)
		}
	}
	in := " in " + readable(want.Grace)
	c.note(len(c.Expire), "superseded token expires"+in, "superseded tokens expire"+in)
	c.note(len(c.Delete), "superseded token deleted", "superseded tokens deleted")
	c.note(others, "other token left alone", "other tokens left alone")
	if c.Action == Unchanged && len(c.Expire)+len(c.Delete) > 0 {
		c.Action = Updated
	}
}

func (c *TokenChange) note(n int, one, many string) {
	if n == 1 {
		c.Notes = append(c.Notes, "1 "+one)
	} else if n > 1 {
		c.Notes = append(c.Notes, fmt.Sprint(n, " ", many))
	}
}

// readable is a duration without its zero parts: 1h, not 1h0m0s.
func readable(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
