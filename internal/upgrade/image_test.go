package upgrade

import (
	"strings"
	"testing"
)

func TestParseImage(t *testing.T) {
	for image, want := range map[string][2]string{
		"registry.k8s.io/kube-apiserver:v1.37.2":                           {"registry.k8s.io/kube-apiserver", "v1.37.2"},
		"mirror.example:5000/kube-apiserver:v1.37.2":                       {"mirror.example:5000/kube-apiserver", "v1.37.2"},
		"mirror.example:5000/kube-apiserver":                               {"mirror.example:5000/kube-apiserver", ""},
		"registry.k8s.io/kube-apiserver:v1.37.2@sha256:0123":               {"registry.k8s.io/kube-apiserver", "v1.37.2"},
		"registry.k8s.io/kube-apiserver@sha256:0123":                       {"registry.k8s.io/kube-apiserver", ""},
		"mirror.example:5000/a/kube-apiserver:v1.37.2_vendor.1@sha256:012": {"mirror.example:5000/a/kube-apiserver", "v1.37.2_vendor.1"},
		"kube-apiserver": {"kube-apiserver", ""},
		"":               {"", ""},
	} {
		if repository, tag := ParseImage(image); repository != want[0] || tag != want[1] {
			t.Errorf("%q: %q, %q, want %q", image, repository, tag, want)
		}
	}
	if v, err := ImageVersion("r/kube-apiserver:v1.37.2_vendor.1"); err != nil || v != v137 {
		t.Errorf("%v, %v", v, err)
	}
	for _, image := range []string{"r/kube-apiserver", "r/kube-apiserver:latest", "r:5000/kube-apiserver"} {
		if _, err := ImageVersion(image); err == nil {
			t.Errorf("%s: no error", image)
		}
	}
}

func FuzzParseImage(f *testing.F) {
	for _, s := range []string{"", "a:b", "r:5000/a:v1.37.2@sha256:0", "@", ":", "/:", "a/:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		repository, tag := ParseImage(s)
		name, _, _ := strings.Cut(s, "@")
		if name != repository && name != repository+":"+tag || strings.Contains(tag, "/") {
			t.Errorf("%q: %q, %q", s, repository, tag)
		}
	})
}
