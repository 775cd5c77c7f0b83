package kube

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// A client waits for an API server that is unavailable for a while.
func TestReadsAreSentAgain(t *testing.T) {
	hangUp := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, answer := range map[string]http.Handler{
		"it has trouble":                       kubetest.Refuse(500),
		"it starts":                            kubetest.Refuse(503),
		"it is asked too often":                kubetest.Refuse(429),
		"it is asked too often, in plain text": kubetest.Answer(429, "text/plain", "Too many requests, please try again later."),
		"a proxy finds nobody":                 kubetest.Answer(502, "text/html", "<html>\n"+canary+"\n</html>"),
		"it breaks a connection":               hangUp,
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			server.Put(secretName, map[string]string{"username": "svc"})
			server.Intercept(func(_ *http.Request, n int) http.Handler {
				if n <= 3 {
					return answer
				}
				return nil
			})
			var log strings.Builder
			client := connect(t, server)
			client.Log = slog.New(slog.NewTextHandler(&log, nil))
			secret, err := client.Secret(t.Context(), "openstack", "nautobot-token")
			if err != nil || secret.Data["username"].Reveal() != "svc" {
				t.Errorf("error is %v, want the Secret", err)
			}
			if n := len(server.Requests()); n != 4 {
				t.Errorf("%d requests, want 4", n)
			}
			if strings.Contains(log.String(), canary) {
				t.Error("the log quotes what a proxy sent")
			}
			if got := strings.Count(log.String(), `msg="waiting for the Kubernetes API server" error=`); got != 3 || strings.Count(log.String(), "\n") != 3 {
				t.Errorf("%d lines about waiting, want 3 and no other:\n%s", got, log.String())
			}
		})
	}
}

func TestRefusedConnectionsAreWaitedFor(t *testing.T) {
	server := newServer(t)
	client := connect(t, server)
	server.Close()
	client.pause = time.Hour // longer than there is time for
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := client.Secret(ctx, "openstack", "nautobot-token")
	if err == nil || !strings.HasPrefix(err.Error(), "read Secret openstack/nautobot-token: gave up waiting: ") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error is %v, want that it gave up waiting, and why", err)
	}
}

// The first reason is reported, at once if there is not enough time left.
func TestGivingUp(t *testing.T) {
	trouble := apierrors.NewInternalError(errors.New("etcd is away"))
	later := apierrors.NewServiceUnavailable("later")
	forbidden := apierrors.NewUnauthorized("Unauthorized")
	busy := apierrors.NewTooManyRequests("too many", 10)
	tests := map[string]struct {
		answers []error
		want    string
		asked   int
		took    time.Duration
	}{
		"several reasons":                  {[]error{trouble, later, later, later, later}, "gave up waiting: Internal error occurred: etcd is away", 4, 5 * time.Second},
		"another error ends the waiting":   {[]error{trouble, forbidden}, "Unauthorized", 2, time.Second},
		"an answer ends the waiting":       {[]error{trouble, later, nil}, "", 3, 3 * time.Second},
		"the server wants more time":       {[]error{busy}, "gave up waiting: too many", 1, 0},
		"what does not pass is not waited": {[]error{forbidden}, "Unauthorized", 1, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				asked, start := 0, time.Now()
				err := (&Client{pause: firstPause}).patiently(ctx, func() error {
					asked++
					return tc.answers[asked-1]
				})
				text := ""
				if err != nil {
					text = err.Error()
				}
				if text != tc.want || asked != tc.asked || time.Since(start) > tc.took {
					t.Errorf("asked %d times in %v, error %q, want %d times in at most %v, %q", asked, time.Since(start), text, tc.asked, tc.took, tc.want)
				}
			})
		})
	}
}

// A run that is stopped while it waits says why it waited, whichever of the
// two it notices first.
func TestStoppedWhileWaiting(t *testing.T) {
	trouble := apierrors.NewInternalError(errors.New("etcd is away"))
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		client := &Client{Log: slog.New(slog.NewTextHandler(writer(func([]byte) { cancel() }), nil))}
		err := client.patiently(ctx, func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return trouble
		})
		if err == nil || err.Error() != "gave up waiting: Internal error occurred: etcd is away" {
			t.Errorf("error is %v, want why it waited", err)
		}
	}
}

type writer func([]byte)

func (w writer) Write(text []byte) (int, error) {
	w(text)
	return len(text), nil
}

// Waiting does not help with a missing Secret or right, or a bad certificate.
func TestCertificateIsNotWaitedFor(t *testing.T) {
	server := newServer(t)
	other := newServer(t)
	config := strings.ReplaceAll(other.Kubeconfig("here"), other.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1))
	client, err := Connect(write(t, config), "", "nautobot-token/test")
	if err != nil {
		t.Fatal(err)
	}
	client.pause = time.Hour
	_, err = client.Secret(t.Context(), "openstack", "nautobot-token")
	if err == nil || !strings.Contains(err.Error(), "x509: ") {
		t.Errorf("error is %v, want one about the certificate", err)
	}
	if requests := server.Requests(); len(requests) > 0 {
		t.Errorf("requests %q came through", requests)
	}
}

// Events are sent once: they report what was done, and must not delay it.
func TestEventsAreNotWaitedFor(t *testing.T) {
	server := newServer(t)
	server.Intercept(always(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		kubetest.Refuse(http.StatusTooManyRequests).ServeHTTP(w, r)
	})))
	err := connect(t, server).RecordEvent(t.Context(), provision.Secret{Namespace: "openstack", Name: "n"}, true, "Refused", "m", now)
	if err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff([]string{"POST /api/v1/namespaces/openstack/events"}, server.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
