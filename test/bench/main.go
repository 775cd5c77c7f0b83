// Bench measures the program beside a floor: a bare HTTP client that sends the
// same requests in the same run.
//
//	go run ./test/bench             the fake servers, then a real Nautobot and API server
//	go run ./test/bench -on fake    the fake servers alone
//
// Program and floor take turns, and the medians count. Bench judges nothing:
// it prints each value beside its budget, and fails only if something failed
// to run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Budgets: how many times the floor's, and the size in MB.
const (
	wallBudget   = 1.1
	cpuBudget    = 2.5
	memoryBudget = 2.5
	sizeBudget   = 16
)

type options struct {
	runs, syncRuns, fullRuns int
	secrets                  int // on the real Nautobot
	on, version, output      string
}

func main() {
	var o options
	flag.IntVar(&o.runs, "n", 11, "how often each is run on one Secret")
	flag.IntVar(&o.syncRuns, "sync", 5, "how often each sync is run, except")
	flag.IntVar(&o.fullRuns, "full", 3, "how often a full one is run on the real Nautobot, which takes minutes")
	flag.IntVar(&o.secrets, "secrets", 1000, "how many Secrets are synced on the real Nautobot; 0: leave that out")
	flag.StringVar(&o.on, "on", "both", "servers to measure on: fake, real or both")
	flag.StringVar(&o.version, "nautobot", "3.2.7", "version of the real Nautobot")
	flag.StringVar(&o.output, "o", "", "file for the figures, in JSON; those of other cases stay in it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := build(ctx, dir)
	if err != nil {
		return err
	}
	r := results{path: o.output}
	if err := r.load(); err != nil {
		return err
	}
	r.atMost("binary", "MB", float64(p.size)/1e6, sizeBudget)
	var steps []func() error
	if o.on != "real" {
		steps = append(steps,
			func() error { return oneSecret(ctx, dir, startFake, p, &r, o.runs) },
			func() error { return syncOnFake(ctx, dir, p, &r, o.syncRuns) },
		)
	}
	if o.on != "fake" {
		start := func(ctx context.Context, dir string) (*stage, error) { return startReal(ctx, dir, o.version) }
		steps = append(steps, func() error { return oneSecret(ctx, dir, start, p, &r, o.runs) })
		if o.secrets > 0 {
			steps = append(steps, func() error { return syncOnReal(ctx, dir, p, &r, o) })
		}
	}
	for _, step := range steps {
		if err := errors.Join(step(), r.save()); err != nil {
			return err
		}
	}
	return nil
}

func oneSecret(ctx context.Context, dir string, start func(context.Context, string) (*stage, error), p programs, r *results, runs int) error {
	s, err := start(ctx, dir)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := s.creation(ctx, p, r, runs); err != nil {
		return err
	}
	return s.rerun(ctx, p, r, runs)
}

func syncOnFake(ctx context.Context, dir string, p programs, r *results, runs int) error {
	var few figure
	for _, size := range []int{1000, 10000} {
		many, err := syncOnFakeOf(ctx, dir, p, r, runs, size)
		if err != nil {
			return err
		}
		if few.Who == "" {
			few = many
			continue
		}
		r.atMost(many.Case, "memory, times that of 1,000 Secrets", many.Memory.Median/few.Memory.Median, 1.3)
	}
	return nil
}

func syncOnFakeOf(ctx context.Context, dir string, p programs, r *results, runs, size int) (figure, error) {
	c, err := startCrowd(ctx, dir, p, "", size)
	if err != nil {
		return figure{}, err
	}
	defer c.stop()
	sent, err := c.recordSync(ctx, p)
	if err != nil {
		return figure{}, err
	}
	name := "sync, " + c.name
	program, _, err := c.compare(ctx, p, r, runs, name, sent)
	if err != nil {
		return program, err
	}
	r.atMost(name, "ms of CPU per Secret", 1000*program.CPU.Median/float64(size), 1)
	if size > 1000 { // the fake gets slow
		return program, nil
	}
	if err := c.overTLS(ctx, p, r, runs, name+", TLS"); err != nil {
		return program, err
	}
	return program, c.shards(ctx, p, r, runs, name)
}

func syncOnReal(ctx context.Context, dir string, p programs, r *results, o options) error {
	c, err := startCrowd(ctx, dir, p, o.version, o.secrets)
	if err != nil {
		return err
	}
	defer c.stop()
	sent, err := c.recordSync(ctx, p, "--quick")
	if err != nil {
		return err
	}
	name := "sync --quick, " + c.name
	quick, floor, err := c.compare(ctx, p, r, o.syncRuns, name, sent, "--quick")
	if err != nil {
		return err
	}
	r.atMost(name, "wall, times the bare loop's", quick.Wall.Median/floor.Wall.Median, wallBudget)
	if err := c.shards(ctx, p, r, o.syncRuns, name, "--quick"); err != nil {
		return err
	}
	if err := c.overTLS(ctx, p, r, o.syncRuns, name+", TLS", "--quick"); err != nil {
		return err
	}
	name = "sync, " + c.name
	full, floor, err := c.compare(ctx, p, r, o.fullRuns, name, c.byPassword(sent))
	if err != nil {
		return err
	}
	if o.fullRuns > 1 { // one pair says little on a busy machine
		r.atMost(name, "wall, times the bare loop's", full.Wall.Median/floor.Wall.Median, wallBudget)
	}
	r.check(budget{name, "CPU of Nautobot, times that of --quick", full.Server.Median / quick.Server.Median, 10, true})
	return nil
}
