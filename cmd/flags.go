package cmd

import (
	"errors"
	"log/slog"
	"reflect"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/pflag"
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

// addTo defines the flags of provision; each says which variable it can come
// from.
func (o *options) addTo(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVarP(&o.namespace, "namespace", "n", "", "`namespace` of the Secret (default: the kubeconfig context's, or the Pod's own)")
	flags.StringVarP(&o.file, "filename", "f", "", "read the Secret from a manifest `file` instead of the cluster; - is standard input")
	flags.StringVar(&o.policy, "policy", "", "`file` that says which Secrets may ask for what; without it each may ask for any account, and the next four say what the account gets")
	flags.BoolVar(&o.superuser, "superuser", false, "the account is a superuser")
	flags.StringArrayVar(&o.groups, "group", nil, "put the account into this `group` of Nautobot; can be given several times")
	flags.BoolVar(&o.adopt, "adopt", false, "take over an existing account of that name")
	flags.BoolVar(&o.exclusive, "exclusive", false, "supersede the account's other tokens too, whoever made them")
	flags.StringVar(&o.cluster, "cluster", "", "`name` of this cluster, part of every ownership mark")
	flags.StringSliceVar(&o.hostnames, "nautobot-hostname", nil, "further `host` names by which Secrets may call this Nautobot; comma-separated")
	o.addShared(flags)
}

// addShared defines the flags that every command has that acts.
func (o *options) addShared(flags *pflag.FlagSet) {
	flags.BoolVar(&o.dryRun, "dry-run", false, "read everything, write nothing, and print what would be done")
	flags.BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "with --dry-run: exit with 4 if there is something to do")
	flags.StringVarP(&o.output, "output", "o", "text", "`format` of the result: text, or json for one object a line")
	flags.StringVar(&o.url, "nautobot-url", "", "`URL` of Nautobot, the only place that credentials are sent to (required)")
	flags.BoolVar(&o.insecureHTTP, "insecure-http", false, "allow plain http to a host that is not loopback")
	flags.StringVar(&o.caFile, "nautobot-ca-file", "", "PEM `file` of CAs to trust besides the system's")
	flags.StringVar(&o.superuserSecret, "superuser-secret", "nautobot/nautobot-superuser", "`namespace/name` of the Secret with the superuser token")
	flags.StringVar(&o.superuserSecretKey, "superuser-secret-key", "", "`key` of the superuser token in its Secret (default: apitoken, else token)")
	flags.DurationVar(&o.grace, "rotation-grace", time.Hour, "how long a superseded token keeps working; 0 ends it at once")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "limit of the whole run, waiting for Nautobot included")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` (default: as kubectl; in a Pod its service account)")
	flags.StringVar(&o.context, "context", "", "kubeconfig `context`")
	flags.StringVar(&o.logFormat, "log-format", "", "`format` of the logs: text or json (default: text on a terminal, else json)")
	flags.VarP(&o.level, "verbose", "v", "log every request; the variable takes debug, info, warn or error")
	flags.Lookup("verbose").NoOptDefVal = "debug"
	for flag, variable := range variables() {
		if f := flags.Lookup(flag); f != nil {
			f.Usage += " [$" + variable + "]"
		}
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
	var missing *pflag.ValueRequiredError
	if errors.As(err, &missing) {
		return usagef("%s: a value is missing", named(missing.GetFlag().Name))
	}
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
		if value.String() == "" || flags.Lookup(flag) == nil || flags.Changed(flag) {
			continue
		}
		if err := flags.Set(flag, value.String()); err != nil {
			return env, flagError(err)
		}
	}
	return env, nil
}
