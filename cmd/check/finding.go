// Package check walks along the chain from the ExternalSecret to the Job, and
// says whether each link is in order. It only reads, and never quotes a log: it
// looks for words that it knows, and says in its own words what they mean.
package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
)

// Status is the state of a link.
type Status string

// The statuses, as they are printed. A warning is about what may be wrong, what
// will pass by itself, and what may not be looked at.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failed  Status = "failed"
)

// Finding is what is to be said about one link.
type Finding struct {
	Object string   `json:"object"`
	Status Status   `json:"status"`
	Text   string   `json:"text"`
	Mend   []string `json:"mend,omitempty"` // commands, in this order
}

// Report builds the findings about one object.
type Report struct {
	Object   string
	Findings []Finding
}

// OK adds that all is well.
func (r *Report) OK(format string, args ...any) { r.add(OK, nil, format, args...) }

// Warn adds a warning, and the commands that fix it.
func (r *Report) Warn(mend []string, format string, args ...any) {
	r.add(Warning, mend, format, args...)
}

// Fail adds a failure, and the commands that fix it.
func (r *Report) Fail(mend []string, format string, args ...any) {
	r.add(Failed, mend, format, args...)
}

func (r *Report) add(status Status, mend []string, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{r.Object, status, fmt.Sprintf(format, args...), mend})
}

// Unread adds why something could not be read. A missing right says nothing about
// the thing itself.
func (r *Report) Unread(err error) {
	if denied, ok := errors.AsType[kube.MayNotError](err); ok {
		namespace := " -n " + denied.Namespace
		if denied.Namespace == "" {
			namespace = " --all-namespaces"
		}
		r.Warn([]string{"kubectl auth can-i " + denied.Verb + " " + denied.Resource + namespace}, "not known: %s", denied.Error())
		return
	}
	r.Fail(nil, "not known: %v", err)
}

// fine reports whether nothing is wrong so far.
func (r *Report) fine() bool { return len(r.Findings) == 0 }

// Link looks at one link of the chain.
type Link func(context.Context) []Finding

// Walk looks at all links at the same time, and reports them in order, each as
// soon as all before it have been reported.
func Walk(ctx context.Context, links []Link, tell func(Finding)) {
	results := make([]chan []Finding, len(links))
	for i, link := range links {
		results[i] = make(chan []Finding, 1)
		go func() { results[i] <- link(ctx) }()
	}
	for _, result := range results {
		for _, finding := range <-result {
			tell(finding)
		}
	}
}

// Once makes a question that several links share, and that is asked only once.
func Once[T any](read func(context.Context) (T, error)) func(context.Context) (T, error) {
	var (
		do    sync.Once
		value T
		err   error
	)
	return func(ctx context.Context) (T, error) {
		do.Do(func() { value, err = read(ctx) })
		return value, err
	}
}

// Quote makes a text a single shell word. The API server checks the names of
// objects, but some of what commands name is text that somebody wrote into one.
func Quote(text string) string {
	const harmless = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/="
	if text != "" && strings.Trim(text, harmless) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
