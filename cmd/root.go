package cmd

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Main runs the program with the arguments, streams and signals of the process
// and returns its exit code.
func Main() int {
	// A reader that hangs up must not end the run between two writes. Output
	// that cannot be printed is an error in itself, see finish.
	signal.Ignore(syscall.SIGPIPE)
	// net/http has a log of its own, and quotes there what a server sends beyond its answer.
	log.SetOutput(io.Discard)
	ctx, stop := untilSignal(context.Background())
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// run is the program: everything that it reads and writes comes in as an
// argument, except for the environment.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &checkedWriter{to: stdout}
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(out)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	return finish(ctx, command, out, err)
}

func newRootCommand() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "nautobot-token",
		Short: "Provision Nautobot service accounts from Kubernetes Secrets",
		Long: `nautobot-token reads a Kubernetes Secret labelled token/type: nautobot, ensures
that Nautobot has exactly that user, password and API token, and exits. Running
it again changes nothing.`,
		SilenceErrors: true, // finish prints them
		SilenceUsage:  true, // a failed run is not a usage error
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				printVersion(cmd.OutOrStdout())
				return nil
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&version, "version", false, "print the version, like the version command")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// If the command is misspelt, its flags are read as the root's, which has
		// none of them.
		if args := cmd.Flags().Args(); !cmd.HasParent() && len(args) > 0 {
			return noCommand(args[0])
		}
		return flagError(err)
	})
	root.AddCommand(newProvisionCommand(), newSyncCommand(), newRevokeCommand(), newCheckCommand(), newSetupCommand(), newVersionCommand())
	root.SetHelpCommand(newHelpCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

func noCommand(name string) error {
	if !isShown(name) {
		return usagef("there is no such command; what was given is not shown, since it may be a secret")
	}
	return usagef("there is no command %q", name)
}

// isShown reports whether a word that is neither a command nor a flag looks like a
// mistyped one. Any other may be a password or a token in the wrong place.
func isShown(word string) bool {
	return len(word) <= maxWord && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") == ""
}

const maxWord = 24 // a little more than the longest name of a flag

// newHelpCommand is cobra's, except that naming a command that does not exist is
// a mistake.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noCommand(rest[0])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
