package provision

import "slices"

// Report is what a run did, one entry an object, in the order of the plan.
type Report struct {
	Changes []Change
}

// add enters a change. A run that had to look again and found its own work
// done still reports what it did.
func (r *Report) add(change Change) {
	i := slices.IndexFunc(r.Changes, func(c Change) bool { return c.Object == change.Object })
	if i < 0 {
		change.Fields, change.Notes = slices.Clone(change.Fields), slices.Clone(change.Notes)
		r.Changes = append(r.Changes, change)
		return
	}
	before := r.Changes[i]
	switch {
	case before.Action == Unchanged:
		before.Action = change.Action
	case change.Action == Unchanged:
		change.Fields = nil
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
	r.Changes[i] = before
}

// Changed tells whether the run wrote anything.
func (r *Report) Changed() bool {
	return slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Action == Created || c.Action == Updated || c.Action == Revoked })
}
