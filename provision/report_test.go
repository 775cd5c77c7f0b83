package provision

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReportAdd(t *testing.T) {
	change := func(action Action, fields []string, notes ...string) Change {
		return Change{Object: "token/a", Action: action, Fields: fields, Notes: notes}
	}
	tests := map[string]struct {
		add  []Change
		want []Change
	}{
		"one change": {
			add:  []Change{change(Updated, []string{"expires"}, "note")},
			want: []Change{change(Updated, []string{"expires"}, "note")},
		},
		"objects keep the order in which they came first": {
			add: []Change{
				{Object: "user/b", Action: Unchanged},
				{Object: "token/a", Action: Created},
				{Object: "group/c", Action: Created},
				{Object: "user/b", Action: Updated, Fields: []string{"groups"}},
			},
			want: []Change{
				{Object: "user/b", Action: Updated, Fields: []string{"groups"}},
				{Object: "token/a", Action: Created},
				{Object: "group/c", Action: Created},
			},
		},
		"what was created stays so, without fields": {
			add:  []Change{change(Created, nil), change(Updated, []string{"password"}, "note"), change(Unchanged, nil, "other note")},
			want: []Change{change(Created, nil, "note", "other note")},
		},
		"unchanged, then updated": {
			add:  []Change{change(Unchanged, nil, "note"), change(Updated, []string{"groups"})},
			want: []Change{change(Updated, []string{"groups"}, "note")},
		},
		"unchanged, then created": {
			add:  []Change{change(Unchanged, nil), change(Created, nil)},
			want: []Change{change(Created, nil)},
		},
		"unchanged, then revoked": {
			add:  []Change{change(Unchanged, nil), change(Revoked, nil, "note")},
			want: []Change{change(Revoked, nil, "note")},
		},
		"updated, then found done": {
			add:  []Change{change(Updated, []string{"groups"}), change(Unchanged, nil, "note")},
			want: []Change{change(Updated, []string{"groups"}, "note")},
		},
		"a change that is none has no fields": {
			add:  []Change{change(Updated, []string{"groups"}), change(Unchanged, []string{"email"})},
			want: []Change{change(Updated, []string{"groups"})},
		},
		"fields and notes come once each, in their order": {
			add: []Change{
				change(Updated, []string{"password", "groups"}, "one"),
				change(Updated, []string{"groups", "email"}, "two", "one"),
				change(Updated, []string{"password"}, "three"),
			},
			want: []Change{change(Updated, []string{"password", "groups", "email"}, "one", "two", "three")},
		},
		"unchanged twice": {
			add:  []Change{change(Unchanged, nil, "note"), change(Unchanged, nil, "note")},
			want: []Change{change(Unchanged, nil, "note")},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var report Report
			for _, change := range test.add {
				report.add(change)
			}
			if diff := cmp.Diff(test.want, report.Changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReportAddLeavesItsArgumentsAlone looks behind the ends of the slices: a
// plan may go on using them.
func TestReportAddLeavesItsArgumentsAlone(t *testing.T) {
	fields := []string{"password", "groups", "email"}
	notes := []string{"one", "two", "three"}
	var report Report
	report.add(Change{Object: "user/a", Action: Updated, Fields: fields[:1], Notes: notes[:1]})
	report.add(Change{Object: "user/a", Action: Updated, Fields: []string{"is_staff"}, Notes: []string{"other"}})
	if diff := cmp.Diff([]string{"password", "groups", "email"}, fields); diff != "" {
		t.Errorf("the plan's fields (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"one", "two", "three"}, notes); diff != "" {
		t.Errorf("the plan's notes (-want +got):\n%s", diff)
	}
}

func TestReportChanged(t *testing.T) {
	for action, want := range map[Action]bool{
		Created: true, Updated: true, Revoked: true, Unchanged: false, Refused: false, Failed: false,
	} {
		report := Report{[]Change{{Object: "user/a", Action: Unchanged}, {Object: "token/a", Action: action}}}
		if got := report.Changed(); got != want {
			t.Errorf("%s: got %v, want %v", action, got, want)
		}
	}
	if new(Report).Changed() {
		t.Error("an empty report says that something was written")
	}
}
