package externalsecrets

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
)

// readExamples reads all ExternalSecrets among the examples.
func readExamples(t *testing.T) []example {
	t.Helper()
	kinds := readKinds(t)
	var all []example
	err := filepath.WalkDir(examplesDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		found, err := readFile(path, kinds)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, found...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 3 {
		t.Fatalf("%d ExternalSecrets in %s, want one for each backend", len(all), examplesDir)
	}
	return all
}

// readFile reads the ExternalSecrets and the stores of a file.
func readFile(path string, kinds map[string]kind) ([]example, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var secrets []*esv1.ExternalSecret
	stores := map[string]*esv1.SecretStoreSpec{} // by kind, namespace and name
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := readObject(document, kinds, &secrets, stores); err != nil {
			return nil, err
		}
	}
	var all []example
	for _, secret := range secrets {
		ref := secret.Spec.SecretStoreRef
		e := example{
			name:   strings.TrimPrefix(path, examplesDir+"/") + " " + secret.Name,
			store:  stores[storeKey(ref.Kind, secret.Namespace, ref.Name)],
			secret: secret,
		}
		if e.store == nil {
			return nil, errors.New("no " + ref.Kind + " " + ref.Name + " in the file, which ExternalSecret " + secret.Name + " refers to")
		}
		all = append(all, e)
	}
	return all, nil
}

func storeKey(kind, namespace, name string) string {
	if kind == esv1.ClusterSecretStoreKind {
		namespace = ""
	}
	return kind + " " + namespace + "/" + name
}

// readObject takes an object if it is one of External Secrets'.
func readObject(document []byte, kinds map[string]kind, secrets *[]*esv1.ExternalSecret, stores map[string]*esv1.SecretStoreSpec) error {
	var object map[string]any
	if err := yaml.UnmarshalStrict(document, &object); err != nil { // with duplicate keys, for one
		return err
	}
	apiVersion, _ := object["apiVersion"].(string)
	if !strings.HasPrefix(apiVersion, "external-secrets.io/") {
		return nil
	}
	name, _ := object["kind"].(string)
	known, found := kinds[apiVersion+" "+name]
	if !found {
		return errors.New("the API server does not serve " + apiVersion + " " + name)
	}
	if err := known.take(object); err != nil {
		return err
	}
	completed, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	switch name {
	case esv1.ExtSecretKind:
		secret := &esv1.ExternalSecret{}
		*secrets = append(*secrets, secret)
		// Among others, the definition takes any text for an interval, and the
		// controller trips over one that is none, with all others of the cluster.
		if err := yaml.UnmarshalStrict(completed, secret); err != nil {
			return err
		}
		if interval := secret.Spec.RefreshInterval; interval == nil || interval.Duration <= 0 {
			return errors.New("ExternalSecret " + secret.Name + " is never refreshed")
		}
		_, err := new(esv1.ExternalSecretValidator).ValidateCreate(context.Background(), secret)
		return err
	case esv1.SecretStoreKind, esv1.ClusterSecretStoreKind:
		store := &esv1.SecretStore{} // the other one has the same fields
		if err := yaml.UnmarshalStrict(completed, store); err != nil {
			return err
		}
		stores[storeKey(name, store.Namespace, store.Name)] = &store.Spec
		return nil
	default:
		return errors.New("this test does not know what a " + name + " is for")
	}
}
