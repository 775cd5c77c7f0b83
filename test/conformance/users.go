package conformance

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// userTests ask how accounts are made, found and changed.
var userTests = map[string]func(*suite){
	"what a user looks like, by version and exclude_m2m": func(s *suite) {
		group, id := s.newGroup()
		for query, shown := range map[string]bool{"?": s.Version == "2.4", "?exclude_m2m=false": true, "?exclude_m2m=true": false} {
			name := newName()
			body := object{"username": name, "first_name": "Service account", "last_name": "lab/ns/name", "groups": []object{{"name": group}}}
			want := object{
				"display": name, "username": name, "first_name": "Service account", "last_name": "lab/ns/name", "email": "",
				"is_superuser": false, "is_staff": false, "is_active": true, "groups": nil,
			}
			if shown {
				want["groups"] = []any{object{"id": id, "object_type": "auth.group", "url": fmt.Sprintf("%s%s%.0f/", s.URL, groups, id)}}
			}
			o := s.do("POST", users+query, s.superuser(), body).object(http.StatusCreated)
			path := users + fmt.Sprint(o["id"]) + "/"
			s.remove(path)
			s.want("POST"+query, o, want)
			s.want("GET"+query, s.do("GET", path+query, s.superuser(), nil).object(http.StatusOK), want)
			s.want("PATCH"+query, s.do("PATCH", path+query, s.superuser(), object{}).object(http.StatusOK), want)
			s.want("PUT"+query, s.do("PUT", path+query, s.superuser(), object{"username": name}).object(http.StatusOK), want)
			s.want("list"+query, s.do("GET", users+query+"&username="+name, s.superuser(), nil).one(), want)
			s.do("GET", users+"?groups="+group+"&username="+name, s.superuser(), nil).count(1) // shown or not
		}
	},
	"depth shows the names of groups": func(s *suite) {
		group, id := s.newGroup()
		u := s.newUser(object{"groups": []object{{"id": id}}})
		o := s.do("GET", users+"?username="+u.name+"&depth=1&exclude_m2m=false", s.superuser(), nil).one()
		inside, _ := o["groups"].([]any)
		if len(inside) != 1 {
			s.Fatalf("%d groups", len(inside))
		}
		s.want("group", inside[0].(object), object{"id": id, "display": group, "name": group})
	},
	"filters": func(s *suite) {
		name, mark := newName()+".a+b@c_d", "lab-1/openstack/"+newName()
		u := s.newUser(object{"username": name, "last_name": mark})
		twin := s.newUser(object{"username": strings.ToUpper(name)})
		quoted, other := url.QueryEscape(name), url.QueryEscape(twin.name)
		for query, want := range map[string]int{
			"username=" + quoted: 1, "username=%20" + quoted + "%20": 1, "username=" + other: 1, "username=" + quoted + "x": 0,
			"username=" + name:                          0, // a plus is a blank
			"username=" + quoted + "&username=" + other: 2, "username=&username=" + quoted: 1,
			"username__ie=" + quoted: 2, "username__ie=" + url.QueryEscape(name[:len(name)-1]): 0,
			"last_name=" + mark: 1, "last_name=" + url.QueryEscape(mark): 1, "last_name=" + strings.ToUpper(mark): 0, "last_name=" + mark[:len(mark)-1]: 0,
			"last_name__isw=" + mark[:len(mark)-1]: 1, "last_name__isw=" + strings.ToUpper(mark): 1, "last_name__isw=" + mark[1:]: 0,
			"username=" + quoted + "&last_name=x": 0,
		} {
			if _, count := s.do("GET", users+"?"+query, s.superuser(), nil).page(); count != want {
				s.Errorf("%s: count %d, want %d", query, count, want)
			}
		}
		_, all := s.do("GET", users, s.superuser(), nil).page()
		for _, empty := range []string{"username=", "username__ie=", "last_name=", "last_name__isw="} {
			if _, count := s.do("GET", users+"?"+empty, s.superuser(), nil).page(); count != all || all < 3 {
				s.Errorf("%s: count %d, want everybody, %d", empty, count, all)
			}
		}
		s.do("GET", users+"?nosuch=1", s.superuser(), nil).refuses("nosuch", "Unknown filter field")
		s.do("GET", users+missingID+"/", s.superuser(), nil).detail(http.StatusNotFound, noUser)
		s.do("DELETE", u.path(), s.superuser(), nil).is(http.StatusNoContent)
		s.do("GET", users+"?username="+quoted, s.superuser(), nil).count(0)
	},
	"pages of accounts, in the order of their names": func(s *suite) {
		mark := "lab-1/" + newName() + "/"
		var names []string
		for i := range 5 {
			names = append(names, fmt.Sprintf("%s-%d", mark[6:len(mark)-1], i))
		}
		for _, i := range []int{3, 0, 4, 2, 1} {
			s.newUser(object{"username": names[i], "last_name": mark + fmt.Sprint(i)})
		}
		var got []string
		for offset := 0; offset < 6; offset += 2 {
			list, count := s.do("GET", fmt.Sprintf("%s?last_name__isw=%s&limit=2&offset=%d", users, mark, offset), s.superuser(), nil).page()
			if count != 5 {
				s.Errorf("count %d, want 5", count)
			}
			for _, o := range list {
				got = append(got, fmt.Sprint(o["username"]))
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(names) {
			s.Errorf("the pages hold %v, want %v", got, names)
		}
	},
	"filter by group": func(s *suite) {
		group, id := s.newGroup()
		empty, _ := s.newGroup()
		u := s.newUser(object{"groups": []object{{"id": id}}})
		s.do("GET", users+"?username="+u.name+"&groups="+group, s.superuser(), nil).count(1)
		s.do("GET", users+"?groups="+empty, s.superuser(), nil).count(0)
		for given, shown := range map[string]string{"": "", "nosuch": "nosuch", strings.ToUpper(group): strings.ToUpper(group), "%20" + group: " " + group} {
			s.do("GET", users+"?groups="+given, s.superuser(), nil).refuses("groups", "Select a valid choice. "+shown+" is not one of the available choices.")
		}
	},
	"white space and odd characters": func(s *suite) {
		name := newName()
		u := s.newUser(object{"username": " " + name + "\n", "first_name": "\ta b ", "last_name": " {{ x }}\n\"ü'/: "})
		s.want("user", s.do("GET", u.path(), s.superuser(), nil).object(http.StatusOK),
			object{"username": name, "first_name": "a b", "last_name": "{{ x }}\n\"ü'/:"})
		long := strings.Repeat("x", 130) + random(10)
		s.newUser(object{"username": long, "first_name": long, "last_name": long})
	},
	"values refused": func(s *suite) {
		u := s.newUser(nil)
		x151 := strings.Repeat("x", 151)
		const blank, tooLong, badEmail = "This field may not be blank.", "Ensure this field has no more than 150 characters.", "Enter a valid email address."
		for _, r := range []struct {
			fields object
			want   []string
		}{
			{object{"username": " \n"}, []string{"username", blank}},
			{object{"username": x151}, []string{"username", tooLong}},
			{object{"first_name": x151}, []string{"first_name", tooLong}},
			{object{"last_name": x151}, []string{"last_name", tooLong}},
			{object{"email": "x"}, []string{"email", badEmail}},
			{object{"email": "x@y"}, []string{"email", badEmail}},
			{object{"password": " \n"}, []string{"password", blank}},
			{object{"password": strings.Repeat("x", 129)}, []string{"password", "Ensure this field has no more than 128 characters."}},
			{object{"email": "x", "first_name": x151}, []string{"email", badEmail, "first_name", tooLong}},
		} {
			body := object{"username": newName()}
			for field, value := range r.fields {
				body[field] = value
			}
			s.do("POST", users, s.superuser(), body).refuses(r.want...)
			s.do("PATCH", u.path(), s.superuser(), r.fields).refuses(r.want...)
		}
		s.do("PUT", u.path(), s.superuser(), object{}).refuses("username", "This field is required.")
		s.do("OPTIONS", tokens, u.basic(), nil).is(http.StatusOK) // its password is still the same
	},
	"duplicates": func(s *suite) {
		u := s.newUser(nil)
		s.do("POST", users, s.superuser(), object{"username": u.name}).refuses("username", userTaken)
		s.do("POST", users, s.superuser(), object{"username": u.name, "groups": []object{{"name": "nosuch"}}}).
			refuses("username", userTaken, "groups", missingGroup("{'name': 'nosuch'}"))
		name := newName()
		s.do("POST", users, s.superuser(), []object{{"username": name}, {"username": name}}).
			loses("auth_user_username_key", "username", name)
		s.do("GET", users+"?username="+name, s.superuser(), nil).count(0)
	},
	"PATCH keeps the password, PUT without one clears it and nothing else": func(s *suite) {
		group, _ := s.newGroup()
		s.permit(object{"groups": []object{{"name": group}}})
		u := s.newUser(object{"groups": []object{{"name": group}}, "email": "a@example.com", "first_name": "F", "last_name": "L", "is_staff": true})
		key := keyOf(s.newToken(u, nil))
		s.do("PATCH", u.path(), s.superuser(), object{}).object(http.StatusOK)
		s.do("PATCH", u.path(), s.superuser(), object{"email": "b@example.com"}).object(http.StatusOK)
		s.do("GET", tokens, u.basic(), nil).count(1)
		s.do("PUT", u.path(), s.superuser(), object{"username": u.name, "first_name": "G"}).object(http.StatusOK)
		s.do("GET", tokens, u.basic(), nil).detail(http.StatusForbidden, badPassword)
		s.do("GET", tokens, key, nil).count(1)
		s.want("after PUT", s.do("GET", u.path(), s.superuser(), nil).object(http.StatusOK),
			object{"email": "b@example.com", "first_name": "G", "last_name": "L", "is_staff": true, "is_active": true})
		s.do("GET", users+"?username="+u.name+"&groups="+group, s.superuser(), nil).count(1)
		s.do("PATCH", u.path(), s.superuser(), object{"password": "new password", "is_active": false}).object(http.StatusOK)
		s.want("PUT", s.do("PUT", u.path(), s.superuser(), object{"username": u.name}).object(http.StatusOK), object{"is_active": false})
	},
	"groups are referred to by id or name, and replace the list": func(s *suite) {
		one, id := s.newGroup()
		two, other := s.newGroup()
		u := s.newUser(nil)
		patch := func(list ...object) answer {
			return s.do("PATCH", u.path()+"?exclude_m2m=false", s.superuser(), object{"groups": list})
		}
		show := func(id float64) any {
			return object{"id": id, "object_type": "auth.group", "url": fmt.Sprintf("%s%s%.0f/", s.URL, groups, id)}
		}
		s.want("by id", patch(object{"id": id}).object(http.StatusOK), object{"groups": []any{show(id)}})
		s.want("by name", patch(object{"name": two}).object(http.StatusOK), object{"groups": []any{show(other)}})
		s.want("twice", patch(object{"name": one}, object{"id": id}).object(http.StatusOK), object{"groups": []any{show(id)}})
		patch(object{"name": "no such"}).refuses("groups", missingGroup("{'name': 'no such'}"))
		patch(object{"id": 99999999}).refuses("groups", missingGroup("{'pk': 99999999}"))
		s.want("after refusals", s.do("GET", u.path()+"?exclude_m2m=false", s.superuser(), nil).object(http.StatusOK), object{"groups": []any{show(id)}})
		s.want("none", s.do("PATCH", u.path()+"?exclude_m2m=false", s.superuser(), object{"groups": []object{}}).object(http.StatusOK), object{"groups": []any{}})
		name := newName()
		s.do("POST", users, s.superuser(), object{"username": name, "groups": []object{{"name": "no such"}}}).refuses("groups", missingGroup("{'name': 'no such'}"))
		s.do("GET", users+"?username="+name, s.superuser(), nil).count(0)
	},
}

const missingID = "0e2a2a2a-4f10-49ab-80ee-b2734e30028c"

func missingGroup(attributes string) string {
	return "Related object not found using the provided attributes: " + attributes
}
