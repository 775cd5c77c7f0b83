package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	source = "../.."
	os.Exit(m.Run())
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// An archive depends on its files, not on their order or on the machine.
func TestTheSameFilesAreTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	files := []file{{"b", 0o755, []byte("program")}, {"a/c", 0o644, []byte("text")}}
	first, second := filepath.Join(dir, "first.tar.gz"), filepath.Join(dir, "second.tar.gz")
	for _, name := range []string{first, second} {
		if err := writeArchive(name, "top", at, files); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(files)
	}
	if read(t, first) != read(t, second) {
		t.Error("another order of the files makes other bytes")
	}
	var got []tar.Header
	for header, text := range untar(t, first) {
		if text == "" {
			t.Errorf("%s is empty", header.Name)
		}
		got = append(got, tar.Header{Name: header.Name, Mode: header.Mode, ModTime: header.ModTime.UTC(), Uname: header.Uname, Uid: header.Uid, Gid: header.Gid})
	}
	want := []tar.Header{{Name: "top/a/c", Mode: 0o644, ModTime: at, Uname: "root"}, {Name: "top/b", Mode: 0o755, ModTime: at, Uname: "root"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The packaged chart has the version of the program, and nothing that is only
// for tests; whose clock and which folder it was does not matter.
func TestChart(t *testing.T) {
	r := release{version: "1.2.3-rc.1", time: at, folder: t.TempDir()}
	name, err := r.writeChart()
	if err != nil {
		t.Fatal(err)
	}
	other := r
	other.folder = t.TempDir()
	if _, err := other.writeChart(); err != nil || read(t, filepath.Join(r.folder, name)) != read(t, filepath.Join(other.folder, name)) {
		t.Errorf("twice packaged, two results: %v", err)
	}
	files := map[string]string{}
	for header, text := range untar(t, filepath.Join(r.folder, name)) {
		files[strings.TrimPrefix(header.Name, "nautobot-token/")] = text
	}
	for _, want := range []string{"Chart.yaml", "values.yaml", "values.schema.json", "README.md", "templates/_helpers.tpl", "templates/NOTES.txt"} {
		if files[want] == "" {
			t.Errorf("%s is missing", want)
		}
	}
	for name := range files {
		if strings.HasPrefix(name, "ci/") || strings.HasPrefix(name, ".") {
			t.Errorf("%s is in the package", name)
		}
	}
	for _, want := range []string{
		"\nversion: 1.2.3-rc.1\n", "\nappVersion: \"1.2.3-rc.1\"\n", "image: ghcr.io/rackerlabs/understack/nautobot-token:1.2.3-rc.1\n",
	} {
		if !strings.Contains(files["Chart.yaml"], want) {
			t.Errorf("Chart.yaml lacks %q:\n%s", want, files["Chart.yaml"])
		}
	}
}

func TestChartVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"0.1.0": "0.1.0", "0.1.0-rc.1": "0.1.0-rc.1", "0.1.0-3-gabcdef0-dirty": "0.1.0-3-gabcdef0-dirty", "devel": "0.0.0-devel",
	} {
		if got := (release{version: version}).chartVersion(); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}

func TestHelmignoreWithoutSurprises(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".helmignore")
	for _, pattern := range []string{"!keep", "a/b", "/a"} {
		if err := os.WriteFile(path, []byte(pattern+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ignoredFiles(path); err == nil {
			t.Errorf("%s is taken for a name", pattern)
		}
	}
}

// The pages are made of the help as the program prints it.
func TestManPages(t *testing.T) {
	t.Parallel()
	helps := map[string]string{
		"--help": read(t, filepath.Join(source, "cmd/testdata/help.golden")), "provision --help": read(t, filepath.Join(source, "cmd/testdata/provision-help.golden")),
	}
	ask := func(args ...string) (string, error) {
		if help := helps[strings.Join(args, " ")]; help != "" {
			return help, nil
		}
		return "What it does\n\nUsage:\n  nautobot-token " + args[0] + "\n\nFlags:\n  -h, --help   help for it\n", nil
	}
	files, err := manPages(ask, "1.2.3", at)
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, f := range files {
		pages[strings.TrimSuffix(filepath.Base(f.name), ".1")] = string(f.content)
	}
	for _, c := range commands(helps["--help"]) {
		if pages["nautobot-token-"+c.name] == "" {
			t.Errorf("%s has no page", c.name)
		}
		if !strings.Contains(pages["nautobot-token"], `nautobot\-token\-`+c.name) {
			t.Errorf("the first page does not name %s", c.name)
		}
	}
	if pages["nautobot-token-version"] == "" || pages["nautobot-token-help"] != "" {
		t.Error("the commands are not those of the help")
	}
	page := pages["nautobot-token-provision"]
	flags := regexp.MustCompile(`(?m)^ .*?(--[a-z-]+)`).FindAllStringSubmatch(helps["provision --help"][strings.Index(helps["provision --help"], "\nSecret:"):], -1)
	if len(flags) < 20 {
		t.Errorf("the help has %d flags", len(flags))
	}
	for _, flag := range flags {
		if !strings.Contains(page, `\fB`+escape(flag[1])+`\fR`) {
			t.Errorf("%s is missing", flag[1])
		}
	}
	for _, want := range []string{
		`.TH "NAUTOBOT\-TOKEN\-PROVISION" 1 "2026-01-02" "nautobot\-token 1.2.3"`,
		".SS Secret\n.TP\n\\fB\\-n\\fR, \\fB\\-\\-namespace\\fR \\fInamespace\\fR\nnamespace of the Secret",
		".SH EXAMPLES\n.nf\nnautobot\\-token provision nautobot\\-token \\-n openstack\n",
		"Exit codes:\n.nf\n  0    done, or nothing to do\n",
		".SH SYNOPSIS\n.nf\nnautobot\\-token provision ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if _, err := manPages(func(...string) (string, error) { return "nothing", nil }, "", at); err == nil {
		t.Error("a help without commands is no error")
	}
}

func TestTroff(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{".dot": `\&.dot`, "'quote": `\&'quote`, `a\n-b`: `a\en\-b`, "plain": "plain"} {
		if got := troff(line); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestNoticesAreUpToDate(t *testing.T) {
	t.Parallel()
	read(t, filepath.Join(source, "go.mod")) // so that Go tests again when it changes
	want, err := thirdPartyNotices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, read(t, filepath.Join(source, "THIRD_PARTY_NOTICES"))); diff != "" {
		t.Errorf("run `make notices` (-want +got):\n%s", diff)
	}
}

func TestSums(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"b", "a"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	if err := writeSums(dir, []string{"b", "a"}, &said); err != nil {
		t.Fatal(err)
	}
	const x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	if want := x + "  a\n" + x + "  b\n"; read(t, filepath.Join(dir, "SHA256SUMS")) != want || said.String() != want {
		t.Errorf("%q, want %q", read(t, filepath.Join(dir, "SHA256SUMS")), want)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// untar yields the files of a tar.gz in their order.
func untar(t *testing.T, name string) func(func(*tar.Header, string) bool) {
	t.Helper()
	return func(yield func(*tar.Header, string) bool) {
		compressed, err := gzip.NewReader(strings.NewReader(read(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		if compressed.Name != "" || !compressed.ModTime.IsZero() {
			t.Errorf("%s has a name or a time in its header", name)
		}
		archive := tar.NewReader(compressed)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(header, string(text)) {
				return
			}
		}
	}
}
