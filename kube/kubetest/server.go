// Package kubetest is a fake Kubernetes API server with Secrets, by name and by
// label, Events, and other objects to read. It knows no more than the program
// relies on, and words its refusals as the real one does.
package kubetest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Token is what a request has to present: the one in the kubeconfig.
const Token = "canary-kubernetes" //nolint:gosec // G101: it opens nothing but this

// Server is an API server that knows Secrets and Events.
type Server struct {
	*httptest.Server

	mu        sync.Mutex
	secrets   map[string]*secret // by NAMESPACE/NAME
	version   int                // of the last change
	oldest    int                // version from which on a list can still be continued
	refuse    int                // status for every request; 0: none
	intercept func(r *http.Request, n int) http.Handler
	requests  []string
	events    []map[string]any
	objects   objects
}

type secret struct {
	namespace, name string
	created         int // version
	version         int
	labels          map[string]string
	annotations     map[string]string
	deleted         bool // it is there until its finalizers are done
	data            map[string]string
}

// Began is when all Secrets were created.
var Began = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// New starts a server without objects.
func New() *Server {
	s := &Server{secrets: map[string]*secret{}, version: 1}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of clients that do not like the certificate
	s.StartTLS()
	return s
}

// Put stores a Secret, named NAMESPACE/NAME, with the program's label. It
// is a new version each time, and a new object if there was none.
func (s *Server) Put(path string, values map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.secrets[path]
	if one == nil {
		namespace, name, _ := strings.Cut(path, "/")
		one = &secret{namespace: namespace, name: name, created: s.version + 1}
		s.secrets[path] = one
	}
	one.labels, one.data = map[string]string{"token/type": "nautobot"}, values
	s.changed(one)
}

// Unlabel removes the labels from a Secret.
func (s *Server) Unlabel(path string) { s.change(path, func(one *secret) { one.labels = nil }) }

// Annotate changes a Secret in a way that means nothing to the program.
func (s *Server) Annotate(path, key, value string) {
	s.change(path, func(one *secret) { one.annotations = map[string]string{key: value} })
}

// SetDeletion marks a Secret as deleted, while a finalizer keeps it there.
func (s *Server) SetDeletion(path string) { s.change(path, func(one *secret) { one.deleted = true }) }

// Remove removes a Secret.
func (s *Server) Remove(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	delete(s.secrets, path)
}

// RefuseAll answers every request with that status from now on; 0 ends that.
func (s *Server) RefuseAll(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = status
}

// ExpireLists makes lists that were begun before impossible to continue.
func (s *Server) ExpireLists() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.oldest = s.version
}

// Intercept has f see every request and its number, from 1, before it is
// carried out. What f returns answers it; nil lets it through.
func (s *Server) Intercept(f func(r *http.Request, n int) http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Requests returns all requests that came: method, path and query.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Events returns all Events that were recorded, as they were sent.
func (s *Server) Events() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// EventTexts returns the Events, one line each: type, object, reason and message.
func (s *Server) EventTexts() []string {
	var texts []string
	for _, event := range s.Events() {
		object, _ := event["involvedObject"].(map[string]any)
		texts = append(texts, fmt.Sprintf("%s %s/%s %s: %s", event["type"], object["namespace"], object["name"], event["reason"], event["message"]))
	}
	return texts
}

// Kubeconfig is one for this server. Its context is main, in that namespace;
// the contexts other and bare have the namespace other and none.
func (s *Server) Kubeconfig(namespace string) string {
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return `{"apiVersion":"v1","kind":"Config","current-context":"main",
		"clusters":[{"name":"c","cluster":{"server":"` + s.URL + `","certificate-authority-data":"` + ca + `"}}],
		"users":[{"name":"u","user":{"token":"` + Token + `"}}],
		"contexts":[{"name":"main","context":{"cluster":"c","user":"u","namespace":"` + namespace + `"}},
		            {"name":"other","context":{"cluster":"c","user":"u","namespace":"other"}},
		            {"name":"bare","context":{"cluster":"c","user":"u"}}]}`
}

// Answer always gives this answer, whatever is asked.
func Answer(status int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) //nolint:gosec // G705: the text is of the test that put it there
	})
}

// Refuse answers a request as an API server does that refuses it with that
// status.
func Refuse(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		namespace, resource, name := split(r.URL.Path)
		about := map[string]any{"name": name, "kind": resource}
		message := usual[status].message
		switch status {
		case http.StatusForbidden:
			verb := map[bool]string{true: "get", false: "list"}[name != ""]
			if r.Method == http.MethodPost {
				verb = "create"
			}
			scope := fmt.Sprintf("in the namespace %q", namespace)
			if namespace == "" {
				scope = "at the cluster scope"
			}
			message = fmt.Sprintf("%s is forbidden: User %q cannot %s resource %q in API group \"\" %s",
				strings.TrimSuffix(fmt.Sprintf("%s %q", resource, name), ` ""`), user, verb, resource, scope)
		case http.StatusNotFound:
			message = fmt.Sprintf("%s %q not found", resource, name)
		default:
			about = nil
		}
		refusal(status, message, about).ServeHTTP(w, r)
	})
}

// user is who the kubeconfig's token belongs to.
const user = "system:serviceaccount:nautobot-token:nautobot-token"

func (s *Server) change(path string, change func(*secret)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.secrets[path])
	s.changed(s.secrets[path])
}

func (s *Server) changed(one *secret) {
	s.version++
	one.version = s.version
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	query.Del("timeout") // client-go tells the server how long it waits
	s.mu.Lock()
	s.requests = append(s.requests, strings.TrimSuffix(r.Method+" "+r.URL.Path+"?"+query.Encode(), "?"))
	n, intercept := len(s.requests), s.intercept
	s.mu.Unlock()
	w.Header().Set("Warning", `299 - "the API server warns"`)
	if intercept != nil {
		if answer := intercept(r, n); answer != nil {
			answer.ServeHTTP(w, r)
			return
		}
	}
	s.mu.Lock()
	answer := s.answer(r)
	s.mu.Unlock()
	answer.ServeHTTP(w, r)
}

// answer carries a request out.
func (s *Server) answer(r *http.Request) http.Handler {
	namespace, resource, name := split(r.URL.Path)
	switch {
	case s.refuse != 0:
		return Refuse(s.refuse)
	case r.Header.Get("Authorization") != "Bearer "+Token:
		return Refuse(http.StatusUnauthorized)
	case resource == "secrets" && slices.Contains(s.objects.forbidden, namespace+"/secrets"):
		return Refuse(http.StatusForbidden)
	case r.Method == http.MethodGet && resource == "secrets" && name == "":
		return s.list(namespace, r)
	case r.Method == http.MethodGet && resource == "secrets" && namespace != "":
		if one := s.secrets[namespace+"/"+name]; one != nil {
			return object(http.StatusOK, one.render("Secret"))
		}
		return Refuse(http.StatusNotFound)
	case r.Method == http.MethodPost && resource == "events" && namespace != "" && name == "":
		return s.event(namespace, r)
	}
	if answer := s.objects.answer(r); answer != nil {
		return answer
	}
	return refusal(http.StatusNotFound, "the server could not find the requested resource", map[string]any{})
}

// split splits a path of the core group.
func split(path string) (namespace, resource, name string) {
	path, ok := strings.CutPrefix(path, "/api/v1/")
	if !ok {
		return "", "", ""
	}
	if rest, ok := strings.CutPrefix(path, "namespaces/"); ok && strings.Contains(rest, "/") {
		namespace, path, _ = strings.Cut(rest, "/")
	}
	resource, name, _ = strings.Cut(path, "/")
	return namespace, resource, name
}

// list answers a page, in the order of the names. Its continue parameter holds
// the version at which the list began and the last name of the page before.
func (s *Server) list(namespace string, r *http.Request) http.Handler {
	query := r.URL.Query()
	version, after := s.version, ""
	if text := query.Get("continue"); text != "" {
		begun, err := base64.RawURLEncoding.DecodeString(text)
		start, last, _ := strings.Cut(string(begun), " ")
		version, _ = strconv.Atoi(start)
		after = last
		if err != nil {
			return Refuse(http.StatusBadRequest)
		}
		if version < s.oldest {
			rest := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", s.version, last))
			return status(http.StatusGone, expired, map[string]any{"continue": rest}, nil)
		}
	}
	var found []*secret
	for path, one := range s.secrets {
		if (namespace == "" || one.namespace == namespace) && path > after && one.matches(query.Get("labelSelector")) {
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(a, b *secret) int { return cmp.Compare(a.path(), b.path()) })
	metadata := map[string]any{"resourceVersion": strconv.Itoa(version)}
	if limit, _ := strconv.Atoi(query.Get("limit")); limit > 0 && len(found) > limit {
		found = found[:limit]
		metadata["continue"] = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", version, found[limit-1].path()))
	}
	items := []any{}
	for _, one := range found {
		items = append(items, one.render(""))
	}
	return object(http.StatusOK, map[string]any{"kind": "SecretList", "apiVersion": "v1", "metadata": metadata, "items": items})
}

// event keeps an Event.
func (s *Server) event(namespace string, r *http.Request) http.Handler {
	var event map[string]any
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		return Refuse(http.StatusBadRequest)
	}
	metadata, _ := event["metadata"].(map[string]any)
	about, _ := event["involvedObject"].(map[string]any)
	if metadata["namespace"] != namespace || about["namespace"] != namespace {
		return refusal(http.StatusUnprocessableEntity, fmt.Sprintf("Event %q is invalid: involvedObject.namespace: Invalid value: %q: does not match event.namespace",
			metadata["name"], about["namespace"]), map[string]any{"name": metadata["name"], "kind": "Event"})
	}
	s.events = append(s.events, event)
	return object(http.StatusCreated, event)
}

func (one *secret) path() string { return one.namespace + "/" + one.name }

// matches knows selectors like a=b,c=d.
func (one *secret) matches(selector string) bool {
	for pair := range strings.SplitSeq(selector, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok && one.labels[key] != value {
			return false
		}
	}
	return true
}

// render shows a Secret; in a list without its kind.
func (one *secret) render(kind string) map[string]any {
	metadata := map[string]any{
		"namespace": one.namespace, "name": one.name,
		"uid":             fmt.Sprintf("00000000-0000-4000-8000-%012d", one.created),
		"resourceVersion": strconv.Itoa(one.version), "creationTimestamp": Began.Format(time.RFC3339),
	}
	if one.labels != nil {
		metadata["labels"] = one.labels
	}
	if one.annotations != nil {
		metadata["annotations"] = one.annotations
	}
	if one.deleted {
		metadata["deletionTimestamp"] = time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC).Format(time.RFC3339)
		metadata["finalizers"] = []string{"example.org/keep"}
	}
	data := map[string][]byte{}
	for key, value := range one.data {
		data[key] = []byte(value)
	}
	out := map[string]any{"metadata": metadata, "type": "Opaque", "data": data}
	if kind != "" {
		out["kind"], out["apiVersion"] = kind, "v1"
	}
	return out
}

func object(status int, body any) http.Handler {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return Answer(status, "application/json", string(text)+"\n")
}

// usual are the reasons of statuses, and the messages of those that name
// nothing of the request.
var usual = map[int]struct{ reason, message string }{
	http.StatusBadRequest:          {"BadRequest", "the object provided is unrecognized"},
	http.StatusUnauthorized:        {"Unauthorized", "Unauthorized"},
	http.StatusForbidden:           {"Forbidden", ""},
	http.StatusNotFound:            {"NotFound", ""},
	http.StatusGone:                {"Expired", expired},
	http.StatusUnprocessableEntity: {"Invalid", ""},
	http.StatusTooManyRequests:     {"TooManyRequests", "Too many requests, please try again later."},
	http.StatusInternalServerError: {"InternalError", "Internal error occurred: etcdserver: request timed out"},
	http.StatusServiceUnavailable:  {"ServiceUnavailable", "the server is currently unable to handle the request"},
	http.StatusGatewayTimeout:      {"Timeout", "Timeout: request did not complete within the allotted timeout"},
}

const expired = "The provided continue parameter is too old to display a consistent list result. You can start a new list without " +
	"the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the " +
	"provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk " +
	"was returned and now may show up in the list."

// refusal is a Status. about names the object that it is about; not every
// Status does.
func refusal(code int, message string, about map[string]any) http.Handler {
	return status(code, message, map[string]any{}, about)
}

func status(code int, message string, metadata, about map[string]any) http.Handler {
	body := map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
		"reason": usual[code].reason, "message": message, "code": code,
	}
	if about != nil {
		body["details"] = about
	}
	return object(code, body)
}
