package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// usageError is a mistake in flags, arguments or environment.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errPending is what --detailed-exitcode asks for: nothing is wrong.
var errPending = errors.New("changes are pending")

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "nautobot-token",
		Short: "Make Nautobot have exactly the service accounts that Kubernetes Secrets describe",
		Long: `nautobot-token reads a Kubernetes Secret labelled token/type: nautobot, makes
Nautobot have exactly that user with exactly that password and API token, and
exits. Running it again changes nothing.`,
		SilenceErrors: true, // run prints what is not reported yet
		SilenceUsage:  true, // a run that failed is no mistake in usage
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.AddCommand(newProvisionCommand(), newSetupCommand(), newVersionCommand())
	return root
}

func newProvisionCommand() *cobra.Command {
	var options options
	cmd := &cobra.Command{
		Use:   "provision {NAME [-n NAMESPACE] | -f FILE}",
		Short: "Provision the account that one Secret describes",
		Long: `Provision reads one Secret and the superuser token, and makes Nautobot have
exactly the account that the Secret describes: the user with its password, the
API token, and none of the older tokens that came from the same Secret.

The result is printed on standard output, one line an object: created, updated,
unchanged, revoked, refused or failed. Logs go to standard error.

Exit codes:
  0    done, or nothing to do
  1    failed, may work next time
  2    a mistake in flags or environment
  3    refused: the Secret, the ownership of an account or a rule of Nautobot's
       forbids it; nothing was written
  4    only with --dry-run --detailed-exitcode: there is something to do
  130  stopped by SIGINT, 143 by SIGTERM, after the request in flight

` + secretsInEnvironment,
		Example: `  nautobot-token provision nautobot-token -n openstack
  nautobot-token provision nautobot-token -n openstack --dry-run
  nautobot-token provision -f secret.yaml --dry-run --detailed-exitcode`,
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := options.settings(cmd.Flags())
			if err != nil {
				return err
			}
			return runProvision(cmd, settings, args)
		},
	}
	options.addTo(cmd.Flags())
	return cmd
}

// secretsInEnvironment is the part of a help text about what has no flag.
const secretsInEnvironment = `The superuser token can be given in the environment instead of by its Secret,
as NAUTOBOT_TOKEN, or as NAUTOBOT_TOKEN_FILE, a file that holds it. It has no
flag: the arguments of a process are there for everybody to see.`

// runProvision is the whole way of one Secret: read it, compare, write, report.
func runProvision(cmd *cobra.Command, settings settings, args []string) error {
	log := settings.logger(cmd.ErrOrStderr())
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), settings.timeout,
		fmt.Errorf("the --timeout of %s is over", settings.timeout))
	defer cancel()

	target, err := findTarget(ctx, cmd.InOrStdin(), settings, args)
	if err != nil {
		var refused *provision.Refusal
		if errors.As(err, &refused) {
			newReport(cmd.OutOrStdout(), settings).end("secret/"+target.name, provision.Report{}, err)
			return outcome(settings, provision.Report{}, err, log.With("secret", target.name))
		}
		return err
	}
	log = log.With("secret", target.name)

	provisioner := provision.Provisioner{
		Connect: func(ctx context.Context) (provision.Nautobot, provision.Sensitive, error) {
			return connectNautobot(ctx, settings, target.cluster, log)
		},
		Hosts:   settings.hosts,
		Policy:  settings.rules,
		Cluster: settings.cluster,
		Grace:   settings.grace,
		DryRun:  settings.dryRun,
		Now:     time.Now,
		Log:     log,
	}
	result, err := provisioner.Provision(ctx, target.source)
	if errors.Is(err, provision.ErrNoSecret) {
		err = provision.NewRefusal("%v", err) // it was named on the command line
	}
	newReport(cmd.OutOrStdout(), settings).end("secret/"+target.name, result.Report, err)
	leaveEvent(ctx, target, settings, result.Secret, result.Report, err, log)

	return outcome(settings, result.Report, err, log)
}

// outcome logs what went wrong, once, and is what the exit code is made of.
func outcome(settings settings, report provision.Report, err error, log *slog.Logger) error {
	var refused *provision.Refusal
	switch {
	case errors.As(err, &refused):
		log.Error("refused", "error", err.Error())
		return err
	case err != nil:
		log.Error("failed", "error", err.Error())
		return err
	case settings.detailedExitcode && report.Changed():
		return errPending
	}
	return nil
}

// connectNautobot finds the superuser token; it connects to Nautobot with the
// first request only.
func connectNautobot(ctx context.Context, settings settings, cluster *kube.Client, log *slog.Logger) (provision.Nautobot, provision.Sensitive, error) {
	token, err := settings.superuserToken(ctx, cluster)
	if err != nil {
		return nil, token, err
	}
	return nautobot.New(nautobot.Config{
		URL: settings.nautobotURL, Roots: settings.roots, Token: token,
		UserAgent: userAgent(), Log: log,
	}), token, nil
}

// target is the Secret to provision from, and where it is.
type target struct {
	name    string // NAMESPACE/NAME
	source  provision.Source
	cluster *kube.Client // nil: a manifest, with the superuser token in the environment
	inside  bool         // the Secret is one of the cluster, not of a file
}

// findTarget takes the Secret's name, or -f.
func findTarget(ctx context.Context, stdin io.Reader, settings settings, args []string) (target, error) {
	fromFile := settings.file != ""
	switch {
	case fromFile && len(args) > 0:
		return target{}, usagef("give the NAME of a Secret or --filename, not both")
	case !fromFile && len(args) == 0:
		return target{}, usagef("the NAME of a Secret is missing, or --filename for one in a manifest")
	case len(args) > 1:
		return target{}, usagef("give the NAME of one Secret, not %d arguments", len(args))
	}
	if settings.namespace != "" {
		if problems := validation.IsDNS1123Label(settings.namespace); problems != nil {
			return target{}, usagef("--namespace %q: %s", settings.namespace, problems[0])
		}
	}
	if !fromFile {
		if problems := validation.IsDNS1123Subdomain(args[0]); problems != nil {
			return target{}, usagef("NAME %q: %s", args[0], problems[0])
		}
		cluster, err := settings.connect()
		if err != nil {
			return target{}, err
		}
		namespace := settings.namespace
		if namespace == "" {
			namespace = cluster.Namespace
		}
		return target{namespace + "/" + args[0], cluster.Source(namespace, args[0]), cluster, true}, nil
	}

	from := stdin
	if settings.file != "-" {
		file, err := os.Open(settings.file)
		if err != nil {
			return target{}, usagef("--filename: %w", err)
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	manifest, err := kube.ReadManifest(from, settings.namespace)
	if err != nil {
		return target{name: settings.file}, err
	}
	found := target{source: manifest}
	secret, err := manifest.Secret(ctx)
	found.name = secret.Namespace + "/" + secret.Name
	if err == nil && settings.token.Empty() {
		found.cluster, err = settings.connect()
	}
	return found, err
}

// leaveEvent tells the Secret's owner, as far as the cluster lets us. A run
// that changed nothing leaves none.
func leaveEvent(ctx context.Context, target target, settings settings, secret provision.Secret, report provision.Report, err error, log *slog.Logger) {
	var refused *provision.Refusal
	warning := errors.As(err, &refused)
	if !target.inside || settings.dryRun || secret.Name == "" || !warning && !report.Changed() {
		return
	}
	reason, message := "Provisioned", summary(report)
	if warning {
		reason, message = "Refused", err.Error()
	}
	if err := target.cluster.RecordEvent(ctx, secret, warning, reason, message, time.Now()); err != nil {
		log.Debug("no Event was left on the Secret", "error", err.Error())
	}
}
