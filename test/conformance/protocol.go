package conformance

import (
	"net/http"
	"strings"
)

// protocolTests ask how the server speaks: paths, methods, headers, probes.
var protocolTests = map[string]func(*suite){
	"a path without trailing slash is redirected and nothing is done": func(s *suite) {
		name := newName()
		for path, want := range map[string]string{
			"/api/users/users": users, "/api/users/tokens?limit=1": tokens + "?limit=1", "/api/users/config": config, "/api": "/api/", "/health": "/health/",
		} {
			a := s.do("GET", path, "", nil).is(http.StatusMovedPermanently).version("")
			if got := a.header.Get("Location"); got != want {
				s.Errorf("%s: Location %q, want %q", a.what, got, want)
			}
		}
		s.do("POST", "/api/users/groups", s.superuser(), object{"name": name}).is(http.StatusMovedPermanently)
		s.do("GET", groups+"?name="+name, s.superuser(), nil).count(0)
	},
	"an unknown path is 404 with and without credentials": func(s *suite) {
		for _, path := range []string{"/api/nosuch/", "/api/nosuch", "/api/users/nosuch/", "/api/users/users/a/b/"} {
			s.do("GET", path, "", nil).version("").detail(http.StatusNotFound, "Not found.")
			s.do("GET", path, s.superuser(), nil).version("").detail(http.StatusNotFound, "Not found.")
		}
		a := s.do("GET", "/nosuch/", s.superuser(), nil).is(http.StatusNotFound)
		if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/html") {
			s.Errorf("Content-Type %q outside the API", kind)
		}
	},
	"the version is told except by errors and the configuration": func(s *suite) {
		for _, path := range []string{users, tokens, groups, permissions, "/api/", "/api/users/", "/api/status/"} {
			s.do("GET", path, s.superuser(), nil).is(http.StatusOK).version(s.Version)
			s.do("GET", path, "", nil).is(http.StatusForbidden).version(s.Version)
		}
		s.do("GET", config, s.superuser(), nil).version("").object(http.StatusOK)
		s.do("GET", config, "", nil).is(http.StatusForbidden).version("")
		s.do("PUT", config, s.superuser(), object{}).version("").detail(http.StatusMethodNotAllowed, `Method "PUT" not allowed.`)
		s.do("GET", users+"?nosuch=1", s.superuser(), nil).is(http.StatusBadRequest).version(s.Version)
		s.do("GET", users+missingID+"/", s.superuser(), nil).is(http.StatusNotFound).version(s.Version)
	},
	"the accept header chooses a version": func(s *suite) {
		accept := func(kind string) answer {
			return s.send("GET", users+"?username=nosuch", http.Header{"Authorization": {s.superuser()}, "Accept": {kind}}, nil)
		}
		accept("application/json; version=2.3").version("2.3").count(0)
		accept("*/*").version(s.Version).count(0)
		accept("image/png").version("").detail(http.StatusNotAcceptable, "Could not satisfy the request Accept header.")
		supported := "2.0, 2.1, 2.2, 2.3, 2.4"
		if s.Version == "3.2" {
			supported += ", 3.0, 3.1, 3.2"
		}
		accept("application/json; version=9.9").version("").detail(http.StatusNotAcceptable,
			`Invalid version "9.9" in "Accept" header. Supported versions are: `+supported)
	},
	"bodies must be JSON objects": func(s *suite) {
		u := s.newUser(nil)
		patch := func(body, kind string) answer {
			return s.send("PATCH", u.path(), http.Header{"Authorization": {s.superuser()}, "Content-Type": {kind}}, body)
		}
		for _, body := range []string{"{", "[", "x", `{"a":1}x`, `{"a"}`} {
			if a := patch(body, "application/json").is(http.StatusBadRequest); !strings.Contains(a.body, `{"detail":"JSON parse error - `) {
				s.Errorf("body %q: %s", body, a.refusal())
			}
		}
		patch("", "application/json").object(http.StatusOK)
		patch("{}", "application/json; charset=utf-8").object(http.StatusOK)
		patch("", "text/plain").object(http.StatusOK)
		patch("{}", "text/plain").detail(http.StatusUnsupportedMediaType, `Unsupported media type "text/plain" in request.`)
		patch("3", "application/json").refuses("non_field_errors", "Invalid data. Expected a dictionary, but got int.")
		patch("null", "application/json").refuses("non_field_errors", "No data provided")
		patch("[]", "application/json").crashes("NotImplementedError")
		s.do("POST", users, s.superuser(), "").refuses("username", "This field is required.")
		s.do("POST", users, s.superuser(), object{"username": newName() + "/", "nosuch": 1}).refuses("username", badUsername)
	},
	"methods": func(s *suite) {
		u := s.newUser(nil)
		s.do("POST", u.path(), s.superuser(), object{}).detail(http.StatusMethodNotAllowed, `Method "POST" not allowed.`)
		s.do("POST", "/api/", s.superuser(), object{}).detail(http.StatusMethodNotAllowed, `Method "POST" not allowed.`)
		s.do("PUT", config, "", object{}).detail(http.StatusForbidden, noCredentials)
		if a := s.do("HEAD", users, s.superuser(), nil).is(http.StatusOK); a.body != "" {
			s.Error("HEAD has a body")
		}
	},
	"any valid token reads the probes": func(s *suite) {
		u := s.newMember()
		key := keyOf(s.newToken(u, object{"write_enabled": false}))
		for _, path := range []string{config, "/api/", "/api/users/", "/api/status/"} {
			s.do("GET", path, key, nil).object(http.StatusOK)
		}
		s.do("GET", config+"?nosuch=1", key, nil).object(http.StatusOK)
		s.do("GET", config+"?exclude_m2m=nonsense", key, nil).object(http.StatusOK)
		if status := s.do("GET", "/api/status/", key, nil).object(http.StatusOK); status["nautobot-version"] == nil {
			s.Error("status/ has no nautobot-version")
		}
	},
	"the health check needs no credentials": func(s *suite) {
		o := s.do("GET", "/health/", "", nil).version("").object(http.StatusOK)
		if o["DatabaseBackend"] != "working" {
			s.Errorf("DatabaseBackend is %v", o["DatabaseBackend"])
		}
		a := s.send("GET", "/health/", http.Header{"Accept": {"*/*"}}, nil).is(http.StatusOK)
		if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/html") {
			s.Errorf("health check for */* is %q", kind)
		}
	},
	"links follow forwarding headers": func(s *suite) {
		u := s.newUser(nil)
		o := s.send("GET", u.path(), http.Header{"Authorization": {s.superuser()}, "X-Forwarded-Proto": {"http"}}, nil).object(http.StatusOK)
		s.want("user", o, object{"url": s.URL + u.path()})
	},
}

const (
	missingID   = "0e2a2a2a-4f10-49ab-80ee-b2734e30028c"
	badUsername = "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters."
)
