package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// spdxType says of a file, and of the image that holds it, that it is a list of contents.
const spdxType types.MediaType = "application/spdx+json"

// Push sends the image that Write has put into a folder, and each architecture's list of contents as a referrer of its
// image (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers). The tag comes last.
func Push(ctx context.Context, dir string, ref name.Tag) (v1.Hash, error) {
	index, digest, err := written(dir)
	if err != nil {
		return v1.Hash{}, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(ref.Context().Digest(digest.String()), index, options...); err != nil {
		return v1.Hash{}, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	for _, image := range manifest.Manifests {
		text, err := os.ReadFile(filepath.Join(dir, contentsFile(image.Platform.Architecture)))
		if err != nil {
			return v1.Hash{}, err
		}
		referrer, err := contentsOf(image, text)
		if err != nil {
			return v1.Hash{}, err
		}
		d, err := referrer.Digest()
		if err != nil {
			return v1.Hash{}, err
		}
		if err := remote.Write(ref.Context().Digest(d.String()), referrer, options...); err != nil {
			return v1.Hash{}, fmt.Errorf("list of contents for linux/%s: %w", image.Platform.Architecture, err)
		}
	}
	return digest, remote.Tag(ref, index, options...)
}

// written is the image in a folder that Write has filled.
func written(dir string) (v1.ImageIndex, v1.Hash, error) {
	folder := filepath.Join(dir, layoutFolder)
	all, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, v1.Hash{}, fmt.Errorf("%w; run make image", err)
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return nil, v1.Hash{}, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, v1.Hash{}, fmt.Errorf("%s has %d images, wanted one; run make image", folder, len(manifest.Manifests))
	}
	digest := manifest.Manifests[0].Digest
	index, err := all.ImageIndex(digest)
	return index, digest, err
}

// contentsOf is a list of contents in the form in which registries keep it.
func contentsOf(image v1.Descriptor, text []byte) (v1.Image, error) {
	referrer := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), spdxType)
	referrer, err := mutate.AppendLayers(referrer, static.NewLayer(text, spdxType))
	if err != nil {
		return nil, err
	}
	return mutate.Subject(referrer, v1.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size}).(v1.Image), nil
}
