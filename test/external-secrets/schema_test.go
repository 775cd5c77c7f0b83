package externalsecrets

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

// A kind is what the API server knows of one kind of object.
type kind struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
}

// readKinds reads the resource definitions of the pinned module, and returns
// what is served, by apiVersion and kind.
func readKinds(t *testing.T) map[string]kind {
	t.Helper()
	source, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/external-secrets/external-secrets").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(source)), "config", "crds", "bases", "external-secrets.io_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]kind{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &definition); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, version := range definition.Spec.Versions {
			if !version.Served {
				continue
			}
			k, err := newKind(version.Schema)
			if err != nil {
				t.Fatalf("%s, %s: %v", file, version.Name, err)
			}
			kinds[definition.Spec.Group+"/"+version.Name+" "+definition.Spec.Names.Kind] = k
		}
	}
	return kinds
}

func newKind(versioned *apiextensionsv1.CustomResourceValidation) (kind, error) {
	var internal apiextensions.CustomResourceValidation
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(versioned, &internal, nil); err != nil {
		return kind{}, err
	}
	structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return kind{}, err
	}
	validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	return kind{structural, validator}, err
}

// take does to an object what the API server does that is asked for strict
// validation: it refuses unknown fields and wrong values, and sets defaults.
func (k kind) take(object map[string]any) error {
	options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	if unknown := pruning.PruneWithOptions(object, k.structural, true, options); len(unknown) > 0 {
		return fmt.Errorf("unknown fields: %s", strings.Join(unknown, ", "))
	}
	defaulting.Default(object, k.structural)
	return validation.ValidateCustomResource(nil, object, k.validator).ToAggregate()
}
