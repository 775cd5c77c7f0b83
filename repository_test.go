package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/rackerlabs/understack/go/nautobot-token"

// mayImport says what each folder may import. Test files are free, and so is
// what is not part of the program.
func mayImport(folder, path string) bool {
	standard := !strings.Contains(strings.Split(path, "/")[0], ".")
	ours, inside := strings.CutPrefix(path, module+"/")
	switch {
	case path == module:
		return false // nothing imports main
	case folder == ".":
		return standard || ours == "cmd"
	case inside && ours == "cmd":
		return false // except main
	case strings.HasPrefix(path, "github.com/nautobot/go-nautobot/"):
		return folder == "nautobot"
	case strings.HasPrefix(path, "k8s.io/"), strings.HasPrefix(path, "sigs.k8s.io/"):
		return folder == "kube" || folder == "cmd" && path == "k8s.io/apimachinery/pkg/util/validation" ||
			folder == "nautobot" && path == "k8s.io/apimachinery/pkg/util/wait"
	case folder == "provision", folder == "nautobot/nautobottest", folder == "kube/kubetest", folder == "provision/provisiontest":
		return standard
	case folder == "nautobot", folder == "kube":
		return !inside || ours == "provision" // not each other
	case folder == "cmd/check":
		return standard || ours == "kube"
	}
	return true
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if path != "." && (err == nil || path == "test" || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")) {
				return filepath.SkipDir // another module, or not the program
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			seen[folder+" "+imported] = true
			if !mayImport(folder, imported) {
				t.Errorf("%s imports %s", path, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The walk really looked at the files.
	for _, one := range []string{". " + module + "/cmd", "cmd " + module + "/provision", "nautobot github.com/nautobot/go-nautobot/v2", "kube k8s.io/client-go/rest", "cmd/check " + module + "/kube", "provision errors"} {
		if !seen[one] {
			t.Errorf("%s was not seen", one)
		}
	}
}

// The tests that SECURITY.md names have to exist.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	err = filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		source.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	if len(names) < 20 {
		t.Errorf("SECURITY.md names %d tests", len(names))
	}
	for _, name := range names {
		if !strings.Contains(source.String(), "func "+name[1]+"(") {
			t.Errorf("SECURITY.md names %s, which does not exist", name[1])
		}
	}
}

// Every link from one page to another leads somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	pages := []string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "charts/nautobot-token/README.md", "examples/README.md", "examples/migration/README.md"}
	more, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(pages, more...) {
		for _, found := range link.FindAllStringSubmatch(read(t, page), -1) {
			path, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			links++
			to := page
			if path != "" {
				to = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if anchor != "" && !slices.Contains(anchors(read(t, to)), anchor) {
				t.Errorf("%s: %s has no heading #%s", page, to, anchor)
			}
		}
	}
	if links < 30 {
		t.Errorf("only %d links", links)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchors are the names of a page's headings, as the page's host makes them, and
// those that it gives itself.
func anchors(page string) (names []string) {
	for _, given := range regexp.MustCompile(`<a id="([^"]+)">`).FindAllStringSubmatch(page, -1) {
		names = append(names, given[1])
	}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
