package check

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
)

// Quota looks at what may keep a Job from getting a Pod.
func (c *Chain) Quota(ctx context.Context) []Finding {
	r := Report{Object: "resourcequota/" + c.release.Namespace}
	all, err := kube.List(ctx, c.cluster, kube.ResourceQuotas, kube.Selection{Namespace: c.release.Namespace})
	if err != nil {
		r.Unread(err)
		return r.Findings
	}
	for _, quota := range all {
		var full []string
		for what, hard := range quota.Status.Hard {
			if holdsBack(what) && isUsedUp(quota.Status.Used[what], hard) {
				full = append(full, what)
			}
		}
		slices.Sort(full)
		if len(full) > 0 {
			path := Report{Object: "resourcequota/" + quota.Path()}
			path.Warn([]string{c.kubectl("describe resourcequota %s", quota.Metadata.Name), c.kubectl("get pods -l %s=job", partLabel)},
				"exceeded quota: %s used up, so that other Jobs wait. The chart's own quota allows job.maxRunning Pods", strings.Join(full, ", "))
			r.Findings = append(r.Findings, path.Findings...)
		}
	}
	if r.fine() {
		r.OK("leaves room for Jobs")
	}
	return r.Findings
}

// holdsBack reports whether a Job or its Pod counts towards a part of a quota.
func holdsBack(what string) bool {
	switch what {
	case "pods", "count/pods", "count/jobs.batch", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory":
		return true
	}
	return false
}

// isUsedUp compares quantities, as numbers if they are whole.
func isUsedUp(used, hard string) bool {
	u, err := strconv.Atoi(used)
	h, errHard := strconv.Atoi(hard)
	if err != nil || errHard != nil {
		return used == hard
	}
	return u >= h
}

// Syncs looks at the CronJobs that sync.
func (c *Chain) Syncs(ctx context.Context) []Finding {
	r := Report{Object: "cronjob/" + c.release.Namespace}
	selector := fmt.Sprintf("%s=%s,%s=sync", releaseLabel, c.release.Name, partLabel)
	all, err := kube.List(ctx, c.cluster, kube.CronJobs, kube.Selection{Namespace: c.release.Namespace, Labels: selector})
	if err != nil {
		r.Unread(err)
		return r.Findings
	}
	if len(all) == 0 {
		r.OK("none: sync.enabled is false, so nothing repairs what no event reports")
	}
	for _, one := range all {
		path := Report{Object: "cronjob/" + one.Path()}
		due, done := one.Status.LastScheduleTime, one.Status.LastSuccessfulTime
		switch {
		case one.Spec.Suspend:
			path.Warn(c.upgrade("--set sync.suspend=false"), "it is suspended")
		case due.After(done) && len(one.Status.Active) == 0:
			path.Fail([]string{c.kubectl("get jobs -l %s=sync", partLabel), c.kubectl("create job --from=cronjob/%s %s-now", one.Metadata.Name, one.Metadata.Name)},
				"it has not succeeded since it was last due, at %s: the log of its last Job says why", clock(due))
		case done.IsZero():
			path.OK("it has not run yet")
		default:
			path.OK("last succeeded at %s", clock(done))
		}
		r.Findings = append(r.Findings, path.Findings...)
	}
	return r.Findings
}

// readJob finds the last Job of the Secret, nil if there is none. No label says
// which Secret a Job is for.
func (c *Chain) readJob(ctx context.Context) (last *kube.Job, err error) {
	all, err := kube.List(ctx, c.cluster, kube.Jobs, kube.Selection{Namespace: c.release.Namespace, Labels: partLabel + "=job"})
	for i, job := range all {
		for _, container := range job.Spec.Template.Spec.Containers {
			args := container.Args
			isOurs := len(args) >= 4 && args[0] == "provision" && args[1] == c.name && args[3] == c.namespace
			if isOurs && (last == nil || last.Metadata.CreationTimestamp.Before(job.Metadata.CreationTimestamp)) {
				last = &all[i]
			}
		}
	}
	return last, err
}

func complete(job *kube.Job) bool { return job.Status.Conditions.Get("Complete").Status == "True" }

func failed(job *kube.Job) bool { return job.Status.Conditions.Get("Failed").Status == "True" }

// AtWork reports whether the last Job of the Secret has not ended yet.
func (c *Chain) AtWork(ctx context.Context) bool {
	if c.release == nil {
		return false
	}
	job, err := c.job(ctx)
	return err == nil && job != nil && !complete(job) && !failed(job)
}

// Job looks at the last Job of the Secret.
func (c *Chain) Job(ctx context.Context) []Finding {
	r := Report{Object: "job/" + c.release.Namespace}
	job, err := c.job(ctx)
	if err != nil {
		r.Unread(err)
		return r.Findings
	}
	if secret, err := c.secret(ctx); err == nil && labelled(secret) {
		c.missed(ctx, &r, job, secret) // which is not about this Job
	}
	if job != nil {
		r.Object += "/" + job.Metadata.Name
	}
	switch {
	case job == nil:
		if r.fine() {
			r.OK("none for this Secret")
		}
	case complete(job):
		if r.fine() {
			r.OK("complete, created at %s", clock(job.Metadata.CreationTimestamp))
		}
	case failed(job):
		c.ended(ctx, &r, job)
	default:
		c.atWork(ctx, &r, job)
		if r.fine() {
			r.Warn([]string{c.kubectl("logs job/%s", job.Metadata.Name), c.kubectl("describe job %s", job.Metadata.Name)}, "at work since %s", clock(job.Metadata.CreationTimestamp))
		}
	}
	return r.Findings
}

// reportTime is how long an event takes to become a Job, at most, if all is well.
const reportTime = 30 * time.Second

// missed says that no Job followed a change of the Secret. After ttl it is too
// late to tell.
func (c *Chain) missed(ctx context.Context, r *Report, job *kube.Job, secret kube.Object) {
	changed := secret.Changed()
	age := c.now().Sub(changed)
	if c.byExternalSecret(ctx) || age > time.Duration(c.release.ttl)*time.Second {
		return
	}
	if job != nil && !job.Metadata.CreationTimestamp.Before(changed.Truncate(time.Second)) {
		return
	}
	if age < reportTime {
		r.Warn(nil, "no Job yet for the change of the Secret at %s", clock(changed))
		return
	}
	r.Fail(c.Touch(ctx), "no Job for the change of the Secret at %s: the event is lost, or something before this line is wrong. Once that is fixed, have the Secret reported again", clock(changed))
}

// atWork says what keeps a Job from ending.
func (c *Chain) atWork(ctx context.Context, r *Report, job *kube.Job) {
	pods, err := c.podsOf(ctx, job)
	if err != nil {
		r.Unread(err)
		return
	}
	unfinished := false
	for _, pod := range pods {
		if pod.Status.Phase == "Succeeded" || pod.Status.Phase == "Failed" {
			continue
		}
		unfinished = true
		if beside := sidecars(pod); beside != "" {
			r.Fail([]string{c.kubectl("get pod %s -o jsonpath='{.spec.containers[*].name}'", pod.Metadata.Name)},
				"the program has ended, and its Pod runs on because of the container %s beside it: keep the sidecar of the service mesh out (job.podAnnotations, job.podLabels)", beside)
			return
		}
		c.pod(ctx, r, pod)
	}
	if job.Status.Failed > 0 {
		_, why := lastWords(pods)
		r.Warn([]string{c.kubectl("logs job/%s", job.Metadata.Name)}, "failed %s, and is tried again: %s", times(job.Status.Failed), why)
	}
	if !unfinished {
		c.withoutPod(ctx, r, job)
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// withoutPod says why a Job has no Pod.
func (c *Chain) withoutPod(ctx context.Context, r *Report, job *kube.Job) {
	events, err := kube.List(ctx, c.cluster, kube.Events, kube.Selection{Namespace: c.release.Namespace, Fields: "involvedObject.kind=Job,involvedObject.name=" + job.Metadata.Name})
	if err != nil {
		r.Unread(err)
		return
	}
	describe := []string{c.kubectl("describe job %s", job.Metadata.Name)}
	for _, event := range slices.Backward(events) {
		if event.Reason != "FailedCreate" {
			continue
		}
		switch why := refusedBy(event.Message); {
		case why == "exceeded quota":
			r.Warn(append(describe, c.kubectl("get resourcequota")), "it has no Pod: exceeded quota. It waits until other Pods have ended (job.maxRunning)")
		case strings.Contains(why, "must specify"):
			r.Fail(c.upgrade("--set job.resources.limits.cpu=CPU"), "it has no Pod: a quota demands requests or limits that the chart does not set (must specify): set job.resources")
		default:
			r.Fail(describe, "it has no Pod: the API server refuses it (%s)", cmp.Or(why, "its Events have the reason"))
		}
		return
	}
}

// ended says why a Job failed.
func (c *Chain) ended(ctx context.Context, r *Report, job *kube.Job) {
	pods, err := c.podsOf(ctx, job)
	if err != nil {
		r.Unread(err)
		return
	}
	code, why := lastWords(pods)
	logs := []string{c.kubectl("logs job/%s", job.Metadata.Name)}
	switch code {
	case 3:
		r.Fail(append(logs, fmt.Sprintf("kubectl -n %s get events --field-selector involvedObject.name=%s", c.namespace, c.name)),
			"failed with exit code 3, the Secret was refused: %s. The next change of the Secret starts a new Job", why)
	case 2:
		r.Fail(append(logs, c.EditValues()...), "failed with exit code 2, a mistake in the chart's values: %s", why)
	default:
		r.Fail(append(logs, c.Touch(ctx)...), "failed (%s), and is not tried again: %s", word(job.Status.Conditions.Get("Failed").Reason), why)
	}
}

func (c *Chain) podsOf(ctx context.Context, job *kube.Job) ([]kube.Pod, error) {
	return kube.List(ctx, c.cluster, kube.Pods, kube.Selection{Namespace: c.release.Namespace, Labels: "batch.kubernetes.io/job-name=" + job.Metadata.Name})
}

// sidecars names a container that keeps running although the program has ended.
func sidecars(pod kube.Pod) string {
	ended, running := false, ""
	for _, container := range pod.Status.ContainerStatuses {
		if container.Name == program {
			ended = container.State.Terminated != nil
		} else if container.State.Terminated == nil {
			running = container.Name
		}
	}
	if !ended {
		return ""
	}
	return running
}

// lastWords are how the program ended last, in its own words, which hold no
// secret. Anything in another form is not shown.
func lastWords(pods []kube.Pod) (code int, why string) {
	code, why = -1, "its log has the reason"
	var last time.Time
	for _, pod := range pods {
		for _, container := range pod.Status.ContainerStatuses {
			ended := container.State.Terminated
			if container.Name != program || ended == nil || pod.Metadata.CreationTimestamp.Before(last) {
				continue
			}
			last = pod.Metadata.CreationTimestamp
			code, why = ended.ExitCode, "its log has the reason"
			if said := ownWords(ended.Message); said != "" {
				why = said
			} else if ended.Reason != "Error" {
				why = word(ended.Reason)
			}
		}
	}
	return code, why
}

// ownWords are the program's last line about an error, from its log in JSON or
// from the end of a run with a mistake in its settings.
func ownWords(message string) string {
	for _, line := range slices.Backward(strings.Split(message, "\n")) {
		var read struct{ Level, Msg, Error string }
		if json.Unmarshal([]byte(line), &read) == nil && read.Level == "ERROR" && (read.Msg == "refused" || read.Msg == "failed") {
			return read.Error
		}
		if text, ok := strings.CutPrefix(line, "nautobot-token: "); ok {
			return text
		}
	}
	return ""
}
