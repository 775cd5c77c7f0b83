// Command nautobot-token provisions the Nautobot service account that a
// Kubernetes Secret describes, and exits.
package main

import (
	"os"

	"github.com/rackerlabs/understack/go/nautobot-token/cmd"
)

func main() { os.Exit(cmd.Main()) }
