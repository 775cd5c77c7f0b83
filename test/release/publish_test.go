package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	imageDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	chartDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	password    = "the-token-of-the-registry"
)

// fakes are the programs that a release talks to the network with. Each writes
// down its arguments, and what it is given on standard input.
var fakes = map[string]string{
	"docker": `case "$*" in *login*) cat >"$LOGINS";; *metadata-file*) echo '{"containerimage.digest": "` + imageDigest + `", "other": "sha256:0"}' >dist/image.json;; esac`,
	"helm":   `case "$*" in *login*) cat >"$LOGINS";; push*) echo "Pushed: x"; echo "Digest: ` + chartDigest + `" >&2;; esac`,
	"cosign": `case "$*" in login*) cat >"$LOGINS";; sign-blob*) echo bundle >dist/SHA256SUMS.sigstore.json;; esac`,
	"gh":     `case "$*" in *view*) exit "${RELEASED:-1}";; esac`,
}

// workplace is a copy of the project, as it is now, in a repository of its own
// with the fake programs.
type workplace struct {
	dir, calls, logins string
	env                []string
}

func newWorkplace(t *testing.T) workplace {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the scripts run on Linux, with GNU's tools")
	}
	root := t.TempDir()
	w := workplace{dir: filepath.Join(root, "repository"), calls: filepath.Join(root, "calls"), logins: filepath.Join(root, "logins")}
	bin := filepath.Join(root, "bin")
	for _, dir := range []string{w.dir, bin} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, does := range fakes {
		script := "#!/bin/sh\necho " + name + ` "$@" >>"$CALLS"` + "\n" + does + "\n"
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CALLS="+w.calls, "LOGINS="+w.logins, "COSIGN=cosign", "HELM=helm",
		"REGISTRY_USER=somebody", "GITHUB_TOKEN="+password,
		// Neither the settings of this machine nor a repository around it count.
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CEILING_DIRECTORIES="+root,
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com")
	w.must(t, "git init -q -b main .")
	return w
}

// sh runs a line of shell in the repository.
func (w workplace) sh(t *testing.T, line string, env ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-c", line)
	command.Dir, command.Env = w.dir, append(w.env, env...)
	output, err := command.CombinedOutput()
	if strings.Contains(string(output), password) {
		t.Errorf("%s shows the registry's token", line)
	}
	return strings.TrimSpace(string(output)), err
}

func (w workplace) must(t *testing.T, line string, env ...string) string {
	t.Helper()
	output, err := w.sh(t, line, env...)
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, output)
	}
	return output
}

func (w workplace) place(t *testing.T) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), "git", "rev-parse").Run(); err != nil {
		t.Skip("this is not a checkout, or not the user's own")
	}
	// Go tests again when one of these changes: what a script reads it does not see.
	for _, name := range []string{"place.sh", "publish.sh", "../../Makefile", "../../.github/workflows/ci.yaml", "../../.github/workflows/release.yaml"} {
		_, _ = os.Stat(name)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	w.must(t, here+"/place.sh .")
	w.must(t, "git add -A && git commit -qm 'Add nautobot-token'")
}

// In the repository of UnderStack, other components have tags of their own.
func TestVersionBesideOtherComponents(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t)
	w.place(t)
	version := func(dir string) string { return w.must(t, "make --no-print-directory -s -C "+dir+" version") }
	const project = "go/nautobot-token"
	w.must(t, "git tag understackctl/v9.0.0 && git tag nautobotop-v8.0.0 && git tag v7.0.0")
	if got := version(project); got != "devel" {
		t.Errorf("without a tag of its own: %s", got)
	}
	w.must(t, "git tag nautobot-token-v1.2.3")
	if got := version(project); got != "1.2.3" {
		t.Errorf("at the tag: %s", got)
	}
	w.must(t, "git commit -q --allow-empty -m more && git tag ironic-ipxe/v9.1.0")
	if got := version(project); !regexp.MustCompile(`^1\.2\.3-1-g[0-9a-f]{7,}$`).MatchString(got) {
		t.Errorf("a commit later: %s", got)
	}
	w.must(t, "echo >>"+project+"/README.md")
	if got := version(project); !strings.HasSuffix(got, "-dirty") {
		t.Errorf("with a change: %s", got)
	}
	w.must(t, `git clone -q --depth 1 --no-tags "file://$PWD" ../shallow`)
	if got := version("../shallow/" + project); got != "devel" {
		t.Errorf("in a checkout without tags: %s", got)
	}
	w.must(t, `git clone -q --depth 1 --branch nautobot-token-v1.2.3 "file://$PWD" ../tag`)
	if got := version("../tag/" + project); got != "1.2.3" {
		t.Errorf("in a checkout of nothing but the tag: %s", got)
	}
	w.must(t, "rm -rf ../tag/.git")
	if got := version("../tag/" + project); got != "devel" {
		t.Errorf("without a repository: %s", got)
	}
}

// GitHub reads the workflows at the root, and they find the project.
func TestPlace(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(source, ".github/workflows/release.yaml")); err != nil {
		t.Skip("the project is placed already")
	}
	w := newWorkplace(t)
	w.must(t, "mkdir -p .github/workflows && echo 'on: push' >.github/workflows/theirs.yaml")
	w.place(t)
	if got := w.must(t, "ls .github/workflows; ls -A go/nautobot-token/.github 2>/dev/null || true"); got != "nautobot-token-ci.yaml\nnautobot-token-release.yaml\ntheirs.yaml" {
		t.Errorf("workflows: %s", got)
	}
	for _, name := range []string{"ci", "release"} {
		text := read(t, filepath.Join(w.dir, ".github/workflows/nautobot-token-"+name+".yaml"))
		if !strings.Contains(text, "\n  PROJECT: go/nautobot-token\n") {
			t.Errorf("%s does not say where the project is", name)
		}
		if strings.Contains(text, "'**'") {
			t.Errorf("%s runs for every change of other components", name)
		}
	}
	ci := read(t, filepath.Join(w.dir, ".github/workflows/nautobot-token-ci.yaml"))
	if strings.Count(ci, "    paths: ['go/nautobot-token/**', '.github/workflows/nautobot-token-ci.yaml']\n") != 2 {
		t.Errorf("the paths are not those of the project:\n%.300s", ci)
	}
	if output, err := w.sh(t, "go/nautobot-token/test/release/place.sh ."); err == nil || !strings.Contains(output, "is there already") {
		t.Errorf("a second time: %v: %s", err, output)
	}
}

// Every step that a workflow runs is one of the script or of the Makefile, and
// no action is taken by a name that can move.
func TestWorkflowsRunWhatIsTested(t *testing.T) {
	t.Parallel()
	script, makefile := read(t, "publish.sh"), read(t, filepath.Join(source, "Makefile"))
	names, err := filepath.Glob(filepath.Join(source, ".github/workflows/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skip("the workflows are at the root of the repository")
	}
	for _, name := range names {
		text := read(t, name)
		for _, use := range regexp.MustCompile(`uses: (.*)`).FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`^[a-z-]+/[a-z-]+@[0-9a-f]{40} # v[0-9.]+$`).MatchString(use[1]) {
				t.Errorf("%s uses %s", name, use[1])
			}
		}
		for _, step := range regexp.MustCompile(`publish\.sh (\S+)`).FindAllStringSubmatch(text, -1) {
			if !strings.Contains(script, "\nstep_"+step[1]+"() ") {
				t.Errorf("%s: there is no step %s", name, step[1])
			}
		}
		for _, target := range regexp.MustCompile(`run: make (\S+)`).FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+target[1]+": ") {
				t.Errorf("%s: there is no target %s", name, target[1])
			}
		}
	}
	release := read(t, filepath.Join(source, ".github/workflows/release.yaml"))
	for _, run := range regexp.MustCompile(`run: (.*)`).FindAllStringSubmatch(release, -1) {
		if !strings.HasPrefix(run[1], "make ") && !strings.HasPrefix(run[1], "test/release/publish.sh ") {
			t.Errorf("the release runs %q, which no test runs", run[1])
		}
	}
}

// Everything that is published is signed by its digest, never by a tag, and the
// release comes last.
func TestPublish(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t)
	w.place(t)
	w.dir = filepath.Join(w.dir, "go/nautobot-token")
	tag := "TAG=nautobot-token-v1.2.3"
	w.must(t, `printf '## [Unreleased]\n\nnot yet\n\n## [1.2.3] - 2026-01-02\n\n- It is better.\n\n## [1.2.2]\n\nold\n' >CHANGELOG.md`)
	w.must(t, "git commit -qam 'Release 1.2.3' && git tag nautobot-token-v1.2.3")
	if got := w.must(t, "test/release/publish.sh check", tag); got != "releasing 1.2.3" {
		t.Errorf("check: %s", got)
	}
	w.must(t, "mkdir dist && cd dist && echo x >nautobot-token_1.2.3_linux_amd64.tar.gz && echo y >nautobot-token-1.2.3.tgz && sha256sum * >SHA256SUMS")
	for _, step := range []string{"image", "chart", "sign", "release"} {
		w.must(t, "test/release/publish.sh "+step, tag)
		if step != "release" {
			if got := strings.TrimSpace(read(t, w.logins)); got != password {
				t.Errorf("%s: the token did not come on standard input: %q", step, got)
			}
			w.must(t, "rm "+w.logins)
		}
	}
	commit, epoch := w.must(t, "git rev-parse HEAD"), w.must(t, "git log -1 --format=%ct")
	want := fmt.Sprintf(`gh release view nautobot-token-v1.2.3
docker login ghcr.io --username somebody --password-stdin
docker buildx create --name release --driver docker-container --use
docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max --build-arg VERSION=1.2.3 --build-arg COMMIT=%s --build-arg SOURCE_DATE_EPOCH=%s --tag ghcr.io/rackerlabs/understack/nautobot-token:1.2.3 --push --metadata-file dist/image.json .
helm registry login ghcr.io --username somebody --password-stdin
helm push dist/nautobot-token-1.2.3.tgz oci://ghcr.io/rackerlabs/charts
cosign login ghcr.io --username somebody --password-stdin
cosign sign --yes --recursive ghcr.io/rackerlabs/understack/nautobot-token@%s
cosign sign --yes ghcr.io/rackerlabs/charts/nautobot-token@%s
cosign sign-blob --yes --bundle dist/SHA256SUMS.sigstore.json dist/SHA256SUMS
gh release create nautobot-token-v1.2.3 --verify-tag --latest=false --title nautobot-token 1.2.3 --notes-file dist/notes.md dist/nautobot-token_1.2.3_linux_amd64.tar.gz dist/nautobot-token-1.2.3.tgz dist/SHA256SUMS dist/SHA256SUMS.sigstore.json
`, commit, epoch, imageDigest, chartDigest)
	calls := read(t, w.calls)
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if strings.Contains(calls, password) {
		t.Error("the registry's token is an argument")
	}
	const notes = "\n- It is better.\n\n\n## Digests\n\n" +
		"- Image: `ghcr.io/rackerlabs/understack/nautobot-token:1.2.3@" + imageDigest + "`\n" +
		"- Chart: `oci://ghcr.io/rackerlabs/charts/nautobot-token:1.2.3@" + chartDigest + "`\n"
	if diff := cmp.Diff(notes, read(t, filepath.Join(w.dir, "dist/notes.md"))); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	w.must(t, "rm "+w.calls)
	w.must(t, "echo z >>dist/nautobot-token-1.2.3.tgz")
	if output, err := w.sh(t, "test/release/publish.sh sign", tag); err == nil || strings.Contains(read(t, w.calls), "sign-blob") {
		t.Errorf("a file that is not that of the checksums is signed: %s", output)
	}
	w.must(t, "git tag nautobot-token-v1.3.0-rc.1")
	w.must(t, "test/release/publish.sh release", "TAG=nautobot-token-v1.3.0-rc.1")
	if calls := read(t, w.calls); !strings.Contains(calls, "--latest=false --prerelease --title") {
		t.Errorf("a release candidate is not marked as one: %s", calls)
	}
}

// What is wrong is found before anything is published.
func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t)
	w.place(t)
	w.dir = filepath.Join(w.dir, "go/nautobot-token")
	w.must(t, `printf '## [Unreleased]\n\n## [1.2.3]\n\n- New.\n\n## [1.2.4]\n\n' >CHANGELOG.md && git commit -qam x`)
	for _, test := range []struct{ name, tag, does, want, released string }{
		{"another component's tag", "nautobotop-v1.2.3", "", "is not nautobot-token-v and a semantic version", ""},
		{"no version", "nautobot-token-v1", "", "is not nautobot-token-v and a semantic version", ""},
		{"build metadata, which no image tag can have", "nautobot-token-v1.2.3+1", "", "is not nautobot-token-v and a semantic version", ""},
		{"not in the changelog", "nautobot-token-v1.2.5", "git tag $TAG", "CHANGELOG.md has nothing about 1.2.5", ""},
		{"an empty section", "nautobot-token-v1.2.4", "git tag $TAG", "CHANGELOG.md has nothing about 1.2.4", ""},
		{"the tag is elsewhere", "nautobot-token-v1.2.3", "true", "the checkout is not the tag", ""},
		{"released already", "nautobot-token-v1.2.3", "git tag -f $TAG", "is released already", "0"},
		{"changed files", "nautobot-token-v1.2.3", "echo >>README.md", "or has changes", ""},
		{"a step that does not exist", "nautobot-token-v1.2.3", "", "there is no step", ""},
	} {
		step := "check"
		if strings.HasPrefix(test.want, "there is no step") {
			step = "push"
		}
		if test.does != "" {
			w.must(t, test.does, "TAG="+test.tag)
		}
		env := []string{"TAG=" + test.tag}
		if test.released != "" {
			env = append(env, "RELEASED="+test.released)
		}
		output, err := w.sh(t, "test/release/publish.sh "+step, env...)
		if err == nil || !strings.Contains(output, test.want) {
			t.Errorf("%s: %v: %s, want %q", test.name, err, output, test.want)
		}
	}
	for call := range strings.Lines(read(t, w.calls)) {
		if !strings.HasPrefix(call, "gh release view ") {
			t.Errorf("a check called %s", call)
		}
	}
}

// The Go of the archives is the one that the image is built with, and new enough.
func TestGoVersion(t *testing.T) {
	t.Parallel()
	read(t, "publish.sh")
	command := exec.CommandContext(t.Context(), "test/release/publish.sh", "go-version")
	command.Dir = source
	output, err := command.Output()
	if err != nil || !regexp.MustCompile(`^version=1\.[0-9]+\.[0-9]+\n$`).Match(output) {
		t.Fatalf("%v: %s", err, output)
	}
	if !regexp.MustCompile(`(?m)^ARG GO_IMAGE=\S+@sha256:[0-9a-f]{64}$`).MatchString(read(t, filepath.Join(source, "Dockerfile"))) {
		t.Error("the image of Go is not named by its digest")
	}
}

// The page on releases names what is there.
func TestReleasePage(t *testing.T) {
	t.Parallel()
	page, makefile := read(t, filepath.Join(source, "docs/release.md")), read(t, filepath.Join(source, "Makefile"))
	targets := regexp.MustCompile("(?:`|&& )(?:ARCH=arm64 )?make ([a-z]+)").FindAllStringSubmatch(page, -1)
	if len(targets) < 5 {
		t.Errorf("the page names %d targets of make", len(targets))
	}
	for _, target := range targets {
		if !strings.Contains(makefile, "\n"+target[1]+": ") {
			t.Errorf("there is no target %s", target[1])
		}
	}
	files := regexp.MustCompile("`?((?:test|examples|charts)/[A-Za-z/.-]+)").FindAllStringSubmatch(page, -1)
	if len(files) < 4 {
		t.Errorf("the page names %d files", len(files))
	}
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(source, file[1])); err != nil && file[1] != "charts/nautobot-token" {
			t.Errorf("there is no %s", file[1])
		}
	}
	script := read(t, "publish.sh")
	for _, place := range []string{"ghcr.io/rackerlabs/understack/nautobot-token", "ghcr.io/rackerlabs/charts"} {
		if !strings.Contains(script, ":-"+place+"}") || !strings.Contains(page, place) {
			t.Errorf("the page or the script does not name %s", place)
		}
	}
}
