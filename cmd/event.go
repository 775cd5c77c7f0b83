package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// eventTimeout is how long an Event may take. It is not part of --timeout,
// which may be what ended the run.
var eventTimeout = 5 * time.Second // tests set it to less

// recordEvent tells the Secret's owner what was changed, or why nothing was, if
// the cluster lets us. A run that found everything in order records none, nor
// does one that a signal stopped: the signal ends ctx. It reports whether more
// Events are worth trying: not if this one got no answer.
func recordEvent(ctx context.Context, cluster *kube.Client, reason string, result provision.Result, err error, log *slog.Logger) bool {
	if result.Secret.Name == "" || err == nil && !result.Report.Changed() {
		return true
	}
	message := summary(result.Report)
	if _, refused := errors.AsType[*provision.Refusal](err); refused {
		reason, message = "Refused", err.Error()
	} else if err != nil {
		reason, message = "Failed", err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	if err := cluster.RecordEvent(ctx, result.Secret, err != nil, reason, oneLine(message), time.Now()); err != nil {
		log.Debug("no Event was recorded on the Secret", "error", err.Error())
	}
	return ctx.Err() == nil
}

// summary is what a run did in one sentence, for an Event.
func summary(report provision.Report) string {
	var parts []string
	for _, change := range report.Changes {
		if change.Action != provision.Unchanged {
			parts = append(parts, fmt.Sprintf("%s %s", change.Object, change.Action))
		}
	}
	return strings.Join(parts, "; ")
}
