package nautobot

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Every method that sends a request, against every answer that is not a proper
// one: an error without a secret, in bounded time, and a write that may have been
// carried out is never taken for one that was not.
func TestHostileAnswers(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = io.CopyN(w, zeros{}, 16<<20)
	_ = w.Close()
	tests := map[string]struct {
		answer http.HandlerFunc
		text   string // a part of the error
		// certain: Nautobot did not carry it out.
		certain bool
	}{
		"hangs up": {
			answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			text:   "no answer from Nautobot: EOF",
		},
		"hangs up within the answer": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, `{"id":"`+key)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			},
			text: "no answer from Nautobot: unexpected EOF",
		},
		"hangs up within a refusal": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, `{"detail":"Invalid token"}`)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			},
			text: "no answer from Nautobot: unexpected EOF",
		},
		"speaks another protocol, with the key in it": {
			answer: func(w http.ResponseWriter, _ *http.Request) { speak(w, "220 "+key+" ESMTP\r\n") },
			text:   "no answer from Nautobot: ",
		},
		"never answers": {
			answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			text:   "no answer from Nautobot: timed out",
		},
		"never ends its answer": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, `{"count":`)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			},
			text: "no answer from Nautobot: ",
		},
		"answers without end": {
			answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, zeros{}) },
			text:   "no answer from Nautobot: the answer is larger than 8388608 bytes",
		},
		"answers 10 MB of JSON": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"count":0,"results":[],"id":"`+strings.Repeat("x", 10<<20)+`"}`)
			},
			text: "no answer from Nautobot: the answer is larger than 8388608 bytes",
		},
		"answers 16 MB in a few kB of gzip": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(bomb.Bytes())
			},
			text: "no answer from Nautobot: the answer is larger than 8388608 bytes",
		},
		"answers what is not gzip": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = io.WriteString(w, key)
			},
			text: "no answer from Nautobot: ",
		},
		"refuses without end": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.Copy(w, zeros{})
			},
			text: "no answer from Nautobot: the answer is larger than 8388608 bytes",
		},
		"redirects, and keeps the method": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:1/"+key, http.StatusTemporaryRedirect)
			},
			text:    "Nautobot answered 307: a redirect to http://127.0.0.1:1, which is not followed (is --nautobot-url right?)",
			certain: true,
		},
		"redirects to itself": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, r.URL.String(), http.StatusFound)
			},
			text:    "Nautobot answered 302: a redirect, which is not followed (is --nautobot-url right?)",
			certain: true,
		},
		"answers a page of HTML": {
			answer: say("text/html", "<html>"+key+"</html>"),
			text:   "Nautobot answered 200: the answer cannot be read (text/html) (is --nautobot-url right?)",
		},
		"answers nothing":               {answer: say("application/json", ""), text: "Nautobot answered 20"},
		"answers null":                  {answer: say("application/json", "null"), text: "Nautobot answered 20"},
		"answers a number":              {answer: say("application/json", "5"), text: "Nautobot answered 20"},
		"answers a string":              {answer: say("application/json", `"`+key+`"`), text: "Nautobot answered 20"},
		"answers a list of numbers":     {answer: say("application/json", "[1,2]"), text: "Nautobot answered 20"},
		"answers nests without end":     {answer: say("application/json", strings.Repeat("[", 1<<16)), text: "Nautobot answered 20"},
		"answers objects without end":   {answer: say("application/json", strings.Repeat(`{"id":`, 1<<16)), text: "Nautobot answered 20"},
		"answers a list of other kinds": {answer: say("application/json", `{"count":"`+key+`","results":{"id":"`+key+`"},"id":5,"key":[]}`), text: "Nautobot answered 20"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, op := range operations {
				if loose(op, name) {
					continue
				}
				t.Run(op.name, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var requests atomic.Int32
					client := stub(t, func(w http.ResponseWriter, r *http.Request) {
						requests.Add(1)
						cancel() // ends the waiting of a read, not the request
						tc.answer(w, r)
					})
					client.pause, client.perTry = forever, time.Minute
					if strings.HasPrefix(name, "never") {
						client.perTry = 250 * time.Millisecond // enough to reach the server, on a busy machine too
					}
					err := op.call(ctx, client)
					if err == nil {
						t.Fatal("no error")
					}
					noSecret(t, "the error", err.Error())
					if !strings.Contains(err.Error(), tc.text) || len(err.Error()) > maxReason+200 {
						t.Errorf("error is %.800q, want one with %q", err, tc.text)
					}
					if n := requests.Load(); n != 1 {
						t.Errorf("%d requests, want 1", n)
					}
					if got, want := errors.Is(err, provision.ErrUncertain), op.write && !tc.certain; got != want {
						t.Errorf("uncertain is %v, want %v: %v", got, want, err)
					}
					var refused *provision.Refusal
					if errors.As(err, &refused) {
						t.Errorf("error is a refusal: %v", err)
					}
					for _, kind := range kinds[:len(kinds)-1] {
						if errors.Is(err, kind) {
							t.Errorf("error is %q: %v", kind, err)
						}
					}
				})
			}
		})
	}
}

// loose reports answers that the operation accepts by contract: a list of
// preferences may be any object.
func loose(op operation, answer string) bool {
	return strings.HasPrefix(op.name, "Authenticate") && answer == "answers a list of other kinds"
}

// An object without the fields that Nautobot always gives is not Nautobot's.
func TestAnswersWithMissingFields(t *testing.T) {
	tests := map[string]string{
		"an empty object":        `{}`,
		"a page of nothing":      `{"count":1,"results":[null]}`,
		"a page of empty ones":   `{"count":1,"results":[{}]}`,
		"a page without results": `{"count":0}`,
		"a page without a count": `{"results":[]}`,
		"a page of null":         `{"count":null,"results":null}`,
		"a page of half ones":    `{"count":1,"results":[{"id":"x","name":"` + managed + `","username":"` + account + `","key":"` + key + `"}]}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			client := stub(t, say("application/json", body))
			for _, op := range operations {
				if strings.HasPrefix(op.name, "Authenticate") || op.name == "DeleteTokens" || op.name == "ExpireTokens" {
					continue // their answers are not looked at
				}
				if op.name == "GroupExists" && strings.HasPrefix(name, "a page of") && name != "a page of null" {
					continue // a group is nothing but its name
				}
				err := op.call(t.Context(), client)
				var failed *Error
				if !errors.As(err, &failed) || errors.Is(err, provision.ErrUncertain) != op.write {
					t.Errorf("%s: error is %v, want one that says what is wrong with the answer", op.name, err)
					continue
				}
				noSecret(t, op.name, err.Error())
			}
		})
	}
}

// Fields that are written back must not be missing: a missing list is not an empty
// list.
func TestAnswersWithoutWhatDecides(t *testing.T) {
	user := map[string]any{
		"id": someID, "username": account, "first_name": "f", "last_name": "ns/name", "email": "", "is_active": true, "is_superuser": false,
		"is_staff": false, "groups": []any{map[string]any{"id": 1, "name": managed}},
	}
	permission := map[string]any{
		"id": someID, "name": managed, "enabled": true, "object_types": []string{"users.token"}, "actions": []string{"view"}, "constraints": nil,
		"groups": []any{map[string]any{"id": 1, "name": managed}},
	}
	tests := map[string]struct {
		object map[string]any
		ask    func(*Client) error
	}{
		"a user": {user, func(c *Client) error {
			users, err := c.OwnedUsers(t.Context(), "ns/name")
			return cmp.Or(err, want(len(users) == 1 && len(users[0].Groups) == 1))
		}},
		"a permission": {permission, func(c *Client) error {
			p, err := c.Permission(t.Context(), managed)
			return cmp.Or(err, want(p != nil && len(p.Groups) == 1))
		}},
	}
	for name, tc := range tests {
		answer := func(object map[string]any) *Client {
			text, err := json.Marshal(map[string]any{"count": 1, "results": []any{object}})
			if err != nil {
				t.Fatal(err)
			}
			return stub(t, say("application/json", string(text)))
		}
		if err := tc.ask(answer(tc.object)); err != nil {
			t.Errorf("%s with all fields: error is %v", name, err)
		}
		for field := range tc.object {
			less := maps.Clone(tc.object)
			delete(less, field)
			if _, ok := errors.AsType[*Error](tc.ask(answer(less))); !ok {
				t.Errorf("%s without %s is taken", name, field)
			}
			less[field] = nil
			if _, ok := errors.AsType[*Error](tc.ask(answer(less))); !ok && field != "constraints" {
				t.Errorf("%s with null as %s is taken", name, field)
			}
		}
		unknown := maps.Clone(tc.object)
		unknown["groups"] = []any{map[string]any{"name": managed}}
		if _, ok := errors.AsType[*Error](tc.ask(answer(unknown))); !ok {
			t.Errorf("%s with a group that has no id is taken", name)
		}
	}
}

// Deleting has no answer but its status: only Nautobot's own counts.
func TestDeletingIsBelievedOnlyWithNautobotsAnswer(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a login page":      say("text/html", "<html>log in</html>"),
		"some other object": say("application/json", `{"status":"ok"}`),
	} {
		err := stub(t, answer).DeleteTokens(t.Context(), byToken, []string{someID})
		if !errors.Is(err, provision.ErrUncertain) {
			t.Errorf("%s: error is %v, want an uncertain one", name, err)
		}
	}
	deleted := stub(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if err := deleted.DeleteTokens(t.Context(), byToken, []string{someID}); err != nil {
		t.Errorf("204: error is %v, want none", err)
	}
}

// Credentials go to one origin and nowhere else, whatever a redirect says.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := stubServer(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s went to another host, Authorization %v", r.Method, r.Header["Authorization"] != nil)
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, op := range operations {
			client := stub(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere+r.URL.Path, status)
			})
			if err := op.call(t.Context(), client); err == nil {
				t.Errorf("%d, %s: no error", status, op.name)
			}
		}
	}
}

func TestWriteWhoseAnswerIsLostIsUncertainAndSentOnce(t *testing.T) {
	tests := map[string]struct {
		fault nautobottest.Fault
		made  bool
	}{
		"it was carried out, the connection broke":        {nautobottest.CarryOutAndDrop(), true},
		"it was carried out, the answer broke off":        {nautobottest.CutShort(), true},
		"it was not carried out, the connection broke":    {nautobottest.Drop(), false},
		"it was not carried out, a proxy had no patience": {nautobottest.Answer(504, "text/html", "<html>"), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nautobottest.Options{})
			f.Intercept(func(nautobottest.Request, int) nautobottest.Fault { return tc.fault })
			_, err := f.CreateUser(t.Context(), provision.UserFields{Username: "new"})
			if !errors.Is(err, provision.ErrUncertain) {
				t.Errorf("error is %v, want an uncertain one", err)
			}
			if _, made := f.Server.User("new"); made != tc.made {
				t.Errorf("user made: %v, want %v", made, tc.made)
			}
			if n := len(f.Requests()); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	client := newClient(t, "http://"+address, "canary-superuser")
	err = client.CreateGroup(t.Context(), managed)
	checkError(t, err, fmt.Sprintf("create group: no answer from Nautobot: dial tcp %s: connect: connection refused", address), provision.ErrUncertain)
}

func say(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

// speak answers with raw bytes.
func speak(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}

// zeros is an endless text.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}
