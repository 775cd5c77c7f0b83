package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// policyFile is a policy as it is written. A tag says where a list may be empty:
// anywhere else, one reader would take an empty list to mean everything, and
// another to mean nothing.
type policyFile struct {
	ManagedGroup *string    `json:"managedGroup"`
	Rules        []ruleFile `json:"rules"`
}

type ruleFile struct {
	Namespace string   `json:"namespace"`
	Secrets   []string `json:"secrets"`
	Usernames []string `json:"usernames"`
	Groups    []string `json:"groups"`
	Superuser bool     `json:"superuser"`
	Adopt     bool     `json:"adopt"`
	AdoptFrom []string `json:"adoptFrom" empty:"allowed"`
	Exclusive bool     `json:"exclusive"`
	Revoke    bool     `json:"revoke"`
}

// readPolicy reads a policy file. Its errors name all the mistakes by their
// paths.
func readPolicy(ctx context.Context, file string) (provision.Policy, error) {
	text, err := readFile(ctx, file)
	if err != nil {
		return provision.Policy{}, err
	}
	policy, err := parsePolicy(text)
	policy.File = file
	return policy, err
}

// mostMistakes is how many are reported: check reads the policy of whoever wrote
// the ConfigMap.
const mostMistakes = 20

// parsePolicy is strict: anything unknown, and anything ambiguous, is a mistake.
func parsePolicy(text []byte) (provision.Policy, error) {
	document, err := kube.OnlyDocument(text)
	if err != nil {
		return provision.Policy{}, fmt.Errorf("want one policy in YAML: %w", err)
	}
	var content any
	if err := json.Unmarshal(document, &content); err != nil {
		return provision.Policy{}, errors.New("want one policy in YAML")
	}
	mistakes := mistakesIn("", content, reflect.TypeFor[policyFile](), false)
	var file policyFile
	if mistakes == nil {
		err = json.Unmarshal(document, &file)
	}
	if err != nil {
		return provision.Policy{}, errors.New("want one policy in YAML")
	}

	policy := provision.Policy{ManagedGroup: provision.DefaultManagedGroup}
	if file.ManagedGroup != nil {
		policy.ManagedGroup = *file.ManagedGroup
		if err := provision.ValidateManagedGroup(policy.ManagedGroup); err != nil {
			mistakes = append(mistakes, "managedGroup: "+err.Error())
		}
	}
	if mistakes == nil && file.Rules == nil {
		mistakes = append(mistakes, "rules: required: without a rule every Secret is refused")
	}
	for i, r := range file.Rules {
		rule := provision.Rule{
			Namespace: r.Namespace, Secrets: r.Secrets, Usernames: r.Usernames, Groups: r.Groups,
			Superuser: r.Superuser, Adopt: r.Adopt, AdoptFrom: r.AdoptFrom, Exclusive: r.Exclusive, Revoke: r.Revoke,
		}
		if rule.Secrets == nil {
			rule.Secrets = []string{"*"}
		}
		if validation.IsDNS1123Label(rule.Namespace) != nil {
			mistakes = append(mistakes, fmt.Sprintf("rules[%d].namespace: want the name of a single namespace", i))
		}
		if key, err := rule.Validate(); err != nil {
			mistakes = append(mistakes, fmt.Sprintf("rules[%d].%s: %v", i, key, err))
		} else if j := slices.IndexFunc(rule.Secrets, matchesNothing); j >= 0 {
			mistakes = append(mistakes, fmt.Sprintf("rules[%d].secrets: %q is not a valid Secret name: want lower-case letters, digits, - and ., with a letter or digit at both ends", i, rule.Secrets[j]))
		}
		policy.Rules = append(policy.Rules, rule)
	}
	if more := len(mistakes) - mostMistakes; more > 0 {
		mistakes = append(mistakes[:mostMistakes], fmt.Sprintf("and %d more", more))
	}
	if mistakes != nil {
		return provision.Policy{}, errors.New(strings.Join(mistakes, "; "))
	}
	return policy, nil
}

// matchesNothing reports whether no Secret can have a name that matches the glob.
func matchesNothing(glob string) bool {
	return validation.IsDNS1123Subdomain(strings.NewReplacer("*", "x", "?", "x").Replace(glob)) != nil
}

// mistakesIn finds what cannot be read as the type, each with its path. A null
// value or an empty list is never what was meant: a key that lost its value would
// otherwise count as one that was left out.
func mistakesIn(path string, value any, want reflect.Type, mayBeEmpty bool) []string {
	mistake := func(text string) []string {
		return []string{strings.TrimPrefix(path+": "+text, ": ")}
	}
	switch want.Kind() {
	case reflect.Pointer:
		return mistakesIn(path, value, want.Elem(), false)
	case reflect.Struct:
		return mistakesInKeys(path, value, want)
	case reflect.Slice:
		items, ok := value.([]any)
		if !ok || len(items) == 0 && !mayBeEmpty {
			return mistake("want a list with at least one item")
		}
		var mistakes []string
		for i, item := range items {
			mistakes = append(mistakes, mistakesIn(fmt.Sprintf("%s[%d]", path, i), item, want.Elem(), false)...)
		}
		return mistakes
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			return mistake("want true or false")
		}
	default:
		if _, ok := value.(string); !ok {
			return mistake("want a string (numbers, yes and no in quotes)")
		}
	}
	return nil
}

// mistakesInKeys checks the keys of a struct, and their values.
func mistakesInKeys(path string, value any, want reflect.Type) []string {
	prefix := ""
	if path != "" {
		prefix = path + "."
	}
	known := map[string]reflect.StructField{}
	var names []string
	for field := range want.Fields() {
		name := field.Tag.Get("json")
		known[name], names = field, append(names, name)
	}
	given, ok := value.(map[string]any)
	if !ok {
		return []string{strings.TrimPrefix(path+": ", ": ") + "want keys and values: " + strings.Join(names, ", ")}
	}
	var mistakes []string
	for _, key := range slices.Sorted(maps.Keys(given)) {
		field, ok := known[key]
		if !ok {
			mistakes = append(mistakes, prefix+key+": unknown key, want one of "+strings.Join(names, ", "))
			continue
		}
		mistakes = append(mistakes, mistakesIn(prefix+key, given[key], field.Type, field.Tag.Get("empty") == "allowed")...)
	}
	return mistakes
}
