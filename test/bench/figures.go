package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// A measurement is what one run of a program took.
type measurement struct {
	wall, cpu time.Duration
	server    time.Duration // CPU of Nautobot, its database and Redis meanwhile
	memory    int64         // at its peak, in bytes
}

// A figure is what the runs of one program came to in one case.
type figure struct {
	Case         string
	Who          string
	Secrets      int // in a run
	Runs         int
	ToNautobot   int // requests in a run
	ToKubernetes int
	Handshakes   int    // TLS, with Nautobot; 0: it was plain http
	Wall         spread // seconds
	CPU          spread // seconds
	Server       spread // seconds of CPU of Nautobot, its database and Redis; 0: it was the fake
	Memory       spread // MB
}

// A spread is the middle one of several values, and how far they are apart.
type spread struct{ Median, Min, Max float64 }

func newSpread(values []float64) spread {
	slices.Sort(values)
	return spread{values[len(values)/2], values[0], values[len(values)-1]}
}

// text shows a spread.
func (s spread) text() string {
	if s.Max == 0 {
		return "-"
	}
	return fmt.Sprintf("%.4g (%.4g-%.4g)", s.Median, s.Min, s.Max)
}

func newFigure(name, who string, secrets int, sent requests, runs []measurement) figure {
	pick := func(f func(measurement) float64) spread {
		var values []float64
		for _, one := range runs {
			values = append(values, f(one))
		}
		return newSpread(values)
	}
	return figure{
		Case: name, Who: who, Secrets: secrets, Runs: len(runs),
		ToNautobot: len(sent) - sent.toKubernetes(), ToKubernetes: sent.toKubernetes(),
		Wall:   pick(func(m measurement) float64 { return m.wall.Seconds() }),
		CPU:    pick(func(m measurement) float64 { return m.cpu.Seconds() }),
		Server: pick(func(m measurement) float64 { return m.server.Seconds() }),
		Memory: pick(func(m measurement) float64 { return float64(m.memory) / 1e6 }),
	}
}

// results are all figures, and the budgets they are held against.
type results struct {
	Figures []figure
	Budgets []budget

	path string // of the file that they are saved in; empty: none
}

// A budget is a limit to a value that was measured.
type budget struct {
	Case, What   string
	Value, Limit float64
	AtLeast      bool // otherwise at most
}

func (b budget) over() bool { return b.AtLeast != (b.Value >= b.Limit) && b.Value != b.Limit }

func (r *results) add(f figure) {
	fmt.Printf("%-40s %-15s %d runs, requests %d + %d\n%-40s wall %s s, CPU %s s, memory %s MB, server %s s\n", f.Case, f.Who, f.Runs,
		f.ToNautobot, f.ToKubernetes, "", f.Wall.text(), f.CPU.text(), f.Memory.text(), f.Server.text())
	if i := slices.IndexFunc(r.Figures, func(g figure) bool { return g.Case == f.Case && g.Who == f.Who }); i >= 0 {
		r.Figures[i] = f
	} else {
		r.Figures = append(r.Figures, f)
	}
}

func (r *results) atMost(name, what string, value, limit float64) {
	r.check(budget{name, what, value, limit, false})
}

func (r *results) check(b budget) {
	if i := slices.IndexFunc(r.Budgets, func(c budget) bool { return c.Case == b.Case && c.What == b.What }); i >= 0 {
		r.Budgets[i] = b
	} else {
		r.Budgets = append(r.Budgets, b)
	}
	word, verdict := "at most", ""
	if b.AtLeast {
		word = "at least"
	}
	if b.over() {
		verdict = "  OVER"
	}
	fmt.Printf("%-40s %s: %.3g, budget %s %g%s\n", b.Case, b.What, b.Value, word, b.Limit, verdict)
}

// load reads what is in the file, if there is one.
func (r *results) load() error {
	text, err := os.ReadFile(r.path)
	if r.path == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	return err
}

// save writes all figures so far to the file.
func (r *results) save() error {
	if r.path == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.path, append(text, '\n'), 0o644)
}
