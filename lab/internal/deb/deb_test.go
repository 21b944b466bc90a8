package deb

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blakesmith/ar"
)

func sample() Package {
	return Package{
		Name: "kubelet", Version: "1.37.2-1.1", Depends: "iproute2", Description: "Node agent",
		Files:     []File{{Path: "/usr/bin/kubelet", Mode: 0o755, Content: "program"}, {Path: "/etc/default/kubelet", Mode: 0o644, Content: "X=\n"}},
		Folders:   []string{"/etc/kubernetes/manifests"},
		Conffiles: []string{"/etc/default/kubelet"},
		PostInst:  "#!/bin/sh\n",
	}
}

func TestControlComesBackAsWritten(t *testing.T) {
	var buf bytes.Buffer
	if err := sample().Write(&buf); err != nil {
		t.Fatal(err)
	}
	got, err := ReadControl(&buf)
	if err != nil {
		t.Fatal(err)
	}
	want := `Package: kubelet
Version: 1.37.2-1.1
Architecture: amd64
Maintainer: pawl-lab <pawl-lab@localhost>
Installed-Size: 2
Depends: iproute2
Section: admin
Priority: optional
Homepage: https://kubernetes.io
Description: Node agent
`
	if got != want {
		t.Errorf("control:\n%s\nwant:\n%s", got, want)
	}
}

func TestDataIsWholeAndHasItsFolders(t *testing.T) {
	var buf bytes.Buffer
	if err := sample().Write(&buf); err != nil {
		t.Fatal(err)
	}
	a := ar.NewReader(&buf)
	for {
		h, err := a.Next()
		if err != nil {
			t.Fatal("no data.tar:", err)
		}
		if h.Name == "data.tar" {
			if h.Size%512 != 0 {
				t.Errorf("data.tar has %d bytes, not whole blocks: its end is missing", h.Size)
			}
			break
		}
	}
	var names []string
	for r := tar.NewReader(a); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	want := "./ ./etc/ ./etc/kubernetes/ ./etc/kubernetes/manifests/ ./usr/ ./usr/bin/ ./usr/bin/kubelet ./etc/default/ ./etc/default/kubelet"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("names:\n%s\nwant:\n%s", got, want)
	}
}

func TestSamePackageSameBytes(t *testing.T) {
	var a, b bytes.Buffer
	if err := sample().Write(&a); err != nil {
		t.Fatal(err)
	}
	if err := sample().Write(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two writes differ")
	}
}

func TestKubernetesPackagesAreTheOfficialOnes(t *testing.T) {
	cni := t.TempDir()
	if err := os.WriteFile(filepath.Join(cni, "bridge"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	packages, err := Kubernetes("v1.37.2", Sources{Kubernetes: "/x", CNI: cni, CNIVersion: "v1.9.1"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range packages {
		names = append(names, p.Filename())
	}
	want := "kubeadm_1.37.2-1.1_amd64.deb kubelet_1.37.2-1.1_amd64.deb kubectl_1.37.2-1.1_amd64.deb kubernetes-cni_1.9.1-1.1_amd64.deb cri-tools_1.37.0-1.1_amd64.deb"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("packages %s\nwant %s", got, want)
	}
}
