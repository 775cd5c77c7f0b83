// Package externalsecrets holds the examples for External Secrets against the
// module that its controller is built from: against its resource definitions,
// its types and its template engine.
package externalsecrets

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
)

const examplesDir = "../../examples"

// An example is an ExternalSecret with its store, which is in the same file.
type example struct {
	name   string
	store  *esv1.SecretStoreSpec
	secret *esv1.ExternalSecret
}

const (
	// In JSON, and in a template, these characters have to be escaped.
	password = `pä"\<&>{{ .x }}-password`
	token    = "0123456789abcdefghijklmnopqrstuvwxyztokn"
)

// credential is what a backend holds: a JSON object whose password is the text
// of another one.
func credential(t *testing.T, fields map[string]any, secrets any) string {
	t.Helper()
	text, isText := secrets.(string)
	if !isText {
		text = encode(t, secrets)
	}
	whole := map[string]any{"username": "my-nautobot-creds", "password": text}
	maps.Copy(whole, fields)
	maps.DeleteFunc(whole, func(_ string, value any) bool { return value == nil })
	return encode(t, map[string]any{"credential": whole})
}

func encode(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExamplesRender(t *testing.T) {
	complete := map[string]any{"password": password, "token": token}
	for _, e := range readExamples(t) {
		want := map[string]string{
			"hostname": "nautobot.example.com", // of all examples
			"username": "my-nautobot-creds", "password": password, "token": token,
		}
		if e.superuser() {
			want = map[string]string{"token": token}
		}
		t.Run(e.name, func(t *testing.T) {
			e.wantRendered(t, credential(t, nil, complete), want)
			if !e.superuser() {
				want["hostname"] = "nautobot.example.org"
				e.wantRendered(t, credential(t, map[string]any{"hostname": "nautobot.example.org"}, complete), want)
			}
		})
	}
}

// The examples say to store this file.
func TestExamplesRenderTheCredentialBesideThem(t *testing.T) {
	document, err := os.ReadFile(filepath.Join(examplesDir, "credential.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range readExamples(t) {
		secret, err := render(e, string(document))
		if err != nil {
			t.Errorf("%s: %v", e.name, err)
		} else if got := len(secret.Data["token"]); got != 40 {
			t.Errorf("%s: a token of %d bytes, which Nautobot does not take", e.name, got)
		}
	}
}

// wantRendered checks that a document becomes a Secret with exactly these data.
func (e example) wantRendered(t *testing.T, document string, want map[string]string) {
	t.Helper()
	secret, err := render(e, document)
	if err != nil {
		t.Fatal(err)
	}
	// The label makes it the Secret of an account, which the superuser's is not.
	label := "nautobot"
	if e.superuser() {
		label = ""
	}
	if got := secret.Labels["token/type"]; got != label || secret.Type != corev1.SecretTypeOpaque {
		t.Errorf("label token/type %q, type %s; want %q, Opaque", got, secret.Type, label)
	}
	got := map[string]string{}
	for key, value := range secret.Data {
		got[key] = string(value)
	}
	if !maps.Equal(got, want) {
		t.Errorf("rendered %q, want %q", got, want)
	}
}

// What cannot be rendered must fail, so that the Secret before it stays; and
// the error, which an Event shows to everybody, must not tell what was
// to be rendered.
func TestExamplesDoNotRenderHalfACredential(t *testing.T) {
	complete := map[string]any{"password": password, "token": token}
	for _, c := range []struct {
		name, document string
		superuser      bool // needs what is missing, too
	}{
		{"no token", credential(t, nil, map[string]any{"password": password}), true},
		{"no password", credential(t, nil, map[string]any{"token": token}), false},
		{"no username", credential(t, map[string]any{"username": nil}, complete), false},
		{"no password and token", credential(t, map[string]any{"password": nil}, complete), true},
		{"no JSON", credential(t, nil, password+token), true},
		{"cut off", credential(t, nil, `{"password": "`+password+`", "token": "`+token), true},
		{"a JSON text", credential(t, nil, `"`+token+`"`), true},
		{"a JSON array", credential(t, nil, []string{password, token}), true},
		{"no credential", encode(t, map[string]any{"username": "my-nautobot-creds", "password": encode(t, complete)}), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, e := range readExamples(t) {
				if e.superuser() && !c.superuser {
					continue
				}
				secret, err := render(e, c.document)
				if err == nil {
					t.Errorf("%s: rendered %q, want an error", e.name, secret.Data)
				} else if strings.Contains(err.Error(), "-password") || strings.Contains(err.Error(), token[:8]) {
					t.Errorf("%s: the error tells a secret: %v", e.name, err)
				}
			}
		})
	}
}

// superuser says whether it is the Secret that nautobot-token logs in with.
func (e example) superuser() bool { return e.secret.Name == "nautobot-superuser" }
