package cmd

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker; otherwise, what the Go toolchain knows is used.
var (
	version = ""
	commit  = ""
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and what it was built with",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("version takes no arguments")
			}
			return nil
		},
		Run: func(cmd *cobra.Command, _ []string) { printVersion(cmd.OutOrStdout()) },
	}
}

func printVersion(out io.Writer) {
	b := readBuild()
	_, _ = fmt.Fprintf(out, "version      %s\ncommit       %s\ngo           %s\ngo-nautobot  %s\n",
		b.version, b.commit, runtime.Version(), b.goNautobot)
}

type build struct{ version, commit, goNautobot string }

func readBuild() build {
	b := build{version, commit, "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if b.version == "" {
		b.version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if b.commit == "" && setting.Key == "vcs.revision" {
			b.commit = setting.Value
		}
	}
	for _, module := range info.Deps {
		if module.Path == "github.com/nautobot/go-nautobot/v2" {
			b.goNautobot = module.Version
		}
	}
	if b.commit == "" {
		b.commit = "unknown"
	}
	return b
}

func userAgent() string { return "nautobot-token/" + readBuild().version }
