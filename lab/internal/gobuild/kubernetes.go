package gobuild

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/versions"
)

// kubernetesPrograms are what a cluster is made of.
var kubernetesPrograms = []string{"kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"}

// KubernetesDir is where the programs of a version are.
func (b Builder) KubernetesDir(version string) string {
	return b.Home.Cache("bin", "kubernetes-"+version)
}

// Kubernetes builds the programs of one version.
func (b Builder) Kubernetes(ctx context.Context, version string) (bool, error) {
	var packages []string
	for _, p := range kubernetesPrograms {
		packages = append(packages, "k8s.io/kubernetes/cmd/"+p)
	}
	flags := []string{"-ldflags", kubernetesLinkFlags(version)}
	return b.binaries(ctx, b.KubernetesDir(version), func() (module, error) {
		path, err := b.download(ctx, "k8s.io/kubernetes", version)
		if err != nil {
			return module{}, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return module{}, err
		}
		goMod, err := kubernetesModule(version, data)
		return module{name: "kubernetes-" + version, goMod: goMod}, err
	}, flags, packages, nil)
}

// kubernetesModule requires Kubernetes with its staging modules, which it takes
// as v0.0.0 from a folder of its own, as published with the same release.
func kubernetesModule(version string, upstream []byte) (string, error) {
	f, err := modfile.ParseLax("go.mod", upstream, nil)
	if err != nil {
		return "", fmt.Errorf("read go.mod of kubernetes %s: %w", version, err)
	}
	staging := "v0." + strings.TrimPrefix(version, "v1.")
	var require, replace strings.Builder
	for _, r := range f.Require {
		if r.Mod.Version == "v0.0.0" && strings.HasPrefix(r.Mod.Path, "k8s.io/") {
			fmt.Fprintf(&require, "\t%s %s\n", r.Mod.Path, staging)
			fmt.Fprintf(&replace, "\t%s => %s %s\n", r.Mod.Path, r.Mod.Path, staging)
		}
	}
	if require.Len() == 0 {
		return "", fmt.Errorf("read go.mod of kubernetes %s: no staging modules in it", version)
	}
	return fmt.Sprintf("require (\n\tk8s.io/kubernetes %s\n%s)\n\nreplace (\n%s)\n", version, &require, &replace), nil
}

// kubernetesLinkFlags stamp the version that the programs report.
func kubernetesLinkFlags(version string) string {
	flags := []string{"-s", "-w"}
	for _, p := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, kv := range []string{
			"gitVersion=" + version,
			"gitMajor=1",
			fmt.Sprintf("gitMinor=%d", versions.MinorNumber(version)),
			"gitTreeState=clean",
			"gitCommit=" + strings.Repeat("0", 40),
			"buildDate=2026-11-01T00:00:00Z",
		} {
			flags = append(flags, "-X "+p+"."+kv)
		}
	}
	return strings.Join(flags, " ")
}

// Images is what a version's own kubeadm says that the cluster runs. It is
// asked once: where there is no way out, as in the lab's network, it says nothing.
func (b Builder) Images(ctx context.Context, version string) ([]byte, error) {
	dir := b.KubernetesDir(version)
	said := dir + ".images"
	if text, err := os.ReadFile(said); err == nil {
		return text, nil
	}
	text, err := run(ctx, filepath.Join(dir, "kubeadm"), "config", "images", "list", "--kubernetes-version", version)
	if err != nil {
		return nil, err
	}
	return text, home.WriteFile(said, text, 0o644)
}
