package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	strictjson "sigs.k8s.io/json"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const maxManifest = 2 << 20 // bytes; a Secret has at most 1 MiB, and base64 and YAML add to that

// Manifest is a Secret in a file.
type Manifest struct{ secret provision.Secret }

// Secret returns the same each time: the file is read once.
func (m Manifest) Secret(context.Context) (provision.Secret, error) { return m.secret, nil }

// ReadManifest reads one Secret in YAML or JSON, or a List with one. namespace
// is for a Secret that names none; one that names its namespace has to agree.
// Without either it is "default". What is wrong with a manifest is a *provision.Refusal.
func ReadManifest(from io.Reader, namespace string) (Manifest, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxManifest+1))
	if err != nil {
		return Manifest{}, fmt.Errorf("read the manifest: %w", err)
	}
	if len(text) > maxManifest {
		return Manifest{}, provision.NewRefusal("the manifest is larger than %d bytes", maxManifest)
	}
	document, err := OnlyDocument(text)
	switch {
	case errors.Is(err, errNoDocument):
		return Manifest{}, provision.NewRefusal("the manifest is empty")
	case errors.Is(err, errDocuments):
		return Manifest{}, provision.NewRefusal("the manifest holds more than one object, want one Secret")
	case err != nil: // a parser's text can show a key that was meant to be a value
		return Manifest{}, provision.NewRefusal("the manifest is not YAML or JSON, or has a key twice")
	}
	if document, err = onlySecret(document); err != nil {
		return Manifest{}, err
	}
	var found secret
	if unknown, err := strictjson.UnmarshalStrict(document, &found); err != nil || len(unknown) > 0 {
		// The decoder's text can show a value.
		return Manifest{}, provision.NewRefusal("the manifest is not a Secret with values in base64 under data, or as plain text under stringData (yes, no and numbers in quotes)")
	}
	switch {
	case found.Name == "":
		return Manifest{}, provision.NewRefusal("the manifest has no metadata.name")
	case validation.IsDNS1123Subdomain(found.Name) != nil:
		return Manifest{}, provision.NewRefusal("metadata.name of the manifest is not a valid Secret name: want lower-case letters, digits, - and .")
	case found.Namespace != "" && validation.IsDNS1123Label(found.Namespace) != nil:
		return Manifest{}, provision.NewRefusal("metadata.namespace of the manifest is not a valid namespace name: want lower-case letters, digits and -")
	case namespace != "" && found.Namespace != "" && found.Namespace != namespace:
		return Manifest{}, provision.NewRefusal("the manifest's namespace is %q, but the namespace asked for is %q", found.Namespace, namespace)
	}
	if found.Namespace == "" {
		found.Namespace = namespace
	}
	if found.Namespace == "" {
		found.Namespace = metav1.NamespaceDefault
	}
	return Manifest{toSecret(found)}, nil
}

// onlySecret returns the Secret, or the one in a List as kubectl prints it. The
// error names any other kind: an ExternalSecret is easily mistaken for its
// Secret.
func onlySecret(document []byte) ([]byte, error) {
	object, err := identify(document)
	if err != nil {
		return nil, err
	}
	if object.APIVersion == "v1" && object.Kind == "List" {
		if len(object.Items) != 1 {
			return nil, provision.NewRefusal("the manifest is a List of %d objects, want one Secret", len(object.Items))
		}
		document = object.Items[0]
		if object, err = identify(document); err != nil {
			return nil, err
		}
	}
	if object.APIVersion != "v1" || object.Kind != "Secret" {
		return nil, provision.NewRefusal("the manifest holds %s: want a Secret, apiVersion v1", object.name())
	}
	return document, nil
}

// identity is what every Kubernetes object says about itself.
type identity struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

func identify(document []byte) (identity, error) {
	var object identity
	if err := strictjson.UnmarshalCaseSensitivePreserveInts(document, &object); err != nil {
		return object, provision.NewRefusal("the manifest does not hold a Kubernetes object")
	}
	return object, nil
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// name is KIND or KIND NAME, as far as these can be shown.
func (i identity) name() string {
	if i.Kind == "" || strings.Trim(i.Kind, letters) != "" {
		return "an object of unknown kind"
	}
	if validation.IsDNS1123Subdomain(i.Metadata.Name) != nil {
		return i.Kind
	}
	return i.Kind + " " + i.Metadata.Name
}
