package cmd

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// syncOptions say which Secrets are synced, and how.
type syncOptions struct {
	namespaces                          []string
	all, quick, quiet, refusedOK, prune bool
	parallel                            int
	shard                               shard
}

func newSyncCommand() *cobra.Command {
	var given options
	cmd := &cobra.Command{
		Use:   "sync [-n NAMESPACE ... | -A]",
		Short: "Bring every account into line with its labelled Secret",
		Long: `Sync does what provision does, for every labelled Secret. It makes up for lost
events, Jobs that gave up, and passwords that were changed by hand. A healthy
Secret costs one request.

Without -n or -A, the namespaces are those of the policy or, without a policy,
that of the kubeconfig's context. If the policy names each Secret of a namespace,
they are read by name; otherwise they are listed by label. Secrets that no rule
matches are only counted.

With --prune, the accounts of this cluster whose Secrets are gone are taken out
of service, as revoke does: those whose rules say revoke: true, and not more than
--limit in a namespace. If more are gone in all, and they are most of the
cluster's, none is touched: it may be another cluster. --prune requires --cluster.

The result is printed on standard output, one line per object, in no particular
order. Logs and the summary go to standard error.

Exit codes:
  0    done, or nothing to do
  1    failed for at least one Secret, may work next time
  2    a mistake in flags, environment or policy file
  3    refused for at least one Secret, unless --refused-ok is given
  4    only with --dry-run --detailed-exitcode: changes are pending
  130  stopped by SIGINT, 143 by SIGTERM, after the requests in flight

` + secretsInEnvironment,
		Example: `  nautobot-token sync --policy policy.yaml --dry-run
  nautobot-token sync -n openstack -n nova --quick -q
  nautobot-token sync --policy policy.yaml --cluster lab --prune`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("sync takes no arguments; use --namespace")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := given.check(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			if err := s.checkSync(cmd); err != nil {
				return usageError{err}
			}
			return runSync(cmd, s)
		},
	}
	secrets := newGroup("Secrets")
	secrets.VarP((*list)(&given.namespaces), "namespace", "n", "`namespace` of the Secrets; can be repeated (default: the policy's)")
	secrets.BoolVarP(&given.all, "all-namespaces", "A", false, "the Secrets of all namespaces")
	secrets.Var(&given.shard, "shard", "work on one `part` of the Secrets, I/N: part I of N, counted from 0; prune runs in part 0")
	given.parallel = 4
	secrets.Var((*number)(&given.parallel), "parallel", "`number` of Secrets to work on at the same time")
	secrets.BoolVar(&given.quick, "quick", false, "if a token works, do not check the password, which costs Nautobot most")
	secrets.BoolVar(&given.prune, "prune", false, "take accounts whose Secrets are gone out of service")
	given.revokeOptions.add(secrets, 2*time.Minute)
	server, cluster, output := given.nautobotOptions.group(), given.clusterOptions.group(), given.outputOptions.group(time.Hour)
	given.addHostnames(server)
	given.addCluster(cluster)
	output.BoolVarP(&given.quiet, "quiet", "q", false, "do not print what is unchanged")
	output.BoolVar(&given.refusedOK, "refused-ok", false, "exit with 0 even if some Secrets are refused")
	addFlags(cmd, secrets, given.ruleOptions.group(), server, cluster, output)
	return cmd
}

func (s *settings) checkSync(cmd *cobra.Command) error {
	if cmd.Flags().Changed("namespace") && len(s.namespaces) == 0 {
		return errors.New("--namespace is set but empty: leave it out to use the policy's namespaces")
	}
	for _, namespace := range s.namespaces {
		if problems := validation.IsDNS1123Label(namespace); problems != nil {
			return fmt.Errorf("--namespace: %s", problems[0])
		}
	}
	for _, flag := range []string{"settle", "limit"} {
		if !s.prune && cmd.Flags().Changed(flag) {
			return fmt.Errorf("--%s works only with --prune", flag)
		}
	}
	switch {
	case s.all && len(s.namespaces) > 0:
		return errors.New("give --namespace or --all-namespaces, not both")
	case s.parallel < 1 || s.parallel > maxParallel:
		return fmt.Errorf("--parallel: want 1 to %d", maxParallel)
	case s.prune && s.cluster == "":
		return errors.New("--prune requires " + flagAndVariable("cluster") + ": without it, an account may be another cluster's")
	case s.prune && s.settle < 0:
		return errors.New("--settle: want 0 or more")
	case s.prune && s.settle >= s.timeout:
		return errors.New("--settle: want less than " + flagAndVariable("timeout"))
	case s.prune && s.limit < 1:
		return errors.New("--limit: want 1 or more")
	}
	return nil
}

const maxParallel = 64

// leastPatience is longer than Nautobot or an API server takes to restart.
var leastPatience = 3 * time.Minute // tests set it to less

// syncRun is one run of sync.
type syncRun struct {
	*settings
	cluster *kube.Client
	out     *outcome
	log     *slog.Logger
	events  context.Context // of the Events, which --timeout does not end
	// noEvents ends them: the API server accepts none.
	noEvents context.CancelFunc
	seen     seen
	unread   []string // namespaces whose Secrets could not be listed
	tally    *tally
}

func runSync(cmd *cobra.Command, s *settings) error {
	ctx, cancel := s.withTimeout(cmd.Context())
	defer cancel()
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	t := newTally()
	if isTerminal(stderr) {
		stdout, stderr = t.show(stderr, stdout, stderr)
	}
	log := s.logger(stderr)
	cluster, err := s.connect(ctx)
	if err != nil {
		return err
	}
	// What keeps failing for one namespace or one Secret must not use up the time
	// of all the others.
	s.patience = max(leastPatience, s.timeout/10)
	cluster.Log, cluster.Patience = log, s.patience
	events, noEvents := context.WithCancel(cmd.Context())
	defer noEvents()
	r := &syncRun{settings: s, cluster: cluster, out: s.newOutcome(stdout), log: log, events: events, noEvents: noEvents, tally: t}
	return r.run(ctx)
}

func (r *syncRun) run(ctx context.Context) error {
	namespaces := r.scope()
	provisioner := r.newProvisioner(r.cluster, r.log)
	if r.tally.shown() {
		go r.count(ctx, namespaces)
	}
	sync := provision.Sync{
		Provisioner: provisioner, Quick: r.quick, Parallel: r.parallel,
		Source: patientSources(r.cluster), Done: r.done("Provisioned", r.tally.add),
	}
	err := sync.Run(ctx, r.secrets(ctx, namespaces))
	// If a namespace's Secrets could not be listed, nothing can be said about them.
	namespaces = slices.DeleteFunc(slices.Clone(namespaces), func(n string) bool { return slices.Contains(r.unread, n) })
	if r.prune && r.shard.Index > 0 {
		r.log.Info("accounts whose Secrets are gone are left to shard 0")
	}
	if err == nil && r.prune && r.shard.Index == 0 && len(namespaces) > 0 {
		if r.all {
			namespaces = nil
		}
		revocation := provision.Revocation{Provisioner: provisioner, Source: r.cluster.Source, Settle: r.settle, Limit: r.limit}
		err = revocation.Prune(ctx, namespaces, r.seen.has, r.done("Revoked", r.tally.addGone))
	}
	if err != nil {
		r.fail("sync", err)
	}
	r.tally.end()
	r.log.Info("synced", r.tally.attributes()...)
	return r.out.err()
}

// fail reports what is wrong with more than one Secret.
func (r *syncRun) fail(object string, err error) {
	r.tally.fail(err)
	r.out.add(r.log, object, provision.Report{}, err)
}

// scope returns the namespaces; the only one is empty if all are meant.
func (r *syncRun) scope() []string {
	switch {
	case r.all:
		return []string{""}
	case len(r.namespaces) > 0:
		return slices.Compact(slices.Sorted(slices.Values(r.namespaces)))
	case r.policy != "":
		return r.rules.Namespaces()
	}
	return []string{r.cluster.Namespace}
}

// secrets yields the Secrets to sync. What cannot be read is reported.
func (r *syncRun) secrets(ctx context.Context, namespaces []string) iter.Seq[provision.Secret] {
	return func(yield func(provision.Secret) bool) {
		for _, namespace := range namespaces {
			if r.policy != "" && namespace != "" && !slices.Contains(r.rules.Namespaces(), namespace) {
				r.log.Warn("the policy has no rule for the namespace", "namespace", namespace)
			}
			found := false
			for secret, err := range r.secretsIn(ctx, namespace) {
				found = true
				switch {
				case ctx.Err() != nil:
					return
				case err != nil:
					if secret.Name == "" {
						r.unread = append(r.unread, namespace)
					}
					r.fail(objectOf(secret), err)
				case !r.rules.Covers(secret.Namespace, secret.Name):
					r.tally.noRule.Add(1)
				default:
					if r.prune {
						r.seen.add(secret.Namespace, secret.Name)
					}
					if r.shard.Includes(secret.Namespace, secret.Name) && !yield(secret) {
						return
					}
				}
			}
			// The policy's namespaces may well have none yet.
			if asked := len(r.namespaces) > 0 || r.policy == ""; asked && !found && ctx.Err() == nil {
				r.log.Warn("there are no labelled Secrets", "namespace", namespace, "label", provision.Selector)
			}
		}
	}
}

// count finds out how many Secrets there are to sync, to estimate the time left.
func (r *syncRun) count(ctx context.Context, namespaces []string) {
	total := 0
	for _, namespace := range namespaces {
		for secret, err := range r.secretsIn(ctx, namespace) {
			if err == nil && r.rules.Covers(secret.Namespace, secret.Name) && r.shard.Includes(secret.Namespace, secret.Name) {
				total++
			}
		}
	}
	r.tally.total.Store(int64(total))
}

// secretsIn yields the labelled Secrets of a namespace, or of all. An error comes
// with as much of the Secret's name as is known.
func (r *syncRun) secretsIn(ctx context.Context, namespace string) iter.Seq2[provision.Secret, error] {
	names, named := r.rules.SecretNames(namespace)
	return func(yield func(provision.Secret, error) bool) {
		if namespace == "" || !named {
			for secret, err := range r.cluster.Secrets(ctx, namespace) {
				if err != nil {
					secret.Namespace = namespace
				}
				if !yield(secret, err) {
					return
				}
			}
			return
		}
		for _, name := range names {
			secret, err := r.cluster.Secret(ctx, namespace, name)
			if errors.Is(err, provision.ErrNoSecret) || err == nil && !secret.Labelled() {
				continue // the rule is for a Secret that may come later
			}
			secret.Namespace, secret.Name = namespace, name
			if !yield(secret, err) {
				return
			}
		}
	}
}

// objectOf is what the result calls a Secret, or all the Secrets of a namespace,
// or all Secrets.
func objectOf(secret provision.Secret) string {
	switch {
	case secret.Namespace == "":
		return "secrets"
	case secret.Name == "":
		return "namespace/" + secret.Namespace
	}
	return "secret/" + secret.Namespace + "/" + secret.Name
}

// seen remembers Secrets by the hashes of their names, which need much less
// memory.
type seen struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func (s *seen) add(namespace, name string) {
	if s.hashes == nil {
		s.seed, s.hashes = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	s.hashes[maphash.String(s.seed, namespace+"/"+name)] = struct{}{}
}

func (s *seen) has(namespace, name string) bool {
	if s.hashes == nil {
		return false
	}
	_, ok := s.hashes[maphash.String(s.seed, namespace+"/"+name)]
	return ok
}

// done reports what became of a Secret.
func (r *syncRun) done(reason string, count func(provision.Report, error)) func(provision.Result, error) {
	return func(result provision.Result, err error) {
		object := objectOf(result.Secret)
		log := r.log.With("object", object)
		if name, ok := strings.CutPrefix(object, "secret/"); ok {
			log = r.log.With("secret", name)
		}
		count(result.Report, err)
		r.out.add(log, object, result.Report, err)
		if !r.dryRun && !recordEvent(r.events, r.cluster, reason, result, err, log) {
			r.noEvents() // thousands of Secrets must not wait for theirs
		}
	}
}
