package host

import (
	"slices"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestParseStaticPod(t *testing.T) {
	pod, err := parseStaticPod("kube-apiserver", "spec:\n  containers:\n  - name: sidecar\n    image: x:1\n  - name: kube-apiserver\n    image: r/kube-apiserver:v1.37.2\n    command: [kube-apiserver]\n    args: ['--etcd-servers=https://10.0.0.1:2379,https://10.0.0.2:2379']\n")
	if err != nil || pod.image != "r/kube-apiserver:v1.37.2" || pod.localEtcd() {
		t.Errorf("%+v, %v", pod, err)
	}
	for _, text := range []string{"", "spec: 5", "{", "spec:\n  containers: []\n"} {
		if _, err := parseStaticPod("kube-apiserver", text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestParseMadison(t *testing.T) {
	offered := parseMadison(`   kubeadm | 1.37.2-1.1 | https://pkgs.k8s.io/core:/stable:/v1.37/deb  Packages
   kubeadm | 1.37.2-1.0 | https://pkgs.k8s.io/core:/stable:/v1.37/deb  Packages
   kubeadm | 1.37.0~rc.1-1.1 | https://pkgs.k8s.io/core:/stable:/v1.37/deb  Packages
   kubelet | 1:1.37.2-00 | https://mirror.example/x  Packages
 containerd | 2.3.7+deb12 | https://deb.debian.org/debian bookworm/main amd64 Packages
 kubernetes-cni | something | x
N: Unable to locate package kubectl
`)
	if got, ok := pick(offered, "kubeadm", v137); got.full != "1.37.2-1.1" || ok != (got.full != "") {
		t.Errorf("kubeadm: %+v", got)
	}
	if got, ok := pick(offered, "kubelet", v137); got.full != "1:1.37.2-00" || ok != (got.full != "") {
		t.Errorf("kubelet: %+v", got)
	}
	if got, ok := pick(offered, "kubectl", v137); got.full != "" || ok != (got.full != "") {
		t.Errorf("kubectl: %+v", got)
	}
	if got := versionsOf(offered, "kubeadm"); !slices.Equal(got, []upgrade.Version{upgrade.MustVersion("v1.37.0-rc.1"), v137}) {
		t.Errorf("%v", got)
	}
}

func TestParseOSRelease(t *testing.T) {
	for text, debian := range map[string]bool{
		"ID=debian\n": true,
		"NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n": true,
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"":      true,
		"ID=\"rocky\"\nID_LIKE='rhel centos fedora'\n": false,
		"ID=debianish\n": false,
		"":               false,
	} {
		if got := parseOSRelease(text).is("debian"); got != debian {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestParsePreflightErrors(t *testing.T) {
	got := parsePreflightErrors(`[upgrade/preflight] Running pre-flight checks
	[WARNING SystemVerification]: cgroups v1 support is in maintenance mode
error: error execution phase preflight: [preflight] Some fatal errors occurred:
	[ERROR SystemVerification]: failed to parse kernel config
	[ERROR FileAvailable--etc-kubernetes-manifests-etcd.yaml]: /etc/kubernetes/manifests/etcd.yaml already exists
	[ERROR SystemVerification]: failed to parse kernel config
	[ERROR CreateJob]
[preflight] If you know what you are doing, you can make a check non-fatal
`)
	want := []string{"SystemVerification: failed to parse kernel config",
		"FileAvailable--etc-kubernetes-manifests-etcd.yaml: /etc/kubernetes/manifests/etcd.yaml already exists", "CreateJob"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestParseSources(t *testing.T) {
	for name, c := range map[string]struct {
		file, content string
		want          []packageSource
		at            string // of the first, for v1.37
	}{
		"one line": {"a.list", "# deb https://pkgs.k8s.io/core:/stable:/v1.30/deb/ /\n" + sourceList, []packageSource{
			{base: "https://pkgs.k8s.io/core:/stable:", minor: "v1.36", signedBy: "/etc/apt/keyrings/kubernetes-apt-keyring.gpg"}},
			"deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] https://pkgs.k8s.io/core:/stable:/v1.37/deb/ /"},
		"mirror with port and options": {"a.list", "deb [arch=amd64 signed-by=/k.asc] http://m.example:8081/apt/k8s/v1.36/deb /", []packageSource{
			{base: "http://m.example:8081/apt/k8s", minor: "v1.36", signedBy: "/k.asc"}},
			"deb [arch=amd64 signed-by=/k.asc] http://m.example:8081/apt/k8s/v1.37/deb /"},
		"deb822": {"a.sources", "Types: deb\nURIs: https://deb.debian.org/debian\nSuites: bookworm\n\nTypes: deb\nURIs:https://pkgs.k8s.io/core:/stable:/v1.36/deb/\nSuites: /\nSigned-By: /k.gpg\n", []packageSource{
			{base: "https://pkgs.k8s.io/core:/stable:", minor: "v1.36", signedBy: "/k.gpg"}},
			"Types: deb\nURIs:https://pkgs.k8s.io/core:/stable:/v1.37/deb/\nSuites: /\nSigned-By: /k.gpg\n"},
		"disabled":     {"a.sources", "Enabled: no\nTypes: deb\nURIs: https://pkgs.k8s.io/core:/stable:/v1.36/deb/\nSuites: /\n", nil, ""},
		"nothing here": {"a.list", "deb https://deb.debian.org/debian bookworm main\n", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseSources(c.file, c.content)
			if len(got) != len(c.want) {
				t.Fatalf("got %+v", got)
			}
			for i, s := range got {
				if s.base != c.want[i].base || s.minor != c.want[i].minor || s.signedBy != c.want[i].signedBy {
					t.Errorf("got %+v", s)
				}
			}
			if len(got) > 0 && got[0].at("v1.37") != c.at {
				t.Errorf("at v1.37: %q", got[0].at("v1.37"))
			}
		})
	}
}

func TestSourceMatches(t *testing.T) {
	for _, c := range []struct {
		base, repository string
		want             bool
	}{
		{"https://pkgs.k8s.io/core:/stable:", "https://pkgs.k8s.io/core:/stable:", true},
		{"http://pkgs.k8s.io/core:/stable:", "https://pkgs.k8s.io/core:/stable:/", true},
		{"https://packages.kubernetes.io/core:/stable:", "https://pkgs.k8s.io/core:/stable:", true},
		{"https://mirror.example/core:/stable:", "https://pkgs.k8s.io/core:/stable:", false},
		{"https://mirror.example/core:/stable:", "", true},
		{"https://pkgs.k8s.io/addons:/cri-o:/stable:", "https://pkgs.k8s.io/core:/stable:", false},
		{"https://pkgs.k8s.io/addons:/cri-o:/stable:", "", false},
		{"https://mirror.example/k8s", "https://mirror.example/k8s", true},
	} {
		if got := (packageSource{base: c.base}).matches(c.repository); got != c.want {
			t.Errorf("%s matches %q: %v", c.base, c.repository, got)
		}
	}
}

func TestDearmor(t *testing.T) {
	got, err := dearmor([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\r\nVersion: GnuPG v2\r\n\r\naGVs\r\nbG8=\r\n=AbCd\r\n-----END PGP PUBLIC KEY BLOCK-----\r\n"))
	if err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", "<html>", "-----BEGIN PGP PUBLIC KEY BLOCK-----\naGVs", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n!\n-----END PGP PUBLIC KEY BLOCK-----"} {
		if _, err := dearmor([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestHealthzAddress(t *testing.T) {
	for config, want := range map[string]string{
		"": "127.0.0.1:10248", "healthzPort: 1\n": "127.0.0.1:1", "healthzPort: 0\n": "",
		"healthzBindAddress: \"::1\"\n": "[::1]:10248",
	} {
		if got, err := healthzAddress(config); err != nil || got != want {
			t.Errorf("%q: %q, %v", config, got, err)
		}
	}
}

func TestTailIsShortAndKeepsTheEnd(t *testing.T) {
	got := remote.Tail(strings.Repeat("ü line\n", 500) + "\n\nthe end\n")
	if len(got) > 700 || !strings.HasSuffix(got, "the end") || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
	if got := remote.Tail(" \n"); got != "no output" {
		t.Errorf("%q", got)
	}
}

func FuzzParseMadison(f *testing.F) {
	f.Add(" kubeadm | 1.37.2-1.1 | x\n")
	f.Add("|||\n | - | \n:~-|:|")
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseMadison(s) {
			if c.upstream.IsZero() && !strings.Contains(c.full, "0.0.0") {
				t.Errorf("%q: %+v", s, c)
			}
		}
	})
}

func FuzzParseSources(f *testing.F) {
	f.Add("a.list", sourceList)
	f.Add("a.sources", "Types: deb\nURIs: https://pkgs.k8s.io/core:/stable:/v1.36/deb/\nSuites: /\n")
	f.Fuzz(func(t *testing.T, file, content string) {
		for _, s := range parseSources(file, content) {
			if !strings.Contains(content, s.text) {
				t.Errorf("%q is not a part of %q", s.text, content)
			}
			if s.at(s.minor) != s.text {
				t.Errorf("switching to the same minor changes %q", s.text)
			}
		}
	})
}

func FuzzParseOSRelease(f *testing.F) {
	f.Add("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n")
	f.Add("ID='\nID_LIKE=\"\"'\n=")
	f.Fuzz(func(t *testing.T, s string) {
		if got := parseOSRelease(s); strings.Contains(got.id, "\n") || slices.ContainsFunc(got.like, func(id string) bool { return !got.is(id) }) {
			t.Errorf("%q: %+v", s, got)
		}
	})
}

func FuzzParseStaticPod(f *testing.F) {
	f.Add(manifestOf("etcd", "3.7.0-0"))
	f.Add("spec:\n  containers:\n  - {name: etcd, command: [a], args: [b]}\n")
	f.Fuzz(func(t *testing.T, s string) {
		pod, err := parseStaticPod("etcd", s)
		if err != nil && (pod.image != "" || pod.command != nil) {
			t.Errorf("%q: %+v, %v", s, pod, err)
		}
		pod.localEtcd()
		observeManifest(manifest("etcd"), s, &upgrade.Host{})
	})
}

func FuzzParseOutputs(f *testing.F) {
	f.Add("[ERROR A]: b\n")
	f.Add("ActiveState=active\nExecMainStartTimestamp=Mon 2026-11-23 07:09:55 UTC\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parsePreflightErrors(s) {
			if c == "" || strings.Contains(c, "\n") {
				t.Errorf("%q: %q", s, c)
			}
		}
		parseKubeletUnit(s)
		_, _ = remote.FirstInt(s)
		remote.ParseSums(s)
		newestBackups(s)
		_, _ = parseStaticPod("etcd", s)
		_, _ = dearmor([]byte(s))
		if len(remote.Tail(s)) > 700 {
			t.Errorf("tail of %q is long", s)
		}
	})
}
