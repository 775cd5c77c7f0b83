package conformance

import (
	"fmt"
	"net/http"
	"strings"
)

const permissionFields = "id object_type display url natural_slug object_types name description enabled actions constraints created last_updated"

// accessTests ask about groups and permissions, and what permissions decide.
var accessTests = map[string]func(*suite){
	"groups": func(s *suite) {
		name, id := s.newGroup()
		path := fmt.Sprintf("%s%.0f/", groups, id)
		u := s.newUser(object{"groups": []float64{id}})
		want := object{"id": id, "object_type": "auth.group", "display": name, "name": name, "url": s.URL + path, "natural_slug": fmt.Sprintf("%s_%.0f", name, id), "user_count": 1.0}
		list, count := s.do("GET", groups+"?name="+name, s.superuser(), nil).version(s.Version).page()
		if count != 1 {
			s.Fatalf("count %d", count)
		}
		for what, o := range map[string]object{
			"list":  list[0],
			"GET":   s.do("GET", path, s.superuser(), nil).object(http.StatusOK),
			"PATCH": s.do("PATCH", path, s.superuser(), object{}).object(http.StatusOK),
		} {
			s.wantFields(what, o, "id object_type display url natural_slug user_count name")
			s.want(what, o, want)
		}
		made := s.do("POST", groups, s.superuser(), object{"name": newName()}).object(http.StatusCreated)
		s.remove(fmt.Sprintf("%s%.0f/", groups, made["id"]))
		s.wantFields("POST", made, "id object_type display url natural_slug name")
		s.do("POST", groups, s.superuser(), object{"name": name}).refuses("name", "group with this name already exists.")
		s.do("POST", groups, s.superuser(), object{}).refuses("name", "This field is required.")
		s.do("POST", groups, s.superuser(), object{"name": ""}).refuses("name", "This field may not be blank.")
		race := newName()
		s.do("POST", groups, s.superuser(), []object{{"name": race}, {"name": race}}).crashes("IntegrityError")
		s.do("GET", groups+"?name="+race, s.superuser(), nil).count(0)
		s.do("GET", groups+"?id=x", s.superuser(), nil).refuses("id", "Enter a whole number.")
		s.do("GET", groups+name+"/", s.superuser(), nil).crashes("ValueError")
		s.do("GET", groups+"99999999/", s.superuser(), nil).detail(http.StatusNotFound, "No Group matches the given query.")
		s.do("PATCH", groups, s.superuser(), []object{{"id": id, "name": name}}).refuses("non_field_errors", "No data provided")
		s.do("DELETE", path, s.superuser(), nil).is(http.StatusNoContent)
		s.want("after DELETE", s.do("GET", u.path()+"?exclude_m2m=false", s.superuser(), nil).object(http.StatusOK), object{"groups": []any{}})
	},
	"what a permission looks like, by version, exclude_m2m and depth": func(s *suite) {
		group, id := s.newGroup()
		u := s.newUser(nil)
		name := newName()
		path := s.permit(object{"name": name, "groups": []object{{"name": group}}, "users": []string{u.id}})
		byDefault := permissionFields + " groups users"
		if s.Version == "3.2" {
			byDefault = permissionFields
		}
		brief := object{"id": id, "object_type": "auth.group", "url": fmt.Sprintf("%s%s%.0f/", s.URL, groups, id)}
		want := object{
			"object_type": "users.objectpermission", "display": name, "name": name, "url": s.URL + path, "object_types": []any{"users.token"},
			"description": "", "enabled": true, "actions": []any{"view", "add", "change", "delete"}, "constraints": object{"user": "$user"},
		}
		get := func(query string) object {
			list, count := s.do("GET", permissions+"?name="+name+query, s.superuser(), nil).version(s.Version).page()
			if count != 1 {
				s.Fatalf("count %d", count)
			}
			return list[0]
		}
		s.wantFields("by default", get(""), byDefault)
		s.want("by default", get(""), want)
		s.wantFields("without", get("&exclude_m2m=true"), strings.Replace(permissionFields, " object_types", "", 1))
		o := get("&exclude_m2m=false")
		s.want("with", o, want)
		s.wantFields("with", o, permissionFields+" groups users")
		s.want("with", o, object{"groups": []any{brief}, "users": []any{object{"id": u.id, "object_type": "users.user", "url": s.URL + u.path()}}})
		o = get("&depth=1&exclude_m2m=false")
		inside, _ := o["groups"].([]any)
		if len(inside) != 1 {
			s.Fatalf("%d groups at depth 1", len(inside))
		}
		s.want("group at depth 1", inside[0].(object), object{"id": id, "name": group, "display": group})
		inside, _ = o["users"].([]any)
		if len(inside) != 1 {
			s.Fatalf("%d users at depth 1", len(inside))
		}
		s.want("user at depth 1", inside[0].(object), object{"id": u.id, "username": u.name, "display": u.name})
		s.wantFields("PATCH", s.do("PATCH", path, s.superuser(), object{"description": "x"}).object(http.StatusOK), byDefault)
		s.do("GET", permissions+name+"/", s.superuser(), nil).object(http.StatusOK)
		for query, count := range map[string]int{
			"groups=" + group: 1, fmt.Sprintf("groups_id=%.0f", id): 1, "name=" + name + "&enabled=true": 1, "name=" + name + "&enabled=false": 0, "name__ie=" + name: 1,
		} {
			s.do("GET", permissions+"?"+query, s.superuser(), nil).count(count)
		}
		s.do("GET", permissions+"?actions=view", s.superuser(), nil).refuses("actions", unknownFilter)
		s.do("GET", permissions+missingID+"/", s.superuser(), nil).detail(http.StatusNotFound, "No ObjectPermission matches the given query.")
	},
	"forms of permissions": func(s *suite) {
		post := func(fields object) answer {
			body := object{"name": newName(), "object_types": []string{"users.token"}, "actions": []string{"view"}}
			for k, v := range fields {
				body[k] = v
			}
			return s.do("POST", permissions, s.superuser(), body)
		}
		s.do("POST", permissions, s.superuser(), object{}).
			refuses("name", "This field is required.", "object_types", "This field is required.", "actions", "This field is required.")
		post(object{"object_types": []string{"token"}}).refuses("object_types", "Invalid value. Specify a content type as '<app_label>.<model_name>'.")
		post(object{"object_types": []int{3}}).refuses("object_types", "Invalid value. Specify a content type as '<app_label>.<model_name>'.")
		post(object{"object_types": []string{"users.nosuch"}}).refuses("object_types", "Invalid content type: users.nosuch")
		post(object{"object_types": "users.token"}).refuses("object_types", `Expected a list of items but got type "str".`)
		post(object{"actions": []string{}}).refuses("actions", "This field cannot be blank.")
		post(object{"actions": nil}).refuses("actions", "This field may not be null.")
		post(object{"groups": []object{{"name": "no such"}}}).refuses("groups", missingGroup("{'name': 'no such'}"))
		post(object{"groups": []string{"3"}}).crashes("AttributeError")
		post(object{"groups": []string{"x"}}).crashes("AttributeError")
		post(object{"users": []int{3}}).refuses("users", "Related objects must be referenced by ID or by dictionary of attributes. Received an unrecognized value: 3")
		post(object{"users": []string{missingID}}).refuses("users", missingGroup("{'pk': UUID('"+missingID+"')}"))
		post(object{"users": []object{{"username": "no such"}}}).refuses("users", missingGroup("{'username': 'no such'}"))
		name := newName()
		path := s.permit(object{"name": name})
		post(object{"name": name}).refuses("name", "permission with this name already exists.")
		s.do("PUT", path, s.superuser(), object{"name": name}).refuses("object_types", "This field is required.", "actions", "This field is required.")
		u := s.newUser(nil)
		s.do("PATCH", path, s.superuser(), object{"users": []object{{"username": u.name}}, "constraints": nil, "actions": []string{"anything"}}).object(http.StatusOK)
		s.want("PATCH", s.do("GET", path, s.superuser(), nil).object(http.StatusOK), object{"constraints": nil, "actions": []any{"anything"}, "name": name})
		s.do("GET", users+"?username="+u.name+"&has_object_permissions=true", s.superuser(), nil).count(1)
		s.do("DELETE", u.path(), s.superuser(), nil).is(http.StatusNoContent)
		s.do("DELETE", path, s.superuser(), nil).is(http.StatusNoContent)
	},
	"each action alone": func(s *suite) {
		u := s.newUser(nil)
		path := s.permit(object{"users": []string{u.id}})
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
			s.do("OPTIONS", tokens, key, nil).is(http.StatusOK)
		}
		s.do("DELETE", pathOf(t), key, nil).is(http.StatusNoContent)
	},
	"superusers need no permission, staff does": func(s *suite) {
		superuser, staff := s.newUser(object{"is_superuser": true}), s.newUser(object{"is_staff": true})
		s.do("GET", users+"?username="+staff.name, keyOf(s.newToken(superuser, nil)), nil).count(1)
		s.do("GET", tokens, staff.basic(), nil).detail(http.StatusForbidden, noPermission)
		s.do("POST", tokens, staff.basic(), object{}).detail(http.StatusForbidden, noPermission)
	},
	"permissions that give nothing, and constraints that crash": func(s *suite) {
		u, other := s.newUser(nil), s.newUser(nil)
		path := s.permit(object{"users": []string{u.id}})
		set := func(fields object) { s.do("PATCH", path, s.superuser(), fields).object(http.StatusOK) }
		set(object{"enabled": false})
		s.do("GET", tokens, u.basic(), nil).detail(http.StatusForbidden, noPermission)
		s.do("POST", tokens, u.basic(), object{}).detail(http.StatusForbidden, noPermission)
		set(object{"enabled": true, "object_types": []string{"users.user"}, "constraints": nil})
		s.do("GET", tokens, u.basic(), nil).detail(http.StatusForbidden, noPermission)
		set(object{"object_types": []string{"users.token"}, "constraints": object{"user": other.id}})
		s.do("GET", tokens, u.basic(), nil).count(0)
		s.do("POST", tokens, u.basic(), object{}).detail(http.StatusForbidden, noPermission)
		for _, nonsense := range []struct {
			constraints any
			exception   string
		}{
			{object{"user__id": "$user"}, "ValidationError"},
			{object{"nosuch": 1}, "FieldError"},
			{"x", "AttributeError"},
		} {
			set(object{"constraints": nonsense.constraints})
			s.do("GET", tokens, u.basic(), nil).crashes(nonsense.exception)
			s.do("POST", tokens, u.basic(), object{}).crashes(nonsense.exception)
		}
		key := ""
		for i, works := range []any{nil, object{}, []any{}, []any{object{"user": "$user"}}, object{"user": "$user"}, []any{object{"description": "x"}, object{"user": "$user"}}} {
			set(object{"constraints": works})
			if i == 0 {
				key = keyOf(s.newToken(u, nil))
			}
			s.do("POST", tokens, key, object{}).object(http.StatusCreated)
			s.do("GET", tokens, key, nil).count(i + 2)
		}
		set(object{"constraints": object{"description": "mine"}})
		s.do("GET", tokens, key, nil).count(0)
		t := s.do("POST", tokens, key, object{"description": "mine"}).object(http.StatusCreated)
		s.do("PATCH", pathOf(t), key, object{"description": "yours"}).detail(http.StatusForbidden, noPermission)
		s.do("GET", tokens, key, nil).count(1)
	},
	"a provisioner confined to plain accounts": func(s *suite) { provisioner(s, false) },
	"a provisioner confined to a group":        func(s *suite) { provisioner(s, true) },
	"who may not view groups sees them in part": func(s *suite) {
		p := newProvisioner(s, false)
		group, id := s.newGroup()
		u := s.newUser(object{"groups": []float64{id}})
		list, _ := s.do("GET", users+"?username="+u.name+"&depth=1&exclude_m2m=false", p.key, nil).page()
		inside, _ := list[0]["groups"].([]any)
		if len(inside) != 1 {
			s.Fatalf("%d groups", len(inside))
		}
		s.wantFields("group", inside[0].(object), "id object_type url display")
		s.want("group", inside[0].(object), object{"display": group})
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
	p := aProvisioner{account: s.newUser(nil)}
	p.managed, _ = s.newGroup()
	s.permit(object{"users": []string{p.id}})
	constraints := object{"is_superuser": false, "is_staff": false}
	if confined {
		constraints["groups__name"] = p.managed
	}
	s.permit(object{"users": []string{p.id}, "object_types": []string{"users.user"}, "actions": []string{"view", "add", "change"}, "constraints": constraints})
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
