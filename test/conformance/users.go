package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-cmp/cmp"
)

const (
	userFields = "id object_type display url natural_slug last_login is_superuser username first_name last_name email is_staff is_active date_joined config_data"
	userM2M    = userFields + " groups default_saved_views"
)

// userTests ask how accounts are made, found and changed.
var userTests = map[string]func(*suite){
	"what a user looks like, by version and exclude_m2m": func(s *suite) {
		group, id := s.newGroup()
		byDefault := userM2M
		if s.Version == "3.2" {
			byDefault = userFields
		}
		for query, fields := range map[string]string{"": byDefault, "?exclude_m2m=false": userM2M, "?exclude_m2m=true": userFields} {
			name := newName()
			body := object{"username": name, "first_name": "Service account", "last_name": "lab/ns/name", "groups": []object{{"name": group}}}
			o := s.do("POST", users+query, s.superuser(), body).version(s.Version).object(http.StatusCreated)
			path := users + fmt.Sprint(o["id"]) + "/"
			s.remove(path)
			want := object{
				"object_type": "users.user", "display": name, "username": name, "url": s.URL + path, "natural_slug": name + "_" + o["id"].(string)[:4],
				"first_name": "Service account", "last_name": "lab/ns/name", "email": "", "is_superuser": false, "is_staff": false, "is_active": true,
				"last_login": nil, "config_data": object{},
			}
			if strings.Contains(fields, "groups") {
				want["groups"] = []any{object{"id": id, "object_type": "auth.group", "url": fmt.Sprintf("%s%s%.0f/", s.URL, groups, id)}}
				want["default_saved_views"] = []any{}
			}
			check := func(what string, o object) {
				s.wantFields(what+query, o, fields)
				s.want(what+query, o, want)
			}
			check("POST", o)
			check("GET", s.do("GET", path+query, s.superuser(), nil).object(http.StatusOK))
			check("PATCH", s.do("PATCH", path+query, s.superuser(), object{}).object(http.StatusOK))
			check("PUT", s.do("PUT", path+query, s.superuser(), object{"username": name}).object(http.StatusOK))
			list, _ := s.do("GET", users+"?username="+name+strings.Replace(query, "?", "&", 1), s.superuser(), nil).page()
			check("list", list[0])
			s.do("GET", users+"?groups="+group+"&username="+name, s.superuser(), nil).count(1)
		}
		for _, nonsense := range []string{"nonsense", ""} {
			name := newName()
			s.do("POST", users+"?exclude_m2m="+nonsense, s.superuser(), object{"username": name}).crashes("ValueError")
			s.do("GET", users+"?username="+name, s.superuser(), nil).count(0)
			s.do("GET", users+"?exclude_m2m="+nonsense, s.superuser(), nil).crashes("ValueError")
			s.do("GET", groups+"?exclude_m2m="+nonsense, s.superuser(), nil).crashes("ValueError")
		}
	},
	"depth shows the names of groups": func(s *suite) {
		group, id := s.newGroup()
		u := s.newUser(object{"groups": []float64{id}})
		full := []any{object{
			"id": id, "object_type": "auth.group", "display": group, "name": group, "natural_slug": fmt.Sprintf("%s_%.0f", group, id),
			"url": fmt.Sprintf("%s%s%.0f/", s.URL, groups, id),
		}}
		get := func(query string) object {
			list, _ := s.do("GET", users+"?username="+u.name+query, s.superuser(), nil).page()
			return list[0]
		}
		s.want("both", get("&depth=1&exclude_m2m=false"), object{"groups": full})
		if s.Version == "3.2" {
			s.wantFields("depth alone", get("&depth=1"), userFields)
			s.do("GET", users+"?depth=11", s.superuser(), nil).detail(http.StatusBadRequest, "The depth parameter must be an integer between 0 and 10")
		} else {
			s.want("depth alone", get("&depth=1"), object{"groups": full})
			s.do("GET", users+"?depth=11", s.superuser(), nil).crashes("AssertionError")
		}
		s.wantFields("nonsense", get("&depth=x&exclude_m2m=true"), userFields)
		o := s.do("PATCH", u.path()+"?depth=1&exclude_m2m=false", s.superuser(), object{}).object(http.StatusOK)
		s.want("PATCH", o, object{"groups": []any{object{"id": id, "object_type": "auth.group", "url": fmt.Sprintf("%s%s%.0f/", s.URL, groups, id)}}})
	},
	"detail pages by name, filters by name": func(s *suite) {
		base := newName()
		for _, mark := range []struct {
			sign          string
			raw, quoted   int
			doubly, exact int
		}{
			{".", 404, 404, 200, 1},
			{"+", 404, 404, 200, 0},
			{"@", 200, 200, 200, 1},
			{"_", 200, 200, 200, 1},
			{"-", 200, 200, 200, 1},
		} {
			name := base + mark.sign + "x"
			quoted := base + fmt.Sprintf("%%%02X", mark.sign[0]) + "x"
			s.newUser(object{"username": name})
			for path, status := range map[string]int{name: mark.raw, quoted: mark.quoted, url.QueryEscape(quoted): mark.doubly} {
				s.do("GET", users+path+"/", s.superuser(), nil).is(status)
			}
			s.do("GET", users+"?username="+quoted, s.superuser(), nil).count(1)
			s.do("GET", users+"?username="+name, s.superuser(), nil).count(mark.exact)
		}
		s.do("GET", users+missingID+"/", s.superuser(), nil).detail(http.StatusNotFound, noUser)
		s.do("GET", users+base+"/", s.superuser(), nil).detail(http.StatusNotFound, noUser)
	},
	"filters": func(s *suite) {
		name, mark := newName(), "lab-1/openstack/"+newName()
		u := s.newUser(object{"username": name, "last_name": mark, "first_name": "F" + name, "email": name + "@example.com"})
		twin := s.newUser(object{"username": strings.ToUpper(name)})
		for query, want := range map[string]int{
			"username=" + name: 1, "username=%20" + name + "%20": 1, "username=" + twin.name: 1, "username__ie=" + name: 2,
			"username=" + name + "&username=" + twin.name: 2, "username=&username=" + name: 1, "username__isw=" + name: 2,
			"username=" + name + "x": 0, "username=%20": 0, "last_name=" + mark: 1, "last_name=" + url.QueryEscape(mark): 1, "last_name=" + strings.ToUpper(mark): 0,
			"last_name=" + mark[:len(mark)-1]: 0, "last_name__isw=" + strings.ToUpper(mark[:len(mark)-1]): 1, "last_name__ic=" + mark[5:]: 1,
			"first_name=F" + name: 1, "email=" + name + "@example.com": 1, "id=" + u.id: 1, "q=" + name: 2,
			"username=" + name + "&last_name=x": 0, "username=" + name + "&is_active=true": 1, "username=" + name + "&is_active=false": 0,
			"username=" + name + "&is_staff=true": 0, "username=" + name + "&is_active=maybe": 1,
			"username=" + name + "&has_object_permissions=true": 0, "username=" + name + "&format=json&include=groups&depth=0": 1,
		} {
			if _, count := s.do("GET", users+"?"+query, s.superuser(), nil).page(); count != want {
				s.Errorf("%s: count %d, want %d", strings.ReplaceAll(query, name, "NAME"), count, want)
			}
		}
		_, all := s.do("GET", users, s.superuser(), nil).page()
		for _, empty := range []string{"username=", "last_name=", "id=", "q=", "email="} {
			if _, count := s.do("GET", users+"?"+empty, s.superuser(), nil).page(); count != all || all < 3 {
				s.Errorf("%s: count %d, want everybody, %d", empty, count, all)
			}
		}
		for query, text := range map[string]string{
			"nosuch=1": unknownFilter, "is_superuser=true": unknownFilter, "username__sw=x": unknownFilter, "has_groups=true": unknownFilter,
			"brief=true": unknownFilter, "id=x": "Enter a valid UUID.",
		} {
			field, _, _ := strings.Cut(query, "=")
			s.do("GET", users+"?"+query, s.superuser(), nil).refuses(field, text)
		}
		s.do("GET", users+"?nosuch=1&groups=nope", s.superuser(), nil).
			refuses("nosuch", unknownFilter, "groups", "Select a valid choice. nope is not one of the available choices.")
		s.do("PATCH", u.path()+"?nosuch=1", s.superuser(), object{}).refuses("nosuch", unknownFilter)
		s.do("POST", users+"?nosuch=1", s.superuser(), object{}).refuses("username", "This field is required.")
		list, _ := s.do("GET", users+"?username__ie="+name+"&sort=-username", s.superuser(), nil).page()
		s.want("sorted", list[0], object{"username": name})
	},
	"filters by group": func(s *suite) {
		one, id := s.newGroup()
		two, _ := s.newGroup()
		u := s.newUser(object{"groups": []object{{"name": one}, {"name": two}}})
		for query, want := range map[string]int{
			"groups=" + one: 1, "groups=" + one + "&groups=" + two: 1, fmt.Sprintf("groups_id=%.0f", id): 1, "groups__n=" + one: 0,
		} {
			s.do("GET", users+"?username="+u.name+"&"+query, s.superuser(), nil).count(want)
		}
		empty, _ := s.newGroup()
		s.do("GET", users+"?groups="+empty, s.superuser(), nil).count(0)
		for given, shown := range map[string]string{"": "", "nosuch": "nosuch", strings.ToUpper(one): strings.ToUpper(one), "%20" + one: " " + one, "1": "1"} {
			s.do("GET", users+"?groups="+given, s.superuser(), nil).refuses("groups", "Select a valid choice. "+shown+" is not one of the available choices.")
		}
		s.do("GET", users+"?groups_id=99999999", s.superuser(), nil).refuses("groups_id", "Select a valid choice. 99999999 is not one of the available choices.")
		s.do("GET", users+"?groups_id=x", s.superuser(), nil).refuses("groups_id", "“x” is not a valid value.")
	},
	"white space and odd characters": func(s *suite) {
		name := newName()
		u := s.newUser(object{"username": " " + name + "\n", "first_name": "\ta b ", "last_name": " {{ x }}\n\"ü'/: "})
		s.want("user", s.do("GET", u.path(), s.superuser(), nil).object(http.StatusOK),
			object{"username": name, "first_name": "a b", "last_name": "{{ x }}\n\"ü'/:"})
		for _, accepted := range []string{"." + newName(), "üñí" + newName(), newID(), newName() + "ａ"} {
			s.want("user", s.do("GET", s.newUser(object{"username": accepted}).path(), s.superuser(), nil).object(http.StatusOK), object{"username": accepted})
		}
		long := strings.Repeat("x", 130) + random(10)
		s.newUser(object{"username": long, "first_name": long, "last_name": long})
	},
	"values refused": func(s *suite) {
		u := s.newUser(nil)
		x151 := strings.Repeat("x", 151)
		const null, blank, nul = "This field may not be null.", "This field may not be blank.", "Null characters are not allowed."
		for _, r := range []struct {
			fields object
			want   []string
		}{
			{object{"username": ""}, []string{"username", blank}},
			{object{"username": " \n"}, []string{"username", blank}},
			{object{"username": nil}, []string{"username", null}},
			{object{"username": x151}, []string{"username", "Ensure this field has no more than 150 characters."}},
			{object{"username": "a b"}, []string{"username", badUsername}},
			{object{"username": "a/b"}, []string{"username", badUsername}},
			{object{"username": "a:b"}, []string{"username", badUsername}},
			{object{"username": "a\nb"}, []string{"username", badUsername}},
			{object{"username": "e\u0301"}, []string{"username", badUsername}},
			{object{"username": "a\x00"}, []string{"username", badUsername, "username", nul}},
			{object{"username": []string{"a"}}, []string{"username", "Not a valid string."}},
			{object{"username": true}, []string{"username", "Not a valid string."}},
			{object{"first_name": x151}, []string{"first_name", "Ensure this field has no more than 150 characters."}},
			{object{"last_name": x151}, []string{"last_name", "Ensure this field has no more than 150 characters."}},
			{object{"last_name": nil}, []string{"last_name", null}},
			{object{"first_name": "\x00"}, []string{"first_name", nul}},
			{object{"email": "x"}, []string{"email", "Enter a valid email address."}},
			{object{"email": "x@y"}, []string{"email", "Enter a valid email address."}},
			{object{"is_superuser": "maybe"}, []string{"is_superuser", "Must be a valid boolean."}},
			{object{"is_staff": nil}, []string{"is_staff", null}},
			{object{"is_active": nil}, []string{"is_active", null}},
			{object{"password": ""}, []string{"password", blank}},
			{object{"password": " \n"}, []string{"password", blank}},
			{object{"password": nil}, []string{"password", "This field cannot be null."}},
			{object{"password": "a\x00"}, []string{"password", nul}},
			{object{"password": strings.Repeat("x", 129)}, []string{"password", "Ensure this field has no more than 128 characters."}},
			{object{"email": "x", "first_name": x151}, []string{"email", "Enter a valid email address.", "first_name", "Ensure this field has no more than 150 characters."}},
		} {
			body := object{"username": newName()}
			for field, value := range r.fields {
				body[field] = value
			}
			s.do("POST", users, s.superuser(), body).refuses(r.want...)
			s.do("PATCH", u.path(), s.superuser(), r.fields).refuses(r.want...)
		}
		s.do("PUT", u.path(), s.superuser(), object{}).refuses("username", "This field is required.")
		s.want("unchanged", s.do("GET", u.path(), s.superuser(), nil).object(http.StatusOK), object{"username": u.name, "email": ""})
		s.do("OPTIONS", tokens, u.basic(), nil).is(http.StatusOK)
		number := s.do("POST", users, s.superuser(), object{"username": 990000000 + len(x151)}).object(http.StatusCreated)
		s.remove(users + fmt.Sprint(number["id"]) + "/")
		s.want("number", number, object{"username": "990000151"})
	},
	"duplicates": func(s *suite) {
		u, other := s.newUser(nil), s.newUser(nil)
		s.do("POST", users, s.superuser(), object{"username": u.name}).refuses("username", userTaken)
		s.do("PATCH", other.path(), s.superuser(), object{"username": u.name}).refuses("username", userTaken)
		s.do("PATCH", other.path(), s.superuser(), object{"username": other.name}).object(http.StatusOK)
		s.do("POST", users, s.superuser(), object{"username": "ａdmin"}).refuses("username", userTaken)
		s.do("POST", users, s.superuser(), object{"username": u.name, "groups": []object{{"name": "nosuch"}}}).
			refuses("username", userTaken, "groups", missingGroup("{'name': 'nosuch'}"))
		name := newName()
		a := s.do("POST", users, s.superuser(), []object{{"username": name}, {"username": name}})
		a.crashes("IntegrityError")
		if text := fmt.Sprint(a.decoded.(object)["error"]); !strings.Contains(text, `"auth_user_username_key"`) || !strings.Contains(text, "Key (username)=("+name+") already exists.") {
			s.Errorf("crash says %q", text)
		}
		a = s.do("POST", users, s.superuser(), []object{{"username": name}, {"username": u.name}}).is(http.StatusBadRequest)
		if want := []any{object{}, object{"username": []any{userTaken}}}; !cmp.Equal(a.decoded, any(want)) {
			s.Errorf("list with one duplicate: %s", a.refusal())
		}
		s.do("GET", users+"?username="+name, s.superuser(), nil).count(0)
	},
	"chosen ids": func(s *suite) {
		id := newID()
		u := s.newUser(object{"id": id})
		if u.id != id {
			s.Error("the chosen id was not taken")
		}
		s.do("POST", users, s.superuser(), object{"username": newName(), "id": id}).refuses("id", "User with this Id already exists.")
		s.do("POST", users, s.superuser(), object{"username": u.name, "id": id}).refuses("username", userTaken)
		s.do("POST", users, s.superuser(), object{"username": newName(), "id": "x"}).refuses("id", "Must be a valid UUID.")
	},
	"PATCH keeps the password, PUT without one clears it and nothing else": func(s *suite) {
		group, id := s.newGroup()
		s.permit(object{"groups": []float64{id}})
		u := s.newUser(object{"groups": []object{{"name": group}}, "email": "a@example.com", "first_name": "F", "last_name": "L", "is_staff": true})
		key := keyOf(s.newToken(u, nil))
		s.do("PATCH", u.path(), s.superuser(), object{}).object(http.StatusOK)
		s.do("PATCH", u.path(), s.superuser(), object{"email": "b@example.com"}).object(http.StatusOK)
		s.do("OPTIONS", tokens, u.basic(), nil).is(http.StatusOK)
		s.do("PUT", u.path(), s.superuser(), object{"username": u.name, "first_name": "G"}).object(http.StatusOK)
		s.do("OPTIONS", tokens, u.basic(), nil).detail(http.StatusForbidden, badPassword)
		s.do("GET", tokens, key, nil).count(1)
		s.want("after PUT", s.do("GET", u.path()+"?exclude_m2m=true", s.superuser(), nil).object(http.StatusOK),
			object{"email": "b@example.com", "first_name": "G", "last_name": "L", "is_staff": true, "is_active": true})
		s.do("GET", users+"?username="+u.name+"&groups="+group, s.superuser(), nil).count(1)
		s.do("PATCH", u.path(), s.superuser(), object{"password": "new password"}).object(http.StatusOK)
		s.do("GET", tokens, basic(u.name, "new password"), nil).count(1)
		s.do("GET", tokens, key, nil).count(1)
		s.do("PUT", u.path(), s.superuser(), object{"username": u.name, "password": "newer", "is_active": false}).object(http.StatusOK)
		s.want("PUT", s.do("PUT", u.path(), s.superuser(), object{"username": u.name}).object(http.StatusOK), object{"is_active": false})
	},
	"forms of groups": func(s *suite) {
		one, id := s.newGroup()
		two, _ := s.newGroup()
		u := s.newUser(nil)
		patch := func(list any) answer {
			return s.do("PATCH", u.path()+"?exclude_m2m=false", s.superuser(), object{"groups": list})
		}
		link := fmt.Sprintf("%s%s%.0f/", s.URL, groups, id)
		for _, list := range []any{
			[]any{id},
			[]any{object{"id": id}},
			[]any{object{"name": one}},
			[]any{link},
			[]any{object{"url": link}},
			[]any{id, id},
			[]any{object{"id": id, "name": one}},
			[]any{object{"id": fmt.Sprintf("%.0f", id)}},
		} {
			patch([]any{object{"name": two}}).object(http.StatusOK)
			s.want(fmt.Sprint(list), patch(list).object(http.StatusOK), object{"groups": []any{object{"id": id, "object_type": "auth.group", "url": link}}})
		}
		if got := patch([]any{object{"name": one}, object{"name": two}}).object(http.StatusOK)["groups"]; len(got.([]any)) != 2 {
			s.Error("two groups were not stored")
		}
		for _, list := range []any{[]any{"3"}, []any{one}} {
			patch(list).crashes("AttributeError")
		}
		patch([]any{nil}).crashes("IntegrityError")
		patch(3).refuses("groups", `Expected a list of items but got type "int".`)
		patch("x").refuses("groups", `Expected a list of items but got type "str".`)
		patch(nil).refuses("groups", "This field may not be null.")
		patch([]any{object{"name": "no such"}}).refuses("groups", missingGroup("{'name': 'no such'}"))
		patch([]any{99999999}).refuses("groups", missingGroup("{'pk': 99999999}"))
		patch([]any{object{"id": "x"}}).refuses("groups", "Related objects must be referenced by ID or by dictionary of attributes. Received an unrecognized value: x")
		if got := s.do("GET", u.path()+"?exclude_m2m=false", s.superuser(), nil).object(http.StatusOK)["groups"]; len(got.([]any)) != 2 {
			s.Error("a refused list changed the groups")
		}
		s.want("none", patch([]any{}).object(http.StatusOK), object{"groups": []any{}})

		name := newName()
		s.do("POST", users, s.superuser(), object{"username": name, "groups": []any{object{"name": "no such"}}}).refuses("groups", missingGroup("{'name': 'no such'}"))
		s.do("POST", users, s.superuser(), object{"username": name, "groups": []any{one}}).crashes("AttributeError")
		s.do("GET", users+"?username="+name, s.superuser(), nil).count(0)
	},
	"bulk changes": func(s *suite) {
		one, two := s.newUser(nil), s.newUser(nil)
		got := s.do("PATCH", users+"?nosuch=1&username=x", s.superuser(), []object{
			{"id": one.id, "email": "a@example.com"}, {"id": missingID}, {"id": two.id, "is_active": false},
		}).array(http.StatusOK)
		if len(got) != 2 {
			s.Fatalf("%d answered, want 2", len(got))
		}
		s.want("one", s.do("GET", one.path(), s.superuser(), nil).object(http.StatusOK), object{"email": "a@example.com", "is_active": true})
		s.want("two", s.do("GET", two.path(), s.superuser(), nil).object(http.StatusOK), object{"email": "", "is_active": false})
		s.do("DELETE", users, s.superuser(), []object{{"id": one.id}, {"id": two.id}}).is(http.StatusNoContent)
		s.do("GET", one.path(), s.superuser(), nil).detail(http.StatusNotFound, noUser)
		s.do("GET", two.path(), s.superuser(), nil).detail(http.StatusNotFound, noUser)
	},
}

func missingGroup(attributes string) string {
	return "Related object not found using the provided attributes: " + attributes
}
