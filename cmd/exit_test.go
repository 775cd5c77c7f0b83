package cmd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
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
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of bad certificates
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
		var stopped stoppedError
		if !errors.As(context.Cause(ctx), &stopped) || stopped.signal != signal {
			t.Errorf("%v: the cause is %v", signal, context.Cause(ctx))
		}
		if got, want := finish(ctx, newRootCommand(), &checkedWriter{}, codeError(exitFailed)), 128+int(signal); got != want {
			t.Errorf("%v: exit code %d, want %d", signal, got, want)
		}
		if got := finish(ctx, newRootCommand(), &checkedWriter{}, nil); got != exitDone {
			t.Errorf("%v, after all was done: exit code %d, want %d", signal, got, exitDone)
		}
		stop()
	}
}

// The program as a process of its own: its exit code, its streams, its
// arguments, and what a signal does to it.
func TestProcess(t *testing.T) {
	w := newWorld(t)
	t.Setenv(asProgram, "1")
	t.Setenv("HOME", t.TempDir())
	start := func(args ...string) *exec.Cmd {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		return exec.CommandContext(t.Context(), program, args...)
	}

	var stdout, stderr bytes.Buffer
	program := start(provisionIt...)
	program.Stdout, program.Stderr = &stdout, &stderr
	if err := program.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("error %v, standard error %q", err, &stderr)
	}
	if !strings.HasSuffix(stdout.String(), "token/openstack/nautobot-token    created\n") {
		t.Errorf("standard output is %q", &stdout)
	}

	// Nautobot is away: the process says that it waits, and stops waiting.
	w.nautobot.Intercept(func(nautobottest.Request, int) nautobottest.Fault {
		return nautobottest.Answer(503, "text/html", "<html>")
	})
	program = start(provisionIt...)
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
	var ended *exec.ExitError
	if err := program.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 143 {
		t.Errorf("the process ended with %v, want exit code 143", err)
	}
}
