package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// The exit codes are the API of a Job: its podFailurePolicy goes by them.
const (
	exitDone    = 0
	exitFailed  = 1 // may work next time
	exitUsage   = 2
	exitRefused = 3 // cannot work before somebody changes something
	exitPending = 4 // --dry-run --detailed-exitcode: there is something to do
	exitSignal  = 128
)

// run is the program: everything it reads and writes comes in as an argument,
// but for the environment.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	var usage usageError
	if errors.As(err, &usage) {
		_, _ = fmt.Fprintf(stderr, "%s: %v\nSee '%s --help'.\n", root.Name(), err, command.CommandPath())
	}
	return exitCode(ctx, err)
}

// exitCode sorts what ended the program; all but usage errors were reported
// where they came up.
func exitCode(ctx context.Context, err error) int {
	var refused *provision.Refusal
	var usage usageError
	var stopped stoppedError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errPending):
		return exitPending
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(context.Cause(ctx), &stopped):
		return exitSignal + int(stopped.signal)
	case errors.As(err, &refused):
		return exitRefused
	}
	return exitFailed
}

// stoppedError is the cause of a context that a signal ended.
type stoppedError struct{ signal syscall.Signal }

func (e stoppedError) Error() string { return "stopped by a signal: " + e.signal.String() }

// untilSignal is ctx until the first SIGINT or SIGTERM. A second one ends the
// program at once.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			number, _ := s.(syscall.Signal)
			cancel(stoppedError{number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}
