package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// tally counts how the Secrets of a run ended. On a terminal it is shown in the
// last line, below all others. Several goroutines may use it.
type tally struct {
	start  time.Time
	noRule atomic.Int64 // Secrets that no rule matches
	total  atomic.Int64 // how many Secrets there are; 0: not known

	mu                                                    sync.Mutex
	secrets, unchanged, changed, refused, failed, revoked int
	terminal                                              io.Writer // nil: there is none
	drawn                                                 time.Time
	ended                                                 bool
}

func newTally() *tally { return &tally{start: time.Now()} }

func (t *tally) shown() bool { return t.terminal != nil }

// add counts what became of a Secret.
func (t *tally) add(report provision.Report, err error) {
	t.count(report, err, &t.changed, &t.unchanged)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secrets++
}

// addGone counts what became of a Secret that is gone, or that came back.
func (t *tally) addGone(report provision.Report, err error) {
	changed := &t.changed
	if slices.ContainsFunc(report.Changes, func(c provision.Change) bool { return c.Action == provision.Revoked }) {
		changed = &t.revoked
	}
	t.count(report, err, changed, new(int))
}

// fail counts an error that is not about one Secret.
func (t *tally) fail(err error) { t.count(provision.Report{}, err, nil, nil) }

func (t *tally) count(report provision.Report, err error, changed, unchanged *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, refused := errors.AsType[*provision.Refusal](err)
	switch {
	case refused:
		t.refused++
	case err != nil:
		t.failed++
	case report.Changed():
		*changed++
	default:
		*unchanged++
	}
	if time.Since(t.drawn) > 200*time.Millisecond {
		t.draw()
	}
}

// attributes are for the line in the log that sums a run up.
func (t *tally) attributes() []any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return []any{
		"secrets", t.secrets,
		"unchanged", t.unchanged, "changed", t.changed, "refused", t.refused, "failed", t.failed, "revoked", t.revoked,
		"noRule", t.noRule.Load(), "took", time.Since(t.start).Round(time.Millisecond).String(),
	}
}

// line says how far the run has got.
func (t *tally) line() string {
	done := t.secrets
	text := fmt.Sprintf("%d", done)
	total := int(t.total.Load())
	if total > 0 {
		text += fmt.Sprintf(" of %d", total)
	}
	rate := float64(done) / max(time.Since(t.start).Seconds(), 0.001)
	text += fmt.Sprintf(" Secrets done, %d changed, %d refused, %d failed, %.0f/s", t.changed, t.refused, t.failed, rate)
	if left := total - done; left > 0 && rate > 0 {
		text += ", " + (time.Duration(float64(left)/rate) * time.Second).String() + " left"
	}
	return text
}

const clearLine = "\r\x1b[K"

func (t *tally) draw() {
	if t.terminal != nil && !t.ended {
		_, _ = io.WriteString(t.terminal, clearLine+fitting(t.line(), width(t.terminal)))
		t.drawn = time.Now()
	}
}

// fitting is as much of a line as a terminal shows in one row, because only that
// row is cleared. A width of 0 is not known.
func fitting(line string, width int) string {
	if width > 0 && len(line) >= width {
		return line[:width-1]
	}
	return line
}

func width(terminal io.Writer) int {
	file, ok := terminal.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// show has the tally shown on a terminal, and returns what to use for lines of
// output from now on, so that they come above it.
func (t *tally) show(terminal, stdout, stderr io.Writer) (io.Writer, io.Writer) {
	t.terminal = terminal
	return above{t, stdout}, above{t, stderr}
}

// end removes the line.
func (t *tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.terminal != nil {
		_, _ = io.WriteString(t.terminal, clearLine)
	}
	t.ended = true
}

// above writes lines above the tally.
type above struct {
	tally *tally
	to    io.Writer
}

func (a above) Write(text []byte) (int, error) {
	a.tally.mu.Lock()
	defer a.tally.mu.Unlock()
	if !a.tally.ended {
		_, _ = io.WriteString(a.tally.terminal, clearLine)
	}
	n, err := a.to.Write(text)
	a.tally.draw()
	return n, err
}
