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
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// settings are the options, checked, and the contents of the files they name.
type settings struct {
	options
	nautobotURL *url.URL
	roots       *x509.CertPool
	hosts       provision.AllowedHosts
	rules       provision.Policy
	token       provision.Sensitive // empty: the superuser Secret has it
	patience    time.Duration       // with one read; 0: until the run ends
}

// check takes what the command line left open from the environment and checks
// all of it. Every error is a usageError that names the flag and the variable.
func (o *options) check(ctx context.Context, flags *pflag.FlagSet) (*settings, error) {
	env, err := fromEnvironment(flags)
	if err != nil {
		return nil, err
	}
	s := &settings{options: *o}
	ctx, cancel := s.withTimeout(ctx) // a file may be a pipe
	defer cancel()
	if err := firstMistake(
		s.checkOutput,
		s.checkURL,
		func() error { return s.readRoots(ctx) },
		s.checkCluster,
		func() error { return s.checkPolicy(ctx, flags) },
		func() error { return s.takeToken(ctx, env) },
	); err != nil {
		return nil, err
	}
	return s, nil
}

// firstMistake returns the first error, as a mistake.
func firstMistake(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return mistake(err)
		}
	}
	return nil
}

// mistake makes an error a usageError, unless it is a time-out.
func mistake(err error) error {
	if errors.As(err, new(timeoutError)) {
		return err
	}
	return usageError{err}
}

// withTimeout returns a context that ends after --timeout.
func (s *settings) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.timeout, timeoutError{s.timeout})
}

// timeoutError is the cause of a context that --timeout ended. It is not a
// mistake in usage, wherever it strikes: the next try may be faster.
type timeoutError struct{ limit time.Duration }

func (e timeoutError) Error() string { return fmt.Sprintf("--timeout of %s exceeded", e.limit) }

func (s *settings) checkOutput() error {
	if s.verbose {
		s.level.Level = slog.LevelDebug
	}
	switch {
	case s.output != "text" && s.output != "json":
		return fmt.Errorf("%s: want text or json", flagAndVariable("output"))
	case s.logFormat != "" && s.logFormat != "text" && s.logFormat != "json":
		return fmt.Errorf("%s: want text or json", flagAndVariable("log-format"))
	case s.detailedExitcode && !s.dryRun:
		return fmt.Errorf("%s works only with --dry-run", flagAndVariable("detailed-exitcode"))
	case s.timeout <= 0:
		return fmt.Errorf("%s: want more than 0", flagAndVariable("timeout"))
	case s.grace < 0:
		return fmt.Errorf("%s: want 0 or more", flagAndVariable("rotation-grace"))
	}
	return nil
}

// checkURL accepts the URL of Nautobot, or of its API.
func (s *settings) checkURL() error {
	if s.url == "" {
		return fmt.Errorf("%s is required: the URL of Nautobot", flagAndVariable("nautobot-url"))
	}
	u, err := url.Parse(s.url)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" ||
		u.User != nil || strings.ContainsAny(s.url, "?#") || !provision.ValidPort(u) {
		return fmt.Errorf("%s: want https://HOST[:PORT][/PATH], without user, query or fragment", flagAndVariable("nautobot-url"))
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) && !s.insecureHTTP {
		return fmt.Errorf("%s: plain http exposes passwords and tokens in transit: use https, or allow it with %s",
			flagAndVariable("nautobot-url"), flagAndVariable("insecure-http"))
	}
	u.Path, u.RawPath = withoutAPI(u.Path), withoutAPI(u.RawPath)
	s.nautobotURL = u
	if s.hosts, err = provision.NewAllowedHosts(u, s.hostnames); err != nil {
		return fmt.Errorf("%s: %w", flagAndVariable("nautobot-hostname"), err)
	}
	return nil
}

func withoutAPI(path string) string {
	return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(path, "/"), "/api"), "/")
}

func loopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

func (s *settings) readRoots(ctx context.Context) error {
	if s.caFile == "" {
		return nil
	}
	bundle, err := readFile(ctx, s.caFile)
	if err != nil {
		return fmt.Errorf("%s: %w", flagAndVariable("nautobot-ca-file"), err)
	}
	ok := false
	if s.roots, ok = rootsWith(bundle); !ok {
		return fmt.Errorf("%s: the file contains no PEM certificate", flagAndVariable("nautobot-ca-file"))
	}
	return nil
}

// rootsWith returns the system's CAs and those of a bundle; false: the bundle has
// none.
func rootsWith(bundle []byte) (*x509.CertPool, bool) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	ok := roots.AppendCertsFromPEM(bundle)
	return roots, ok
}

func (s *settings) checkCluster() error {
	namespace, name, ok := strings.Cut(s.superuserSecret, "/")
	switch {
	case !ok || validation.IsDNS1123Label(namespace) != nil || validation.IsDNS1123Subdomain(name) != nil:
		return fmt.Errorf("%s: want NAMESPACE/NAME", flagAndVariable("superuser-secret"))
	case s.superuserSecretKey != "" && validation.IsConfigMapKey(s.superuserSecretKey) != nil:
		return fmt.Errorf("%s: want letters, digits, -, _ and .", flagAndVariable("superuser-secret-key"))
	case s.cluster != "" && validation.IsDNS1123Subdomain(s.cluster) != nil:
		return fmt.Errorf("%s: want lower-case letters, digits, - and .", flagAndVariable("cluster"))
	}
	return nil
}

// checkPolicy reads the policy file, or makes a single rule from the flags.
func (s *settings) checkPolicy(ctx context.Context, flags *pflag.FlagSet) error {
	if s.policy != "" {
		for _, flag := range []string{"superuser", "group", "adopt", "adopt-from", "exclusive"} {
			if flags.Changed(flag) {
				return fmt.Errorf("--%s cannot be combined with %s: the policy's rules decide that", flag, flagAndVariable("policy"))
			}
		}
		var err error
		if s.rules, err = readPolicy(ctx, s.policy); err != nil {
			return fmt.Errorf("%s: %w", flagAndVariable("policy"), err)
		}
		return nil
	}
	if flags.Changed("policy") {
		return fmt.Errorf("%s is set but empty: leave it out if every Secret may request any account", flagAndVariable("policy"))
	}
	rule := provision.Rule{
		Secrets: []string{"*"}, Usernames: []string{"*"},
		Groups: s.groups, Superuser: s.superuser, Adopt: s.adopt, AdoptFrom: s.adoptFrom, Exclusive: s.exclusive, Revoke: true,
	}
	if key, err := rule.Validate(); err != nil {
		return fmt.Errorf("--%s: %w", map[string]string{"groups": "group", "adoptFrom": "adopt-from"}[key], err)
	}
	s.rules = provision.Policy{ManagedGroup: provision.DefaultManagedGroup, Rules: []provision.Rule{rule}}
	return nil
}

func (s *settings) connect(ctx context.Context) (*kube.Client, error) {
	cluster, err := await(ctx, func() (*kube.Client, error) { return kube.Connect(s.kubeconfig, s.context, userAgent()) })
	if err != nil {
		return nil, mistake(fmt.Errorf("%s, --context: %w", flagAndVariable("kubeconfig"), err))
	}
	return cluster, nil
}

// logger writes text on a terminal, and JSON elsewhere, unless told otherwise.
func (s *settings) logger(stderr io.Writer) *slog.Logger {
	format := s.logFormat
	if format == "" && isTerminal(stderr) {
		format = "text"
	}
	handling := &slog.HandlerOptions{Level: s.level.Level}
	if format == "text" {
		return slog.New(slog.NewTextHandler(stderr, handling))
	}
	return slog.New(slog.NewJSONHandler(stderr, handling))
}

func isTerminal(w io.Writer) bool {
	switch w := w.(type) {
	case *os.File:
		return term.IsTerminal(int(w.Fd()))
	case above:
		return true
	}
	return false
}
