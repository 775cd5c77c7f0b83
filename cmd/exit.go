package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// The exit codes are the API of a Job: its podFailurePolicy relies on them.
const (
	exitDone    = 0
	exitFailed  = 1 // may work next time
	exitUsage   = 2
	exitRefused = 3 // cannot work until somebody changes something
	exitPending = 4 // --dry-run --detailed-exitcode: changes are pending
	exitSignal  = 128
)

// usageError is a mistake in flags, arguments or environment.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// codeError is what is left of errors that have been reported already.
type codeError int

func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// outcome collects how the objects of a run ended. Each is reported as it ends:
// its lines on standard output, its error in the log. Several goroutines may use it.
type outcome struct {
	printer          *printer
	detailedExitcode bool
	refusedOK        bool // refused Secrets are reported, but do not count

	mu                       sync.Mutex
	failed, refused, changed bool
}

// add reports what was done, and the error that ended the work on the object.
func (o *outcome) add(log *slog.Logger, object string, report provision.Report, err error) {
	o.printer.tell(object, report, err)
	refusal, refused := errors.AsType[*provision.Refusal](err)
	switch {
	case refused && refusal.Owner != "": // not for the tenant's eyes
		log.Error("refused", "error", err.Error(), "owner", refusal.Owner)
	case refused:
		log.Error("refused", "error", err.Error())
	case err != nil:
		log.Error("failed", "error", err.Error())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused = o.refused || refused && (!o.refusedOK || !strings.HasPrefix(object, "secret/"))
	o.failed = o.failed || err != nil && !refused
	o.changed = o.changed || report.Changed()
}

// err is the worst of what was reported: what may work next time outranks what
// cannot, or it would never be tried again.
func (o *outcome) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.failed:
		return codeError(exitFailed)
	case o.refused:
		return codeError(exitRefused)
	case o.changed && o.detailedExitcode:
		return codeError(exitPending)
	}
	return nil
}

// finish is where every run ends: it reports what has not been reported yet,
// and maps all of it to the exit code.
func finish(ctx context.Context, command *cobra.Command, stdout *checkedWriter, err error) int {
	told, ok := errors.AsType[codeError](err)
	code := int(told)
	tell := func(message string) {
		_, _ = fmt.Fprintf(command.ErrOrStderr(), "%s: %s\n", command.Root().Name(), oneLine(message))
	}
	switch {
	case stdout.err != nil: // err can be the same, and nobody has read the rest of the output
		code = exitFailed
		tell("write to standard output: " + stdout.err.Error())
	case errors.As(err, new(timeoutError)):
		code = exitFailed
		tell(err.Error())
	case err != nil && !ok: // ours, or cobra's about arguments
		code = exitUsage
		tell(err.Error())
		_, _ = fmt.Fprintf(command.ErrOrStderr(), "See '%s --help'.\n", command.CommandPath())
	}
	if stopped, ok := errors.AsType[stoppedError](context.Cause(ctx)); ok && code != exitDone && code != exitPending {
		tell(stopped.Error()) // the error may say only what the run was waiting for
		return exitSignal + int(stopped.signal)
	}
	return code
}

// checkedWriter remembers the first write error: not every caller that prints
// looks at it.
type checkedWriter struct {
	to  io.Writer
	err error
}

func (w *checkedWriter) Write(text []byte) (int, error) {
	n, err := w.to.Write(text)
	if w.err == nil {
		w.err = err
	}
	return n, err
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
