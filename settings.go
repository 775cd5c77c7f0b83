package main

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
	"reflect"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// environment names the variables. They stay text: the flags parse them. What
// has no flag is a secret, or a file with one, and never becomes a flag,
// because the arguments of a process are there for everybody to see.
type environment struct {
	URL                string `envconfig:"NAUTOBOT_URL" flag:"nautobot-url"`
	InsecureHTTP       string `envconfig:"NAUTOBOT_INSECURE_HTTP" flag:"insecure-http"`
	CAFile             string `envconfig:"NAUTOBOT_CA_FILE" flag:"nautobot-ca-file"`
	Hostnames          string `envconfig:"NAUTOBOT_HOSTNAMES" flag:"nautobot-hostname"`
	SuperuserSecret    string `envconfig:"NAUTOBOT_SUPERUSER_SECRET" flag:"superuser-secret"`
	SuperuserSecretKey string `envconfig:"NAUTOBOT_SUPERUSER_SECRET_KEY" flag:"superuser-secret-key"`
	Policy             string `envconfig:"NAUTOBOT_TOKEN_POLICY" flag:"policy"`
	Cluster            string `envconfig:"CLUSTER_NAME" flag:"cluster"`
	RotationGrace      string `envconfig:"ROTATION_GRACE" flag:"rotation-grace"`
	Timeout            string `envconfig:"TIMEOUT" flag:"timeout"`
	LogFormat          string `envconfig:"LOG_FORMAT" flag:"log-format"`
	LogLevel           string `envconfig:"LOG_LEVEL" flag:"verbose"`
	Token              string `envconfig:"NAUTOBOT_TOKEN"`
	TokenFile          string `envconfig:"NAUTOBOT_TOKEN_FILE"`
}

// variables maps each flag to its variable.
func variables() map[string]string {
	names := map[string]string{"kubeconfig": "KUBECONFIG"} // client-go reads it
	for field := range reflect.TypeFor[environment]().Fields() {
		if flag := field.Tag.Get("flag"); flag != "" {
			names[flag] = field.Tag.Get("envconfig")
		}
	}
	return names
}

// options are the flags as they were given.
type options struct {
	url, caFile, superuserSecret, superuserSecretKey, cluster string
	insecureHTTP                                              bool
	hostnames                                                 []string
	grace, timeout                                            time.Duration
	kubeconfig, context, namespace, file                      string
	dryRun, detailedExitcode                                  bool
	policy                                                    string
	superuser, adopt, exclusive                               bool
	groups                                                    []string
	output, logFormat                                         string
	level                                                     verbosity
}

// addTo defines the flags; each says which variable it can come from.
func (o *options) addTo(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVarP(&o.namespace, "namespace", "n", "", "`namespace` of the Secret (default: the kubeconfig context's, or the Pod's own)")
	flags.StringVarP(&o.file, "filename", "f", "", "read the Secret from a manifest `file` instead of the cluster; - is standard input")
	flags.BoolVar(&o.dryRun, "dry-run", false, "read everything, write nothing, and print what would be done")
	flags.BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "with --dry-run: exit with 4 if there is something to do")
	flags.StringVarP(&o.output, "output", "o", "text", "`format` of the result: text, or json for one object a line")
	flags.StringVar(&o.policy, "policy", "", "`file` that says which Secrets may ask for what; without it each may ask for any account, and the next four say what the account gets")
	flags.BoolVar(&o.superuser, "superuser", false, "the account is a superuser")
	flags.StringArrayVar(&o.groups, "group", nil, "put the account into this `group` of Nautobot; can be given several times")
	flags.BoolVar(&o.adopt, "adopt", false, "take over an existing account of that name")
	flags.BoolVar(&o.exclusive, "exclusive", false, "supersede the account's other tokens too, whoever made them")
	flags.StringVar(&o.url, "nautobot-url", "", "`URL` of Nautobot, the only place that credentials are sent to (required)")
	flags.BoolVar(&o.insecureHTTP, "insecure-http", false, "allow plain http to a host that is not loopback")
	flags.StringVar(&o.caFile, "nautobot-ca-file", "", "PEM `file` of CAs to trust besides the system's")
	flags.StringSliceVar(&o.hostnames, "nautobot-hostname", nil, "further `host` names by which Secrets may call this Nautobot; comma-separated")
	flags.StringVar(&o.superuserSecret, "superuser-secret", "nautobot/nautobot-superuser", "`namespace/name` of the Secret with the superuser token")
	flags.StringVar(&o.superuserSecretKey, "superuser-secret-key", "", "`key` of the superuser token in its Secret (default: apitoken, else token)")
	flags.StringVar(&o.cluster, "cluster", "", "`name` of this cluster, part of every ownership mark")
	flags.DurationVar(&o.grace, "rotation-grace", time.Hour, "how long a superseded token keeps working; 0 ends it at once")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "limit of the whole run, waiting for Nautobot included")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` (default: as kubectl; in a Pod its service account)")
	flags.StringVar(&o.context, "context", "", "kubeconfig `context`")
	flags.StringVar(&o.logFormat, "log-format", "", "`format` of the logs: text or json (default: text on a terminal, else json)")
	flags.VarP(&o.level, "verbose", "v", "log every request; the variable takes debug, info, warn or error")
	flags.Lookup("verbose").NoOptDefVal = "debug"
	for flag, variable := range variables() {
		flags.Lookup(flag).Usage += " [$" + variable + "]"
	}
}

// verbosity is a log level as a flag.
type verbosity struct{ slog.Level }

func (*verbosity) Type() string { return "level" }

func (v *verbosity) Set(text string) error {
	if v.UnmarshalText([]byte(text)) != nil {
		return errors.New("want debug, info, warn or error")
	}
	return nil
}

// flagError names the variable too where a value of a flag is wrong.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return usageError{err}
	}
	return usagef("%s: %q: %w", named(invalid.GetFlag().Name), invalid.GetValue(), invalid.Unwrap())
}

// named is a setting by its flag and its variable.
func named(flag string) string {
	if variable := variables()[flag]; variable != "" {
		return "--" + flag + " (" + variable + ")"
	}
	return "--" + flag
}

// fromEnvironment sets every flag that the command line left alone. An empty
// variable counts as absent.
func fromEnvironment(flags *pflag.FlagSet) (environment, error) {
	var env environment
	if err := envconfig.Process("", &env); err != nil {
		return env, usageError{err}
	}
	for field, value := range reflect.ValueOf(env).Fields() {
		flag := field.Tag.Get("flag")
		if flag == "" || value.String() == "" || flags.Changed(flag) {
			continue
		}
		if err := flags.Set(flag, value.String()); err != nil {
			return env, flagError(err)
		}
	}
	return env, nil
}

// settings are the options, checked.
type settings struct {
	options
	nautobotURL *url.URL
	roots       *x509.CertPool
	hosts       provision.Hosts
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
	if s.hosts, err = provision.NewHosts(u, s.hostnames); err != nil {
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
	if key, err := rule.Check(); err != nil {
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
	keys := []string{"apitoken", "token"}
	if s.superuserSecretKey != "" {
		keys = []string{s.superuserSecretKey}
	}
	namespace, name, _ := strings.Cut(s.superuserSecret, "/")
	value, err := cluster.SuperuserToken(ctx, namespace, name, keys)
	if err != nil {
		return value, err
	}
	token, err := superuserToken(value.Reveal())
	if err != nil {
		return token, fmt.Errorf("Secret %s: %w", s.superuserSecret, err)
	}
	return token, nil
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
