package artefacts

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/pawl-dev/pawl/lab/internal/home"
)

// said is what a version's kubeadm has said of its etcd.
func said(t *testing.T, h home.Home, version, etcd string) {
	t.Helper()
	text := "registry.k8s.io/coredns/coredns:v1.14.2\nregistry.k8s.io/etcd:" + etcd + "\n"
	if err := home.WriteFile(h.Cache("bin", "kubernetes-"+version+".images"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEtcdVersionsHaveTheStepBetween(t *testing.T) {
	h := home.Home(t.TempDir())
	said(t, h, "v1.36.2", "3.6.8-0")
	said(t, h, "v1.36.3", "3.6.8-0")
	said(t, h, "v1.37.2", "3.7.0-0")
	got, err := EtcdVersions(t.Context(), h, []string{"v1.36.2", "v1.36.3", "v1.37.2"})
	if want := []string{"v3.6.8", "v3.6.16", "v3.7.0"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestMirrorIsLaidOutLikeTheOriginals(t *testing.T) {
	h, root := home.Home(t.TempDir()), t.TempDir()
	said(t, h, "v1.37.2", "3.7.0-0")
	const program, archive = "bin/linux/amd64/kubelet", "etcd-v3.7.0-linux-amd64.tar.gz"
	for path, kind := range map[string][2]string{program: {"release", "v1.37.2"}, archive: {"etcd", "v3.7.0"}} {
		if err := home.WriteFile(filepath.Join(release(h, kind[0], kind[1]), path), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // an interrupted one is done again
		if err := LinkMirror(t.Context(), h, root, []string{"v1.37.2"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"release/v1.37.2/" + program, "etcd/v3.7.0/" + archive} {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Error(err)
		}
	}
}
