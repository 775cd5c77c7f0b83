package check

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
)

// What Argo Events 1.9 says in its logs, as far as we look for it. The last of
// them counts: whatever was said before a success is over.
const (
	busIsNew        = "bucket not found"
	noStream        = "no response from stream"
	noPeers         = "no suitable peers for placement"
	notPublished    = "Failed to publish an event"
	published       = "Succeeded to publish an event"
	notTriggered    = "ailed to execute a trigger" // with a small f or a capital one
	triggered       = "Successfully processed trigger"
	notConnected    = "failed to connect to eventbus"
	notReconnected  = "failed to reconnect to eventbus"
	connectedAgain  = "reconnected to eventbus"
	connectedAgain2 = "reconnected to EventBus"
)

// lastSaid returns the last line that has one of the words, and the word.
func lastSaid(lines []string, words ...string) (line, said string) {
	for _, line := range slices.Backward(lines) {
		for _, word := range words {
			if strings.Contains(line, word) {
				return line, word
			}
		}
	}
	return "", ""
}

// logLine is as much of a line as we read.
type logLine struct {
	at          time.Time
	TriggerName string
	EventName   string
}

// parse reads the kubelet's time and, behind it, what Argo Events said in JSON.
func parse(line string) (read logLine) {
	at, text, _ := strings.Cut(line, " ")
	if json.Unmarshal([]byte(text), &read) != nil {
		read = logLine{} // client-go's lines are another kind
	}
	read.at, _ = time.Parse(time.RFC3339Nano, at)
	return read
}

// forbidden is what client-go says when the EventSource may not list or watch.
var forbidden = regexp.MustCompile(`is forbidden: User \\*"([a-z0-9:.-]+)\\*" cannot (?:list|watch) resource \\*"([a-z]+)\\*" .*in the namespace \\*"([a-z0-9-]+)\\*"`)

const (
	startTime = time.Minute // how long a Pod may take to start
	// A client that may not list tries again within a minute.
	listPause = 3 * time.Minute
	maxLabel  = 63
)

// sourceLog says what is wrong according to the log of the EventSource.
func (c *Chain) sourceLog(r *Report, source kube.ArgoObject, lines []string) {
	name := source.Metadata.Name
	for _, denied := range c.deniedIn(lines) {
		r.Fail([]string{
			fmt.Sprintf("kubectl auth can-i list %s -n %s --as=%s", denied.resource, denied.namespace, denied.user),
			fmt.Sprintf("kubectl -n %s get role,rolebinding -l %s=watcher", denied.namespace, partLabel),
			c.applyManifest(),
		}, "forbidden: it may not list %s in namespace %s. Create the Role and the RoleBinding again, by hand if rbac.create=false; it recovers on its own", denied.resource, denied.namespace)
	}
	line, said := lastSaid(lines, noStream, noPeers, notPublished, published, notConnected, notReconnected, connectedAgain)
	switch said {
	case noStream:
		r.Fail(c.renewBoth(name), "the bus came back empty (%s): it no longer knows the EventSource and the Sensor", said)
	case noPeers:
		c.apart(r, busOf(source), said)
	case notPublished:
		r.Warn(c.restartSource(name), "an event did not reach the bus at %s, and is lost", clock(parse(line).at))
	case notConnected, notReconnected:
		r.Fail([]string{c.kubectl("get eventbus")}, "it has not reached the bus since %s", clock(parse(line).at))
	}
}

// denied is what the EventSource may not list.
type denied struct{ user, resource, namespace string }

// deniedIn finds what was denied a short time ago and has sent nothing since.
func (c *Chain) deniedIn(lines []string) (found []denied) {
	for _, line := range lines {
		if match := forbidden.FindStringSubmatch(line); match != nil {
			one := denied{match[1], match[2], match[3]}
			if !slices.Contains(found, one) && c.now().Sub(parse(line).at) < listPause {
				found = append(found, one)
			}
		} else if strings.Contains(line, published) {
			sent := parse(line).EventName
			found = slices.DeleteFunc(found, func(d denied) bool { return d.namespace == sent })
		}
	}
	return found
}

// restartSource makes the EventSource report every Secret again.
func (c *Chain) restartSource(name string) []string {
	return []string{c.kubectl("delete pod -l eventsource-name=%s", name)}
}

// renewBoth has the Sensor listen again before the EventSource reports.
func (c *Chain) renewBoth(name string) []string {
	return []string{
		c.kubectl("delete pod -l sensor-name=%s", name),
		c.kubectl("wait pod -l sensor-name=%s --for=condition=Ready --timeout=2m", name),
		c.kubectl("delete pod -l eventsource-name=%s", name),
	}
}

// apart says how to bring the servers of a bus together: one is started after
// the other, as all at once can end in the same state. A rollout would do, but
// since Kubernetes 1.37 it starts all that are not ready at once.
func (c *Chain) apart(r *Report, bus, said string) {
	r.Fail([]string{fmt.Sprintf(`for pod in $(%s); do %s "$pod"; %s; done`,
		c.kubectl("get pod -l eventbus-name=%s -o name", Quote(bus)),
		c.kubectl("delete"),
		c.kubectl("rollout status statefulset %s --timeout=2m", Quote("eventbus-"+bus+"-js")))},
		"the servers of the new bus do not count each other (%s): start them one after the other", said)
}

// sensorLog says what is wrong according to the log of the Sensor.
func (c *Chain) sensorLog(ctx context.Context, r *Report, sensor kube.ArgoObject, lines []string) {
	name := sensor.Metadata.Name
	_, said := lastSaid(lines, busIsNew, noPeers, triggered, notConnected, notReconnected, connectedAgain2)
	switch said {
	case busIsNew:
		r.Fail(c.renewBoth(name), "the bus came back empty (%s): it no longer knows the EventSource and the Sensor", said)
	case noPeers:
		c.apart(r, busOf(sensor), said)
	case notConnected, notReconnected:
		r.Fail([]string{c.kubectl("get eventbus")}, "it cannot reach the bus")
	}
	for _, refused := range notTriggeredIn(lines) {
		cut := len(refused.TriggerName) >= maxLabel // the chart cuts a name that is too long
		if c.name != "" && refused.TriggerName != "" && !cut && !strings.HasSuffix(refused.TriggerName, "-"+c.namespace) {
			continue
		}
		mend := append([]string{c.kubectl("get events --field-selector type=Warning"), c.kubectl("get resourcequota")}, c.retouch(ctx, name)...)
		r.Fail(mend, "failed to execute a trigger at %s: the API server refused a Job (%s). After eight tries the event is lost: fix the cause, then have the Secret reported again",
			clock(refused.at), refused.why)
	}
}

// retouch has the Secret reported again, or all of them.
func (c *Chain) retouch(ctx context.Context, name string) []string {
	if c.name == "" {
		return c.restartSource(name)
	}
	return c.Touch(ctx)
}

// refusedJob is a Job that could not be created.
type refusedJob struct {
	logLine
	why string
}

// notTriggeredIn are the triggers that failed last, the last failure of each.
func notTriggeredIn(lines []string) (failed []refusedJob) {
	for _, line := range lines {
		fails := strings.Contains(line, notTriggered)
		if !fails && !strings.Contains(line, triggered) {
			continue
		}
		read := parse(line)
		failed = slices.DeleteFunc(failed, func(f refusedJob) bool { return f.TriggerName == read.TriggerName })
		if fails {
			failed = append(failed, refusedJob{read, cmp.Or(refusedBy(line), "the log of the Sensor has the reason")})
		}
	}
	return failed
}

// refusedBy says who refused something, going by the API server's words; empty:
// they are not known.
func refusedBy(text string) string {
	switch {
	case strings.Contains(text, "exceeded quota"):
		return "exceeded quota"
	case strings.Contains(text, "must specify"), strings.Contains(text, "failed quota"):
		return "a quota demands limits that the Job does not have: must specify"
	case strings.Contains(text, "admission webhook"), strings.Contains(text, "ValidatingAdmissionPolicy"):
		return "an admission policy"
	case strings.Contains(text, "violates PodSecurity"):
		return "Pod Security"
	case strings.Contains(text, "serviceaccount") && strings.Contains(text, "not found"):
		return "its service account is missing"
	case strings.Contains(text, "cannot create resource"):
		return "a missing right: the Sensor's service account may not create Jobs"
	case strings.Contains(text, "is forbidden"):
		return "forbidden"
	}
	return ""
}
