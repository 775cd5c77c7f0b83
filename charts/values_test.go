package charts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/chartutil"
)

// leaves are the paths of all values that can be set: those of values.yaml
// that are no mapping, or one that only its owner knows the keys of.
func leaves(values map[string]any, under string) []string {
	var paths []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		path := strings.TrimPrefix(under+"."+key, ".")
		inner, ok := values[key].(map[string]any)
		if ok && len(inner) > 0 && !strings.HasSuffix(path, "ecurityContext") && !strings.HasSuffix(path, "esources") {
			paths = append(paths, leaves(inner, path)...)
		} else {
			paths = append(paths, path)
		}
	}
	return paths
}

// Taking back what one of the values files sets changes what is rendered, for every value.
func TestEveryValueIsUsed(t *testing.T) {
	defaults := loadChart(t).Values
	files := valuesFiles(t)
	same := func(values map[string]any, path string) bool {
		before, err := render(t, values, chartutil.ReleaseOptions{})
		if err != nil {
			t.Fatal(err)
		}
		after, err := render(t, without(values, path), chartutil.ReleaseOptions{})
		return err == nil && maps.Equal(before, after)
	}
	for _, path := range leaves(defaults, "") {
		standard, _ := at(defaults, path)
		set, used := false, false
		for _, values := range files {
			if value, ok := at(values, path); ok && !reflect.DeepEqual(value, standard) {
				set = true
				used = used || !same(values, path)
			}
		}
		switch {
		case !set:
			t.Errorf("no values file sets %s to something else than %v", path, standard)
		case !used:
			t.Errorf("%s changes nothing in what is rendered", path)
		}
	}
}

// A key that nobody knows is refused, wherever it stands.
func TestTyposAreRefused(t *testing.T) {
	full := valuesFiles(t)["full"]
	mappings := map[string]bool{"": true, "image.": true, "rbac.": true, "watch.": true}
	for _, path := range leaves(loadChart(t).Values, "") {
		if i := strings.LastIndex(path, "."); i >= 0 {
			mappings[path[:i+1]] = true
		}
	}
	for mapping := range mappings {
		checkRefused(t, with(full, mapping+"urll", "x"), "additional properties 'urll' not allowed")
	}
	rule := map[string]any{"namespace": "openstack", "usernames": []any{"*"}, "superUser": true}
	checkRefused(t, with(full, "rules", []any{rule}), "additional properties 'superUser' not allowed")
}

func checkRefused(t *testing.T, values map[string]any, want string) {
	t.Helper()
	_, err := render(t, values, chartutil.ReleaseOptions{})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want an error with %q, got %v", want, err)
	}
}

// A mistake gets a sentence that names the value.
func TestMistakes(t *testing.T) {
	minimal := valuesFiles(t)["minimal"]
	rule := func(key string, value any) []any {
		return []any{with(map[string]any{"namespace": "openstack", "usernames": []any{"*"}}, key, value)}
	}
	for _, c := range []struct {
		path  string
		value any
		want  string
	}{
		{"nautobot.url", "", "nautobot.url is missing: give the URL of Nautobot"},
		{"nautobot.url", "nautobot.example.com", "nautobot.url: want https://HOST[:PORT][/PATH]"},
		{"nautobot.url", "https://user:pass@nautobot.example.com", "nautobot.url: want https://HOST[:PORT][/PATH], without user"},
		{"nautobot.url", "https://nautobot.example.com/?x=y", "without user, query or fragment"},
		{"nautobot.url", "http://nautobot.example.com", "use https, or set nautobot.insecureHTTP=true"},
		{"nautobot.caBundle", map[string]any{"configMap": "a", "secret": "b"}, "configMap and secret are both set: give one"},
		{"nautobot.hostnames", []any{"https://nautobot.example.com"}, "nautobot.hostnames[0]: \"https://nautobot.example.com\": want HOST or HOST:PORT, without https:// and path"},
		{"rules", []any{}, "rules is empty, so nothing would be watched"},
		{"rules", []any{map[string]any{"namespace": "openstack"}}, "rules[0].usernames is missing: say what the Secrets of namespace openstack may call their accounts"},
		{"rules", []any{map[string]any{"usernames": []any{"*"}}}, "at '/rules/0': missing property 'namespace'"},
		{"rules", rule("usernames", []any{}), "rules[0].usernames is missing"},
		{"rules", rule("namespace", "*"), "rules[0].namespace: \"*\": want the name of a single namespace"},
		{"rules", rule("secrets", []any{}), "rules[0].secrets is an empty list"},
		{"rules", rule("groups", []any{}), "rules[0].groups is an empty list"},
		{"rules", rule("secrets", []any{"a", "a[b"}), "rules[0].secrets: \"a[b\" is not a glob: want letters"},
		{"rules", rule("usernames", []any{""}), "rules[0].usernames: \"\" is not a glob"},
		{"rules", rule("adoptFrom", []any{"openstack"}), "rules[0].adoptFrom: \"openstack\" is not an owner"},
		{"rules", rule("groups", []any{" x"}), "rules[0].groups: want the name of a group: 1 to 150"},
		{"rules", rule("superuser", "yes"), "at '/rules/0/superuser': got string, want boolean"},
		{"managedGroup", "", "managedGroup: want the name of a group: 1 to 150"},
		{"managedGroup", strings.Repeat("x", 151), "managedGroup: want the name of a group: 1 to 150"},
		{"managedGroup", "site-provisioners", "managedGroup: the groups of provisioners end in -provisioners"},
		{"superuserSecret.name", "", "want the name of the Secret with the superuser token"},
		{"superuserSecret.namespace", "a.b", "superuserSecret.namespace: \"a.b\": want a name of at most 63"},
		{"eventBus", map[string]any{"create": false}, "eventBus.name is missing: with eventBus.create=false it says which EventBus of namespace nautobot"},
		{"eventBus.name", strings.Repeat("x", 41), "want a name of at most 40"},
		{"eventBus", map[string]any{"replicas": 1, "persistence": map[string]any{"enabled": false}}, "eventBus.replicas: 1 without eventBus.persistence.enabled"},
		{"eventBus.replicas", 2, "at '/eventBus/replicas': value must be one of 1, 3, 5"},
		{"eventBus.maxAge", "4m", "eventBus.maxAge: \"4m\": want minutes (at least 5m) or hours"},
		{"eventBus.maxAge", "90s", "eventBus.maxAge: \"90s\": want minutes"},
		{"eventBus.persistence.size", "5GB", "want a size such as 5Gi"},
		{"serviceAccounts.job.create", false, "serviceAccounts.job.name is missing: with serviceAccounts.job.create=false"},
		{"watch.source", "secrets", "at '/watch/source': value must be one of 'secret', 'externalsecret'"},
		{"image.digest", "sha256:abc", "image.digest: \"sha256:abc\": want sha256: and 64 hexadecimal digits"},
		{"image.repository", "registry.example.com/x@sha256", "want REGISTRY/PATH, without a tag"},
		{"rotationGrace", "1d", "rotationGrace: \"1d\": want a duration such as 90s"},
		{"rotationGrace", 60, "at '/rotationGrace': got number, want string"},
		{"timeout", "0s", "timeout: \"0s\": want a duration of more than 0"},
		{"logLevel", "trace", "at '/logLevel': value must be one of"},
		{"imagePullSecrets", []any{"registry"}, "at '/imagePullSecrets/0': got string, want object"},
		{"job.resources", map[string]any{"memory": "1Gi"}, "additional properties 'memory' not allowed"},
		{"job.affinity", map[string]any{"nodeaffinity": map[string]any{}}, "additional properties 'nodeaffinity' not allowed"},
		{"job.podLabels", map[string]any{"a": 1}, "at '/job/podLabels/a': got number, want string"},
		{"cluster", "a..b", "cluster: \"a..b\": want a name of lower-case letters"},
		{"job.resources", map[string]any{"requests": map[string]any{"cpu": "50 m"}}, "at '/job/resources/requests/cpu': '50 m' does not match"},
		{"job.tolerations", []any{map[string]any{"operator": "Exist"}}, "at '/job/tolerations/0/operator': value must be one of"},
		{"job.extraVolumes", []any{map[string]any{"name": "policy"}}, "job.extraVolumes: \"policy\": there is already a volume with that name"},
		{"job.extraVolumeMounts", []any{map[string]any{"name": "more", "mountPath": "/more"}}, "there is no volume with that name in job.extraVolumes"},
		{
			"job.extraVolumeMounts",
			[]any{map[string]any{"name": "policy", "mountPath": "/etc/nautobot-token/ca"}},
			"job.extraVolumeMounts: \"/etc/nautobot-token/ca\": something is already mounted there",
		},
		{"job.podDeadlineSeconds", 120, "job.podDeadlineSeconds: 120: want more than timeout (2m)"},
		{"serviceAccounts.job.name", "nautobot-token-sensor", "job and sensor are both called \"nautobot-token-sensor\""},
		{"sync.schedule", "30 2 * *", "sync.schedule: \"30 2 * *\": want five cron fields"},
		{"sync.quickSchedule", "hourly", "sync.quickSchedule: \"hourly\": want five cron fields"},
		{"sync", map[string]any{"schedule": "-", "quickSchedule": "-"}, "sync.schedule and sync.quickSchedule are both -"},
		{"sync.timeZone", "Local", "sync.timeZone: \"Local\": want the name of a time zone"},
		{"sync.timeZone", "CET+1 ", "sync.timeZone: \"CET+1 \": want the name of a time zone"},
		{"sync.timeout", "0s", "sync.timeout: \"0s\": want a duration of more than 0"},
		{"sync.timeout", "1d", "sync.timeout: \"1d\": want a duration such as"},
		{"sync.activeDeadlineSeconds", 3000, "sync.activeDeadlineSeconds: 3000: want more than sync.timeout (50m)"},
		{"sync.parallel", 0, "at '/sync/parallel': minimum: got 0, want 1"},
		{"sync.shards", 0, "at '/sync/shards': minimum: got 0, want 1"},
		{"sync.prune.limit", 0, "at '/sync/prune/limit': minimum: got 0, want 1"},
		{"sync.prune.enabled", true, "sync.prune.enabled needs cluster"},
		{"revoke.enabled", true, "revoke.enabled needs cluster"},
		{"rules", rule("revoke", "yes"), "at '/rules/0/revoke': got string, want boolean"},
		{"test.secret", "nautobot-token", "test.secret: \"nautobot-token\": want NAMESPACE/NAME"},
		{"watch.externalSecretVersion", "v2", "at '/watch/externalSecretVersion': value must be one of"},
		{"cluster", "Global", "cluster: \"Global\": want a name of lower-case letters"},
		{"fullnameOverride", strings.Repeat("x", 64), "fullnameOverride: \"xxx"},
	} {
		checkRefused(t, with(minimal, c.path, c.value), c.want)
	}

	ends := with(with(minimal, "cluster", "global"), "rules", rule("revoke", true))
	for _, c := range []struct {
		path  string
		value any
		want  string
	}{
		{"sync", map[string]any{"enabled": false, "prune": map[string]any{"enabled": true}}, "sync.prune.enabled: the full sync does it"},
		{"sync", map[string]any{"schedule": "-", "prune": map[string]any{"enabled": true}}, "so it needs sync.enabled=true and a sync.schedule other than -"},
		{"sync.prune", map[string]any{"enabled": true, "settle": "50m"}, "sync.prune.settle: \"50m\": want less than sync.timeout (50m)"},
		{"sync.prune", map[string]any{"enabled": true, "settle": "0"}, "sync.prune.settle: \"0\": want a duration of more than 0"},
		{"revoke", map[string]any{"enabled": true, "settle": "0s"}, "revoke.settle: \"0s\": want a duration of more than 0"},
	} {
		checkRefused(t, with(ends, c.path, c.value), c.want)
	}
	for _, path := range []string{"sync.prune.enabled", "revoke.enabled"} {
		values := with(ends, path, true)
		if _, err := render(t, values, chartutil.ReleaseOptions{}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		checkRefused(t, with(values, "rules", rule("revoke", false)), path+" needs a rule with revoke: true")
	}
}

// A parent chart sets global, and may set whole parts to null.
func TestAsASubchart(t *testing.T) {
	full := valuesFiles(t)["full"]
	if _, err := render(t, with(full, "global", map[string]any{"x": 1}), chartutil.ReleaseOptions{}); err != nil {
		t.Error(err)
	}
	checkRefused(t, with(full, "eventBus", nil), "missing property 'eventBus'")
	for _, path := range leaves(loadChart(t).Values, "") {
		if _, err := render(t, with(full, path, nil), chartutil.ReleaseOptions{}); err != nil && strings.Contains(err.Error(), "nil pointer") {
			t.Errorf("%s: null: %v", path, err)
		}
	}
}

const (
	tableBegin = "<!-- Written by `go test -update` from the comments in values.yaml. -->\n"
	tableEnd   = "<!-- End of what is written. -->\n"
)

// The README's table of values is the one that values.yaml makes.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var document yamlv3.Node
	if err := yamlv3.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	describe(document.Content[0], "", described)
	var table bytes.Buffer
	table.WriteString("\n| value | default | meaning |\n| --- | --- | --- |\n")
	defaults := loadChart(t).Values
	paths := leaves(defaults, "")
	for _, path := range order(document.Content[0], "", paths) {
		if described[path] == "" {
			t.Errorf("%s has no comment that begins with # --", path)
		}
		value, _ := at(defaults, path)
		standard, _ := json.Marshal(value)
		if len(standard) > 60 {
			standard = []byte("(see there)")
		}
		fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", path, standard, strings.ReplaceAll(described[path], "|", "\\|"))
		delete(described, path)
	}
	table.WriteString("\n")
	for path := range described {
		t.Errorf("%s has a comment, but is no value", path)
	}
	file := filepath.Join(chartDir, "README.md")
	readme, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(readme), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s lacks %q or %q", file, tableBegin, tableEnd)
	}
	want := before + tableBegin + table.String() + tableEnd + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(readme) {
		t.Errorf("%s is not what values.yaml says: run `go test -update` in charts/", file)
	}
}

// describe collects the comments before keys.
func describe(mapping *yamlv3.Node, under string, into map[string]string) {
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		path := strings.TrimPrefix(under+"."+key.Value, ".")
		if _, text, ok := strings.Cut(key.HeadComment, "# -- "); ok {
			into[path] = strings.Join(strings.Fields(strings.ReplaceAll(text, "\n# ", "\n")), " ")
		}
		if value.Kind == yamlv3.MappingNode && into[path] == "" {
			describe(value, path, into)
		}
	}
}

// order is the paths as they come in the file.
func order(mapping *yamlv3.Node, under string, paths []string) []string {
	var ordered []string
	for i := 0; i < len(mapping.Content); i += 2 {
		path := strings.TrimPrefix(under+"."+mapping.Content[i].Value, ".")
		if slices.Contains(paths, path) {
			ordered = append(ordered, path)
		} else if mapping.Content[i+1].Kind == yamlv3.MappingNode {
			ordered = append(ordered, order(mapping.Content[i+1], path, paths)...)
		}
	}
	return ordered
}
