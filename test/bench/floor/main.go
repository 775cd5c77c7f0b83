// Floor replays the script that it reads from standard input.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/rackerlabs/understack/go/nautobot-token/test/bench/replay"
)

func main() {
	var script replay.Script
	err := json.NewDecoder(os.Stdin).Decode(&script)
	if err == nil {
		err = script.Run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}
