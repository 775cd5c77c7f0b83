package main

import (
	"fmt"
	"os"
	"strings"
)

// replaceTables writes the tables between the two marks of a file.
func replaceTables(path string, r results) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const begin, end = "<!-- tables: written by test/tools/figures -->\n", "<!-- end of the tables -->"
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s: the marks around the tables are missing", path)
	}
	return os.WriteFile(path, []byte(before+begin+tables(r)+end+after), 0o644)
}

func tables(r results) string {
	var b strings.Builder
	for _, kind := range []string{creation, rerun} {
		if r.oneSecret(kind) == nil {
			continue
		}
		fmt.Fprintf(&b, "\n### One Secret on a real Nautobot, %s\n\n", kind)
		row(&b, "", "runs", "wall, s", "own CPU, ms", "peak memory, MB", "requests to Nautobot", "to Kubernetes", "CPU of Nautobot, s")
		for _, f := range r.oneSecret(kind) {
			row(&b, f.Who, fmt.Sprint(f.Runs), f.Wall.text(1), f.CPU.text(1000), f.Memory.text(1),
				fmt.Sprint(f.ToNautobot), fmt.Sprint(f.ToKubernetes), f.Server.text(1))
		}
	}
	for _, server := range []string{"real", "fake"} {
		fmt.Fprintf(&b, "\n### Sync on a %s Nautobot\n\n", server)
		row(&b, "", "", "runs", "wall, s", "own CPU per Secret, ms", "peak memory, MB", "requests to Nautobot", "to Kubernetes", "TLS handshakes", "CPU of Nautobot per Secret, ms")
		for _, f := range r.Figures {
			if !strings.HasPrefix(f.Case, "sync") || strings.Contains(f.Case, "fake") != (server == "fake") {
				continue
			}
			row(&b, f.Case, f.Who, fmt.Sprint(f.Runs), f.Wall.text(1), f.CPU.text(1000/float64(f.Secrets)), f.Memory.text(1),
				count(f.ToNautobot), count(f.ToKubernetes), count(f.Handshakes), f.Server.text(1000/float64(f.Secrets)))
		}
	}
	if len(r.latency) > 0 {
		fmt.Fprintf(&b, "\n### From Secret to token\n\n")
		row(&b, "", "runs of several", "seconds, mean of a run")
		runs := fmt.Sprint(len(r.latency))
		row(&b, "the Secret is written, until Nautobot accepts its token", runs, latencySpread(r.latency, func(l latency) float64 { return l.chain }).text(1))
		row(&b, "an empty Job of the same image is made, until its Pod is seen to have ended", runs, latencySpread(r.latency, func(l latency) float64 { return l.empty }).text(1))
	}

	fmt.Fprintf(&b, "\n### Beside the budgets\n\n")
	row(&b, "", "", "measured", "budget", "")
	for _, one := range r.Budgets {
		if strings.HasPrefix(one.Case, "fake Nautobot") && strings.HasPrefix(one.What, "wall") {
			continue // the fake takes next to no time: the budget is for a real one
		}
		word, verdict := "at most", "holds"
		if one.AtLeast {
			word = "at least"
		}
		if one.Value != one.Limit && one.AtLeast != (one.Value > one.Limit) {
			verdict = "**over**"
		}
		row(&b, one.Case, one.What, number(one.Value), fmt.Sprintf("%s %g", word, one.Limit), verdict)
	}
	b.WriteString("\n")
	return b.String()
}

// row writes a row of a table, and if there was none before, the line below it.
func row(b *strings.Builder, cells ...string) {
	first := strings.HasSuffix(b.String(), "\n\n")
	b.WriteString(strings.TrimSuffix("| "+strings.Join(cells, " | "), " ") + " |\n")
	if first {
		b.WriteString("|" + strings.Repeat(" --- |", len(cells)) + "\n")
	}
}

// text is the median and, in brackets, the smallest and the largest value.
func (s spread) text(by float64) string {
	switch {
	case s.Median == 0:
		return ""
	case s.Max == 0 || s.Min == s.Max:
		return number(s.Median * by)
	}
	return fmt.Sprintf("%s (%s to %s)", number(s.Median*by), number(s.Min*by), number(s.Max*by))
}

// number has three digits or as many as are before the point.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func count(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
