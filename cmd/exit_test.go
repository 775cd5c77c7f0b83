package cmd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// testCA is a PEM file with a certificate.
func testCA(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return pemFile(t, server.Certificate())
}

func pemFile(t *testing.T, certificate *x509.Certificate) string {
	t.Helper()
	return write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})))
}

func TestNautobotBehindTLS(t *testing.T) {
	w := newWorld(t)
	secure := httptest.NewUnstartedServer(w.nautobot)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it reports bad certificates
	secure.StartTLS()
	defer secure.Close()
	t.Setenv("NAUTOBOT_URL", secure.URL)

	got := w.run(t, with("--dry-run")...)
	const want = "certificate signed by unknown authority (--nautobot-ca-file names the CA that signed the server's certificate)\n"
	if got.code != exitFailed || !strings.HasSuffix(got.stdout, want) {
		t.Errorf("without the CA: exit code %d, standard output %q", got.code, got.stdout)
	}
	if got := w.run(t, with("--dry-run", "--nautobot-ca-file", pemFile(t, secure.Certificate()))...); got.code != exitDone {
		t.Errorf("with the CA: exit code %d, %s", got.code, got.stderr)
	}
}

func TestSignalIsTheCauseOfTheContext(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		ctx, stop := untilSignal(t.Context())
		if err := syscall.Kill(os.Getpid(), signal); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		stopped, ok := errors.AsType[stoppedError](context.Cause(ctx))
		if !ok || stopped.signal != signal {
			t.Errorf("%v: the cause is %v", signal, context.Cause(ctx))
		}
		for err, want := range map[error]int{
			codeError(exitFailed):  128 + int(signal),
			codeError(exitRefused): 128 + int(signal), // perhaps only because the run was stopped
			usagef("no file"):      128 + int(signal),
			codeError(exitPending): exitPending,
			nil:                    exitDone, // all was done
		} {
			root := newRootCommand()
			root.SetErr(io.Discard)
			if got := finish(ctx, root, &checkedWriter{}, err); got != want {
				t.Errorf("%v, error %v: exit code %d, want %d", signal, err, got, want)
			}
		}
		stop()
	}
}

// Of several objects, the one that may work next time decides, or it would not be
// tried again.
func TestFailureBeatsRefusal(t *testing.T) {
	failure, refusal := errors.New("failed"), provision.NewRefusal("refused")
	changed := provision.Report{Changes: []provision.Change{{Object: "user/a", Action: provision.Created}}}
	tests := map[string]struct {
		reports []provision.Report
		errs    []error
		want    error
	}{
		"nothing":                         {nil, nil, nil},
		"all is well":                     {nil, []error{nil, nil}, nil},
		"one is refused":                  {nil, []error{nil, refusal, nil}, codeError(exitRefused)},
		"one is refused, then one fails":  {nil, []error{refusal, failure}, codeError(exitFailed)},
		"one fails, then one is refused":  {nil, []error{failure, refusal, nil}, codeError(exitFailed)},
		"one changes":                     {[]provision.Report{{}, changed}, []error{nil, nil}, codeError(exitPending)},
		"one changes, another is refused": {[]provision.Report{changed, {}}, []error{nil, refusal}, codeError(exitRefused)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := &outcome{printer: &printer{out: io.Discard}, detailedExitcode: true}
			for i, err := range tc.errs {
				report := provision.Report{}
				if tc.reports != nil {
					report = tc.reports[i]
				}
				o.add(slog.New(slog.DiscardHandler), "secret/a/b", report, err)
			}
			if got := o.err(); !errors.Is(got, tc.want) {
				t.Errorf("the error is %v, want %v", got, tc.want)
			}
		})
	}
}

// The owner of an account is for the operator's log; the tenant gets what is
// printed and the Event.
func TestOwnerIsInTheLogOnly(t *testing.T) {
	var stdout, log strings.Builder
	o := &outcome{printer: &printer{out: &stdout}}
	refusal := &provision.Refusal{Problems: []string{"it belongs to another Secret"}, Owner: "lab/other/secret"}
	o.add(slog.New(slog.NewTextHandler(&log, nil)), "secret/a/b", provision.Report{}, refusal)
	if !strings.Contains(log.String(), "owner=lab/other/secret") || strings.Contains(stdout.String()+refusal.Error(), "lab/other") {
		t.Errorf("the log is %q, the result %q", &log, &stdout)
	}
}

// No way out of the program is silent, and a result that nobody could read is a
// failure.
func TestResultThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	w := newWorld(t)
	missing := slices.Clone(provisionIt)
	missing[1] = "missing"
	for name, args := range map[string][]string{
		"a run that does all": provisionIt, "a dry run": with("--dry-run", "-o", "json"),
		"a refusal": missing, "changes that are pending": with("--dry-run", "--detailed-exitcode", "--rotation-grace=0", "--group=x"),
		"help": {"--help"}, "the help of a command": {"provision", "--help"}, "version": {"version"}, "completion": {"completion", "bash"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			code := run(t.Context(), args, nil, full, &stderr)
			if code != exitFailed || !strings.HasSuffix(stderr.String(), "nautobot-token: write to standard output: write /dev/full: no space left on device\n") {
				t.Errorf("exit code %d, standard error %q", code, stderr.String())
			}
			noSecret(t, w, "standard error", stderr.String())
		})
	}
}

// A pipe that nobody writes to does not keep the run from ending: not as
// standard input, and not as a file.
func TestReadThatDoesNotEnd(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args           []string
		env            string
		stdout, stderr string // after --timeout
		code           int
	}{
		"standard input": {[]string{"provision", "-f", "-"}, "", "secret/- failed    --timeout of 10ms exceeded\n", "", exitFailed},
		"a manifest":     {[]string{"provision", "-f", fifo}, "", "secret/fifo failed    --timeout of 10ms exceeded\n", "", exitFailed},
		"a policy":       {with("--policy", fifo), "", "", "nautobot-token: --policy (NAUTOBOT_TOKEN_POLICY): --timeout of 10ms exceeded\n", exitFailed},
		"a kubeconfig": {
			with("--kubeconfig", fifo), "", "secret/openstack/nautobot-token failed    --kubeconfig (KUBECONFIG), --context: --timeout of 10ms exceeded\n", "", exitFailed,
		},
		"a kubeconfig, for sync":   {[]string{"sync", "--kubeconfig", fifo}, "", "", "nautobot-token: --kubeconfig (KUBECONFIG), --context: --timeout of 10ms exceeded\n", exitFailed},
		"a kubeconfig, for revoke": {[]string{"revoke", "x", "--kubeconfig", fifo}, "", "", "nautobot-token: --kubeconfig (KUBECONFIG), --context: --timeout of 10ms exceeded\n", exitFailed},
		"a token":                  {provisionIt, fifo, "", "nautobot-token: NAUTOBOT_TOKEN_FILE: --timeout of 10ms exceeded\n", exitFailed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			newWorld(t)
			t.Setenv("NAUTOBOT_TOKEN_FILE", tc.env)
			read, write := io.Pipe()
			defer func() { _ = write.Close() }()
			var stdout, stderr strings.Builder
			code := run(t.Context(), append(slices.Clone(tc.args), "--timeout=10ms"), read, &stdout, &stderr)
			if code != tc.code || stdout.String() != tc.stdout || !strings.HasPrefix(stderr.String(), tc.stderr) || stderr.Len() == 0 {
				t.Errorf("after --timeout: exit code %d, %q, %q", code, stdout.String(), stderr.String())
			}

			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(stoppedError{syscall.SIGTERM})
			stderr.Reset()
			if code := run(ctx, tc.args, read, io.Discard, &stderr); code != 143 || stderr.Len() == 0 {
				t.Errorf("after a signal: exit code %d, %q", code, stderr.String())
			}
		})
	}
}

// start makes a process of the program.
func start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	t.Setenv(asProgram, "1")
	t.Setenv("HOME", t.TempDir())
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), program, args...)
}

// A reader of the log that hangs up, as head does, does not end the run between
// two writes, when the account has a temporary password.
func TestClosedPipeDoesNotStopTheRun(t *testing.T) {
	w := newWorld(t)
	w.kube.Put("openstack/nautobot-token", map[string]string{"username": username, "token": key})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if r.Method == http.MethodPost && r.Path == "/api/users/tokens/" {
			_ = read.Close()
		}
		return nautobottest.None()
	})
	program := start(t, with("-v")...)
	program.Stderr = write
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	if err := program.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
	if user, ok := w.nautobot.User(username); !ok || user.Password != "" {
		t.Errorf("the account is there: %v, and keeps its temporary password", ok)
	}
}

func TestClosedPipeForTheResult(t *testing.T) {
	newWorld(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	var stderr bytes.Buffer
	program := start(t, provisionIt...)
	program.Stdout, program.Stderr = write, &stderr
	err = program.Run()
	if code := program.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(stderr.String(), "write to standard output: write /dev/stdout: broken pipe") {
		t.Errorf("error %v, exit code %d, standard error %q", err, code, &stderr)
	}
}

// The first signal waits for the request in flight, the second does not.
func TestSecondSignalEndsTheProgramAtOnce(t *testing.T) {
	w := newWorld(t)
	asked := make(chan struct{}, 1)
	w.nautobot.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		asked <- struct{}{}
		return nautobottest.Hang()
	})
	program := start(t, provisionIt...)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		_ = program.Process.Signal(syscall.SIGTERM) // two that arrive together count as one
		select {
		case <-again.C:
			continue
		case err := <-ended:
			if status, _ := program.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
				t.Errorf("the process ended with %v, want the signal's own end", err)
			}
			return
		}
	}
}

// The program as a process of its own: its exit code, its streams, its
// arguments, and what a signal does to it.
func TestProcess(t *testing.T) {
	w := newWorld(t)
	var stdout, stderr bytes.Buffer
	program := start(t, provisionIt...)
	program.Stdout, program.Stderr = &stdout, &stderr
	if err := program.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("error %v, standard error %q", err, &stderr)
	}
	if !strings.HasSuffix(stdout.String(), "token/openstack/nautobot-token    created\n") {
		t.Errorf("standard output is %q", &stdout)
	}

	// Nautobot is unavailable: the process says that it waits, and stops waiting.
	w.nautobot.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		return nautobottest.Answer(503, "text/html", "<html>")
	})
	program = start(t, provisionIt...)
	messages, err := program.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(messages)
	for lines.Scan() {
		noSecret(t, w, "standard error", lines.Text())
		if strings.Contains(lines.Text(), "waiting for Nautobot") {
			if err := program.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		}
	}
	if err := program.Wait(); program.ProcessState.ExitCode() != 143 {
		t.Errorf("the process ended with %v, want exit code 143", err)
	}
}

// net/http has a log of its own, in which it quotes what a server sends after
// the end of an answer: none of that shows.
func TestNothingShowsOfWhatAServerSendsTooMuch(t *testing.T) {
	w := newWorld(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go sayTooMuch(connection, w.nautobot)
		}
	}()
	t.Setenv(asProgram, "1")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(t.Context(), program, provisionIt...)
	process.Env = append(os.Environ(), "NAUTOBOT_URL=http://"+listener.Addr().String())
	output, _ := process.CombinedOutput()
	noSecret(t, w, "the output", string(output))
	if strings.Contains(string(output), "Unsolicited") {
		t.Error("net/http logs by itself")
	}
}

// sayTooMuch answers as Nautobot does, and repeats the credentials after it.
func sayTooMuch(connection net.Conn, nautobot http.Handler) {
	defer func() { _ = connection.Close() }()
	for in := bufio.NewReader(connection); ; {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		answer := httptest.NewRecorder()
		nautobot.ServeHTTP(answer, request)
		_, _ = fmt.Fprintf(connection, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s%s\n",
			answer.Code, answer.Body.Len(), answer.Body, request.Header.Get("Authorization"))
	}
}
