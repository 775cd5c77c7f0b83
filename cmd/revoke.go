package cmd

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// revokeOptions say when an account is taken out of service.
type revokeOptions struct {
	settle time.Duration
	limit  int
	remove bool
}

func (o *revokeOptions) add(g flagGroup, settle time.Duration) {
	o.settle, o.limit = settle, 5
	g.Var((*duration)(&o.settle), "settle", "how long a Secret must have been gone, without a break")
	g.Var((*number)(&o.limit), "limit", "how many Secrets of a namespace may be gone: if more are, none of their accounts is revoked")
}

func newRevokeCommand() *cobra.Command {
	var given options
	cmd := &cobra.Command{
		Use:   "revoke NAME [-n NAMESPACE]",
		Short: "Take the account of a Secret that is gone out of service",
		Long: `Revoke deactivates the accounts that belong to a Secret that no longer exists:
neither their password nor any of their tokens works after that. If the Secret
comes back, provision brings its account back as well. A Secret is gone only if
the API server says that there is none; a label that was removed, or a missing
right, does not count.

Without --settle, a Secret that is there is refused. With it, revoke waits until
the Secret has been gone for that long without a break; if the Secret is there
for that long instead, there is nothing to do. --settle requires --cluster. With
a policy, the Secret's rule has to say revoke: true.

Exit codes:
  0    done, or nothing to do
  1    failed, may work next time
  2    a mistake in flags, environment or policy file
  3    refused: the Secret is there, the policy does not allow it, or more than
       --limit Secrets of the namespace are gone
  4    only with --dry-run --detailed-exitcode: changes are pending
  130  stopped by SIGINT, 143 by SIGTERM, after the request in flight

` + secretsInEnvironment,
		Example: `  nautobot-token revoke nautobot-token -n openstack --dry-run
  nautobot-token revoke nautobot-token -n openstack
  nautobot-token revoke nautobot-token -n openstack --delete`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := given.check(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			if err := s.checkRevoke(cmd); err != nil {
				return usageError{err}
			}
			return runRevoke(cmd, s, args)
		},
	}
	secret, rule := newGroup("Secret"), newGroup("Rule")
	given.addNamespace(secret)
	given.revokeOptions.add(secret, 0)
	secret.BoolVar(&given.remove, "delete", false, "delete the accounts instead of deactivating them")
	rule.addPolicy(&given.policy, "policy `file`: which accounts may be revoked; without it every account may")
	server, cluster := given.nautobotOptions.group(), given.clusterOptions.group()
	given.addHostnames(server)
	given.addCluster(cluster)
	addFlags(cmd, secret, rule, server, cluster, given.outputOptions.group(10*time.Minute))
	return cmd
}

func (s *settings) checkRevoke(cmd *cobra.Command) error {
	switch {
	case s.settle < 0:
		return errors.New("--settle: want 0 or more")
	case s.settle >= s.timeout:
		return errors.New("--settle: want less than " + flagAndVariable("timeout"))
	case s.limit < 1:
		return errors.New("--limit: want 1 or more")
	case s.settle > 0 && s.cluster == "":
		return errors.New("--settle requires " + flagAndVariable("cluster") + ": without it, an account may be another cluster's")
	case s.settle > 0 && s.remove:
		return errors.New("--delete cannot be combined with --settle: accounts are deleted by people, who know that the Secret is gone for good")
	case s.settle == 0 && cmd.Flags().Changed("limit"):
		return errors.New("--limit works only with --settle")
	}
	return nil
}

func runRevoke(cmd *cobra.Command, s *settings, args []string) error {
	ctx, cancel := s.withTimeout(cmd.Context())
	defer cancel()
	log := s.logger(cmd.ErrOrStderr())
	o := s.newOutcome(cmd.OutOrStdout())
	if len(args) != 1 {
		return usagef("give the NAME of one Secret, not %d arguments", len(args))
	}
	if err := s.checkNamespace(); err != nil {
		return err
	}
	secret, err := clusterTarget(ctx, s, args[0])
	if err != nil {
		return err
	}
	log = log.With("secret", secret.name)
	secret.cluster.Log = log
	revocation := provision.Revocation{
		Provisioner: s.newProvisioner(secret.cluster, log),
		Source:      patientSources(secret.cluster),
		Delete:      s.remove,
	}
	if s.settle > 0 { // which is patience enough
		revocation.Source, revocation.Settle, revocation.Limit = secret.cluster.Source, s.settle, s.limit
	}
	result, err := revocation.Revoke(ctx, secret.namespace, args[0])
	o.add(log, "secret/"+secret.name, result.Report, err)
	if !s.dryRun {
		recordEvent(cmd.Context(), secret.cluster, "Revoked", result, err, log)
	}
	return o.err()
}
