package provision

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// flapping is a Secret that goes and comes back at those times, and is gone at
// first.
type flapping struct {
	start time.Time
	turns []time.Duration
	every time.Duration // it changes forever
}

func (f flapping) Secret(context.Context) (Secret, error) {
	passed := time.Since(f.start)
	turned := slices.IndexFunc(f.turns, func(at time.Duration) bool { return at > passed })
	if turned < 0 {
		turned = len(f.turns)
	}
	if f.every > 0 {
		turned = int(passed / f.every)
	}
	if turned%2 == 0 {
		return Secret{}, ErrNoSecret
	}
	return Secret{Namespace: "ns", Name: "name"}, nil
}

// A Secret counts as gone, or as there, only after it has been so for all of
// Settle, however often it changed before.
func TestSettle(t *testing.T) {
	const settle = 10 * time.Second
	seconds := func(at ...int) (turns []time.Duration) {
		for _, s := range at {
			turns = append(turns, time.Duration(s)*time.Second)
		}
		return turns
	}
	for name, test := range map[string]struct {
		turns []time.Duration
		gone  bool
		after time.Duration
	}{
		"gone for good":                   {nil, true, settle},
		"there all the time":              {seconds(0), false, settle},
		"comes back at the last moment":   {seconds(9), false, 10*time.Second + settle},
		"comes back, and goes again":      {seconds(3, 7), true, 8*time.Second + settle},
		"flaps, and is gone":              {seconds(2, 4, 6, 8, 14, 16, 25, 30), true, 30*time.Second + settle},
		"flaps, and is there":             {seconds(2, 4, 6, 8, 14, 16, 25), false, 26*time.Second + settle},
		"flaps between two looks at most": {seconds(3, 3), true, settle},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				r := Revocation{
					Provisioner: &Provisioner{Log: slog.New(slog.DiscardHandler)}, Settle: settle,
					Source: func(string, string) Source { return flapping{start: start, turns: test.turns} },
				}
				gone, err := r.isGone(t.Context(), Secret{})
				if took := time.Since(start); err != nil || gone != test.gone || took != test.after {
					t.Errorf("gone: %v after %s, %v, want %v after %s", gone, took, err, test.gone, test.after)
				}
			})
		})
	}
}

// A Secret that never settles is left alone when the time is over.
func TestNeverSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := Revocation{
			Provisioner: &Provisioner{Log: slog.New(slog.DiscardHandler)}, Settle: 10 * time.Second,
			Source: func(string, string) Source { return flapping{start: start, every: 9 * time.Second} },
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if gone, err := r.isGone(ctx, Secret{}); gone || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("gone: %v, %v", gone, err)
		}
	})
}
