package provision

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answers is a Nautobot that answers every request with the same error, if there
// is one, and otherwise with these users and tokens.
type answers struct {
	err     error
	user    User
	users   []User
	token   Token
	tokens  []Token
	deleted *[]string
	expires *time.Time
}

func (a answers) FindUser(context.Context, string) (*User, []string, error) { return nil, nil, a.err }

func (a answers) OwnedUsers(context.Context, ...string) ([]User, error)     { return a.users, a.err }
func (a answers) UsersUnder(context.Context, string) iter.Seq2[User, error] { return nil }
func (a answers) DeleteUser(context.Context, string) error                  { return a.err }

func (a answers) CreateUser(context.Context, UserFields) (User, error) { return a.user, a.err }
func (a answers) UpdateUser(context.Context, string, UserFields) (User, error) {
	return User{}, a.err
}

func (a answers) ClearPassword(context.Context, string, string, string) (User, error) {
	return User{Active: true}, a.err
}
func (a answers) Authenticate(context.Context, Login) error      { return a.err }
func (a answers) Tokens(context.Context, Login) ([]Token, error) { return a.tokens, a.err }

func (a answers) CreateToken(context.Context, Login, TokenFields) (Token, error) {
	return a.token, a.err
}
func (a answers) UpdateToken(context.Context, Login, string, TokenFields) error { return a.err }
func (a answers) GroupExists(context.Context, string) (bool, error)             { return false, a.err }
func (a answers) CreateGroup(context.Context, string) error                     { return a.err }
func (a answers) Permission(context.Context, string) (*Permission, error)       { return nil, a.err }
func (a answers) SavePermission(context.Context, Permission) error              { return a.err }
func (a answers) ExpireTokens(_ context.Context, _ Login, _ []string, at time.Time) error {
	if a.expires != nil {
		*a.expires = at
	}
	return a.err
}

func (a answers) DeleteTokens(_ context.Context, _ Login, ids []string) error {
	if a.deleted != nil {
		*a.deleted = append(*a.deleted, ids...)
	}
	return a.err
}

func newReconciler(nautobot Nautobot) *reconciler {
	return &reconciler{
		nautobot: nautobot, retries: map[string]int{}, log: slog.New(slog.DiscardHandler), now: func() time.Time { return noon },
	}
}

// fieldError is what the adapter makes of an answer that rejects a field.
type fieldError string

func (e fieldError) Error() string        { return "not good: " + string(e) }
func (e fieldError) Is(target error) bool { return target == ErrRejected || target == RejectedField(e) }

// TestMeanings is the whole table of writes and answers: what each means and,
// after a slash, what it means once the retries are used up.
func TestMeanings(t *testing.T) {
	const want = `
write            uncertain     username      key           name          groups        password      a field       else          inactive      denied
create group     again/fail    fail          fail          again/fail    fail          fail          fail          fail          fail          fail
save permission  again/fail    fail          fail          again/fail    fail          fail          fail          fail          fail          fail
create user      again/fail    again/refused refused       refused       group/refused refused       refused       fail          fail          fail
create superuser again/fail    again/refused refused       refused       group/refused refused       refused       fail          fail          refused
update user      again/fail    refused       refused       refused       group/refused again/refused refused       fail          fail          fail
update password  again/fail    refused       refused       refused       group/refused refused       refused       fail          fail          fail
update superuser again/fail    refused       refused       refused       group/refused again/refused refused       fail          fail          refused
clear password   again/fail    refused       refused       refused       refused       refused       refused       fail          fail          fail
create token     again/fail    refused       again/refused refused       refused       refused       refused       fail          again/fail    group/again/fail
update token     again/fail    refused       refused       refused       refused       refused       refused       fail          again/fail    group/again/fail
expire tokens    again/fail    refused       refused       refused       refused       refused       refused       fail          again/fail    group/again/fail
delete tokens    again/fail    refused       refused       refused       refused       refused       refused       fail          again/fail    group/again/fail
verify token     again/fail    refused       refused       refused       refused       refused       refused       fail          again/fail    fail
confirm owner    again/fail    refused       refused       refused       refused       refused       refused       fail          fail          fail
`
	kinds := []struct {
		name string
		write
	}{
		{"create group", createGroup{}},
		{"save permission", savePermission{}},
		{"create user", createUser{}},
		{"create superuser", createUser{Fields: UserFields{Superuser: new(true)}}},
		{"update user", updateUser{Fields: UserFields{Superuser: new(false)}}},
		{"update password", updateUser{Fields: UserFields{Password: Hide(somePassword)}}},
		{"update superuser", updateUser{Fields: UserFields{Superuser: new(true)}}},
		{"clear password", clearPassword{}},
		{"create token", createToken{}},
		{"update token", updateToken{}},
		{"expire tokens", expireTokens{}},
		{"delete tokens", deleteTokens{}},
		{"verify token", verifyToken{}},
		{"confirm owner", confirmOwner{}},
	}
	answered := []struct {
		name   string
		errors []error
	}{
		{"uncertain", []error{ErrUncertain}},
		{"username", []error{fieldError("username")}},
		{"key", []error{fieldError("key")}},
		{"name", []error{fieldError("name")}},
		{"groups", []error{fieldError("groups")}},
		{"password", []error{fieldError("password")}},
		{"a field", []error{fieldError("another")}},
		{"else", []error{ErrInvalidToken, ErrTokenExpired, errors.New("another")}},
		{"inactive", []error{ErrUserInactive}},
		{"denied", []error{ErrDenied}},
	}
	got := ""
	cell := func(text string, width int) { got += fmt.Sprintf("%-*s", width, text) }
	cell("\nwrite", 18)
	for _, answer := range answered {
		cell(answer.name, 14)
	}
	for _, k := range kinds {
		cell("\n"+k.name, 18)
		for _, answer := range answered {
			var outcomes []string
			for _, err := range answer.errors {
				r := newReconciler(answers{err: err})
				for range 3 * maxRetries {
					if next := outcome(r, step{write: k.write}); len(outcomes) == 0 || next != outcomes[len(outcomes)-1] {
						outcomes = append(outcomes, next)
					}
				}
			}
			cell(strings.Join(outcomes, "/"), 14)
		}
	}
	if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
		t.Errorf("meanings (-want +got):\n%s", diff)
	}
}

// outcome is what a step results in.
func outcome(r *reconciler, s step) string {
	err := r.carryOut(context.Background(), s)
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, errStale):
		return "again"
	case errors.As(err, new(errNeedGroup)):
		return "group"
	case errors.As(err, new(*Refusal)):
		return "refused"
	}
	return "fail"
}

// lines are the lines of a table, without the blanks at their ends.
func lines(table string) []string {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// TestRetries: each write of each object has its own, and the managed group too.
func TestRetries(t *testing.T) {
	r := newReconciler(answers{err: ErrUncertain})
	for i := range maxRetries + 1 {
		want := "again"
		if i == maxRetries {
			want = "fail"
		}
		for name, s := range map[string]step{
			"one object's":    {Change: Change{Object: "user/a"}, write: updateUser{}},
			"another's":       {Change: Change{Object: "user/b"}, write: updateUser{}},
			"another write's": {Change: Change{Object: "user/a"}, write: clearPassword{}},
		} {
			if got := outcome(r, s); got != want {
				t.Errorf("%s retry %d: got %s, want %s", name, i+1, got, want)
			}
		}
	}
}

func TestRefusalsOfWrites(t *testing.T) {
	super := UserFields{Superuser: new(true)}
	for want, test := range map[string]struct {
		write write
		err   error
	}{
		"the rule grants superuser, which requires a superuser's token: the superuser token's account is not one": {createUser{Fields: super}, ErrDenied},
		"an account of that name exists, but the superuser token may not see it: not good: username":              {createUser{}, fieldError("username")},
		"not good: password": {updateUser{Fields: UserFields{Password: Hide(somePassword)}}, fieldError("password")},
		"not good: email":    {createUser{Fields: super}, fieldError("email")},
	} {
		r := newReconciler(answers{err: test.err})
		r.retries["create user"] = maxRetries
		if got := r.carryOut(t.Context(), step{write: test.write}); got == nil || got.Error() != want {
			t.Errorf("got %v, want %q", got, want)
		}
	}
}

// TestSend is what a run remembers of a write, however it ended.
func TestSend(t *testing.T) {
	opens, adopts := updateUser{ID: "user-1", Opens: true}, updateUser{ID: "user-1", Adopts: true}
	activates := updateUser{ID: "user-1", Fields: UserFields{Active: new(true)}}
	deactivates := updateUser{ID: "user-1", Fields: UserFields{Active: new(false)}}
	sets := updateUser{ID: "user-1", Fields: UserFields{Password: Hide(somePassword)}}
	setsTemporary := updateUser{ID: "user-1", Opens: true, Fields: UserFields{Password: Hide(somePassword)}}
	blank := fieldError("password")
	tests := map[string]struct {
		write         write
		err           error
		before, after progress
	}{
		"opened":                       {opens, nil, progress{}, progress{opened: true}},
		"perhaps opened":               {opens, ErrUncertain, progress{}, progress{opened: true}},
		"created, perhaps opened":      {createUser{Opens: true}, ErrUncertain, progress{}, progress{opened: true}},
		"created":                      {createUser{}, nil, progress{}, progress{mine: true}},
		"taken over":                   {adopts, nil, progress{}, progress{adopted: true, mine: true}},
		"perhaps taken over":           {adopts, ErrUncertain, progress{}, progress{adopted: true}},
		"not taken over":               {adopts, ErrDenied, progress{}, progress{}},
		"activated":                    {activates, nil, progress{}, progress{revived: true}},
		"perhaps activated":            {activates, ErrUncertain, progress{}, progress{revived: true}},
		"not activated":                {activates, ErrDenied, progress{}, progress{}},
		"deactivated":                  {deactivates, nil, progress{}, progress{}},
		"password set":                 {sets, nil, progress{passwordWrites: 1}, progress{passwordWrites: 2}},
		"password perhaps set":         {sets, ErrUncertain, progress{}, progress{}},
		"temporary password set":       {setsTemporary, nil, progress{}, progress{opened: true}},
		"password refused":             {sets, blank, progress{}, progress{}},
		"password refused without one": {adopts, blank, progress{}, progress{blankPassword: true}},
		"password refused no more":     {adopts, nil, progress{blankPassword: true}, progress{adopted: true, mine: true}},
		"another's meanwhile":          {confirmOwner{}, nil, progress{}, progress{lost: true}},
		"cleared":                      {clearPassword{ID: "user-1"}, nil, progress{opened: true}, progress{}},
		"perhaps cleared":              {clearPassword{ID: "user-1"}, ErrUncertain, progress{opened: true}, progress{opened: true}},
		"a token":                      {updateToken{}, ErrUncertain, progress{}, progress{}},
		"a token perhaps created":      {createToken{}, ErrUncertain, progress{}, progress{madeToken: true}},
		"a token not created":          {createToken{}, ErrDenied, progress{}, progress{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReconciler(answers{err: test.err})
			r.progress = test.before
			outcome(r, step{Change: Change{Object: "user/a"}, write: test.write})
			if !r.wrote && !r.lost && (test.err == nil || errors.Is(test.err, ErrUncertain)) {
				t.Error("the run does not know that it wrote something")
			}
			r.wrote, r.kept = false, false
			if r.progress != test.after {
				t.Errorf("got %+v, want %+v", r.progress, test.after)
			}
		})
	}
}

// TestSendChecksAnswers: a token that Nautobot created, or listed, may turn out
// not to be the Secret's.
func TestSendChecksAnswers(t *testing.T) {
	ours := Token{ID: "token-1", Key: Hide(someToken), Username: planUsername}
	others, generated := ours, ours
	others.Username, generated.Key = "nova", Hide(oldToken)
	create, verify := createToken{byPassword, TokenFields{Key: Hide(someToken)}}, verifyToken{byToken}
	confirm := confirmOwner{someDesired().Owner, planUsername}
	const (
		otherKey = "create token: Nautobot created one with a key other than the Secret's; it has been deleted"
		notOurs  = `verify the token: Nautobot does not count it among the tokens of "openstack"`
		lost     = `account "openstack" was taken over for another Secret at the same time: change the username in one of the two`
	)
	tests := map[string]struct {
		write   write
		answers answers
		err     string
		deleted []string
	}{
		"created":                  {create, answers{token: ours}, "", nil},
		"created with another key": {create, answers{token: generated}, otherKey, []string{"token-1"}},
		"verified":                 {verify, answers{tokens: []Token{others, ours}[1:]}, "", nil},
		"another account's":        {verify, answers{tokens: []Token{others}}, notOurs, nil},
		"not listed":               {verify, answers{tokens: []Token{generated}}, notOurs, nil},
		"not verified":             {verify, answers{err: ErrDenied}, "verify the token: not permitted, or a wrong password", nil},
		"still the owner":          {confirm, answers{users: []User{{Username: planUsername}}, tokens: []Token{ours}}, "", nil},
		"not the owner any more":   {confirm, answers{users: []User{{Username: "nova"}}, tokens: []Token{ours}}, lost, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var deleted []string
			test.answers.deleted = &deleted
			got := ""
			if err := test.write.send(t.Context(), newReconciler(test.answers)); err != nil {
				got = err.Error()
			}
			if got != test.err {
				t.Errorf("got error %q, want %q", got, test.err)
			}
			if diff := cmp.Diff(test.deleted, deleted); diff != "" {
				t.Errorf("deleted tokens (-want +got):\n%s", diff)
			}
		})
	}
}
