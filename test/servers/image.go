package servers

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
)

// An Image is a container image of one layer.
type Image struct {
	Name       string            // with its tag
	Files      map[string]string // where each program lies in the image, and here
	Entrypoint []string
}

// write writes the image to a file in the format of `docker save`.
func (i Image) write(file string) error {
	layer, err := i.layer()
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(layer.Name()) }()
	defer layer.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, layer)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"User": "65532", "Entrypoint": i.Entrypoint},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sum.Sum(nil))}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{i.Name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	archive := tar.NewWriter(out)
	for _, part := range []struct {
		name string
		size int64
		from io.Reader
	}{
		{"manifest.json", int64(len(manifest)), bytes.NewReader(manifest)},
		{"config.json", int64(len(config)), bytes.NewReader(config)},
		{"layer.tar", size, layer},
	} {
		if err := archive.WriteHeader(&tar.Header{Name: part.name, Mode: 0o644, Size: part.size}); err != nil {
			return err
		}
		if _, err := io.Copy(archive, part.from); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return out.Close()
}

// layer is a temporary archive of the image's files, at its beginning.
func (i Image) layer() (*os.File, error) {
	file, err := os.CreateTemp("", "layer-")
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(file)
	for to, from := range i.Files {
		if err := addProgram(archive, to, from); err != nil {
			file.Close()
			_ = os.Remove(file.Name())
			return nil, err
		}
	}
	if err = archive.Close(); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	return file, err
}

func addProgram(archive *tar.Writer, to, from string) error {
	program, err := os.Open(from)
	if err != nil {
		return err
	}
	defer program.Close()
	info, err := program.Stat()
	if err != nil {
		return err
	}
	to = path.Clean(to)[1:] // without the slash
	if err := archive.WriteHeader(&tar.Header{Name: to, Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(archive, program)
	return err
}
