package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring"
	"helm.sh/helm/v3/pkg/chartutil"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// A real API server takes every object, strictly, and the Job and its Pod as
// they come out of an event, where Pod Security restricted is enforced. It
// needs CHARTS_KUBECONFIG: an administrator of an API server for tests, where it
// leaves custom resources, namespaces and ServiceAccounts behind.
func TestAPIServerTakesIt(t *testing.T) {
	config := os.Getenv("CHARTS_KUBECONFIG")
	if config == "" {
		t.Skip("CHARTS_KUBECONFIG is not set")
	}
	rest, err := clientcmd.BuildConfigFromFlags("", config)
	if err != nil {
		t.Fatal(err)
	}
	rest.QPS = -1
	api := server{dynamic.NewForConfigOrDie(rest)}
	api.installCRDs(t)
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			r := mustRender(t, values, chartutil.ReleaseOptions{})
			api.namespace(t, namespace)
			for _, pod := range pods(r) {
				if name := pod.Spec.ServiceAccountName; name != "" { // a Pod needs it
					api.create(t, &corev1.ServiceAccount{
						TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
						ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
					}, false)
				}
			}
			for _, o := range r.objects {
				if o.GetObjectKind().GroupVersionKind().Group == monitoring.GroupName {
					continue // Prometheus Operator is not there
				}
				if pod, ok := o.(*corev1.Pod); ok {
					pod.Spec.PriorityClassName = "" // there is none of that name
				}
				if o.GetNamespace() != "" {
					api.namespace(t, o.GetNamespace())
				}
				api.create(t, o, true)
			}
			for _, cronJob := range r.cronJobs { // a CronJob's Pod is not looked at before it starts
				api.create(t, jobOf(cronJob), true)
				api.create(t, podOf(jobOf(cronJob)), true)
			}
			if r.eventSource.Spec.Resource["openstack"].Resource != "secrets" {
				return // its event is another
			}
			for event := range r.eventSource.Spec.Resource {
				_, job := fire(t, r, event, secretEvent("openstack"))
				api.create(t, job, true)
				api.create(t, podOf(job), true)
			}
		})
	}
}

// jobOf is what `kubectl create job --from` makes, without an owner.
func jobOf(cronJob batchv1.CronJob) *batchv1.Job {
	job := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: *cronJob.Spec.JobTemplate.ObjectMeta.DeepCopy(), Spec: *cronJob.Spec.JobTemplate.Spec.DeepCopy(),
	}
	job.Name, job.Namespace = cronJob.Name+"-12345678", cronJob.Namespace
	return job
}

func podOf(job *batchv1.Job) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: *job.Spec.Template.ObjectMeta.DeepCopy(), Spec: job.Spec.Template.Spec,
	}
	pod.Name, pod.Namespace = "job", job.Namespace
	pod.Spec.PriorityClassName = "" // there is none of that name
	return pod
}

type server struct{ dynamic.Interface }

// create refuses what the server would only warn about, such as unknown keys.
// A dry run stores nothing.
func (s server) create(t *testing.T, o object, dryRun bool) {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		t.Fatal(err)
	}
	delete(content, "status")
	u := &unstructured.Unstructured{Object: content}
	kind := u.GroupVersionKind()
	plural := map[string]string{"NetworkPolicy": "networkpolicies", "EventBus": "eventbus"}[kind.Kind]
	if plural == "" {
		plural = strings.ToLower(kind.Kind) + "s"
	}
	options := metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	resource := s.Resource(kind.GroupVersion().WithResource(plural)).Namespace(u.GetNamespace())
	if _, err := resource.Create(t.Context(), u, options); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Errorf("%s %s: %v", kind.Kind, u.GetName(), err)
	}
}

func (s server) namespace(t *testing.T, name string) {
	t.Helper()
	s.create(t, &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}},
	}, false)
}

func (s server) installCRDs(t *testing.T) {
	t.Helper()
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-events").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(module)), "manifests/base/crds/argoproj.io_*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("Argo Events has no custom resources: %v", err)
	}
	resource := s.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := new(unstructured.Unstructured)
		if err := yaml.Unmarshal(text, crd); err != nil {
			t.Fatal(err)
		}
		if _, err := resource.Create(t.Context(), crd, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		for established := false; !established; time.Sleep(100 * time.Millisecond) {
			now, err := resource.Get(t.Context(), crd.GetName(), metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			conditions, _, _ := unstructured.NestedSlice(now.Object, "status", "conditions")
			for _, condition := range conditions {
				c, _ := condition.(map[string]any)
				established = established || c["type"] == "Established" && c["status"] == "True"
			}
		}
	}
}
