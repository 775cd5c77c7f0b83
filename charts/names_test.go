package charts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chartutil"
	rbacv1 "k8s.io/api/rbac/v1"
)

// YAML takes some names for numbers, for true or for nothing. Everything is
// read strictly by mustRender.
func TestNamesAreTexts(t *testing.T) {
	odd := []string{"123", "1e3", "null", "on", "true", "y", "0x1f", "2024"}
	var rules []any
	for _, name := range odd {
		rules = append(rules, map[string]any{"namespace": name, "secrets": []any{name}, "usernames": []any{name}, "groups": []any{name}, "adoptFrom": []any{name + "/" + name}, "revoke": true})
	}
	for _, name := range odd {
		values := with(valuesFiles(t)["full"], "rules", rules)
		for _, path := range []string{
			"fullnameOverride", "cluster", "managedGroup", "superuserSecret.namespace", "superuserSecret.name", "superuserSecret.key", "nautobot.caBundle.configMap",
			"job.priorityClassName", "watcher.priorityClassName", "eventBus.priorityClassName", "eventBus.name", "eventBus.persistence.storageClassName", "image.tag",
		} {
			values = with(values, path, name)
		}
		for i, part := range []string{"watcher", "sensor", "job", "eventBus"} {
			values = with(values, "serviceAccounts."+part+".name", odd[(slices.Index(odd, name)+i)%len(odd)])
		}
		for _, path := range []string{"commonLabels", "job.annotations", "job.podLabels", "watcher.podAnnotations", "monitoring.labels"} {
			values = with(values, path, map[string]any{"example.com/x": name})
		}
		r := mustRender(t, values, chartutil.ReleaseOptions{Name: name, Namespace: name})
		checkObjects(t, r, name)
		watched := map[string]bool{}
		for _, o := range r.objects {
			if role, ok := o.(*rbacv1.Role); ok && strings.HasSuffix(role.Name, "watcher") {
				watched[role.Namespace] = true
			}
		}
		if got, want := slices.Sorted(maps.Keys(watched)), slices.Sorted(slices.Values(odd)); !slices.Equal(got, want) {
			t.Errorf("Roles in %q, want %q", got, want)
		}
	}
}

// Two releases have no object in common, whether they are in one namespace
// or have the same name.
func TestReleasesSideBySide(t *testing.T) {
	values := with(valuesFiles(t)["minimal"], "monitoring.enabled", true)
	long := "understack-production-region-iad3-global-"
	for _, c := range [][2]chartutil.ReleaseOptions{
		{{Name: "nautobot-token", Namespace: "nautobot-prod"}, {Name: "nautobot-token", Namespace: "nautobot-dev"}},
		{{Name: "nautobot-token", Namespace: "a-b"}, {Name: "nautobot-token-a", Namespace: "b"}},
		{{Name: "a", Namespace: "nautobot"}, {Name: "b", Namespace: "nautobot"}},
		{{Name: long + "a", Namespace: "nautobot"}, {Name: long + "b", Namespace: "nautobot"}},
	} {
		seen := map[string]bool{}
		for _, options := range c {
			for _, o := range mustRender(t, values, options).objects {
				id := o.GetObjectKind().GroupVersionKind().Kind + " " + o.GetNamespace() + "/" + o.GetName()
				if seen[id] {
					t.Errorf("%v both have %s", c, id)
				}
				seen[id] = true
			}
		}
	}
}

// A release may be called a.b. A Service, such as that of the bus, may not.
func TestReleaseNameWithDots(t *testing.T) {
	r := mustRender(t, with(valuesFiles(t)["full"], "fullnameOverride", ""), chartutil.ReleaseOptions{Name: "nautobot.v1"})
	checkObjects(t, r, namespace)
	if strings.Contains(r.eventBus.Name+r.eventSource.Name+r.sensor.Name, ".") {
		t.Errorf("names with dots: %s, %s, %s", r.eventBus.Name, r.eventSource.Name, r.sensor.Name)
	}
}

// A common label that the chart sets itself is there once, with the chart's
// value. Only what the objects are a part of is for the operator to say.
func TestCommonLabels(t *testing.T) {
	before := mustRender(t, valuesFiles(t)["minimal"], chartutil.ReleaseOptions{})
	labels := map[string]any{}
	for key := range before.policy.Labels {
		labels[key] = "mine"
	}
	if len(labels) < 7 {
		t.Fatalf("only %d labels", len(labels))
	}
	after := mustRender(t, with(valuesFiles(t)["minimal"], "commonLabels", labels), chartutil.ReleaseOptions{})
	want := maps.Clone(before.policy.Labels)
	want["app.kubernetes.io/part-of"] = "mine"
	if diff := cmp.Diff(want, after.policy.Labels); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	checkObjects(t, after, namespace)
}
