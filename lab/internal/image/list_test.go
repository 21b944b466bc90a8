package image

import (
	"reflect"
	"testing"
)

func TestParseListTakesKubeadmsOutput(t *testing.T) {
	got, err := ParseList("registry.k8s.io/kube-apiserver:v1.36.3\n\nregistry.k8s.io/coredns/coredns:v1.14.2\nregistry.k8s.io/etcd:3.6.8-0\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Ref{{"kube-apiserver", "v1.36.3"}, {"coredns/coredns", "v1.14.2"}, {"etcd", "3.6.8-0"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseListRefusesWhatIsNoImage(t *testing.T) {
	for _, text := range []string{"", "W0101 could not reach the internet\n", "docker.io/library/etcd:1\n", "registry.k8s.io/etcd\n"} {
		if got, err := ParseList(text); err == nil {
			t.Errorf("ParseList(%q) = %v, want an error", text, got)
		}
	}
}

func TestReleaseOfTag(t *testing.T) {
	for _, c := range []struct {
		ref  Ref
		want string
	}{
		{Ref{"etcd", "3.6.8-0"}, "v3.6.8"},
		{Ref{"coredns/coredns", "v1.14.2"}, "v1.14.2"},
		{Ref{"pause", "3.10.2"}, "3.10.2"},
	} {
		if got := c.ref.Release(); got != c.want {
			t.Errorf("release of %s: %q, want %q", c.ref, got, c.want)
		}
	}
}
