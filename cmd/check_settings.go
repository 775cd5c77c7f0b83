package cmd

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/rackerlabs/understack/go/nautobot-token/cmd/check"
	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

var checkClock = time.Now // tests set it

// checker is one run of check.
type checker struct {
	*settings
	given           *checkOptions
	flags           *pflag.FlagSet
	log             *slog.Logger
	cluster         *kube.Client
	release         *check.Release // nil: none was found
	namespace, name string         // of the Secret; empty: none was named
	policyProblem   error          // of the release's policy
	untrusted       bool           // nobody who may say so has said where credentials go
	jobsHost        string         // where the release's Jobs look for Nautobot
	bundle          check.Report   // about the CA bundle of the release
}

// newChecker takes what was given on the command line and in the environment.
func (o *checkOptions) newChecker(cmd *cobra.Command, args []string) (*checker, error) {
	c := &checker{given: o, flags: cmd.Flags()}
	env, err := fromEnvironment(c.flags)
	if err != nil {
		return nil, err
	}
	c.settings = &settings{options: o.options}
	ctx, cancel := c.withTimeout(cmd.Context())
	defer cancel()
	if err := firstMistake(
		c.checkOutput,
		func() error {
			if c.url == "" {
				return nil
			}
			return c.checkURL()
		},
		func() error { return c.readRoots(ctx) },
		c.checkCluster,
		func() error { return c.checkPolicy(ctx, c.flags) },
		func() error { return c.takeToken(ctx, env) },
		c.checkRelease,
	); err != nil {
		return nil, err
	}
	c.log = c.logger(cmd.ErrOrStderr())
	if len(args) == 0 {
		c.cluster, err = c.connect(ctx)
		return c, err
	}
	secret, err := findTarget(ctx, nil, c.settings, args)
	if err != nil {
		return nil, err
	}
	c.cluster = secret.cluster
	c.namespace, c.name = secret.namespace, args[0]
	return c, nil
}

func (c *checker) checkRelease() error {
	if name := c.given.releaseNamespace; name != "" && validation.IsDNS1123Label(name) != nil {
		return errors.New("--release-namespace: want the name of a single namespace")
	}
	return nil
}

// findRelease finds the installed chart, and says how that went.
func (c *checker) findRelease(ctx context.Context) ([]check.Finding, error) {
	r := check.Report{Object: "release"}
	trusted := []string{check.DefaultNamespace, c.superuserNamespace()}
	var found []check.Release
	var err error
	if c.given.releaseNamespace != "" {
		trusted = []string{c.given.releaseNamespace}
		found, err = check.Releases(ctx, c.cluster, c.given.releaseNamespace)
	} else if found, err = check.Releases(ctx, c.cluster); kube.IsForbidden(err) {
		found, err = check.Releases(ctx, c.cluster, trusted...)
	}
	switch {
	case kube.IsForbidden(err):
		r.Unread(err)
		return r.Findings, nil
	case err != nil:
		return nil, err
	}
	found = slices.DeleteFunc(found, func(one check.Release) bool { return c.given.release != "" && one.Name != c.given.release })
	// Those that watch the Secret, and those in a namespace that can be trusted, come first.
	rank := func(one check.Release) (n int) {
		if slices.Contains(trusted, one.Namespace) {
			n--
		}
		if policy, err := parsePolicy([]byte(one.Policy)); err == nil && slices.ContainsFunc(policy.Rules, func(rule provision.Rule) bool { return rule.Namespace == c.namespace }) {
			n -= 2
		}
		return n
	}
	if len(found) == 0 {
		r.Fail([]string{"helm list --all-namespaces --filter nautobot-token", "nautobot-token check --release-namespace NAMESPACE"},
			"the chart nautobot-token was not found by its labels: without it, nothing watches Secrets")
		return r.Findings, nil
	}
	equals := 0
	for i := range found {
		switch {
		case c.release == nil || rank(found[i]) < rank(*c.release):
			c.release, equals = &found[i], 1
		case rank(found[i]) == rank(*c.release):
			equals++
		}
	}
	c.untrusted = !slices.Contains(trusted, c.release.Namespace)
	r.Object += "/" + c.release.Path()
	r.OK("found")
	another := []string{"nautobot-token check --release-namespace NAMESPACE --release NAME"}
	if equals > 1 {
		r.Warn(another, "there are %d like it: this is one of them", equals)
	}
	if c.untrusted {
		if i := slices.IndexFunc(found, func(one check.Release) bool { return slices.Contains(trusted, one.Namespace) }); i >= 0 {
			r.Warn(another, "it was chosen because %s has no rule for namespace %s: anybody may put the chart's labels on a ConfigMap", found[i].Path(), c.namespace)
		}
	}
	return r.Findings, nil
}

// fromRelease takes from the installed chart what was not given. Whoever can
// create a ConfigMap can put the chart's labels on it, so where credentials go,
// and whose they are, is taken only from a namespace that can be trusted.
func (c *checker) fromRelease(ctx context.Context) []check.Finding {
	if c.release == nil {
		return nil
	}
	r := check.Report{Object: "release/" + c.release.Path()}
	harmless := []string{"CLUSTER_NAME", "NAUTOBOT_HOSTNAMES", "ROTATION_GRACE"}
	sensitive := []string{"NAUTOBOT_URL", "NAUTOBOT_INSECURE_HTTP", "NAUTOBOT_SUPERUSER_SECRET", "NAUTOBOT_SUPERUSER_SECRET_KEY"}
	names := harmless
	if !c.untrusted {
		names = append(names, sensitive...)
	}
	for flag, variable := range variables() {
		value := c.release.Setting(variable)
		if !slices.Contains(names, variable) || c.flags.Changed(flag) || value == "" {
			continue
		}
		if err := c.flags.Set(flag, value); err != nil {
			r.Fail(nil, "its settings for Jobs: %v", flagError(err))
		}
	}
	c.options = c.given.options
	if jobs, err := url.Parse(c.release.Setting("NAUTOBOT_URL")); err == nil && jobs.Host != "" {
		c.jobsHost = jobs.Host
		c.hostnames = append(c.hostnames, jobs.Host) // from here it may have to be called by another name
	}
	if c.url != "" {
		if err := c.checkURL(); err != nil {
			c.nautobotURL = nil
			r.Fail(nil, "its settings for Jobs: %v", err)
		}
	}
	if err := c.checkCluster(); err != nil {
		r.Fail(nil, "its settings for Jobs: %v", err)
	}
	if c.policy == "" {
		c.rules, c.policyProblem = parsePolicy([]byte(c.release.Policy))
		c.rules.File = "of release " + c.release.Path()
	}
	if !c.untrusted && c.caFile == "" {
		c.trustBundle(ctx)
	}
	return r.Findings
}

// trustBundle trusts what the Jobs trust.
func (c *checker) trustBundle(ctx context.Context) {
	var bundle string
	bundle, c.bundle = c.release.CA(ctx, c.cluster)
	if bundle != "" {
		c.roots, _ = rootsWith([]byte(bundle)) // if it has none, the finding says so
	}
}

// walk finds the release, and then looks at all links at the same time.
func (c *checker) walk(ctx context.Context, tell func(check.Finding)) {
	findings, err := c.findRelease(ctx)
	if err != nil {
		tell(check.Finding{
			Object: "cluster", Status: check.Failed, Text: "the API server cannot be asked: " + err.Error(),
			Mend: []string{"kubectl version"},
		})
		return
	}
	for _, finding := range append(findings, c.fromRelease(ctx)...) {
		tell(finding)
	}
	chain := check.NewChain(c.cluster, c.release, c.namespace, c.name, checkClock)
	before, after := chain.Links()
	server := newServerCheck(c, chain)
	links := before
	if c.name != "" {
		links = append(links, server.keys, server.rule)
	}
	links = append(links, after...)
	links = append(links, func(context.Context) []check.Finding { return c.bundle.Findings }, server.superuser, server.nautobot)
	if c.name != "" {
		links = append(links, server.account)
	}
	check.Walk(ctx, links, tell)
}
