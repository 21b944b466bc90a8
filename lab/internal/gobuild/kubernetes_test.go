package gobuild

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/lab/internal/home"
)

func TestKubernetesModuleTakesStagingModulesAsPublished(t *testing.T) {
	upstream := "module k8s.io/kubernetes\n\ngo 1.26.0\n\nrequire (\n\tgithub.com/x/y v1.2.3\n\tk8s.io/api v0.0.0\n\tk8s.io/klog/v2 v2.130.1\n\tk8s.io/kubelet v0.0.0\n)\n\nreplace k8s.io/api => ./staging/src/k8s.io/api\n"
	got, err := kubernetesModule("v1.37.2", []byte(upstream))
	if err != nil {
		t.Fatal(err)
	}
	want := `require (
	k8s.io/kubernetes v1.37.2
	k8s.io/api v0.37.2
	k8s.io/kubelet v0.37.2
)

replace (
	k8s.io/api => k8s.io/api v0.37.2
	k8s.io/kubelet => k8s.io/kubelet v0.37.2
)
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestKubernetesModuleWithoutStagingIsAnError(t *testing.T) {
	if _, err := kubernetesModule("v1.37.2", []byte("module k8s.io/kubernetes\n")); err == nil {
		t.Error("no error")
	}
}

func TestLinkFlagsStampTheVersion(t *testing.T) {
	got := kubernetesLinkFlags("v1.37.2")
	for _, want := range []string{"component-base/version.gitVersion=v1.37.2", "client-go/pkg/version.gitMinor=37"} {
		if !strings.Contains(got, want) {
			t.Errorf("flags lack %s: %s", want, got)
		}
	}
}

func TestKubeadmIsAskedForItsImagesOnce(t *testing.T) {
	b := Builder{Home: home.Home(t.TempDir())}
	kubeadm := filepath.Join(b.KubernetesDir("v1.37.2"), "kubeadm")
	if err := home.WriteFile(kubeadm, []byte("#!/bin/sh\necho \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const want = "config images list --kubernetes-version v1.37.2\n"
	for range 2 {
		if got, err := b.Images(t.Context(), "v1.37.2"); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
		if err := os.RemoveAll(kubeadm); err != nil {
			t.Fatal(err)
		}
	}
}
