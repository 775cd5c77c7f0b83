// Bench measures the program beside a floor: a bare HTTP client that sends the
// same requests in the same run.
//
//	go run ./test/bench          a local stub, then a real Nautobot and API server
//	go run ./test/bench -stub    the local stub alone, which needs nothing but Go
//
// Program and floor take turns, and the medians count. Bench judges nothing:
// it prints each ratio beside its budget, and fails only if something failed
// to run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/test/bench/replay"
)

// Budgets: how many times the floor's, and the size in MB.
const (
	wallBudget   = 1.1
	cpuBudget    = 2.5
	memoryBudget = 2.5
	sizeBudget   = 16
)

func main() {
	runs := flag.Int("n", 11, "how often each is run")
	stub := flag.Bool("stub", false, "measure on the local stub only")
	version := flag.String("nautobot", "3.2.7", "version of the real Nautobot")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, *runs, *stub, *version)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, runs int, stubOnly bool, version string) error {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := build(ctx, dir)
	if err != nil {
		return err
	}
	stages := []func(context.Context, string) (*stage, error){startStub}
	if !stubOnly {
		stages = append(stages, func(ctx context.Context, dir string) (*stage, error) {
			return startReal(ctx, dir, version)
		})
	}
	for _, start := range stages {
		if err := onStage(ctx, dir, start, p, runs); err != nil {
			return err
		}
	}
	size := float64(p.size) / 1e6
	fmt.Printf("binary size: %.1f MB (budget %d MB)%s\n", size, sizeBudget, verdict(size, sizeBudget))
	return nil
}

func onStage(ctx context.Context, dir string, start func(context.Context, string) (*stage, error), p programs, runs int) error {
	s, err := start(ctx, dir)
	if err != nil {
		return err
	}
	defer s.stop()
	for _, c := range []struct {
		name string
		run  func(context.Context, programs, int) (program, floor []measurement, sent []replay.Request, err error)
	}{
		{"first creation", s.creation},
		{"healthy rerun", s.rerun},
	} {
		program, floor, sent, err := c.run(ctx, p, runs)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", s.name, c.name, err)
		}
		report(s.name+", "+c.name, median(program), median(floor), sent)
	}
	return nil
}

// A measurement is what one run of a program took.
type measurement struct {
	wall, cpu time.Duration
	memory    int64 // at its peak, in bytes
}

// median takes each of the three by itself.
func median(all []measurement) measurement {
	middle := len(all) / 2
	var wall, cpu []time.Duration
	var memory []int64
	for _, one := range all {
		wall, cpu, memory = append(wall, one.wall), append(cpu, one.cpu), append(memory, one.memory)
	}
	slices.Sort(wall)
	slices.Sort(cpu)
	slices.Sort(memory)
	return measurement{wall[middle], cpu[middle], memory[middle]}
}

func report(title string, program, floor measurement, sent []replay.Request) {
	toKubernetes := 0
	for _, request := range sent {
		if request.ToKubernetes {
			toKubernetes++
		}
	}
	fmt.Printf("%s: %d requests to Nautobot, %d to Kubernetes\n", title, len(sent)-toKubernetes, toKubernetes)
	fmt.Printf("  %-16s %10s %10s %10s\n", "", "wall", "CPU", "memory")
	for _, row := range []struct {
		name string
		m    measurement
	}{{"nautobot-token", program}, {"floor", floor}} {
		fmt.Printf("  %-16s %7.1f ms %7.1f ms %7.1f MB\n", row.name, ms(row.m.wall), ms(row.m.cpu), float64(row.m.memory)/1e6)
	}
	wall := ms(program.wall) / ms(floor.wall)
	cpu := ms(program.cpu) / ms(floor.cpu)
	memory := float64(program.memory) / float64(floor.memory)
	fmt.Printf("  %-16s %10.2f %10.2f %10.2f\n", "ratio", wall, cpu, memory)
	fmt.Printf("  %-16s %10.2f %10.2f %10.2f\n", "budget", wallBudget, cpuBudget, memoryBudget)
	fmt.Printf("  %-16s %10s %10s %10s\n\n", "", verdict(wall, wallBudget), verdict(cpu, cpuBudget), verdict(memory, memoryBudget))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func verdict(value, budget float64) string {
	if value > budget {
		return " OVER"
	}
	return ""
}
