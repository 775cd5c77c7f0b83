//go:build e2e

package examples

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// What the examples hold: the kinds of each file's documents, in their order.
var documents = map[string]string{
	"admission-policy.yaml":                 "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding",
	"argocd/argocd-cm.yaml":                 "ConfigMap",
	"argocd/global.yaml":                    "Application",
	"argocd/site.yaml":                      "Application",
	"argocd/sites.yaml":                     "ApplicationSet",
	"demo/refused.yaml":                     "Secret",
	"demo/rotated.yaml":                     "Secret",
	"external-secrets/azure-key-vault.yaml": "SecretStore ExternalSecret",
	"external-secrets/passwordsafe.yaml":    "SecretStore ExternalSecret",
	"external-secrets/site-superuser.yaml":  "SecretStore ExternalSecret",
	"external-secrets/vault.yaml":           "SecretStore ExternalSecret",
	"global/secrets.yaml":                   "Secret Secret Secret Secret",
	"job.yaml":                              "ServiceAccount Role RoleBinding Role RoleBinding Job",
	"migration-api-tokens/secrets.yaml":     "Secret Secret Secret",
	"sealed-superuser-secret.yaml":          "SealedSecret",
	"secret.yaml":                           "Secret",
	"site/secrets.yaml":                     "Secret Secret Secret",
	"superuser-secret.yaml":                 "Secret",
}

// A document is one object of a file, as it stands there.
type document struct {
	metav1.TypeMeta
	text string
}

// Everything else in examples/ that is YAML are values of the chart: those of
// TestChart.
func isManifest(path string) bool {
	return strings.HasSuffix(path, ".yaml") && filepath.Base(path) != "values.yaml"
}

// A real API server takes every document as it is, and the Pod of every Job
// where Pod Security restricted is enforced.
func TestManifests(t *testing.T) {
	found := map[string]string{}
	for path := range files(t) {
		if !isManifest(path) {
			continue
		}
		var kinds []string
		for _, d := range read(t, path) {
			kinds = append(kinds, d.Kind)
			if err := global.DryRun(t.Context(), []byte(d.text)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			switch d.Kind {
			case "ServiceAccount": // a Pod needs it
				if err := global.Apply(t.Context(), []byte(d.text)); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			case "Job":
				if err := global.DryRun(t.Context(), podOf(t, d)); err != nil {
					t.Errorf("%s: the Job's Pod: %v", path, err)
				}
			}
		}
		found[path] = strings.Join(kinds, " ")
	}
	if diff := cmp.Diff(documents, found); diff != "" {
		t.Errorf("the files' documents: (-want +got)\n%s", diff)
	}
}

// files are all files of examples/, with their texts. Each manifest and each
// values file begins by saying what it is.
func files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name := strings.TrimPrefix(filepath.ToSlash(path), folder+"/")
		all[name] = string(text)
		switch filepath.Ext(path) {
		case ".yml":
			t.Errorf("%s: call it .yaml", name)
		case ".yaml":
			if !strings.HasPrefix(all[name], "# ") {
				t.Errorf("%s does not begin with a comment", name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// read returns the documents of a file, except those with nothing but comments.
func read(t *testing.T, path string) []document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		t.Fatal(err)
	}
	return split(t, string(text))
}

func split(t *testing.T, text string) []document {
	t.Helper()
	var all []document
	for _, part := range separator.Split(text, -1) {
		d := document{text: part}
		if err := yaml.Unmarshal([]byte(part), &d.TypeMeta); err != nil {
			t.Fatalf("%v\n%s", err, part)
		}
		if d.TypeMeta != (metav1.TypeMeta{}) {
			all = append(all, d)
		}
	}
	return all
}

// decode reads a document into its type, strictly.
func (d document) decode(t *testing.T, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(d.text), into); err != nil {
		t.Fatalf("%s: %v", d.Kind, err)
	}
}

// decodeLoosely reads what into has fields for.
func (d document) decodeLoosely(t *testing.T, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(d.text), into); err != nil {
		t.Fatalf("%s: %v", d.Kind, err)
	}
}

// podOf is the manifest of the Pod that a Job leads to. What a Job's template
// asks for is not enforced before.
func podOf(t *testing.T, d document) []byte {
	t.Helper()
	var job batchv1.Job
	d.decode(t, &job)
	pod := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: *job.Spec.Template.ObjectMeta.DeepCopy(), Spec: job.Spec.Template.Spec,
	}
	pod.Name, pod.Namespace = job.Name, job.Namespace
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The chart's own test renders it with every values file and has this API
// server take each object.
func TestChart(t *testing.T) {
	command := exec.CommandContext(t.Context(), "go", "-C", "charts", "test", "-count=1", "-v", "-run", "^TestAPIServerTakesIt$", ".")
	command.Dir = root
	// The flags of the Makefile: what is compiled once is used by all.
	command.Env = append(os.Environ(), "GOFLAGS=-trimpath -buildvcs=false", "CGO_ENABLED=0", "CHARTS_KUBECONFIG="+global.Kubeconfig, "NAUTOBOT_TOKEN_BINARY="+binary)
	out, err := command.CombinedOutput()
	if err != nil || strings.Contains(string(out), "--- SKIP") {
		t.Fatalf("%v\n%s", err, out)
	}
	for path := range files(t) {
		if filepath.Base(path) != "values.yaml" {
			continue
		}
		if want := "--- PASS: TestAPIServerTakesIt/" + filepath.Dir(path) + " "; !strings.Contains(string(out), want) {
			t.Errorf("not tested with %s", path)
		}
	}
}

// The Applications get the chart from where it is in the repository.
func TestApplications(t *testing.T) {
	for path, text := range files(t) {
		if !strings.HasPrefix(path, "argocd/") || documents[path] == "ConfigMap" {
			continue
		}
		chart := regexp.MustCompile(`(?m)^\s*path: go/nautobot-token/(charts/\S+)$`).FindStringSubmatch(text)
		if chart == nil {
			t.Errorf("%s names no chart", path)
		} else if _, err := os.Stat(filepath.Join(root, chart[1], "Chart.yaml")); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The ApplicationSet makes for a site what its Application says.
func TestApplicationSet(t *testing.T) {
	type application struct {
		Metadata struct {
			Name        string
			Annotations map[string]string
		}
		Spec map[string]any
	}
	var want application
	read(t, "argocd/site.yaml")[0].decodeLoosely(t, &want)

	set := read(t, "argocd/sites.yaml")[0]
	text, err := template.New("sites.yaml").Option("missingkey=error").Parse(set.text)
	if err != nil {
		t.Fatal(err)
	}
	var rendered strings.Builder
	if err := text.Execute(&rendered, map[string]string{"name": "rxdb-lab"}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Spec struct{ Template application }
	}
	document{set.TypeMeta, rendered.String()}.decodeLoosely(t, &got)
	if diff := cmp.Diff(want, got.Spec.Template); diff != "" {
		t.Errorf("(-site.yaml +sites.yaml)\n%s", diff)
	}
}

// README.md says what each file is for.
func TestReadme(t *testing.T) {
	all := files(t)
	for path := range all {
		first, _, _ := strings.Cut(path, "/") // the folder, if it is in one
		if path != "README.md" && !strings.Contains(all["README.md"], "("+path+")") && !strings.Contains(all["README.md"], "("+first+")") {
			t.Errorf("README.md has no link to %s", path)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(all["README.md"], -1) {
		if _, err := os.Stat(filepath.Join(folder, link[1])); err != nil {
			t.Errorf("README.md links to nothing: %v", err)
		}
	}
}
