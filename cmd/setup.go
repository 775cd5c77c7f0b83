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
	var given options
	var username string
	cmd := &cobra.Command{
		Use:   "setup -f FILE",
		Short: "Create a least-privilege provisioner account",
		Long: `Setup needs a superuser's token, once. It creates the group and the permission
that let accounts manage their own tokens, and a provisioner: an account without
a password that can see, create and change the members of that group, and nobody
else. The provision command can use the provisioner's token as its superuser
token, unless an account is to be a superuser.

FILE is the manifest of the Secret with the provisioner's token. If it does not
exist, it is created with a new token (mode 0600); apply or seal it, then remove
it. If it does exist, Nautobot gets the token that it holds: running setup again
changes nothing, and a new token in the file rotates the old one.

` + secretsInEnvironment,
		Example: `  nautobot-token setup -f provisioner.yaml --dry-run
  nautobot-token setup -f provisioner.yaml
  kubectl apply -f provisioner.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("setup takes no arguments; use --filename")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := given.check(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			if err := checkSetup(s, username); err != nil {
				return usageError{err}
			}
			return runSetup(cmd, s, username)
		},
	}
	account, rule := newGroup("Secret"), newGroup("Rule")
	account.VarP((*text)(&given.file), "filename", "f", "manifest `file` of the Secret with the provisioner's token; created if it does not exist (required)")
	account.StringVar(&username, "username", "nautobot-token-provisioner", "`name` of the provisioner's account")
	rule.addPolicy(&given.policy, "policy `file` that provision will use, if its managedGroup is not the default")
	addFlags(cmd, account, rule, given.nautobotOptions.group(), given.clusterOptions.group(), given.outputOptions.group(usualTimeout))
	return cmd
}

func checkSetup(s *settings, username string) error {
	switch {
	case s.file == "":
		return errors.New("--filename is required: the manifest of the Secret with the provisioner's token")
	case s.file == "-":
		return errors.New("--filename: want a file: standard output is for the result, which anybody may see")
	case !provision.ValidUsername(username):
		return errors.New("--username: want ASCII letters, digits and @ . + - _, starting and ending with a letter or digit")
	}
	return nil
}

func runSetup(cmd *cobra.Command, s *settings, username string) error {
	ctx, cancel := s.withTimeout(cmd.Context())
	defer cancel()
	log := s.logger(cmd.ErrOrStderr())
	o := s.newOutcome(cmd.OutOrStdout())

	var cluster *kube.Client
	if s.token.Empty() {
		var err error
		if cluster, err = s.connect(ctx); err != nil {
			return err
		}
		cluster.Log = log
	}
	token, created, err := provisionerToken(ctx, s)
	file := "file/" + filepath.Base(s.file)
	if _, refused := errors.AsType[*provision.Refusal](err); refused {
		o.add(log, file, provision.Report{}, err)
		return o.err()
	}
	if err != nil {
		return usagef("--filename: %w", withoutPath(err))
	}
	var report provision.Report
	client, superuser, err := s.nautobotClient(ctx, cluster, log)
	if err == nil {
		report, err = provision.Setup{
			Nautobot: client, SuperuserToken: superuser, ManagedGroup: s.rules.ManagedGroup,
			Username: username, Token: token, Grace: s.grace,
			DryRun: s.dryRun, Now: time.Now, Log: log,
		}.Run(ctx)
	}
	if created {
		report.Changes = append([]provision.Change{{Object: file, Action: provision.Created}}, report.Changes...)
	}
	o.add(log, "user/"+username, report, err)
	return o.err()
}

// provisionerToken is the token in the manifest. A file that does not exist is
// created with a new token; a dry run makes a token too, but writes no file.
func provisionerToken(ctx context.Context, s *settings) (token provision.Sensitive, created bool, err error) {
	switch info, err := os.Stat(s.file); {
	case errors.Is(err, fs.ErrNotExist):
		token := newToken()
		return token, true, createManifest(s, token)
	case err != nil:
		return token, false, err
	case !info.Mode().IsRegular():
		return token, false, errors.New("not a regular file")
	}
	manifest, err := await(ctx, func() (kube.Manifest, error) { return readManifest(nil, s.file, "") })
	if err != nil {
		return token, false, err
	}
	secret, err := manifest.Secret(ctx)
	if err != nil {
		return token, false, err
	}
	token, err = provision.ParseToken(secret, s.tokenKeys()...)
	return token, false, err
}

func newToken() provision.Sensitive {
	random := make([]byte, 20)
	_, _ = rand.Read(random) // never fails
	return provision.Hide(hex.EncodeToString(random))
}

// createManifest writes the token to a file that nobody else can read and that
// nobody else put there: O_EXCL does not follow a link either. A dry run checks
// whether that would work.
func createManifest(s *settings, token provision.Sensitive) (err error) {
	if s.dryRun {
		if _, err := os.Lstat(s.file); err == nil {
			return fs.ErrExist // a link to nothing
		}
		_, err := os.Stat(filepath.Dir(s.file))
		return err
	}
	// The names are quoted: YAML does not read 1234 or true as a string.
	manifest := fmt.Sprintf(`# The token of the account that provisions the others. This Secret must not have
# the label token/type: the account is not provisioned itself.
apiVersion: v1
kind: Secret
metadata:
  namespace: %q
  name: %q
type: Opaque
stringData:
  %q: %q
`, s.superuserNamespace(), s.superuserName(), s.tokenKeys()[0], token.Reveal())
	file, err := os.OpenFile(s.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(manifest)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		err = errors.Join(err, os.Remove(s.file)) // half a token is worse than none
	}
	return err
}
