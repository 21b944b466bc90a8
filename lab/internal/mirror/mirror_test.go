package mirror

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// folder is one with programs that contain their own names.
func folder(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range programs {
		if err := os.WriteFile(filepath.Join(dir, p), []byte(p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func TestKubernetesHasEverySumBesideItsProgram(t *testing.T) {
	dir := t.TempDir()
	if err := WriteKubernetes(dir, folder(t, "kubectl", "kubelet")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"kubectl", "kubelet"} {
		path := filepath.Join(dir, "bin/linux/amd64", p)
		if got := read(t, path); string(got) != p {
			t.Errorf("%s contains %q", p, got)
		}
		if got, want := string(read(t, path+".sha256")), digest([]byte(p)); got != want {
			t.Errorf("sum of %s is %q, want %q", p, got, want)
		}
	}
}

func TestEtcdIsAnArchiveWithAFolderOfItsName(t *testing.T) {
	dir := t.TempDir()
	if err := WriteEtcd(dir, "v3.7.0", folder(t, "etcd", "etcdctl", "etcdutl")); err != nil {
		t.Fatal(err)
	}
	const name = "etcd-v3.7.0-linux-amd64"
	archive := read(t, dir, name+".tar.gz")
	if got, want := string(read(t, dir, "SHA256SUMS")), digest(archive)+"  "+name+".tar.gz\n"; got != want {
		t.Errorf("sums are %q, want %q", got, want)
	}
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != name+"/"+string(content) || h.Mode != 0o755 {
			t.Errorf("%s: content %q, mode %o", h.Name, content, h.Mode)
		}
		found[h.Name] = true
	}
	if len(found) != 3 {
		t.Errorf("the archive has %v", found)
	}
}

func TestNothingToServeIsAnError(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	if err := WriteKubernetes(t.TempDir(), missing); err == nil {
		t.Error("Kubernetes: no error")
	}
	if err := WriteEtcd(t.TempDir(), "v3.7.0", missing); err == nil {
		t.Error("etcd: no error")
	}
}
