package host_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/host"
	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// What a plan finds on machines: each thing is brought about on a simulated one, and its finding read.

// findings are those of a plan for a cluster of one node, which reports version v, as it is observed now.
func (b *bed) findings(t *testing.T, role upgrade.Role, v upgrade.Version) []string {
	t.Helper()
	seen, err := b.host.Observe(t.Context(), b.repository, []upgrade.Version{b.target})
	if err != nil {
		t.Fatal(err)
	}
	n := upgrade.Node{Name: "n1", Kubelet: v, Ready: true, Host: seen}
	if n.ControlPlane = role.IsControlPlane(); n.ControlPlane {
		n.EtcdImage = "3.6.11-0" // as etcd wants it before the next minor
		n.Host.Manifests["etcd"] = n.EtcdImage
		n.Components = map[string]upgrade.Version{}
		for _, component := range upgrade.ControlPlaneComponents {
			n.Components[component] = v
		}
	}
	c := upgrade.Cluster{Name: "lab", Version: v, Nodes: []upgrade.Node{n}}
	p := upgrade.MakePlan(c, upgrade.Wanted{Target: b.target, Now: time.Now()}, upgrade.Settings{Repository: b.repository, MaxUnavailable: upgrade.AtMost(1)})
	var all []string
	for _, f := range p.Findings {
		if f.ID != upgrade.NoControlPlane && f.ID != upgrade.EndOfLife { // the cluster is one worker here
			all = append(all, string(f.Severity)+" "+f.ID+" "+f.String())
		}
	}
	return all
}

func TestSimulatedFindings(t *testing.T) {
	t.Parallel()
	b := simulated(t, func(o *machine.Options) { o.Role = upgrade.FirstControlPlane })
	const status, flags = "/var/lib/dpkg/status", "/etc/default/kubelet"
	edit := func(t *testing.T, file, from, to string) {
		t.Helper()
		old, err := b.machine.ReadFile(file)
		if err != nil || !strings.Contains(string(old), from) {
			t.Fatalf("%s has no %q: %v", file, from, err)
		}
		put(t, b, file, strings.Replace(string(old), from, to, 1))
	}
	const kubelet = "Package: kubelet\nStatus: hold ok installed"
	for _, c := range []struct {
		name    string
		provoke func(t *testing.T)
		files   []string // that it changes
		want    []string
	}{
		{name: "nothing"},
		{name: "the kubelet's package is half-installed", files: []string{status},
			provoke: func(t *testing.T) { edit(t, status, kubelet, "Package: kubelet\nStatus: install ok half-installed") },
			want:    []string{"error package-state n1: the package kubelet 1.36.3-1.1 is half-installed, and apt installs nothing beside it; apt-get install --reinstall kubelet=1.36.3-1.1, or dpkg --install of its archive, or waive package-state"}},
		{name: "another package is not configured", files: []string{status},
			provoke: func(t *testing.T) {
				edit(t, status, "Package: curl\nStatus: install ok installed", "Package: curl\nStatus: install ok half-configured")
			},
			want: []string{"warning package-state n1: the package curl 7.88.1-10+deb12u14 is half-configured; dpkg is told to complete it before anything is installed; dpkg --configure -a"}},
		{name: "a package is being installed", files: []string{status},
			provoke: func(t *testing.T) {
				edit(t, status, kubelet, "Package: kubelet\nStatus: install ok half-installed")
				b.machine.LockPackages(true)
				t.Cleanup(func() { b.machine.LockPackages(false) })
			}},
		{name: "the kubelet is not from a package", files: []string{status},
			provoke: func(t *testing.T) { edit(t, status, kubelet, "Package: kubelet\nStatus: unknown ok not-installed") },
			want: []string{"error package-state n1: the package kubelet is not installed, so what is there is not from a package, and one would not replace it for sure; " +
				"install it from the package repository, at the version that the node has, or waive package-state"}},
		{name: "a dependency is on hold",
			provoke: func(t *testing.T) {
				b.sh(t, "apt-mark hold kubernetes-cni")
				t.Cleanup(func() { b.sh(t, "apt-mark unhold kubernetes-cni") })
			},
			want: []string{"warning package-hold n1: the package kubernetes-cni 1.9.1-1.1 is on hold: apt does not move it along, and refuses if the new kubeadm or kubelet wants a newer one; " +
				"apt-mark unhold kubernetes-cni"}},
		{name: "the kubelet's package is another one", files: []string{status},
			provoke: func(t *testing.T) {
				edit(t, status, kubelet+"\nArchitecture: amd64\nVersion: 1.36.3-1.1", kubelet+"\nArchitecture: amd64\nVersion: 1.37.2-1.1")
			},
			want: []string{"warning version-differs n1: the kubelet package is v1.37.2, the kubelet that runs is v1.36.3: it was not restarted since; the upgrade restarts it"}},
		{name: "a manifest is another one", files: []string{"/etc/kubernetes/manifests/kube-scheduler.yaml"},
			provoke: func(t *testing.T) {
				edit(t, "/etc/kubernetes/manifests/kube-scheduler.yaml", "kube-scheduler:v1.36.3", "kube-scheduler:v1.36.4")
			},
			want: []string{"warning version-differs n1: the manifest of kube-scheduler says v1.36.4, the pod that runs is v1.36.3; see why the kubelet does not start it: its log, and the container's"}},
		{name: "a flag of the kubelet's goes", files: []string{flags},
			provoke: func(t *testing.T) {
				edit(t, flags, "KUBELET_EXTRA_ARGS=", "KUBELET_EXTRA_ARGS=--containerd=/run/containerd/containerd.sock")
			},
			want: []string{"error removed-flag n1: /etc/default/kubelet sets --containerd, which kubelet does not know from v1.37 on; take it out of the file, or waive removed-flag"}},
		{name: "a gate of the kubelet's goes", files: []string{"/var/lib/kubelet/config.yaml"},
			provoke: func(t *testing.T) {
				edit(t, "/var/lib/kubelet/config.yaml", "kind:", "featureGates:\n  SidecarContainers: true\nkind:")
			},
			want: []string{"warning removed-feature-gate n1: /var/lib/kubelet/config.yaml sets SidecarContainers, which kubelet does not know from v1.37 on; " +
				"kubeadm writes this file anew: take it out of ConfigMap kube-system/kubelet-config"}},
		{name: "a flag of a static pod's goes", files: []string{"/etc/kubernetes/manifests/kube-controller-manager.yaml"},
			provoke: func(t *testing.T) {
				edit(t, "/etc/kubernetes/manifests/kube-controller-manager.yaml", "    - --leader-elect=true\n", "    - --leader-elect=true\n    - --concurrent-service-syncs=2\n")
			},
			want: []string{"warning removed-flag n1: /etc/kubernetes/manifests/kube-controller-manager.yaml sets --concurrent-service-syncs, which kube-controller-manager does not know from v1.37 on; " +
				"kubeadm writes this file anew: take it out of kubeadm's ClusterConfiguration, where it comes from there"}},
		{name: "certificates end", files: []string{"/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/etcd/peer.crt"},
			provoke: func(t *testing.T) {
				ends := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
				put(t, b, "/etc/kubernetes/pki/ca.crt", host.CertificateOf(t, true, ends))
				put(t, b, "/etc/kubernetes/pki/apiserver.crt", host.CertificateOf(t, false, ends))
				put(t, b, "/etc/kubernetes/pki/etcd/peer.crt", host.CertificateOf(t, false, time.Now().Add(30*24*time.Hour))) // in time
			},
			want: []string{
				"error certificate n1: the certificate pki/apiserver.crt has expired at 2020-01-02T03:04:05Z; kubeadm certs renew all, then restart the control plane's pods, or waive certificate",
				"error certificate n1: the certificate pki/ca.crt has expired at 2020-01-02T03:04:05Z; it is an authority, which kubeadm does not renew; " +
					"replace it first: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/, or waive certificate"}},
		{name: "the disk is full",
			provoke: func(t *testing.T) {
				b.machine.FillDisk(true)
				t.Cleanup(func() { b.machine.FillDisk(false) })
			},
			want: []string{
				"error disk-space n1: 0 MiB free under /var/lib, 256 MiB needed for backups; free some space, or waive disk-space",
				"warning disk-space n1: 0 MiB of 102400 MiB free under /var/lib/containerd; below 15 % (imagefs.available) the kubelet takes no pods; free some space"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, file := range c.files {
				old, err := b.machine.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { put(t, b, file, string(old)) })
			}
			if c.provoke != nil {
				c.provoke(t)
			}
			if got := b.findings(t, upgrade.FirstControlPlane, v136); !slices.Equal(got, c.want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// put replaces a file on the machine's disk.
func put(t *testing.T, b *bed, file, content string) {
	t.Helper()
	if err := b.machine.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSimulatedCgroupV1(t *testing.T) {
	t.Parallel()
	v134, v135 := upgrade.MustVersion("v1.34.4"), upgrade.MustVersion("v1.35.4")
	b := simulated(t, func(o *machine.Options) {
		o.Version, o.Offered, o.CgroupV1, o.Pace = v134, []upgrade.Version{v134, v135}, true, 0.02
	})
	b.target = v135
	want := []string{"error cgroup-version n1: the machine has version 1 control groups, on which kubelets of v1.35 and later do not start; boot it with version 2, or " +
		"set failCgroupV1: false in ConfigMap kube-system/kubelet-config and in /var/lib/kubelet/config.yaml, or waive cgroup-version"}
	if got := b.findings(t, upgrade.Worker, v134); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	// It is true: that kubelet does not start.
	b.sh(t, "echo 'KUBELET_KUBEADM_ARGS=' > /var/lib/kubelet/kubeadm-flags.env")
	if err := b.host.Install(t.Context(), b.repository, v135, "kubelet", "kubectl"); err != nil {
		t.Fatal(err)
	}
	b.sh(t, "systemctl restart kubelet")
	for deadline := time.Now().Add(20 * time.Second); ; {
		if got := b.sh(t, "journalctl --sync; journalctl -u kubelet"); strings.Contains(got, "kubelet is configured to not run on a host using cgroup v1") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the kubelet does not complain")
		}
		time.Sleep(50 * time.Millisecond)
	}
	config, err := b.machine.ReadFile("/var/lib/kubelet/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, "/var/lib/kubelet/config.yaml", string(config)+"failCgroupV1: false\n")
	want = []string{"error cgroup-version n1: the machine has version 1 control groups, which kubeadm of v1.35 and later refuses; boot it with version 2, or " +
		"name SystemVerification in kubeadm.ignorePreflightErrors of the cluster's definition, or waive cgroup-version",
		"warning version-differs n1: the kubelet package is v1.35.4, the kubelet that runs is v1.34.4: it was not restarted since; the upgrade restarts it"}
	got := b.findings(t, upgrade.Worker, v134)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for range 400 { // and now it starts
		if v, ok := b.machine.KubeletRuns(); ok && v == v135 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the kubelet does not start")
}

func TestSimulatedClockIsWrong(t *testing.T) {
	t.Parallel()
	b := simulated(t, nil)
	for _, c := range []struct{ set, want time.Duration }{{0, 0}, {3 * time.Second, 3 * time.Second}, {-10 * time.Minute, -10 * time.Minute}} {
		b.machine.SetClock(c.set)
		seen, err := b.host.Observe(context.WithoutCancel(t.Context()), b.repository, nil)
		// What the answer took may be taken off.
		if got := seen.ClockAhead.Std(); err != nil || (got-c.want).Abs() > time.Second {
			t.Errorf("%s: %s, %v", c.set, got, err)
		}
	}
}
