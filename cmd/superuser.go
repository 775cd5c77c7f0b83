package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// takeToken takes the superuser token from the environment, if it is there.
func (s *settings) takeToken(ctx context.Context, env environment) error {
	variable, text := "NAUTOBOT_TOKEN", env.Token
	switch {
	case env.Token != "" && env.TokenFile != "":
		return errors.New("NAUTOBOT_TOKEN and NAUTOBOT_TOKEN_FILE are both set: give one")
	case env.TokenFile != "":
		variable = "NAUTOBOT_TOKEN_FILE"
		content, err := readFile(ctx, env.TokenFile)
		if err != nil {
			return fmt.Errorf("%s: %w", variable, err)
		}
		text = string(content)
	case env.Token == "":
		return nil
	}
	var err error
	if s.token, err = readToken(text); err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	return nil
}

// superuserToken is the one from the environment, or else from the superuser
// Secret. Its errors are never refusals: the Secret may well appear a little later.
func (s *settings) superuserToken(ctx context.Context, cluster *kube.Client) (provision.Sensitive, error) {
	if !s.token.Empty() {
		return s.token, nil
	}
	secret, err := cluster.Secret(ctx, s.superuserNamespace(), s.superuserName())
	if err != nil { // %v: if this Secret is gone, that says nothing about the account's
		return provision.Sensitive{}, fmt.Errorf("superuser token: %v", err)
	}
	text, err := s.tokenOf(secret)
	if err != nil {
		return provision.Sensitive{}, fmt.Errorf("superuser token: Secret %s: %w", s.superuserSecret, err)
	}
	return text, nil
}

func (s *settings) superuserNamespace() string {
	namespace, _, _ := strings.Cut(s.superuserSecret, "/")
	return namespace
}

func (s *settings) superuserName() string {
	_, name, _ := strings.Cut(s.superuserSecret, "/")
	return name
}

// tokenKeys are the keys that may hold the superuser token; the first that is
// not empty counts.
func (s *settings) tokenKeys() []string {
	if s.superuserSecretKey != "" {
		return []string{s.superuserSecretKey}
	}
	return []string{"apitoken", "token"}
}

// tokenOf is the superuser token in its Secret.
func (s *settings) tokenOf(secret provision.Secret) (provision.Sensitive, error) {
	keys := "the keys apitoken and token are"
	if s.superuserSecretKey != "" {
		keys = "the key of " + flagAndVariable("superuser-secret-key") + " is" // not its value, which may be the token by mistake
	}
	found := false
	for _, key := range s.tokenKeys() {
		value, ok := secret.Data[key]
		found = found || ok
		if strings.TrimSpace(value.Reveal()) != "" {
			return readToken(value.Reveal())
		}
	}
	if found {
		return provision.Sensitive{}, fmt.Errorf("%s empty", keys)
	}
	return provision.Sensitive{}, fmt.Errorf("%s missing", keys)
}

// readToken checks that a token can be sent in a header, and names the usual
// ways to get it wrong. The rules for the tokens in Secrets do not apply to it:
// Nautobot's own setup creates shorter ones.
func readToken(text string) (provision.Sensitive, error) {
	text = strings.TrimSpace(text)
	scheme, _, blank := strings.Cut(text, " ")
	switch {
	case text == "":
		return provision.Sensitive{}, errors.New("the token is empty")
	case strings.HasPrefix(text, "\ufeff"):
		return provision.Sensitive{}, errors.New("the token begins with a byte order mark: save it without one")
	case strings.ContainsAny(text[:1]+text[len(text)-1:], `"'`):
		return provision.Sensitive{}, errors.New("the token is in quotes: give it without them")
	case blank && (strings.EqualFold(scheme, "Token") || strings.EqualFold(scheme, "Bearer")):
		return provision.Sensitive{}, errors.New("the token begins with Token or Bearer: give the token alone")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return provision.Sensitive{}, errors.New("the token contains characters that are not allowed in a token")
	}
	return provision.Hide(text), nil
}
