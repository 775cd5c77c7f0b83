package nautobottest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
)

// client keeps no connections, so nothing is sent twice behind a test's back.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func start(t *testing.T, o nautobottest.Options) *nautobottest.Server {
	t.Helper()
	s := nautobottest.New(o)
	t.Cleanup(s.Close)
	return s
}

// do sends a request as the superuser; what came of it is the status and body, or an error.
func do(ctx context.Context, s *nautobottest.Server, method, path, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Token "+s.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

const newGroup = `{"name": "g"}`

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault      nautobottest.Fault
		status     int // 0: no answer
		body       string
		carriedOut bool
	}{
		"none":               {nautobottest.None(), 201, `"name":"g"`, true},
		"zero value":         {nautobottest.Fault{}, 201, `"name":"g"`, true},
		"answer":             {nautobottest.Answer(502, "text/html", "<html>"), 502, "<html>", false},
		"drop":               {nautobottest.Drop(), 0, "", false},
		"carry out and drop": {nautobottest.CarryOutAndDrop(), 0, "", true},
		"substitute":         {nautobottest.Substitute(func(body string) string { return body[:10] }), 201, `{"display"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nautobottest.Options{})
			s.Intercept(func(nautobottest.Request, int) nautobottest.Fault { return test.fault })
			status, body, err := do(t.Context(), s, "POST", "/api/users/groups/", newGroup)
			if status != test.status || (err != nil) != (test.status == 0) || !strings.Contains(body, test.body) {
				t.Errorf("status %d, body %q, error %v", status, body, err)
			}
			if got := len(s.Snapshot().Groups) == 1; got != test.carriedOut {
				t.Errorf("carried out: %v, want %v", got, test.carriedOut)
			}
		})
	}
}

func TestCutShort(t *testing.T) {
	s := start(t, nautobottest.Options{})
	s.Intercept(func(nautobottest.Request, int) nautobottest.Fault { return nautobottest.CutShort() })
	status, body, err := do(t.Context(), s, "POST", "/api/users/groups/", newGroup)
	if status != 201 || body == "" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("status %d, %d bytes, error %v; want the start of a body", status, len(body), err)
	}
	if len(s.Snapshot().Groups) != 1 {
		t.Error("was not carried out")
	}
}

// TestHang shows that a hanging request ends with its client and does not keep Close waiting.
func TestHang(t *testing.T) {
	s := nautobottest.New(nautobottest.Options{})
	arrived := make(chan bool)
	s.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		arrived <- true
		return nautobottest.Hang()
	})
	for _, end := range []struct {
		name string
		by   func(cancel func())
	}{
		{"the client gives up", func(cancel func()) { cancel() }},
		{"the server closes", func(func()) { s.Close() }},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, _, err := do(ctx, s, "POST", "/api/users/groups/", newGroup)
			done <- err
		}()
		<-arrived
		end.by(cancel)
		if err := <-done; err == nil {
			t.Errorf("%s: a hanging request was answered", end.name)
		}
		cancel()
	}
	if len(s.Snapshot().Groups) != 0 {
		t.Error("a hanging request was carried out")
	}
}

// TestLoseRace shows the answer to the loser of a race: a crash that quotes the value, and nothing stored.
func TestLoseRace(t *testing.T) {
	s := start(t, nautobottest.Options{})
	key := s.AddToken(nautobottest.Admin, nautobottest.Token{}).Key
	s.AddGroup("g")
	s.AddPermission(nautobottest.Permission{Name: "p"})
	s.Intercept(func(nautobottest.Request, int) nautobottest.Fault { return nautobottest.LoseRace() })
	before := s.Snapshot()
	for path, body := range map[string]string{
		"users": `{"username": "admin"}`, "tokens": `{"key": "` + key + `"}`, "groups": newGroup,
		"permissions": `{"name": "p", "object_types": [], "actions": ["view"]}`,
	} {
		status, text, err := do(t.Context(), s, "POST", "/api/users/"+path+"/", body)
		if status != 500 || !strings.Contains(text, "IntegrityError") || !strings.Contains(text, "already exists.") {
			t.Errorf("%s: status %d, error %v; want an IntegrityError", path, status, err)
		}
	}
	if diff := cmp.Diff(before, s.Snapshot()); diff != "" {
		t.Errorf("something was stored (-before +after):\n%s", diff)
	}
	if status, _, err := do(t.Context(), s, "POST", "/api/users/groups/", `{"name": "other"}`); status != 201 {
		t.Errorf("without a duplicate: status %d, error %v", status, err)
	}
}

// TestHold interleaves two clients: the first request waits until the second is answered.
func TestHold(t *testing.T) {
	s := start(t, nautobottest.Options{})
	arrived, release := make(chan struct{}), make(chan struct{})
	s.Intercept(func(_ nautobottest.Request, n int) nautobottest.Fault {
		if n == 1 {
			close(arrived)
			<-release
		}
		return nautobottest.None()
	})
	first := make(chan int)
	go func() {
		status, _, _ := do(t.Context(), s, "POST", "/api/users/groups/", newGroup)
		first <- status
	}()
	<-arrived
	if status, _, err := do(t.Context(), s, "POST", "/api/users/groups/", newGroup); status != 201 {
		t.Errorf("second: status %d, error %v; want 201", status, err)
	}
	close(release)
	if status := <-first; status != 400 {
		t.Errorf("first: status %d, want 400", status)
	}
}

func TestLog(t *testing.T) {
	s := start(t, nautobottest.Options{})
	for _, request := range []string{"GET /api/users/groups/?name=x", "POST /api/users/groups/", "DELETE /api/users/groups/9/", "OPTIONS /api/users/tokens/"} {
		method, path, _ := strings.Cut(request, " ")
		if _, _, err := do(t.Context(), s, method, path, newGroup); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/users/tokens/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("x", "secret")
	req.Header.Add("Authorization", "Token secret")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.Header.Get("Date") != "" {
		t.Error("the server tells its time")
	}

	want := []string{
		"GET /api/users/groups/ Token 200", "POST /api/users/groups/ Token 201", "DELETE /api/users/groups/9/ Token 404",
		"OPTIONS /api/users/tokens/ Token 200", "GET /api/users/tokens/ Basic 403",
	}
	var got []string
	for _, r := range s.Requests() {
		got = append(got, fmt.Sprint(r))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log differs (-want +got):\n%s", diff)
	}
	last := s.Requests()[4]
	if last.AuthorizationHeaders != 2 || s.Requests()[0].RawQuery != "name=x" || string(s.Requests()[1].Body) != newGroup {
		t.Error("headers, query or body are missing from the log")
	}
	if writes := s.Writes(); len(writes) != 2 || writes[0].Method != http.MethodPost || writes[1].Method != http.MethodDelete {
		t.Errorf("writes are %v", writes)
	}
	numbers := []int{}
	s.ResetRequests()
	s.Intercept(func(_ nautobottest.Request, n int) nautobottest.Fault {
		numbers = append(numbers, n)
		return nautobottest.None()
	})
	for range 2 {
		if _, _, err := do(t.Context(), s, "GET", "/api/users/config/", ""); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{1, 2}, numbers); diff != "" || len(s.Requests()) != 2 {
		t.Errorf("numbers after a reset differ (-want +got):\n%s", diff)
	}
}
