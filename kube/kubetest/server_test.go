package kubetest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ask sends a request with the token of the kubeconfig.
func ask(t *testing.T, s *Server, method, path, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+Token)
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func newServer(t *testing.T) *Server {
	t.Helper()
	s := New()
	t.Cleanup(s.Close)
	return s
}

// What a real kube-apiserver 1.37 said to these requests.
func TestRefusalsAreWordedAsTheRealOnesAre(t *testing.T) {
	const forbidden = `is forbidden: User \"system:serviceaccount:nautobot-token:nautobot-token\" cannot `
	tests := map[string]struct {
		refuse             int
		method, path, body string
		want               string
	}{
		"no such Secret": {
			method: "GET", path: "/api/v1/namespaces/ns/secrets/nosuch",
			want: `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"secrets \"nosuch\" not found","reason":"NotFound",` +
				`"details":{"name":"nosuch","kind":"secrets"},"code":404}`,
		},
		"no such resource": {
			method: "GET", path: "/api/v1/nosuch",
			want: `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource",` +
				`"reason":"NotFound","details":{},"code":404}`,
		},
		"may not get": {
			refuse: 403, method: "GET", path: "/api/v1/namespaces/ns/secrets/a",
			want: `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"secrets \"a\" ` + forbidden +
				`get resource \"secrets\" in API group \"\" in the namespace \"ns\"","reason":"Forbidden","details":{"name":"a","kind":"secrets"},"code":403}`,
		},
		"an Event about another namespace": {
			method: "POST", path: "/api/v1/namespaces/ns/events", body: `{"metadata":{"name":"e","namespace":"ns"},"involvedObject":{"namespace":"other"}}`,
			want: `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
				`"message":"Event \"e\" is invalid: involvedObject.namespace: Invalid value: \"other\": does not match event.namespace",` +
				`"reason":"Invalid","details":{"name":"e","kind":"Event"},"code":422}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.RefuseAll(tc.refuse)
			status, text := ask(t, s, tc.method, tc.path, tc.body)
			var got, want map[string]any
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" || want["code"] != float64(status) {
				t.Errorf("status %d, answer (-want +got):\n%s", status, diff)
			}
		})
	}
}

func TestListInPages(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"b/2", "a/3", "a/1", "a/2", "a/off", "ab/1"} {
		s.Put(path, map[string]string{"k": "v"})
	}
	s.Unlabel("a/off")
	page := func(path, next string) (names []string, more string) {
		query := url.Values{"labelSelector": {"token/type=nautobot"}, "limit": {"2"}, "continue": {next}}
		status, text := ask(t, s, "GET", path+"?"+query.Encode(), "")
		var list struct {
			Kind     string
			Metadata struct{ Continue string }
			Items    []struct {
				Metadata struct{ Namespace, Name string }
				Data     map[string][]byte
			}
		}
		if err := json.Unmarshal([]byte(text), &list); err != nil || status != http.StatusOK {
			return []string{http.StatusText(status)}, ""
		}
		for _, one := range list.Items {
			names = append(names, one.Metadata.Namespace+"/"+one.Metadata.Name+" "+string(one.Data["k"]))
		}
		return names, list.Metadata.Continue
	}
	for path, want := range map[string][][]string{
		"/api/v1/namespaces/a/secrets":      {{"a/1 v", "a/2 v"}, {"a/3 v"}},
		"/api/v1/secrets":                   {{"a/1 v", "a/2 v"}, {"a/3 v", "ab/1 v"}, {"b/2 v"}},
		"/api/v1/namespaces/nosuch/secrets": {nil},
	} {
		var got [][]string
		names, next := page(path, "")
		for got = append(got, names); next != ""; got = append(got, names) {
			names, next = page(path, next)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	_, next := page("/api/v1/secrets", "")
	s.ExpireLists()
	if names, _ := page("/api/v1/secrets", next); names[0] != "Gone" {
		t.Errorf("a list that is too old goes on with %v", names)
	}
}

func TestVersionsAndIdentity(t *testing.T) {
	s := newServer(t)
	seen := map[string]int{}
	look := func() (uid string, deleted bool) {
		_, text := ask(t, s, "GET", "/api/v1/namespaces/ns/secrets/n", "")
		var got struct {
			Metadata struct{ UID, ResourceVersion, DeletionTimestamp string }
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		seen[got.Metadata.ResourceVersion]++
		return got.Metadata.UID, got.Metadata.DeletionTimestamp != ""
	}
	s.Put("ns/n", nil)
	first, _ := look()
	s.Put("ns/n", nil)
	second, _ := look()
	s.Annotate("ns/n", "a", "b")
	third, deleted := look()
	if first != second || first != third || deleted {
		t.Errorf("one object has the UIDs %s, %s, %s, deleted: %v", first, second, third, deleted)
	}
	s.SetDeletion("ns/n")
	if _, deleted := look(); !deleted {
		t.Error("it has no deletionTimestamp")
	}
	s.Remove("ns/n")
	s.Put("ns/n", nil)
	if again, deleted := look(); again == first || deleted {
		t.Errorf("the new object has the UID %s of the old one, or is deleted: %v", again, deleted)
	}
	if len(seen) != 5 {
		t.Errorf("versions are %v, want 5 different ones", seen)
	}
}
