package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// The health checks in the examples say of what Argo Events' own code writes
// into an object whether it works.
func TestHealthChecks(t *testing.T) {
	text, err := os.ReadFile("../examples/argocd/argocd-cm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var configMap corev1.ConfigMap
	if err := readStrictly(text, &configMap); err != nil {
		t.Fatal(err)
	}
	eventSource := func(mark func(*v1alpha1.EventSourceStatus)) any {
		o := new(v1alpha1.EventSource)
		o.Status.InitConditions()
		mark(&o.Status)
		return o
	}
	sensor := func(mark func(*v1alpha1.SensorStatus)) any {
		o := new(v1alpha1.Sensor)
		o.Status.InitConditions()
		mark(&o.Status)
		return o
	}
	for _, c := range []struct {
		kind            string
		object          any
		status, message string
	}{
		{"EventSource", new(v1alpha1.EventSource), "Progressing", "Waiting for the controller of Argo Events"},
		{"EventSource", eventSource(func(*v1alpha1.EventSourceStatus) {}), "Progressing", "Waiting for the controller of Argo Events"},
		{"EventSource", eventSource(func(s *v1alpha1.EventSourceStatus) { s.MarkDeployed() }), "Healthy", ""},
		{"EventSource", eventSource(func(s *v1alpha1.EventSourceStatus) { s.MarkDeployFailed("EventBusNotReady", "EventBus not ready.") }), "Degraded", "EventBus not ready."},
		{"Sensor", new(v1alpha1.Sensor), "Progressing", "Waiting for the controller of Argo Events"},
		{"Sensor", sensor(func(s *v1alpha1.SensorStatus) { s.MarkDeployed() }), "Healthy", ""},
		{"Sensor", sensor(func(s *v1alpha1.SensorStatus) { s.MarkDeployFailed("EventBusNotFound", "EventBus not found.") }), "Degraded", "EventBus not found."},
	} {
		script := configMap.Data["resource.customizations.health.argoproj.io_"+c.kind]
		status, message := health(t, script, c.object)
		if status != c.status || message != c.message {
			t.Errorf("%s: %s, %q; want %s, %q", c.kind, status, message, c.status, c.message)
		}
	}
}

// What the examples for Argo CD say against losing things: a sync is tried until
// it succeeds, a cluster that leaves the set keeps what it has, and no
// credential is deleted without somebody's word.
func TestArgoCDLosesNothing(t *testing.T) {
	type application struct {
		SyncPolicy struct{ Retry struct{ Limit int } }
	}
	var set struct {
		Spec struct {
			SyncPolicy struct{ PreserveResourcesOnDeletion bool }
			Template   struct{ Spec application }
		}
	}
	readLoosely(t, "../examples/argocd/sites.yaml", func(document []byte) error { return yaml.Unmarshal(document, &set) })
	if !set.Spec.SyncPolicy.PreserveResourcesOnDeletion {
		t.Error("sites.yaml deletes what is on a cluster that leaves the set")
	}
	applications := map[string]application{"sites.yaml": set.Spec.Template.Spec}
	for _, name := range []string{"global.yaml", "site.yaml"} {
		var one struct{ Spec application }
		readLoosely(t, "../examples/argocd/"+name, func(document []byte) error { return yaml.Unmarshal(document, &one) })
		applications[name] = one.Spec
	}
	for name, one := range applications {
		if one.SyncPolicy.Retry.Limit != -1 {
			t.Errorf("%s is tried %d times", name, one.SyncPolicy.Retry.Limit)
		}
	}
	secrets, err := filepath.Glob("../examples/external-secrets/*.yaml")
	if err != nil || len(secrets) < 4 {
		t.Fatalf("%v, %v", secrets, err)
	}
	for _, file := range secrets {
		readLoosely(t, file, func(document []byte) error {
			var o metav1.PartialObjectMetadata
			err := yaml.Unmarshal(document, &o)
			if o.Kind == "ExternalSecret" && o.Annotations["argocd.argoproj.io/sync-options"] != "Prune=confirm,Delete=confirm" {
				t.Errorf("%s: %s is deleted without asking", file, o.Name)
			}
			return err
		})
	}
}

// readLoosely hands over each document of a file.
func readLoosely(t *testing.T, file string, take func(document []byte) error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		if err := take([]byte(document)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
}

// health runs a script as Argo CD does.
func health(t *testing.T, script string, object any) (status, message string) {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", toLua(state, content))
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	result, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returns %v", state.Get(-1))
	}
	return result.RawGetString("status").String(), result.RawGetString("message").String()
}

func toLua(state *lua.LState, value any) lua.LValue {
	table := state.NewTable()
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			table.RawSetString(key, toLua(state, inner))
		}
		return table
	case []any:
		for _, inner := range value {
			table.Append(toLua(state, inner))
		}
		return table
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	}
	return lua.LNil
}
