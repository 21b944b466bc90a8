package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

var release = Release{Version: "v1.2.3", Revision: "0123456789abcdef", Created: time.Unix(1_790_000_000, 0).UTC()}

var architectures = []string{"amd64", "arm64"}

// built is a folder of programs for both architectures. This program stands in for pawl's: it is one of Go, with modules.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pawl-image-test")
	for _, arch := range architectures {
		for _, program := range programs {
			if err != nil {
				return dir, err
			}
			cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, arch, program), ".")
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
			var out []byte
			if out, err = cmd.CombinedOutput(); err != nil {
				err = errors.New(string(out))
			}
		}
	}
	return dir, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := built(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func packed(t *testing.T) *Packed {
	t.Helper()
	dir, err := built()
	require.NoError(t, err)
	p, err := Pack(dir, architectures, release)
	require.NoError(t, err)
	return p
}

func TestImage(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, packed(t).Write(dir))
	index, _, err := written(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, len(architectures))
	require.Equal(t, release.Version, manifest.Annotations["org.opencontainers.image.version"])
	for i, arch := range architectures {
		d := manifest.Manifests[i]
		require.Equal(t, "linux/"+arch, d.Platform.String())
		img, err := index.Image(d.Digest)
		require.NoError(t, err)
		config, err := img.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, arch, config.Architecture)
		require.Equal(t, "65532:65532", config.Config.User, "a number, so that runAsNonRoot can be checked")
		require.Equal(t, []string{"/usr/local/bin/pawl-worker"}, config.Config.Entrypoint)
		require.Equal(t, release.Revision, config.Config.Labels["org.opencontainers.image.revision"])
		require.Equal(t, release.Created, config.Created.UTC())

		files := contentsOfImage(t, img)
		for name, h := range files {
			require.Zero(t, h.Uid, "%s is root's", name)
			require.Equal(t, release.Created, h.ModTime.UTC(), name)
		}
		require.EqualValues(t, 0o755, files["usr/local/bin/pawl"].Mode)
		require.EqualValues(t, 0o755, files["usr/local/bin/pawl-worker"].Mode)
		require.EqualValues(t, 0o1777, files["tmp"].Mode)
		require.Equal(t, []string{
			"etc", "etc/group", "etc/passwd", "etc/pawl", "etc/pawl/clusters", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt",
			"tmp", "usr", "usr/local", "usr/local/bin", "usr/local/bin/pawl", "usr/local/bin/pawl-worker",
		}, slices.Sorted(maps.Keys(files)), "no shell, for one")
	}
}

// contentsOfImage is what a container of the image sees.
func contentsOfImage(t *testing.T, img v1.Image) map[string]*tar.Header {
	t.Helper()
	files := map[string]*tar.Header{}
	flat := mutate.Extract(img)
	defer flat.Close()
	for r := tar.NewReader(flat); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		files[h.Name] = h
	}
}

func TestAuthorities(t *testing.T) {
	text, err := authorities()
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(text))
	require.Greater(t, bytes.Count(text, []byte("BEGIN CERTIFICATE")), 100)
}

func TestSameAgain(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	require.NoError(t, packed(t).Write(first))
	require.NoError(t, packed(t).Write(second))
	require.NoError(t, packed(t).Write(second), "what is there is replaced")
	for _, file := range []string{archiveFile, contentsFile("amd64"), contentsFile("arm64"), filepath.Join(layoutFolder, "index.json")} {
		a, err := os.ReadFile(filepath.Join(first, file))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(second, file))
		require.NoError(t, err)
		require.True(t, bytes.Equal(a, b), file)
	}
}

func TestListOfContents(t *testing.T) {
	var d spdxDocument
	require.NoError(t, json.Unmarshal(packed(t).Contents["arm64"], &d))
	require.Equal(t, "SPDX-2.3", d.Version)
	known := map[string]bool{d.ID: true}
	purls := map[string]bool{}
	for _, p := range d.Packages {
		require.False(t, known[p.ID], "%s is there once", p.ID)
		known[p.ID] = true
		for _, r := range p.References {
			purls[r.Locator] = true
		}
	}
	for _, r := range d.Relationships {
		require.True(t, known[r.Of] && known[r.To], "%+v", r)
	}
	require.Contains(t, purls, "pkg:golang/github.com/spf13/cobra@v1.10.2")
	require.Contains(t, purls, "pkg:golang/github.com/docker/cli@v29.7.2%2Bincompatible")
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	dir := t.TempDir()
	p := packed(t)
	require.NoError(t, p.Write(dir))
	ref, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/ops/pawl:v1.2.3")
	require.NoError(t, err)
	for range 2 { // the second finds all of it there
		digest, err := Push(t.Context(), dir, ref)
		require.NoError(t, err)
		want, err := p.Index.Digest()
		require.NoError(t, err)
		require.Equal(t, want, digest, "what is pushed is what was made")
	}
	index, err := remote.Index(ref)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	for _, d := range manifest.Manifests {
		found, err := remote.Referrers(ref.Context().Digest(d.Digest.String()))
		require.NoError(t, err)
		referrers, err := found.IndexManifest()
		require.NoError(t, err)
		require.Len(t, referrers.Manifests, 1)
		require.Equal(t, string(spdxType), referrers.Manifests[0].ArtifactType)
		img, err := remote.Image(ref.Context().Digest(referrers.Manifests[0].Digest.String()))
		require.NoError(t, err)
		layers, err := img.Layers()
		require.NoError(t, err)
		text, err := layers[0].Uncompressed()
		require.NoError(t, err)
		defer text.Close()
		list, err := io.ReadAll(text)
		require.NoError(t, err)
		require.Equal(t, p.Contents[d.Platform.Architecture], list)
	}
}

func TestRefused(t *testing.T) {
	dir, err := built()
	require.NoError(t, err)
	_, err = readBuild(filepath.Join(dir, "arm64", "pawl"), "amd64")
	require.ErrorContains(t, err, "GOARCH=arm64, wanted linux and amd64")
	_, err = Pack(t.TempDir(), architectures, release)
	require.ErrorContains(t, err, "make image")
	_, _, err = written(t.TempDir())
	require.ErrorContains(t, err, "make image")
}
