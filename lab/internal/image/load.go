package image

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ParseName reads the name of an image that is no part of Kubernetes, as nodes ask for it.
func ParseName(name string) (Ref, error) { return parseRef(name) }

// Load copies an OCI layout with one image, or one index of images, in place of what the store has by that name.
func (s Store) Load(r Ref, layout string) error {
	if err := s.load(r, layout); err != nil {
		return fmt.Errorf("load image %s from %s: %w", r, layout, err)
	}
	return nil
}

func (s Store) load(r Ref, layout string) error {
	text, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err != nil {
		return fmt.Errorf("not an OCI layout: %w", err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(text, &index); err != nil {
		return err
	}
	if len(index.Manifests) != 1 {
		return fmt.Errorf("it has %d images, wanted one", len(index.Manifests))
	}
	dir := s.Dir(r)
	fresh := dir + ".load"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.CopyFS(fresh, os.DirFS(layout)); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(fresh, dir)
}
