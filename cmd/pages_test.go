package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Every command line that a page shows is one that the program understands.
func TestCommandsInPages(t *testing.T) {
	emptyEnvironment(t)
	command := regexp.MustCompile(`(?m)^.*\bnautobot-token ((?:provision|sync|revoke|check|setup|version)\b[^#|&\n` + "`" + `]*)`)
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../examples/README.md", "../examples/migration/README.md", "../charts/nautobot-token/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range command.FindAllStringSubmatch(string(text), -1) {
			found++
			about, args, err := newRootCommand().Find(strings.Fields(line[1]))
			if err != nil {
				t.Errorf("%s: %s: %v", page, line[1], err)
				continue
			}
			if err := about.ParseFlags(args); err != nil && err != pflag.ErrHelp { //nolint:errorlint // it is never wrapped
				t.Errorf("%s: %s: %v", page, line[1], err)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d commands", found)
	}
}
