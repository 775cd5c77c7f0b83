package conformance

import "net/http"

// authenticationTests ask who gets in, and in which words the others are refused: always 403, never 401.
var authenticationTests = map[string]func(*suite){
	"headers that authenticate nobody": func(s *suite) {
		u := s.newUser(nil)
		type refusal struct{ path, header, text string }
		for _, r := range []refusal{
			{users, "", noCredentials},
			{tokens, "", noCredentials},
			{config, "", noCredentials},
			{users, "Bearer x", noCredentials},
			{tokens, "Bearer x", noCredentials},
			{users, u.basic(), noCredentials},
			{config, u.basic(), noCredentials},
			{groups, u.basic(), noCredentials},
			{users, "Basic", noCredentials},
			{users, "Token", "Invalid token header. No credentials provided."},
			{users, "Token a b", "Invalid token header. Token string should not contain spaces."},
			{users, "Token a, Token b", "Invalid token header. Token string should not contain spaces."},
			{users, "Token a\xe4", "Invalid token header. Token string should not contain invalid characters."},
			{users, "Token " + newKey(), "Invalid token"},
			{tokens, "token " + newKey(), "Invalid token"},
			{tokens, "Basic", "Invalid basic header. No credentials provided."},
			{tokens, "Basic a b", "Invalid basic header. Credentials string should not contain spaces."},
			{tokens, "Basic !!!", "Invalid basic header. Credentials not correctly base64 encoded."},
			{tokens, "Basic bm9jb2xvbg==", "Invalid basic header. Credentials not correctly base64 encoded."},
			{tokens, basic(newName(), "x"), badPassword},
			{tokens, basic(u.name, u.password+"x"), badPassword},
			{tokens, basic(u.name, ""), badPassword},
		} {
			a := s.do("GET", r.path, r.header, nil)
			a.detail(http.StatusForbidden, r.text)
			if a.header.Get("WWW-Authenticate") != "" {
				s.Errorf("%s: has WWW-Authenticate", a.what)
			}
		}
		s.send("GET", tokens, http.Header{"Authorization": {s.superuser(), s.superuser()}}, nil).
			detail(http.StatusForbidden, "Invalid token header. Token string should not contain spaces.")
		s.send("GET", tokens, http.Header{"Authorization": {u.basic(), s.superuser()}}, nil).
			detail(http.StatusForbidden, "Invalid basic header. Credentials string should not contain spaces.")
		s.send("GET", users, http.Header{"Accept-Language": {"de"}}, nil).detail(http.StatusForbidden, noCredentials)
	},
	"schemes in any case": func(s *suite) {
		u := s.newMember()
		s.do("GET", config, "token "+s.Target.Token, nil).object(http.StatusOK)
		s.do("GET", tokens, "basic "+u.basic()[len("Basic "):], nil).count(0)
	},
	"Basic opens the tokens alone, if there is a right to them": func(s *suite) {
		plain, member := s.newUser(nil), s.newMember()
		s.do("GET", tokens, member.basic(), nil).version(s.Version).count(0)
		s.do("GET", tokens, plain.basic(), nil).detail(http.StatusForbidden, noPermission)
		s.do("POST", tokens, plain.basic(), object{"key": "short"}).detail(http.StatusForbidden, noPermission)
	},
	"OPTIONS over Basic proves the password without any right": func(s *suite) {
		plain, member := s.newUser(nil), s.newMember()
		inactive := s.newUser(object{"is_active": false})
		s.do("OPTIONS", tokens, plain.basic(), nil).object(http.StatusOK)
		s.do("OPTIONS", tokens, member.basic(), nil).object(http.StatusOK)
		s.do("OPTIONS", tokens, s.superuser(), nil).object(http.StatusOK)
		s.do("OPTIONS", tokens, "", nil).detail(http.StatusForbidden, noCredentials)
		s.do("OPTIONS", tokens, basic(plain.name, plain.password+"x"), nil).detail(http.StatusForbidden, badPassword)
		s.do("OPTIONS", tokens, inactive.basic(), nil).detail(http.StatusForbidden, badPassword)
		s.do("OPTIONS", users, plain.basic(), nil).detail(http.StatusForbidden, noCredentials)
	},
	"passwords are stripped when set and not when checked": func(s *suite) {
		for set, open := range map[string]string{" x y\n": "x y", "a:b\t€ü": "a:b\t€ü"} {
			u := s.newUser(object{"password": set})
			s.do("OPTIONS", tokens, basic(u.name, open), nil).object(http.StatusOK)
			s.do("OPTIONS", tokens, basic(u.name, open+"\n"), nil).detail(http.StatusForbidden, badPassword)
			s.do("OPTIONS", tokens, basic(u.name, " "+open), nil).detail(http.StatusForbidden, badPassword)
		}
	},
	"a user without password": func(s *suite) {
		name := newName()
		o := s.do("POST", users, s.superuser(), object{"username": name}).object(http.StatusCreated)
		s.remove(account{id: o["id"].(string)}.path())
		for _, guess := range []string{"", "!"} {
			s.do("GET", tokens, basic(name, guess), nil).detail(http.StatusForbidden, badPassword)
		}
	},
	"an expired token": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, object{"expires": "2020-01-01T00:00:00Z"})
		s.do("GET", config, keyOf(t), nil).version("").detail(http.StatusForbidden, "Token expired")
		s.do("GET", tokens, keyOf(t), nil).version(s.Version).detail(http.StatusForbidden, "Token expired")
		s.do("PATCH", pathOf(t), keyOf(t), object{"expires": nil}).detail(http.StatusForbidden, "Token expired")
		s.do("PATCH", u.path(), s.superuser(), object{"is_active": false}).object(http.StatusOK)
		s.do("GET", config, keyOf(t), nil).detail(http.StatusForbidden, "Token expired")
		s.do("PATCH", u.path(), s.superuser(), object{"is_active": true}).object(http.StatusOK)
		s.do("PATCH", pathOf(t), u.basic(), object{"expires": nil}).object(http.StatusOK)
		s.do("GET", config, keyOf(t), nil).object(http.StatusOK)
	},
	"an inactive user": func(s *suite) {
		u := s.newMember()
		t := s.newToken(u, nil)
		o := s.do("PATCH", u.path(), s.superuser(), object{"is_active": false}).object(http.StatusOK)
		s.want("user", o, object{"is_active": false})
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
		s.do("OPTIONS", tokens, keyOf(t), nil).object(http.StatusOK)
		s.do("POST", tokens, keyOf(t), object{}).detail(http.StatusForbidden, noPermission)
		s.do("PATCH", pathOf(t), keyOf(t), object{"write_enabled": true}).detail(http.StatusForbidden, noPermission)
		s.do("PUT", pathOf(t), keyOf(t), object{}).detail(http.StatusForbidden, noPermission)
		s.do("DELETE", pathOf(t), keyOf(t), nil).detail(http.StatusForbidden, noPermission)
		s.do("PATCH", pathOf(t), u.basic(), object{"write_enabled": true}).object(http.StatusOK)
		s.do("POST", tokens, keyOf(t), object{}).object(http.StatusCreated)
	},
}
