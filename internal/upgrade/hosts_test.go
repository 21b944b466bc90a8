package upgrade

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lines are the findings as they read, each after its severity and id.
func lines(found []Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, string(f.Severity)+" "+f.ID+" "+f.String())
	}
	return all
}

func TestWhatIsFoundOnHosts(t *testing.T) {
	now := time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)
	in := now.Add
	const day = 24 * time.Hour
	w1 := func(change func(*Node)) func(*Cluster) { return func(c *Cluster) { change(&c.Nodes[1]) } }
	cp1 := func(change func(*Node)) func(*Cluster) { return func(c *Cluster) { change(&c.Nodes[0]) } }
	packages := func(all ...Package) func(*Cluster) { return w1(func(n *Node) { n.Host.Packages = all }) }
	setting := func(s Setting) func(*Cluster) { return w1(func(n *Node) { n.Host.Settings = []Setting{s} }) }
	manifest := func(s Setting) func(*Cluster) { return cp1(func(n *Node) { n.Host.Settings = []Setting{s} }) }
	certificate := func(c Certificate) func(*Cluster) {
		return cp1(func(n *Node) { n.Host.Certificates = []Certificate{c} })
	}
	at := func(v string, change func(*Cluster)) func(*Cluster) { // the cluster is at an earlier version
		return func(c *Cluster) {
			all := versions("v1.34.4", "v1.34.5", "v1.35.4", "v1.36.3", "v1.37.2")
			*c = Cluster{Name: "lab", Version: MustVersion(v), Nodes: []Node{nodeAt("cp1", true, MustVersion(v)), nodeAt("w1", false, MustVersion(v))}}
			for i := range c.Nodes {
				c.Nodes[i].Host.Available = all
			}
			if change != nil {
				change(c)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*Cluster)
		ignore []string // kubeadm's preflight checks
		target string   // v1.37.2 unless said
		want   []string
	}{
		"as it should be": {change: w1(func(n *Node) { n.Runtime, n.Host.Kubelet = "containerd://2.3.7", v136 })},
		"what could not be looked at": {change: w1(func(n *Node) { n.Host.NotObserved = []string{"the clock (it stands)"} }),
			want: []string{"info not-observed w1: not looked at: the clock (it stands)"}},
		"a host that was not looked at": {change: w1(func(n *Node) {
			n.Host.Problem, n.Host.Packages = "no route", []Package{{Name: "x", State: "half-installed"}}
		}),
			want: []string{"error host w1: no route"}},

		"kubelet without a package": {change: packages(Package{Name: "kubelet", State: PackageAbsent}),
			want: []string{"error package-state w1: the package kubelet is not installed, so what is there is not from a package, and one would not replace it for sure; " +
				"install it from the package repository, at the version that the node has, or waive package-state"}},
		"kubeadm without a package": {change: packages(Package{Name: "kubeadm", State: PackageAbsent}),
			want: []string{"error package-state w1: the package kubeadm is not installed, so what is there is not from a package, and one would not replace it for sure; " +
				"install it from the package repository, at the version that the node has, or waive package-state"}},
		"no kubeadm at all": {change: w1(func(n *Node) {
			n.Host.Kubeadm, n.Host.Packages = Version{}, []Package{{Name: "kubeadm", State: PackageAbsent}}
		}),
			want: []string{"warning package-state w1: the package kubeadm is not installed, the upgrade installs it"}},
		"no kubectl": {change: packages(Package{Name: "kubectl", State: PackageAbsent}),
			want: []string{"warning package-state w1: the package kubectl is not installed, the upgrade installs it"}},
		"half-configured": {change: packages(Package{"kubelet", "half-configured", "1.36.3-1.1"}),
			want: []string{"warning package-state w1: the package kubelet 1.36.3-1.1 is half-configured; dpkg is told to complete it before anything is installed; dpkg --configure -a"}},
		"half-installed": {change: packages(Package{"vim", "half-installed", "9"}),
			want: []string{"error package-state w1: the package vim 9 is half-installed, and apt installs nothing beside it; apt-get install --reinstall vim=9, or dpkg --install of its archive, or waive package-state"}},
		"on hold": {change: packages(Package{"kubernetes-cni", PackageHeld, "1.3.0-1.1"}),
			want: []string{"warning package-hold w1: the package kubernetes-cni 1.3.0-1.1 is on hold: apt does not move it along, and refuses if the new kubeadm or kubelet wants a newer one; " +
				"apt-mark unhold kubernetes-cni"}},
		"locked": {change: w1(func(n *Node) {
			n.Host.PackageManager, n.Host.Packages = "zypper", []Package{{"cri-tools", PackageHeld, "1.36.0-150500.1.1"}}
		}),
			want: []string{"warning package-hold w1: the package cri-tools 1.36.0-150500.1.1 is on hold: zypper does not move it along, and refuses if the new kubeadm or kubelet wants a newer one; " +
				"zypper removelock cri-tools"}},
		"recorded twice": {change: packages(Package{"kubelet", PackageTwice, "1.36.3-150500.1.1 and 1.37.2-150500.1.1"}),
			want: []string{"warning package-state w1: the package kubelet 1.36.3-150500.1.1 and 1.37.2-150500.1.1 is recorded twice: its installation was cut off; the upgrade does it again"}},
		"altered": {change: packages(Package{"kubectl", PackageAltered, "1.36.3-150500.1.1"}),
			want: []string{"warning package-state w1: the package kubectl is altered: its program is not the one that it brought; the upgrade replaces it; see who did that: rpm --verify kubectl"}},

		"a kubelet that was not restarted": {change: at("v1.36.3", w1(func(n *Node) { n.Host.Kubelet = v137 })),
			want: []string{"warning version-differs w1: the kubelet package is v1.37.2, the kubelet that runs is v1.36.3: it was not restarted since; the upgrade restarts it"}},
		"a kubelet that is not the package's": {change: w1(func(n *Node) { n.Host.Kubelet = MustVersion("v1.35.4") }),
			want: []string{"warning version-differs w1: the kubelet package is v1.35.4, the kubelet that runs is v1.36.3: it is not the package's; see which one the unit kubelet.service starts"}},
		"a kubelet package beyond the target": {change: w1(func(n *Node) { n.Host.Kubelet = MustVersion("v1.38.0") }),
			want: []string{"error version-differs w1: the kubelet package is v1.38.0, the kubelet that runs is v1.36.3, and pawl does not go back to v1.37.2; install the kubelet package of v1.36.3"}},
		"manifests that do not run": {change: cp1(func(n *Node) {
			n.EtcdImage = "3.6.11-0"
			n.Host.Manifests = map[string]string{etcd: "3.6.12-0", APIServer: "v1.36.4", Scheduler: "v1.36.3", ControllerManager: ""}
		}), want: []string{
			"warning version-differs cp1: the manifest of etcd says 3.6.12-0, the pod that runs is 3.6.11-0; see why the kubelet does not start it: its log, and the container's",
			"warning version-differs cp1: the manifest of kube-apiserver says v1.36.4, the pod that runs is v1.36.3; see why the kubelet does not start it: its log, and the container's"}},

		"a flag of the kubelet's that people set": {change: setting(Setting{File: "/etc/default/kubelet", Component: Kubelet, Flag: "--containerd"}),
			want: []string{"error removed-flag w1: /etc/default/kubelet sets --containerd, which kubelet does not know from v1.37 on; take it out of the file, or waive removed-flag"}},
		"one that no minor on the way removes":       {change: setting(Setting{File: "/etc/default/kubelet", Component: Kubelet, Flag: "--pod-infra-container-image"})},
		"the pause image where kubeadm takes it out": {change: at("v1.34.4", setting(Setting{File: kubeadmFlags, Component: Kubelet, Flag: "--pod-infra-container-image"}))},
		"the pause image where people set it": {change: at("v1.34.4", setting(Setting{File: "/etc/default/kubelet", Component: Kubelet, Flag: "--pod-infra-container-image"})),
			want: []string{"error removed-flag w1: /etc/default/kubelet sets --pod-infra-container-image, which kubelet does not know from v1.35 on; take it out of the file, or waive removed-flag"}},
		"the pause image where no kubeadm of v1.35 comes by any more": {change: func(c *Cluster) {
			at("v1.36.3", setting(Setting{File: kubeadmFlags, Component: Kubelet, Flag: "--pod-infra-container-image"}))(c)
			c.Nodes[1].Kubelet = MustVersion("v1.34.4")
		}, want: []string{"error removed-flag w1: /var/lib/kubelet/kubeadm-flags.env sets --pod-infra-container-image, which kubelet does not know from v1.35 on; take it out of the file, or waive removed-flag"}},
		"the pause image of one that catches up": {change: func(c *Cluster) {
			at("v1.35.4", setting(Setting{File: kubeadmFlags, Component: Kubelet, Flag: "--pod-infra-container-image"}))(c)
			c.Nodes[1].Kubelet, c.Nodes[1].Host.Kubeadm = MustVersion("v1.34.4"), MustVersion("v1.34.4")
		}},
		"another flag that kubeadm was told to write": {change: setting(Setting{File: kubeadmFlags, Component: Kubelet, Flag: "--containerd"}),
			want: []string{"error removed-flag w1: /var/lib/kubelet/kubeadm-flags.env sets --containerd, which kubelet does not know from v1.37 on; take it out of the file, or waive removed-flag"}},
		"a gate on the kubelet's command line": {change: setting(Setting{File: "/etc/default/kubelet", Component: Kubelet, Gate: "SidecarContainers", On: true}),
			want: []string{"error removed-feature-gate w1: /etc/default/kubelet sets SidecarContainers, which kubelet does not know from v1.37 on; take it out of the file, or waive removed-feature-gate"}},
		"a gate in the kubelet's configuration": {change: setting(Setting{File: kubeletConfig, Component: Kubelet, Gate: "SidecarContainers", On: true}),
			want: []string{"warning removed-feature-gate w1: /var/lib/kubelet/config.yaml sets SidecarContainers, which kubelet does not know from v1.37 on; " +
				"kubeadm writes this file anew: take it out of ConfigMap kube-system/kubelet-config"}},
		"a gate that is locked": {change: setting(Setting{File: "/etc/default/kubelet", Component: Kubelet, Gate: "NodeDeclaredFeatures"}),
			want: []string{"error removed-feature-gate w1: /etc/default/kubelet sets NodeDeclaredFeatures, which kubelet lets nobody set to false from v1.37 on; take it out of the file, or waive removed-feature-gate"}},
		"a flag in a manifest": {change: manifest(Setting{File: manifestFolder + "kube-controller-manager.yaml", Component: ControllerManager, Flag: "--concurrent-service-syncs"}),
			want: []string{"warning removed-flag cp1: /etc/kubernetes/manifests/kube-controller-manager.yaml sets --concurrent-service-syncs, which kube-controller-manager does not know from v1.37 on; " +
				"kubeadm writes this file anew: take it out of kubeadm's ClusterConfiguration, where it comes from there"}},
		"etcd's": {change: manifest(Setting{File: manifestFolder + "etcd.yaml", Component: etcd, Flag: "--experimental-initial-corrupt-check"})},
		"etcd's that kubeadm did not set": {change: manifest(Setting{File: manifestFolder + "etcd.yaml", Component: etcd, Flag: "--experimental-corrupt-check-time"}),
			want: []string{"warning removed-flag cp1: /etc/kubernetes/manifests/etcd.yaml sets --experimental-corrupt-check-time, which etcd does not know from v1.37 on; " +
				"kubeadm writes this file anew: take it out of kubeadm's ClusterConfiguration, where it comes from there"}},

		"cgroup v1": {change: w1(func(n *Node) { n.Host.CgroupV1 = true }),
			want: []string{"error cgroup-version w1: the machine has version 1 control groups, on which kubelets of v1.35 and later do not start; boot it with version 2, or " +
				"set failCgroupV1: false in ConfigMap kube-system/kubelet-config and in /var/lib/kubelet/config.yaml, or waive cgroup-version"}},
		"cgroup v1 that the kubelet accepts": {change: w1(func(n *Node) { n.Host.CgroupV1, n.Host.CgroupV1Allowed = true, true }),
			want: []string{"error cgroup-version w1: the machine has version 1 control groups, which kubeadm of v1.35 and later refuses; boot it with version 2, or " +
				"name SystemVerification in kubeadm.ignorePreflightErrors of the cluster's definition, or waive cgroup-version"}},
		"cgroup v1 that all accept": {change: w1(func(n *Node) { n.Host.CgroupV1, n.Host.CgroupV1Allowed = true, true }), ignore: []string{"systemverification"},
			want: []string{"info cgroup-version w1: the machine has version 1 control groups; kubelet and kubeadm are told to accept them, for as long as they do"}},
		"cgroup v1 before it ends": {change: at("v1.34.4", w1(func(n *Node) { n.Host.CgroupV1 = true })), target: "v1.34.5",
			want: []string{"warning end-of-life lab: v1.34 is no longer supported since 2026-10-27, it gets no security fixes; go on to a newer minor afterwards"}},

		"containerd that is too old for long": {change: w1(func(n *Node) { n.Runtime = "containerd://1.7.28" })},
		"containerd 1 at v1.38": {change: func(c *Cluster) {
			for i := range c.Nodes {
				c.Nodes[i].Runtime, c.Nodes[i].Host.Available = "containerd://1.7.28", versions("v1.37.2", "v1.38.0")
			}
		}, target: "v1.38.0", want: []string{
			"error container-runtime cp1, w1: the container runtime is containerd://1.7.28; the kubelet of v1.38 wants RuntimeConfig of the CRI, which containerd has since 2.0.0; bring the runtime along first"}},

		"an authority that ends": {change: certificate(Certificate{File: "etcd/ca.crt", CA: true, Expires: in(30 * day)}),
			want: []string{"warning certificate cp1: the certificate pki/etcd/ca.crt expires at 2026-12-24T12:00:00Z; it is an authority, which kubeadm does not renew; " +
				"replace it first: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/"}},
		"an authority that has ended": {change: certificate(Certificate{File: "ca.crt", CA: true, Expires: in(-time.Second)}),
			want: []string{"error certificate cp1: the certificate pki/ca.crt has expired at 2026-11-24T11:59:59Z; it is an authority, which kubeadm does not renew; " +
				"replace it first: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/, or waive certificate"}},
		"a certificate that is renewed on the way": {change: certificate(Certificate{File: "apiserver.crt", Expires: in(8 * day)})},
		"a certificate that ends this week": {change: certificate(Certificate{File: "apiserver.crt", Expires: in(6 * day)}),
			want: []string{"warning certificate cp1: the certificate pki/apiserver.crt expires at 2026-11-30T12:00:00Z; the upgrade renews it; begin in time"}},
		"a certificate that has ended": {change: certificate(Certificate{File: "apiserver.crt", Expires: now}),
			want: []string{"error certificate cp1: the certificate pki/apiserver.crt has expired at 2026-11-24T12:00:00Z; kubeadm certs renew all, then restart the control plane's pods, or waive certificate"}},

		"room for pods": {change: w1(func(n *Node) { n.Host.Filling = []Filesystem{{"/var/lib/kubelet", 12 << 30, 100 << 30}} })},
		"no room for images": {change: w1(func(n *Node) {
			n.Host.Filling = []Filesystem{{"/var/lib/kubelet", 9 << 30, 100 << 30}, {"/var/lib/containerd", 9 << 30, 100 << 30}}
		}), want: []string{"warning disk-space w1: 9216 MiB of 102400 MiB free under /var/lib/containerd; below 15 % (imagefs.available) the kubelet takes no pods; free some space"}},
		"no room for pods": {change: w1(func(n *Node) { n.Host.Filling = []Filesystem{{"/var/lib/kubelet", 9 << 30, 100 << 30}} }),
			want: []string{"warning disk-space w1: 9216 MiB of 102400 MiB free under /var/lib/kubelet; below 10 % (nodefs.available) the kubelet takes no pods; free some space"}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, s := healthy(1, 1), settings()
			s.IgnorePreflightErrors = c.ignore
			if c.change != nil {
				c.change(&cluster)
			}
			target := v137
			if c.target != "" {
				target = MustVersion(c.target)
			}
			require.Equal(t, c.want, lines(MakePlan(cluster, Wanted{Target: target, Now: now}, s).Findings))
		})
	}
}

func TestClocksAreComparedWithEachOther(t *testing.T) {
	for name, c := range map[string]struct {
		ahead []time.Duration // cp1, w1, w2, ...
		want  []string
	}{
		"all the same":          {ahead: []time.Duration{0, 0, 0}},
		"only the observer's":   {ahead: []time.Duration{time.Hour, time.Hour, time.Hour}},
		"a little":              {ahead: []time.Duration{0, time.Second, -time.Second}},
		"one of two":            {ahead: []time.Duration{0, -2 * time.Second}, want: []string{"warning clock-skew w1: the clock is 2s behind the other machines'; etcd warns from 1s on; see why it is not synchronised: timedatectl"}},
		"the observer's, too":   {ahead: []time.Duration{time.Hour, time.Hour + 2*time.Second, time.Hour}, want: []string{"warning clock-skew w1: the clock is 2s ahead of the other machines'; etcd warns from 1s on; see why it is not synchronised: timedatectl"}},
		"more than is allowed":  {ahead: []time.Duration{0, 0, 301 * time.Second}, want: []string{"error clock-skew w2: the clock is 5m1s ahead of the other machines'; certificates are dated back by 5m0s only; see why it is not synchronised: timedatectl, or waive clock-skew"}},
		"one that is not there": {ahead: []time.Duration{0}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := healthy(1, len(c.ahead)-1)
			for i, ahead := range c.ahead {
				cluster.Nodes[i].Host.ClockAhead = Duration(ahead)
			}
			require.Equal(t, c.want, lines(MakePlan(cluster, Wanted{Target: v137}, settings()).Findings))
		})
	}
}

func TestContainerRuntimesOfOld(t *testing.T) {
	for name, c := range map[string]struct {
		runtime, kubelet, target string
		want                     string
	}{
		"dockershim":       {"docker://20.10.24", "v1.23.0", "v1.24.0", "the container runtime is docker://20.10.24; the kubelet of v1.24 has no dockershim"},
		"with a shim":      {"docker://28.0.0", "v1.36.3", "v1.37.2", ""},
		"the old CRI":      {"containerd://1.5.18", "v1.25.0", "v1.26.0", "the container runtime is containerd://1.5.18; the kubelet of v1.26 wants version 1 of the CRI, which containerd has since 1.6.0"},
		"the new CRI":      {"containerd://1.6.0", "v1.25.0", "v1.26.0", ""},
		"CRI-O":            {"cri-o://1.34.1", "v1.36.3", "v1.38.0", ""},
		"not known":        {"containerd://main", "v1.25.0", "v1.26.0", ""},
		"a distribution's": {"containerd://1.5.9-0ubuntu3", "v1.25.0", "v1.26.0", "the container runtime is containerd://1.5.9-0ubuntu3; the kubelet of v1.26 wants version 1 of the CRI, which containerd has since 1.6.0"},
		"not looked at":    {"", "v1.23.0", "v1.24.0", ""},
	} {
		found := checkRuntime(Node{Name: "w1", Runtime: c.runtime, Kubelet: MustVersion(c.kubelet)}, MustVersion(c.target))
		if c.want == "" {
			require.Empty(t, found, name)
			continue
		}
		require.Len(t, found, 1, name)
		require.Equal(t, c.want, found[0].Message, name)
		require.NotEmpty(t, found[0].Source, name)
	}
}

func TestHostsOfOldInventoriesSayNothing(t *testing.T) {
	var h Host
	require.NoError(t, json.Unmarshal([]byte(`{"os":"debian","packageManager":"apt","kubeadm":"v1.36.3","available":["v1.37.2"],"freeBytes":1099511627776}`), &h))
	c := healthy(1, 1)
	for i := range c.Nodes {
		c.Nodes[i].Host = h
	}
	require.Empty(t, MakePlan(c, Wanted{Target: v137, Now: time.Now()}, settings()).Findings)
	text, err := json.Marshal(h)
	require.NoError(t, err)
	require.JSONEq(t, `{"os":"debian","packageManager":"apt","kubeadm":"v1.36.3","available":["v1.37.2"],"freeBytes":1099511627776}`, string(text))
}
