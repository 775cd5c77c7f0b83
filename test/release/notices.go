package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licenceFile is what a licence may ask to be passed on.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|notice|copying|patents)`)

// thirdPartyNotices has the licences of all modules that are linked into the
// program on one of the platforms, and Go's own. The MIT and BSD licences ask
// for their text beside a binary, the Apache licence for the NOTICE. A text that
// many share is in it once.
func thirdPartyNotices(ctx context.Context) (string, error) {
	users := map[string]map[string]bool{} // by the text of the licence
	look := func(module, folder, root string) (found bool, err error) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return false, err
		}
		for _, entry := range entries {
			if !entry.Type().IsRegular() || !licenceFile.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
				continue
			}
			file := filepath.Join(folder, entry.Name())
			text, err := os.ReadFile(file)
			if err != nil {
				return false, err
			}
			if users[tidy(string(text))] == nil {
				users[tidy(string(text))] = map[string]bool{}
			}
			users[tidy(string(text))][module+" ("+filepath.ToSlash(strings.TrimPrefix(file, root+string(filepath.Separator)))+")"] = true
			found = true
		}
		return found, nil
	}
	for platform := range strings.SplitSeq(targets, ",") {
		system, architecture, _ := strings.Cut(platform, "/")
		list := exec.CommandContext(ctx, "go", "list", "-deps", "-f",
			"{{$dir := .Dir}}{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}\t{{$dir}}{{end}}{{end}}", ".")
		list.Dir, list.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
		out, err := list.Output()
		if err != nil {
			return "", fmt.Errorf("%s: %w", list, err)
		}
		for line := range strings.Lines(string(out)) {
			columns := strings.Split(strings.TrimSpace(line), "\t")
			if len(columns) != 3 {
				continue // a package of the standard library, or ours
			}
			// A package that was copied from elsewhere has its licence beside it.
			module, root, folder := columns[0], columns[1], columns[2]
			for ; folder != root; folder = filepath.Dir(folder) {
				if _, err := look(module, folder, root); err != nil {
					return "", err
				}
			}
			if found, err := look(module, root, root); err != nil || !found {
				return "", fmt.Errorf("%s has no licence, or it cannot be read: %w", module, err)
			}
		}
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	root := strings.TrimSpace(string(out))
	if _, err := look("Go, its runtime and standard library", root, root); err != nil {
		return "", err
	}

	type section struct{ title, text string }
	var sections []section
	for text, modules := range users {
		sections = append(sections, section{strings.Join(slices.Sorted(maps.Keys(modules)), "\n"), text})
	}
	slices.SortFunc(sections, func(a, b section) int { return strings.Compare(a.title, b.title) })
	var page strings.Builder
	page.WriteString("The program nautobot-token contains the following software, under these licences.\n")
	for _, s := range sections {
		line := strings.Repeat("-", 78)
		fmt.Fprintf(&page, "\n%s\n%s\n%s\n\n%s", line, s.title, line, s.text)
	}
	return page.String(), nil
}

// tidy leaves out what does not count in a licence: white space at the end of
// lines and around the text.
func tidy(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(line, " \t\r\n\f") + "\n")
	}
	return strings.Trim(out.String(), "\n") + "\n"
}
