//go:build e2e

package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	version = "v1.2.3-test"
	commit  = "0123456789abcdef0123456789abcdef01234567"
	ref     = "localhost/nautobot-token:test"
	bundle  = "etc/ssl/certs/ca-certificates.crt"
)

func TestImage(t *testing.T) {
	t.Setenv("VERSION", version)
	t.Setenv("COMMIT", commit)
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.tar"), filepath.Join(dir, "second.tar")
	t.Log(command(t, "./build.sh", first, ref))
	command(t, "./build.sh", second, ref)
	if hash(read(t, first)) != hash(read(t, second)) {
		t.Error("two builds of the same source differ")
	}

	image := open(t, first)
	if diff := cmp.Diff([]string{ref}, image.manifest.RepoTags); diff != "" {
		t.Errorf("names: (-want +got)\n%s", diff)
	}
	if got := image.config.OS + "/" + image.config.Architecture; got != "linux/"+runtime.GOARCH {
		t.Errorf("the image is for %s", got)
	}
	config := image.config.Config
	want := imageConfig{
		User:       "65532:65532",
		Entrypoint: []string{"/nautobot-token"},
		Labels: map[string]string{
			"org.opencontainers.image.title":         "nautobot-token",
			"org.opencontainers.image.description":   config.Labels["org.opencontainers.image.description"],
			"org.opencontainers.image.source":        "https://github.com/rackerlabs/understack",
			"org.opencontainers.image.url":           "https://github.com/rackerlabs/understack/tree/main/go/nautobot-token",
			"org.opencontainers.image.documentation": "https://github.com/rackerlabs/understack/blob/main/go/nautobot-token/README.md",
			"org.opencontainers.image.vendor":        "Rackspace Technology",
			"org.opencontainers.image.licenses":      "Apache-2.0",
			"org.opencontainers.image.version":       version,
			"org.opencontainers.image.revision":      commit,
		},
	}
	config.Env = nil // buildah adds a PATH, with nothing in it
	if diff := cmp.Diff(want, config); diff != "" {
		t.Errorf("configuration: (-want +got)\n%s", diff)
	}

	var files []string
	for name, file := range image.files {
		files = append(files, name)
		if file.mode&0o022 != 0 || file.mode&0o444 != 0o444 {
			t.Errorf("%s has mode %o: want it read by all, and written by nobody but root", name, file.mode)
		}
	}
	if diff := cmp.Diff(map[string]bool{
		bundle: true, "nautobot-token": true, "licenses/LICENSE": true, "licenses/THIRD_PARTY_NOTICES": true,
	}, set(files)); diff != "" {
		t.Fatalf("files: (-want +got)\n%s", diff)
	}
	if !bytes.Contains(image.files[bundle].content, []byte("BEGIN CERTIFICATE")) {
		t.Errorf("%s holds no certificate", bundle)
	}

	plain := filepath.Join(dir, "nautobot-token")
	const cmd = "github.com/rackerlabs/understack/go/nautobot-token/cmd"
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X "+cmd+".version="+version+" -X "+cmd+".commit="+commit, "-o", plain, ".")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if hash(read(t, plain)) != hash(image.files["nautobot-token"].content) {
		t.Error("the binary is not the one that `make build` makes")
	}
	if said := command(t, plain, "version"); !strings.Contains(said, version) || !strings.Contains(said, commit) {
		t.Errorf("the binary does not know what it is: %s", said)
	}
}

// The image for another platform is built on this one. What it says about
// itself and the program in it are for that platform.
func TestImageForAnotherPlatform(t *testing.T) {
	other, machine := "arm64", elf.EM_AARCH64
	if runtime.GOARCH == other {
		other, machine = "amd64", elf.EM_X86_64
	}
	t.Setenv("ARCH", other)
	archive := filepath.Join(t.TempDir(), "image.tar")
	t.Log(command(t, "./build.sh", archive, "localhost/nautobot-token:"+other))
	image := open(t, archive)
	if got := image.config.OS + "/" + image.config.Architecture; got != "linux/"+other {
		t.Errorf("the image is for %s, want linux/%s", got, other)
	}
	program, err := elf.NewFile(bytes.NewReader(image.files["nautobot-token"].content))
	if err != nil {
		t.Fatal(err)
	}
	if program.Machine != machine {
		t.Errorf("the program is for %v, want %v", program.Machine, machine)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Error("the program needs a dynamic linker, which the image does not have")
		}
	}
}

type imageConfig struct {
	User       string
	Env        []string
	Entrypoint []string
	Cmd        []string
	WorkingDir string
	Volumes    map[string]struct{}
	Labels     map[string]string
}

type file struct {
	mode    int64
	content []byte
}

// archive is what `docker save` writes, read.
type archive struct {
	manifest struct {
		Config           string
		RepoTags, Layers []string
	}
	config struct {
		OS, Architecture string
		Config           imageConfig
	}
	files map[string]file // of all layers
}

func open(t *testing.T, name string) archive {
	t.Helper()
	parts := untar(t, read(t, name))
	var a archive
	var manifests []json.RawMessage
	a.files = map[string]file{}
	decode(t, parts["manifest.json"].content, &manifests)
	decode(t, manifests[0], &a.manifest)
	decode(t, parts[a.manifest.Config].content, &a.config)
	for _, layer := range a.manifest.Layers {
		for name, file := range untar(t, parts[layer].content) {
			a.files[name] = file
		}
	}
	return a
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
}

// untar is everything but folders.
func untar(t *testing.T, text []byte) map[string]file {
	t.Helper()
	files := map[string]file{}
	reader := tar.NewReader(bytes.NewReader(text))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "./")] = file{header.Mode, content}
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, output)
	}
	return string(output)
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func hash(text []byte) [sha256.Size]byte { return sha256.Sum256(text) }

func set(names []string) map[string]bool {
	all := map[string]bool{}
	for _, name := range names {
		all[name] = true
	}
	return all
}
