// Demo shows what nautobot-token does: it starts a fake Nautobot on loopback,
// runs the real program on the manifests in examples/, and prints each command
// line and everything that the program printed. Run it from the module's root:
//
//	make demo
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
)

// A scene is one run of the program.
type scene struct {
	title string
	args  string
	exit  int    // the code it has to end with
	says  string // what its output has to contain
}

var scenes = []scene{
	{"A dry run reads everything and writes nothing.", "provision -f examples/secret.yaml --dry-run", 0, "created (dry run)"},
	{"The account and its token are created.", "provision -f examples/secret.yaml", 0, "created"},
	{"Again: there is nothing to do.", "provision -f examples/secret.yaml", 0, "unchanged"},
	{"The Secret has another token: the new one works, and the old one ends an hour later.", "provision -f examples/demo/rotated.yaml", 0, "1 superseded token"},
	{"A Secret that cannot be right is refused, with all its problems.", "provision -f examples/demo/refused.yaml", 3, "refused"},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) != 2 {
		return errors.New("usage: demo PROGRAM")
	}
	server := nautobottest.New(nautobottest.Options{})
	defer server.Close()

	fmt.Printf("# A Nautobot that lives in memory, until the end of this demo.\n")
	fmt.Printf("$ export NAUTOBOT_URL=%s NAUTOBOT_TOKEN=... LOG_FORMAT=text CLUSTER_NAME=lab\n", server.URL)
	for _, scene := range scenes {
		if err := play(ctx, scene, server, os.Args[1]); err != nil {
			return err
		}
	}
	return nil
}

// play runs the program in an environment of its own, prints what it printed,
// and checks it.
func play(ctx context.Context, scene scene, server *nautobottest.Server, program string) error {
	fmt.Printf("\n# %s\n$ nautobot-token %s\n", scene.title, scene.args)
	server.ResetRequests()

	var output bytes.Buffer // of both streams, in the order of writing
	command := exec.CommandContext(ctx, program, strings.Fields(scene.args)...)
	command.Env = []string{"NAUTOBOT_URL=" + server.URL, "NAUTOBOT_TOKEN=" + server.Token, "LOG_FORMAT=text", "CLUSTER_NAME=lab"}
	command.Stdout = &output
	command.Stderr = &output
	err := command.Run()
	fmt.Print(output.String())

	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	code := command.ProcessState.ExitCode()
	if code != 0 {
		fmt.Printf("# exit code %d\n", code)
	}
	fmt.Printf("# requests to Nautobot: %d, writes among them: %d\n", len(server.Requests()), len(server.Writes()))

	if code != scene.exit {
		return fmt.Errorf("exit code %d, want %d", code, scene.exit)
	}
	if !strings.Contains(output.String(), scene.says) {
		return fmt.Errorf("the output does not say %q", scene.says)
	}
	return nil
}
