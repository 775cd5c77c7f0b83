//go:build e2e

package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// With the admission policy the Sensor's own token creates the chart's Jobs, and
// no other.
func TestAdmissionPolicy(t *testing.T) {
	r := install(t, site, "site")
	text, err := os.ReadFile(folder + "/admission-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The tests install the chart in another namespace.
	policy := []byte(strings.NewReplacer(
		"serviceaccount:nautobot-token:", "serviceaccount:"+r.job.Namespace+":",
		"metadata.name: nautobot-token", "metadata.name: "+r.job.Namespace).Replace(string(text)))
	if err := r.cluster.Apply(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.cluster.Delete(context.WithoutCancel(t.Context()), policy); err != nil {
			t.Error(err)
		}
	})
	create := asSensor(t, r)

	// The API server learns of a policy a moment after it is made.
	another := change(r.job, func(pod *corev1.PodSpec) { pod.Containers[0].Image = "evil.example/nautobot-token:0.1.0" })
	for deadline := time.Now().Add(10 * time.Minute); !strings.Contains(create(another), "runs nautobot-token 0.1.0 and nothing else"); {
		if time.Now().After(deadline) {
			t.Fatalf("another image is not refused: %s", create(another))
		}
	}

	with := func(change func(*corev1.Container)) func(*corev1.PodSpec) {
		return func(pod *corev1.PodSpec) { change(&pod.Containers[0]) }
	}
	env := func(name, value string) func(*corev1.PodSpec) {
		return with(func(c *corev1.Container) { c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value}) })
	}
	args := func(args ...string) func(*corev1.PodSpec) {
		return with(func(c *corev1.Container) { c.Args = args })
	}
	for name, test := range map[string]struct {
		change func(*corev1.PodSpec)
		want   string // a part of the answer; empty: it is created
	}{
		"the chart's Job":                   {args("provision", "nautobot-token", "--namespace", "openstack"), ""},
		"a Job that revokes":                {args("revoke", "nautobot-token", "--namespace", "openstack", "--settle=2m", "--limit=5"), ""},
		"a Job that revokes without limit":  {args("revoke", "nautobot-token", "--namespace", "openstack", "--settle=2m", "--limit=5000"), "the arguments of the chart's"},
		"another account":                   {func(pod *corev1.PodSpec) { pod.ServiceAccountName = "default" }, "runs as nautobot-token-job"},
		"another command":                   {with(func(c *corev1.Container) { c.Command = []string{"/bin/sh"} }), "and nothing else"},
		"another program of the image":      {args("setup", "nautobot-token", "--namespace", "openstack"), "the arguments of the chart's"},
		"another Nautobot, as an argument":  {args("provision", "--nautobot-url=https://evil.example", "--namespace", "openstack"), "the arguments of the chart's"},
		"another Nautobot, after all":       {args("provision", "nautobot-token", "--namespace", "openstack", "--nautobot-url=https://evil.example"), "the arguments of the chart's"},
		"another Nautobot, the last counts": {env("NAUTOBOT_URL", "https://evil.example"), "the settings of the chart's"},
		"a proxy":                           {env("HTTPS_PROXY", "http://evil.example"), "the settings of the chart's"},
		"a host that is another":            {func(pod *corev1.PodSpec) { pod.HostAliases = []corev1.HostAlias{{IP: "192.0.2.1"}} }, "and nothing else"},
		"a Secret in a variable": {with(func(c *corev1.Container) {
			c.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "nautobot-superuser"}}}}
		}), "the settings of the chart's"},
		"a Secret as a volume": {volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "nautobot-superuser"}}), "mounts the policy and nothing else"},
		"another policy":       {volume(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "other"}}}), "mounts the policy and nothing else"},
		"one more container": {func(pod *corev1.PodSpec) {
			pod.Containers = append(pod.Containers, pod.Containers[0])
			pod.Containers[1].Name = "two"
		}, "and nothing else"},
		"a container that runs before": {func(pod *corev1.PodSpec) {
			pod.InitContainers = slices.Clone(pod.Containers)
			pod.InitContainers[0].Name = "first"
		}, "and nothing else"},
	} {
		answer := create(change(r.job, args("provision", "nautobot-token", "--namespace", "openstack"), test.change))
		if test.want == "" && answer != "" || !strings.Contains(answer, test.want) {
			t.Errorf("%s: %s, want %q", name, answer, test.want)
		}
	}
}

func volume(source corev1.VolumeSource) func(*corev1.PodSpec) {
	return func(pod *corev1.PodSpec) {
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "more", VolumeSource: source})
	}
}

// change returns a Job with another Pod.
func change(job batchv1.Job, changes ...func(*corev1.PodSpec)) batchv1.Job {
	job = *job.DeepCopy()
	for _, change := range changes {
		change(&job.Spec.Template.Spec)
	}
	return job
}

// asSensor returns what creates a Job with the Sensor's token, without storing
// it. The result is why the API server refuses it.
func asSensor(t *testing.T, r *release) func(batchv1.Job) string {
	t.Helper()
	kubeconfig, err := r.cluster.ServiceAccountKubeconfig(t.Context(), r.job.Namespace, "nautobot-token-sensor")
	if err != nil {
		t.Fatal(err)
	}
	client, host := clientFor(t, kubeconfig)
	return func(job batchv1.Job) string {
		body, err := json.Marshal(job)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Post(fmt.Sprintf("%s/apis/batch/v1/namespaces/%s/jobs?dryRun=All", host, job.Namespace), "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode == http.StatusCreated {
			return ""
		}
		return fmt.Sprintf("%s: %s", response.Status, answer)
	}
}
