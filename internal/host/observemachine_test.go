package host

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestParseFiles(t *testing.T) {
	got := parseFiles("/etc/default/kubelet:KUBELET_EXTRA_ARGS=--a=b:c\n/x.yaml:a:\n/x.yaml:\n/x.yaml:  b: c\ngrep: /y: binary file matches\nnothing\n/z:last")
	want := map[string]string{"/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--a=b:c\n", "/x.yaml": "a:\n\n  b: c\n", "/z": "last"}
	if !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestFlagsIn(t *testing.T) {
	for text, want := range map[string][]argument{
		"KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/x.sock --pod-infra-container-image=r/pause:3.10\"\n": {
			{"--container-runtime-endpoint", "unix:///run/x.sock"}, {"--pod-infra-container-image", "r/pause:3.10"}},
		"KUBELET_EXTRA_ARGS=\n": nil,
		"KUBELET_EXTRA_ARGS=--v=4 --feature-gates A=true,B=false\n": {{"--v", "4"}, {"--feature-gates", "A=true,B=false"}},
		"KUBELET_EXTRA_ARGS='--node-labels=a=--b'":                  {{"--node-labels", "a=--b"}},
		"# KUBELET_EXTRA_ARGS=--v=4\n; --x\n  # --y\n":              nil,
		"[Service]\nEnvironment=\"KUBELET_CONFIG_ARGS=--config=/c.yaml\"\nExecStart=\nExecStart=/usr/bin/kubelet $A --one \\\n  --two=2\n": {
			{"--config", "/c.yaml"}, {"--one", ""}, {"--two", "2"}},
		"--\n-x\n": nil,
	} {
		if got := flagsIn(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestObserveFiles(t *testing.T) {
	apiServer := strings.Replace(manifestOf("kube-apiserver", "v1.32.13"), "    - --etcd", "    - --cloud-provider=external\n    - --feature-gates=CPUManager=true,Mine=true\n    - --etcd", 1)
	var seen upgrade.Host
	config := observeFiles(map[string]string{
		kubeletConfig: "kind: KubeletConfiguration\nfailCgroupV1: false\nfeatureGates:\n  SidecarContainers: true\n  InPlacePodVerticalScaling: true\n  Mine: true\n" +
			"evictionHard:\n  memory.available: 1%\n",
		kubeletFlags:           "KUBELET_KUBEADM_ARGS=\"--pod-infra-container-image=r/pause:3.10 --node-ip=10.0.0.1\"\n",
		"/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--feature-gates=AppArmor=true --register-schedulable=false\n",
		"/etc/systemd/system/kubelet.service.d/20-own.conf":     "[Service]\nEnvironment=KUBELET_EXTRA_ARGS=--containerd=/run/x.sock\n",
		"/etc/systemd/system/kubelet.service.d/20-own.conf.bak": "Environment=KUBELET_EXTRA_ARGS=--containerd=/run/x.sock\n",
		manifest("kube-apiserver"):                              apiServer,
		manifest("etcd"):                                        strings.Replace(manifestOf("etcd", "3.5.24-0"), "--etcd-servers", "--feature-gates=AppArmor=true\n    - --experimental-x", 1),
		manifest("kube-scheduler"):                              "spec: 5",
		pkiFolder + "/ca.crt":                                   "--containerd",
	}, &seen)
	if !seen.CgroupV1Allowed || len(config.EvictionHard) != 1 {
		t.Errorf("%+v, %+v", seen, config)
	}
	want := []upgrade.Setting{
		// and not InPlacePodVerticalScaling, which is locked to what it says
		{File: kubeletConfig, Component: "kubelet", Gate: "SidecarContainers", On: true},
		{File: "/etc/default/kubelet", Component: "kubelet", Gate: "AppArmor", On: true},
		{File: "/etc/default/kubelet", Component: "kubelet", Flag: "--register-schedulable"},
		{File: manifest("etcd"), Component: "etcd", Flag: "--experimental-x"},
		{File: manifest("kube-apiserver"), Component: "kube-apiserver", Flag: "--cloud-provider"},
		{File: manifest("kube-apiserver"), Component: "kube-apiserver", Gate: "CPUManager", On: true},
		{File: "/etc/systemd/system/kubelet.service.d/20-own.conf", Component: "kubelet", Flag: "--containerd"},
		{File: kubeletFlags, Component: "kubelet", Flag: "--pod-infra-container-image"},
	}
	sort := func(a, b upgrade.Setting) int { return strings.Compare(a.File+a.Gate+a.Flag, b.File+b.Gate+b.Flag) }
	slices.SortFunc(want, sort)
	slices.SortFunc(seen.Settings, sort)
	if !slices.Equal(seen.Settings, want) {
		t.Errorf("settings: %+v", seen.Settings)
	}
	if !maps.Equal(seen.Manifests, map[string]string{"kube-apiserver": "v1.32.13", "etcd": "3.5.24-0"}) {
		t.Errorf("manifests: %v", seen.Manifests)
	}
	if len(seen.NotObserved) != 1 || !strings.Contains(seen.NotObserved[0], "kube-scheduler.yaml (not a pod manifest: ") {
		t.Errorf("not observed: %q", seen.NotObserved)
	}
}

func TestParseDpkg(t *testing.T) {
	// dpkg 1.21.22, with packages in every state
	all := parseDpkg("ii \tapt\t2.6.1\nhi \tkubeadm\t1.36.3-1.1\nhF \tkubelet\t1.36.3-1.1\nun \tkubectl\t\nhi \tkubernetes-cni\t1.9.1-1.1\nrc \tcri-tools\t1.36.0-1.1\n" +
		"iHR\tlinux-image\t6.1\niU \tvim\t9\nit \tman-db\t2.11\niW \tlibc-bin\t2.36\nrH \told\t1\nnot a line\n\t\t\n")
	got := statesOf(all, kubernetesPackages)
	want := []upgrade.Package{{Name: "kubelet", State: "half-configured", Version: "1.36.3-1.1"}, {Name: "kubernetes-cni", State: upgrade.PackageHeld, Version: "1.9.1-1.1"},
		{Name: "linux-image", State: upgrade.PackageReinstall, Version: "6.1"}, {Name: "vim", State: "unpacked", Version: "9"}, {Name: "old", State: "half-installed", Version: "1"},
		{Name: "kubectl", State: upgrade.PackageAbsent}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if v := kubeletOf(all); !v.IsZero() {
		t.Errorf("kubelet %s, which is not whole", v)
	}
	if v := kubeletOf(parseDpkg("hi \tkubelet\t1.36.3-1.1\n")); v != v136 {
		t.Errorf("kubelet %s", v)
	}
}

func TestPackagesOnTheirWayAreNoFault(t *testing.T) {
	const query = "dpkg-query -W -f ${db:Status-Abbrev}"
	const whole, broken = "hi \tkubeadm\t1.36.3-1.1\nhi \tkubectl\t1.36.3-1.1\nhi \tkubelet\t1.36.3-1.1\n", "hi \tkubeadm\t1.36.3-1.1\nhi \tkubectl\t1.36.3-1.1\niH \tkubelet\t1.36.3-1.1\n"
	for name, c := range map[string]struct {
		answers []answer
		want    []upgrade.Package
		kubelet upgrade.Version
	}{
		"apt is at work":        {answers: []answer{{when: query, stdout: broken}, {when: "pgrep", stdout: "77\n"}}},
		"apt has just finished": {answers: []answer{{when: query, stdout: broken, once: true}, {when: query, stdout: whole}, {when: "pgrep", exit: 1}}, kubelet: v136},
		"nobody is at work": {answers: []answer{{when: query, stdout: broken}, {when: "pgrep", exit: 1}},
			want: []upgrade.Package{{Name: "kubelet", State: "half-installed", Version: "1.36.3-1.1"}}},
		"all is well": {answers: []answer{{when: query, stdout: whole}}, kubelet: v136},
	} {
		h, _ := hosted(t, c.answers...)
		got, v, err := apt{h}.states(t.Context())
		if err != nil || !slices.Equal(got, c.want) || v != c.kubelet {
			t.Errorf("%s: %+v, %s, %v", name, got, v, err)
		}
	}
}

func TestParseFilesystems(t *testing.T) {
	got := parseFilesystems("/sys/fs/cgroup cgroup2fs 4096 0 0\n/var/lib/kubelet ext2/ext3 4096 100 9\n/a b c d e\n/x xfs 0 1 1\n/y xfs 4096 9223372036854775807 1\n")
	want := []filesystem{{"cgroup2fs", upgrade.Filesystem{Path: "/sys/fs/cgroup"}}, {"ext2/ext3", upgrade.Filesystem{Path: "/var/lib/kubelet", Size: 409600, Free: 36864}}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestParseClock(t *testing.T) {
	if got, ok := parseClock("1795533141.501720603\n"); !ok || !got.Equal(time.Unix(1795533141, 501720603)) {
		t.Errorf("%v", got)
	}
	for _, text := range []string{"", "1795533141", "1795533141.5", "x.501720603", "1795533141.-01720603", "1795533141.%N"} {
		if got, ok := parseClock(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// CertificateOf is one that ends at a time. Tests of package host_test make theirs with it, too.
func CertificateOf(t testing.TB, authority bool, ends time.Time) string {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: ends.Add(-time.Hour), NotAfter: ends, IsCA: authority, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestExpiring(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	soon, late := now.Add(24*time.Hour), now.Add(upgrade.CertificateHorizon+time.Hour)
	got := expiring(map[string]string{
		pkiFolder + "/ca.crt":             CertificateOf(t, true, soon) + CertificateOf(t, true, late), // it is being replaced
		pkiFolder + "/front-proxy-ca.crt": CertificateOf(t, true, soon),
		pkiFolder + "/etcd/server.crt":    "text before it\n" + CertificateOf(t, false, now.Add(-time.Hour)),
		pkiFolder + "/apiserver.crt":      CertificateOf(t, false, late),
		pkiFolder + "/old.crt":            CertificateOf(t, false, soon), // not kubeadm's
		pkiFolder + "/etcd/ca.crt":        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
		"/etc/kubernetes/ca.crt":          CertificateOf(t, false, soon),
	}, now)
	want := []upgrade.Certificate{{File: "etcd/server.crt", Expires: now.Add(-time.Hour)}, {File: "front-proxy-ca.crt", CA: true, Expires: soon}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestWhatCannotBeLookedAtIsSaid(t *testing.T) {
	h, _ := hosted(t, answer{when: "dpkg-query", stderr: "dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 1", exit: 2},
		answer{when: "grep"}, answer{when: "stat", exit: 1, stderr: "stat: invalid option"}, answer{when: "date", stdout: "now\n"})
	var seen upgrade.Host
	if err := h.observeMachine(t.Context(), apt{h}, &seen); err != nil {
		t.Fatal(err)
	}
	want := []string{"packages (list packages on cp1: dpkg-query: dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 1)",
		"filesystems (look at filesystems on cp1: stat exited with 1: stat: invalid option)", "the clock (read the clock on cp1: date exited with 0: now)"}
	if !slices.Equal(seen.NotObserved, want) {
		t.Errorf("%q", seen.NotObserved)
	}
	gone := fault.New(fault.Unreachable, "connect to", "x", "no", "")
	h, _ = hosted(t, answer{when: "dpkg-query", err: gone})
	wantFault(t, h.observeMachine(t.Context(), apt{h}, &seen), fault.Unreachable)
}

func FuzzParseFiles(f *testing.F) {
	f.Add("/a:b\n/a:c\n")
	f.Add("/a\n:\n/:/:")
	f.Fuzz(func(t *testing.T, s string) {
		total := 0
		for path, text := range parseFiles(s) {
			if !strings.HasPrefix(path, "/") {
				t.Errorf("%q: %q", s, path)
			}
			total += len(text)
		}
		if total > len(s) {
			t.Errorf("%q became more", s)
		}
	})
}

func FuzzFlagsIn(f *testing.F) {
	f.Add("KUBELET_EXTRA_ARGS=--v=4 --feature-gates A=true\n")
	f.Add("=----=--\\\"'")
	f.Fuzz(func(t *testing.T, s string) {
		for _, a := range flagsIn(s) {
			if !strings.HasPrefix(a.name, "--") || strings.ContainsAny(a.name+a.value, " \n\"") {
				t.Errorf("%q: %q", s, a)
			}
		}
		var seen upgrade.Host
		observeFiles(map[string]string{kubeletConfig: s, kubeletFlags: s, manifest("etcd"): s}, &seen)
	})
}

func FuzzParseDpkg(f *testing.F) {
	f.Add("ii \tapt\t2.6.1\niHR\tx\t1\n")
	f.Add("\t\t\nn\t\tx\n")
	f.Fuzz(func(t *testing.T, s string) {
		all := parseDpkg(s)
		for _, p := range statesOf(all, kubernetesPackages) {
			if p.Name == "" || p.State == "" {
				t.Errorf("%q: %+v", s, p)
			}
		}
		kubeletOf(all)
	})
}

func FuzzParseMachine(f *testing.F) {
	f.Add("/sys/fs/cgroup cgroup2fs 4096 0 0\n")
	f.Add("1795533141.501720603\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, fs := range parseFilesystems(s) {
			if fs.Size < 0 || fs.Free < 0 || fs.Free*100 < fs.Free {
				t.Errorf("%q: %+v", s, fs)
			}
		}
		parseClock(s)
		parseCertificate(s)
	})
}

func FuzzParseCertificate(f *testing.F) {
	f.Add([]byte(CertificateOf(f, true, time.Now())))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := parseCertificate(string(b)); !ok && !c.Expires.IsZero() {
			t.Errorf("%q: %+v", b, c)
		}
	})
}
