package provision

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// clockSlack is how far apart the clocks of two runs may be before one of
	// them corrects the other's expiry of a superseded token.
	clockSlack = time.Minute
	// maxBulk is how many tokens one request ends at most.
	maxBulk = 100
	// recently is how old another token may be to be worth a note.
	recently = 5 * time.Minute
)

func (p *planner) tokenObject() string { return "token/" + p.want.Secret }

// needsPassword reports whether the token cannot be created or repaired by using
// it: the account has to log in.
func (p *planner) needsPassword() bool {
	if token := find(p.have.Tokens, p.want.Token); token != nil {
		return !token.Writable || p.isExpired(*token)
	}
	return p.have.TokensKnown || p.have.Token == tokenFree || p.have.Token == tokenExpired
}

func (p *planner) isExpired(token Token) bool {
	return !token.Expires.IsZero() && !token.Expires.After(p.now)
}

// tokenLogin is who creates or repairs the token.
func (p *planner) tokenLogin() Login {
	switch {
	case p.have.User != nil && p.have.isSelf(*p.have.User):
		return p.want.bySuperuser()
	case p.want.apiOnly() && !p.needsPassword():
		return p.want.byToken()
	}
	return p.want.login()
}

// planToken compares the Secret's token, and sorts the account's others.
func (p *planner) planToken() olderTokens {
	change := Change{Object: p.tokenObject(), Action: Unchanged}
	fields := TokenFields{}
	ours := find(p.have.Tokens, p.want.Token)
	switch {
	case ours != nil:
		change.Fields = p.repairToken(*ours, &fields)
		s := step{Change: change}
		if len(change.Fields) > 0 {
			s.Action, s.write = Updated, updateToken{p.tokenLogin(), ours.ID, fields}
		}
		p.add(s)
	case p.have.TokensKnown || p.have.Token == tokenFree:
		change.Action = Created
		p.add(step{Change: change, write: createToken{p.tokenLogin(), TokenFields{
			Key:         p.want.Token,
			Description: new(p.want.Owner.description()),
			Writable:    new(true),
		}}})
	case p.have.Token == tokenExpired:
		change.Action, change.Fields = Updated, []string{"expires"}
		p.add(step{Change: change})
	default:
		change.Action = Updated
		change.Notes = []string{"not known until the account can list its tokens"}
		if !p.have.User.Active {
			change.Notes = []string{"not known until the account is active"}
		}
		p.add(step{Change: change})
	}
	return p.sortOlder()
}

// repairToken is for the Secret's token if the account has it already.
func (p *planner) repairToken(is Token, fields *TokenFields) (names []string) {
	if is.Description != p.want.Owner.description() {
		fields.Description = new(p.want.Owner.description())
		names = append(names, "description")
	}
	if !is.Expires.IsZero() {
		fields.NeverExpire = true
		names = append(names, "expires")
	}
	if !is.Writable {
		fields.Writable = new(true)
		names = append(names, "write_enabled")
	}
	return names
}

// olderTokens are the account's other tokens that are ended, by id.
type olderTokens struct {
	in      time.Duration // until the tokens in expire end
	expire  []string
	drop    []string
	foreign []string // of other Secrets, which no longer own the account
	notes   []string // about the rest
}

func (o olderTokens) any() bool { return len(o.expire)+len(o.drop)+len(o.foreign) > 0 }

// sortOlder decides which tokens are ended: those that came from the same
// Secret before, those of other Secrets, and with exclusive all the rest.
func (p *planner) sortOlder() olderTokens {
	older := olderTokens{in: p.want.Grace}
	self := p.have.User != nil && p.have.isSelf(*p.have.User)
	others, another := 0, false
	for _, token := range p.have.Tokens {
		ours := p.want.supersedes(token)
		switch {
		case token.Key.Equal(p.want.Token), token.Key.Equal(p.want.SuperuserToken):
			continue
		case !ours && isMarked(token) && !self:
			older.foreign = append(older.foreign, token.ID)
			continue
		case !ours && (!p.want.Rule.Exclusive || self):
			others++
			continue
		case p.want.Grace == 0, p.isExpired(token):
			older.drop = append(older.drop, token.ID)
		case token.Expires.IsZero(), token.Expires.After(p.now.Add(older.in + clockSlack)):
			older.expire = append(older.expire, token.ID)
		default:
			continue
		}
		another = another || p.want.Owner.made(token) && token.Created.After(p.now.Add(-recently))
	}
	older.notes = count(older.notes, others, "other token left alone", "other tokens left alone")
	if another && !p.want.Owner.unique() && !p.want.Setup {
		older.notes = append(older.notes, "another token of the same owner is only minutes old: if another cluster has a Secret of this name, set --cluster")
	}
	return older
}

// planSupersede ends the older tokens.
func (p *planner) planSupersede(older olderTokens) {
	login := p.want.byToken()
	in := " in " + readable(older.in)
	p.endTokens(older.expire, false, count(nil, len(older.expire), "superseded token expires"+in, "superseded tokens expire"+in),
		func(ids []string) write { return expireTokens{login, ids, older.in} })
	drop := func(ids []string) write { return deleteTokens{login, ids} }
	p.endTokens(older.drop, false, count(nil, len(older.drop), "superseded token deleted", "superseded tokens deleted"), drop)
	if len(older.foreign) > 0 { // the account may be theirs again by now
		p.add(p.confirmOwner())
	}
	// Observed again: in the end nobody else's token may open the account.
	p.endTokens(older.foreign, true, count(nil, len(older.foreign), "token of another Secret deleted", "tokens of other Secrets deleted"), drop)
	if len(older.notes) > 0 {
		p.note(p.tokenObject(), older.notes...)
	}
}

// endTokens ends tokens in batches; the last step reports all of them.
func (p *planner) endTokens(ids []string, reobserve bool, notes []string, end func([]string) write) {
	for some := range slices.Chunk(ids, maxBulk) {
		p.add(step{Change: Change{Object: p.tokenObject(), Action: Updated}, write: end(some), recheck: true})
	}
	if len(ids) > 0 {
		last := &p.steps[len(p.steps)-1]
		last.Notes, last.reobserve = notes, reobserve
	}
}

// count adds a note about n things, if there are any.
func count(notes []string, n int, one, many string) []string {
	if n == 1 {
		return append(notes, "1 "+one)
	} else if n > 1 {
		return append(notes, fmt.Sprint(n, " ", many))
	}
	return notes
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
