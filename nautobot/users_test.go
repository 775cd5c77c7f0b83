package nautobot

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

func TestUserIsReadWithGroupsAndFlags(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		stored := f.AddUser(nautobottest.User{
			Username: "a.b+c@d_e-f", FirstName: "Service account", LastName: "lab-1/openstack/token", Email: "a@example.org",
			Superuser: true, Staff: true, Inactive: true, Groups: []string{"one", "the other"},
		})
		got, _, err := f.FindUser(t.Context(), "a.b+c@d_e-f")
		if err != nil {
			t.Fatal(err)
		}
		want := &provision.User{
			ID: stored.ID, Username: "a.b+c@d_e-f", FirstName: "Service account", LastName: "lab-1/openstack/token",
			Email: "a@example.org", Superuser: true, Staff: true,
			Groups: []provision.Group{{Name: "one"}, {Name: "the other"}},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(provision.Group{}, "ID")); diff != "" {
			t.Errorf("User (-want +got):\n%s", diff)
		}
		if n := len(f.Requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

// Upper and lower case count. Whoever asks is told about names that differ in
// nothing else: a person may have meant one of them.
func TestFindUserTellsOfSimilarNames(t *testing.T) {
	tests := map[string]struct {
		stored  []string // besides the account
		found   bool
		similar []string
	}{
		"nobody of that name":                     {},
		"exactly that name":                       {stored: []string{"a.b+c"}, found: true},
		"one in other case":                       {stored: []string{"A.b+C"}, similar: []string{"A.b+C"}},
		"that name and two in other case":         {stored: []string{"A.B+C", "a.b+c", "a.b+C"}, found: true, similar: []string{"A.B+C", "a.b+C"}},
		"names of which that one is a part":       {stored: []string{"a.b+c.", "xa.b+c", "a.b+cc"}},
		"a name in which the sign is another one": {stored: []string{"a.b-c", "a-b+c"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture) {
				for _, username := range tc.stored {
					f.AddUser(nautobottest.User{Username: username})
				}
				user, similar, err := f.FindUser(t.Context(), "a.b+c")
				if err != nil || (user != nil) != tc.found || tc.found && user.Username != "a.b+c" {
					t.Errorf("user is %v, error %v, want found: %v", user, err, tc.found)
				}
				if diff := cmp.Diff(tc.similar, similar); diff != "" {
					t.Errorf("similar names (-want +got):\n%s", diff)
				}
				if n := len(f.Requests()); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
			})
		})
	}
}

func TestUsersOfAllPagesAreRead(t *testing.T) {
	f := newFixture(t, nautobottest.Options{MaxPageSize: 3})
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("owned-%d", i)
		f.AddUser(nautobottest.User{Username: name, LastName: "ns/name", Inactive: i < 6})
		want = append(want, name)
	}
	owned, err := f.OwnedUsers(t.Context(), "ns/name")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, user := range owned {
		got = append(got, user.Username)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("OwnedUsers (-want +got):\n%s", diff)
	}

	for _, name := range []string{"TWIN", "Twin", "tWin", "twin"} {
		f.AddUser(nautobottest.User{Username: name})
	}
	user, similar, err := f.FindUser(t.Context(), "twin")
	if err != nil || user == nil || len(similar) != 3 {
		t.Errorf("FindUser = %v, %q, %v, want the one of the second page, and 3 names", user, similar, err)
	}
}

// A database that does not tell upper from lower case finds more accounts than
// were asked for.
func TestOwnedUsersAreComparedByLastName(t *testing.T) {
	client := stub(t, say("application/json", `{"count":2,"results":[`+
		userWith(`"username":"a","last_name":"NS/name"`)+`,`+userWith(`"username":"b","last_name":"ns/name"`)+`]}`))
	owned, err := client.OwnedUsers(t.Context(), "ns/name")
	if err != nil || len(owned) != 1 || owned[0].Username != "b" {
		t.Errorf("OwnedUsers = %v, %v, want b", owned, err)
	}
}

// userWith is a user in Nautobot's words, with these fields.
func userWith(fields string) string {
	return `{"id":"` + someID + `","is_active":true,"is_superuser":false,"is_staff":false,"groups":[],"first_name":"","email":"",` + fields + `}`
}

func TestEmptyNamesAreNeverSentAsFilters(t *testing.T) {
	f := newFixture(t, nautobottest.Options{})
	if user, _, err := f.FindUser(t.Context(), ""); user != nil || err == nil {
		t.Errorf("FindUser = %v, %v, want an error", user, err)
	}
	if users, err := f.OwnedUsers(t.Context(), ""); users != nil || err == nil {
		t.Errorf("OwnedUsers = %v, %v, want an error", users, err)
	}
	if exists, err := f.GroupExists(t.Context(), ""); exists || err == nil {
		t.Errorf("GroupExists = %v, %v, want an error", exists, err)
	}
	if permission, err := f.Permission(t.Context(), ""); permission != nil || err == nil {
		t.Errorf("Permission = %v, %v, want an error", permission, err)
	}
	if requests := f.Requests(); len(requests) > 0 {
		t.Errorf("sent %v, want no request", requests)
	}
}

func TestCreateUser(t *testing.T) {
	tests := map[string]struct {
		fields provision.UserFields
		want   nautobottest.User
	}{
		"only the name and a group by name": {
			fields: provision.UserFields{Username: "new", Groups: []provision.Group{{Name: managed}}},
			want:   nautobottest.User{Username: "new", Groups: []string{managed}},
		},
		"everything": {
			fields: provision.UserFields{
				Username: "new", Password: provision.Hide(password), FirstName: new("Service account"), LastName: new("ns/name"),
				Email: new("new@example.org"), Active: new(false), Superuser: new(true), Staff: new(true),
				Groups: []provision.Group{{Name: managed}},
			},
			want: nautobottest.User{
				Username: "new", Password: password, FirstName: "Service account", LastName: "ns/name",
				Email: "new@example.org", Inactive: true, Superuser: true, Staff: true, Groups: []string{managed},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture) {
				made, err := f.CreateUser(t.Context(), tc.fields)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := f.Server.User("new")
				if made.ID != got.ID || made.Username != "new" || made.Superuser != tc.want.Superuser {
					t.Errorf("CreateUser returned %+v, stored is id %s", made, got.ID)
				}
				if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(nautobottest.User{}, "ID", "Joined")); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestCreateUserFails(t *testing.T) {
	tests := map[string]struct {
		options nautobottest.Options
		fields  provision.UserFields
		want    []error
		text    string
	}{
		"the name is taken": {
			fields: provision.UserFields{Username: account},
			want:   []error{provision.ErrRejected, provision.RejectedField("username")},
			text:   "create user: Nautobot answered 400: username: A user with that username already exists.",
		},
		"the group does not exist": {
			fields: provision.UserFields{Username: "new", Groups: []provision.Group{{Name: "nosuch"}}},
			want:   []error{provision.ErrRejected, provision.RejectedField("groups")},
			text:   "create user: Nautobot answered 400: groups: Related object not found using the provided attributes: {'name': 'nosuch'}",
		},
		"a validator does not like the password": {
			options: nautobottest.Options{MinPasswordLength: 99},
			fields:  provision.UserFields{Username: "new", Password: provision.Hide(password)},
			want:    []error{provision.ErrRejected, provision.RejectedField("non_field_errors")},
			text:    "create user: Nautobot answered 400: non_field_errors: This password is too short. It must contain at least 99 characters.",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, tc.options)
			_, err := f.CreateUser(t.Context(), tc.fields)
			checkError(t, err, tc.text, tc.want...)
			if _, made := f.Server.User("new"); made {
				t.Error("the user was made all the same")
			}
		})
	}
}

func TestUpdateUserWritesOnlyWhatIsSet(t *testing.T) {
	before := nautobottest.User{
		Username: "old", Password: otherKey, FirstName: "first", LastName: "last", Email: "old@example.org",
		Staff: true, Groups: []string{"a", "b"},
	}
	tests := map[string]struct {
		fields provision.UserFields
		change func(*nautobottest.User)
	}{
		"nothing": {provision.UserFields{}, func(*nautobottest.User) {}},
		"the password": {
			provision.UserFields{Password: provision.Hide(password)},
			func(u *nautobottest.User) { u.Password = password },
		},
		"flags": {
			provision.UserFields{Superuser: new(true), Staff: new(false), Active: new(false)},
			func(u *nautobottest.User) { u.Superuser, u.Staff, u.Inactive = true, false, true },
		},
		"names, one to nothing": {
			provision.UserFields{FirstName: new("Service account"), LastName: new("ns/name"), Email: new("")},
			func(u *nautobottest.User) { u.FirstName, u.LastName, u.Email = "Service account", "ns/name", "" },
		},
		"groups, which replace the list": {
			provision.UserFields{Groups: []provision.Group{{Name: "b"}, {Name: managed}}},
			func(u *nautobottest.User) { u.Groups = []string{"b", managed} },
		},
		"no group at all": {
			provision.UserFields{Groups: []provision.Group{}},
			func(u *nautobottest.User) { u.Groups = []string{} },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture) {
				stored := f.AddUser(before)
				if _, err := f.Client.UpdateUser(t.Context(), stored.ID, tc.fields); err != nil {
					t.Fatal(err)
				}
				want := before
				tc.change(&want)
				got, _ := f.Server.User("old")
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(nautobottest.User{}, "ID", "Joined"), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestUpdateUserKeepsGroupsThatAreGivenByID(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		stored := f.AddUser(nautobottest.User{Username: "old", Groups: []string{"a", "b"}})
		read, _, err := f.FindUser(t.Context(), "old")
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range read.Groups {
			if g.ID == 0 {
				t.Errorf("group %q has no id", g.Name)
			}
		}
		groups := append(read.Groups, provision.Group{Name: managed})
		if _, err := f.Client.UpdateUser(t.Context(), stored.ID, provision.UserFields{Groups: groups}); err != nil {
			t.Fatal(err)
		}
		got, _ := f.Server.User("old")
		if diff := cmp.Diff([]string{"a", "b", managed}, got.Groups); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
	})
}

func TestUpdateUserThatIsGoneIsUncertain(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		_, err := f.Client.UpdateUser(t.Context(), someID, provision.UserFields{Email: new("a@example.org")})
		checkError(t, err, "update user: Nautobot answered 404: No User matches the given query.", provision.ErrUncertain)
	})
}

func TestMarkedUsersHaveExactlyThatLastName(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		const mark = "lab-1/openstack/nautobot+token"
		for name, lastName := range map[string]string{
			"a": mark, "b": mark, "c": "lab-1/openstack/nautobot token", "d": strings.ToUpper(mark), "e": mark + "-2", "g": "",
		} {
			f.AddUser(nautobottest.User{Username: name, LastName: lastName, Groups: []string{managed}})
		}
		users, err := f.OwnedUsers(t.Context(), mark)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range users {
			got = append(got, u.Username)
			if len(u.Groups) != 1 || u.Groups[0].Name != managed {
				t.Errorf("groups of %q are %v, want %s", u.Username, u.Groups, managed)
			}
		}
		if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
			t.Errorf("usernames (-want +got):\n%s", diff)
		}
		if users, err := f.OwnedUsers(t.Context(), "nosuch"); len(users) > 0 || err != nil {
			t.Errorf("OwnedUsers of nobody = %v, %v", users, err)
		}
	})
}

func TestClearPasswordTouchesNothingElse(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		before := nautobottest.User{
			Username: "old", Password: password, FirstName: "opening", LastName: "ns/name", Email: "old@example.org",
			Superuser: true, Staff: true, Inactive: true, Groups: []string{"a", managed},
		}
		id := f.AddUser(before).ID
		if after, err := f.ClearPassword(t.Context(), id, "old", "Service account"); err != nil || after.Active || after.FirstName != "Service account" {
			t.Fatalf("%+v, %v", after, err)
		}
		want := before
		want.Password, want.FirstName = "", "Service account"
		got, _ := f.Server.User("old")
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(nautobottest.User{}, "ID", "Joined")); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
		_, err := f.ClearPassword(t.Context(), someID, "old", "x")
		checkError(t, err, "clear the password: Nautobot answered 404: No User matches the given query.", provision.ErrUncertain)
	})
}

// The accounts of many owners are asked for together, in URLs that a web server
// accepts.
func TestUsersOfManyOwners(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		var names, want []string
		for i := range 120 {
			names = append(names, fmt.Sprintf("lab-1/openstack/%s-%03d", strings.Repeat("long-", i%25), i))
			if i%3 == 0 {
				f.AddUser(nautobottest.User{Username: fmt.Sprintf("user-%03d", i), LastName: names[i]})
				want = append(want, fmt.Sprintf("user-%03d", i))
			}
		}
		f.AddUser(nautobottest.User{Username: "other", LastName: "lab-1/openstack/other"})
		users, err := f.OwnedUsers(t.Context(), names...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range users {
			got = append(got, u.Username)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("usernames (-want +got):\n%s", diff)
		}
		for _, r := range f.Server.Requests() {
			if len(r.RawQuery) > maxNames+250 {
				t.Errorf("a query of %d bytes", len(r.RawQuery))
			}
		}
		if n := len(f.Server.Requests()); n > 8 {
			t.Errorf("%d requests for 120 owners", n)
		}
		if users, err := f.OwnedUsers(t.Context(), "ns/name", ""); users != nil || err == nil {
			t.Errorf("with an empty name: %v, %v, want an error", users, err)
		}
	})
}

// tooLarge makes every page with one of the accounts larger than an answer may be.
func tooLarge(f *fixture, usernames ...string) {
	f.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		return nautobottest.Substitute(func(body string) string {
			for _, name := range usernames {
				if strings.Contains(body, `"`+name+`"`) {
					return body + strings.Repeat(" ", maxAnswer)
				}
			}
			return body
		})
	})
}

// An account that its holder has made too large to be read does not hide the
// accounts of others.
func TestUsersBesideOnesThatAreTooLarge(t *testing.T) {
	f := newFixture(t, nautobottest.Options{})
	var lastNames, usernames []string
	for i := range 30 {
		lastNames, usernames = append(lastNames, fmt.Sprintf("lab/openstack/%02d", i)), append(usernames, fmt.Sprintf("under-%02d", i))
		f.AddUser(nautobottest.User{Username: usernames[i], LastName: lastNames[i]})
	}
	large := []string{usernames[0], usernames[7], usernames[8], usernames[29]}
	want := slices.DeleteFunc(slices.Clone(usernames), func(name string) bool { return slices.Contains(large, name) })
	tooLarge(f, large...)

	var got []string
	failed := 0
	for user, err := range f.UsersUnder(t.Context(), "lab/openstack/") {
		switch {
		case errors.Is(err, provision.ErrTooLarge):
			failed++
		case err != nil:
			t.Error(err)
		default:
			got = append(got, user.Username)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || failed != len(large) {
		t.Errorf("%d are too large, want %d; the others (-want +got):\n%s", failed, len(large), diff)
	}

	got = nil
	users, err := f.OwnedUsers(t.Context(), lastNames...)
	for _, user := range users {
		got = append(got, user.Username)
	}
	if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, provision.ErrTooLarge) {
		t.Errorf("error %v; the others (-want +got):\n%s", err, diff)
	}

	f.ResetRequests()
	if users, err := f.OwnedUsers(t.Context(), lastNames[7]); users != nil || !errors.Is(err, provision.ErrTooLarge) {
		t.Errorf("one that is too large: %v, %v", users, err)
	}
	if n := len(f.Server.Requests()); n != 1 {
		t.Errorf("%d requests for one owner, want 1", n)
	}

	tooLarge(f, usernames...)
	failed = 0
	for _, err := range f.UsersUnder(t.Context(), "lab/openstack/") {
		if failed++; failed > maxTooLarge && errors.Is(err, provision.ErrTooLarge) {
			t.Fatal("a list of what is too large does not end")
		}
	}
	if failed != maxTooLarge+1 {
		t.Errorf("%d errors, want %d", failed, maxTooLarge+1)
	}
}

func TestUsersUnder(t *testing.T) {
	f := newFixture(t, nautobottest.Options{MaxPageSize: 3})
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("under-%d", i)
		f.AddUser(nautobottest.User{Username: name, LastName: fmt.Sprintf("lab/openstack/%d", i)})
		want = append(want, name)
	}
	for name, lastName := range map[string]string{"x": "LAB/openstack/x", "y": "lab/openstack-2/y", "z": ""} {
		f.AddUser(nautobottest.User{Username: name, LastName: lastName})
	}
	var got []string
	for user, err := range f.UsersUnder(t.Context(), "lab/openstack/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, user.Username)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("usernames (-want +got):\n%s", diff)
	}
	for _, err := range f.UsersUnder(t.Context(), "lab/openstack/") {
		if err != nil {
			t.Error(err)
		}
		break // the caller need not read on
	}
	for user, err := range f.UsersUnder(t.Context(), "") {
		if err == nil {
			t.Errorf("an empty prefix finds %q", user.Username)
		}
	}
}

func TestDeleteUser(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		id := f.AddUser(nautobottest.User{Username: "gone", LastName: "lab/ns/gone"}).ID
		f.AddUser(nautobottest.User{Username: "stays", LastName: "lab/ns/gone"})
		if err := f.Client.DeleteUser(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, ok := f.Server.User("gone"); ok {
			t.Error("the account is there")
		}
		if _, ok := f.Server.User("stays"); !ok {
			t.Error("another account is gone")
		}
		checkError(t, f.Client.DeleteUser(t.Context(), id), "delete user: Nautobot answered 404: No User matches the given query.", provision.ErrUncertain)
	})
}
