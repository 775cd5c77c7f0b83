// Release makes the files of a release: an archive of the program for each
// platform, the packaged chart, and their checksums.
//
//	go run ./test/release [-version V] [-commit C] [-epoch SECONDS] [-targets OS/ARCH,...] FOLDER
//	go run ./test/release -notices
//
// The same source makes the same bytes, on every machine and in every folder.
// With -notices it prints the licences of what is linked into the program.
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The platforms of the archives.
const targets = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

// source is the folder of the program's module: `make` starts everything there.
var source = "."

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	r := release{version: "devel", commit: "unknown"}
	flags.StringVar(&r.version, "version", r.version, "version of the program")
	flags.StringVar(&r.commit, "commit", r.commit, "commit it is built from")
	epoch := flags.Int64("epoch", 0, "time of all files, in seconds since 1970")
	platforms := flags.String("targets", targets, "platforms to build for")
	notices := flags.Bool("notices", false, "print the licences of what is linked into the program")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *notices {
		text, err := thirdPartyNotices(ctx)
		if err != nil {
			return err
		}
		_, err = io.WriteString(stdout, text)
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("want one folder, got %q", flags.Args())
	}
	r.time, r.folder = time.Unix(*epoch, 0).UTC(), flags.Arg(0)
	for platform := range strings.SplitSeq(*platforms, ",") {
		system, architecture, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("%q is not a platform: want OS/ARCH", platform)
		}
		r.targets = append(r.targets, target{system, architecture})
	}
	return r.make(ctx, stdout)
}

type target struct{ system, architecture string }

// release is what is to be made.
type release struct {
	version, commit string
	time            time.Time
	folder          string
	targets         []target
}

func (r release) make(ctx context.Context, stdout io.Writer) error {
	// What an earlier run left must not get into the checksums.
	if err := os.RemoveAll(r.folder); err != nil {
		return err
	}
	if err := os.MkdirAll(r.folder, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	host := target{runtime.GOOS, runtime.GOARCH}
	binaries := map[target]string{}
	for _, t := range append(slices.Clone(r.targets), host) {
		if binaries[t] != "" {
			continue
		}
		binaries[t] = filepath.Join(work, t.system+"-"+t.architecture)
		if err := r.build(ctx, t, binaries[t]); err != nil {
			return err
		}
	}
	shared, err := r.sharedFiles(ctx, binaries[host])
	if err != nil {
		return err
	}
	var made []string
	for _, t := range r.targets {
		binary, err := os.ReadFile(binaries[t])
		if err != nil {
			return err
		}
		name := fmt.Sprintf("nautobot-token_%s_%s_%s", r.version, t.system, t.architecture)
		files := append(slices.Clone(shared), file{"nautobot-token", 0o755, binary})
		if err := writeArchive(filepath.Join(r.folder, name+".tar.gz"), name, r.time, files); err != nil {
			return err
		}
		made = append(made, name+".tar.gz")
	}
	chart, err := r.writeChart()
	if err != nil {
		return err
	}
	made = append(made, chart)
	return writeSums(r.folder, made, stdout)
}

// build makes the same bytes as `make build` and the Dockerfile.
func (r release) build(ctx context.Context, t target, binary string) error {
	const cmd = "github.com/rackerlabs/understack/go/nautobot-token/cmd"
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X "+cmd+".version="+r.version+" -X "+cmd+".commit="+r.commit, "-o", binary, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.system, "GOARCH="+t.architecture)
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building for %s/%s: %w: %s", t.system, t.architecture, err, output)
	}
	return nil
}

// sharedFiles are those that are in every archive: licences, completions and
// man pages. The program itself knows the latter two.
func (r release) sharedFiles(ctx context.Context, binary string) ([]file, error) {
	var files []file
	for _, name := range []string{"LICENSE", "THIRD_PARTY_NOTICES", "CHANGELOG.md"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, text})
	}
	ask := func(args ...string) (string, error) { return output(ctx, binary, args...) }
	for shell, name := range map[string]string{
		"bash": "completions/nautobot-token.bash", "zsh": "completions/_nautobot-token", "fish": "completions/nautobot-token.fish",
	} {
		text, err := ask("completion", shell)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, []byte(text)})
	}
	pages, err := manPages(ask, r.version, r.time)
	if err != nil {
		return nil, err
	}
	return append(files, pages...), nil
}

// output is what a program prints. It has an empty environment, so that no
// variable of this machine gets into a help text.
func output(ctx context.Context, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Env = []string{}
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}

// writeSums writes SHA256SUMS, as `sha256sum --check` reads it.
func writeSums(folder string, names []string, stdout io.Writer) error {
	var sums strings.Builder
	for _, name := range slices.Sorted(slices.Values(names)) {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
	}
	if err := os.WriteFile(filepath.Join(folder, "SHA256SUMS"), []byte(sums.String()), 0o644); err != nil {
		return err
	}
	_, err := io.WriteString(stdout, sums.String())
	return err
}
