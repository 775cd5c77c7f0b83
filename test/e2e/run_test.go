//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/leaks"
)

// result is what one run of the program did.
type result struct {
	f        *fixture
	code     int
	stdout   string
	stderr   string
	requests []record
}

// child is a running program.
type child struct {
	f       *fixture
	process *os.Process
	end     func() result
}

// start starts the program with the fixture's environment and no other.
func (f *fixture) start(t *testing.T, args ...string) child {
	t.Helper()
	f.proxy.reset()
	command := exec.CommandContext(t.Context(), binary, args...)
	command.Dir = cmp.Or(f.dir, t.TempDir())
	for name, value := range f.env {
		command.Env = append(command.Env, name+"="+value)
	}
	if f.stdin != "" {
		command.Stdin = strings.NewReader(f.stdin)
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return child{f, command.Process, func() result {
		t.Helper()
		err := command.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("run the program: %v", err)
		}
		r := result{
			f: f, code: command.ProcessState.ExitCode(),
			stdout: stdout.String(), stderr: stderr.String(),
			requests: f.proxy.requests(),
		}
		r.checkSecrets(t, args)
		r.checkAuthorization(t)
		return r
	}}
}

// run runs the program to its end.
func (f *fixture) run(t *testing.T, args ...string) result {
	t.Helper()
	return f.start(t, args...).end()
}

// provision runs the main command on the fixture's Secret.
func (f *fixture) provision(t *testing.T, flags ...string) result {
	t.Helper()
	return f.run(t, append([]string{"provision", f.name, "-n", f.namespace}, flags...)...)
}

// provisionNew writes the Secret and makes the account.
func (f *fixture) provisionNew(t *testing.T) result {
	t.Helper()
	f.saveSecret(t)
	return f.provision(t).want(t, 0)
}

// checkSecrets looks for every secret, in every form in which it could stand
// in a text.
func (r result) checkSecrets(t *testing.T, args []string) {
	t.Helper()
	places := map[string]string{
		"standard output":  r.stdout,
		"standard error":   r.stderr,
		"the command line": strings.Join(args, " "),
	}
	for i, request := range r.requests {
		places[fmt.Sprintf("the URL of request %d", i+1)] = request.Path + "?" + request.Query
	}
	for name, secret := range r.f.secrets {
		for form, text := range leaks.Forms(secret) {
			for place, holds := range places {
				if strings.Contains(holds, text) {
					t.Errorf("%s holds the %s (%s)", place, name, form)
				}
			}
		}
	}
}

// checkAuthorization: one Authorization header per request, and the password
// for the one endpoint that takes it. The exception is the request that shows
// how Nautobot refuses those who send no password.
func (r result) checkAuthorization(t *testing.T) {
	t.Helper()
	for i, request := range r.requests {
		anonymous := len(request.Schemes) == 0 && request.Method == http.MethodGet && request.Path == "/api/users/tokens/"
		if len(request.Schemes) != 1 && !anonymous {
			t.Errorf("request %d, %s %s, has %d Authorization headers: %v", i+1, request.Method, request.Path, len(request.Schemes), request.Schemes)
		} else if request.basic() && !strings.HasPrefix(request.Path, "/api/users/tokens/") {
			t.Errorf("request %d, %s %s, sends the password", i+1, request.Method, request.Path)
		}
	}
}

// want ends the test if the program did not exit with that code.
func (r result) want(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\n%s", r.code, code, r)
	}
	return r
}

// wantWaiting checks whether the program waited for something to come back.
func (r result) wantWaiting(t *testing.T, want bool) result {
	t.Helper()
	if got := strings.Contains(r.stderr, "waiting for "); got != want {
		t.Errorf("waited: %t, want %t\n%s", got, want, r)
	}
	return r
}

// wantStdout checks that standard output has exactly these lines, whatever
// the number of blanks between words.
func (r result) wantStdout(t *testing.T, want ...string) result {
	t.Helper()
	if got := r.lines(); !slices.Equal(got, want) {
		t.Errorf("standard output:\n%s\nwant:\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), r)
	}
	return r
}

// lines are those of standard output, with single blanks.
func (r result) lines() []string {
	var lines []string
	for line := range strings.Lines(r.stdout) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// wantText checks that the output says all of these.
func (r result) wantText(t *testing.T, texts ...string) result {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("the output does not say %q\n%s", text, r)
		}
	}
	return r
}

// wantRequests checks how many requests there were: in all, writes, and with
// the password.
func (r result) wantRequests(t *testing.T, all, writes, basic int) result {
	t.Helper()
	haveBasic := 0
	for _, request := range r.requests {
		if request.basic() {
			haveBasic++
		}
	}
	if len(r.requests) != all || len(r.writes()) != writes || haveBasic != basic {
		t.Errorf("%d requests, %d writes, %d with the password; want %d, %d, %d\n%s",
			len(r.requests), len(r.writes()), haveBasic, all, writes, basic, r)
	}
	return r
}

// wantNoWrite checks that nothing was written.
func (r result) wantNoWrite(t *testing.T) result {
	t.Helper()
	if len(r.writes()) > 0 {
		t.Errorf("%d writes, want none\n%s", len(r.writes()), r)
	}
	return r
}

// wantNothingStored checks that Nautobot refused whatever was to be written.
func (r result) wantNothingStored(t *testing.T) {
	t.Helper()
	for _, request := range r.writes() {
		if request.Status < 400 || request.Status >= 500 {
			t.Errorf("%s %s: %d, want a refusal\n%s", request.Method, request.Path, request.Status, r)
		}
	}
}

func (r result) writes() []record {
	var writes []record
	for _, request := range r.requests {
		if request.write() {
			writes = append(writes, request)
		}
	}
	return writes
}

// String is for failure messages: everything, without the secrets.
func (r result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "exit code %d\n--- standard output\n%s--- standard error\n%s--- requests\n", r.code, r.stdout, r.stderr)
	for _, request := range r.requests {
		fmt.Fprintf(&b, "%s %s?%s %s: %d\n", request.Method, request.Path, request.Query, strings.Join(request.Schemes, "+"), request.Status)
	}
	return r.f.redact(b.String())
}

// redact takes the secrets out of a text.
func (f *fixture) redact(text string) string {
	for _, name := range slices.Sorted(maps.Keys(f.secrets)) {
		for _, form := range leaks.Forms(f.secrets[name]) {
			text = strings.ReplaceAll(text, form, "["+name+"]")
		}
	}
	return text
}
