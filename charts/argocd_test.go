package charts

import (
	"os"
	"testing"

	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
