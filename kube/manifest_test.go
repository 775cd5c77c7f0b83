package kube

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const plain = "apiVersion: v1\nkind: Secret\nmetadata: {name: svc, namespace: ns}\n"

func TestReadManifest(t *testing.T) {
	svc := map[string]string{"username": "svc"}
	tests := map[string]struct {
		text      string
		namespace string // asked for
		want      provision.Secret
		values    map[string]string
	}{
		"data in base64": {
			text: plain + "data: {username: " + encoded("svc") + "}\n",
			want: provision.Secret{Namespace: "ns", Name: "svc"}, values: svc,
		},
		"stringData as it is": {
			text: plain + "stringData: {username: svc}\n",
			want: provision.Secret{Namespace: "ns", Name: "svc"}, values: svc,
		},
		"stringData before data, as in the cluster": {
			text: plain + "data: {username: " + encoded("other") + ", token: " + encoded("t") + "}\nstringData: {username: svc}\n",
			want: provision.Secret{Namespace: "ns", Name: "svc"}, values: map[string]string{"username": "svc", "token": "t"},
		},
		"JSON": {
			text: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"svc","namespace":"ns"},"data":{"username":"` + encoded("svc") + `"}}`,
			want: provision.Secret{Namespace: "ns", Name: "svc"}, values: svc,
		},
		"JSON with escapes that YAML does not know": {
			text: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"svc","namespace":"ns","labels":{"token\/type":"nautobot"}},"stringData":{"password":"\ud83d\ude00"}}`,
			want: provision.Secret{Namespace: "ns", Name: "svc", Labels: map[string]string{"token/type": "nautobot"}}, values: map[string]string{"password": "😀"},
		},
		"labels, and whatever else kubectl prints": {
			text: plain + "type: Opaque\nimmutable: true\n---\n",
			want: provision.Secret{Namespace: "ns", Name: "svc"},
		},
		"as kubectl get -o yaml prints it": {
			text: `apiVersion: v1
data:
  username: ` + encoded("svc") + `
kind: Secret
metadata:
  annotations: {a: b}
  creationTimestamp: "2026-11-24T09:00:00Z"
  labels: {token/type: nautobot}
  managedFields: [{manager: eso, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:data": {}}}]
  name: svc
  namespace: ns
  ownerReferences: [{apiVersion: external-secrets.io/v1, kind: ExternalSecret, name: owner, uid: u}]
  resourceVersion: "42"
  uid: u-1
type: Opaque
`,
			want:   provision.Secret{Namespace: "ns", Name: "svc", UID: "u-1", ResourceVersion: "42", Labels: map[string]string{"token/type": "nautobot"}},
			values: svc,
		},
		"a List with one Secret, as kubectl get -l prints it": {
			text: "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: svc, namespace: ns}, data: {username: " + encoded("svc") + "}}\n",
			want: provision.Secret{Namespace: "ns", Name: "svc"}, values: svc,
		},
		"null where kubectl create prints it": {
			text: "apiVersion: v1\nkind: Secret\nmetadata: {name: svc, namespace: ns, creationTimestamp: null}\n",
			want: provision.Secret{Namespace: "ns", Name: "svc"},
		},
		"comments and empty documents around it": {
			text: "# one\n---\n# two\n---\n" + plain + "---\n---\n# three\n",
			want: provision.Secret{Namespace: "ns", Name: "svc"},
		},
		"line ends of Windows": {
			text: strings.ReplaceAll("---\n"+plain+"stringData: {username: svc}\n", "\n", "\r\n"),
			want: provision.Secret{Namespace: "ns", Name: "svc"}, values: svc,
		},
		"a value of several lines that looks like a separator": {
			text: plain + "stringData:\n  key: |\n    a\n    ---\n    b\n",
			want: provision.Secret{Namespace: "ns", Name: "svc"}, values: map[string]string{"key": "a\n---\nb\n"},
		},
		"without a namespace": {
			text: "apiVersion: v1\nkind: Secret\nmetadata: {name: svc}\n",
			want: provision.Secret{Namespace: "default", Name: "svc"},
		},
		"without a namespace, but one is asked for": {
			text: "apiVersion: v1\nkind: Secret\nmetadata: {name: svc}\n", namespace: "asked",
			want: provision.Secret{Namespace: "asked", Name: "svc"},
		},
		"with the namespace that is asked for": {
			text: plain, namespace: "ns",
			want: provision.Secret{Namespace: "ns", Name: "svc"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			manifest, err := ReadManifest(strings.NewReader(tc.text), tc.namespace)
			if err != nil {
				t.Fatal(err)
			}
			got, err := manifest.Secret(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(provision.Secret{}, "Data")); diff != "" {
				t.Errorf("Secret (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.values, revealed(got), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	notASecret  = "the manifest is not a Secret with values in base64 under data, or as plain text under stringData (yes, no and numbers in quotes)"
	notYAML     = "the manifest is not YAML or JSON, or has a key twice"
	moreThanOne = "the manifest holds more than one object, want one Secret"
)

func TestReadManifestRefuses(t *testing.T) {
	tests := map[string]struct{ text, namespace, want string }{
		"nothing":                      {"", "", "the manifest is empty"},
		"only comments and separators": {"# " + canary + "\n---\n# two\n---\n\n", "", "the manifest is empty"},
		"two Secrets":                  {plain + "---\n" + plain, "", moreThanOne},
		"a Secret and something else":  {plain + "---\nkind: Pod\n", "", moreThanOne},
		"two objects of JSON": {
			`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"svc"}}` + "\n" + `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"m"}}`, "", moreThanOne,
		},
		"two objects, the second after the end of a document": {plain + "...\nkind: Pod\n", "", moreThanOne},
		"a List of two": {
			"apiVersion: v1\nkind: List\nitems: [{kind: Secret, stringData: {token: " + canary + "}}, {}]\n", "",
			"the manifest is a List of 2 objects, want one Secret",
		},
		"a List of none": {"apiVersion: v1\nkind: List\nitems: []\n", "", "the manifest is a List of 0 objects, want one Secret"},
		"a List of another kind": {
			"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, metadata: {name: p}}]\n", "",
			"the manifest holds Pod p: want a Secret, apiVersion v1",
		},
		"a List of a Secret with an unknown field": {
			"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: svc}, " + canary + ": 5}]\n", "", notASecret,
		},
		"another kind": {
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: svc}\ndata: {}\n", "",
			"the manifest holds ConfigMap svc: want a Secret, apiVersion v1",
		},
		"an ExternalSecret": {
			"apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: svc}\n", "",
			"the manifest holds ExternalSecret svc: want a Secret, apiVersion v1",
		},
		"no kind":                               {"metadata: {name: svc}\n", "", "the manifest holds an object of unknown kind: want a Secret, apiVersion v1"},
		"no name":                               {"apiVersion: v1\nkind: Secret\n", "", "the manifest has no metadata.name"},
		"only a prefix":                         {"apiVersion: v1\nkind: Secret\nmetadata: {generateName: n-}\n", "", "the manifest has no metadata.name"},
		"another namespace":                     {plain, "asked", `the manifest's namespace is "ns", but the namespace asked for is "asked"`},
		"a value under data that is not base64": {plain + "data: {token: " + canary + "}\n", "", notASecret},
		"a number under data":                   {plain + "data: {token: 5}\n", "", notASecret},
		"a number under stringData":             {plain + "stringData: {token: 12345}\n", "", notASecret},
		"a word that YAML takes for a boolean":  {plain + "stringData: {password: yes}\n", "", notASecret},
		"a number that YAML takes for octal":    {plain + "stringData: {password: 0123}\n", "", notASecret},
		"data that is a string":                 {plain + "data: " + canary + "\n", "", notASecret},
		"an unknown field":                      {plain + canary + ": 5\n", "", notASecret},
		"a misspelt field":                      {plain + "stringdatas: {token: " + canary + "}\n", "", notASecret},
		"a key twice":                           {plain + "stringData: {token: a, token: " + canary + "}\n", "", notYAML},
		"an alias that was meant as a value":    {plain + "stringData: {token: *" + canary + "}\n", "", notYAML},
		"a kind that is none":                   {"apiVersion: v1\nkind: " + canary + "\n", "", "the manifest holds an object of unknown kind: want a Secret, apiVersion v1"},
		"a name that is none":                   {"apiVersion: v1\nkind: Pod\nmetadata: {name: \"" + canary + "\\n\"}\n", "", "the manifest holds Pod: want a Secret, apiVersion v1"},
		"no YAML":                               {canary + ": [\n", "", notYAML},
		"a text":                                {canary, "", "the manifest does not hold a Kubernetes object"},
		"bytes that are not text":               {"\x00\xff\xfe" + canary, "", notYAML},
		"aliases that multiply":                 {bomb(), "", notYAML},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			manifest, err := ReadManifest(strings.NewReader(tc.text), tc.namespace)
			var refused *provision.Refusal
			if !errors.As(err, &refused) || err.Error() != tc.want {
				t.Errorf("error is %v, want the refusal %q", err, tc.want)
			}
			noCanary(t, err)
			if secret, _ := manifest.Secret(t.Context()); secret.Name != "" {
				t.Errorf("it holds Secret %q all the same", secret.Name)
			}
		})
	}
}

// bomb is YAML that would grow to 10^10 strings.
func bomb() string {
	var b strings.Builder
	b.WriteString(plain + "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := '1'; i <= '9'; i++ {
		b.WriteString("a" + string(i) + ": &a" + string(i) + " [" + strings.Repeat("*a"+string(i-1)+",", 9) + "*a" + string(i-1) + "]\n")
	}
	return b.String()
}

// Names go into ownership marks and lines of the result: no manifest may hold
// names that the cluster would not let a Secret have.
func TestReadManifestRefusesNamesThatNoSecretCanHave(t *testing.T) {
	for _, tc := range []struct{ name, namespace string }{
		{`"a/b"`, "ns"},
		{"svc", `"ns/other"`},
		{`"n\nsecret/forged unchanged"`, "ns"},
		{"svc", `"\u001b[2J"`},
		{strings.Repeat("n", 300), "ns"},
		{"UPPER", "ns"},
		{"svc", "dotted.namespace"},
	} {
		text := "apiVersion: v1\nkind: Secret\nmetadata: {name: " + tc.name + ", namespace: " + tc.namespace + "}\n"
		_, err := ReadManifest(strings.NewReader(text), "")
		var refused *provision.Refusal
		if !errors.As(err, &refused) {
			t.Errorf("name %.40s, namespace %s: error is %v, want a refusal", tc.name, tc.namespace, err)
		}
	}
}

func TestReadManifestStopsAtItsLimit(t *testing.T) {
	for name, text := range map[string]io.Reader{
		"3 MB of YAML":       strings.NewReader(plain + "annotations: [" + strings.Repeat("x,", 3<<19) + "]\n"),
		"5 MB of a value":    strings.NewReader(plain + "stringData: {token: " + strings.Repeat("x", 5<<20) + "}\n"),
		"a text without end": endless{},
	} {
		_, err := ReadManifest(text, "")
		if want := "the manifest is larger than 2097152 bytes"; err == nil || err.Error() != want {
			t.Errorf("%s: error is %.200v, want %q", name, err, want)
		}
	}
	// The largest Secret that Kubernetes allows still fits.
	if _, err := ReadManifest(strings.NewReader(plain+"data: {token: "+encoded(strings.Repeat("x", 1<<20))+"}\n"), ""); err != nil {
		t.Errorf("1 MB: error is %.200v, want none", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '#'
	}
	return len(p), nil
}

// That a file cannot be read is not the Secret's fault.
func TestReadManifestFails(t *testing.T) {
	broken := errors.New("input/output error")
	_, err := ReadManifest(iotest.ErrReader(broken), "")
	var refused *provision.Refusal
	if !errors.Is(err, broken) || errors.As(err, &refused) {
		t.Errorf("error is %v, want %v and no refusal", err, broken)
	}
}

func FuzzReadManifest(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "manifests", "*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds, error %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "")
		f.Add(text, "openstack")
	}
	f.Add([]byte(plain+"stringData: {token: "+canary+"}\n---\n"), "ns")
	f.Fuzz(func(t *testing.T, text []byte, namespace string) {
		manifest, err := ReadManifest(strings.NewReader(string(text)), namespace)
		var refused *provision.Refusal
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatalf("error is %v, want a refusal", err)
			}
			return
		}
		secret, err := manifest.Secret(t.Context())
		if err != nil || secret.Name == "" || secret.Namespace == "" || namespace != "" && secret.Namespace != namespace {
			t.Errorf("Secret %q in namespace %q, error %v", secret.Name, secret.Namespace, err)
		}
	})
}
