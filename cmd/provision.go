package cmd

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

func newProvisionCommand() *cobra.Command {
	var given options
	cmd := &cobra.Command{
		Use:   "provision {NAME [-n NAMESPACE] | -f FILE}",
		Short: "Provision the account that one Secret describes",
		Long: `Provision reads one Secret and the superuser token, and ensures that Nautobot
has exactly the account that the Secret describes: the user with its password,
the API token, and none of the older tokens that came from the same Secret.

The result is printed on standard output, one line per object: created, updated,
unchanged, revoked, refused or failed. Logs go to standard error.

Exit codes:
  0    done, or nothing to do
  1    failed, may work next time
  2    a mistake in flags, environment or policy file
  3    refused: the Secret, the ownership of an account or one of Nautobot's own
       rules forbids it
  4    only with --dry-run --detailed-exitcode: changes are pending
  130  stopped by SIGINT, 143 by SIGTERM, after the request in flight

` + secretsInEnvironment,
		Example: `  nautobot-token provision nautobot-token -n openstack
  nautobot-token provision nautobot-token -n openstack --dry-run
  nautobot-token provision -f secret.yaml --dry-run --detailed-exitcode`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := given.check(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			return runProvision(cmd, s, args)
		},
	}
	given.addProvisionFlags(cmd)
	return cmd
}

func (o *options) addProvisionFlags(cmd *cobra.Command) {
	server, cluster := o.nautobotOptions.group(), o.clusterOptions.group()
	o.addHostnames(server)
	o.addCluster(cluster)
	addFlags(cmd, o.secretOptions.group(), o.ruleOptions.group(), server, cluster, o.outputOptions.group(usualTimeout))
}

// runProvision does it all for one Secret: find it, provision it, report.
func runProvision(cmd *cobra.Command, s *settings, args []string) error {
	ctx, cancel := s.withTimeout(cmd.Context())
	defer cancel()
	log := s.logger(cmd.ErrOrStderr())
	o := s.newOutcome(cmd.OutOrStdout())

	secret, err := findTarget(ctx, cmd.InOrStdin(), s, args)
	if usage, ok := errors.AsType[usageError](err); ok {
		return usage
	}
	log = log.With("secret", secret.name)
	if err != nil {
		o.add(log, "secret/"+secret.name, provision.Report{}, err)
		return o.err()
	}
	if secret.cluster != nil {
		secret.cluster.Log = log
	}

	result, err := s.newProvisioner(secret.cluster, log).Provision(ctx, secret.source)
	namespace, name, _ := strings.Cut(secret.name, "/")
	switch {
	case errors.Is(err, provision.ErrNoSecret):
		err = provision.NewRefusal("%v", err) // it was named on the command line
	case kube.IsForbidden(err) && !s.rules.Covers(namespace, name):
		// Whoever may read only the Secrets that rules name learns nothing more by trying again.
		err = s.rules.NoRule(namespace, name)
		result.Secret = provision.Secret{Namespace: namespace, Name: name}
	}
	o.add(log, "secret/"+secret.name, result.Report, err)
	if secret.inCluster && !s.dryRun {
		recordEvent(cmd.Context(), secret.cluster, "Provisioned", result, err, log)
	}
	return o.err()
}
