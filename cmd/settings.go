package cmd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// settings are the options, checked.
type settings struct {
	options
	nautobotURL *url.URL
	roots       *x509.CertPool
	hosts       provision.AllowedHosts
	rules       provision.Policy
	token       provision.Sensitive // empty: the superuser Secret has it
}

// settings reads the environment and checks all there is. Every error is a
// usageError that names the flag and the variable.
func (o *options) settings(flags *pflag.FlagSet) (settings, error) {
	env, err := fromEnvironment(flags)
	if err != nil {
		return settings{}, err
	}
	s := settings{options: *o}
	for _, check := range []func() error{
		func() error { return s.checkWords() },
		func() error { return s.checkNautobot() },
		func() error { return s.checkCluster() },
		func() error { return s.checkPolicy(flags) },
		func() error { return s.takeToken(env) },
	} {
		if err := check(); err != nil {
			return settings{}, usageError{err}
		}
	}
	return s, nil
}

func (s *settings) checkWords() error {
	switch {
	case s.output != "text" && s.output != "json":
		return fmt.Errorf("%s: %q: want text or json", named("output"), s.output)
	case s.logFormat != "" && s.logFormat != "text" && s.logFormat != "json":
		return fmt.Errorf("%s: %q: want text or json", named("log-format"), s.logFormat)
	case s.detailedExitcode && !s.dryRun:
		return fmt.Errorf("%s goes with --dry-run only", named("detailed-exitcode"))
	case s.timeout <= 0:
		return fmt.Errorf("%s: %s: want more than 0", named("timeout"), s.timeout)
	case s.grace < 0:
		return fmt.Errorf("%s: %s: want 0 or more", named("rotation-grace"), s.grace)
	}
	return nil
}

// checkNautobot never shows the URL: it may hold a password by mistake.
func (s *settings) checkNautobot() error {
	if s.url == "" {
		return fmt.Errorf("%s is required: the URL of Nautobot", named("nautobot-url"))
	}
	u, err := url.Parse(s.url)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("%s: want https://HOST[:PORT][/PATH], without user, query or fragment", named("nautobot-url"))
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) && !s.insecureHTTP {
		return fmt.Errorf("%s: plain http shows passwords and tokens on the way: use https, or allow it with %s",
			named("nautobot-url"), named("insecure-http"))
	}
	s.nautobotURL = u
	if s.hosts, err = provision.NewAllowedHosts(u, s.hostnames); err != nil {
		return fmt.Errorf("%s: %w", named("nautobot-hostname"), err)
	}
	if s.caFile == "" {
		return nil
	}
	bundle, err := os.ReadFile(s.caFile)
	if err != nil {
		return fmt.Errorf("%s: %w", named("nautobot-ca-file"), err)
	}
	if s.roots, err = x509.SystemCertPool(); err != nil {
		s.roots = x509.NewCertPool()
	}
	if !s.roots.AppendCertsFromPEM(bundle) {
		return fmt.Errorf("%s: %s holds no certificate in PEM", named("nautobot-ca-file"), s.caFile)
	}
	return nil
}

func loopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

func (s *settings) checkCluster() error {
	namespace, name, ok := strings.Cut(s.superuserSecret, "/")
	if !ok || validation.IsDNS1123Label(namespace) != nil || validation.IsDNS1123Subdomain(name) != nil {
		return fmt.Errorf("%s: %q: want NAMESPACE/NAME", named("superuser-secret"), s.superuserSecret)
	}
	if s.cluster != "" && validation.IsDNS1123Subdomain(s.cluster) != nil {
		return fmt.Errorf("%s: %q: want lower-case letters, digits, - and .", named("cluster"), s.cluster)
	}
	return nil
}

// checkPolicy reads the policy file, or makes the one rule of the flags.
func (s *settings) checkPolicy(flags *pflag.FlagSet) error {
	inRule := []string{"superuser", "group", "adopt", "exclusive"}
	if s.policy != "" {
		for _, flag := range inRule {
			if flags.Changed(flag) {
				return fmt.Errorf("--%s does not go with %s: the policy's rules say it", flag, named("policy"))
			}
		}
		var err error
		if s.rules, err = readPolicy(s.policy); err != nil {
			return fmt.Errorf("%s: %w", named("policy"), err)
		}
		return nil
	}
	rule := provision.Rule{
		Secrets: []string{"*"}, Usernames: []string{"*"},
		Groups: s.groups, Superuser: s.superuser, Adopt: s.adopt, Exclusive: s.exclusive,
	}
	if key, err := rule.Validate(); err != nil {
		return fmt.Errorf("--%s: %w", strings.TrimSuffix(key, "s"), err)
	}
	s.rules = provision.Policy{ManagedGroup: provision.DefaultManagedGroup, Rules: []provision.Rule{rule}}
	return nil
}

// takeToken takes the superuser token from the environment, if it is there.
func (s *settings) takeToken(env environment) error {
	text := env.Token
	switch {
	case env.Token != "" && env.TokenFile != "":
		return errors.New("NAUTOBOT_TOKEN and NAUTOBOT_TOKEN_FILE are both set: give one")
	case env.TokenFile != "":
		file, err := os.ReadFile(env.TokenFile)
		if err != nil {
			return fmt.Errorf("NAUTOBOT_TOKEN_FILE: %w", err)
		}
		text = string(file)
	case env.Token == "":
		return nil
	}
	var err error
	if s.token, err = superuserToken(text); err != nil {
		return fmt.Errorf("NAUTOBOT_TOKEN or NAUTOBOT_TOKEN_FILE: %w", err)
	}
	return nil
}

// superuserToken checks that a token can stand in a header; the rules for
// other tokens do not hold for it, Nautobot's own start makes shorter ones.
func superuserToken(text string) (provision.Sensitive, error) {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return provision.Sensitive{}, errors.New("the superuser token is empty, or has characters that no token has")
	}
	return provision.Hide(text), nil
}

// superuserToken is the one that was given, or else the superuser Secret's.
func (s *settings) superuserToken(ctx context.Context, cluster *kube.Client) (provision.Sensitive, error) {
	if !s.token.Empty() {
		return s.token, nil
	}
	namespace, name := s.superuserSecretName()
	value, err := cluster.SuperuserToken(ctx, namespace, name, s.tokenKeys())
	if err != nil {
		return value, err
	}
	token, err := superuserToken(value.Reveal())
	if err != nil {
		return token, fmt.Errorf("Secret %s: %w", s.superuserSecret, err)
	}
	return token, nil
}

func (s *settings) superuserSecretName() (namespace, name string) {
	namespace, name, _ = strings.Cut(s.superuserSecret, "/")
	return namespace, name
}

// tokenKeys are the keys that the superuser token may stand under.
func (s *settings) tokenKeys() []string {
	if s.superuserSecretKey != "" {
		return []string{s.superuserSecretKey}
	}
	return []string{"apitoken", "token"}
}

func (s *settings) connect() (*kube.Client, error) {
	cluster, err := kube.Connect(s.kubeconfig, s.context, userAgent())
	if err != nil {
		return nil, usagef("%s, --context: %w", named("kubeconfig"), err)
	}
	return cluster, nil
}

// logger writes for people on a terminal, and for machines elsewhere.
func (s *settings) logger(stderr io.Writer) *slog.Logger {
	format := s.logFormat
	if format == "" {
		format = "json"
		if file, ok := stderr.(*os.File); ok {
			if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				format = "text"
			}
		}
	}
	options := &slog.HandlerOptions{Level: s.level.Level}
	if format == "text" {
		return slog.New(slog.NewTextHandler(stderr, options))
	}
	return slog.New(slog.NewJSONHandler(stderr, options))
}
