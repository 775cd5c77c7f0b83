package provision

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const (
	planMark  = "lab/openstack/nautobot-token"
	byMark    = "nautobot-token: " + planMark // what our tokens are described as
	oldToken  = "OLDOLDOLDOLDOLDOLDOLDOLDOLDOLDOLDOLDOLD0"
	superuser = "SUPSUPSUPSUPSUPSUPSUPSUPSUPSUPSUPSUPSUP0"
)

// someWanted is an account with a password, under a rule that grants nothing.
func someWanted() Wanted {
	return Wanted{
		Account:        Account{Username: "openstack", Password: Hide(somePassword), Token: Hide(someToken)},
		Secret:         "openstack/nautobot-token",
		Mark:           planMark,
		ManagedGroup:   "managed",
		Grace:          time.Hour,
		SuperuserToken: Hide(superuser),
		Named:          true,
	}
}

// healthyState has exactly that.
func healthyState() State {
	return State{
		User: &User{
			ID: "user-1", Username: "openstack", FirstName: "Service account", LastName: planMark,
			Active: true, Groups: []Group{{1, "managed"}},
		},
		TokensKnown: true,
		Tokens:      []Token{{ID: "token-1", Key: Hide(someToken), Username: "openstack", Description: byMark, Writable: true}},
	}
}

// idlePlan is what to do then.
func idlePlan() Plan {
	return Plan{
		User: UserChange{Change: Change{Object: "user/openstack", Action: Unchanged}},
		Token: TokenChange{
			Change: Change{Object: "token/openstack/nautobot-token", Action: Unchanged},
			ID:     "token-1", Until: noon.Add(time.Hour),
		},
	}
}

// createToken makes the plan create the Secret's token.
func createToken(p *Plan) {
	p.Token.ID, p.Token.Action, p.Token.byPassword = "", Created, true
	p.Token.Write = TokenFields{Key: Hide(someToken), Description: new(byMark), Writable: new(true)}
}

func updateUser(p *Plan, fields ...string) {
	p.User.Action, p.User.Fields = Updated, fields
}

func updateToken(p *Plan, fields ...string) {
	p.Token.Action, p.Token.Fields = Updated, fields
}

func comparePlans(t *testing.T, want, got Plan) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(TokenChange{})); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// old is a token of the same Secret from before.
func old(id string, expires time.Time) Token {
	return Token{ID: id, Key: Hide(oldToken + id), Username: "openstack", Description: byMark, Expires: expires, Writable: true}
}

// byHand is a token that bears no mark.
func byHand(id string, expires time.Time) Token {
	return Token{ID: id, Key: Hide("byhand" + id), Username: "openstack", Description: "of Ann", Expires: expires}
}

func apiOnly(w *Wanted) { w.Password = Sensitive{} }

// rightAccess is group and permission as they should be.
func rightAccess() *AccessState {
	return &AccessState{GroupExists: true, Permission: &Permission{
		ID: "permission-1", Name: "managed", Enabled: true, ObjectTypes: []string{"users.token"},
		Actions: []string{"view", "add", "change", "delete"}, Constraints: map[string]any{"user": "$user"}, Groups: []Group{{1, "managed"}},
	}}
}

func TestMakePlan(t *testing.T) {
	tests := map[string]struct {
		want func(*Wanted) // what differs from someWanted, healthyState and idlePlan
		have func(*State)
		plan func(*Plan)
	}{
		"all as it should be": {},
		"a new account": {
			have: func(s *State) { *s = State{TokensKnown: true, Key: KeyUnused} },
			plan: func(p *Plan) {
				createToken(p)
				p.User.Action = Created
				p.User.Write = UserFields{
					Username: "openstack", Password: Hide(somePassword), FirstName: new("Service account"), LastName: new(planMark),
					Groups: []Group{{Name: "managed"}},
				}
			},
		},
		"a new account with all that a rule gives": {
			want: func(w *Wanted) {
				w.Email = "openstack@lab.example"
				w.Rule = Rule{Superuser: true, Groups: []string{"one", "two"}}
			},
			have: func(s *State) { *s = State{TokensKnown: true, Key: KeyUnused} },
			plan: func(p *Plan) {
				createToken(p)
				p.User.Action = Created
				p.User.Write = UserFields{
					Username: "openstack", Password: Hide(somePassword), FirstName: new("Service account"), LastName: new(planMark),
					Email: new("openstack@lab.example"), Superuser: new(true), Groups: []Group{{Name: "managed"}, {Name: "one"}, {Name: "two"}},
				}
			},
		},
		"a new account, the rule names the managed group and another twice": {
			want: func(w *Wanted) { w.Rule.Groups = []string{"managed", "one", "one"} },
			have: func(s *State) { *s = State{TokensKnown: true, Key: KeyUnused} },
			plan: func(p *Plan) {
				createToken(p)
				p.User.Action = Created
				p.User.Write = UserFields{
					Username: "openstack", Password: Hide(somePassword), FirstName: new("Service account"), LastName: new(planMark),
					Groups: []Group{{Name: "managed"}, {Name: "one"}},
				}
			},
		},
		"a new account without group and permission": {
			have: func(s *State) { *s = State{TokensKnown: true, Key: KeyUnused, Access: &AccessState{}} },
			plan: func(p *Plan) {
				createToken(p)
				p.Group = &Change{Object: "group/managed", Action: Created}
				p.Permission = &PermissionChange{Change{Object: "permission/managed", Action: Created}, Permission{
					Name: "managed", Enabled: true, ObjectTypes: []string{"users.token"},
					Actions: []string{"view", "add", "change", "delete"}, Constraints: map[string]any{"user": "$user"}, Groups: []Group{{Name: "managed"}},
				}}
				p.User.Action = Created
				p.User.Write = UserFields{
					Username: "openstack", Password: Hide(somePassword), FirstName: new("Service account"), LastName: new(planMark),
					Groups: []Group{{Name: "managed"}},
				}
			},
		},

		// The account, field by field.
		"another password": {
			have: func(s *State) { s.PasswordWrong = true },
			plan: func(p *Plan) {
				updateUser(p, "password")
				p.User.Write.Password = Hide(somePassword)
			},
		},
		"not in the managed group": {
			have: func(s *State) { s.User.Groups = nil },
			plan: func(p *Plan) {
				updateUser(p, "groups")
				p.User.Write.Groups = []Group{{Name: "managed"}}
			},
		},
		"not in a group of the rule": {
			want: func(w *Wanted) { w.Rule.Groups = []string{"one", "two"} },
			have: func(s *State) { s.User.Groups = []Group{{1, "managed"}, {2, "two"}} },
			plan: func(p *Plan) {
				updateUser(p, "groups")
				p.User.Write.Groups = []Group{{1, "managed"}, {2, "two"}, {Name: "one"}}
			},
		},
		"in groups of its own": {
			have: func(s *State) { s.User.Groups = []Group{{3, "people"}, {1, "managed"}, {4, "more"}} },
			plan: func(p *Plan) { p.User.Notes = []string{"also in groups people, more"} },
		},
		"in groups of its own, and not in ours": {
			have: func(s *State) { s.User.Groups = []Group{{3, "people"}} },
			plan: func(p *Plan) {
				updateUser(p, "groups")
				p.User.Notes = []string{"also in groups people"}
				p.User.Write.Groups = []Group{{3, "people"}, {Name: "managed"}}
			},
		},
		"another e-mail address": {
			want: func(w *Wanted) { w.Email = "openstack@lab.example" },
			have: func(s *State) { s.User.Email = "old@lab.example" },
			plan: func(p *Plan) {
				updateUser(p, "email")
				p.User.Write.Email = new("openstack@lab.example")
			},
		},
		"an e-mail address that is not managed": {have: func(s *State) { s.User.Email = "old@lab.example" }},
		"a superuser without a rule for it": {
			have: func(s *State) { s.User.Superuser = true },
			plan: func(p *Plan) {
				updateUser(p, "is_superuser")
				p.User.Write.Superuser = new(false)
			},
		},
		"no superuser, with a rule for it": {
			want: func(w *Wanted) { w.Rule.Superuser = true },
			plan: func(p *Plan) {
				updateUser(p, "is_superuser")
				p.User.Write.Superuser = new(true)
			},
		},
		"a superuser, with a rule for it": {
			want: func(w *Wanted) { w.Rule.Superuser = true },
			have: func(s *State) { s.User.Superuser = true },
		},
		"staff": {
			have: func(s *State) { s.User.Staff = true },
			plan: func(p *Plan) {
				updateUser(p, "is_staff")
				p.User.Write.Staff = new(false)
			},
		},
		"staff, with a rule for superusers": {
			want: func(w *Wanted) { w.Rule.Superuser = true },
			have: func(s *State) { s.User.Superuser, s.User.Staff = true, true },
			plan: func(p *Plan) {
				updateUser(p, "is_staff")
				p.User.Write.Staff = new(false)
			},
		},
		"another first name": {
			have: func(s *State) { s.User.FirstName = "Ann" },
			plan: func(p *Plan) {
				updateUser(p, "first_name")
				p.User.Write.FirstName = new("Service account")
			},
		},
		"revoked, and wanted again": {
			have: func(s *State) {
				s.User.Active, s.User.FirstName = false, "Service account (revoked)"
				s.Tokens, s.TokensKnown, s.Key = nil, false, KeyUsable
			},
			plan: func(p *Plan) {
				p.Token.ID = ""
				updateUser(p, "is_active", "first_name")
				p.User.Write = UserFields{Active: new(true), FirstName: new("Service account")}
			},
		},
		"taken over": {
			want: func(w *Wanted) { w.Rule.Adopt = true },
			have: func(s *State) {
				s.User.FirstName, s.User.LastName, s.User.Groups = "Ann", "Other", nil
				s.Tokens = []Token{byHand("token-7", time.Time{})}
			},
			plan: func(p *Plan) {
				createToken(p)
				p.Token.Notes = []string{"1 other token left alone"}
				updateUser(p, "groups", "first_name", "last_name")
				p.User.Write = UserFields{FirstName: new("Service account"), LastName: new(planMark), Groups: []Group{{Name: "managed"}}}
			},
		},
		"a superuser that is taken over and may be one": {
			want: func(w *Wanted) { w.Rule.Adopt, w.Rule.Superuser = true, true },
			have: func(s *State) {
				*s.User = User{ID: "user-1", Username: "openstack", Superuser: true, Staff: true, Active: true}
			},
			plan: func(p *Plan) {
				updateUser(p, "groups", "is_staff", "first_name", "last_name")
				p.User.Write = UserFields{
					Staff: new(false), FirstName: new("Service account"), LastName: new(planMark), Groups: []Group{{Name: "managed"}},
				}
			},
		},
		"everything about the account at once": {
			want: func(w *Wanted) {
				w.Email, w.Rule = "openstack@lab.example", Rule{Adopt: true, Superuser: true, Groups: []string{"one"}}
			},
			have: func(s *State) {
				*s.User = User{ID: "user-1", Username: "openstack", FirstName: "a", LastName: "b", Email: "c", Staff: true, Active: true}
				s.PasswordWrong = true
			},
			plan: func(p *Plan) {
				updateUser(p, "password", "groups", "email", "is_superuser", "is_staff", "first_name", "last_name")
				p.User.Write = UserFields{
					Password: Hide(somePassword), Groups: []Group{{Name: "managed"}, {Name: "one"}}, Email: new("openstack@lab.example"),
					Superuser: new(true), Staff: new(false), FirstName: new("Service account"), LastName: new(planMark),
				}
			},
		},

		// The Secret's token.
		"no token": {
			have: func(s *State) { s.Tokens, s.Key = nil, KeyUnused },
			plan: createToken,
		},
		"the token lacks the mark": {
			have: func(s *State) { s.Tokens[0].Description = "of Ann" },
			plan: func(p *Plan) {
				updateToken(p, "description")
				p.Token.Write.Description = new(byMark)
			},
		},
		"the token will expire": {
			have: func(s *State) { s.Tokens[0].Expires = noon.Add(time.Second) },
			plan: func(p *Plan) {
				updateToken(p, "expires")
				p.Token.Write.NeverExpire = true
			},
		},
		"the token is expired": {
			have: func(s *State) { s.Tokens[0].Expires = noon },
			plan: func(p *Plan) {
				updateToken(p, "expires")
				p.Token.Write.NeverExpire, p.Token.byPassword = true, true
			},
		},
		"the token is read-only": {
			have: func(s *State) { s.Tokens[0].Writable = false },
			plan: func(p *Plan) {
				updateToken(p, "write_enabled")
				p.Token.Write.Writable, p.Token.byPassword = new(true), true
			},
		},
		"everything about the token at once": {
			have: func(s *State) {
				s.Tokens[0].Description, s.Tokens[0].Expires, s.Tokens[0].Writable = "", noon.Add(-time.Hour), false
			},
			plan: func(p *Plan) {
				updateToken(p, "description", "expires", "write_enabled")
				p.Token.Write = TokenFields{Description: new(byMark), NeverExpire: true, Writable: new(true)}
				p.Token.byPassword = true
			},
		},

		// The older tokens.
		"a rotated token": {
			have: func(s *State) { s.Tokens, s.Key = []Token{old("token-0", time.Time{})}, KeyUnused },
			plan: func(p *Plan) {
				createToken(p)
				p.Token.Notes, p.Token.Expire = []string{"1 superseded token expires in 1h"}, []string{"token-0"}
			},
		},
		"a rotated token without grace": {
			want: func(w *Wanted) { w.Grace = 0 },
			have: func(s *State) { s.Tokens, s.Key = []Token{old("token-0", time.Time{})}, KeyUnused },
			plan: func(p *Plan) {
				createToken(p)
				p.Token.Notes, p.Token.Delete, p.Token.Until = []string{"1 superseded token deleted"}, []string{"token-0"}, noon
			},
		},
		"a run that ended before the older tokens did": {
			have: func(s *State) { s.Tokens = append(s.Tokens, old("token-0", time.Time{}), old("token-2", time.Time{})) },
			plan: func(p *Plan) {
				updateToken(p)
				p.Token.Notes, p.Token.Expire = []string{"2 superseded tokens expire in 1h"}, []string{"token-0", "token-2"}
			},
		},
		"superseded tokens in every state": {
			have: func(s *State) {
				s.Tokens = append(
					s.Tokens,
					old("never", time.Time{}),
					old("long ago", noon.Add(-time.Hour)),
					old("now", noon),
					old("soon", noon.Add(time.Second)),
					old("after the grace", noon.Add(time.Hour)),
					old("by another clock", noon.Add(time.Hour+clockSlack)),
					old("later", noon.Add(time.Hour+clockSlack+time.Second)),
				)
			},
			plan: func(p *Plan) {
				updateToken(p)
				p.Token.Notes = []string{"2 superseded tokens expire in 1h", "2 superseded tokens deleted"}
				p.Token.Expire, p.Token.Delete = []string{"never", "later"}, []string{"long ago", "now"}
			},
		},
		"superseded tokens in every state, without grace": {
			want: func(w *Wanted) { w.Grace = 0 },
			have: func(s *State) {
				s.Tokens = append(s.Tokens, old("never", time.Time{}), old("long ago", noon.Add(-time.Hour)), old("soon", noon.Add(time.Second)))
			},
			plan: func(p *Plan) {
				updateToken(p)
				p.Token.Notes, p.Token.Until = []string{"3 superseded tokens deleted"}, noon
				p.Token.Delete = []string{"never", "long ago", "soon"}
			},
		},
		"superseded tokens that will expire in time": {
			have: func(s *State) { s.Tokens = append(s.Tokens, old("token-0", noon.Add(30*time.Minute))) },
		},
		"a grace that was made shorter": {
			want: func(w *Wanted) { w.Grace = 90 * time.Second },
			have: func(s *State) { s.Tokens = append(s.Tokens, old("token-0", noon.Add(30*time.Minute))) },
			plan: func(p *Plan) {
				updateToken(p)
				p.Token.Until = noon.Add(90 * time.Second)
				p.Token.Notes, p.Token.Expire = []string{"1 superseded token expires in 1m30s"}, []string{"token-0"}
			},
		},
		"tokens by hand": {
			have: func(s *State) {
				s.Tokens = append(s.Tokens, byHand("a", time.Time{}), byHand("b", noon.Add(-time.Hour)), byHand("c", noon.Add(time.Hour*24)))
			},
			plan: func(p *Plan) { p.Token.Notes = []string{"3 other tokens left alone"} },
		},
		"tokens by hand, without grace": {
			want: func(w *Wanted) { w.Grace = 0 },
			have: func(s *State) {
				s.Tokens = append(s.Tokens, byHand("a", time.Time{}), byHand("b", noon.Add(-time.Hour)))
			},
			plan: func(p *Plan) { p.Token.Notes, p.Token.Until = []string{"2 other tokens left alone"}, noon },
		},
		"tokens of another Secret": {
			have: func(s *State) {
				other := old("token-0", time.Time{})
				other.Description += "-2"
				s.Tokens = append(s.Tokens, other)
			},
			plan: func(p *Plan) { p.Token.Notes = []string{"1 other token left alone"} },
		},
		"tokens by hand, with an exclusive rule": {
			want: func(w *Wanted) { w.Rule.Exclusive = true },
			have: func(s *State) {
				s.Tokens = append(s.Tokens, byHand("a", time.Time{}), byHand("b", noon.Add(-time.Hour)), byHand("c", noon.Add(time.Minute)))
			},
			plan: func(p *Plan) {
				updateToken(p)
				p.Token.Notes = []string{"1 superseded token expires in 1h", "1 superseded token deleted"}
				p.Token.Expire, p.Token.Delete = []string{"a"}, []string{"b"}
			},
		},
		"a rotation with tokens of every kind": {
			have: func(s *State) {
				s.Tokens = []Token{old("token-0", time.Time{}), byHand("a", time.Time{}), old("token-2", noon.Add(-time.Hour))}
				s.Key = KeyUnused
			},
			plan: func(p *Plan) {
				createToken(p)
				p.Token.Notes = []string{"1 superseded token expires in 1h", "1 superseded token deleted", "1 other token left alone"}
				p.Token.Expire, p.Token.Delete = []string{"token-0"}, []string{"token-2"}
			},
		},

		// Tokens that cannot be read.
		"tokens unknown, the key not asked for": {
			have: func(s *State) { s.Tokens, s.TokensKnown = nil, false },
			plan: func(p *Plan) { p.Token.ID = "" },
		},
		"tokens unknown, nobody has the key": {
			have: func(s *State) { s.Tokens, s.TokensKnown, s.Key, s.PasswordWrong = nil, false, KeyUnused, true },
			plan: func(p *Plan) {
				createToken(p)
				updateUser(p, "password")
				p.User.Write.Password = Hide(somePassword)
			},
		},
		"tokens unknown, the key is expired": {
			have: func(s *State) { s.Tokens, s.TokensKnown, s.Key, s.PasswordWrong = nil, false, KeyExpired, true },
			plan: func(p *Plan) {
				p.Token.ID, p.Token.byPassword = "", true
				updateToken(p, "expires")
				updateUser(p, "password")
				p.User.Write.Password = Hide(somePassword)
			},
		},
		"tokens unknown, the key works, the account lost its group": {
			have: func(s *State) {
				s.Tokens, s.TokensKnown, s.Key, s.PasswordWrong, s.Access = nil, false, KeyUsable, true, rightAccess()
				s.User.Groups = nil
			},
			plan: func(p *Plan) {
				p.Token.ID = ""
				updateUser(p, "password", "groups")
				p.User.Write = UserFields{Password: Hide(somePassword), Groups: []Group{{Name: "managed"}}}
			},
		},
		"tokens unknown, the key works, the permission is missing": {
			have: func(s *State) {
				s.Tokens, s.TokensKnown, s.Key, s.Access = nil, false, KeyUsable, rightAccess()
				s.Access.Permission = nil
			},
			plan: func(p *Plan) {
				p.Token.ID = ""
				right := *rightAccess().Permission
				right.ID, right.Groups = "", []Group{{Name: "managed"}}
				p.Permission = &PermissionChange{Change{Object: "permission/managed", Action: Created}, right}
			},
		},
		"tokens unknown, the key works, nobody may look at the permission": {
			have: func(s *State) { s.Tokens, s.TokensKnown, s.Key = nil, false, KeyUsable },
			plan: func(p *Plan) { p.Token.ID = "" },
		},

		// Accounts for the API only.
		"no password": {want: apiOnly, have: func(s *State) { s.PasswordWrong = true }},
		"no password, new": {
			want: apiOnly,
			have: func(s *State) { *s = State{TokensKnown: true, Key: KeyUnused} },
			plan: func(p *Plan) {
				createToken(p)
				want := someWanted()
				apiOnly(&want)
				p.User.Action, p.User.Close = Created, true
				p.User.Write = UserFields{
					Username: "openstack", Password: want.login().Password, FirstName: new("Service account (opening)"), LastName: new(planMark),
					Groups: []Group{{Name: "managed"}},
				}
			},
		},
		"no password, rotated": {
			want: apiOnly,
			have: func(s *State) { s.Tokens, s.TokensKnown, s.Key, s.PasswordWrong = nil, false, KeyUnused, true },
			plan: func(p *Plan) {
				createToken(p)
				want := someWanted()
				apiOnly(&want)
				p.User.Open = true
				p.User.Write = UserFields{Password: want.login().Password, FirstName: new("Service account (opening)")}
			},
		},
		"no password, rotated, opened by this run": {
			want: apiOnly,
			have: func(s *State) {
				s.User.FirstName, s.Opened = "Service account (opening)", true
				s.Tokens, s.Key = []Token{old("token-0", time.Time{})}, KeyUnused
			},
			plan: func(p *Plan) {
				createToken(p)
				p.Token.Notes, p.Token.Expire = []string{"1 superseded token expires in 1h"}, []string{"token-0"}
				p.User.Close = true
			},
		},
		"no password, opened by a run that was killed": {
			want: apiOnly,
			have: func(s *State) {
				s.User.FirstName = "Service account (opening)"
				s.Tokens, s.Key = []Token{old("token-0", time.Time{})}, KeyUnused
			},
			plan: func(p *Plan) {
				createToken(p)
				p.Token.Notes, p.Token.Expire = []string{"1 superseded token expires in 1h"}, []string{"token-0"}
				p.User.Close = true
				updateUser(p, "password")
			},
		},
		"no password, opened with another superuser token": {
			want: apiOnly,
			have: func(s *State) {
				s.User.FirstName, s.PasswordWrong = "Service account (opening)", true
				s.Tokens, s.TokensKnown, s.Key = nil, false, KeyUnused
			},
			plan: func(p *Plan) {
				createToken(p)
				want := someWanted()
				apiOnly(&want)
				p.User.Open = true
				p.User.Write = UserFields{Password: want.login().Password, FirstName: new("Service account (opening)")}
			},
		},
		"no password, left open though the token is there": {
			want: apiOnly,
			have: func(s *State) { s.User.FirstName, s.PasswordWrong = "Service account (opening)", true },
			plan: func(p *Plan) {
				p.User.Close = true
				updateUser(p, "password")
			},
		},
		"no password, the token is there and this run opened": {
			want: apiOnly,
			have: func(s *State) {
				s.User.FirstName, s.PasswordWrong, s.Opened = "Service account (opening)", true, true
			},
			plan: func(p *Plan) { p.User.Close = true },
		},
		"no password, the token is expired": {
			want: apiOnly,
			have: func(s *State) { s.Tokens, s.TokensKnown, s.Key, s.PasswordWrong = nil, false, KeyExpired, true },
			plan: func(p *Plan) {
				p.Token.ID, p.Token.byPassword = "", true
				updateToken(p, "expires")
				want := someWanted()
				apiOnly(&want)
				p.User.Open = true
				p.User.Write = UserFields{Password: want.login().Password, FirstName: new("Service account (opening)")}
			},
		},
		"no password, the token is read-only": {
			want: apiOnly,
			have: func(s *State) { s.Tokens[0].Writable, s.PasswordWrong = false, true },
			plan: func(p *Plan) {
				updateToken(p, "write_enabled")
				p.Token.Write.Writable, p.Token.byPassword = new(true), true
				want := someWanted()
				apiOnly(&want)
				p.User.Open = true
				p.User.Write = UserFields{Password: want.login().Password, FirstName: new("Service account (opening)")}
			},
		},
		"no password, the token lacks the mark": {
			want: apiOnly,
			have: func(s *State) { s.Tokens[0].Description, s.PasswordWrong = "", true },
			plan: func(p *Plan) { // the token itself can do that
				updateToken(p, "description")
				p.Token.Write.Description = new(byMark)
			},
		},
		"no password, rotated, and drifted": {
			want: apiOnly,
			have: func(s *State) {
				s.User.Groups, s.User.Staff, s.PasswordWrong = nil, true, true
				s.Tokens, s.TokensKnown, s.Key = nil, false, KeyUnused
			},
			plan: func(p *Plan) {
				createToken(p)
				want := someWanted()
				apiOnly(&want)
				updateUser(p, "groups", "is_staff")
				p.User.Open = true
				p.User.Write = UserFields{
					Password: want.login().Password, FirstName: new("Service account (opening)"), Groups: []Group{{Name: "managed"}}, Staff: new(false),
				}
			},
		},
		"no password, rotated, and renamed by hand": {
			want: apiOnly,
			have: func(s *State) {
				s.User.FirstName, s.PasswordWrong = "Ann", true
				s.Tokens, s.TokensKnown, s.Key = nil, false, KeyUnused
			},
			plan: func(p *Plan) { // the name is set right as the account is closed
				createToken(p)
				want := someWanted()
				apiOnly(&want)
				p.User.Open = true
				p.User.Write = UserFields{Password: want.login().Password, FirstName: new("Service account (opening)")}
			},
		},
		"a password that came to an account left open": {
			have: func(s *State) { s.User.FirstName, s.PasswordWrong = "Service account (opening)", true },
			plan: func(p *Plan) {
				updateUser(p, "password", "first_name")
				p.User.Write = UserFields{Password: Hide(somePassword), FirstName: new("Service account")}
			},
		},

		// The superuser token's own account.
		"the superuser token's own account": {
			want: func(w *Wanted) { w.Rule.Adopt = true },
			have: func(s *State) {
				s.Own, s.PasswordWrong = true, true
				*s.User = User{ID: "user-1", Username: "openstack", FirstName: "Ann", LastName: "Other", Superuser: true, Staff: true, Active: true}
				s.Tokens, s.Key = []Token{{ID: "sup", Key: Hide(superuser), Username: "openstack", Description: byMark}, old("token-0", time.Time{})}, KeyUnused
			},
			plan: func(p *Plan) {
				createToken(p)
				p.Token.Notes, p.Token.Expire = []string{"1 superseded token expires in 1h"}, []string{"token-0"}
				p.User.Notes = []string{"the superuser token's own account: only its token is managed"}
			},
		},
		"the superuser token's own account, exclusive and without grace": {
			want: func(w *Wanted) { w.Rule.Adopt, w.Rule.Exclusive, w.Grace = true, true, 0 },
			have: func(s *State) {
				s.Own, s.User.Superuser = true, true
				s.Tokens = append(s.Tokens, Token{ID: "sup", Key: Hide(superuser), Expires: noon.Add(-time.Hour)}, byHand("a", time.Time{}))
			},
			plan: func(p *Plan) {
				updateToken(p)
				p.Token.Notes, p.Token.Delete, p.Token.Until = []string{"1 superseded token deleted"}, []string{"a"}, noon
				p.User.Notes = []string{"the superuser token's own account: only its token is managed"}
			},
		},
		"the superuser token is the Secret's token": {
			want: func(w *Wanted) { w.Rule.Adopt, w.SuperuserToken = true, w.Token },
			have: func(s *State) {
				s.Own, s.User.Superuser = true, true
				s.Tokens = append(s.Tokens, old("token-0", time.Time{}))
			},
			plan: func(p *Plan) {
				updateToken(p)
				p.Token.Notes, p.Token.Expire = []string{"1 superseded token expires in 1h"}, []string{"token-0"}
				p.User.Notes = []string{"the superuser token's own account: only its token is managed"}
			},
		},

		// The account that the Secret named before.
		"other accounts with the mark": {
			have: func(s *State) {
				s.Others = []User{{ID: "user-2", Username: "old-1"}, {ID: "user-3", Username: "old-2"}}
			},
			plan: func(p *Plan) {
				p.Revoke = []RevokeChange{
					{Change{Object: "user/old-1", Action: Revoked, Notes: []string{"the Secret names another account now"}}, "user-2"},
					{Change{Object: "user/old-2", Action: Revoked, Notes: []string{"the Secret names another account now"}}, "user-3"},
				}
			},
		},
		"other accounts with the mark, and no name for the cluster": {
			want: func(w *Wanted) { w.Named = false },
			have: func(s *State) { s.Others = []User{{ID: "user-2", Username: "old-1"}} },
			plan: func(p *Plan) {
				p.User.Notes = []string{"account old-1 has the same mark and is left alone: --cluster is not set"}
			},
		},

		// Group and permission, field by field.
		"group and permission as they should be": {have: func(s *State) { s.Access = rightAccess() }},
		"the permission's actions in another order": {
			have: func(s *State) {
				s.Access = rightAccess()
				s.Access.Permission.Actions = []string{"delete", "change", "view", "add"}
			},
		},
		"the group is missing, the permission is there": {
			have: func(s *State) {
				s.Access = rightAccess()
				s.Access.GroupExists, s.Access.Permission.Groups = false, nil
			},
			plan: func(p *Plan) {
				p.Group = &Change{Object: "group/managed", Action: Created}
				right := *rightAccess().Permission
				right.Groups = []Group{{Name: "managed"}}
				p.Permission = &PermissionChange{Change{Object: "permission/managed", Action: Updated, Fields: []string{"groups"}}, right}
			},
		},
		"everything about the permission at once": {
			have: func(s *State) {
				s.Access = &AccessState{GroupExists: true, Permission: &Permission{
					ID: "permission-1", Name: "managed", ObjectTypes: []string{"users.user"}, Actions: []string{"view"}, Groups: []Group{{9, "people"}},
				}}
			},
			plan: func(p *Plan) {
				right := *rightAccess().Permission
				right.Groups = []Group{{9, "people"}, {Name: "managed"}}
				p.Permission = &PermissionChange{
					Change{Object: "permission/managed", Action: Updated, Fields: []string{"enabled", "object_types", "actions", "constraints", "groups"}}, right,
				}
			},
		},
	}
	for field, drift := range map[string]func(*Permission){
		"enabled":      func(p *Permission) { p.Enabled = false },
		"object_types": func(p *Permission) { p.ObjectTypes = append(p.ObjectTypes, "users.user") },
		"actions":      func(p *Permission) { p.Actions = append(p.Actions, "run") },
		"constraints":  func(p *Permission) { p.Constraints = map[string]any{} },
		"groups":       func(p *Permission) { p.Groups = nil },
	} {
		tests["the permission's "+field] = struct {
			want func(*Wanted)
			have func(*State)
			plan func(*Plan)
		}{
			have: func(s *State) {
				s.Access = rightAccess()
				drift(s.Access.Permission)
			},
			plan: func(p *Plan) {
				right := *rightAccess().Permission
				if field == "groups" {
					right.Groups = []Group{{Name: "managed"}}
				}
				p.Permission = &PermissionChange{Change{Object: "permission/managed", Action: Updated, Fields: []string{field}}, right}
			},
		}
	}

	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want, have, plan := someWanted(), healthyState(), idlePlan()
			if test.want != nil {
				test.want(&want)
			}
			if test.have != nil {
				test.have(&have)
			}
			if test.plan != nil {
				test.plan(&plan)
			}
			got, err := MakePlan(want, have, noon)
			if err != nil {
				t.Fatal(err)
			}
			comparePlans(t, plan, got)
			if pending := test.plan != nil && cmp.Diff(changesWithoutNotes(idlePlan()), changesWithoutNotes(plan)) != "" || plan.User.Open || plan.User.Close; got.Pending() != pending {
				t.Errorf("pending: got %v, want %v", got.Pending(), pending)
			}
		})
	}
}

func changesWithoutNotes(plan Plan) []Change {
	changes := plan.Changes()
	for i := range changes {
		changes[i].Notes = nil
	}
	return changes
}

func TestMakePlanRefuses(t *testing.T) {
	const (
		taken  = `key "token": another account of Nautobot has this token: make a new one`
		unseen = `key "token": an account of Nautobot has this token, another one or one that the superuser token may not see (outside the managed group, staff or superuser): make a new one, or let a superuser look`
	)
	tests := map[string]struct {
		want func(*Wanted)
		have func(*State)
		err  string
	}{
		"an account that is not ours": {
			have: func(s *State) { s.User.LastName = "lab/nova/nautobot-token" },
			err:  `account "openstack" belongs to another Secret, lab/nova/nautobot-token: one account, one Secret`,
		},
		"groups that are missing": {
			have: func(s *State) { s.MissingGroups = []string{"one", "two"} },
			err: "Nautobot has no group one, which the rule gives to the account: create it first; " +
				"Nautobot has no group two, which the rule gives to the account: create it first",
		},
		"another's token":                   {have: func(s *State) { s.Tokens, s.Key = nil, KeyTaken }, err: taken},
		"another's token for a new account": {have: func(s *State) { *s = State{TokensKnown: true, Key: KeyTaken} }, err: unseen},
		"a token that works and is not the account's, which has every right": {
			have: func(s *State) { s.Tokens, s.TokensKnown, s.Key, s.Access = nil, false, KeyUsable, rightAccess() },
			err:  taken,
		},
		"ownership comes before groups and token": {
			have: func(s *State) { s.User.LastName, s.MissingGroups, s.Key = "", []string{"one"}, KeyTaken },
			err:  `"openstack" is an account that was not made for this Secret: choose another username, or allow to take it over with --adopt, or adopt: true in the policy's rule`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want, have := someWanted(), healthyState()
			if test.want != nil {
				test.want(&want)
			}
			test.have(&have)
			got, err := MakePlan(want, have, noon)
			if !errors.As(err, new(*Refusal)) {
				t.Fatalf("got error %v, want a *Refusal", err)
			}
			if diff := cmp.Diff(test.err, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			comparePlans(t, Plan{}, got)
		})
	}
}

func TestPlanChangesInTheirOrder(t *testing.T) {
	plan := Plan{
		Group:      &Change{Object: "group"},
		Permission: &PermissionChange{Change: Change{Object: "permission"}},
		User:       UserChange{Change: Change{Object: "user"}},
		Token:      TokenChange{Change: Change{Object: "token"}},
		Revoke:     []RevokeChange{{Change: Change{Object: "one"}}, {Change: Change{Object: "two"}}},
	}
	var got []string
	for _, change := range plan.Changes() {
		got = append(got, change.Object)
	}
	if diff := cmp.Diff([]string{"group", "permission", "user", "token", "one", "two"}, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
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

// someCase draws what is wanted and what is there, from all that each can be.
// The same seed gives the same.
func someCase(seed uint64) (Wanted, State) {
	r := rand.New(rand.NewPCG(seed, 0))
	flip := func() bool { return r.IntN(2) == 0 }
	rarely := func() bool { return r.IntN(5) == 0 }
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }

	want := someWanted()
	want.Named = flip()
	want.Grace = []time.Duration{0, time.Minute, time.Hour}[r.IntN(3)]
	want.Rule = Rule{Adopt: flip(), Superuser: flip(), Exclusive: flip()}
	if flip() {
		want.Rule.Groups = []string{"one", "two"}[:1+r.IntN(2)]
	}
	if flip() {
		apiOnly(&want)
	}
	if flip() {
		want.Email = "openstack@lab.example"
	}
	if rarely() {
		want.SuperuserToken = want.Token
	}

	expires := func() time.Time {
		return []time.Time{{}, {}, noon.Add(-time.Hour), noon, noon.Add(time.Second), noon.Add(time.Hour), noon.Add(48 * time.Hour)}[r.IntN(7)]
	}
	have := State{TokensKnown: true, Key: KeyUnused}
	if rarely() {
		have.Access = &AccessState{GroupExists: flip()}
		if flip() {
			have.Access = rightAccess()
			p := have.Access.Permission
			for _, drift := range []func(){
				func() { p.Enabled = false }, func() { p.ObjectTypes = nil }, func() { p.Actions = p.Actions[:2] },
				func() { p.Constraints = nil }, func() { p.Groups = []Group{{9, "people"}} },
			} {
				if rarely() {
					drift()
				}
			}
		}
	}
	for i := range r.IntN(3) {
		if rarely() {
			have.Others = append(have.Others, User{ID: fmt.Sprint("other-", i), Username: fmt.Sprint("old-", i), LastName: planMark, Active: true})
		}
	}
	if r.IntN(25) == 0 {
		have.MissingGroups = want.Rule.Groups
	}
	if rarely() {
		return want, have
	}

	have.User = &User{
		ID: "user-1", Username: "openstack", LastName: pick(planMark, planMark, planMark, planMark, "", "lab/nova/nautobot-token"),
		FirstName: pick(firstName, firstName, firstNameOpening, firstNameRevoked, "Ann"), Email: pick("", "openstack@lab.example", "old@lab.example"),
		Active: !rarely(), Superuser: rarely(), Staff: rarely(),
	}
	for i, name := range []string{"people", "managed", "one", "two", "more"} {
		if flip() {
			have.User.Groups = append(have.User.Groups, Group{i + 1, name})
		}
	}
	have.Own = have.User.Superuser && flip()
	have.PasswordWrong, have.Opened = flip(), rarely()
	have.Key = []KeyState{KeyNotAsked, KeyUnused, KeyUnused, KeyTaken, KeyUsable, KeyExpired}[r.IntN(6)]
	if rarely() && !have.Own {
		have.TokensKnown = false
		return want, have
	}
	if have.Key != KeyTaken {
		have.Key = KeyUnused
	}
	for i := range r.IntN(6) {
		have.Tokens = append(have.Tokens, Token{
			ID: fmt.Sprint("token-", i+1), Key: Hide(fmt.Sprint("key-", i)), Username: "openstack",
			Description: pick(byMark, byMark, "of Ann", ""), Expires: expires(), Writable: flip(),
		})
	}
	for _, key := range []Sensitive{want.Token, want.SuperuserToken} {
		if n := len(have.Tokens); n > 0 && flip() {
			have.Tokens[r.IntN(n)].Key = key
		}
	}
	if find(have.Tokens, want.Token) != nil {
		have.Key = KeyNotAsked
	}
	return want, have
}

const cases = 10_000

// TestMakePlanKeepsItsPromises holds every plan against what may never happen.
func TestMakePlanKeepsItsPromises(t *testing.T) {
	planned := 0
	for seed := range uint64(cases) {
		want, have := someCase(seed)
		plan, err := MakePlan(want, have, noon)

		wantBefore, haveBefore := someCase(seed)
		if !cmp.Equal(wantBefore, want) || !cmp.Equal(haveBefore, have) {
			t.Fatalf("seed %d: MakePlan changed its arguments", seed)
		}
		again, errAgain := MakePlan(want, have, noon)
		if !cmp.Equal(plan, again, cmp.AllowUnexported(TokenChange{})) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("seed %d: MakePlan answers differently when asked again", seed)
		}
		if err != nil {
			if !errors.As(err, new(*Refusal)) || !cmp.Equal(Plan{}, plan, cmp.AllowUnexported(TokenChange{})) {
				t.Errorf("seed %d: got error %v, want a *Refusal and no plan", seed, err)
			}
			continue
		}
		planned++
		for _, broken := range brokenPromises(want, have, plan) {
			t.Errorf("seed %d: %s", seed, broken)
		}
	}
	if planned < cases/4 {
		t.Errorf("only %d of %d cases were not refused", planned, cases)
	}
}

func brokenPromises(want Wanted, have State, plan Plan) (broken []string) {
	say := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }

	ending := slices.Concat(plan.Token.Expire, plan.Token.Delete)
	for _, id := range ending {
		i := slices.IndexFunc(have.Tokens, func(token Token) bool { return token.ID == id })
		if i < 0 {
			say("it ends a token %q that there is not", id)
			continue
		}
		token := have.Tokens[i]
		expired := !token.Expires.IsZero() && !token.Expires.After(noon)
		switch {
		case token.Key.Equal(want.Token):
			say("it ends the Secret's token")
		case token.Key.Equal(want.SuperuserToken):
			say("it ends the superuser token")
		case token.Description != byMark && !want.Rule.Exclusive:
			say("it ends a token by hand")
		case slices.Contains(plan.Token.Delete, id) && want.Grace > 0 && !expired:
			say("it deletes a token that still has its grace")
		case slices.Contains(plan.Token.Expire, id) && expired:
			say("it gives an expired token more time")
		case slices.Contains(plan.Token.Expire, id) && !token.Expires.IsZero() && token.Expires.Before(plan.Token.Until):
			say("it makes a token live longer")
		}
	}
	if slices.Sort(ending); len(slices.Compact(slices.Clone(ending))) != len(ending) {
		say("it ends a token twice")
	}
	if !plan.Token.Until.Equal(noon.Add(want.Grace)) {
		say("tokens expire at %v", plan.Token.Until)
	}

	write := plan.User.Write
	switch {
	case write.Staff != nil && *write.Staff:
		say("it makes the account staff")
	case write.Superuser != nil && *write.Superuser && !want.Rule.Superuser:
		say("it makes the account a superuser, which the rule does not grant")
	case write.Active != nil && !*write.Active:
		say("it deactivates the account")
	}
	if have.User == nil {
		if write.Username != want.Username || write.Password.Empty() || !slices.Contains(write.Groups, Group{Name: want.ManagedGroup}) || *write.LastName != planMark {
			say("it creates an account that is not whole")
		}
		return broken
	}
	if write.Username != "" {
		say("it renames the account")
	}
	if have.Own && (plan.User.writes() || plan.User.Open || plan.User.Close || plan.User.Action != Unchanged) {
		say("it changes the superuser token's own account")
	}
	if !write.Password.Empty() && !have.PasswordWrong {
		say("it sets a password that is right already")
	}
	if !write.Password.Empty() && want.apiOnly() && !plan.User.Open {
		say("it gives a password to an account for the API only, for good")
	}
	if opened := write.FirstName != nil && *write.FirstName == firstNameOpening; opened != plan.User.Open {
		say("it opens the account and does not say so there, or the other way round")
	}
	for _, group := range have.User.Groups {
		if write.Groups != nil && !slices.Contains(write.Groups, group) {
			say("it takes the account out of group %q", group.Name)
		}
	}
	for _, group := range write.Groups {
		if !slices.Contains(have.User.Groups, group) && group.Name != want.ManagedGroup && !slices.Contains(want.Rule.Groups, group.Name) {
			say("it puts the account into group %q", group.Name)
		}
	}
	for _, revoke := range plan.Revoke {
		if !want.Named || !slices.ContainsFunc(have.Others, func(user User) bool { return user.ID == revoke.ID }) {
			say("it revokes %q", revoke.Object)
		}
	}
	shown := fmt.Sprintf("%+v %+v", plan, plan.Changes())
	for _, secret := range []Sensitive{want.Token, want.Password, want.SuperuserToken, want.login().Password} {
		if !secret.Empty() && strings.Contains(shown, secret.Reveal()) {
			say("it shows a secret")
		}
	}
	return broken
}

// TestMakePlanConverges carries plans out on paper: after three at most there
// is nothing left to do.
func TestMakePlanConverges(t *testing.T) {
	for seed := range uint64(5 * cases) {
		want, have := someCase(seed)
		if !have.TokensKnown {
			continue // what is there is not known here either
		}
		var plan Plan
		for round := 0; ; round++ {
			var err error
			if plan, err = MakePlan(want, have, noon); err != nil {
				break // refused: nothing to do
			}
			if !plan.Pending() {
				if plan.User.writes() || !cmp.Equal(TokenFields{}, plan.Token.Write) || len(plan.Token.Expire)+len(plan.Token.Delete)+len(plan.Revoke) > 0 {
					t.Errorf("seed %d: a plan with writes is not pending: %+v", seed, plan)
				}
				break
			}
			if round == 3 {
				t.Fatalf("seed %d: there is always something left to do: %+v", seed, plan.Changes())
			}
			have = carriedOut(want, have, plan)
		}
	}
}

// carriedOut is the state after a plan, as the next round would observe it.
func carriedOut(want Wanted, have State, plan Plan) State {
	if plan.Group != nil {
		have.Access.GroupExists = true
	}
	if plan.Permission != nil {
		have.Access.Permission = &plan.Permission.Permission
	}
	user := User{ID: "user-1", Active: true}
	if have.User != nil {
		user = *have.User
	}
	write := plan.User.Write
	if write.Username != "" {
		user.Username = write.Username
	}
	for from, to := range map[*string]*string{write.FirstName: &user.FirstName, write.LastName: &user.LastName, write.Email: &user.Email} {
		if from != nil {
			*to = *from
		}
	}
	for from, to := range map[*bool]*bool{write.Active: &user.Active, write.Superuser: &user.Superuser, write.Staff: &user.Staff} {
		if from != nil {
			*to = *from
		}
	}
	if write.Groups != nil {
		user.Groups = write.Groups
	}
	if plan.User.Close {
		user.FirstName = firstName
	}
	if !write.Password.Empty() {
		have.PasswordWrong = false
	}
	have.User, have.Opened, have.Others = &user, have.Opened || plan.User.Open, nil
	if !want.Named {
		have.Others = []User{{ID: "other", Username: "old"}}
	}

	var tokens []Token
	for _, token := range have.Tokens {
		if slices.Contains(plan.Token.Delete, token.ID) {
			continue
		}
		if slices.Contains(plan.Token.Expire, token.ID) {
			token.Expires = plan.Token.Until
		}
		if token.ID == plan.Token.ID {
			if plan.Token.Write.NeverExpire {
				token.Expires = time.Time{}
			}
			if plan.Token.Write.Description != nil {
				token.Description = *plan.Token.Write.Description
			}
			token.Writable = token.Writable || plan.Token.Write.Writable != nil
		}
		tokens = append(tokens, token)
	}
	if fields := plan.Token.Write; !fields.Key.Empty() {
		tokens = append(tokens, Token{ID: "new", Key: fields.Key, Username: want.Username, Description: *fields.Description, Writable: *fields.Writable})
	}
	have.Tokens, have.Key = tokens, KeyNotAsked
	return have
}
