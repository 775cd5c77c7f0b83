package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const maxPolicy = 1 << 20 // bytes, as a ConfigMap

// readPolicy reads a policy file. Every error says where it is: FILE:LINE and
// the key.
func readPolicy(file string) (provision.Policy, error) {
	open, err := os.Open(file) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return provision.Policy{}, err
	}
	defer func() { _ = open.Close() }()
	text, err := io.ReadAll(io.LimitReader(open, maxPolicy+1))
	if err != nil {
		return provision.Policy{}, err
	}
	if len(text) > maxPolicy {
		return provision.Policy{}, fmt.Errorf("%s is larger than %d bytes", file, maxPolicy)
	}
	policy, err := parsePolicy(text)
	if err != nil {
		return provision.Policy{}, fmt.Errorf("%s:%w", file, err)
	}
	policy.File = file
	return policy, nil
}

// parsePolicy takes YAML, strictly: no unknown keys, no anchors, one document.
// Its errors begin with the number of the line.
func parsePolicy(text []byte) (provision.Policy, error) {
	var policy provision.Policy
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return policy, at(1, "", errors.New("the file is empty; want rules:"))
	} else if err != nil {
		return policy, yamlError(err)
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		return policy, at(second.Line, "", errors.New("want one YAML document"))
	} else if !errors.Is(err, io.EOF) {
		return policy, yamlError(err)
	}
	top, err := fields(document.Content[0], "managedGroup", "rules")
	if err != nil {
		return policy, err
	}

	policy.ManagedGroup = provision.DefaultManagedGroup
	if node := top["managedGroup"]; node != nil {
		if err := scalar(node, "managedGroup", "!!str", &policy.ManagedGroup); err != nil {
			return policy, err
		}
		if policy.ManagedGroup == "" || strings.TrimSpace(policy.ManagedGroup) != policy.ManagedGroup {
			return policy, at(node.Line, "managedGroup", errors.New("want the name of a group"))
		}
	}
	rules := top["rules"]
	if rules == nil || rules.Kind != yaml.SequenceNode || len(rules.Content) == 0 || rules.Anchor != "" {
		return policy, at(lineOf(rules, document.Content[0]), "rules", errors.New("want a list of rules: without any, every Secret is refused"))
	}
	for _, node := range rules.Content {
		rule, err := parseRule(node)
		if err != nil {
			return policy, err
		}
		policy.Rules = append(policy.Rules, rule)
	}
	return policy, nil
}

func parseRule(node *yaml.Node) (provision.Rule, error) {
	rule := provision.Rule{Line: node.Line, Secrets: []string{"*"}}
	keys, err := fields(node, "namespace", "secrets", "usernames", "groups", "superuser", "adopt", "exclusive")
	if err != nil {
		return rule, err
	}
	for _, err := range []error{
		scalar(keys["namespace"], "namespace", "!!str", &rule.Namespace),
		list(keys["secrets"], "secrets", &rule.Secrets),
		list(keys["usernames"], "usernames", &rule.Usernames),
		list(keys["groups"], "groups", &rule.Groups),
		scalar(keys["superuser"], "superuser", "!!bool", &rule.Superuser),
		scalar(keys["adopt"], "adopt", "!!bool", &rule.Adopt),
		scalar(keys["exclusive"], "exclusive", "!!bool", &rule.Exclusive),
	} {
		if err != nil {
			return rule, err
		}
	}
	if problems := validation.IsDNS1123Label(rule.Namespace); problems != nil {
		return rule, at(lineOf(keys["namespace"], node), "namespace", errors.New("want the name of one namespace"))
	}
	if key, err := rule.Validate(); err != nil {
		return rule, at(lineOf(keys[key], node), key, err)
	}
	return rule, nil
}

// fields are the values of a mapping, by key. Keys that are not known, or come
// twice, are errors.
func fields(node *yaml.Node, known ...string) (map[string]*yaml.Node, error) {
	if node.Kind != yaml.MappingNode || node.Anchor != "" {
		return nil, at(node.Line, "", fmt.Errorf("want keys and values: %s", strings.Join(known, ", ")))
	}
	found := map[string]*yaml.Node{}
	for i := 0; i < len(node.Content); i += 2 {
		key := node.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "":
			return nil, at(key.Line, "", fmt.Errorf("want a plain key, without an anchor: %s", strings.Join(known, ", ")))
		case !slices.Contains(known, key.Value):
			return nil, at(key.Line, key.Value, fmt.Errorf("is no key of a policy; known here: %s", strings.Join(known, ", ")))
		case found[key.Value] != nil:
			return nil, at(key.Line, key.Value, errors.New("stands there twice"))
		}
		found[key.Value] = node.Content[i+1]
	}
	return found, nil
}

// list reads a list of texts; an absent one stays as it is.
func list(node *yaml.Node, key string, into *[]string) error {
	if node == nil {
		return nil
	}
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 || node.Anchor != "" {
		return at(node.Line, key, errors.New("want a list of texts"))
	}
	*into = make([]string, len(node.Content))
	for i, item := range node.Content {
		if err := scalar(item, key, "!!str", &(*into)[i]); err != nil {
			return err
		}
	}
	return nil
}

// scalar reads one value of a type; an absent one stays as it is.
func scalar(node *yaml.Node, key, tag string, into any) error {
	if node == nil {
		return nil
	}
	if node.Kind != yaml.ScalarNode || node.Tag != tag || node.Anchor != "" || node.Decode(into) != nil {
		return at(node.Line, key, fmt.Errorf("want %s", map[string]string{"!!str": "a text", "!!bool": "true or false"}[tag]))
	}
	return nil
}

// at is an error at a line: "3: key: text".
func at(line int, key string, err error) error {
	if key != "" {
		return fmt.Errorf("%d: %s: %w", line, key, err)
	}
	return fmt.Errorf("%d: %w", line, err)
}

// lineOf is a value's, or its rule's where there is no such value.
func lineOf(node, rule *yaml.Node) int {
	if node == nil {
		return rule.Line
	}
	return node.Line
}

// yamlError turns "yaml: line 3: text" into "3: text".
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		return errors.New(rest)
	}
	return at(1, "", errors.New(text))
}
