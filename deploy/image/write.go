package main

import (
	"archive/tar"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Names in the folder that Write fills.
const (
	layoutFolder = "oci"      // the image as an OCI layout
	archiveFile  = "pawl.tar" // the same as one file, for docker load, podman load and ctr images import
)

func contentsFile(arch string) string { return "pawl-linux-" + arch + ".spdx.json" }

// Write puts the image and its lists of contents into a folder, in place of what is there.
func (p *Packed) Write(dir string) error {
	folder := filepath.Join(dir, layoutFolder)
	before, _ := filepath.Glob(filepath.Join(dir, contentsFile("*")))
	for _, file := range append(before, folder) {
		if err := os.RemoveAll(file); err != nil {
			return err
		}
	}
	out, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	if err := out.AppendIndex(p.Index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": p.Release.Version,           // as OCI has it: a tag
		"io.containerd.image.name":          "pawl:" + p.Release.Version, // as docker load and ctr name it
	})); err != nil {
		return err
	}
	for arch, contents := range p.Contents {
		if err := os.WriteFile(filepath.Join(dir, contentsFile(arch)), contents, 0o644); err != nil {
			return err
		}
	}
	return archive(folder, filepath.Join(dir, archiveFile), p.Release.Created)
}

// archive packs a folder, file by file in the order of their names.
func archive(folder, file string, date time.Time) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
	}()
	w := tar.NewWriter(out)
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Mode: 0o644, ModTime: date}
		if d.IsDir() {
			header.Typeflag, header.Name, header.Mode = tar.TypeDir, header.Name+"/", 0o755
			return w.WriteHeader(header)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		header.Size = info.Size()
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}
