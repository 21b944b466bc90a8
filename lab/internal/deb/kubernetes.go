package deb

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/versions"
)

// The unit and its drop-in are those of the official packages: the interface
// that kubeadm writes its files for.
var (
	//go:embed files/kubelet.service
	kubeletUnit string
	//go:embed files/10-kubeadm.conf
	kubeadmDropIn string
	//go:embed files/kubelet.postinst
	kubeletPostInst string
)

// Crictl is a stand-in for crictl, good for ps, images and version.
//
//go:embed files/crictl
var Crictl string

// Sources are the folders with the programs to pack.
type Sources struct {
	Kubernetes string // kubeadm, kubelet, kubectl
	CNI        string // network plugins
	CNIVersion string
}

// Kubernetes describes the packages of one version, laid out and depending on
// each other like the official ones.
func Kubernetes(version string, src Sources) ([]Package, error) {
	v := versions.Debian(version)
	program := func(name string) File {
		return File{Path: "/usr/bin/" + name, Mode: 0o755, Source: filepath.Join(src.Kubernetes, name)}
	}
	plugins, err := os.ReadDir(src.CNI)
	if err != nil {
		return nil, err
	}
	var cni []File
	for _, p := range plugins {
		cni = append(cni, File{Path: "/opt/cni/bin/" + p.Name(), Mode: 0o755, Source: filepath.Join(src.CNI, p.Name())})
	}
	return []Package{
		{
			Name: "kubeadm", Version: v, Depends: "cri-tools (>= 1.30.0)",
			Description: "Command-line utility for administering a Kubernetes cluster",
			Files: []File{
				program("kubeadm"),
				{Path: "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", Mode: 0o644, Content: kubeadmDropIn},
			},
		},
		{
			Name: "kubelet", Version: v,
			Depends:     "iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), iproute2, mount, util-linux",
			Description: "Node agent for Kubernetes clusters",
			Files: []File{
				program("kubelet"),
				{Path: "/usr/lib/systemd/system/kubelet.service", Mode: 0o644, Content: kubeletUnit},
				{Path: "/etc/default/kubelet", Mode: 0o644, Content: "KUBELET_EXTRA_ARGS=\n"},
			},
			Folders:   []string{"/var/lib/kubelet", "/etc/kubernetes/manifests"},
			Conffiles: []string{"/etc/default/kubelet"},
			PostInst:  kubeletPostInst,
		},
		{
			Name: "kubectl", Version: v,
			Description: "Command-line utility for interacting with a Kubernetes cluster",
			Files:       []File{program("kubectl")},
		},
		{
			Name: "kubernetes-cni", Version: strings.TrimPrefix(src.CNIVersion, "v") + "-1.1",
			Description: "Binaries required to provision kubernetes container networking",
			Files:       cni,
		},
		{
			Name: "cri-tools", Version: strings.TrimPrefix(versions.Minor(version), "v") + ".0-1.1",
			Description: "Stand-in for crictl, good for ps, images and version",
			Files:       []File{{Path: "/usr/bin/crictl", Mode: 0o755, Content: Crictl}},
		},
	}, nil
}

// BuildKubernetes writes a version's packages into a folder of the cache and
// reports whether they were there.
func BuildKubernetes(target, version string, src Sources) (bool, error) {
	return home.Once(target, func(tmp string) error {
		packages, err := Kubernetes(version, src)
		if err != nil {
			return err
		}
		for _, p := range packages {
			if err := writeFile(filepath.Join(tmp, p.Filename()), p); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeFile(path string, p Package) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := p.Write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
