package nautobottest

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A filter says how a query parameter is compared with an object's field.
type filter struct {
	field string // as object.lookup knows it
	kind  filterKind
}

type filterKind int

const (
	textFilter    filterKind = iota // exact; __n, __ic, __ie, __isw, __iew and their negations
	idFilter                        // exact
	boolFilter                      // true or false
	timeFilter                      // exact; __gt, __gte, __lt, __lte, __isnull
	groupFilter                     // the name of an existing group
	groupIDFilter                   // the id of an existing group
	searchFilter                    // q: part of any of the fields, separated by blanks
)

// notFilters are parameters of every list that choose no objects.
var notFilters = []string{"api_version", "depth", "exclude_m2m", "format", "include", "limit", "offset", "sort"}

// filter applies the query. Different parameters must all match, repeated ones are alternatives. Values are stripped, and
// an empty one is ignored: "?username=" finds everybody.
func (c *call) filter(e *endpoint, all []object) ([]object, *answer) {
	refused := form{}
	for name, values := range c.query {
		if has(notFilters, name) {
			continue
		}
		base, lookup, _ := strings.Cut(name, "__")
		f, known := e.filters[base]
		test := f.test(lookup)
		if !known || test == nil {
			refused.add(name, "Unknown filter field")
			continue
		}
		kind := f.kind
		if lookup == "isnull" {
			kind = boolFilter
		}
		values, texts := c.values(kind, e.integer, values)
		if len(texts) > 0 {
			refused.add(name, texts...)
		}
		if len(values) == 0 {
			continue
		}
		negated := f.kind != timeFilter && strings.HasPrefix(lookup, "n")
		all = slices.DeleteFunc(slices.Clone(all), func(o object) bool {
			matches := false
			for field := range strings.FieldsSeq(f.field) {
				have, _ := o.lookup(&c.state, field)
				if len(have) == 0 {
					have = []any{nil}
				}
				for _, h := range have {
					matches = matches || slices.ContainsFunc(values, func(v string) bool { return test(h, v) })
				}
			}
			return matches == negated
		})
	}
	if len(refused) > 0 {
		return nil, invalid(refused)
	}
	return all, nil
}

// values prepares a parameter's values, or says what is wrong with them. Values that say nothing are dropped.
func (c *call) values(kind filterKind, integer bool, given []string) (values, wrong []string) {
	for _, v := range given {
		if v == "" && kind != groupFilter {
			continue
		}
		stripped := strings.TrimSpace(v)
		_, err := strconv.Atoi(stripped)
		switch kind {
		case groupFilter: // alone not stripped, and alone not ignored when empty
			if c.state.group(v) == nil {
				wrong = append(wrong, "Select a valid choice. "+v+" is not one of the available choices.")
			}
			stripped = v
		case groupIDFilter:
			if err != nil {
				wrong = append(wrong, "“"+v+"” is not a valid value.")
			} else if !slices.ContainsFunc(c.state.groups, func(g Group) bool { return g.pk() == stripped }) {
				wrong = append(wrong, "Select a valid choice. "+v+" is not one of the available choices.")
			}
		case idFilter:
			if integer && err != nil {
				wrong = append(wrong, "Enter a whole number.")
			} else if !integer && !isUUID(stripped) {
				wrong = append(wrong, "Enter a valid UUID.")
			}
		case timeFilter:
			if _, ok := parseTime(stripped); !ok {
				wrong = append(wrong, "Enter a valid date/time.")
			}
		case boolFilter:
			if stripped = strings.ToLower(stripped); stripped != "true" && stripped != "false" {
				continue
			}
		}
		values = append(values, stripped)
	}
	return values, wrong
}

// test is the comparison behind a lookup, without its negation; nil if the filter has no such lookup.
func (f filter) test(lookup string) func(have any, value string) bool {
	switch f.kind {
	case searchFilter:
		lookup = "ic"
	case timeFilter:
		return timeTest(lookup)
	case idFilter, groupFilter, groupIDFilter, boolFilter:
		if lookup != "" && lookup != "n" {
			return nil
		}
		return func(have any, value string) bool { return fmt.Sprint(have) == strings.ToLower(value) || have == value }
	}
	fold := func(compare func(a, b string) bool) func(any, string) bool {
		return func(have any, value string) bool {
			return compare(strings.ToLower(fmt.Sprint(have)), strings.ToLower(value))
		}
	}
	switch strings.TrimPrefix(lookup, "n") {
	case "":
		return func(have any, value string) bool { return have == value }
	case "ic":
		return fold(strings.Contains)
	case "ie":
		return fold(func(a, b string) bool { return a == b })
	case "isw":
		return fold(strings.HasPrefix)
	case "iew":
		return fold(strings.HasSuffix)
	}
	return nil
}

func timeTest(lookup string) func(have any, value string) bool {
	if lookup == "isnull" {
		return func(have any, value string) bool { return (have == nil) == (strings.ToLower(value) == "true") }
	}
	accept, known := map[string][]int{"": {0}, "lt": {-1}, "lte": {-1, 0}, "gt": {1}, "gte": {1, 0}}[lookup]
	if !known {
		return nil
	}
	return func(have any, value string) bool {
		at, isTime := have.(time.Time)
		limit, ok := parseTime(value)
		return isTime && ok && slices.Contains(accept, at.Compare(limit))
	}
}

// list answers one page. Pages are counted by offset; a limit that makes no sense is the default, 0 the largest.
func (c *call) list(all []object) *answer {
	c.sort(all)
	limit, err := strconv.Atoi(c.query.Get("limit"))
	switch {
	case err != nil || limit < 0:
		limit = c.options.PageSize
	case limit == 0 || limit > c.options.MaxPageSize:
		limit = c.options.MaxPageSize
	}
	offset, _ := strconv.Atoi(c.query.Get("offset"))
	offset = max(offset, 0)
	shown := []any{}
	for i := offset; i < len(all) && i < offset+limit; i++ {
		shown = append(shown, all[i].render(c))
	}
	var next, previous any
	if offset+limit < len(all) {
		next = c.pageLink(limit, offset+limit)
	}
	if offset > 0 {
		previous = c.pageLink(limit, offset-limit)
	}
	return reply(http.StatusOK, fields{"count": len(all), "next": next, "previous": previous, "results": shown})
}

func (c *call) pageLink(limit, offset int) string {
	query := url.Values{}
	for name, values := range c.query {
		query[name] = values
	}
	query.Set("limit", strconv.Itoa(limit))
	query.Set("offset", strconv.Itoa(offset))
	if offset <= 0 {
		query.Del("offset")
	}
	return c.link(strings.TrimPrefix(c.r.URL.Path, "/api/")) + "?" + query.Encode()
}

// sort follows the parameter of that name; fields that do not exist are passed over.
func (c *call) sort(all []object) {
	for field := range strings.SplitSeq(c.query.Get("sort"), ",") {
		field, descending := strings.CutPrefix(field, "-")
		if len(all) == 0 {
			return
		}
		if _, known := all[0].lookup(&c.state, field); !known {
			continue
		}
		key := func(o object) string {
			values, _ := o.lookup(&c.state, field)
			if len(values) == 0 {
				return ""
			}
			if t, isTime := values[0].(time.Time); isTime {
				return t.UTC().Format("2006-01-02T15:04:05.000000")
			}
			return fmt.Sprint(values[0])
		}
		if descending {
			slices.Reverse(all) // the newest first, also of those made at one instant
		}
		slices.SortStableFunc(all, func(a, b object) int {
			if descending {
				a, b = b, a
			}
			return cmp.Compare(key(a), key(b))
		})
	}
}
