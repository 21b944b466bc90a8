package registry

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/pawl-dev/pawl/lab/internal/image"
)

// serve makes an image of one file and serves its store.
func serve(t *testing.T) (*httptest.Server, image.Store, image.Ref) {
	t.Helper()
	store := image.Store(t.TempDir())
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("#!/bin/true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ref := image.Ref{Repository: "coredns/coredns", Tag: "v1.2.3"}
	for i, wantCached := range []bool{false, true} {
		cached, err := store.Make(ref, "/program", []image.File{{Source: file, Target: "/usr/bin/program"}})
		if err != nil || cached != wantCached {
			t.Fatalf("make %d: cached %t, %v; want cached %t", i, cached, err, wantCached)
		}
	}
	s := httptest.NewServer(Handler(store))
	t.Cleanup(s.Close)
	return s, store, ref
}

func get(t *testing.T, url string) (int, []byte, http.Header) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b, resp.Header
}

func TestPullByTagAndDigest(t *testing.T) {
	s, _, _ := serve(t)
	code, body, header := get(t, s.URL+"/v2/coredns/coredns/manifests/v1.2.3")
	if code != http.StatusOK {
		t.Fatalf("manifest by tag: %d %s", code, body)
	}
	digest := header.Get("Docker-Content-Digest")
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(body)); digest != want {
		t.Errorf("digest %s, want %s", digest, want)
	}
	var m v1.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if string(m.MediaType) != header.Get("Content-Type") {
		t.Errorf("content type %s, manifest says %s", header.Get("Content-Type"), m.MediaType)
	}
	if code, again, _ := get(t, s.URL+"/v2/coredns/coredns/manifests/"+digest); code != http.StatusOK || string(again) != string(body) {
		t.Errorf("manifest by digest: %d %s", code, again)
	}
	for _, d := range append(m.Layers, m.Config) {
		code, blob, _ := get(t, s.URL+"/v2/coredns/coredns/blobs/"+d.Digest.String())
		if code != http.StatusOK || int64(len(blob)) != d.Size {
			t.Errorf("blob %s: status %d, %d bytes, want %d", d.Digest, code, len(blob), d.Size)
		}
	}
}

func TestWhatIsNotThereDoesNotExist(t *testing.T) {
	s, _, _ := serve(t)
	for _, path := range []string{
		"/v2/coredns/coredns/manifests/v9", "/v2/other/manifests/v1.2.3", "/v2/coredns/coredns/tags/list",
		"/v2/coredns/coredns/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000",
		"/v2/../coredns/manifests/v1.2.3", "/etc/passwd",
	} {
		if code, _, _ := get(t, s.URL+path); code != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, code)
		}
	}
}

func TestReadOnly(t *testing.T) {
	s, _, _ := serve(t)
	resp, err := http.Post(s.URL+"/v2/coredns/coredns/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("upload: status %d, want 405", resp.StatusCode)
	}
}

// TestPullOfAnIndex: what was loaded is an index for several architectures, and says so by tag and by digest.
func TestPullOfAnIndex(t *testing.T) {
	s, store, ref := serve(t)
	images, err := layout.ImageIndexFromPath(store.Dir(ref))
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.IndexMediaType(images, types.OCIImageIndex)
	folder := t.TempDir()
	out, err := layout.Write(folder, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.AppendIndex(index); err != nil {
		t.Fatal(err)
	}
	loaded := image.Ref{Repository: "lab/pawl", Tag: "dev"}
	for range 2 { // the second time in place of the first
		if err := store.Load(loaded, folder); err != nil {
			t.Fatal(err)
		}
	}
	_, body, header := get(t, s.URL+"/v2/lab/pawl/manifests/dev")
	digest := header.Get("Docker-Content-Digest")
	if got := header.Get("Content-Type"); got != string(types.OCIImageIndex) {
		t.Errorf("content type by tag %s, want an index", got)
	}
	_, again, header := get(t, s.URL+"/v2/lab/pawl/manifests/"+digest)
	if got := header.Get("Content-Type"); got != string(types.OCIImageIndex) || string(again) != string(body) {
		t.Errorf("by digest: content type %s, %s", got, again)
	}
	var m v1.IndexManifest
	if err := json.Unmarshal(body, &m); err != nil || len(m.Manifests) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	_, _, header = get(t, s.URL+"/v2/lab/pawl/manifests/"+m.Manifests[0].Digest.String())
	if got := header.Get("Content-Type"); got != string(types.OCIManifestSchema1) {
		t.Errorf("content type of the image %s", got)
	}
	if err := store.Load(loaded, t.TempDir()); err == nil {
		t.Error("an empty folder was loaded")
	}
}
