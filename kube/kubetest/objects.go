package kubetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The kinds besides Secrets and Events that can be read, by the path of their
// group: those of the core and of batch are always there.
var served = map[string][]string{
	"/api/v1":                           {"configmaps", "pods", "events", "resourcequotas", "persistentvolumeclaims"},
	"/apis/batch/v1":                    {"jobs", "cronjobs"},
	"/apis/argoproj.io/v1alpha1":        {"eventbus", "eventsources", "sensors"},
	"/apis/external-secrets.io/v1":      {"externalsecrets"},
	"/apis/external-secrets.io/v1beta1": nil,
}

// objects are those that tests have put there as JSON. They are only read.
type objects struct {
	kept      []kept
	logs      map[string]string // by NAMESPACE/POD, with "?previous" for the container before
	gone      []string          // groups that are not served
	forbidden []string          // RESOURCE or NAMESPACE/RESOURCE
}

type kept struct {
	group, resource, namespace, name string
	object                           map[string]any
}

// PutObject keeps an object of any kind, given as JSON without apiVersion and
// kind, where the API has its kind, such as /apis/batch/v1/jobs. It replaces the
// one of the same name.
func (s *Server) PutObject(at, text string) {
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		panic(err)
	}
	cut := strings.LastIndex(at, "/")
	metadata := object["metadata"].(map[string]any)
	one := kept{at[:cut], at[cut+1:], fmt.Sprint(metadata["namespace"]), fmt.Sprint(metadata["name"]), object}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects.kept = append(s.objects.without(one.group, one.resource, one.namespace, one.name), one)
}

// RemoveObject removes an object, named NAMESPACE/NAME.
func (s *Server) RemoveObject(at, path string) {
	cut := strings.LastIndex(at, "/")
	namespace, name, _ := strings.Cut(path, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects.kept = s.objects.without(at[:cut], at[cut+1:], namespace, name)
}

func (o *objects) without(group, resource, namespace, name string) []kept {
	return slices.DeleteFunc(o.kept, func(k kept) bool {
		return k.group == group && k.resource == resource && k.namespace == namespace && k.name == name
	})
}

// PutLog sets the log of a Pod, NAMESPACE/NAME, including the times.
func (s *Server) PutLog(path, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects.logs == nil {
		s.objects.logs = map[string]string{}
	}
	s.objects.logs[path] = text
}

// Unserve makes the server forget a group, such as /apis/argoproj.io/v1alpha1.
func (s *Server) Unserve(group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects.gone = append(s.objects.gone, group)
}

// Forbid takes away the right to read a RESOURCE, or NAMESPACE/RESOURCE in one
// namespace only. An empty NAMESPACE stands for a list of all namespaces.
func (s *Server) Forbid(resources ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects.forbidden = append(s.objects.forbidden, resources...)
}

// answer reads what was put there; nil: the path is not ours.
func (o *objects) answer(r *http.Request) http.Handler {
	if r.Method != http.MethodGet {
		return nil
	}
	for group, resources := range served {
		path, ok := strings.CutPrefix(r.URL.Path, group+"/")
		if !ok || slices.Contains(o.gone, group) {
			continue
		}
		namespace := ""
		if rest, ok := strings.CutPrefix(path, "namespaces/"); ok {
			namespace, path, _ = strings.Cut(rest, "/")
		}
		parts := strings.Split(path, "/")
		if slices.Contains(o.forbidden, parts[0]) || slices.Contains(o.forbidden, namespace+"/"+parts[0]) {
			return forbid(strings.TrimPrefix(group, "/apis/"), namespace, parts)
		}
		switch {
		case !slices.Contains(resources, parts[0]):
		case len(parts) == 1:
			return o.list(group, parts[0], namespace, r.URL.Query())
		case len(parts) == 3 && parts[2] == "log":
			return Answer(http.StatusOK, "text/plain", o.logs[namespace+"/"+parts[1]+map[bool]string{true: "?previous"}[r.URL.Query().Get("previous") == "true"]])
		default:
			return o.get(group, parts[0], namespace, parts[1])
		}
	}
	if strings.HasPrefix(r.URL.Path, "/apis/") {
		return Answer(http.StatusNotFound, "text/plain", "404 page not found\n") // as for a group that nobody serves
	}
	return nil
}

func forbid(group, namespace string, parts []string) http.Handler {
	verb, name := "list", ""
	if len(parts) > 1 {
		verb, name = "get", parts[1]
	}
	resource := parts[0]
	return refusal(http.StatusForbidden, fmt.Sprintf("%s %q is forbidden: User %q cannot %s resource %q in API group %q in the namespace %q", resource, name, user, verb, resource, group, namespace),
		map[string]any{"name": name, "kind": resource})
}

func (o *objects) get(group, resource, namespace, name string) http.Handler {
	for _, k := range o.kept {
		if k.group == group && k.resource == resource && k.namespace == namespace && k.name == name {
			return object(http.StatusOK, k.object)
		}
	}
	return refusal(http.StatusNotFound, fmt.Sprintf("%s %q not found", resource, name), map[string]any{"name": name, "kind": resource})
}

// list knows the selectors that the program uses.
func (o *objects) list(group, resource, namespace string, query url.Values) http.Handler {
	items := []any{}
	for _, k := range o.kept {
		if k.group == group && k.resource == resource && (namespace == "" || k.namespace == namespace) &&
			selected(query.Get("labelSelector"), func(key string) string { return field(k.object, "metadata.labels", key) }) &&
			selected(query.Get("fieldSelector"), func(key string) string { return field(k.object, key, "") }) {
			items = append(items, k.object)
		}
	}
	return object(http.StatusOK, map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{}, "items": items})
}

// selected knows a=b, a!=b and a in (b,c), all of which must hold.
func selected(selector string, value func(key string) string) bool {
	if key, list, ok := strings.Cut(selector, " in ("); ok {
		return slices.Contains(strings.Split(strings.TrimSuffix(list, ")"), ","), value(key))
	}
	for pair := range strings.SplitSeq(selector, ",") {
		if key, want, ok := strings.Cut(pair, "!="); ok {
			if value(key) == want {
				return false
			}
		} else if key, want, ok := strings.Cut(pair, "="); ok && value(key) != want {
			return false
		}
	}
	return true
}

// field is a text in an object: below a path of keys, and one more key, which
// may have dots in it.
func field(object map[string]any, path, last string) string {
	var value any = object
	for key := range strings.SplitSeq(path, ".") {
		below, _ := value.(map[string]any)
		value = below[key]
	}
	if last != "" {
		below, _ := value.(map[string]any)
		value = below[last]
	}
	text, _ := value.(string)
	return text
}
