package nautobottest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// notFilters are parameters of every list that choose no objects.
var notFilters = []string{"depth", "exclude_m2m", "limit", "offset"}

// filter applies the query. Different parameters must all match, repeated ones are alternatives. Values are stripped, and
// an empty one is ignored: "?username=" finds everybody.
func (c *call) filter(e *endpoint, all []object) ([]object, *answer) {
	refused := form{}
	for name, values := range c.query {
		if has(notFilters, name) {
			continue
		}
		if !has(e.filters, name) {
			refused.add(name, "Unknown filter field")
			continue
		}
		field, lookup, _ := strings.Cut(name, "__")
		if field == "groups" { // the only one not stripped, not ignored if empty, and limited to known names
			field = "groups__name"
			for _, v := range values {
				if c.state.group(v) == nil {
					refused.add(name, "Select a valid choice. "+v+" is not one of the available choices.")
				}
			}
		} else {
			values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
		}
		if len(values) == 0 {
			continue
		}
		matches := matcher(lookup, values)
		all = slices.DeleteFunc(all, func(o object) bool {
			return !slices.ContainsFunc(o.values(&c.state, field), func(have any) bool {
				text, _ := have.(string)
				return matches(text)
			})
		})
	}
	if len(refused) > 0 {
		return nil, invalid(refused)
	}
	return all, nil
}

// matcher is how a filter compares the stored text with the values asked for.
func matcher(lookup string, values []string) func(have string) bool {
	wanted := map[string]bool{}
	for _, v := range values {
		wanted[strings.TrimSpace(v)] = true
	}
	if lookup == "" {
		return func(have string) bool { return wanted[have] }
	}
	return func(have string) bool {
		for v := range wanted {
			if lookup == "ie" && strings.EqualFold(have, v) || lookup == "isw" && strings.HasPrefix(strings.ToLower(have), strings.ToLower(v)) {
				return true
			}
		}
		return false
	}
}

// list answers one page. Pages are counted by offset; a limit that makes no sense is the default, 0 the largest.
func (c *call) list(all []object) *answer {
	limit, err := strconv.Atoi(c.query.Get("limit"))
	switch {
	case err != nil || limit < 0:
		limit = c.options.PageSize
	case limit == 0 || limit > c.options.MaxPageSize:
		limit = c.options.MaxPageSize
	}
	offset, _ := strconv.Atoi(c.query.Get("offset"))
	first := min(max(offset, 0), len(all))
	last := min(first+limit, len(all))
	shown := []any{}
	for _, o := range all[first:last] {
		shown = append(shown, o.render(c))
	}
	var next, previous any
	if last < len(all) {
		next = c.pageLink(limit, last)
	}
	if first > 0 {
		previous = c.pageLink(limit, max(first-limit, 0))
	}
	return reply(http.StatusOK, fields{"count": len(all), "next": next, "previous": previous, "results": shown})
}

func (c *call) pageLink(limit, offset int) string {
	query := c.r.URL.Query()
	query.Set("limit", strconv.Itoa(limit))
	query.Set("offset", strconv.Itoa(offset))
	return c.link(strings.TrimPrefix(c.r.URL.Path, "/api/users/")) + "?" + query.Encode()
}
