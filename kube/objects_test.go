package kube

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
)

// An object that is not there, a kind that nobody knows, and a missing right are
// three different things.
func TestObjectsThatCannotBeRead(t *testing.T) {
	server := newServer(t)
	client := connect(t, server)
	if _, err := Get(t.Context(), client, EventBuses, "here", "absent"); !errors.Is(err, ErrAbsent) {
		t.Errorf("%v, want ErrAbsent", err)
	}
	server.Forbid("pods")
	_, err := List(t.Context(), client, Pods, Selection{Namespace: "here"})
	if denied, ok := errors.AsType[MayNotError](err); !ok || denied != (MayNotError{"list", "pods", "here"}) || !IsForbidden(err) {
		t.Errorf("%v, want MayNotError", err)
	}
	_, err = client.PodLog(t.Context(), "here", "pod", "", false)
	if denied, ok := errors.AsType[MayNotError](err); !ok || denied != (MayNotError{"get", "pods/log", "here"}) {
		t.Errorf("%v, want MayNotError", err)
	}
	if _, err := List(t.Context(), client, ExternalSecrets("v1beta1"), Selection{}); !errors.Is(err, ErrNotServed) {
		t.Errorf("%v, want ErrNotServed", err)
	}
	server.Unserve("/apis/argoproj.io/v1alpha1")
	if _, err := Get(t.Context(), client, EventBuses, "here", "absent"); !errors.Is(err, ErrNotServed) {
		t.Errorf("%v, want ErrNotServed", err)
	}
	_, err = client.Secret(t.Context(), "here", "absent")
	if IsForbidden(err) {
		t.Errorf("%v is not a missing right", err)
	}
	server.Forbid("here/secrets")
	if _, err = client.Secret(t.Context(), "here", "absent"); !IsForbidden(err) {
		t.Errorf("%v, want a missing right", err)
	}
	// A firewall's 403 says nothing about rights, and is not quoted.
	server.Intercept(always(kubetest.Answer(http.StatusForbidden, "text/html", "<html>"+canary)))
	_, err = List(t.Context(), client, Pods, Selection{Namespace: "here"})
	if err == nil || IsForbidden(err) {
		t.Errorf("%v, want an error that is not a missing right", err)
	}
	noCanary(t, err)
	server.Intercept(always(kubetest.Answer(http.StatusOK, "application/json", `{"items":[{"metadata":"`+canary+`"}]}`)))
	_, err = List(t.Context(), client, Pods, Selection{Namespace: "here"})
	if err == nil {
		t.Error("an answer of another shape is taken")
	}
	noCanary(t, err)
	server.Intercept(always(kubetest.Answer(http.StatusOK, "application/json", `{"status":"`+canary+`"}`)))
	if pods, err := List(t.Context(), client, Pods, Selection{Namespace: "here"}); err == nil {
		t.Errorf("any JSON is a list of %d Pods", len(pods))
	}
}

func TestListReadsAllPages(t *testing.T) {
	server := newServer(t)
	server.Intercept(func(r *http.Request, _ int) http.Handler {
		if r.URL.Query().Get("continue") == "next" {
			return kubetest.Answer(http.StatusOK, "application/json", `{"kind":"PodList","metadata":{},"items":[{"metadata":{"name":"b"}}]}`)
		}
		return kubetest.Answer(http.StatusOK, "application/json", `{"kind":"PodList","metadata":{"continue":"next"},"items":[{"metadata":{"name":"a"}}]}`)
	})
	pods, err := List(t.Context(), connect(t, server), Pods, Selection{Labels: "a=b", Fields: "c=d"})
	if err != nil || len(pods) != 2 || pods[0].Metadata.Name+pods[1].Metadata.Name != "ab" {
		t.Errorf("%+v, %v", pods, err)
	}
	want := []string{
		"GET /api/v1/pods?fieldSelector=c%3Dd&labelSelector=a%3Db&limit=500",
		"GET /api/v1/pods?continue=next&fieldSelector=c%3Dd&labelSelector=a%3Db&limit=500",
	}
	if diff := cmp.Diff(want, server.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// A list whose pages point at each other would not end.
func TestListInACircle(t *testing.T) {
	server := newServer(t)
	server.Intercept(always(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{"": "a", "a": "b", "b": "a"}[r.URL.Query().Get("continue")]
		kubetest.Answer(http.StatusOK, "application/json", `{"kind":"PodList","metadata":{"continue":"`+next+`"},"items":[]}`).ServeHTTP(w, r)
	})))
	if _, err := List(t.Context(), connect(t, server), Pods, Selection{}); err == nil || len(server.Requests()) != 3 {
		t.Errorf("error %v after %d requests, want one after 3", err, len(server.Requests()))
	}
}

func TestPodLog(t *testing.T) {
	server := newServer(t)
	server.PutLog("here/pod", "one\ntwo\n")
	server.PutLog("here/pod?previous", "zero\n")
	client := connect(t, server)
	for previous, want := range map[bool]string{false: "one two", true: "zero"} {
		lines, err := client.PodLog(t.Context(), "here", "pod", "main", previous)
		if err != nil || strings.Join(lines, " ") != want {
			t.Errorf("previous %v: %q, %v, want %q", previous, lines, err, want)
		}
	}
}

// A change of an object's status does not count as a change.
func TestChanged(t *testing.T) {
	server := newServer(t)
	server.PutObject("/api/v1/configmaps", `{"metadata":{"namespace":"here","name":"a","creationTimestamp":"2026-11-24T09:00:00Z","managedFields":[
		{"time":"2026-11-24T09:10:00Z"},{"time":"2026-11-24T09:20:00Z","subresource":"status"}]}}`)
	object, err := Get(t.Context(), connect(t, server), ConfigMaps, "here", "a")
	if want := time.Date(2026, 11, 24, 9, 10, 0, 0, time.UTC); err != nil || !object.Changed().Equal(want) {
		t.Errorf("%v, %v, want %v", object.Changed(), err, want)
	}
}
