// Figures draws what test/bench has measured, as docs/figures.svg, and writes
// the tables of docs/figures.md:
//
//	go -C test/tools/figures run . -docs ../../../docs
//
// In docs it reads figures.json, which test/bench writes, and latency.txt, the
// output of BenchmarkLatency of test/chain.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	docs := flag.String("docs", "docs", "folder of the figures")
	png := flag.String("png", "", "also draw a PNG there")
	flag.Parse()
	if err := run(*docs, *png); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(docs, png string) error {
	text, err := os.ReadFile(filepath.Join(docs, "figures.json"))
	if err != nil {
		return err
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	if r.latency, err = readLatency(filepath.Join(docs, "latency.txt")); err != nil {
		return err
	}
	if err := picture(r, filepath.Join(docs, "figures.svg")); err != nil {
		return err
	}
	if png != "" {
		if err := picture(r, png); err != nil {
			return err
		}
	}
	return replaceTables(filepath.Join(docs, "figures.md"), r)
}

// results are what test/bench writes.
type results struct {
	Figures []figure
	Budgets []struct {
		Case, What   string
		Value, Limit float64
		AtLeast      bool
	}
	latency []latency
}

type figure struct {
	Case, Who                 string
	Secrets, Runs             int
	ToNautobot, ToKubernetes  int
	Handshakes                int
	Wall, CPU, Server, Memory spread // seconds, and MB
}

type spread struct{ Median, Min, Max float64 }

// latency is the time from Secret to token, and that of an empty Job, in ms.
type latency struct{ chain, empty float64 }

const (
	ourProgram = "nautobot-token"
	bareLoop   = "bare loop"
	bashScript = "bash script"
	playbook   = "playbook (published)"
)

// published are the figures of UnderStack's playbook before March 2026 (the
// parent of its commit 6899a002), run unchanged by ansible-runner 2.4.2 with
// ansible-core 2.20.1 on Python 3.12.1, medians of 15 runs on Nautobot 3.2.7.
// It got its Secret from the environment, not from Kubernetes.
var published = map[string]figure{
	creation: {
		Who: playbook, Runs: 15, ToNautobot: 6, Memory: spread{Median: 56 * 1.048576},
		Wall: spread{4.63, 4.16, 4.94}, CPU: spread{Median: 2.71},
	},
	rerun: {
		Who: playbook, Runs: 15, ToNautobot: 4, Memory: spread{Median: 56 * 1.048576},
		Wall: spread{3.78, 3.17, 5.73}, CPU: spread{Median: 2.32},
	},
}

const (
	creation = "first creation"
	rerun    = "healthy rerun"
)

// find returns the figure of a program in the case that the pattern matches.
func (r results) find(pattern, who string) (figure, bool) {
	kind := regexp.MustCompile(pattern)
	i := slices.IndexFunc(r.Figures, func(f figure) bool { return f.Who == who && kind.MatchString(f.Case) })
	if i < 0 {
		return figure{}, false
	}
	return r.Figures[i], true
}

// oneSecret returns the figures of all programs on one Secret.
func (r results) oneSecret(kind string) []figure {
	var all []figure
	for _, who := range []string{ourProgram, bareLoop, bashScript} {
		if f, ok := r.find("^Nautobot .*, "+kind+"$", who); ok {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil // it was not measured
	}
	return append(all, published[kind])
}

// readLatency reads the lines of a benchmark: NAME RUNS VALUE UNIT VALUE UNIT ...
func readLatency(path string) ([]latency, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it was not measured
	}
	if err != nil {
		return nil, err
	}
	var all []latency
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		var one latency
		for i := 3; i < len(words); i += 2 {
			value, err := strconv.ParseFloat(words[i-1], 64)
			if err != nil {
				return nil, err
			}
			switch words[i] {
			case "chain-ms":
				one.chain = value
			case "empty-Job-ms":
				one.empty = value
			}
		}
		all = append(all, one)
	}
	return all, nil
}

func latencySpread(all []latency, pick func(latency) float64) spread {
	var values []float64
	for _, one := range all {
		values = append(values, pick(one)/1000)
	}
	slices.Sort(values)
	if len(values) == 0 {
		return spread{}
	}
	return spread{values[len(values)/2], values[0], values[len(values)-1]}
}
