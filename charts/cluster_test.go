package charts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chartutil"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// What clusters have that differs: quotas, proxies, OpenShift's ranges of user
// IDs, an older release.

// A quota that demands them lets no Pod in without requests and a memory limit.
func TestEveryContainerSaysWhatItNeeds(t *testing.T) {
	r := mustRender(t, valuesFiles(t)["openshift"], chartutil.ReleaseOptions{}) // it sets none of them
	bus := r.eventBus.Spec.JetStream
	resources := map[string]corev1.ResourceRequirements{
		"job":      r.job.Spec.Template.Spec.Containers[0].Resources,
		"test":     r.test.Spec.Containers[0].Resources,
		"watcher":  r.eventSource.Spec.Template.Container.Resources,
		"sensor":   r.sensor.Spec.Template.Container.Resources,
		"NATS":     bus.ContainerTemplate.Resources,
		"reloader": bus.ReloaderContainerTemplate.Resources,
		"metrics":  bus.MetricsContainerTemplate.Resources,
	}
	for name, needs := range resources {
		if needs.Requests.Cpu().IsZero() || needs.Requests.Memory().IsZero() || needs.Limits.Memory().IsZero() {
			t.Errorf("%s: %v", name, needs)
		}
	}
}

// Kubernetes waits 10 s before the second try, then twice as long each time, up
// to 10 min. The tries fill the time that a Job has.
func TestJobIsTriedForAsLongAsItMay(t *testing.T) {
	spec := mustRender(t, valuesFiles(t)["minimal"], chartutil.ReleaseOptions{}).job.Spec
	var waits time.Duration
	wait := 10 * time.Second
	for range *spec.BackoffLimit {
		waits += wait
		wait = min(2*wait, 10*time.Minute)
	}
	if deadline := time.Duration(*spec.ActiveDeadlineSeconds) * time.Second; waits < deadline || deadline != time.Hour {
		t.Errorf("the last try begins after %s, and the deadline is %s", waits, deadline)
	}
}

// A Pod that is stuck counts for the quota until its own deadline: that of a run
// and some minutes, not that of the Job.
func TestPodDeadline(t *testing.T) {
	for timeout, want := range map[string]int64{"2m": 420, "90s": 390, "1m30s": 390, "1500ms": 302, "1h": 3900, "0.5h": 2100} {
		job := mustRender(t, with(valuesFiles(t)["minimal"], "timeout", timeout), chartutil.ReleaseOptions{}).job
		if got := *job.Spec.Template.Spec.ActiveDeadlineSeconds; got != want {
			t.Errorf("%s: %d s, want %d", timeout, got, want)
		}
	}
	job := mustRender(t, with(valuesFiles(t)["minimal"], "job.podDeadlineSeconds", 121), chartutil.ReleaseOptions{}).job
	if got := *job.Spec.Template.Spec.ActiveDeadlineSeconds; got != 121 {
		t.Errorf("%d s, want those of the values", got)
	}
}

// With a proxy for Nautobot the API server is not asked through it.
func TestProxy(t *testing.T) {
	proxy := func(names ...string) string {
		var variables []any
		for _, name := range names {
			variables = append(variables, map[string]any{"name": name, "value": "given"})
		}
		var noProxy []string
		for _, v := range mustRender(t, with(valuesFiles(t)["minimal"], "job.extraEnv", variables), chartutil.ReleaseOptions{}).job.Spec.Template.Spec.Containers[0].Env {
			if strings.EqualFold(v.Name, "NO_PROXY") {
				noProxy = append(noProxy, v.Value)
			}
		}
		return strings.Join(noProxy, " and ")
	}
	const own = "$(KUBERNETES_SERVICE_HOST),.svc,.cluster.local"
	for want, names := range map[string][][]string{
		"":      {{}, {"OTHER"}},
		own:     {{"HTTPS_PROXY"}, {"https_proxy"}, {"HTTP_PROXY", "OTHER"}},
		"given": {{"HTTPS_PROXY", "NO_PROXY"}, {"https_proxy", "no_proxy"}},
	} {
		for _, given := range names {
			if got := proxy(given...); got != want {
				t.Errorf("%v: NO_PROXY=%s, want %s", given, got, want)
			}
		}
	}
}

// OpenShift gives a Pod a user of its namespace's range, if it does not ask for
// another, and its DNS servers' Pods listen on 5353.
func TestOpenShift(t *testing.T) {
	r := mustRender(t, valuesFiles(t)["openshift"], chartutil.ReleaseOptions{})
	for name, pod := range pods(r) {
		if is := pod.Spec.SecurityContext; is.RunAsUser != nil || is.RunAsGroup != nil || is.FSGroup != nil || is.RunAsNonRoot == nil {
			t.Errorf("%s: %+v", name, is)
		}
	}
	for _, o := range r.objects {
		if policy, ok := o.(*networkingv1.NetworkPolicy); ok {
			var ports []string
			for _, port := range policy.Spec.Egress[0].Ports {
				ports = append(ports, fmt.Sprintf("%s %d", *port.Protocol, port.Port.IntValue()))
			}
			if want := []string{"UDP 53", "TCP 53", "UDP 5353", "TCP 5353"}; !slices.Equal(ports, want) {
				t.Errorf("%s: DNS ports %v", policy.Name, ports)
			}
		}
	}
}

// NATS needs no rights, so its Pods get no token.
func TestBusHasNoToken(t *testing.T) {
	r := mustRender(t, valuesFiles(t)["minimal"], chartutil.ReleaseOptions{})
	for _, o := range r.objects {
		if account, ok := o.(*corev1.ServiceAccount); ok && account.Name == r.eventBus.Spec.JetStream.ServiceAccountName {
			if mount := account.AutomountServiceAccountToken; mount == nil || *mount {
				t.Error("the bus gets a token")
			}
			return
		}
	}
	t.Errorf("there is no ServiceAccount %s", r.eventBus.Spec.JetStream.ServiceAccountName)
}

// `helm test` does what a Job does, for one Secret and without writing.
func TestHelmTest(t *testing.T) {
	for name, want := range map[string]string{
		"full": "openstack/second", "global": "openstack/nautobot-token", "openshift": "openstack/nautobot-token", "minimal": "",
	} {
		r := mustRender(t, valuesFiles(t)[name], chartutil.ReleaseOptions{})
		if r.test == nil {
			if want != "" {
				t.Errorf("%s: there is no test", name)
			}
			continue
		}
		job := r.job.Spec.Template.Spec.DeepCopy()
		secretNamespace, secret, _ := strings.Cut(want, "/")
		job.Containers[0].Args = []string{"provision", secret, "--namespace", secretNamespace, "--dry-run"}
		job.ActiveDeadlineSeconds = nil // the quota of the Jobs is not its own
		if diff := cmp.Diff(*job, r.test.Spec); diff != "" {
			t.Errorf("%s: (-job +test)\n%s", name, diff)
		}
		if r.test.Annotations["helm.sh/hook"] != "test" {
			t.Errorf("%s: it would run when installing: %v", name, r.test.Annotations)
		}
	}
}

// `helm upgrade --reuse-values` renders with the defaults of the version that
// was installed: what came later is not there. Add what you add here.
func TestReuseValues(t *testing.T) {
	older := *loadChart(t)
	older.Values = maps.Clone(older.Values)
	for _, path := range []string{
		"monitoring", "test", "sync", "revoke", "networkPolicy.dns", "serviceAccounts.eventBus", "serviceAccounts.sync", "watch.externalSecretVersion", "job.podDeadlineSeconds", "eventBus.sidecarResources",
	} {
		if _, ok := at(older.Values, path); !ok {
			t.Errorf("there is no value %s", path)
		}
		older.Values = without(older.Values, path)
	}
	for _, name := range []string{"minimal", "externalsecret", "existing-bus"} {
		if _, err := renderChart(&older, valuesFiles(t)[name], chartutil.ReleaseOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
