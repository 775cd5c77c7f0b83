package externalsecrets

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/PaesslerAG/jsonpath"
	"github.com/go-logr/logr"
	"github.com/tidwall/gjson"
	corev1 "k8s.io/api/core/v1"

	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	"github.com/external-secrets/external-secrets/pkg/controllers/templating"
	"github.com/external-secrets/external-secrets/pkg/esutils"
	"github.com/external-secrets/external-secrets/pkg/template"
)

// render makes of a document in the backend the Secret that the controller
// makes of it. Its own code for this is in packages that import every provider;
// what little is here of it goes on to the same functions.
func render(e example, document string) (*corev1.Secret, error) {
	data := map[string][]byte{}
	for i, source := range e.secret.Spec.DataFrom {
		if source.Extract == nil || source.SourceRef != nil || source.Rewrite != nil {
			return nil, fmt.Errorf("dataFrom[%d] is not a plain extract, which is all that this test knows", i)
		}
		extracted, err := extract(e.store, *source.Extract, document)
		if err != nil {
			return nil, fmt.Errorf("dataFrom[%d]: %w", i, err)
		}
		data = esutils.MergeByteMap(data, extracted)
	}
	target := e.secret.Spec.Target.Template
	if len(e.secret.Spec.Data) > 0 || target == nil || len(target.TemplateFrom) > 0 || target.MergePolicy == esv1.MergePolicyMerge {
		return nil, errors.New("it is more than dataFrom and a template that says everything, which is all that this test knows")
	}

	execute, err := template.EngineForVersion(target.EngineVersion)
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{Type: target.Type}
	parser := templating.Parser{Exec: execute, DataMap: data, TargetSecret: secret}
	for part, texts := range map[esv1.TemplateTarget]map[string]string{
		esv1.TemplateTargetData:        target.Data,
		esv1.TemplateTargetLabels:      target.Metadata.Labels,
		esv1.TemplateTargetAnnotations: target.Metadata.Annotations,
	} {
		if err := parser.MergeMap(texts, part); err != nil {
			return nil, err
		}
	}
	return secret, nil
}

// extract is what dataFrom.extract takes out of a document.
func extract(store *esv1.SecretStoreSpec, ref esv1.ExternalSecretDataRemoteRef, document string) (map[string][]byte, error) {
	object, err := provide(store.Provider, ref.Property, document)
	if err != nil {
		return nil, err
	}
	values := map[string][]byte{}
	for key := range object {
		if values[key], err = esutils.GetByteValueFromMap(object, key); err != nil {
			return nil, err
		}
	}
	if values, err = esutils.ConvertKeys(ref.ConversionStrategy, values); err != nil {
		return nil, err
	}
	if err := esutils.ValidateKeys(logr.Discard(), values); err != nil {
		return nil, err
	}
	return esutils.DecodeMap(ref.DecodingStrategy, values)
}

// provide is the JSON object that a provider finds in a document.
func provide(provider *esv1.SecretStoreProvider, property, document string) (map[string]any, error) {
	var object map[string]any
	if provider.Webhook != nil { // knows no properties
		var whole any
		if err := json.Unmarshal([]byte(document), &whole); err != nil {
			return nil, err
		}
		part, err := jsonpath.Get(provider.Webhook.Result.JSONPath, whole)
		if err != nil {
			return nil, err
		}
		object, found := part.(map[string]any)
		if !found {
			return nil, fmt.Errorf("there is a %T at %s, not an object", part, provider.Webhook.Result.JSONPath)
		}
		return object, nil
	}
	if property != "" {
		part := gjson.Get(document, property)
		if !part.Exists() {
			return nil, fmt.Errorf("there is no %s", property)
		}
		document = part.String()
	}
	return object, json.Unmarshal([]byte(document), &object)
}
