package provision

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReportAdd(t *testing.T) {
	change := func(action Action, fields []string, notes ...string) Change {
		return Change{Object: "token/a", Action: action, Fields: fields, Notes: notes}
	}
	groups := []string{"groups"}
	tests := map[string]struct {
		add  []Change
		want []Change
	}{
		"one change": {
			[]Change{change(Updated, groups, "note")},
			[]Change{change(Updated, groups, "note")},
		},
		"objects keep the order in which they came first": {
			[]Change{
				{Object: "user/b", Action: Unchanged},
				{Object: "token/a", Action: Created},
				{Object: "group/c", Action: Created},
				{Object: "user/b", Action: Updated, Fields: groups},
			},
			[]Change{
				{Object: "user/b", Action: Updated, Fields: groups},
				{Object: "token/a", Action: Created},
				{Object: "group/c", Action: Created},
			},
		},
		"a change of no object is not told": {
			[]Change{{Action: Updated, Fields: groups, Notes: groups}, change(Unchanged, nil), {}},
			[]Change{change(Unchanged, nil)},
		},
		"created stays created, without fields": {
			[]Change{change(Created, nil), change(Updated, groups, "note"), change(Unchanged, nil, "other note")},
			[]Change{change(Created, nil, "note", "other note")},
		},
		"unchanged, then updated": {
			[]Change{change(Unchanged, nil, "note"), change(Updated, groups)},
			[]Change{change(Updated, groups, "note")},
		},
		"unchanged, then created": {
			[]Change{change(Unchanged, nil), change(Created, nil)},
			[]Change{change(Created, nil)},
		},
		"updated, then unchanged": {
			[]Change{change(Updated, groups), change(Unchanged, []string{"email"}, "note")},
			[]Change{change(Updated, groups, "note")},
		},
		"unchanged twice": {
			[]Change{change(Unchanged, nil, "note"), change(Unchanged, nil, "note")},
			[]Change{change(Unchanged, nil, "note")},
		},
		"fields and notes come once each, in their order": {
			[]Change{
				change(Updated, []string{"password", "groups"}, "one"),
				change(Updated, []string{"groups", "email"}, "two", "one"),
				change(Updated, []string{"password"}, "three"),
			},
			[]Change{change(Updated, []string{"password", "groups", "email"}, "one", "two", "three")},
		},

		// An account may be taken out of service and be needed again.
		"unchanged, then revoked": {
			[]Change{change(Unchanged, nil), change(Revoked, nil, "note")},
			[]Change{change(Revoked, nil, "note")},
		},
		"created, then revoked": {
			[]Change{change(Created, nil, "note"), change(Revoked, nil, "end")},
			[]Change{change(Revoked, nil, "end")},
		},
		"updated, then revoked": {
			[]Change{change(Updated, groups, "note"), change(Revoked, nil, "end")},
			[]Change{change(Revoked, nil, "end")},
		},
		"revoked, then created": {
			[]Change{change(Revoked, nil, "end"), change(Created, nil, "note")},
			[]Change{change(Created, nil, "note")},
		},
		"revoked, then updated": {
			[]Change{change(Revoked, nil, "end"), change(Updated, groups, "note")},
			[]Change{change(Updated, groups, "note")},
		},
		"revoked twice": {
			[]Change{change(Revoked, nil, "end"), change(Revoked, nil, "end")},
			[]Change{change(Revoked, nil, "end")},
		},
		"revoked, then found so": {
			[]Change{change(Revoked, nil, "end"), change(Unchanged, nil, "note")},
			[]Change{change(Revoked, nil, "end", "note")},
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

// TestReportAddLeavesItsArgumentsAlone looks beyond the ends of the slices: a plan
// may go on using them.
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
