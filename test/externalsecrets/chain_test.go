//go:build e2e

package externalsecrets

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Of all examples here.
const (
	secretName = "nautobot-token"
	entry      = "12345" // in the backend
)

// A backend is where the credentials are.
type backend interface {
	Put(ctx context.Context, id string, document []byte) error
	Delete(ctx context.Context, id string) error
}

// A chain leads from a backend to an account, by what an example says.
type chain struct {
	backend   backend
	store     object
	external  object // the ExternalSecret
	byHand    bool   // it is refreshed when the test asks for it, not by the clock
	refreshes int
	namespace string
	username  string
	password  string
	secrets   []string // what must never be shown
}

type object = map[string]any

// newChain makes the objects of an example in a namespace of their own, beside
// the Secret with which the controller logs in to the backend.
func newChain(t *testing.T, example, server string, b backend, login *corev1.Secret) *chain {
	t.Helper()
	id := strings.ToLower(rand.Text())[:12]
	c := &chain{
		backend:   b,
		namespace: "externalsecrets-" + id,
		username:  "svc-" + id,
	}
	// It has to come through JSON, JSON in it, and a template.
	recognized := rand.Text()
	c.password = `pä:+%&"\'<$>{{ .x }}` + recognized
	c.secrets = []string{recognized, nautobot.Token, nautobot.Password}
	for _, value := range login.StringData {
		c.secrets = append(c.secrets, value)
	}
	c.read(t, example, server)
	// Where the store cannot log in, it is looked at again minutes later only.
	login.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
	login.Namespace = c.namespace
	apply(t, object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": c.namespace}})
	apply(t, login)
	t.Cleanup(func() { c.checkControllerLog(t) })
	return c
}

// read reads an example, with the address of the backend in it.
func (c *chain) read(t *testing.T, example, server string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../examples/external-secrets", example))
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var o object
		if err := yaml.UnmarshalStrict([]byte(document), &o); err != nil {
			t.Fatalf("%s: %v", example, err)
		}
		o["metadata"].(object)["namespace"] = c.namespace
		switch o["kind"] {
		case "SecretStore":
			c.store = o
		case "ExternalSecret":
			c.external = o
		}
	}
	if c.store == nil || c.external == nil {
		t.Fatalf("%s lacks a SecretStore or an ExternalSecret", example)
	}
	replaceServer(t, c.store, server)
}

// replaceServer puts the address of a real server in place of the example's.
func replaceServer(t *testing.T, store object, server string) {
	t.Helper()
	replaced := 0
	provider := store["spec"].(object)["provider"].(object)
	for _, settings := range provider {
		for name, value := range settings.(object) {
			if text, ok := value.(string); ok && strings.HasPrefix(text, "https://") {
				_, path, _ := strings.Cut(strings.TrimPrefix(text, "https://"), "/")
				settings.(object)[name] = strings.TrimSuffix(server+"/"+path, "/")
				replaced++
			}
		}
	}
	if replaced != 1 {
		t.Fatalf("the store has %d addresses, want one: %v", replaced, provider)
	}
}

// start makes the store and the ExternalSecret.
func (c *chain) start(t *testing.T) {
	t.Helper()
	apply(t, c.store)
	apply(t, c.external)
}

// newToken makes a token.
func (c *chain) newToken() string {
	token := (rand.Text() + rand.Text())[:40]
	c.secrets = append(c.secrets, token)
	return token
}

// put stores a credential: JSON whose password is the text of more JSON.
func (c *chain) put(t *testing.T, secrets map[string]string) {
	t.Helper()
	inner, err := json.Marshal(secrets)
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(object{"credential": object{"username": c.username, "password": string(inner)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.backend.Put(t.Context(), entry, document); err != nil {
		t.Fatal(err)
	}
}

// putToken stores a credential with that token.
func (c *chain) putToken(t *testing.T, token string) {
	t.Helper()
	c.put(t, map[string]string{"password": c.password, "token": token})
}

// refresh asks for a refresh now, unless the clock sees to it.
func (c *chain) refresh(t *testing.T) {
	t.Helper()
	if !c.byHand {
		return
	}
	c.refreshes++
	metadata := c.external["metadata"].(object)
	annotations, _ := metadata["annotations"].(object)
	if annotations == nil {
		annotations = object{}
		metadata["annotations"] = annotations
	}
	annotations["force-sync"] = fmt.Sprint(c.refreshes)
	apply(t, c.external)
}
