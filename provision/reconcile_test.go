package provision

import (
	"testing"
	"time"
)

// TestClock: tokens expire by Nautobot's clock, which may be ahead of ours, or
// behind.
func TestClock(t *testing.T) {
	made := func(created time.Time) []Token {
		return []Token{{}, {Created: created}, {Created: noon.Add(-time.Hour)}}
	}
	tests := map[string]struct {
		saw    time.Time // created by this run
		tokens []Token
		want   time.Time
	}{
		"nothing known":                         {never, nil, noon},
		"a token from before":                   {never, made(noon.Add(-time.Minute)), noon},
		"a token from the future":               {never, made(noon.Add(time.Minute)), noon.Add(time.Minute)},
		"one made just now, ahead":              {noon.Add(time.Hour), nil, noon.Add(time.Hour)},
		"one made just now, behind":             {noon.Add(-time.Hour), nil, noon.Add(-time.Hour)},
		"one made just now, and a later one":    {noon.Add(-time.Hour), made(noon.Add(-time.Minute)), noon.Add(-time.Minute)},
		"one made just now, and an earlier one": {noon.Add(time.Hour), made(noon.Add(time.Minute)), noon.Add(time.Hour)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var expires time.Time
			r := newReconciler(answers{token: Token{Created: test.saw}, expires: &expires})
			_ = createToken{}.send(t.Context(), r)
			if got := r.clock(test.tokens); !got.Equal(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if _ = (expireTokens{In: time.Minute}).send(t.Context(), r); !expires.Equal(test.want.Add(time.Minute)) {
				t.Errorf("a token expires at %v, want a minute after %v", expires, test.want)
			}
		})
	}
}
