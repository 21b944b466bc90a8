// Package image makes container images from files. Rule: the same files give
// the same image, to the byte; each image is an OCI layout of its own, in the
// cache whole or not at all.
package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/pawl-dev/pawl/lab/internal/home"
)

// Registry is the registry whose images the lab stands in for.
const Registry = "registry.k8s.io"

// epoch dates every file, so that images do not depend on when they were made.
var epoch = time.Unix(1_700_000_000, 0).UTC()

// File is one file of an image. A source that is a folder brings all below it.
type File struct {
	Source string
	Target string // absolute
}

// Store is the folder that holds the images.
type Store string

// Dir is the OCI layout of one image.
func (s Store) Dir(r Ref) string {
	return filepath.Join(string(s), filepath.FromSlash(r.Repository), r.Tag)
}

// Has reports whether the store holds the image.
func (s Store) Has(r Ref) bool {
	_, err := os.Stat(s.Dir(r))
	return err == nil
}

// Make builds an image of the given files and reports whether it was there.
func (s Store) Make(r Ref, entrypoint string, files []File) (bool, error) {
	cached, err := home.Once(s.Dir(r), func(tmp string) error {
		img, err := build(entrypoint, files)
		if err != nil {
			return err
		}
		p, err := layout.Write(tmp, empty.Index)
		if err != nil {
			return err
		}
		return p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": r.String()}))
	})
	if err != nil {
		return false, fmt.Errorf("make image %s: %w", r, err)
	}
	return cached, nil
}

func build(entrypoint string, files []File) (v1.Image, error) {
	data, err := archive(files)
	if err != nil {
		return nil, err
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	// Not compressed: it never leaves the machine, and the nodes unpack faster.
	img, err = mutate.AppendLayers(img, static.NewLayer(data, types.OCIUncompressedLayer))
	if err != nil {
		return nil, err
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Created = "linux", "amd64", v1.Time{Time: epoch}
	cf.Config = v1.Config{
		Entrypoint: []string{entrypoint},
		WorkingDir: "/",
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	return mutate.ConfigFile(img, cf)
}

// archive packs the files, owned by root, with the folders they need.
func archive(files []File) ([]byte, error) {
	var buf bytes.Buffer
	a := &archiver{w: tar.NewWriter(&buf), seen: map[string]bool{}}
	if err := errors.Join(a.folder("tmp"), a.folder("etc")); err != nil {
		return nil, err
	}
	for _, f := range files {
		err := filepath.WalkDir(f.Source, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(f.Source, p)
			if err != nil {
				return err
			}
			return a.add(p, strings.TrimPrefix(path.Join(f.Target, filepath.ToSlash(rel)), "/"))
		})
		if err != nil {
			return nil, err
		}
	}
	if err := a.w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

type archiver struct {
	w    *tar.Writer
	seen map[string]bool
}

// folder adds a folder and those above it, once.
func (a *archiver) folder(name string) error {
	if name == "." || name == "" || a.seen[name] {
		return nil
	}
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	a.seen[name] = true
	mode := int64(0o755)
	if name == "tmp" {
		mode = 0o1777
	}
	return a.w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, ModTime: epoch})
}

// add adds one file, link or folder under a name.
func (a *archiver) add(source, name string) error {
	st, err := os.Lstat(source)
	if err != nil {
		return err
	}
	if st.IsDir() {
		return a.folder(name)
	}
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	if st.Mode()&fs.ModeSymlink != 0 {
		to, err := os.Readlink(source)
		if err != nil {
			return err
		}
		return a.w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777, ModTime: epoch})
	}
	if err := a.w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: st.Size(), Mode: int64(st.Mode().Perm()), ModTime: epoch}); err != nil {
		return err
	}
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(a.w, f)
	return err
}
