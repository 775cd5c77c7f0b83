package charts

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/Knetic/govaluate"
	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	"github.com/argoproj/argo-events/pkg/eventsources/sources/resource"
	"github.com/argoproj/argo-events/pkg/reconciler/eventbus"
	"github.com/argoproj/argo-events/pkg/reconciler/sensor"
	"github.com/argoproj/argo-events/pkg/sensors/dependencies"
	"github.com/argoproj/argo-events/pkg/sensors/triggers"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chartutil"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// What Argo Events' controllers check before they start anything, and what
// they leave out: names that refer to nothing.
func TestArgoEventsAcceptsIt(t *testing.T) {
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			r := mustRender(t, values, chartutil.ReleaseOptions{})
			bus := r.eventBus
			if bus == nil { // there is one, such as this
				bus = &v1alpha1.EventBus{Spec: v1alpha1.EventBusSpec{JetStream: &v1alpha1.JetStreamBus{Version: "2.10.29"}}}
				bus.Name = r.sensor.Spec.EventBusName
			}
			if err := eventbus.ValidateEventBus(bus); err != nil {
				t.Error(err)
			}
			if err := sensor.ValidateSensor(r.sensor, bus); err != nil {
				t.Error(err)
			}
			for event, source := range r.eventSource.Spec.Resource {
				listener := resource.EventListener{ResourceEventSource: source}
				if err := listener.ValidateEventSource(t.Context()); err != nil {
					t.Errorf("%s: %v", event, err)
				}
				selector, err := resource.LabelSelector(source.Filter.Labels)
				if err != nil || !selector.Matches(labels.Set{"token/type": "nautobot"}) || selector.Matches(labels.Set{}) {
					t.Errorf("%s: labels %v: %v", event, selector, err)
				}
				if source.Filter.AfterStart || source.Namespace != strings.TrimSuffix(event, "_gone") {
					t.Errorf("%s: %+v", event, source)
				}
			}
			if r.eventSource.Spec.EventBusName != bus.Name || r.sensor.Spec.EventBusName != bus.Name {
				t.Errorf("EventBus %s, but EventSource on %s and Sensor on %s", bus.Name, r.eventSource.Spec.EventBusName, r.sensor.Spec.EventBusName)
			}
			for _, trigger := range r.sensor.Spec.Triggers {
				if !trigger.AtLeastOnce || trigger.RetryStrategy == nil || trigger.RateLimit == nil {
					t.Errorf("what fails in %s would not be tried again", trigger.Template.Name)
				}
			}
			checkConditions(t, r)
		})
	}
}

// Each namespace has one dependency and one trigger, and its events start
// that trigger and no other.
func checkConditions(t *testing.T, r rendered) {
	t.Helper()
	var events []string
	for _, fired := range r.sensor.Spec.Dependencies {
		events = append(events, fired.EventName)
		if fired.EventSourceName != r.eventSource.Name {
			t.Errorf("%s waits for EventSource %s", fired.Name, fired.EventSourceName)
		}
		if got := triggersOf(t, r, fired.Name); len(got) != 1 {
			t.Errorf("%s starts %d triggers", fired.Name, len(got))
		}
	}
	slices.Sort(events)
	if want := slices.Sorted(maps.Keys(r.eventSource.Spec.Resource)); !slices.Equal(events, want) || len(events) != len(r.sensor.Spec.Triggers) {
		t.Errorf("dependencies %v and %d triggers for events %v", events, len(r.sensor.Spec.Triggers), want)
	}
}

// triggersOf are those that an event of a dependency starts.
func triggersOf(t *testing.T, r rendered, fired string) (started []v1alpha1.Trigger) {
	t.Helper()
	for _, trigger := range r.sensor.Spec.Triggers {
		conditions := strings.ReplaceAll(trigger.Template.Conditions, "-", `\-`) // as Argo Events does
		expression, err := govaluate.NewEvaluableExpression(conditions)
		if err != nil {
			t.Fatalf("conditions %s: %v", conditions, err)
		}
		is := map[string]any{}
		for _, dependency := range r.sensor.Spec.Dependencies {
			is[dependency.Name] = dependency.Name == fired
		}
		result, err := expression.Evaluate(is)
		if err != nil {
			t.Fatalf("conditions %s: %v", conditions, err)
		}
		if result == true {
			started = append(started, trigger)
		}
	}
	return started
}

// fire sends an event the way that a Sensor does, through Argo Events' own
// transform, filter and parameters. No Job: the filter held it back.
func fire(t *testing.T, r rendered, event string, data any) (transformed string, job *batchv1.Job) {
	t.Helper()
	i := slices.IndexFunc(r.sensor.Spec.Dependencies, func(d v1alpha1.EventDependency) bool { return d.EventName == event })
	dependency := r.sensor.Spec.Dependencies[i]
	sent := cloudevents.NewEvent()
	if err := sent.SetData(cloudevents.ApplicationJSON, data); err != nil {
		t.Fatal(err)
	}
	after, err := dependencies.ApplyTransform(&sent, dependency.Transform)
	if err != nil {
		t.Fatal(err)
	}
	argo := &v1alpha1.Event{
		Context: &v1alpha1.EventContext{DataContentType: cloudevents.ApplicationJSON, ID: "1", Subject: event},
		Data:    after.Data(),
	}
	if dependency.Filters != nil {
		pass, err := dependencies.Filter(argo, dependency.Filters, dependency.FiltersLogicalOperator)
		if err != nil {
			t.Fatal(err)
		}
		if !pass {
			return string(after.Data()), nil
		}
	}
	trigger := triggersOf(t, r, dependency.Name)[0]
	object := new(unstructured.Unstructured)
	if err := yaml.Unmarshal(r.jobText(t, trigger), object); err != nil {
		t.Fatal(err)
	}
	err = triggers.ApplyResourceParameters(map[string]*v1alpha1.Event{dependency.Name: argo}, trigger.Template.K8s.Parameters, object)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	job = new(batchv1.Job)
	if err := yaml.UnmarshalStrict(text, job); err != nil {
		t.Fatal(err)
	}
	return string(after.Data()), job
}

func secretEvent(namespace string) map[string]any {
	body := map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{
			"name": "nautobot-token", "namespace": namespace, "uid": "11111111-2222-3333-4444-555555555555", "resourceVersion": "1000000",
			"annotations":   map[string]any{"kubectl.kubernetes.io/last-applied-configuration": "c2VjcmV0"},
			"managedFields": []any{map[string]any{"manager": "c2VjcmV0"}},
		},
		"data": map[string]any{"password": "c2VjcmV0", "token": "c2VjcmV0"},
	}
	return map[string]any{"type": "UPDATE", "body": body, "oldBody": body, "group": "", "version": "v1", "resource": "secrets"}
}

func TestSecretMakesItsJob(t *testing.T) {
	r := mustRender(t, valuesFiles(t)["full"], chartutil.ReleaseOptions{})
	for _, namespace := range []string{"openstack", "123"} {
		transformed, job := fire(t, r, namespace, secretEvent(namespace))
		text, _ := json.Marshal(job)
		if strings.Contains(transformed, "c2VjcmV0") || strings.Contains(string(text), "c2VjcmV0") {
			t.Errorf("data of the Secret gets through:\n%s\n%s", transformed, text)
		}
		want := []string{"provision", "nautobot-token", "--namespace", namespace}
		if got := job.Spec.Template.Spec.Containers[0].Args; !cmp.Equal(want, got) {
			t.Errorf("arguments %q, want %q", got, want)
		}
		job.Spec.Template.Spec.Containers[0].Args = r.job.Spec.Template.Spec.Containers[0].Args
		if diff := cmp.Diff(r.job, job); diff != "" {
			t.Errorf("the event changed more of the Job: (-want +got)\n%s", diff)
		}
	}
}

func TestExternalSecretMakesItsJob(t *testing.T) {
	r := mustRender(t, valuesFiles(t)["externalsecret"], chartutil.ReleaseOptions{})
	type m = map[string]any
	externalSecret := func(spec m, ready, refreshed string) m {
		status := m{"conditions": []any{m{"type": "Ready", "status": ready}}}
		if refreshed != "" {
			status["refreshTime"] = refreshed
			status["binding"] = m{"name": "bound"}
		}
		return m{"metadata": m{"name": "es", "namespace": "openstack", "uid": "u", "resourceVersion": "7"}, "spec": spec, "status": status}
	}
	target := m{"target": m{"name": "target"}}
	fresh := m{"metadata": m{"name": "es", "namespace": "openstack", "uid": "u", "resourceVersion": "6"}, "spec": target}
	for name, c := range map[string]struct {
		event m
		want  string // the Secret's name; empty: no Job
	}{
		"new, not synced yet":        {m{"type": "ADD", "body": fresh, "oldBody": nil}, ""},
		"synced for the first time":  {m{"type": "UPDATE", "body": externalSecret(target, "True", "10:00"), "oldBody": fresh}, "bound"},
		"known from before a start":  {m{"type": "ADD", "body": externalSecret(target, "True", "10:00"), "oldBody": nil}, "bound"},
		"refreshed":                  {m{"type": "UPDATE", "body": externalSecret(target, "True", "11:00"), "oldBody": externalSecret(target, "True", "10:00")}, "bound"},
		"only its metadata changed":  {m{"type": "UPDATE", "body": externalSecret(target, "True", "10:00"), "oldBody": externalSecret(target, "True", "10:00")}, ""},
		"backend is down":            {m{"type": "UPDATE", "body": externalSecret(target, "False", "10:00"), "oldBody": externalSecret(target, "True", "10:00")}, ""},
		"no binding, named target":   {m{"type": "ADD", "body": externalSecret(target, "True", ""), "oldBody": nil}, "target"},
		"no binding, unnamed target": {m{"type": "ADD", "body": externalSecret(m{}, "True", ""), "oldBody": nil}, "es"},
	} {
		_, job := fire(t, r, "openstack", c.event)
		var got string
		if job != nil {
			got = job.Spec.Template.Spec.Containers[0].Args[1]
		}
		if got != c.want {
			t.Errorf("%s: Job for %q, want %q", name, got, c.want)
		}
	}
}

// JetStream refuses more copies than servers. And Argo Events refuses every
// later change of this text, so that an upgrade of the chart would fail if
// another version wrote another one: these are for good.
func TestStreamConfig(t *testing.T) {
	for replicas, copies := range map[int]int{1: 1, 3: 3, 5: 3} {
		r := mustRender(t, with(valuesFiles(t)["minimal"], "eventBus.replicas", replicas), chartutil.ReleaseOptions{})
		want := fmt.Sprintf("replicas: %d\nretention: 1\nmaxAge: 24h\nduplicates: 5m\n", copies)
		if diff := cmp.Diff(want, *r.eventBus.Spec.JetStream.StreamConfig); diff != "" {
			t.Errorf("%d: (-want +got)\n%s", replicas, diff)
		}
		var stream map[string]any
		if err := yaml.UnmarshalStrict([]byte(*r.eventBus.Spec.JetStream.StreamConfig), &stream); err != nil {
			t.Error(err)
		}
	}
}

// Argo Events drops the events that wait for a dependency or a trigger that is
// not as it was. Those of a namespace depend on nothing but itself.
func TestAnotherNamespaceLeavesTheOthersAlone(t *testing.T) {
	minimal := valuesFiles(t)["minimal"]
	rule := func(namespace string) any { return map[string]any{"namespace": namespace, "usernames": []any{"*"}} }
	before := mustRender(t, with(minimal, "rules", []any{rule("openstack")}), chartutil.ReleaseOptions{})
	after := mustRender(t, with(minimal, "rules", []any{rule("billing"), rule("openstack"), rule("zoo")}), chartutil.ReleaseOptions{})
	dependency := func(r rendered) v1alpha1.EventDependency {
		i := slices.IndexFunc(r.sensor.Spec.Dependencies, func(d v1alpha1.EventDependency) bool { return d.EventName == "openstack" })
		return r.sensor.Spec.Dependencies[i]
	}
	if diff := cmp.Diff(dependency(before), dependency(after)); diff != "" {
		t.Errorf("the dependency: (-before +after)\n%s", diff)
	}
	if diff := cmp.Diff(triggersOf(t, before, "ns-openstack"), triggersOf(t, after, "ns-openstack")); diff != "" {
		t.Errorf("the trigger: (-before +after)\n%s", diff)
	}
}

// As above, for another version of the chart: these are as they were when the
// chart was first released.
func TestWhatWaitingEventsDependOn(t *testing.T) {
	for name, want := range map[string][]string{
		"minimal": {"nautobot-token", "openstack", "{name: .body.metadata.name, namespace: .body.metadata.namespace}", "provision-openstack", "ns-openstack"},
		"externalsecret": {
			"nautobot-token", "argo-events",
			"{name: (.body.status.binding.name // .body.spec.target.name // .body.metadata.name), namespace: .body.metadata.namespace" +
				`, synced: (if any(.body.status.conditions[]?; .type == "Ready" and .status == "True")` +
				` and (.type == "ADD" or .body.status.refreshTime != .oldBody.status.refreshTime) then "yes" else "no" end)}`,
			"provision-argo-events", "ns-argo-events",
		},
	} {
		r := mustRender(t, valuesFiles(t)[name], chartutil.ReleaseOptions{})
		dependency, trigger := r.sensor.Spec.Dependencies[0], r.sensor.Spec.Triggers[0].Template
		got := []string{dependency.EventSourceName, dependency.EventName, dependency.Transform.JQ, trigger.Name, trigger.Conditions}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// Linux takes no more than this for one variable of a process, its name and
// the byte at its end included.
const longestVariable = 128 << 10

// The controller hands an EventSource or a Sensor to its Pod as one variable.
// What does not fit is refused, and what is not refused fits.
func TestMoreNamespacesThanFit(t *testing.T) {
	for name, values := range map[string]map[string]any{
		"minimal": valuesFiles(t)["minimal"], "full": valuesFiles(t)["full"], "externalsecret": valuesFiles(t)["externalsecret"],
	} {
		fits := func(n int) (bool, map[string]any) {
			var rules []any
			for i := range n {
				rules = append(rules, map[string]any{"namespace": fmt.Sprintf("a-namespace-with-a-name-of-many-characters-%d", i), "usernames": []any{"*"}, "revoke": true})
			}
			values := with(values, "rules", rules)
			_, err := render(t, values, chartutil.ReleaseOptions{})
			if err != nil && !strings.Contains(err.Error(), "more namespaces than one Sensor can hold") {
				t.Fatal(err)
			}
			return err == nil, values
		}
		most := sort.Search(400, func(n int) bool { ok, _ := fits(n + 1); return !ok })
		if most < 40 || most == 400 {
			t.Errorf("%s: %d namespaces fit", name, most)
		}
		_, values := fits(most)
		r := mustRender(t, values, chartutil.ReleaseOptions{})
		source := &v1alpha1.EventSource{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: r.eventSource.Name}, Spec: r.eventSource.Spec}
		of := &v1alpha1.Sensor{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: r.sensor.Name}, Spec: r.sensor.Spec}
		for variable, value := range map[string]any{v1alpha1.EnvVarEventSourceObject: source, v1alpha1.EnvVarSensorObject: of} {
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			if size := len(variable + "=" + base64.StdEncoding.EncodeToString(text) + "\x00"); size > longestVariable {
				t.Errorf("%s: with %d namespaces %s has %d bytes", name, most, variable, size)
			}
		}
	}
}
