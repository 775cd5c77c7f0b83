package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rackerlabs/understack/go/nautobot-token/cmd/check"
)

// checkOptions are the flags of check.
type checkOptions struct {
	options
	releaseNamespace, release string
}

func newCheckCommand() *cobra.Command {
	var given checkOptions
	cmd := &cobra.Command{
		Use:   "check [NAME [-n NAMESPACE]]",
		Short: "Find out why a Secret does not become a token",
		Long: `Check walks along the chain from the ExternalSecret to the token in Nautobot, and
writes nothing anywhere. Without NAME it looks only at what all Secrets have in
common: the installed chart, and Nautobot.

Each link is ok, a warning or failed; the commands that fix it are printed below
it. What you may not read is reported as a warning. With -o json each link is an
object with object, status, text and mend, the commands.

Settings that are not given come from the installed chart. Its namespace is
--release-namespace, or is found by the chart's labels. If only the chart names
the Nautobot, passwords and tokens are sent there only if the chart is in
--release-namespace, in a namespace called nautobot-token, or in that of
--superuser-secret: anybody may put the chart's labels on a ConfigMap.

Exit codes:
  0    nothing has failed
  1    something has failed
  2    a mistake in flags, environment or policy file
  130  stopped by SIGINT, 143 by SIGTERM

` + secretsInEnvironment,
		Example: `  nautobot-token check
  nautobot-token check nautobot-token -n openstack
  nautobot-token check nautobot-token -n openstack -o json | jq 'select(.status != "ok")'`,
		RunE: func(cmd *cobra.Command, args []string) error { return given.run(cmd, args) },
	}
	given.addFlags(cmd)
	return cmd
}

func (o *checkOptions) addFlags(cmd *cobra.Command) {
	server, cluster := o.nautobotOptions.group(), o.clusterOptions.group()
	server.Lookup("nautobot-url").Usage = "`URL` of Nautobot, the only place credentials are sent to (default: the installed chart's)"
	o.addHostnames(server)
	o.addCluster(cluster)
	cluster.Var((*text)(&o.releaseNamespace), "release-namespace", "`namespace` of the installed chart (default: found by the chart's labels)")
	cluster.Var((*text)(&o.release), "release", "`name` of the installed chart, if there are several")
	rule := newGroup("Rule")
	rule.addPolicy(&o.policy, "policy `file` (default: the installed chart's)")
	secret := newGroup("Secret")
	o.addNamespace(secret)
	addFlags(cmd, secret, rule, server, cluster, o.outputOptions.group(20*time.Second).without("dry-run", "detailed-exitcode"))
}

// without is the group without some of its flags.
func (g flagGroup) without(names ...string) flagGroup {
	left := newGroup(g.title)
	g.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(names, flag.Name) {
			left.AddFlag(flag)
		}
	})
	return left
}

// run does it all: settings, release, links, and their findings as they come.
func (o *checkOptions) run(cmd *cobra.Command, args []string) error {
	if len(args) == 0 && o.namespace != "" {
		return usagef("--namespace is for a Secret: give its NAME too")
	}
	c, err := o.newChecker(cmd, args)
	if err != nil {
		return err
	}
	ctx, cancel := c.withTimeout(cmd.Context())
	defer cancel()
	failed := false
	c.walk(ctx, func(finding check.Finding) {
		if cmd.Context().Err() != nil {
			return // what a signal ended has not failed
		}
		failed = failed || finding.Status == check.Failed
		printFinding(cmd.OutOrStdout(), finding, c.output == "json")
	})
	if stopped := context.Cause(ctx); stopped != nil && !errors.As(stopped, new(timeoutError)) || failed {
		return codeError(exitFailed)
	}
	return nil
}

// printFinding prints a line, and below it the commands; as JSON all of it is
// one line.
func printFinding(out io.Writer, finding check.Finding, asJSON bool) {
	finding.Object, finding.Text, finding.Mend = oneLine(finding.Object), oneLine(finding.Text), oneLineEach(finding.Mend)
	var lines bytes.Buffer
	if asJSON {
		encoder := json.NewEncoder(&lines)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(finding) // a buffer takes everything
	} else {
		fmt.Fprintf(&lines, "%-8s %s: %s\n", finding.Status, finding.Object, finding.Text)
		for _, command := range finding.Mend {
			fmt.Fprintf(&lines, "%-8s   $ %s\n", "", command)
		}
	}
	_, _ = out.Write(lines.Bytes()) // finish looks at the error
}
