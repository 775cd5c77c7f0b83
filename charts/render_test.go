// Package charts tests the Helm chart nautobot-token: what it renders is read
// by the types and the code that will read it in a cluster.
package charts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the table of values into the chart's README")

const (
	chartDir  = "nautobot-token"
	release   = "nautobot-token"
	namespace = "nautobot"
)

var kubeVersion = chartutil.KubeVersion{Version: "v1.37.2", Major: "1", Minor: "37"}

// object is what every kind of the chart is.
type object interface {
	metav1.Object
	runtime.Object
}

// kinds are those that the chart may render.
var kinds = map[string]func() object{
	"v1/ConfigMap":      func() object { return new(corev1.ConfigMap) },
	"v1/Pod":            func() object { return new(corev1.Pod) },
	"v1/ServiceAccount": func() object { return new(corev1.ServiceAccount) },
	"v1/ResourceQuota":  func() object { return new(corev1.ResourceQuota) },

	"batch/v1/CronJob": func() object { return new(batchv1.CronJob) },

	"rbac.authorization.k8s.io/v1/Role":               func() object { return new(rbacv1.Role) },
	"rbac.authorization.k8s.io/v1/RoleBinding":        func() object { return new(rbacv1.RoleBinding) },
	"rbac.authorization.k8s.io/v1/ClusterRole":        func() object { return new(rbacv1.ClusterRole) },
	"rbac.authorization.k8s.io/v1/ClusterRoleBinding": func() object { return new(rbacv1.ClusterRoleBinding) },
	"networking.k8s.io/v1/NetworkPolicy":              func() object { return new(networkingv1.NetworkPolicy) },
	"policy/v1/PodDisruptionBudget":                   func() object { return new(policyv1.PodDisruptionBudget) },
	"monitoring.coreos.com/v1/PodMonitor":             func() object { return new(monitoringv1.PodMonitor) },
	"monitoring.coreos.com/v1/PrometheusRule":         func() object { return new(monitoringv1.PrometheusRule) },
	"argoproj.io/v1alpha1/EventBus":                   func() object { return new(v1alpha1.EventBus) },
	"argoproj.io/v1alpha1/EventSource":                func() object { return new(v1alpha1.EventSource) },
	"argoproj.io/v1alpha1/Sensor":                     func() object { return new(v1alpha1.Sensor) },
}

var load = sync.OnceValues(func() (*chart.Chart, error) { return loader.Load(chartDir) })

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	loaded, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// valuesFiles are those in ci/, and those in the examples' folders, by their
// names.
func valuesFiles(t *testing.T) map[string]map[string]any {
	t.Helper()
	files := map[string]map[string]any{}
	read := func(pattern string, name func(path string) string) {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no values in %s: %v", pattern, err)
		}
		for _, path := range paths {
			values, err := chartutil.ReadValuesFile(path)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if files[name(path)] != nil {
				t.Fatalf("%s: there are other values of the name %s", path, name(path))
			}
			files[name(path)] = values
		}
	}
	read(filepath.Join(chartDir, "ci", "*-values.yaml"), func(path string) string {
		return strings.TrimSuffix(filepath.Base(path), "-values.yaml")
	})
	read("../examples/*/values.yaml", func(path string) string { return filepath.Base(filepath.Dir(path)) })
	return files
}

// render is what `helm template` does: the text of each template.
func render(t *testing.T, values map[string]any, options chartutil.ReleaseOptions) (map[string]string, error) {
	t.Helper()
	return renderChart(loadChart(t), values, options)
}

func renderChart(of *chart.Chart, values map[string]any, options chartutil.ReleaseOptions) (map[string]string, error) {
	return renderOn(kubeVersion, of, values, options)
}

func renderOn(cluster chartutil.KubeVersion, of *chart.Chart, values map[string]any, options chartutil.ReleaseOptions) (map[string]string, error) {
	options.Revision, options.IsInstall = 1, true
	if options.Name == "" {
		options.Name = release
	}
	if options.Namespace == "" {
		options.Namespace = namespace
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = cluster
	all, err := chartutil.ToRenderValues(of, values, options, capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(of, all)
}

// rendered is the chart's objects, each in its own type.
type rendered struct {
	objects     []object
	notes       string
	policy      *corev1.ConfigMap
	configMaps  map[string]*corev1.ConfigMap
	test        *corev1.Pod        // of `helm test`; nil: there is no Secret to test with
	eventBus    *v1alpha1.EventBus // nil: there is one already
	eventSource *v1alpha1.EventSource
	sensor      *v1alpha1.Sensor
	job         *batchv1.Job
	revokeJob   *batchv1.Job      // nil: nothing is done about a Secret that is deleted
	cronJobs    []batchv1.CronJob // the full one first
}

func mustRender(t *testing.T, values map[string]any, options chartutil.ReleaseOptions) rendered {
	t.Helper()
	texts, err := render(t, values, options)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, texts)
}

// read reads what was rendered.
func read(t *testing.T, texts map[string]string) rendered {
	t.Helper()
	r := rendered{configMaps: map[string]*corev1.ConfigMap{}}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			r.notes = texts[name]
			continue
		}
		objects, err := decode(texts[name])
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, texts[name])
		}
		r.objects = append(r.objects, objects...)
	}
	for _, o := range r.objects {
		switch o := o.(type) {
		case *corev1.ConfigMap:
			r.configMaps[o.Name] = o
			if o.Data["policy.yaml"] != "" {
				r.policy = o
			}
			if text := o.Data["job.yaml"]; text != "" {
				r.job = new(batchv1.Job)
				if err := readStrictly([]byte(text), r.job); err != nil {
					t.Fatalf("the Sensor's Job: %v", err)
				}
			}
			if text := o.Data["revoke.yaml"]; text != "" {
				r.revokeJob = new(batchv1.Job)
				if err := readStrictly([]byte(text), r.revokeJob); err != nil {
					t.Fatalf("the Sensor's Job: %v", err)
				}
			}
		case *batchv1.CronJob:
			r.cronJobs = append(r.cronJobs, *o)
		case *corev1.Pod:
			r.test = o
		case *v1alpha1.EventBus:
			r.eventBus = o
		case *v1alpha1.EventSource:
			r.eventSource = o
		case *v1alpha1.Sensor:
			r.sensor = o
		}
	}
	return r
}

// jobText is what a trigger reads its Job from.
func (r rendered) jobText(t *testing.T, trigger v1alpha1.Trigger) []byte {
	t.Helper()
	source := trigger.Template.K8s.Source.Configmap
	if source == nil || r.configMaps[source.Name] == nil || r.configMaps[source.Name].Data[source.Key] == "" {
		t.Fatalf("trigger %s has no Job: %+v", trigger.Template.Name, source)
	}
	return []byte(r.configMaps[source.Name].Data[source.Key])
}

// decode takes every document of a template, with no key that its type does
// not know and none twice.
func decode(text string) ([]object, error) {
	var objects []object
	documents := utilyaml.NewYAMLReader(bufioReader(text))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return nil, err
		}
		if kind == (metav1.TypeMeta{}) && len(bytes.TrimSpace(document)) > 0 && !onlyComments(document) {
			return nil, fmt.Errorf("no kind in %q", document)
		}
		if kind == (metav1.TypeMeta{}) {
			continue
		}
		newObject := kinds[kind.APIVersion+"/"+kind.Kind]
		if newObject == nil {
			return nil, fmt.Errorf("%s %s is no kind of this chart", kind.APIVersion, kind.Kind)
		}
		o := newObject()
		if err := readStrictly(document, o); err != nil {
			return nil, fmt.Errorf("%s: %w", kind.Kind, err)
		}
		objects = append(objects, o)
	}
}

// readStrictly takes what YAML says, as a cluster does. The Kubernetes YAML
// library knows the type that it decodes into, and would take a number for a
// text; a name that has to be quoted would not show.
func readStrictly(document []byte, into any) error {
	asJSON, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

func onlyComments(document []byte) bool {
	for line := range bytes.Lines(document) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

func bufioReader(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }

// with is a copy of values with one of them set, by its path: "a.b".
func with(values map[string]any, path string, value any) map[string]any {
	values = maps.Clone(values)
	if values == nil {
		values = map[string]any{}
	}
	first, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		values[first] = value
		return values
	}
	inner, _ := values[first].(map[string]any)
	values[first] = with(inner, rest, value)
	return values
}

// without is a copy of values that lacks one.
func without(values map[string]any, path string) map[string]any {
	values = maps.Clone(values)
	first, rest, deeper := strings.Cut(path, ".")
	if inner, ok := values[first].(map[string]any); deeper && ok {
		values[first] = without(inner, rest)
	} else {
		delete(values, first)
	}
	return values
}

// at is the value at a path.
func at(values map[string]any, path string) (any, bool) {
	first, rest, deeper := strings.Cut(path, ".")
	value, ok := values[first]
	if !deeper {
		return value, ok
	}
	inner, _ := value.(map[string]any)
	return at(inner, rest)
}
