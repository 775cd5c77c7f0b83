package kube

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	goyaml "go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const maxManifest = 4 << 20 // bytes; a Secret has 1 MiB at most, base64 and YAML add to it

// Manifest is a Secret that stands in a file.
type Manifest struct{ secret provision.Secret }

// Secret is the same each time: a file is read once.
func (m Manifest) Secret(context.Context) (provision.Secret, error) { return m.secret, nil }

// ReadManifest reads one Secret in YAML or JSON. namespace is for a Secret
// that names none, and has to agree with one that does; empty: "default".
// What is wrong with a manifest is a *provision.Refusal.
func ReadManifest(from io.Reader, namespace string) (Manifest, error) {
	document, err := onlyDocument(from)
	if err != nil {
		return Manifest{}, err
	}
	var secret corev1.Secret
	if !strictly(document, &secret) {
		// The decoder's text can quote a value.
		return Manifest{}, provision.NewRefusal("the manifest is not a Secret in YAML or JSON with values in base64 under data, or as they are under stringData (yes, no and numbers in quotes)")
	}
	switch {
	case secret.APIVersion != "v1" || secret.Kind != "Secret":
		return Manifest{}, provision.NewRefusal("the manifest holds %q of %q, want a Secret of v1", secret.Kind, secret.APIVersion)
	case secret.Name == "":
		return Manifest{}, provision.NewRefusal("the manifest has no metadata.name")
	case validation.IsDNS1123Subdomain(secret.Name) != nil:
		return Manifest{}, provision.NewRefusal("metadata.name of the manifest is no name of a Secret: want lower-case letters, digits, - and .")
	case secret.Namespace != "" && validation.IsDNS1123Label(secret.Namespace) != nil:
		return Manifest{}, provision.NewRefusal("metadata.namespace of the manifest is no name of a namespace: want lower-case letters, digits and -")
	case namespace != "" && secret.Namespace != "" && secret.Namespace != namespace:
		return Manifest{}, provision.NewRefusal("the manifest's namespace is %q, the namespace asked for is %q", secret.Namespace, namespace)
	}
	if secret.Namespace == "" {
		secret.Namespace = namespace
	}
	if secret.Namespace == "" {
		secret.Namespace = corev1.NamespaceDefault
	}
	return Manifest{toSecret(secret)}, nil
}

// strictly decodes a Secret as it stands there: a text that is not quoted and
// means something else in YAML, such as yes, is no text.
func strictly(document []byte, secret *corev1.Secret) bool {
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil || !whole(document) {
		return false
	}
	unknown, err := json.UnmarshalStrict(text, secret)
	return err == nil && len(unknown) == 0
}

// whole tells whether the text is one document to its end: several of JSON can
// follow each other without a separator, and only the first would count.
func whole(text []byte) bool {
	decoder := goyaml.NewDecoder(bytes.NewReader(text))
	var node goyaml.Node
	return decoder.Decode(&node) == nil && errors.Is(decoder.Decode(&node), io.EOF)
}

// onlyDocument returns the only YAML document that is not empty.
func onlyDocument(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if len(text) > maxManifest {
		return nil, provision.NewRefusal("the manifest is larger than %d bytes", maxManifest)
	}
	var only []byte
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, provision.NewRefusal("the manifest is not YAML or JSON")
		}
		var content any
		if yaml.Unmarshal(document, &content) == nil && content == nil {
			continue // nothing but comments
		}
		if only != nil {
			return nil, provision.NewRefusal("the manifest holds more than one object, want one Secret")
		}
		only = document
	}
	if only == nil {
		return nil, provision.NewRefusal("the manifest is empty")
	}
	return only, nil
}
