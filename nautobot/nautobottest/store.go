package nautobottest

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// A User is a stored account. The zero value of a flag is Nautobot's default.
type User struct {
	ID            string // a UUID, made up by AddUser if empty
	Username      string
	Password      string // as set, in clear; empty: unusable, nobody can log in with one
	BlankPassword bool   // the stored hash is "", as scripts and single sign-on leave it: every PATCH without password is refused
	FirstName     string
	LastName      string
	Email         string
	Superuser     bool
	Staff         bool
	Inactive      bool
	Groups        []string // names
	Joined        time.Time
}

// A Token is a stored API token.
type Token struct {
	ID          string // a UUID, made up by AddToken if empty
	Username    string // of its owner
	Key         string // 40 hexadecimal digits made up by AddToken if empty
	Description string
	ReadOnly    bool
	Expires     time.Time // zero: never
	Created     time.Time
}

// A Group is a stored group.
type Group struct {
	ID   int
	Name string
}

// A Permission is a stored object permission.
type Permission struct {
	ID          string // a UUID, made up by AddPermission if empty
	Name        string
	Description string
	Disabled    bool
	ObjectTypes []string // such as "users.token"
	Actions     []string // view, add, change, delete
	Constraints any      // as decoded from JSON: nil, an object or a list of objects
	Groups      []string // names
	Users       []string // usernames; not shown over REST
}

// state is everything a server knows. Slices inside the objects are replaced and never written to, so a copy of the
// outer slices is a copy of all.
type state struct {
	users       []User
	tokens      []Token
	groups      []Group
	permissions []Permission
	lastGroup   int
}

func (st *state) copy() state {
	return state{slices.Clone(st.users), slices.Clone(st.tokens), slices.Clone(st.groups), slices.Clone(st.permissions), st.lastGroup}
}

// find returns the first element that is meant, or nil.
func find[T any](all []T, meant func(*T) bool) *T {
	for i := range all {
		if meant(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

func (st *state) user(name string) *User {
	return find(st.users, func(u *User) bool { return u.Username == name })
}

func (st *state) token(key string) *Token {
	return find(st.tokens, func(t *Token) bool { return t.Key == key })
}

func (st *state) group(name string) *Group {
	return find(st.groups, func(g *Group) bool { return g.Name == name })
}

// deleteUser also removes the user's tokens and direct permissions.
func (st *state) deleteUser(name string) {
	st.users = slices.DeleteFunc(st.users, func(u User) bool { return u.Username == name })
	st.tokens = slices.DeleteFunc(st.tokens, func(t Token) bool { return t.Username == name })
	for i := range st.permissions {
		st.permissions[i].Users = without(st.permissions[i].Users, name)
	}
}

func (st *state) deleteGroup(name string) {
	st.groups = slices.DeleteFunc(st.groups, func(g Group) bool { return g.Name == name })
	for i := range st.users {
		st.users[i].Groups = without(st.users[i].Groups, name)
	}
	for i := range st.permissions {
		st.permissions[i].Groups = without(st.permissions[i].Groups, name)
	}
}

// renameUser follows a name to where it is used.
func (st *state) renameUser(from, to string) {
	for i := range st.tokens {
		if st.tokens[i].Username == from {
			st.tokens[i].Username = to
		}
	}
}

func (st *state) addGroup(name string) *Group {
	st.lastGroup++
	st.groups = append(st.groups, Group{ID: st.lastGroup, Name: name})
	return &st.groups[len(st.groups)-1]
}

func (st *state) needGroups(names []string) {
	for _, name := range names {
		if st.group(name) == nil {
			st.addGroup(name)
		}
	}
}

// AddUser stores a user and returns it with its id. Groups that do not exist yet are made. It panics if the name is taken.
func (s *Server) AddUser(u User) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.user(u.Username) != nil {
		panic("nautobottest: user exists: " + u.Username)
	}
	u.ID, u.Joined = cmp.Or(u.ID, newID()), orNow(u.Joined, s.options.Now)
	s.state.needGroups(u.Groups)
	s.state.users = append(s.state.users, u)
	return u
}

// User returns the user of that name.
func (s *Server) User(name string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.state.user(name); u != nil {
		return *u, true
	}
	return User{}, false
}

// UpdateUser changes a stored user; change must not call the server. It panics if there is no such user.
func (s *Server) UpdateUser(name string, change func(*User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.state.user(name)
	if u == nil {
		panic("nautobottest: no such user: " + name)
	}
	u.Groups = slices.Clone(u.Groups)
	change(u)
	s.state.needGroups(u.Groups)
	s.state.renameUser(name, u.Username)
}

// DeleteUser removes a user and the user's tokens.
func (s *Server) DeleteUser(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.deleteUser(name)
}

// AddToken stores a token of a user and returns it with its id and key. It panics if there is no such user or the key is
// taken. It does not check the key's form.
func (s *Server) AddToken(username string, t Token) Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.user(username) == nil {
		panic("nautobottest: no such user: " + username)
	}
	t.Username, t.ID, t.Key, t.Created = username, cmp.Or(t.ID, newID()), cmp.Or(t.Key, newKey()), orNow(t.Created, s.options.Now)
	if s.state.token(t.Key) != nil {
		panic("nautobottest: key exists")
	}
	s.state.tokens = append(s.state.tokens, t)
	return t
}

// Tokens returns a user's tokens, oldest first.
func (s *Server) Tokens(username string) []Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	var own []Token
	for _, t := range s.state.tokens {
		if t.Username == username {
			own = append(own, t)
		}
	}
	return own
}

// UpdateToken changes the token with that key; change must not call the server. It panics if there is none.
func (s *Server) UpdateToken(key string, change func(*Token)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.state.token(key)
	if t == nil {
		panic("nautobottest: no such token")
	}
	change(t)
}

// DeleteToken removes the token with that key.
func (s *Server) DeleteToken(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.tokens = slices.DeleteFunc(s.state.tokens, func(t Token) bool { return t.Key == key })
}

// AddGroup stores a group, or returns the one of that name.
func (s *Server) AddGroup(name string) Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.needGroups([]string{name})
	return *s.state.group(name)
}

// DeleteGroup removes a group and everybody's membership of it.
func (s *Server) DeleteGroup(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.deleteGroup(name)
}

// AddPermission stores a permission and returns it with its id. Groups that do not exist yet are made. It panics if the
// name is taken.
func (s *Server) AddPermission(p Permission) Permission {
	s.mu.Lock()
	defer s.mu.Unlock()
	if find(s.state.permissions, func(q *Permission) bool { return q.Name == p.Name }) != nil {
		panic("nautobottest: permission exists: " + p.Name)
	}
	p.ID = cmp.Or(p.ID, newID())
	s.state.needGroups(p.Groups)
	s.state.permissions = append(s.state.permissions, p)
	return p
}

// DeletePermission removes the permission of that name.
func (s *Server) DeletePermission(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.permissions = slices.DeleteFunc(s.state.permissions, func(p Permission) bool { return p.Name == name })
}

// A Snapshot is the state without what chance and clock decide: ids, and times except a token's Expires, which a test
// controls by Options.Now. All is sorted by name (tokens by owner and key), so two snapshots can be compared with go-cmp.
type Snapshot struct {
	Users       []User
	Tokens      []Token
	Groups      []Group
	Permissions []Permission
}

// Snapshot returns the state as a comparable value. The key of the superuser's ready-made token is left out of it.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state.copy()
	for i := range st.users {
		u := &st.users[i]
		u.ID, u.Joined, u.Groups = "", time.Time{}, slices.Sorted(slices.Values(u.Groups))
	}
	for i := range st.tokens {
		t := &st.tokens[i]
		t.ID, t.Created, t.Expires = "", time.Time{}, t.Expires.UTC()
		if t.Key == s.Token {
			t.Key = ""
		}
	}
	for i := range st.groups {
		st.groups[i].ID = 0
	}
	for i := range st.permissions {
		p := &st.permissions[i]
		p.ID = ""
		p.Groups, p.Users = slices.Sorted(slices.Values(p.Groups)), slices.Sorted(slices.Values(p.Users))
	}
	slices.SortFunc(st.users, func(a, b User) int { return cmp.Compare(a.Username, b.Username) })
	slices.SortFunc(st.tokens, func(a, b Token) int { return cmp.Or(cmp.Compare(a.Username, b.Username), cmp.Compare(a.Key, b.Key)) })
	slices.SortFunc(st.groups, func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(st.permissions, func(a, b Permission) int { return cmp.Compare(a.Name, b.Name) })
	return Snapshot{st.users, st.tokens, st.groups, st.permissions}
}

// newID makes a random (version 4) UUID.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newKey() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func orNow(t time.Time, now func() time.Time) time.Time {
	if t.IsZero() {
		return now()
	}
	return t
}

func has(all []string, one string) bool { return slices.Contains(all, one) }

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return has(b, s) })
}

func without(all []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == one })
}

// pointers are a slice's elements, as objects.
func pointers[T any, P interface {
	*T
	object
}](stored []T) []object {
	var all []object
	for i := range stored {
		all = append(all, P(&stored[i]))
	}
	return all
}
