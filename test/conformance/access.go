package conformance

import (
	"fmt"
	"net/http"
)

// accessTests ask about groups and permissions, and what permissions decide.
var accessTests = map[string]func(*suite){
	"groups": func(s *suite) {
		name, id := s.newGroup()
		u := s.newUser(object{"groups": []object{{"id": id}}})
		s.want("list", s.do("GET", groups+"?name="+name, s.superuser(), nil).one(), object{"id": id, "display": name, "name": name})
		s.do("POST", groups, s.superuser(), object{"name": name}).refuses("name", "group with this name already exists.")
		s.do("POST", groups, s.superuser(), object{}).refuses("name", "This field is required.")
		race := newName()
		s.do("POST", groups, s.superuser(), []object{{"name": race}, {"name": race}}).loses("auth_group_name_key", "name", race)
		s.do("GET", groups+"?name="+race, s.superuser(), nil).count(0)
		s.do("DELETE", fmt.Sprintf("%s%.0f/", groups, id), s.superuser(), nil).is(http.StatusNoContent)
		s.want("after DELETE", s.do("GET", u.path()+"?exclude_m2m=false", s.superuser(), nil).object(http.StatusOK), object{"groups": []any{}})
	},
	"permissions": func(s *suite) {
		group, id := s.newGroup()
		name := newName()
		path := s.permit(object{"name": name, "groups": []object{{"name": group}}})
		want := object{
			"display": name, "name": name, "object_types": []any{"users.token"}, "enabled": true,
			"actions": []any{"view", "add", "change", "delete"}, "constraints": object{"user": "$user"},
		}
		o := s.do("GET", permissions+"?name="+name, s.superuser(), nil).one()
		s.want("by default", o, want)
		if _, shown := o["groups"]; shown != (s.Version == "2.4") {
			s.Errorf("groups are shown by default: %t", shown)
		}
		o = s.do("GET", permissions+"?name="+name+"&depth=1&exclude_m2m=false", s.superuser(), nil).one()
		s.want("with groups", o, want)
		inside, _ := o["groups"].([]any)
		if len(inside) != 1 {
			s.Fatalf("%d groups at depth 1", len(inside))
		}
		s.want("group at depth 1", inside[0].(object), object{"id": id, "name": group, "display": group})

		s.do("POST", permissions, s.superuser(), object{"name": name, "object_types": []string{"users.token"}, "actions": []string{"view"}}).
			refuses("name", "permission with this name already exists.")
		fields := object{"enabled": false, "constraints": nil, "actions": []any{"view"}, "object_types": []any{"users.user"}}
		s.want("PATCH", s.do("PATCH", path, s.superuser(), fields).object(http.StatusOK), fields)
		s.want("after PATCH", s.do("GET", path, s.superuser(), nil).object(http.StatusOK), fields)
		s.do("DELETE", path, s.superuser(), nil).is(http.StatusNoContent)
		s.do("GET", path, s.superuser(), nil).detail(http.StatusNotFound, "No ObjectPermission matches the given query.")
	},
	"each action alone": func(s *suite) {
		group, _ := s.newGroup()
		u := s.newUser(object{"groups": []object{{"name": group}}})
		path := s.permit(object{"groups": []object{{"name": group}}})
		t := s.newToken(u, nil)
		key := keyOf(t)
		for _, action := range []string{"view", "add", "change", "delete"} {
			s.do("PATCH", path, s.superuser(), object{"actions": []string{action}}).object(http.StatusOK)
			status := func(of string, allowed int) int {
				if of == action {
					return allowed
				}
				return http.StatusForbidden
			}
			s.do("GET", tokens, key, nil).is(status("view", http.StatusOK))
			s.do("GET", pathOf(t), key, nil).is(status("view", http.StatusOK))
			s.do("POST", tokens, key, object{}).is(status("add", http.StatusCreated))
			s.do("PATCH", pathOf(t), key, object{"description": action}).is(status("change", http.StatusOK))
			s.do("PATCH", tokens, key, []object{{"id": t["id"], "description": action}}).is(status("change", http.StatusOK))
			s.do("DELETE", tokens, key, []object{}).is(status("delete", http.StatusNoContent))
		}
	},
	"superusers need no permission, staff does": func(s *suite) {
		superuser, staff := s.newUser(object{"is_superuser": true}), s.newUser(object{"is_staff": true})
		s.do("GET", users+"?username="+staff.name, keyOf(s.newToken(superuser, nil)), nil).count(1)
		s.do("GET", tokens, staff.basic(), nil).detail(http.StatusForbidden, noPermission)
	},
	"permissions that give nothing, and constraints that give all": func(s *suite) {
		group, _ := s.newGroup()
		u, other := s.newUser(object{"groups": []object{{"name": group}}}), s.newUser(nil)
		path := s.permit(object{"groups": []object{{"name": group}}})
		set := func(fields object) { s.do("PATCH", path, s.superuser(), fields).object(http.StatusOK) }
		set(object{"enabled": false})
		s.do("GET", tokens, u.basic(), nil).detail(http.StatusForbidden, noPermission)
		s.do("POST", tokens, u.basic(), object{}).detail(http.StatusForbidden, noPermission)
		set(object{"enabled": true, "object_types": []string{"users.user"}, "constraints": nil})
		s.do("GET", tokens, u.basic(), nil).detail(http.StatusForbidden, noPermission)
		set(object{"object_types": []string{"users.token"}, "constraints": object{"user": other.id}})
		s.do("GET", tokens, u.basic(), nil).count(0)
		s.do("POST", tokens, u.basic(), object{}).detail(http.StatusForbidden, noPermission)
		for i, works := range []any{nil, object{}, []any{}, []any{object{"user": "$user"}}, object{"user": "$user"}} {
			set(object{"constraints": works})
			s.newToken(u, nil)
			s.do("GET", tokens, u.basic(), nil).count(i + 1)
		}
	},
	"a provisioner confined to plain accounts": func(s *suite) { provisioner(s, false) },
	"a provisioner confined to a group":        func(s *suite) { provisioner(s, true) },
	"who may not view groups sees them in part": func(s *suite) {
		p := newProvisioner(s, false)
		group, id := s.newGroup()
		u := s.newUser(object{"groups": []object{{"id": id}}})
		o := s.do("GET", users+"?username="+u.name+"&depth=1&exclude_m2m=false", p.key, nil).one()
		inside, _ := o["groups"].([]any)
		if len(inside) != 1 {
			s.Fatalf("%d groups", len(inside))
		}
		s.want("group", inside[0].(object), object{"id": id, "display": group, "name": nil})
	},
}

// aProvisioner is an account that may view, add and change users, but no superusers and staff, and only members of its
// managed group if it is confined to one.
type aProvisioner struct {
	account
	key     string
	managed string
}

func newProvisioner(s *suite, confined bool) aProvisioner {
	own, _ := s.newGroup()
	members := []object{{"name": own}}
	p := aProvisioner{account: s.newUser(object{"groups": members})}
	p.managed, _ = s.newGroup()
	s.permit(object{"groups": members})
	constraints := object{"is_superuser": false, "is_staff": false}
	if confined {
		constraints["groups__name"] = p.managed
	}
	s.permit(object{"groups": members, "object_types": []string{"users.user"}, "actions": []string{"view", "add", "change"}, "constraints": constraints})
	p.key = keyOf(s.newToken(p.account, nil))
	return p
}

func provisioner(s *suite, confined bool) {
	p := newProvisioner(s, confined)
	powerful, _ := s.newGroup()
	superuser := s.newUser(object{"is_superuser": true})
	plain := s.newUser(nil)
	managed, both, strong, none := []object{{"name": p.managed}}, []object{{"name": p.managed}, {"name": powerful}}, []object{{"name": powerful}}, []object{}
	allowed := func(status int) int { // what the confined one may not do
		if confined {
			return http.StatusForbidden
		}
		return status
	}
	seen := func(a answer, o account) { // what the confined one does not find
		if confined {
			a.detail(http.StatusNotFound, noUser)
		} else {
			s.want(o.name, a.object(http.StatusOK), object{"username": o.name})
		}
	}
	post := func(fields object) answer {
		body := object{"username": newName()}
		for k, v := range fields {
			body[k] = v
		}
		a := s.do("POST", users, p.key, body)
		if o, ok := a.decoded.(object); ok && a.status == http.StatusCreated {
			s.remove(users + fmt.Sprint(o["id"]) + "/")
		} else {
			s.do("GET", users+"?username="+fmt.Sprint(body["username"]), s.superuser(), nil).count(map[bool]int{true: 1}[body["username"] == superuser.name])
		}
		return a
	}

	s.do("GET", users+"?username="+superuser.name, p.key, nil).count(0)
	s.do("GET", superuser.path(), p.key, nil).detail(http.StatusNotFound, noUser)
	s.do("PATCH", superuser.path(), p.key, object{"email": "a@example.com"}).detail(http.StatusNotFound, noUser)
	post(object{"username": superuser.name}).refuses("username", userTaken)
	post(object{"groups": managed, "password": "x"}).is(http.StatusCreated)
	post(object{"groups": none}).is(allowed(http.StatusCreated))
	post(object{"groups": strong}).is(allowed(http.StatusCreated))
	post(object{"groups": both}).is(http.StatusCreated)
	post(object{"groups": managed, "is_superuser": true}).detail(http.StatusForbidden, noPermission)
	post(object{"groups": managed, "is_staff": true}).detail(http.StatusForbidden, noPermission)
	post(object{"groups": []object{{"name": "no such"}}}).refuses("groups", missingGroup("{'name': 'no such'}"))

	o := s.do("POST", users, p.key, object{"username": newName(), "groups": managed}).object(http.StatusCreated)
	path := users + fmt.Sprint(o["id"]) + "/"
	s.remove(path)
	s.do("PATCH", path, p.key, object{"groups": both, "email": "a@example.com", "password": "y"}).is(http.StatusOK)
	s.do("PATCH", path, p.key, object{"groups": none}).is(allowed(http.StatusOK))
	s.do("PATCH", path, s.superuser(), object{"groups": managed}).is(http.StatusOK)
	s.do("PATCH", path, p.key, object{"is_superuser": true}).detail(http.StatusForbidden, noPermission)
	s.do("PATCH", path, p.key, object{"is_staff": true}).detail(http.StatusForbidden, noPermission)
	s.want("rolled back", s.do("GET", path, s.superuser(), nil).object(http.StatusOK), object{"is_superuser": false, "is_staff": false})
	s.do("PATCH", path, p.key, object{"is_active": false}).is(http.StatusOK)
	s.do("PUT", path, p.key, object{"username": o["username"]}).is(http.StatusOK)
	s.do("GET", users+"?username="+fmt.Sprint(o["username"])+"&groups="+p.managed, p.key, nil).count(1)
	seen(s.do("GET", plain.path(), p.key, nil), plain)
	seen(s.do("PATCH", plain.path(), p.key, object{}), plain)
	seen(s.do("PATCH", p.path(), p.key, object{"groups": strong}), p.account)
	s.do("DELETE", path, p.key, nil).detail(http.StatusForbidden, noPermission)
	s.do("GET", groups, p.key, nil).detail(http.StatusForbidden, noPermission)
	s.do("POST", groups, p.key, object{"name": newName()}).detail(http.StatusForbidden, noPermission)
	s.do("POST", permissions, p.key, object{}).detail(http.StatusForbidden, noPermission)
}
