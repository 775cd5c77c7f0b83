package provision

import "slices"

// Report is what a run did, one entry per object, in the order of the plan.
type Report struct {
	Changes []Change
}

// Change is what happens to one object, with the names of the fields that change.
type Change struct {
	Object string // empty: nothing to report
	Action Action
	Fields []string
	Notes  []string
}

// Action is a fixed word for what happened to an object.
type Action string

// The actions, as they are printed.
const (
	Created   Action = "created"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
	Revoked   Action = "revoked"
	Refused   Action = "refused"
	Failed    Action = "failed"
)

// add records a change. A run that had to observe again and found its own work
// done still reports what it did; what happened last to an object counts.
func (r *Report) add(change Change) {
	if change.Object == "" {
		return
	}
	i := slices.IndexFunc(r.Changes, func(c Change) bool { return c.Object == change.Object })
	if i < 0 {
		change.Fields, change.Notes = slices.Clone(change.Fields), slices.Clone(change.Notes)
		r.Changes = append(r.Changes, change)
		return
	}
	before := &r.Changes[i]
	switch {
	case change.Action == Unchanged:
		change.Fields = nil
	case change.Action == Revoked || before.Action == Revoked:
		*before = Change{Object: change.Object, Action: change.Action} // its end is all that counts
	case before.Action == Unchanged:
		before.Action = change.Action
	}
	for _, field := range change.Fields {
		if before.Action != Created && !slices.Contains(before.Fields, field) {
			before.Fields = append(before.Fields, field)
		}
	}
	for _, note := range change.Notes {
		if !slices.Contains(before.Notes, note) {
			before.Notes = append(before.Notes, note)
		}
	}
}

// forget makes an object count as unchanged: what was done to it was taken back.
func (r *Report) forget(object string) {
	for i, change := range r.Changes {
		if change.Object == object {
			r.Changes[i] = Change{Object: object, Action: Unchanged, Notes: change.Notes}
		}
	}
}

// Changed reports whether the run wrote anything, or a dry run would.
func (r *Report) Changed() bool {
	return slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Action == Created || c.Action == Updated || c.Action == Revoked })
}
