package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
)

// upgrade is the command that gives the release other values.
func (c *Chain) upgrade(what string) []string {
	return []string{fmt.Sprintf("helm -n %s upgrade %s charts/nautobot-token --reuse-values %s", c.release.Namespace, c.release.Name, what)}
}

// EditValues are the commands with which somebody changes the release's values.
func (c *Chain) EditValues() []string {
	helm := fmt.Sprintf("helm -n %s ", c.release.Namespace)
	return []string{
		helm + "get values " + c.release.Name + " -o yaml >values.yaml",
		helm + "upgrade " + c.release.Name + " charts/nautobot-token --values values.yaml",
	}
}

// applyManifest is the command that restores what is missing from the release.
func (c *Chain) applyManifest() string {
	return fmt.Sprintf("helm -n %s get manifest %s | kubectl apply -f -", c.release.Namespace, c.release.Name)
}

// kubectl is a command in the release's namespace.
func (c *Chain) kubectl(format string, args ...any) string {
	return "kubectl -n " + c.release.Namespace + " " + fmt.Sprintf(format, args...)
}

// unread says why an object of Argo Events could not be read.
func (c *Chain) unread(r *Report, err error) {
	switch {
	case errors.Is(err, kube.ErrNotServed):
		r.Fail([]string{"kubectl get crd | grep argoproj.io"}, "Argo Events is not installed: the cluster does not know this kind of object")
	case errors.Is(err, kube.ErrAbsent):
		r.Fail([]string{c.applyManifest()}, "there is none: the release should have one")
	default:
		r.Unread(err)
	}
}

// EventBus looks at the bus that the EventSource and the Sensor use, which need not
// be the release's own.
func (c *Chain) EventBus(ctx context.Context) []Finding {
	r := Report{Object: "eventbus/" + c.release.Namespace}
	source, err := c.source(ctx)
	if err != nil {
		r.Warn(nil, "not known: the EventSource names it, which could not be read")
		return r.Findings
	}
	name := busOf(source)
	r.Object += "/" + name
	bus, err := kube.Get(ctx, c.cluster, kube.EventBuses, c.release.Namespace, name)
	if errors.Is(err, kube.ErrAbsent) {
		r.Fail(append([]string{c.kubectl("get eventbus")}, c.upgrade("--set eventBus.create=true")...),
			"EventBus not found: the namespace has none of this name. Name one that exists (eventBus.name), or let the chart create it")
		return r.Findings
	}
	if err != nil {
		c.unread(&r, err)
		return r.Findings
	}
	c.conditions(&r, "eventbus", bus)
	wanted := 1
	if bus.Spec.JetStream != nil && bus.Spec.JetStream.Replicas != nil {
		wanted = *bus.Spec.JetStream.Replicas
	}
	running := c.runs(ctx, &r, "eventbus-name="+name, wanted)
	if r.fine() {
		r.OK("ready, %d of %d servers", len(running), wanted)
	}
	return r.Findings
}

// busOf is the name of the bus that an EventSource or a Sensor uses.
func busOf(user kube.ArgoObject) string {
	if user.Spec.EventBusName == "" {
		return "default"
	}
	return user.Spec.EventBusName
}

// conditions says which of an object's conditions are not met.
func (c *Chain) conditions(r *Report, kind string, o kube.ArgoObject) {
	describe := []string{c.kubectl("describe %s %s", kind, o.Metadata.Name)}
	if len(o.Status.Conditions) == 0 {
		r.Fail([]string{"kubectl get pods --all-namespaces | grep controller-manager"}, "the controller of Argo Events has not looked at it yet: is it running?")
	}
	for _, condition := range o.Status.Conditions {
		switch {
		case condition.Status != "False" || condition.Reason == "MinimumReplicasUnavailable": // the Pods say more
		case strings.Contains(condition.Message, "unsupported version"):
			r.Fail(c.upgrade("--set eventBus.version=2.9.16"), "unsupported version: the controller of Argo Events does not know eventBus.version; every 1.9 knows 2.9.16")
		case condition.Reason == "EventBusNotFound":
			r.Fail(describe, "EventBus not found")
		case condition.Reason == "EventBusNotReady":
			r.Fail(describe, "EventBus not ready")
		default:
			r.Fail(describe, "its condition %s is not met: %s", word(condition.Type), word(condition.Reason))
		}
	}
}

// runs says what is wrong with the Pods of a part, and returns those that run.
func (c *Chain) runs(ctx context.Context, r *Report, label string, wanted int) []kube.Pod {
	all, err := c.pods(ctx)
	if err != nil {
		r.Unread(err)
		return nil
	}
	var running []kube.Pod
	key, value, _ := strings.Cut(label, "=")
	seen := 0
	for _, pod := range all {
		if pod.Metadata.Labels[key] != value || pod.Metadata.DeletionTimestamp != nil {
			continue
		}
		seen++
		c.pod(ctx, r, pod)
		if pod.Status.Phase == "Running" {
			running = append(running, pod)
		}
	}
	if seen < wanted && r.fine() {
		r.Fail([]string{c.kubectl("get pods -l %s", Quote(label)), c.kubectl("get events --field-selector type=Warning")}, "%d Pods of %d", seen, wanted)
	}
	return running
}

// pod says why a Pod does not do its work.
func (c *Chain) pod(ctx context.Context, r *Report, pod kube.Pod) {
	name := pod.Metadata.Name
	describe := []string{c.kubectl("describe pod %s", name)}
	if scheduled := pod.Status.Conditions.Get("PodScheduled"); scheduled.Status == "False" {
		c.unscheduled(ctx, r, pod)
		return
	}
	state := ""
	for _, container := range pod.Status.ContainerStatuses {
		waiting := container.State.Waiting
		if waiting == nil {
			continue
		}
		state = " (" + word(waiting.Reason) + ")"
		switch waiting.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
			r.Fail(describe, "Pod %s: %s: the image of container %s cannot be pulled: its name, its tag, or imagePullSecrets is wrong", name, waiting.Reason, container.Name)
			return
		case "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			r.Fail(describe, "Pod %s: %s", name, waiting.Reason)
			return
		}
	}
	if pod.Status.Phase != "Pending" && pod.Status.Conditions.Get("Ready").Status == "True" {
		return
	}
	if young := c.now().Sub(pod.Metadata.CreationTimestamp) < startTime; young {
		r.Warn(nil, "Pod %s has just been created, and is not ready yet%s", name, state)
		return
	}
	r.Fail(describe, "Pod %s is not ready%s: an image, a volume, a ConfigMap or a Secret may be missing, or its program does not start", name, state)
}

// unscheduled says why there is no node for a Pod.
func (c *Chain) unscheduled(ctx context.Context, r *Report, pod kube.Pod) {
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		claim, err := kube.Get(ctx, c.cluster, kube.PersistentVolumeClaims, pod.Metadata.Namespace, volume.PersistentVolumeClaim.ClaimName)
		if err == nil && claim.Status.Phase == "Pending" {
			r.Fail([]string{c.kubectl("get pvc"), "kubectl get storageclass"},
				"Pod %s is Pending: it gets no volume. Without a default StorageClass, set eventBus.persistence.storageClassName, or enabled: false, and delete the EventBus first", pod.Metadata.Name)
			return
		}
	}
	r.Fail([]string{c.kubectl("describe pod %s", pod.Metadata.Name)}, "Pod %s is Pending: no node takes it", pod.Metadata.Name)
}

// EventSource looks at what watches.
func (c *Chain) EventSource(ctx context.Context) []Finding {
	r := Report{Object: "eventsource/" + c.release.Namespace}
	source, err := c.source(ctx)
	if err != nil {
		c.unread(&r, err)
		return r.Findings
	}
	name := source.Metadata.Name
	r.Object += "/" + name
	c.conditions(&r, "eventsource", source)
	if c.name != "" && !c.watches(source) {
		r.Fail(c.EditValues(), "it does not watch namespace %s: the rules in the values name none of its Secrets, or were changed without an upgrade", c.namespace)
	}
	c.sourceLog(&r, source, c.logs(ctx, &r, "eventsource-name="+name))
	if r.fine() {
		r.OK("it runs, and its log shows nothing wrong")
	}
	return r.Findings
}

// Sensor looks at what creates the Jobs.
func (c *Chain) Sensor(ctx context.Context) []Finding {
	r := Report{Object: "sensor/" + c.release.Namespace}
	sensor, err := c.sensor(ctx)
	if err != nil {
		c.unread(&r, err)
		return r.Findings
	}
	name := sensor.Metadata.Name
	r.Object += "/" + name
	c.conditions(&r, "sensor", sensor)
	c.sensorLog(ctx, &r, sensor, c.logs(ctx, &r, "sensor-name="+name))
	if r.fine() {
		r.OK("it runs, and its log shows nothing wrong")
	}
	return r.Findings
}

// logs reads what the Pods of a part said last, and says what is wrong with them.
func (c *Chain) logs(ctx context.Context, r *Report, label string) (lines []string) {
	for _, pod := range c.runs(ctx, r, label, 1) {
		said, err := c.log(ctx, pod)
		if err != nil {
			r.Unread(err)
		}
		lines = append(lines, said...)
	}
	return lines
}

// log reads what a Pod of Argo Events said last; if it has restarted, also what
// it said before.
func (c *Chain) log(ctx context.Context, pod kube.Pod) ([]string, error) {
	container, restarted := "", false
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == "main" { // a service mesh may add others
			container, restarted = status.Name, status.RestartCount > 0
		}
	}
	var before []string
	if restarted {
		before, _ = c.cluster.PodLog(ctx, pod.Metadata.Namespace, pod.Metadata.Name, container, true) // it may be gone
	}
	lines, err := c.cluster.PodLog(ctx, pod.Metadata.Namespace, pod.Metadata.Name, container, false)
	return append(before, lines...), err
}
