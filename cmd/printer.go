package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// report prints what a run did, one line an object.
type report struct {
	out    io.Writer
	json   bool
	dryRun bool
}

func newReport(out io.Writer, settings settings) report {
	return report{out, settings.output == "json", settings.dryRun}
}

// line is an object of the result with -o json.
type line struct {
	Object string           `json:"object"`
	Action provision.Action `json:"action"`
	Fields []string         `json:"fields,omitempty"` // names of what was changed
	Notes  []string         `json:"notes,omitempty"`
	DryRun bool             `json:"dryRun,omitempty"`
}

// end prints the report of a run, and the error that ended its work on object.
func (r report) end(object string, result provision.Report, err error) {
	var lines []line
	for _, change := range result.Changes {
		lines = append(lines, line{change.Object, change.Action, change.Fields, change.Notes, r.dryRun})
	}
	var refused *provision.Refusal
	if errors.As(err, &refused) {
		lines = append(lines, line{object, provision.Refused, nil, refused.Problems, r.dryRun})
	} else if err != nil {
		lines = append(lines, line{object, provision.Failed, nil, []string{err.Error()}, r.dryRun})
	}
	if r.json {
		encoder := json.NewEncoder(r.out)
		encoder.SetEscapeHTML(false)
		for _, l := range lines {
			_ = encoder.Encode(l) // where standard output is gone nobody can be told
		}
		return
	}
	width := 0
	for _, l := range lines {
		width = max(width, len(l.Object))
	}
	for _, l := range lines {
		_, _ = fmt.Fprintln(r.out, l.text(width))
	}
}

// text is the line for people. Without " (dry run)" a dry run's is the same.
func (l line) text(width int) string {
	suffix := ""
	if l.DryRun {
		suffix = " (dry run)"
	}
	details := l.Notes
	if len(l.Fields) > 0 {
		details = append([]string{strings.Join(l.Fields, ", ")}, l.Notes...)
	}
	padding := strings.Repeat(" ", max(0, len("unchanged")-len(l.Action)))
	text := fmt.Sprintf("%-*s %s%s%s %s", width, l.Object, l.Action, suffix, padding, strings.Join(details, "; "))
	return strings.TrimRight(text, " ")
}

// summary is what a run did in one sentence, for an Event.
func summary(result provision.Report) string {
	var parts []string
	for _, change := range result.Changes {
		if change.Action != provision.Unchanged {
			parts = append(parts, fmt.Sprintf("%s %s", change.Object, change.Action))
		}
	}
	return strings.Join(parts, "; ")
}
