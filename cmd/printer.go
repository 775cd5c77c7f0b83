package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// printer writes the result, one line per object, as the objects are done.
// Several goroutines may use it: the lines of one call stay together.
type printer struct {
	json, dryRun bool
	quiet        bool // leaves out what is unchanged

	mu  sync.Mutex
	out io.Writer // which remembers its errors
}

func (s *settings) newOutcome(out io.Writer) *outcome {
	return &outcome{
		printer:          &printer{json: s.output == "json", dryRun: s.dryRun, quiet: s.quiet, out: out},
		detailedExitcode: s.detailedExitcode,
		refusedOK:        s.refusedOK,
	}
}

// row is an object of the result with -o json.
type row struct {
	Object string           `json:"object"`
	Action provision.Action `json:"action"`
	Fields []string         `json:"fields,omitempty"` // names of what was changed
	Notes  []string         `json:"notes,omitempty"`
	DryRun bool             `json:"dryRun,omitempty"`
}

// tell prints what was done, and the error that ended the work on the object.
// The columns are as wide as these lines need.
func (p *printer) tell(object string, report provision.Report, err error) {
	var rows []row
	for _, change := range report.Changes {
		if p.quiet && change.Action == provision.Unchanged {
			continue
		}
		rows = append(rows, row{change.Object, change.Action, change.Fields, change.Notes, p.dryRun})
	}
	if refusal, ok := errors.AsType[*provision.Refusal](err); ok {
		rows = append(rows, row{object, provision.Refused, nil, refusal.Problems, p.dryRun})
	} else if err != nil {
		rows = append(rows, row{object, provision.Failed, nil, []string{err.Error()}, p.dryRun})
	}
	var lines bytes.Buffer
	for i := range rows {
		rows[i].clean()
	}
	if p.json {
		encoder := json.NewEncoder(&lines)
		encoder.SetEscapeHTML(false)
		for _, r := range rows {
			_ = encoder.Encode(r) // a buffer takes everything
		}
	} else {
		width := 0
		for _, r := range rows {
			width = max(width, len(r.Object))
		}
		for _, r := range rows {
			lines.WriteString(r.text(width) + "\n")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.out.Write(lines.Bytes()) // finish looks at the error
}

// text is the line for people. A dry run's differs only by " (dry run)".
func (r row) text(width int) string {
	suffix := ""
	if r.DryRun {
		suffix = " (dry run)"
	}
	details := r.Notes
	if len(r.Fields) > 0 {
		details = append([]string{strings.Join(r.Fields, ", ")}, r.Notes...)
	}
	padding := strings.Repeat(" ", max(0, len("unchanged")-len(r.Action)))
	text := fmt.Sprintf("%-*s %s%s%s %s", width, r.Object, r.Action, suffix, padding, strings.Join(details, "; "))
	return strings.TrimRight(text, " ")
}

// clean removes from every text what could begin a second line. Some of the
// texts come from Nautobot.
func (r *row) clean() {
	r.Object = oneLine(r.Object)
	r.Fields, r.Notes = oneLineEach(r.Fields), oneLineEach(r.Notes)
}

func oneLineEach(texts []string) []string {
	var clean []string
	for _, text := range texts {
		clean = append(clean, oneLine(text))
	}
	return clean
}

// oneLine is a text, from wherever it comes, without what could begin a second
// line or control a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, text)
}
