package cmd

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// options are the flags as they were given. A command has the groups that it
// needs; the other groups keep their zero values.
type options struct {
	secretOptions
	ruleOptions
	nautobotOptions
	clusterOptions
	outputOptions
	syncOptions
	revokeOptions
}

// flagGroup is shown under a title of its own in --help.
type flagGroup struct {
	title string
	*pflag.FlagSet
}

func newGroup(title string) flagGroup {
	flags := pflag.NewFlagSet(title, pflag.ContinueOnError)
	flags.SortFlags = false
	return flagGroup{title, flags}
}

// secretOptions say which Secret is meant.
type secretOptions struct{ namespace, file string }

func (o *secretOptions) group() flagGroup {
	g := newGroup("Secret")
	o.addNamespace(g)
	g.VarP((*text)(&o.file), "filename", "f", "read the Secret from a manifest `file` instead of the cluster; - is standard input")
	return g
}

func (o *secretOptions) addNamespace(g flagGroup) {
	g.VarP((*namespace)(&o.namespace), "namespace", "n", "`namespace` of the Secret (default: the kubeconfig context's, or the Pod's own)")
}

// ruleOptions say what the Secret may ask for: by a policy, or by flags that
// make up a single rule.
type ruleOptions struct {
	policy                      string
	superuser, adopt, exclusive bool
	groups, adoptFrom           []string
}

func (o *ruleOptions) group() flagGroup {
	g := newGroup("Rule")
	g.addPolicy(&o.policy, "policy `file`: which Secrets may request which accounts; without it every Secret may request any account, and the other flags of this group apply")
	g.BoolVar(&o.superuser, "superuser", false, "make the account a superuser")
	g.StringArrayVar(&o.groups, "group", nil, "put the account into this `group` in Nautobot; can be repeated")
	g.BoolVar(&o.adopt, "adopt", false, "take over an existing account with the username in the Secret")
	g.StringArrayVar(&o.adoptFrom, "adopt-from", nil, "take over the account and tokens of this former `owner`, [CLUSTER/]NAMESPACE/NAME; can be repeated")
	g.BoolVar(&o.exclusive, "exclusive", false, "supersede the account's other tokens too, whoever made them")
	return g
}

func (g flagGroup) addPolicy(file *string, usage string) { g.Var((*text)(file), "policy", usage) }

// nautobotOptions say where Nautobot is and how it is used.
type nautobotOptions struct {
	url, caFile, superuserSecret, superuserSecretKey string
	insecureHTTP                                     bool
	hostnames                                        []string
	grace                                            time.Duration
}

func (o *nautobotOptions) group() flagGroup {
	o.superuserSecret, o.grace = "nautobot/nautobot-superuser", time.Hour
	g := newGroup("Nautobot")
	g.Var((*text)(&o.url), "nautobot-url", "`URL` of Nautobot, the only place credentials are sent to (required)")
	g.BoolVar(&o.insecureHTTP, "insecure-http", false, "allow plain http to a host that is not loopback")
	g.Var((*text)(&o.caFile), "nautobot-ca-file", "PEM `file` with CAs to trust in addition to the system's")
	g.Var((*text)(&o.superuserSecret), "superuser-secret", "`namespace/name` of the Secret with the superuser token")
	g.Var((*text)(&o.superuserSecretKey), "superuser-secret-key", "`key` of the superuser token in its Secret (default: apitoken or token, the first that is not empty)")
	g.Var((*duration)(&o.grace), "rotation-grace", "how long a superseded token keeps working; 0 ends it at once")
	return g
}

// addHostnames is for commands that read a Secret's hostname.
func (o *nautobotOptions) addHostnames(g flagGroup) {
	g.Var((*list)(&o.hostnames), "nautobot-hostname", "additional `host` names that Secrets may use for this Nautobot; comma-separated")
}

// clusterOptions say which cluster this is and how to reach it.
type clusterOptions struct{ kubeconfig, context, cluster string }

func (o *clusterOptions) group() flagGroup {
	g := newGroup("Cluster")
	g.Var((*text)(&o.kubeconfig), "kubeconfig", "kubeconfig `file` (default: the same as kubectl's; in a Pod, its service account)")
	g.Var((*text)(&o.context), "context", "kubeconfig `context`")
	return g
}

// addCluster is for commands that mark accounts with the cluster's name.
func (o *clusterOptions) addCluster(g flagGroup) {
	g.Var((*text)(&o.cluster), "cluster", "`name` of this cluster, part of every ownership mark")
}

// usualTimeout is the limit for a run that works on one account.
const usualTimeout = 2 * time.Minute

// outputOptions say how much is done and how it is reported.
type outputOptions struct {
	dryRun, detailedExitcode, verbose bool
	output, logFormat                 string
	level                             level
	timeout                           time.Duration
}

func (o *outputOptions) group(timeout time.Duration) flagGroup {
	o.output, o.timeout = "text", timeout
	g := newGroup("Output")
	g.BoolVar(&o.dryRun, "dry-run", false, "read everything, write nothing, and print what would be done")
	g.BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "with --dry-run: exit with code 4 if changes are pending")
	g.VarP((*text)(&o.output), "output", "o", "`format` of the result: text, or json for one object per line")
	g.Var((*text)(&o.logFormat), "log-format", "`format` of the logs: text or json (default: text on a terminal, else json)")
	g.Var(&o.level, "log-level", "`level` of the logs: debug, info, warn or error")
	g.BoolVarP(&o.verbose, "verbose", "v", false, "log every request, as --log-level=debug does")
	g.Var((*duration)(&o.timeout), "timeout", "time limit for the whole run, including waits")
	return g
}

// addFlags gives a command the groups, in this order, and a --help that shows
// them. Each flag says which variable it can come from.
func addFlags(cmd *cobra.Command, groups ...flagGroup) {
	names := variables()
	for _, g := range groups {
		g.VisitAll(func(flag *pflag.Flag) {
			if variable := names[flag.Name]; variable != "" {
				flag.Usage += " [$" + variable + "]"
			}
		})
		cmd.Flags().AddFlagSet(g.FlagSet)
	}
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		out := cmd.OutOrStdout()
		_, err := fmt.Fprintf(out, "Usage:\n  %s\n\nExamples:\n%s\n", cmd.UseLine(), cmd.Example)
		for _, g := range groups {
			if err == nil {
				_, err = fmt.Fprintf(out, "\n%s:\n%s", g.title, g.FlagUsages())
			}
		}
		return err
	})
}

// flagError says what is wrong with a flag, and never shows its value.
func flagError(err error) error {
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usagef("%s: a value is missing", flagAndVariable(missing.GetFlag().Name))
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		flag := invalid.GetFlag()
		switch {
		case flag.Name == "dry-run":
			return usagef("--dry-run: want no value, or true or false: there is only one kind of dry run, which reads everything and writes nothing")
		case flag.Value.Type() == "bool":
			return usagef("%s: want true or false", flagAndVariable(flag.Name))
		}
		return usagef("%s: %w", flagAndVariable(flag.Name), invalid.Unwrap()) // our own words, see the types below
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() != "" {
		return usagef("unknown flag: -%s", unknown.GetSpecifiedName()) // without what follows it
	} else if ok && !isShown(unknown.GetSpecifiedName()) {
		return usagef("unknown flag; it is not shown, since it may be a secret")
	}
	if _, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		return usagef("bad flag syntax: want --NAME or --NAME=VALUE")
	}
	return usageError{err}
}

// text is a flag's value without the spaces and newlines around it.
type text string

func (*text) Type() string         { return "string" }
func (t *text) String() string     { return string(*t) }
func (t *text) Set(s string) error { *t = text(strings.TrimSpace(s)); return nil }

// namespace is a text that is not empty: an unset variable in a script must not
// select the context's namespace.
type namespace string

func (*namespace) Type() string     { return "string" }
func (n *namespace) String() string { return string(*n) }

func (n *namespace) Set(s string) error {
	if *n = namespace(strings.TrimSpace(s)); *n == "" {
		return errors.New("it is set but empty: leave it out to use the context's namespace, or the Pod's own")
	}
	return nil
}

// list is a flag that takes several values, separated by commas with or
// without spaces, or by repeating the flag.
type list []string

func (*list) Type() string     { return "list" }
func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			*l = append(*l, item)
		}
	}
	return nil
}

type duration time.Duration

func (*duration) Type() string     { return "duration" }
func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(s string) error {
	value, err := time.ParseDuration(strings.TrimSpace(s))
	if err != nil {
		return errors.New("want a duration such as 90s, 30m or 1h; a day is 24h")
	}
	*d = duration(value)
	return nil
}

// number is a whole number.
type number int

func (*number) Type() string     { return "int" }
func (n *number) String() string { return strconv.Itoa(int(*n)) }

func (n *number) Set(s string) error {
	value, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return errors.New("want a whole number")
	}
	*n = number(value)
	return nil
}

// level is a log level. The zero value is info.
type level struct{ slog.Level }

func (*level) Type() string     { return "level" }
func (l *level) String() string { return strings.ToLower(l.Level.String()) }

func (l *level) Set(s string) error {
	known := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "warning": slog.LevelWarn, "error": slog.LevelError,
	}
	value, ok := known[strings.ToLower(strings.TrimSpace(s))]
	if !ok {
		return errors.New("want debug, info, warn or error")
	}
	l.Level = value
	return nil
}

// shard is a flag like 0/4.
type shard struct{ provision.Shard }

func (*shard) Type() string { return "shard" }

func (s *shard) String() string {
	if s.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Of)
}

func (s *shard) Set(text string) error {
	index, of, _ := strings.Cut(strings.TrimSpace(text), "/")
	i, err1 := strconv.Atoi(index)
	n, err2 := strconv.Atoi(of)
	if err1 != nil || err2 != nil || n < 1 || i < 0 || i >= n {
		return errors.New("want I/N, such as 0/4, with I from 0 to N-1")
	}
	s.Shard = provision.Shard{Index: i, Of: n}
	return nil
}
