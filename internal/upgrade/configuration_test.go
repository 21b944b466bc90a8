package upgrade

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFindingsOfTheCluster: what kubeadm's configuration, the add-ons, etcd and the nodes say. A finding that blocks ends
// with its remedy, and with how to waive it where that can be done.
func TestFindingsOfTheCluster(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*Cluster)
		target   string // v1.37.2 if empty
		severity Severity
		want     string
	}{
		"v1beta3 before v1.37": {func(c *Cluster) { c.Kubeadm.APIVersion = "kubeadm.k8s.io/v1beta3" }, "", SeverityError,
			"ConfigMap kube-system/kubeadm-config: ClusterConfiguration is kubeadm.k8s.io/v1beta3, which kubeadm of v1.37 cannot read; " +
				"write it anew with the kubeadm of v1.36: kubeadm config migrate, then kubeadm init phase upload-config kubeadm --config FILE"},
		"flag": {func(c *Cluster) {
			c.Kubeadm.Flags = map[string][]string{ControllerManager: {"bind-address", "concurrent-service-syncs"}}
		}, "", SeverityError,
			"ConfigMap kube-system/kubeadm-config: kube-controller-manager is given --concurrent-service-syncs, which v1.37 does not know: it would not start; take it out there before, or waive removed-flag"},
		"gate": {func(c *Cluster) {
			c.Kubeadm.Gates = map[string]map[string]bool{APIServer: {"SidecarContainers": true, "UnknownOfPawl": true}}
		}, "", SeverityError,
			"ConfigMap kube-system/kubeadm-config: kube-apiserver is given the feature gate SidecarContainers, which v1.37 does not know: it would not start; take it out there before, or waive removed-feature-gate"},
		"gate of kubelets": {func(c *Cluster) { c.Kubeadm.Gates = map[string]map[string]bool{Kubelet: {"SidecarContainers": true}} }, "", SeverityError,
			"ConfigMap kube-system/kubelet-config: kubelet is given the feature gate SidecarContainers, which v1.37 does not know: it would not start; take it out there before, or waive removed-feature-gate"},
		"gate that is locked": {func(c *Cluster) { c.Kubeadm.Gates = map[string]map[string]bool{KubeProxy: {"HostnameOverride": false}} }, "", SeverityError,
			"ConfigMap kube-system/kube-proxy: kube-proxy is given the feature gate HostnameOverride=false, which v1.37 does not allow: it would not start; take it out there before, or waive removed-feature-gate"},
		"gate of kubeadm's": {func(c *Cluster) { c.Kubeadm.Gates = map[string]map[string]bool{Kubeadm: {"NodeLocalCRISocket": true}} }, "", SeverityInfo,
			"ConfigMap kube-system/kubeadm-config: kubeadm of v1.37 does not know its feature gate NodeLocalCRISocket any more, and goes on without it"},
		"etcd's image": {func(c *Cluster) { c.Kubeadm.EtcdTag = "3.6.8-0" }, "", SeverityWarning,
			"ConfigMap kube-system/kubeadm-config: etcd.local.imageTag keeps etcd at 3.6.8-0 in every hop; take it out, unless it is a newer patch than kubeadm's own"},
		"CoreDNS's image": {func(c *Cluster) { c.Kubeadm.DNSTag = "v1.14.2" }, "", SeverityWarning,
			"ConfigMap kube-system/kubeadm-config: dns.imageTag keeps CoreDNS at v1.14.2 in every hop; take it out, unless that is meant"},
		"frozen registry": {func(c *Cluster) { c.Kubeadm.ImageRepository = "k8s.gcr.io" }, "", SeverityWarning,
			"ConfigMap kube-system/kubeadm-config: imageRepository is k8s.gcr.io, which has no images of v1.27 and later; set it to registry.k8s.io"},
		"external etcd": {func(c *Cluster) { c.Kubeadm.ExternalEtcd = true }, "", SeverityInfo,
			"ConfigMap kube-system/kubeadm-config: etcd is external: it is neither backed up nor upgraded; name its hosts as etcd.hosts, if units of systemd start it there"},
		"ipvs": {func(c *Cluster) { c.Kubeadm.ProxyMode = "ipvs" }, "", SeverityInfo,
			"ConfigMap kube-system/kube-proxy: kube-proxy runs in mode ipvs, which is deprecated since v1.35; move to nftables"},
		"emulation now": {func(c *Cluster) { c.Nodes[0].Emulates = MustVersion("v1.35.0") }, "", SeverityWarning,
			"cp1: kube-apiserver is v1.36.3 and behaves as v1.35 (--emulated-version); take the flag out of extraArgs once nobody needs it"},
		"emulation too old": {func(c *Cluster) { c.Kubeadm.EmulatedVersion = MustVersion("v1.33.0") }, "", SeverityError,
			"ConfigMap kube-system/kubeadm-config: kube-apiserver is told to emulate v1.33; that of v1.37 emulates v1.34 at the oldest and would not start; " +
				"take --emulated-version out of extraArgs, or name a newer one"},
		"no CoreDNS": {func(c *Cluster) { c.CoreDNS = []string{} }, "", SeverityError,
			"kube-system/coredns: no deployment in kube-system carries the label k8s-app=kube-dns, and kubeadm's check of CoreDNS fails; " +
				"bring it back, or set kubeadm.ignorePreflightErrors to CoreDNSUnsupportedPlugins, CoreDNSMigration"},
		"two of CoreDNS": {func(c *Cluster) { c.CoreDNS = []string{"v1.14.2", "v1.14.2"} }, "", SeverityError,
			"kube-system/coredns: 2 deployments carry the label k8s-app=kube-dns; kubeadm wants one; take the label off the others"},
		"newer CoreDNS": {func(c *Cluster) { c.CoreDNS = []string{"v1.14.7"} }, "", SeverityError,
			"kube-system/coredns: CoreDNS is v1.14.7, newer than v1.14.6 of kubeadm of v1.37, which cannot migrate from it; " +
				"deploy an older CoreDNS, or set kubeadm.ignorePreflightErrors to CoreDNSUnsupportedPlugins, CoreDNSMigration"},
		"CoreDNS of somebody else": {func(c *Cluster) { c.CoreDNS = []string{"v1.14.2-shop.1"} }, "", SeverityError,
			"kube-system/coredns: CoreDNS is \"v1.14.2-shop.1\", which is no release that kubeadm could migrate from; " +
				"deploy a release of CoreDNS, or set kubeadm.ignorePreflightErrors to CoreDNSUnsupportedPlugins, CoreDNSMigration"},
		"kube-proxy of another version": {func(c *Cluster) { c.KubeProxy.Version = MustVersion("v1.35.4") }, "", SeverityWarning,
			"DaemonSet kube-system/kube-proxy: it is at v1.35.4, the control plane at v1.36.3; the upgrade brings it to the control plane's version; look why the last one did not"},
		"no kube-proxy": {func(c *Cluster) { c.KubeProxy.Missing = true }, "", SeverityWarning,
			"DaemonSet kube-system/kube-proxy: there is none, and kubeadm would deploy it again, beside what may have replaced it; " +
				"set proxy.disabled: true in kubeadm's ClusterConfiguration, if it is to stay away"},
		"etcd members of two versions": {func(c *Cluster) {
			*c = healthy(3, 0)
			members(c, "3.6.13-0", "3.6.14-0", "3.6.13-0")
		}, "", SeverityWarning, "lab: etcd members are of different versions: 3.6.13-0 on cp1, cp3; 3.6.14-0 on cp2; " +
			"an upgrade that was begun is finished by this one; else bring them to one version first"},
		"a control plane node without a member": {func(c *Cluster) {
			*c = healthy(4, 0)
			members(c, "3.6.13-0", "", "3.6.13-0", "3.6.13-0")
		}, "", SeverityWarning, "lab: cp2 has no etcd member, though cp1, cp3, cp4 has; look why; a kubeadm cluster has one on every control plane node"},
		"two members": {func(c *Cluster) {
			*c = healthy(2, 0)
			members(c, "3.6.13-0", "3.6.13-0")
		}, "", SeverityWarning, "lab: etcd has 2 members: while one restarts, it has no quorum and the API is away; add a control plane node, or expect it"},
		"four members": {func(c *Cluster) {
			*c = healthy(4, 0)
			members(c, "3.6.13-0", "3.6.13-0", "3.6.13-0", "3.6.13-0")
		}, "", SeverityInfo, "lab: etcd has 4 members, which bear no more failures than 3 would"},
		"disk pressure": {func(c *Cluster) { c.Nodes[1].Conditions = []string{"DiskPressure"} }, "", SeverityError,
			"w1: the node reports DiskPressure; free some space: its kubelet evicts pods and removes images, and an upgrade brings more images, or waive node-condition"},
		"no network": {func(c *Cluster) { c.Nodes[1].Conditions = []string{"NetworkUnavailable"} }, "", SeverityError,
			"w1: the node reports NetworkUnavailable; repair the node's network: its pods have none, or waive node-condition"},
		"memory pressure": {func(c *Cluster) { c.Nodes[1].Conditions = []string{"MemoryPressure"} }, "", SeverityWarning,
			"w1: the node reports MemoryPressure; put it right first: pods of drained nodes have to find room elsewhere"},
		"kubelet of no version": {func(c *Cluster) { c.Nodes[1].Kubelet, c.Nodes[1].KubeletText = Version{}, "devel" }, "", SeverityError,
			"w1: the kubelet says that its version is \"devel\", wanted one like v1.37.2; install a kubelet of a release, or remove the node from the cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := healthy(1, 1)
			c.change(&cluster)
			target := v137
			if c.target != "" {
				target = MustVersion(c.target)
			}
			p := MakePlan(cluster, Wanted{Target: target}, settings())
			require.Len(t, p.Findings, 1, "%v", p.Findings)
			require.Equal(t, c.want, p.Findings[0].String())
			require.Equal(t, c.severity, p.Findings[0].Severity)
			require.Equal(t, c.severity == SeverityError, p.Refused())
		})
	}
}

// members gives the control plane nodes an etcd member each, by its image's tag.
func members(c *Cluster, tags ...string) {
	for i, tag := range tags {
		c.Nodes[i].EtcdImage = tag
	}
}

// TestWhatIsOfNoConsequence: what looks like the above, and is not.
func TestWhatIsOfNoConsequence(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Cluster)
		target string
	}{
		"v1beta3 that a kubeadm on the way writes anew": {func(c *Cluster) {
			allAt(c, "v1.35.4")
			c.Kubeadm.APIVersion = "kubeadm.k8s.io/v1beta3"
		}, "v1.37.2"},
		"v1beta3 within v1.36": {func(c *Cluster) { c.Kubeadm.APIVersion = "kubeadm.k8s.io/v1beta3" }, "v1.36.9"},
		"v1beta4":              {func(c *Cluster) { c.Kubeadm.APIVersion = "kubeadm.k8s.io/v1beta4" }, "v1.37.2"},
		"flag that is gone later": {func(c *Cluster) {
			c.Kubeadm.Flags = map[string][]string{ControllerManager: {"concurrent-service-syncs"}}
		}, "v1.36.9"},
		"flag of another":           {func(c *Cluster) { c.Kubeadm.Flags = map[string][]string{Scheduler: {"concurrent-service-syncs"}} }, "v1.37.2"},
		"emulation within reach":    {func(c *Cluster) { c.Kubeadm.EmulatedVersion = MustVersion("v1.34.0") }, "v1.37.2"},
		"kubeadm's CoreDNS":         {func(c *Cluster) { c.CoreDNS = []string{"v1.14.2"} }, "v1.37.2"},
		"CoreDNS of the target":     {func(c *Cluster) { c.CoreDNS = []string{"v1.14.6"} }, "v1.37.2"},
		"CoreDNS was not looked at": {func(c *Cluster) { c.CoreDNS = nil }, "v1.37.2"},
		"kube-proxy of an API server, in the middle of an upgrade": {func(c *Cluster) {
			*c = healthy(3, 0)
			c.Version, c.KubeProxy.Version = v137, v136
			c.Nodes[0].Components[APIServer] = v137
		}, "v1.37.2"},
		"no kube-proxy, as kubeadm was told": {func(c *Cluster) { c.KubeProxy.Missing, c.Kubeadm.ProxyDisabled = true, true }, "v1.37.2"},
		"three members":                      {func(c *Cluster) { *c = healthy(3, 0); members(c, "3.6.13-0", "3.6.13-0", "3.6.13-0") }, "v1.37.2"},
		"a mirror":                           {func(c *Cluster) { c.Kubeadm.ImageRepository = "registry.example.com" }, "v1.37.2"},
		"ipvs, long ago":                     {func(c *Cluster) { allAt(c, "v1.33.0"); c.Kubeadm.ProxyMode = "ipvs" }, "v1.34.0"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := healthy(1, 1)
			c.change(&cluster)
			offer(&cluster, "v1.34.0", "v1.36.3", "v1.36.9", "v1.37.2")
			p := MakePlan(cluster, Wanted{Target: MustVersion(c.target)}, settings())
			require.Empty(t, p.Findings)
			require.False(t, p.Refused())
		})
	}
}

// allAt makes the whole cluster one of version v.
func allAt(c *Cluster, v string) {
	c.Version = MustVersion(v)
	for i, n := range c.Nodes {
		c.Nodes[i] = nodeAt(n.Name, n.ControlPlane, c.Version)
	}
}

// TestCoreDNSThatKubeadmIsToldToPassOver: who has told kubeadm so is not told again.
func TestCoreDNSThatKubeadmIsToldToPassOver(t *testing.T) {
	c := healthy(1, 1)
	c.CoreDNS = []string{}
	s := settings()
	s.IgnorePreflightErrors = []string{"CoreDNSMigration"}
	require.True(t, MakePlan(c, Wanted{Target: v137}, s).Refused(), "one of two is not enough")
	s.IgnorePreflightErrors = append(s.IgnorePreflightErrors, "CoreDNSUnsupportedPlugins")
	require.Empty(t, MakePlan(c, Wanted{Target: v137}, s).Findings)
}
