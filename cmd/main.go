package cmd

import (
	"context"
	"os"
)

// Main runs the program with the arguments, streams and signals of the process
// and returns its exit code.
func Main() int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
