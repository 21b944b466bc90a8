package main

import (
	"fmt"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is who programs run as: a number, so that Kubernetes can see that it is not root.
const user = "65532:65532"

// clusters is the folder of cluster definitions.
const clusters = "/etc/pawl/clusters"

// programs are what is in the image. The first is its entry point; the other is for `kubectl exec` and `docker exec`, beside
// a worker that knows its Temporal.
var programs = []string{"pawl-worker", "pawl"}

// Release is what an image says of itself.
type Release struct {
	Version, Revision string
	Created           time.Time
}

// Packed is an image for all architectures, and the list of contents of each.
type Packed struct {
	Release  Release
	Index    v1.ImageIndex
	Contents map[string][]byte // SPDX, by architecture
}

// Pack makes the image of the programs in dir/<architecture>/.
func Pack(dir string, architectures []string, r Release) (*Packed, error) {
	p := &Packed{Release: r, Contents: map[string][]byte{}}
	var index v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range architectures {
		img, contents, err := packFor(arch, filepath.Join(dir, arch), r)
		if err != nil {
			return nil, fmt.Errorf("make the image for linux/%s: %w", arch, err)
		}
		p.Contents[arch] = contents
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	p.Index = mutate.Annotations(index, r.labels()).(v1.ImageIndex)
	return p, nil
}

// packFor makes one architecture's image: a layer of what every program needs, then one for each program, so that a
// registry keeps once what did not change.
func packFor(arch, dir string, r Release) (v1.Image, []byte, error) {
	roots, err := authorities()
	if err != nil {
		return nil, nil, err
	}
	layers := []layer{{
		folder("tmp", 0o1777), folder(clusters, 0o755),
		content("etc/passwd", "root:x:0:0:root:/:/nologin\npawl:x:65532:65532:pawl:/:/nologin\n"),
		content("etc/group", "root:x:0:\npawl:x:65532:\n"),
		content("etc/ssl/certs/ca-certificates.crt", string(roots)), // where Go looks first
	}}
	var builds []build
	for _, program := range programs {
		b, err := readBuild(filepath.Join(dir, program), arch)
		if err != nil {
			return nil, nil, err
		}
		builds = append(builds, b)
		layers = append(layers, layer{executable(b.file, "usr/local/bin/"+program)})
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, l := range layers {
		packed, err := l.pack(r.Created)
		if err != nil {
			return nil, nil, err
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: packed, History: v1.History{Created: v1.Time{Time: r.Created}, CreatedBy: "pawl deploy/image"}}); err != nil {
			return nil, nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: r.Created}
	config.Config = v1.Config{
		User: user, WorkingDir: "/", Entrypoint: []string{"/usr/local/bin/" + programs[0]}, Labels: r.labels(),
		Env: []string{"PATH=/usr/local/bin", "PAWL_CLUSTERS=" + clusters},
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, nil, err
	}
	img = mutate.Annotations(img, r.labels()).(v1.Image)
	digest, err := img.Digest()
	if err != nil {
		return nil, nil, err
	}
	contents, err := spdx(r, arch, digest, builds)
	return img, contents, err
}

// labels are OCI's own: https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md.
func (r Release) labels() map[string]string {
	const key = "org.opencontainers.image."
	return map[string]string{
		key + "title":         "pawl",
		key + "description":   "Durable Kubernetes upgrades as Temporal workflows: the worker, and the command line",
		key + "source":        "https://github.com/pawl-dev/pawl",
		key + "documentation": "https://github.com/pawl-dev/pawl/blob/main/docs/install.md",
		key + "licenses":      "Apache-2.0",
		key + "version":       r.Version,
		key + "revision":      r.Revision,
		key + "created":       r.Created.Format(time.RFC3339),
	}
}
