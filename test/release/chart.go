package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const chartFolder = "charts/nautobot-token"

var (
	chartVersion = regexp.MustCompile(`(?m)^version: .*$`)
	appVersion   = regexp.MustCompile(`(?m)^appVersion: .*$`)
	imageVersion = regexp.MustCompile(`(?m)^(\s+image: ghcr\.io/rackerlabs/understack/nautobot-token:).*$`)
)

// writeChart packages the chart as `helm package` does, except that the same
// files make the same bytes. Chart and program have one version.
func (r release) writeChart() (string, error) {
	root := filepath.Join(source, chartFolder)
	ignored, err := ignoredFiles(filepath.Join(root, ".helmignore"))
	if err != nil {
		return "", err
	}
	var files []file
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		switch {
		case ignored(name, entry.IsDir()) && entry.IsDir():
			return filepath.SkipDir
		case ignored(name, entry.IsDir()) || entry.IsDir():
			return nil
		}
		text, err := os.ReadFile(path)
		if name == "Chart.yaml" {
			text = chartVersion.ReplaceAll(text, []byte("version: "+r.chartVersion()))
			text = appVersion.ReplaceAll(text, []byte(fmt.Sprintf("appVersion: %q", r.version)))
			text = imageVersion.ReplaceAll(text, []byte("${1}"+r.version))
		}
		files = append(files, file{name, 0o644, text})
		return err
	})
	if err != nil {
		return "", err
	}
	name := "nautobot-token-" + r.chartVersion() + ".tgz"
	return name, writeArchive(filepath.Join(r.folder, name), "nautobot-token", r.time, files)
}

// chartVersion is a semantic version, which "devel" and what git makes of a
// commit after a tag are not always.
func (r release) chartVersion() string {
	if regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`).MatchString(r.version) {
		return r.version
	}
	return "0.0.0-" + r.version
}

// ignoredFiles reads a .helmignore whose patterns are names, and folders with a
// slash at the end.
func ignoredFiles(path string) (func(name string, folder bool) bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var patterns []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.ContainsAny(strings.TrimSuffix(line, "/"), "!/") {
			return nil, fmt.Errorf("%s: the pattern %q is not understood here", path, line)
		}
		patterns = append(patterns, line)
	}
	return func(name string, folder bool) bool {
		for _, pattern := range patterns {
			bare, onlyFolders := strings.CutSuffix(pattern, "/")
			if ok, _ := filepath.Match(bare, filepath.Base(name)); ok && (folder || !onlyFolders) {
				return true
			}
		}
		return name == ".helmignore"
	}, nil
}
