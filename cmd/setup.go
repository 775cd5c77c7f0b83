package cmd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

func newSetupCommand() *cobra.Command {
	var options options
	var username string
	cmd := &cobra.Command{
		Use:   "setup -f FILE",
		Short: "Set Nautobot up for an account that may provision and no more",
		Long: `Setup needs the token of a superuser, once. It makes the group and the
permission that let accounts manage their own tokens, and a provisioner: an
account without a password that can see, make and change the members of that
group, and nobody else. Its token serves as the superuser token of provision
wherever no account is to be a superuser itself.

FILE is the manifest of the Secret with the provisioner's token. Where there is
no such file it is written, with a new token and mode 0600; apply or seal it,
then remove it. Where there is one, Nautobot gets the token that stands in it,
so running setup again changes nothing, and a new token rotates the old one.

` + secretsInEnvironment,
		Example: `  nautobot-token setup -f provisioner.yaml --dry-run
  nautobot-token setup -f provisioner.yaml
  kubectl apply -f provisioner.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("setup takes no arguments, but --filename")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := options.settings(cmd.Flags())
			if err != nil {
				return err
			}
			if settings.file == "" {
				return usagef("--filename is required: the manifest of the Secret with the provisioner's token")
			}
			if !provision.ValidUsername(username) {
				return usagef("--username %q: want ASCII letters, digits and @ . + - _, beginning and ending with a letter or digit", username)
			}
			if settings.rules.ManagedGroup == provision.ProvisionersGroup {
				return usagef("%s: managedGroup %q is the provisioners' own group: a provisioner could change itself", named("policy"), provision.ProvisionersGroup)
			}
			return runSetup(cmd, settings, username)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&options.file, "filename", "f", "", "manifest `file` of the Secret with the provisioner's token; written if it is not there (required)")
	flags.StringVar(&username, "username", "nautobot-token-provisioner", "`name` of the provisioner's account")
	flags.StringVar(&options.policy, "policy", "", "policy `file` of the runs, if its managedGroup is not the default")
	options.addShared(flags)
	return cmd
}

func runSetup(cmd *cobra.Command, settings settings, username string) error {
	log := settings.logger(cmd.ErrOrStderr())
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), settings.timeout,
		fmt.Errorf("the --timeout of %s is over", settings.timeout))
	defer cancel()

	var cluster *kube.Client
	if settings.token.Empty() {
		var err error
		if cluster, err = settings.connect(); err != nil {
			return err
		}
	}
	out := newReport(cmd.OutOrStdout(), settings)
	token, made, err := provisionerToken(ctx, settings)
	if err != nil {
		var refused *provision.Refusal
		if errors.As(err, &refused) {
			out.end("file/"+filepath.Base(settings.file), provision.Report{}, err)
			return outcome(settings, provision.Report{}, err, log)
		}
		return usagef("--filename: %w", err)
	}
	var report provision.Report
	client, superuser, err := connectNautobot(ctx, settings, cluster, log)
	if err == nil {
		report, err = provision.Setup{
			Nautobot: client, SuperuserToken: superuser, ManagedGroup: settings.rules.ManagedGroup,
			Username: username, Token: token, Grace: settings.grace,
			DryRun: settings.dryRun, Now: time.Now, Log: log,
		}.Run(ctx)
	}
	if made {
		report.Changes = append([]provision.Change{{Object: "file/" + filepath.Base(settings.file), Action: provision.Created}}, report.Changes...)
	}
	out.end("user/"+username, report, err)
	return outcome(settings, report, err, log)
}

// provisionerToken is the token in the manifest, which is made if it is not
// there. A dry run makes one too, but writes nothing.
func provisionerToken(ctx context.Context, settings settings) (token provision.Sensitive, made bool, err error) {
	file, err := os.Open(settings.file)
	if errors.Is(err, fs.ErrNotExist) {
		token, err = newProvisioner(settings)
		return token, true, err
	}
	if err != nil {
		return token, false, err
	}
	defer func() { _ = file.Close() }()
	manifest, err := kube.ReadManifest(file, "")
	if err != nil {
		return token, false, err
	}
	secret, err := manifest.Secret(ctx)
	if err != nil {
		return token, false, err
	}
	token, err = provision.ParseToken(secret, settings.tokenKeys()...)
	return token, false, err
}

// newProvisioner writes a manifest with a new token, for nobody else to read.
func newProvisioner(settings settings) (provision.Sensitive, error) {
	random := make([]byte, 20)
	if _, err := rand.Read(random); err != nil {
		return provision.Sensitive{}, err
	}
	token := provision.Hide(hex.EncodeToString(random))
	if settings.dryRun {
		return token, nil
	}
	namespace, name := settings.superuserSecretName()
	manifest := fmt.Sprintf(`# The token of the account that provisions the others. It must not bear the
# label token/type: it is not provisioned itself.
apiVersion: v1
kind: Secret
metadata:
  namespace: %s
  name: %s
type: Opaque
stringData:
  %s: %s
`, namespace, name, settings.tokenKeys()[0], token.Reveal())
	return token, os.WriteFile(settings.file, []byte(manifest), 0o600)
}
