package charts

import (
	"encoding/json"
	"slices"
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
				if source.Filter.AfterStart || source.Namespace != event {
					t.Errorf("%s: %+v", event, source)
				}
			}
			if r.eventSource.Spec.EventBusName != bus.Name || r.sensor.Spec.EventBusName != bus.Name {
				t.Errorf("EventBus %s, but EventSource on %s and Sensor on %s", bus.Name, r.eventSource.Spec.EventBusName, r.sensor.Spec.EventBusName)
			}
			trigger := r.sensor.Spec.Triggers[0]
			if !trigger.AtLeastOnce || trigger.RetryStrategy == nil || trigger.RateLimit == nil {
				t.Error("a failed trigger would not be tried again")
			}
			checkConditions(t, r)
		})
	}
}

// Each dependency alone starts a Job, and there is one for each namespace.
func checkConditions(t *testing.T, r rendered) {
	t.Helper()
	conditions := strings.ReplaceAll(r.sensor.Spec.Triggers[0].Template.Conditions, "-", `\-`) // as Argo Events does
	expression, err := govaluate.NewEvaluableExpression(conditions)
	if err != nil {
		t.Fatalf("conditions %s: %v", conditions, err)
	}
	var events []string
	for _, fired := range r.sensor.Spec.Dependencies {
		events = append(events, fired.EventName)
		if fired.EventSourceName != r.eventSource.Name {
			t.Errorf("%s waits for EventSource %s", fired.Name, fired.EventSourceName)
		}
		is := map[string]any{}
		for _, dependency := range r.sensor.Spec.Dependencies {
			is[dependency.Name] = dependency.Name == fired.Name
		}
		if result, err := expression.Evaluate(is); err != nil || result != true {
			t.Errorf("%s alone: %v, %v", fired.Name, result, err)
		}
	}
	for event := range r.eventSource.Spec.Resource {
		if !slices.Contains(events, event) {
			t.Errorf("no dependency for %s", event)
		}
	}
	if len(events) != len(r.eventSource.Spec.Resource) {
		t.Errorf("dependencies %v for %d events", events, len(r.eventSource.Spec.Resource))
	}
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
	trigger := r.sensor.Spec.Triggers[0].Template.K8s
	object := new(unstructured.Unstructured)
	if err := yaml.Unmarshal(trigger.Source.Resource.Value, object); err != nil {
		t.Fatal(err)
	}
	err = triggers.ApplyResourceParameters(map[string]*v1alpha1.Event{dependency.Name: argo}, trigger.Parameters, object)
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
		if got := job.Annotations["nautobot-token/resource-version"]; got != "1000000" {
			t.Errorf("resource version %q", got)
		}
		if got := job.Annotations["nautobot-token/uid"]; got != "11111111-2222-3333-4444-555555555555" {
			t.Errorf("uid %q", got)
		}
		job.Annotations["nautobot-token/resource-version"], job.Annotations["nautobot-token/uid"] = "", ""
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

// JetStream refuses more copies than servers, and the controller reads the
// text as YAML.
func TestStreamConfig(t *testing.T) {
	for replicas, want := range map[int]map[string]any{
		1: {"replicas": 1.0, "retention": 1.0, "maxAge": "24h", "duplicates": "5m"},
		3: {"replicas": 3.0, "retention": 1.0, "maxAge": "24h", "duplicates": "5m"},
		5: {"replicas": 3.0, "retention": 1.0, "maxAge": "24h", "duplicates": "5m"},
	} {
		r := mustRender(t, with(valuesFiles(t)["minimal"], "eventBus.replicas", replicas), chartutil.ReleaseOptions{})
		var got map[string]any
		if err := yaml.UnmarshalStrict([]byte(*r.eventBus.Spec.JetStream.StreamConfig), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d: (-want +got)\n%s", replicas, diff)
		}
	}
}
