package provision

import (
	"fmt"
	"testing"
	"time"
)

var never time.Time // when a token without an end expires

// old is a token of the same Secret from before.
func old(id string, expires time.Time) Token {
	return Token{ID: id, Key: Hide(oldToken + id), Username: planUsername, Description: byUs, Expires: expires, Writable: true}
}

// byHand is a token that no Secret has.
func byHand(id string, expires time.Time) Token {
	return Token{ID: id, Key: Hide("byhand" + id), Username: planUsername, Description: "of Ann", Expires: expires}
}

// foreign is a token of another Secret.
func foreign(id string) Token {
	token := old(id, never)
	token.Description = descriptionPrefix + otherOwner
	return token
}

// tokenMade is the step that creates the Secret's token.
func tokenMade(login Login) step {
	return step{Change: Change{Object: tokenObject, Action: Created}, write: createToken{
		login, TokenFields{Key: Hide(someToken), Description: new(byUs), Writable: new(true)},
	}}
}

// tokenMended is the step that updates it.
func tokenMended(login Login, write TokenFields, fields ...string) step {
	return step{Change: Change{Object: tokenObject, Action: Updated, Fields: fields}, write: updateToken{login, "token-1", write}}
}

// tokenUnknown is the line of a token that has to be looked at later.
func tokenUnknown(note string) step {
	return step{Change: Change{Object: tokenObject, Action: Updated, Notes: []string{note}}}
}

// expired and dropped are the steps that end older tokens.
func expired(note string, ids ...string) step {
	return rechecked(step{
		Change: Change{Object: tokenObject, Action: Updated, Notes: []string{note}}, write: expireTokens{byToken, ids, time.Hour},
	})
}

func dropped(note string, ids ...string) step {
	return rechecked(step{Change: Change{Object: tokenObject, Action: Updated, Notes: []string{note}}, write: deleteTokens{byToken, ids}})
}

func TestPlanToken(t *testing.T) {
	described := TokenFields{Description: new(byUs)}
	tests := map[string]planCase{
		"there is none":     {nil, func(o *observed) { o.Tokens, o.Token = nil, tokenFree }, []step{tokenMade(byPassword)}},
		"it lacks the mark": {nil, func(o *observed) { o.Tokens[0].Description = "of Ann" }, []step{tokenMended(byPassword, described, "description")}},
		"it bears another Secret's mark": {
			nil, func(o *observed) { o.Tokens[0].Description = descriptionPrefix + otherOwner },
			[]step{tokenMended(byPassword, described, "description")},
		},
		"it will expire": {
			nil, func(o *observed) { o.Tokens[0].Expires = noon.Add(time.Second) },
			[]step{tokenMended(byPassword, TokenFields{NeverExpire: true}, "expires")},
		},
		"everything about it": {
			nil, func(o *observed) {
				o.Tokens[0].Description, o.Tokens[0].Expires, o.Tokens[0].Writable = "", noon, false
			},
			[]step{tokenMended(
				byPassword, TokenFields{Description: new(byUs), NeverExpire: true, Writable: new(true)}, "description", "expires", "write_enabled",
			)},
		},

		// Without a password the token repairs itself, as long as it can.
		"no password, it lacks the mark": {
			apiOnly, func(o *observed) { o.Tokens[0].Description, o.PasswordWorks = "", false },
			[]step{tokenMended(byToken, described, "description")},
		},
		"no password, it will expire": {
			apiOnly, func(o *observed) { o.Tokens[0].Expires, o.PasswordWorks = noon.Add(time.Second), false },
			[]step{tokenMended(byToken, TokenFields{NeverExpire: true}, "expires")},
		},
	}
	for name, test := range tests {
		test.steps = append(append([]step{userStays}, test.steps...), verified)
		tests[name] = test
	}
	testPlans(t, tests)
}

// TestPlanTokenByTemporaryPassword: the account has no password, and its token
// cannot help itself.
func TestPlanTokenByTemporaryPassword(t *testing.T) {
	renewed := step{Change: Change{Object: tokenObject, Action: Updated, Fields: []string{"expires"}}}
	free := func(o *observed, name string) { // nobody has the token
		unknownTokens(o, tokenFree)
		o.User.FirstName = name
	}
	readable := func(o *observed, tokens ...Token) { // the temporary password opens the account
		o.User.FirstName, o.Tokens, o.Token = firstNameOpening, tokens, tokenFree
	}
	made := []step{tokenMade(byTemporary), verified, cleared()}
	tests := map[string]planCase{
		"rotated": {apiOnly, func(o *observed) { free(o, firstName) }, append([]step{opened(updateUser{})}, made...)},
		"rotated, and drifted": {
			apiOnly, func(o *observed) { free(o, firstName); o.User.Groups, o.User.Staff = nil, true },
			append([]step{opened(updateUser{Fields: UserFields{Groups: []Group{{Name: "managed"}}, Staff: new(false)}}, "groups", "is_staff")}, made...),
		},
		"rotated, and activated by hand": {
			apiOnly, func(o *observed) { free(o, firstNameRevoked) }, append([]step{opened(updateUser{}, "first_name")}, made...),
		},
		"rotated, this run gave the password": {
			apiOnly, func(o *observed) { readable(o, old("a", never)); o.opened = true },
			[]step{userStays, tokenMade(byTemporary), verified, cleared(), expired("1 superseded token expires in 1h", "a")},
		},
		"rotated, a run before gave the password": {
			apiOnly, func(o *observed) { readable(o) }, []step{userStays, tokenMade(byTemporary), verified, cleared("password")},
		},
		"rotated, a run before gave the password, with another superuser token": {
			apiOnly, func(o *observed) { free(o, firstNameOpening) },
			[]step{opened(updateUser{}), tokenMade(byTemporary), verified, cleared("password")},
		},
		"expired": {
			apiOnly, func(o *observed) { unknownTokens(o, tokenExpired) }, []step{opened(updateUser{}), renewed, verified, cleared()},
		},
		"expired, this run gave the password": {
			apiOnly, func(o *observed) { o.User.FirstName, o.opened, o.Tokens[0].Expires = firstNameOpening, true, noon },
			[]step{userStays, tokenMended(byTemporary, TokenFields{NeverExpire: true}, "expires"), verified, cleared()},
		},
		"read-only": {
			apiOnly, func(o *observed) { o.Tokens[0].Writable, o.PasswordWorks = false, false },
			[]step{opened(updateUser{}), tokenMended(byTemporary, TokenFields{Writable: new(true)}, "write_enabled"), verified, cleared()},
		},
	}
	testPlans(t, tests)
}

// TestPlanSupersede is about the account's other tokens. Account and token stay
// as they are.
func TestPlanSupersede(t *testing.T) {
	more := func(tokens ...Token) func(*observed) {
		return func(o *observed) { o.Tokens = append(o.Tokens, tokens...) }
	}
	noGrace := func(d *desired) { d.Grace = 0 }
	exclusive := func(d *desired) { d.Rule.Exclusive = true }
	inherits := func(d *desired) { d.Rule.AdoptFrom = []string{"*/old-name"} }
	inherited, person := old("a", never), byHand("a", never)
	person.Description = formerOwner
	inherited.Description = descriptionPrefix + formerOwner
	reobserved := func(s step) step { s.reobserve = true; return s }
	// Another token of the same Secret, or of another cluster's without a name.
	recent := func(cluster string, before time.Duration) (func(*desired), func(*observed)) {
		owner := Owner{cluster, "openstack", "nautobot-token"}
		return func(d *desired) { d.Owner = owner }, func(o *observed) {
			token := Token{ID: "a", Created: noon.Add(-before), Description: owner.description()}
			o.User.LastName, o.Tokens[0].Description = owner.String(), token.Description
			o.Tokens = append(o.Tokens, token)
		}
	}
	inLab, byLab := recent("lab", recently-time.Second)
	unnamed, byUnnamed := recent("", recently-time.Second)
	_, byOlder := recent("", recently)
	const wonder = "another token of the same owner is only minutes old: if another cluster has a Secret of this name, set --cluster"
	const one = "1 superseded token expires in 1h"
	var many []Token
	var ids []string
	for i := range 250 {
		ids = append(ids, fmt.Sprint("many-", i))
		many = append(many, old(ids[i], never))
	}
	everyState := []Token{
		old("never", never), old("long ago", noon.Add(-time.Hour)), old("now", noon), old("soon", noon.Add(time.Second)),
		old("after the grace", noon.Add(time.Hour)), old("by another clock", noon.Add(time.Hour+clockSlack)),
		old("later", noon.Add(time.Hour+clockSlack+time.Second)),
	}
	people := []Token{byHand("a", never), byHand("b", noon), byHand("c", noon.Add(time.Minute))}
	tests := map[string]planCase{
		"one":                {nil, more(old("a", never)), []step{expired(one, "a")}},
		"one, without grace": {noGrace, more(old("a", never)), []step{dropped("1 superseded token deleted", "a")}},
		"in every state": {nil, more(everyState...), []step{
			expired("2 superseded tokens expire in 1h", "never", "later"), dropped("2 superseded tokens deleted", "long ago", "now"),
		}},
		"in every state, without grace": {
			noGrace, more(everyState[:4]...), []step{dropped("4 superseded tokens deleted", "never", "long ago", "now", "soon")},
		},
		"one that expires in time": {nil, more(old("a", noon.Add(30*time.Minute))), nil},
		"a grace that was made shorter": {
			func(d *desired) { d.Grace = 90 * time.Second }, more(old("a", noon.Add(30*time.Minute))),
			[]step{rechecked(step{
				Change: Change{Object: tokenObject, Action: Updated, Notes: []string{"1 superseded token expires in 1m30s"}},
				write:  expireTokens{byToken, []string{"a"}, 90 * time.Second},
			})},
		},
		"by hand":                {nil, more(people...), []step{line(tokenObject, "3 other tokens left alone")}},
		"by hand, without grace": {noGrace, more(people[0]), []step{line(tokenObject, "1 other token left alone")}},
		"by hand, exclusive":     {exclusive, more(people...), []step{expired(one, "a"), dropped("1 superseded token deleted", "b")}},
		"of other Secrets": { // whoever has them must not keep the account
			nil, more(foreign("a"), foreign("b")), []step{confirmed, reobserved(dropped("2 tokens of other Secrets deleted", "a", "b"))},
		},
		"of another Secret, exclusive":         {exclusive, more(foreign("a")), []step{confirmed, reobserved(dropped("1 token of another Secret deleted", "a"))}},
		"of the Secret that this one replaces": {inherits, more(inherited), []step{expired(one, "a")}},
		"by hand, called like it":              {inherits, more(person), []step{line(tokenObject, "1 other token left alone")}},
		"of a Secret that this one does not replace": {
			nil, more(inherited), []step{confirmed, reobserved(dropped("1 token of another Secret deleted", "a"))},
		},
		"of every kind": {nil, more(people[0], foreign("b"), old("c", noon), old("d", never)), []step{
			expired(one, "d"), dropped("1 superseded token deleted", "c"),
			confirmed, reobserved(dropped("1 token of another Secret deleted", "b")), line(tokenObject, "1 other token left alone"),
		}},
		"more than fit into a request": {nil, more(many...), []step{
			noted(expired("", ids[:100]...)), noted(expired("", ids[100:200]...)), expired("250 superseded tokens expire in 1h", ids[200:]...),
		}},
		"recent, the cluster has a name":  {inLab, byLab, []step{expired(one, "a")}},
		"recent, the cluster has no name": {unnamed, byUnnamed, []step{expired(one, "a"), line(tokenObject, wonder)}},
		"by hand and recent, the cluster has no name": {
			func(d *desired) { unnamed(d); exclusive(d) }, func(o *observed) { byUnnamed(o); o.Tokens[1].Description = "of Ann" },
			[]step{expired(one, "a")},
		},
		"not recent, the cluster has no name": {unnamed, byOlder, []step{expired(one, "a")}},
	}
	for name, test := range tests {
		if len(test.steps) > 0 && test.steps[0].write != nil {
			test.steps = append([]step{verified}, test.steps...)
		}
		test.steps = append([]step{userStays, tokenStays}, test.steps...)
		tests[name] = test
	}
	testPlans(t, tests)
}

func TestReadable(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", 10 * time.Minute: "10m", 90 * time.Second: "1m30s", time.Hour: "1h",
		10 * time.Hour: "10h", 24 * time.Hour: "24h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 100 * time.Millisecond: "100ms",
	} {
		if got := readable(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
}
