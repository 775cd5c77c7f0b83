package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// What Nautobot or an error says cannot begin a line of its own, nor control a
// terminal.
func TestOneObjectIsOneLine(t *testing.T) {
	const evil = "x\nuser/evil created\r\v\f\u0085\u2028\u2029\x1b[2J\x7f\u202e\x00\xff"
	report := provision.Report{Changes: []provision.Change{
		{Object: "user/" + evil, Action: provision.Updated, Fields: []string{evil}, Notes: []string{evil}},
	}}
	for name, err := range map[string]error{"a failure": errors.New(evil), "a refusal": provision.NewRefusal("%s", evil), "none": nil} {
		for _, asJSON := range []bool{false, true} {
			var out strings.Builder
			p := &printer{json: asJSON, out: &out}
			p.tell("secret/"+evil, report, err)
			want := 2
			if err == nil {
				want = 1
			}
			if got := len(strings.FieldsFunc(out.String(), func(r rune) bool { return strings.ContainsRune("\n\r\v\f\u0085\u2028\u2029", r) })); got != want {
				t.Errorf("%s, JSON %v: %d lines, want %d: %q", name, asJSON, got, want, out.String())
			}
			if strings.ContainsAny(out.String(), "\x1b\x7f\u202e\x00") {
				t.Errorf("%s: a control character shows: %q", name, out.String())
			}
			if asJSON && !json.Valid([]byte(strings.Split(out.String(), "\n")[0])) {
				t.Errorf("%s: not JSON: %q", name, out.String())
			}
		}
	}
}

// The lines of one Secret stay together, whoever else prints.
func TestPrinterIsForSeveralGoroutines(t *testing.T) {
	var out strings.Builder
	p := &printer{out: &out}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			name := fmt.Sprintf("%02d", i)
			p.tell("secret/"+name, provision.Report{Changes: []provision.Change{
				{Object: "user/" + name, Action: provision.Created},
				{Object: "token/" + name, Action: provision.Created},
			}}, nil)
		})
	}
	all.Wait()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 100 {
		t.Fatalf("%d lines, want 100", len(lines))
	}
	for i := 0; i < len(lines); i += 2 {
		user, token := strings.Fields(lines[i])[0], strings.Fields(lines[i+1])[0]
		if strings.TrimPrefix(user, "user/") != strings.TrimPrefix(token, "token/") {
			t.Errorf("%q is followed by %q", user, token)
		}
	}
}
