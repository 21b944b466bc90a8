package aptrepo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"github.com/pawl-dev/pawl/lab/internal/deb"
)

func TestIndexIsSortedAndSeparated(t *testing.T) {
	got := Index([]Entry{
		{Control: "Package: kubelet\nVersion: 1.37.2-1.1\n", Filename: "amd64/kubelet.deb", Size: 7, SHA256: "bb"},
		{Control: "Package: kubeadm\nVersion: 1.37.2-1.1\n", Filename: "amd64/kubeadm.deb", Size: 5, SHA256: "aa"},
	})
	want := `Package: kubeadm
Version: 1.37.2-1.1
Filename: amd64/kubeadm.deb
Size: 5
SHA256: aa

Package: kubelet
Version: 1.37.2-1.1
Filename: amd64/kubelet.deb
Size: 7
SHA256: bb
`
	if got != want {
		t.Errorf("index:\n%s\nwant:\n%s", got, want)
	}
}

func TestReleaseListsTheIndexFiles(t *testing.T) {
	got := Release("v1.37", map[string][]byte{"Packages.gz": []byte("z"), "Packages": nil}, time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC))
	for _, line := range []string{
		"Date: Mon, 23 Nov 2026 07:00:00 UTC\n",
		"SHA256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 Packages\n 594e519ae499312b29433b7dd8a97ff068defcba9755b6d5d00e84c524d67b06 1 Packages.gz\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("release lacks %q:\n%s", line, got)
		}
	}
}

func TestWriteSignsOneRepositoryForEachMinor(t *testing.T) {
	root, debs := t.TempDir(), t.TempDir()
	key, err := LoadKey(filepath.Join(t.TempDir(), "key.asc"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"1.36.3", "1.37.2"} {
		p := deb.Package{Name: "kubeadm", Version: v + "-1.1", Description: "x"}
		f, err := os.Create(filepath.Join(debs, p.Filename()))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Write(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := Write(root, []string{"v1.36.3", "v1.37.2"}, func(string) string { return debs }, key); err != nil {
		t.Fatal(err)
	}
	for _, minor := range []string{"v1.36", "v1.37"} {
		dir := filepath.Join(root, "core:/stable:", minor, "deb")
		public, err := os.ReadFile(filepath.Join(dir, "Release.key"))
		if err != nil {
			t.Fatal(err)
		}
		ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(public))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := os.ReadFile(filepath.Join(dir, "InRelease"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := clearsign.Decode(signed)
		if block == nil {
			t.Fatalf("%s: InRelease is not signed text", minor)
		}
		if _, err := block.VerifySignature(ring, nil); err != nil {
			t.Errorf("%s: %v", minor, err)
		}
		release, _ := os.ReadFile(filepath.Join(dir, "Release"))
		if strings.TrimSpace(string(block.Plaintext)) != strings.TrimSpace(string(release)) {
			t.Errorf("%s: InRelease and Release differ", minor)
		}
		if _, err := os.Stat(filepath.Join(dir, "amd64", "kubeadm_1.36.3-1.1_amd64.deb")); err != nil {
			t.Error(err)
		}
	}
}

func TestKeyIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.asc")
	a, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if a.entity.PrimaryKey.KeyId != b.entity.PrimaryKey.KeyId {
		t.Error("a second load made another key")
	}
}
