package conformance

import (
	"fmt"
	"net/http"
	"strings"
)

const tokenFields = "id object_type display url natural_slug key expires write_enabled description created"

// tokenTests ask what can be done with tokens.
var tokenTests = map[string]func(*suite){
	"what a token looks like": func(s *suite) {
		u, key := s.newMember(), newKey()
		o := s.do("POST", tokens, u.basic(), object{"key": " " + key + "\n", "description": " d "}).version(s.Version).object(http.StatusCreated)
		id := fmt.Sprint(o["id"])
		want := object{
			"object_type": "users.token", "key": key, "display": key[34:] + " (" + u.name + ")", "url": s.URL + tokens + id + "/",
			"natural_slug": id + "_" + id[:4], "expires": nil, "write_enabled": true, "description": "d", "created": o["created"],
		}
		s.wantFields("POST", o, tokenFields)
		s.want("POST", o, want)
		for _, query := range []string{"", "?depth=1", "?exclude_m2m=true", "?exclude_m2m=false"} {
			o = s.do("GET", pathOf(o)+query, u.basic(), nil).object(http.StatusOK)
			s.wantFields("GET", o, tokenFields)
			s.want("GET", o, want)
		}
		o = s.do("PATCH", pathOf(o), u.basic(), object{"description": ""}).version(s.Version).object(http.StatusOK)
		want["description"] = ""
		s.want("PATCH", o, want)
		s.wantFields("PATCH", o, tokenFields)
		made := s.do("POST", tokens, u.basic(), nil).object(http.StatusCreated)
		if key := fmt.Sprint(made["key"]); len(key) != 40 || strings.Trim(key, "0123456789abcdef") != "" {
			s.Error("a key made by the server is not 40 hexadecimal digits")
		}
	},
	"own tokens only, for superusers too": func(s *suite) {
		one, two := s.newMember(), s.newMember()
		t := s.newToken(one, nil)
		for _, other := range []string{two.basic(), s.superuser()} {
			s.do("GET", pathOf(t), other, nil).detail(http.StatusNotFound, noToken)
			s.do("PATCH", pathOf(t), other, object{"description": "x"}).detail(http.StatusNotFound, noToken)
			s.do("DELETE", pathOf(t), other, nil).detail(http.StatusNotFound, noToken)
			s.do("GET", tokens+"?id="+fmt.Sprint(t["id"]), other, nil).count(0)
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
			o := s.do("POST", tokens, authorization, object{"description": "d", "expires": "2031-02-03T04:05:06Z", "write_enabled": false}).object(http.StatusCreated)
			s.want("POST", o, object{"description": "d", "expires": "2031-02-03T04:05:06Z", "write_enabled": false})
			s.do("PUT", pathOf(o), authorization, object{}).object(http.StatusOK)
			o2 := s.do("GET", pathOf(o), authorization, nil).object(http.StatusOK)
			s.want("after PUT", o2, o)
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
	"a key is replaced in place": func(s *suite) {
		u, key := s.newMember(), newKey()
		t := s.newToken(u, nil)
		o := s.do("PATCH", pathOf(t), keyOf(t), object{"key": key}).object(http.StatusOK)
		s.want("PATCH", o, object{"id": t["id"], "key": key})
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Invalid token")
		s.do("GET", config, token(key), nil).object(http.StatusOK)
	},
	"a token deletes itself and its key can be made again": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		s.do("DELETE", pathOf(t), keyOf(t), nil).is(http.StatusNoContent)
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Invalid token")
		s.newToken(u, object{"key": t["key"]})
		s.do("GET", config, keyOf(t), nil).object(http.StatusOK)
	},
	"a deleted user's tokens are gone": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		s.do("DELETE", u.path(), s.superuser(), nil).is(http.StatusNoContent)
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Invalid token")
		s.do("GET", u.path(), s.superuser(), nil).detail(http.StatusNotFound, noUser)
	},
	"a token follows its owner's new name": func(s *suite) {
		u, name := s.newMember(), newName()
		t := s.newToken(u, nil)
		s.do("PATCH", u.path(), s.superuser(), object{"username": name}).object(http.StatusOK)
		list, _ := s.do("GET", tokens, keyOf(t), nil).page()
		s.want("token", list[0], object{"id": t["id"], "display": fmt.Sprint(t["key"])[34:] + " (" + name + ")"})
		s.do("OPTIONS", tokens, basic(name, u.password), nil).is(http.StatusOK)
		s.do("OPTIONS", tokens, u.basic(), nil).detail(http.StatusForbidden, badPassword)
	},
	"duplicate keys": func(s *suite) {
		one, two := s.newMember(), s.newMember()
		t, other := s.newToken(one, nil), s.newToken(two, nil)
		s.do("POST", tokens, one.basic(), object{"key": t["key"]}).refuses("key", keyTaken)
		s.do("POST", tokens, two.basic(), object{"key": t["key"]}).refuses("key", keyTaken)
		s.do("PATCH", pathOf(other), two.basic(), object{"key": t["key"]}).refuses("key", keyTaken)
		s.do("PATCH", pathOf(other), two.basic(), object{"key": other["key"]}).object(http.StatusOK)
		s.do("POST", tokens, two.basic(), object{"key": t["key"], "description": strings.Repeat("x", 256)}).
			refuses("description", "Ensure this field has no more than 255 characters.")
	},
	"the loser of a race gets a crash that quotes the key": func(s *suite) {
		u, key := s.newMember(), newKey()
		a := s.do("POST", tokens, u.basic(), []object{{"key": key}, {"key": key}}) // of a list all are checked, then all are made
		a.crashes("IntegrityError")
		if text := fmt.Sprint(a.decoded.(object)["error"]); text != "duplicate key value violates unique constraint \"users_token_key_key\"\nDETAIL:  Key (key)=("+key+") already exists.\n" {
			s.Error("the text of the crash differs")
		}
		s.do("GET", tokens, u.basic(), nil).count(0)
	},
	"values refused": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		x := strings.Repeat("x", 39)
		for _, r := range []struct {
			fields object
			want   []string
		}{
			{object{"key": ""}, []string{"key", "This field cannot be blank."}},
			{object{"key": strings.Repeat(" ", 40)}, []string{"key", "This field cannot be blank."}},
			{object{"key": nil}, []string{"key", "This field may not be null."}},
			{object{"key": x + "\n"}, []string{"key", "Ensure this field has at least 40 characters."}},
			{object{"key": x + "xx"}, []string{"key", "Ensure this field has no more than 40 characters."}},
			{object{"key": x + "\x00"}, []string{"key", "Null characters are not allowed."}},
			{object{"key": []string{x}}, []string{"key", "Not a valid string."}},
			{object{"description": nil}, []string{"description", "This field may not be null."}},
			{object{"write_enabled": "maybe"}, []string{"write_enabled", "Must be a valid boolean."}},
			{object{"write_enabled": nil}, []string{"write_enabled", "This field may not be null."}},
			{object{"expires": ""}, []string{"expires", badTime}},
			{object{"expires": 5}, []string{"expires", badTime}},
			{object{"key": x, "expires": "2031-13-01"}, []string{"key", "Ensure this field has at least 40 characters.", "expires", badTime}},
		} {
			s.do("POST", tokens, u.basic(), r.fields).refuses(r.want...)
			s.do("PATCH", pathOf(t), u.basic(), r.fields).refuses(r.want...)
		}
		s.do("GET", tokens, u.basic(), nil).count(1)
	},
	"keys of any 40 characters are made, and work unless a blank is inside": func(s *suite) {
		u := s.newMember()
		signs := random(4) + "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~\\"
		signs = signs[:40]
		accent := random(18) + "ä" + random(1) + "x"
		s.newToken(u, object{"key": signs})
		s.newToken(u, object{"key": accent})
		s.do("GET", config, token(signs), nil).object(http.StatusOK)
		s.do("GET", config, token(accent), nil).object(http.StatusOK)
		blank := random(18) + " x" + random(1)
		s.newToken(u, object{"key": blank})
		s.do("GET", config, token(blank), nil).detail(http.StatusForbidden, "Invalid token header. Token string should not contain spaces.")
	},
	"forms of expires": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		for given, want := range map[any]any{
			"2031-02-03T04:05:06Z": "2031-02-03T04:05:06Z", "2031-02-03T04:05:06+02:00": "2031-02-03T02:05:06Z",
			"2031-02-03T04:05:06.123456789Z": "2031-02-03T04:05:06.123456Z", "2031-02-03T04:05:06.5": "2031-02-03T04:05:06.500000Z",
			"2031-02-03T04:05": "2031-02-03T04:05:00Z", "2031-02-03": "2031-02-03T00:00:00Z", nil: nil,
		} {
			s.want("PATCH", s.do("PATCH", pathOf(t), keyOf(t), object{"expires": given}).object(http.StatusOK), object{"expires": want})
		}
		s.do("PATCH", pathOf(t), keyOf(t), object{"expires": "2020-01-01"}).object(http.StatusOK)
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Token expired")
	},
	"chosen ids": func(s *suite) {
		u, id := s.newMember(), newID()
		t := s.newToken(u, object{"id": id})
		s.want("POST", t, object{"id": id})
		s.do("POST", tokens, u.basic(), object{"id": id}).refuses("id", "Token with this Id already exists.")
		s.do("POST", tokens, u.basic(), object{"id": id, "key": t["key"]}).refuses("id", "Token with this Id already exists.", "key", keyTaken)
		s.do("POST", tokens, u.basic(), object{"id": "x"}).refuses("id", "Must be a valid UUID.")
		s.do("POST", tokens, u.basic(), object{"id": nil}).refuses("id", "This field may not be null.")
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
		s.want("page 2", get("?offset=50", 3, "number 50"), object{"next": nil, "previous": s.URL + tokens + "?limit=50"})
		s.want("middle", get("?limit=2&offset=3", 2, "number 3"),
			object{"next": s.URL + tokens + "?limit=2&offset=5", "previous": s.URL + tokens + "?limit=2&offset=1"})
		for _, limit := range []string{"0", "1000", "2000"} {
			s.want("all", get("?limit="+limit, 53, "number 0"), object{"next": nil, "previous": nil})
		}
		get("?limit=-1", 50, "number 0")
		get("?limit=x&offset=x", 50, "number 0")
		get("?offset=-1", 50, "number 0")
		get("?offset=99", 0, "")
		get("?sort=-created&limit=1", 1, "newest")
		get("?sort=nosuch&limit=1", 1, "number 0")
	},
	"filters": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, object{"description": "Some words", "expires": "2031-02-03T04:05:06Z"})
		s.newToken(u, object{"description": "other", "write_enabled": false})
		key := keyOf(t)
		for query, want := range map[string]int{
			"": 2, "description=Some%20words": 1, "description=some%20words": 0, "description=%20other%20": 1, "description=": 2,
			"description=other&description=Some%20words": 2, "description__isw=sOME": 1, "description__ic=OTHE": 1, "description__n=other": 1,
			"description__ie=OTHER": 1, "description__iew=WORDS": 1, "description__nic=other": 1, "q=word": 1,
			"write_enabled=true": 1, "write_enabled=false": 1, "write_enabled=maybe": 2,
			"expires__isnull=true": 1, "expires__isnull=false": 1, "expires__lt=2031-03-01": 1, "expires__gte=2031-03-01": 0,
			"expires=2031-02-03T04:05:06Z": 1, "created__gte=2020-01-01": 2,
			"id=" + fmt.Sprint(t["id"]): 1, "id=" + missingID: 0, "key=" + fmt.Sprint(t["key"]): 1,
			"description=other&write_enabled=true": 0,
		} {
			if _, count := s.do("GET", tokens+"?"+query, key, nil).page(); count != want {
				name, _, _ := strings.Cut(query, "=")
				s.Errorf("filter %s: count %d, want %d", name, count, want)
			}
		}
		for query, text := range map[string]string{
			"user=x": unknownFilter, "user_id=x": unknownFilter, "ordering=created": unknownFilter, "nosuch=1": unknownFilter,
			"description__sw=x": unknownFilter, "id=x": "Enter a valid UUID.", "expires=x": "Enter a valid date/time.",
		} {
			name, _, _ := strings.Cut(query, "=")
			s.do("GET", tokens+"?"+query, key, nil).refuses(name, text)
		}
		s.do("GET", tokens+"?exclude_m2m=nonsense", key, nil).crashes("ValueError")
		s.do("GET", pathOf(t)+"?nosuch=1", key, nil).refuses("nosuch", unknownFilter)
		s.do("GET", pathOf(t)+"?description=other", key, nil).detail(http.StatusNotFound, noToken)
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
			s.wantFields("PATCH", o, tokenFields)
			s.want("PATCH", o, object{"expires": soon})
		}
		s.want("foreign", s.do("GET", pathOf(foreign), stranger.basic(), nil).object(http.StatusOK), object{"expires": nil})
		patch([]object{{"id": one["id"], "expires": nil}, {"id": two["id"], "expires": "x"}}).refuses("expires", badTime)
		s.want("rolled back", s.do("GET", pathOf(one), u.basic(), nil).object(http.StatusOK), object{"expires": soon})
		if got := patch([]object{}).array(http.StatusOK); len(got) != 0 {
			s.Error("PATCH of nothing answers something")
		}
		patch(object{}).refuses("non_field_errors", `Expected a list of items but got type "dict".`)
		patch(nil).refuses("non_field_errors", `Expected a list of items but got type "dict".`)
		s.do("POST", tokens, u.basic(), []object{{"description": "ok"}, {"key": "x"}}).is(http.StatusBadRequest)
		s.do("GET", tokens, u.basic(), nil).count(2)

		remove := func(body any) answer { return s.do("DELETE", tokens, u.basic(), body) }
		remove(nil).refuses("non_field_errors", `Expected a list of items but got type "dict".`)
		remove(object{}).refuses("non_field_errors", `Expected a list of items but got type "dict".`)
		for body, text := range map[string]string{`[{}]`: `[{"id":["This field is required."]}]`, `[{"id":"x"}]`: `[{"id":["Must be a valid UUID."]}]`} {
			if a := remove(body).is(http.StatusBadRequest); a.body != text {
				s.Errorf("DELETE %s: %s", body, a.refusal())
			}
		}
		remove([]object{}).is(http.StatusNoContent)
		s.do("GET", tokens, u.basic(), nil).count(2)
		remove([]object{{"id": one["id"]}, {"id": two["id"]}, {"id": foreign["id"]}, {"id": missingID}}).is(http.StatusNoContent)
		s.do("GET", tokens, u.basic(), nil).count(0)
		s.do("GET", tokens, stranger.basic(), nil).count(1)
	},
}

const (
	badTime       = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
	unknownFilter = "Unknown filter field"
)

func newID() string {
	r := random(16)
	return r[:8] + "-" + r[8:12] + "-4" + r[13:16] + "-8" + r[17:20] + "-" + r[20:]
}
