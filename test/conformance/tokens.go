package conformance

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// tokenTests ask what can be done with tokens.
var tokenTests = map[string]func(*suite){
	"what a token looks like": func(s *suite) {
		u, key := s.newMember(), newKey()
		o := s.do("POST", tokens, u.basic(), object{"key": " " + key + "\n", "description": " d "}).object(http.StatusCreated)
		want := object{
			"key": key, "display": key[34:] + " (" + u.name + ")", "expires": nil, "write_enabled": true, "description": "d",
			"created": o["created"],
		}
		s.want("POST", o, want)
		s.want("GET", s.do("GET", pathOf(o), u.basic(), nil).object(http.StatusOK), want)
		s.want("list", s.do("GET", tokens, u.basic(), nil).one(), want)
		if created, err := time.Parse(time.RFC3339, fmt.Sprint(o["created"])); err != nil || created.IsZero() {
			s.Errorf("created: %v", err)
		}
		want["description"] = ""
		s.want("PATCH", s.do("PATCH", pathOf(o), u.basic(), object{"description": ""}).object(http.StatusOK), want)
	},
	"own tokens only, for superusers too": func(s *suite) {
		one, two := s.newMember(), s.newMember()
		t := s.newToken(one, nil)
		for _, other := range []string{two.basic(), s.superuser()} {
			s.do("GET", pathOf(t), other, nil).detail(http.StatusNotFound, noToken)
			s.do("PATCH", pathOf(t), other, object{"description": "x"}).detail(http.StatusNotFound, noToken)
			s.do("DELETE", pathOf(t), other, nil).detail(http.StatusNotFound, noToken)
		}
		o := s.do("POST", tokens, two.basic(), object{"user": one.id}).object(http.StatusCreated)
		if display := fmt.Sprint(o["display"]); !strings.HasSuffix(display, "("+two.name+")") {
			s.Error("a token was made for somebody else")
		}
		s.do("GET", tokens, one.basic(), nil).count(1)
	},
	"what a member can do, with its token as over Basic": func(s *suite) {
		u := s.newMember()
		key := keyOf(s.newToken(u, nil))
		for _, authorization := range []string{u.basic(), key} {
			fields := object{"description": "d", "expires": "2031-02-03T04:05:06Z", "write_enabled": false}
			o := s.do("POST", tokens, authorization, fields).object(http.StatusCreated)
			s.want("POST", o, fields)
			s.do("GET", tokens, authorization, nil).count(2)
			if a := s.do("DELETE", pathOf(o), authorization, nil).is(http.StatusNoContent); a.body != "" {
				s.Error("DELETE has a body")
			}
			s.do("DELETE", pathOf(o), authorization, nil).detail(http.StatusNotFound, noToken)
		}
		s.do("GET", users, key, nil).detail(http.StatusForbidden, noPermission)
		s.do("GET", u.path(), key, nil).detail(http.StatusForbidden, noPermission)
		s.do("GET", groups, key, nil).detail(http.StatusForbidden, noPermission)
		s.do("POST", users, key, object{}).detail(http.StatusForbidden, noPermission)
	},
	"a token deletes itself and its key can be created again": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		s.do("DELETE", tokens, keyOf(t), []object{{"id": t["id"]}}).is(http.StatusNoContent)
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Invalid token")
		s.newToken(u, object{"key": t["key"]})
		s.do("GET", config, keyOf(t), nil).object(http.StatusOK)
	},
	"a deleted user's tokens are gone": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		s.do("DELETE", u.path(), s.superuser(), nil).is(http.StatusNoContent)
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Invalid token")
	},
	"duplicate keys": func(s *suite) {
		one, two := s.newMember(), s.newMember()
		t := s.newToken(one, nil)
		s.do("POST", tokens, one.basic(), object{"key": t["key"]}).refuses("key", keyTaken)
		s.do("POST", tokens, two.basic(), object{"key": t["key"]}).refuses("key", keyTaken)
		s.do("POST", tokens, two.basic(), object{"key": t["key"], "description": strings.Repeat("x", 256)}).
			refuses("description", "Ensure this field has no more than 255 characters.")
	},
	"the loser of a race gets a crash that quotes the key": func(s *suite) {
		u, key := s.newMember(), newKey()
		s.do("POST", tokens, u.basic(), []object{{"key": key}, {"key": key}}).loses("users_token_key_key", "key", key)
		s.do("GET", tokens, u.basic(), nil).count(0)
	},
	"values refused": func(s *suite) {
		u := s.newMember()
		x := strings.Repeat("x", 39)
		for _, r := range []struct {
			fields object
			want   []string
		}{
			{object{"key": x + "\n"}, []string{"key", "Ensure this field has at least 40 characters."}},
			{object{"key": x + "xx"}, []string{"key", "Ensure this field has no more than 40 characters."}},
			{object{"expires": "soon"}, []string{"expires", badTime}},
			{object{"key": x, "expires": "soon"}, []string{"key", "Ensure this field has at least 40 characters.", "expires", badTime}},
		} {
			s.do("POST", tokens, u.basic(), r.fields).refuses(r.want...)
		}
		s.do("GET", tokens, u.basic(), nil).count(0)
	},
	"keys of any 40 visible characters work": func(s *suite) {
		u := s.newMember()
		signs := (random(4) + "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~\\")[:40]
		s.newToken(u, object{"key": signs})
		s.do("GET", config, token(signs), nil).object(http.StatusOK)
	},
	"expires": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		for given, want := range map[any]any{
			"2031-02-03T04:05:06Z": "2031-02-03T04:05:06Z", "2031-02-03T04:05:06.123456789Z": "2031-02-03T04:05:06.123456Z", nil: nil,
		} {
			s.want("PATCH", s.do("PATCH", pathOf(t), keyOf(t), object{"expires": given}).object(http.StatusOK), object{"expires": want})
		}
		s.do("PATCH", pathOf(t), keyOf(t), object{"expires": "2020-01-01T00:00:00Z"}).object(http.StatusOK)
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Token expired")
	},
	"pages are 50 long, oldest first": func(s *suite) {
		u := s.newMember()
		var all []object
		for i := range 52 {
			all = append(all, object{"description": fmt.Sprintf("number %d", i)})
		}
		s.do("POST", tokens, u.basic(), all).array(http.StatusCreated)
		key := keyOf(s.newToken(u, object{"description": "newest"}))
		get := func(query string, length int, first string) object {
			a := s.do("GET", tokens+query, key, nil)
			results, count := a.page()
			if count != 53 || len(results) != length {
				s.Fatalf("%s%s: %d of %d, want %d of 53", a.what, query, len(results), count, length)
			}
			if length > 0 {
				s.want(query, results[0], object{"description": first})
			}
			return a.decoded.(object)
		}
		s.want("page 1", get("", 50, "number 0"), object{"previous": nil, "next": s.URL + tokens + "?limit=50&offset=50"})
		s.want("page 2", get("?offset=50", 3, "number 50"), object{"next": nil})
		s.want("middle", get("?limit=2&offset=3", 2, "number 3"),
			object{"next": s.URL + tokens + "?limit=2&offset=5", "previous": s.URL + tokens + "?limit=2&offset=1"})
		for _, limit := range []string{"0", "1000", "2000"} {
			s.want("all", get("?limit="+limit, 53, "number 0"), object{"next": nil, "previous": nil})
		}
		get("?limit=-1", 50, "number 0")
		get("?offset=99", 0, "")
	},
	"bulk changes": func(s *suite) {
		u, stranger := s.newMember(), s.newMember()
		one, two, foreign := s.newToken(u, nil), s.newToken(u, nil), s.newToken(stranger, nil)
		const soon = "2031-02-03T04:05:06Z"
		patch := func(body any) answer { return s.do("PATCH", tokens, u.basic(), body) }
		got := patch([]object{{"id": one["id"], "expires": soon}, {"id": missingID, "expires": soon}, {"id": foreign["id"], "expires": soon}, {"id": two["id"], "expires": soon}}).array(http.StatusOK)
		if len(got) != 2 {
			s.Fatalf("PATCH of two own tokens, a foreign and an unknown one: %d answered", len(got))
		}
		for _, o := range got {
			s.want("PATCH", o, object{"expires": soon})
		}
		s.want("foreign", s.do("GET", pathOf(foreign), stranger.basic(), nil).object(http.StatusOK), object{"expires": nil})
		patch([]object{{"id": one["id"], "expires": nil}, {"id": two["id"], "expires": "x"}}).refuses("expires", badTime)
		s.want("rolled back", s.do("GET", pathOf(one), u.basic(), nil).object(http.StatusOK), object{"expires": soon})
		patch(object{}).refuses("non_field_errors", `Expected a list of items but got type "dict".`)

		remove := func(body any) answer { return s.do("DELETE", tokens, u.basic(), body) }
		remove(nil).refuses("non_field_errors", `Expected a list of items but got type "dict".`)
		remove([]object{}).is(http.StatusNoContent)
		s.do("GET", tokens, u.basic(), nil).count(2)
		remove([]object{{"id": one["id"]}, {"id": two["id"]}, {"id": foreign["id"]}, {"id": missingID}}).is(http.StatusNoContent)
		s.do("GET", tokens, u.basic(), nil).count(0)
		s.do("GET", tokens, stranger.basic(), nil).count(1)
	},
}

const badTime = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
