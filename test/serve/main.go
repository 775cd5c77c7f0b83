// Serve runs a real server for trying things by hand, until Ctrl-C:
//
//	go run ./test/serve nautobot 3.2.7
//	go run ./test/serve cluster
//	go run ./test/serve node
//	go run ./test/serve prepare
//
// Once the server is ready, it prints the environment variables that tell
// other programs how to reach it. The first start takes several minutes;
// prepare does what takes so long, for all servers, and starts none.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// nautobotPort is where the Pods of a node reach Nautobot.
const nautobotPort = 8000

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if len(os.Args) == 2 && os.Args[1] == "prepare" {
		if err := servers.Prepare(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "serve:", err)
			os.Exit(1)
		}
		return
	}
	stop, err := start(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "serve: ready; Ctrl-C (or ending process %d) stops it\n", os.Getpid())
	<-ctx.Done()
	stop()
}

// start starts the server that the arguments name and prints how to reach it.
func start(ctx context.Context, args []string) (stop func(), err error) {
	switch {
	case len(args) == 2 && args[0] == "nautobot":
		nautobot, err := servers.StartNautobot(ctx, args[1])
		if err != nil {
			return nil, err
		}
		fmt.Printf("export NAUTOBOT_URL=%s\nexport NAUTOBOT_TOKEN=%s\n", nautobot.URL, nautobot.Token)
		fmt.Fprintf(os.Stderr, "serve: log in as %s with the password %s\n", nautobot.Username, nautobot.Password)
		return nautobot.Stop, nil
	case len(args) == 1 && args[0] == "cluster":
		cluster, err := servers.StartControlPlane(ctx)
		if err != nil {
			return nil, err
		}
		fmt.Printf("export KUBECONFIG=%s\n", cluster.Kubeconfig)
		return cluster.Stop, nil
	case len(args) == 1 && args[0] == "node":
		cluster, err := servers.StartCluster(ctx)
		if err != nil {
			return nil, err
		}
		if err := prepareNode(ctx, cluster); err != nil {
			cluster.Stop()
			return nil, err
		}
		return cluster.Stop, nil
	}
	return nil, fmt.Errorf("usage: serve nautobot VERSION | serve cluster | serve node | serve prepare")
}

// prepareNode puts on the node what the chart needs: Argo Events, the image
// that `make image` has made, and a way to the Nautobot that `make nautobot`
// has started. A node has neither a registry nor a network to this machine.
func prepareNode(ctx context.Context, cluster *servers.Cluster) error {
	if err := cluster.InstallArgoEvents(ctx); err != nil {
		return err
	}
	helm, err := servers.HelmProgram(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\nexport PATH=%s:$PATH\n", cluster.Kubeconfig, filepath.Dir(helm))

	image, err := filepath.Abs("bin/nautobot-token.tar")
	if err != nil {
		return err
	}
	if _, err := os.Stat(image); err != nil {
		fmt.Fprintln(os.Stderr, "serve: the node has no image of nautobot-token: run `make image` first")
	} else if err := cluster.LoadImage(ctx, image); err != nil {
		return err
	}

	nautobot, err := url.Parse(os.Getenv("NAUTOBOT_URL"))
	if err != nil {
		return err
	}
	if nautobot.Scheme != "http" {
		fmt.Fprintln(os.Stderr, "serve: Pods reach no Nautobot: export the NAUTOBOT_URL that `make nautobot` prints first")
		return nil
	}
	fmt.Fprintf(os.Stderr, "serve: Pods reach %s as http://%s:%d\n", nautobot, servers.NodeAddress, nautobotPort)
	return cluster.Forward(nautobotPort, nautobot.Host)
}
