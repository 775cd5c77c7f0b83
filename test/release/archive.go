package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"os"
	"path"
	"slices"
	"time"
)

type file struct {
	name    string
	mode    int64
	content []byte
}

// writeArchive writes a tar.gz with the files in one folder. Order, times,
// modes and owners do not depend on where and when it is made.
func writeArchive(to, folder string, at time.Time, files []file) error {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression) // its header has neither name nor time
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := tar.Header{
			Name: path.Join(folder, f.name), Mode: f.mode, Size: int64(len(f.content)), ModTime: at,
			Typeflag: tar.TypeReg, Uname: "root", Gname: "root",
		}
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := archive.Write(f.content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}
