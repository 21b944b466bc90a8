package upgrade

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Configuration is what kubeadm's ConfigMaps (kubeadm-config, kubelet-config, kube-proxy) say, as far as releases differ
// in what they make of it: from these kubeadm writes everything anew at each upgrade.
type Configuration struct {
	// APIVersion is ClusterConfiguration's, such as kubeadm.k8s.io/v1beta4.
	APIVersion string `json:"apiVersion,omitempty"`
	// Flags are the names of the extra arguments that a component is given, without dashes, in order.
	Flags map[string][]string `json:"flags,omitempty"`
	// Gates are the feature gates that are set, by component; kubeadm's own are under "kubeadm".
	Gates map[string]map[string]bool `json:"gates,omitempty"`
	// EmulatedVersion is what --emulated-version of kube-apiserver names, if it is given.
	EmulatedVersion Version `json:"emulatedVersion,omitzero"`
	// ProxyMode is kube-proxy's mode, if it is not iptables.
	ProxyMode string `json:"proxyMode,omitempty"`
	// EtcdTag and DNSTag are image tags that are to be used instead of those that kubeadm brings.
	EtcdTag string `json:"etcdTag,omitempty"`
	DNSTag  string `json:"dnsTag,omitempty"`
	// ImageRepository is where images come from, if not from registry.k8s.io.
	ImageRepository string `json:"imageRepository,omitempty"`
	ExternalEtcd    bool   `json:"externalEtcd,omitempty"`
	// EtcdEndpoints are where the API servers find an external etcd.
	EtcdEndpoints []string `json:"etcdEndpoints,omitempty"`
	// ProxyDisabled: kubeadm is told to leave kube-proxy alone.
	ProxyDisabled bool `json:"proxyDisabled,omitempty"`
}

// Kubeadm is kubeadm's name among the components.
const Kubeadm = "kubeadm"

// configFormats are the apiVersions that a kubeadm cannot read any more. kubeadm writes its configuration in the newest
// one that it knows at each upgrade, so what counts is the first hop's.
// Source: cmd/kubeadm/app/util/config/cluster.go (getInitConfigurationFromCluster), app/apis/kubeadm/scheme.
var configFormats = map[string]uint64{"kubeadm.k8s.io/v1beta2": 27, "kubeadm.k8s.io/v1beta3": 37}

// kubeadmGates are kubeadm's own feature gates, and the first minor whose kubeadm does not know them. It says so and goes
// on.
// Source: cmd/kubeadm/app/features/features.go of v1.35.4, v1.36.3 and v1.37.2.
var kubeadmGates = map[string]uint64{"ControlPlaneKubeletLocalMode": 36, "NodeLocalCRISocket": 37, "PublicKeysECDSA": 37}

const configMaps = "ConfigMap kube-system/"

// configMapOf is where a component's configuration is kept.
func configMapOf(component string) string {
	switch component {
	case Kubelet:
		return configMaps + "kubelet-config"
	case KubeProxy:
		return configMaps + KubeProxy
	}
	return configMaps + "kubeadm-config"
}

// checkConfiguration finds what a release on the way does not understand any more of what kubeadm was told.
func checkConfiguration(c Cluster, p Plan) []Finding {
	oldest := p.oldest()
	var found []Finding
	if f, stops := checkFormat(c.Kubeadm.APIVersion, oldest, p.Target); stops {
		found = append(found, f)
	}
	for _, component := range slices.Sorted(maps.Keys(c.Kubeadm.Flags)) {
		for _, flag := range c.Kubeadm.Flags[component] {
			if gone, is := RemovedFlag(component, flag, oldest, p.Target); is {
				found = append(found, goneFrom(FlagRemoved, component, gone, fmt.Sprintf("%s is given %s, which %s does not know: it would not start",
					component, gone.Name, gone.In.MinorString())))
			}
		}
	}
	for _, component := range slices.Sorted(maps.Keys(c.Kubeadm.Gates)) {
		gates := c.Kubeadm.Gates[component]
		for _, gate := range slices.Sorted(maps.Keys(gates)) {
			found = append(found, checkGate(component, gate, gates[gate], oldest, p.Target)...)
		}
	}
	return append(found, checkImages(c.Kubeadm, p)...)
}

// checkFormat is of the configuration's own apiVersion.
func checkFormat(format string, oldest, target Version) (Finding, bool) {
	first := firstHop(oldest, target)
	last, known := configFormats[format]
	if !known || !first.AtLeastMinor(1, last) {
		return Finding{}, false
	}
	f := failure(KubeadmConfig, configMapOf(Kubeadm), fmt.Sprintf("ClusterConfiguration is %s, which kubeadm of %s cannot read", format, first.MinorString()),
		fmt.Sprintf("write it anew with the kubeadm of %s: kubeadm config migrate, then kubeadm init phase upload-config kubeadm --config FILE", oldest.MinorString()))
	f.Source = sourceOr("", last)
	return f, true
}

func checkGate(component, gate string, on bool, oldest, target Version) []Finding {
	if component == Kubeadm {
		if minor, gone := kubeadmGates[gate]; gone && onTheWay(minor, oldest, target) {
			return []Finding{{ID: GateRemoved, Severity: SeverityInfo, Target: configMapOf(component), Source: sourceOr("", minor),
				Message: fmt.Sprintf("kubeadm of %s does not know its feature gate %s any more, and goes on without it", firstOf(minor).MinorString(), gate)}}
		}
		return nil
	}
	if gone, is := RemovedGate(gate, oldest, target); is {
		return []Finding{goneFrom(GateRemoved, component, gone, fmt.Sprintf("%s is given the feature gate %s, which %s does not know: it would not start",
			component, gate, gone.In.MinorString()))}
	}
	if lock, is := LockedGate(gate, on, oldest, target); is {
		return []Finding{goneFrom(GateRemoved, component, lock, fmt.Sprintf("%s is given the feature gate %s=%v, which %s does not allow: it would not start",
			component, gate, on, lock.In.MinorString()))}
	}
	return nil
}

func goneFrom(id, component string, gone Removal, message string) Finding {
	f := failure(id, configMapOf(component), message, "take it out there before")
	f.Source = gone.Source
	return f
}

// Sources of checkImages.
const (
	etcdTagSource   = "https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/#kubeadm-k8s-io-v1beta4-ImageMeta"
	ipvsSource      = "https://kubernetes.io/docs/reference/networking/virtual-ips/#proxy-mode-ipvs"
	frozenSource    = "https://kubernetes.io/blog/2023/02/06/k8s-gcr-io-freeze-announcement/"
	externalSource  = "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/high-availability/#external-etcd-nodes"
	frozenRegistry  = "k8s.gcr.io"
	oldestNotFrozen = 27 // the freeze came before v1.27
)

// checkImages finds what keeps kubeadm from bringing the images of a release, and parts that it does not bring along.
func checkImages(k Configuration, p Plan) []Finding {
	var found []Finding
	add := func(id string, severity Severity, message, remedy, source string) {
		found = append(found, Finding{ID: id, Severity: severity, Target: configMapOf(Kubeadm), Message: message, Remedy: remedy, Source: source})
	}
	if k.EtcdTag != "" {
		add(ImageOverride, SeverityWarning, fmt.Sprintf("etcd.local.imageTag keeps etcd at %s in every hop", k.EtcdTag),
			"take it out, unless it is a newer patch than kubeadm's own", etcdTagSource)
	}
	if k.DNSTag != "" {
		add(ImageOverride, SeverityWarning, fmt.Sprintf("dns.imageTag keeps CoreDNS at %s in every hop", k.DNSTag), "take it out, unless that is meant", etcdTagSource)
	}
	if k.ImageRepository == frozenRegistry && p.Target.AtLeastMinor(1, oldestNotFrozen) {
		add(ImageOverride, SeverityWarning, fmt.Sprintf("imageRepository is %s, which has no images of %s and later", frozenRegistry, firstOf(oldestNotFrozen).MinorString()),
			"set it to registry.k8s.io", frozenSource)
	}
	if k.ProxyMode == "ipvs" && p.Target.AtLeastMinor(1, 35) {
		found = append(found, Finding{ID: KubeProxyAddon, Severity: SeverityInfo, Target: configMapOf(KubeProxy), Source: ipvsSource,
			Message: "kube-proxy runs in mode ipvs, which is deprecated since v1.35", Remedy: "move to nftables"})
	}
	return found
}

// emulationReach is how many minors an API server can go back, and emulationSince the first that it can emulate.
// Source: k8s.io/apiserver pkg/util/compatibility.
const (
	emulationReach = 3
	emulationSince = 31
)

// checkEmulation finds API servers that behave as an older release, which an upgrade does not change.
func checkEmulation(c Cluster, p Plan) []Finding {
	const source = "https://kubernetes.io/docs/concepts/cluster-administration/compatibility-version/"
	var found []Finding
	for _, n := range p.Nodes {
		if !n.Emulates.IsZero() {
			found = append(found, Finding{ID: EmulatedVersion, Severity: SeverityWarning, Target: n.Name, Source: source,
				Message: fmt.Sprintf("kube-apiserver is %s and behaves as %s (--emulated-version)", n.Components[APIServer], n.Emulates.MinorString()),
				Remedy:  "take the flag out of extraArgs once nobody needs it"})
		}
	}
	emulated, oldest := c.Kubeadm.EmulatedVersion, p.oldest()
	if emulated.IsZero() || !p.Target.AtLeastMinor(1, emulationSince) {
		return found
	}
	floor := firstOf(max(emulationSince, p.Target.minor-emulationReach))
	if emulated.minor < floor.minor && p.Target.minor > oldest.minor {
		f := failure(EmulatedVersion, configMapOf(Kubeadm), fmt.Sprintf("kube-apiserver is told to emulate %s; that of %s emulates %s at the oldest and would not start",
			emulated.MinorString(), p.Target.MinorString(), floor.MinorString()), "take --emulated-version out of extraArgs, or name a newer one")
		f.Source = source
		found = append(found, f)
	}
	return found
}

// kubeadmCoreDNS is the CoreDNS that a minor's kubeadm brings; the newest patch's where patches differ.
// Source: CoreDNSVersion in cmd/kubeadm/app/constants.
var kubeadmCoreDNS = map[uint64]string{30: "v1.11.3", 31: "v1.11.3", 32: "v1.11.3", 33: "v1.12.0", 34: "v1.12.1", 35: "v1.13.1", 36: "v1.14.2", 37: "v1.14.6"}

// kubeadmBringsProxyBack is the first minor whose `kubeadm upgrade` deploys a kube-proxy that is not there; those before
// passed it over. Source: cmd/kubeadm/app/cmd/phases/upgrade/addons.go, and before app/phases/upgrade/postupgrade.go.
const kubeadmBringsProxyBack = 32

// coreDNSChecks are kubeadm's own checks of CoreDNS. Source: cmd/kubeadm/app/phases/upgrade/preflight.go.
var coreDNSChecks = []string{"CoreDNSUnsupportedPlugins", "CoreDNSMigration"}

// checkAddons finds a CoreDNS that kubeadm would not come to terms with, and a kube-proxy that is not the control plane's.
func checkAddons(c Cluster, p Plan) []Finding {
	oldest := p.oldest()
	var found []Finding
	if problem, remedy := checkCoreDNS(c, p, oldest); problem != "" {
		f := failure(CoreDNS, "kube-system/coredns", problem, remedy)
		f.Source = "https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-upgrade/"
		found = append(found, f)
	}
	proxy := Finding{ID: KubeProxyAddon, Severity: SeverityWarning, Target: "DaemonSet kube-system/kube-proxy"}
	switch v := c.KubeProxy.Version; {
	case c.KubeProxy.Missing && !c.Kubeadm.ProxyDisabled && p.Target.AtLeastMinor(1, kubeadmBringsProxyBack):
		proxy.Message = "there is none, and kubeadm would deploy it again, beside what may have replaced it"
		proxy.Remedy = "set proxy.disabled: true in kubeadm's ClusterConfiguration, if it is to stay away"
		proxy.Source = "https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/#kubeadm-k8s-io-v1beta4-Proxy"
	case !v.IsZero() && v != c.Version && !slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.Components[APIServer] == v }):
		proxy.Message = fmt.Sprintf("it is at %s, the control plane at %s", v, c.Version)
		proxy.Remedy = "the upgrade brings it to the control plane's version; look why the last one did not"
		proxy.Source = skewPolicy + "#kube-proxy"
	default:
		return found
	}
	return append(found, proxy)
}

// checkCoreDNS says why the first hop's `kubeadm upgrade apply` would refuse CoreDNS as it is: it looks for its version
// among those that it can migrate from, none of which is newer than its own. Later hops find what the first has deployed.
func checkCoreDNS(c Cluster, p Plan, oldest Version) (problem, remedy string) {
	if c.CoreDNS == nil {
		return "", ""
	}
	pass := !slices.ContainsFunc(coreDNSChecks, func(check string) bool { return !p.Settings.ignores(check) })
	ignore := "or set kubeadm.ignorePreflightErrors to " + strings.Join(coreDNSChecks, ", ")
	first := firstHop(oldest, p.Target)
	brings := kubeadmCoreDNS[first.minor]
	switch {
	case len(c.CoreDNS) > 1:
		return fmt.Sprintf("%d deployments carry the label k8s-app=kube-dns; kubeadm wants one", len(c.CoreDNS)), "take the label off the others"
	case pass:
		return "", ""
	case len(c.CoreDNS) == 0:
		return "no deployment in kube-system carries the label k8s-app=kube-dns, and kubeadm's check of CoreDNS fails", "bring it back, " + ignore
	case brings == "":
		return "", ""
	}
	has, err := ParseVersion(c.CoreDNS[0])
	switch {
	case err != nil || has.pre != "":
		return fmt.Sprintf("CoreDNS is %q, which is no release that kubeadm could migrate from", c.CoreDNS[0]), "deploy a release of CoreDNS, " + ignore
	case MustVersion(brings).Less(has):
		return fmt.Sprintf("CoreDNS is %s, newer than %s of kubeadm of %s, which cannot migrate from it", c.CoreDNS[0], brings, first.MinorString()),
			"deploy an older CoreDNS, " + ignore
	}
	return "", ""
}
