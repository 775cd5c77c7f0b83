package servers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
)

// startInRunDir calls start with a new temporary directory, and once more if a
// port it had chosen was taken. The directory of a failed start is kept for
// whoever has to find out why, and the error names it.
func startInRunDir[Server any](ctx context.Context, name string, start func(ctx context.Context, dir string) (Server, error)) (Server, error) {
	var none Server
	for try := 1; ; try++ {
		dir, err := os.MkdirTemp("", name+"-")
		if err != nil {
			return none, fmt.Errorf("start %s: %w", name, err)
		}
		server, err := start(ctx, dir)
		switch {
		case err == nil:
			return server, nil
		case ctx.Err() != nil:
			os.RemoveAll(dir)
			return none, fmt.Errorf("start %s: %w", name, ctx.Err())
		case errors.Is(err, errPortTaken) && try == 1:
			os.RemoveAll(dir)
		default:
			return none, fmt.Errorf("start %s: %w\n(all logs are in %s; remove it when done)", name, err, dir)
		}
	}
}

// freePorts chooses n different loopback ports that nobody listens on. They are
// not among those that the kernel gives to connections: between choosing a port
// and using it, or while a server is interrupted, one of them could get it.
func freePorts(n int) ([]int, error) {
	const first, last = 15000, 30000 // Linux gives away 32768 to 60999
	var ports []int
	for range 100 {
		if len(ports) == n {
			return ports, nil
		}
		port := first + rand.IntN(last-first)
		listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer listener.Close() // after all are chosen, so that they differ
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("no %d free ports of loopback from %d to %d", n, first, last)
}

// Together starts several servers side by side, and returns when all are up.
// When one fails, the others are cancelled; those that are up already are left
// to be stopped.
func Together(ctx context.Context, starts ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, start := range starts {
		wg.Go(func() {
			if err := start(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// RunTests takes one step after the other, such as starting servers Together,
// then runs the tests of a package and stops the servers, and returns the exit
// code. A signal ends all of it.
func RunTests(name string, run func() int, stop func(), steps ...func(context.Context) error) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	defer stop()
	for _, step := range steps {
		if err := step(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			return 1
		}
	}
	defer context.AfterFunc(ctx, func() { // nobody tells the tests
		stop()
		os.Exit(1)
	})()
	return run()
}
