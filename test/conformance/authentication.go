package conformance

import "net/http"

// authenticationTests ask who gets in, and in which words the others are refused: always 403, never 401.
var authenticationTests = map[string]func(*suite){
	"logins that are refused": func(s *suite) {
		u, inactive := s.newMember(), s.newUser(object{"is_active": false})
		unknown := basic(newName(), "x")
		for _, r := range []struct{ path, header, text string }{
			{users, "", noCredentials},
			{tokens, "", noCredentials},
			{config, "", noCredentials},
			{users, u.basic(), noCredentials}, // Basic is for tokens only
			{config, u.basic(), noCredentials},
			{users, token(newKey()), "Invalid token"},
			{tokens, token(newKey()), "Invalid token"},
			{tokens, unknown, badPassword},
			{tokens, basic(u.name, u.password+"x"), badPassword},
			{tokens, basic(u.name, u.password+"\n"), badPassword},
			{tokens, inactive.basic(), badPassword},
			{tokens, basic(s.newUser(object{"password": nil}).name, "x"), badPassword},
		} {
			s.do("GET", r.path, r.header, nil).detail(http.StatusForbidden, r.text)
		}
		// In whatever language a server speaks, who sends a wrong login and who sends none can be told apart.
		wrong, none := s.do("GET", tokens, unknown, nil), s.do("GET", tokens, "", nil)
		if wrong.body == none.body {
			s.Error("a wrong login is refused in the words for none")
		}
		s.do("GET", users, s.superuser()+", "+s.superuser(), nil).
			detail(http.StatusForbidden, "Invalid token header. Token string should not contain spaces.")
	},
	"Basic opens the tokens only, and only with a right to them": func(s *suite) {
		plain, member := s.newUser(nil), s.newMember()
		s.do("GET", tokens, member.basic(), nil).count(0)
		s.do("GET", tokens, plain.basic(), nil).detail(http.StatusForbidden, noPermission)
		s.do("POST", tokens, plain.basic(), object{"key": "short"}).detail(http.StatusForbidden, noPermission)
		s.do("OPTIONS", tokens, plain.basic(), nil).object(http.StatusOK) // without any right
		s.do("OPTIONS", tokens, basic(plain.name, "x"), nil).detail(http.StatusForbidden, badPassword)
	},
	"passwords are stripped when set and not when checked": func(s *suite) {
		for set, open := range map[string]string{" x y\n": "x y", "a:b\t€ü": "a:b\t€ü"} {
			u := s.newUser(object{"password": set})
			s.do("OPTIONS", tokens, basic(u.name, open), nil).object(http.StatusOK)
			s.do("OPTIONS", tokens, basic(u.name, open+"\n"), nil).detail(http.StatusForbidden, badPassword)
			s.do("OPTIONS", tokens, basic(u.name, " "+open), nil).detail(http.StatusForbidden, badPassword)
		}
	},
	"an expired token": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, object{"expires": "2020-01-01T00:00:00Z"})
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Token expired")
		s.do("GET", tokens, keyOf(t), nil).detail(http.StatusForbidden, "Token expired")
		s.do("PATCH", u.path(), s.superuser(), object{"is_active": false}).object(http.StatusOK)
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Token expired")
		s.do("PATCH", u.path(), s.superuser(), object{"is_active": true}).object(http.StatusOK)
		s.do("PATCH", pathOf(t), u.basic(), object{"expires": nil}).object(http.StatusOK)
		s.do("GET", config, keyOf(t), nil).object(http.StatusOK)
	},
	"an inactive user, whose tokens and password come back with the account": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		s.want("user", s.do("PATCH", u.path(), s.superuser(), object{"is_active": false}).object(http.StatusOK), object{"is_active": false})
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "User inactive")
		s.do("GET", tokens, keyOf(t), nil).detail(http.StatusForbidden, "User inactive")
		s.do("GET", tokens, u.basic(), nil).detail(http.StatusForbidden, badPassword)
		s.do("GET", users+"?username="+u.name, s.superuser(), nil).count(1)
		s.do("PATCH", u.path(), s.superuser(), object{"is_active": true}).object(http.StatusOK)
		s.do("GET", tokens, keyOf(t), nil).count(1)
		s.do("GET", tokens, u.basic(), nil).count(1)
	},
	"a read-only token": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		s.do("PATCH", pathOf(t), keyOf(t), object{"write_enabled": false}).object(http.StatusOK)
		s.do("GET", tokens, keyOf(t), nil).count(1)
		s.do("POST", tokens, keyOf(t), object{}).detail(http.StatusForbidden, noPermission)
		s.do("PATCH", pathOf(t), keyOf(t), object{"write_enabled": true}).detail(http.StatusForbidden, noPermission)
		s.do("DELETE", tokens, keyOf(t), []object{{"id": t["id"]}}).detail(http.StatusForbidden, noPermission)
		s.do("PATCH", pathOf(t), u.basic(), object{"write_enabled": true}).object(http.StatusOK)
		s.do("POST", tokens, keyOf(t), object{}).object(http.StatusCreated)
	},
	"paths that do not exist": func(s *suite) {
		s.do("GET", "/api/nosuch/", "", nil).detail(http.StatusNotFound, "Not found.")
		s.do("GET", "/api/users/nosuch/", s.superuser(), nil).detail(http.StatusNotFound, "Not found.")
		if a := s.do("GET", "/nosuch/", s.superuser(), nil).is(http.StatusNotFound); a.decoded != nil {
			s.Error("outside of the API the answer is JSON")
		}
	},
}
