package cmd

import "testing"

// The progress line has to stay in one row of the terminal, or its other rows
// are never cleared.
func TestProgressFitsTheTerminal(t *testing.T) {
	const line = "12 of 100 Secrets done"
	for width, want := range map[int]string{0: line, 1: "", 20: "12 of 100 Secrets d", 22: "12 of 100 Secrets don", 23: line, 80: line} {
		if got := fitting(line, width); got != want {
			t.Errorf("width %d: %q, want %q", width, got, want)
		}
	}
}
