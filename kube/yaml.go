package kube

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	goyaml "go.yaml.in/yaml/v2"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

var (
	errNoYAML     = errors.New("not YAML or JSON")
	errNoDocument = errors.New("empty")
	errDocuments  = errors.New("more than one document")
)

// OnlyDocument turns the only YAML document in a text, not counting empty ones,
// into JSON. A duplicate key is an error, and so is a second document. Errors name
// lines and keys, and never show a value.
func OnlyDocument(text []byte) ([]byte, error) {
	if isJSON(text) {
		return text, nil
	}
	var only []byte
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		part, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errNoYAML
		}
		switch n := documents(part); {
		case n == 0:
			continue // nothing but comments
		case n > 1 || only != nil:
			return nil, errDocuments
		}
		only = part
	}
	if only == nil {
		return nil, errNoDocument
	}
	asJSON, err := yaml.YAMLToJSONStrict(only)
	if err != nil {
		return nil, yamlError(err)
	}
	return asJSON, nil
}

// isJSON reports whether a text is one JSON object without duplicate keys. YAML's
// parser cannot read all of them: not \/, nor an emoji as two \u.
func isJSON(text []byte) bool {
	var content map[string]any
	unclear, err := strictjson.UnmarshalStrict(text, &content)
	return err == nil && len(unclear) == 0 && content != nil
}

// documents counts the documents that are not empty, up to two. One can follow
// another without a line ---, and then only the first would be read. A text that
// cannot be parsed counts as one.
func documents(text []byte) (n int) {
	for decoder := goyaml.NewDecoder(bytes.NewReader(text)); n < 2; {
		var content any
		err := decoder.Decode(&content)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n + 1
		}
		if content != nil {
			n++
		}
	}
	return n
}

// yamlError keeps what the parser says about lines and keys, in one line. Other
// texts can show a value.
func yamlError(err error) error {
	text, ok := strings.CutPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(text, "unknown anchor") {
		return errors.New("an alias without an anchor: a text that begins with * needs quotes")
	}
	if !ok || strings.Contains(text, "`") || strings.HasPrefix(text, "invalid map key") {
		return errNoYAML
	}
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return errors.New(strings.Join(lines, "; "))
}
