package upgrade

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What a plan finds on the machines behind the nodes, beside their packages for each hop. A fact that is empty was not
// looked at, or is as it should be: then there is nothing to say.

// checkHosts looks for what would stop the work on a machine, or would be put right only by chance. now is when the plan
// is made; zero: nothing is said of time.
func checkHosts(p Plan, now time.Time) []Finding {
	var found []Finding
	for _, n := range p.Nodes {
		if n.Host.Problem != "" {
			continue // it has a finding of its own
		}
		for _, what := range n.Host.NotObserved {
			found = append(found, Finding{ID: NotObserved, Severity: SeverityInfo, Target: n.Name, Message: "not looked at: " + what})
		}
		found = slices.Concat(found, checkPackageStates(n), checkDiffers(n, p.Target), checkSettings(p, n), checkCgroups(p, n),
			checkRuntime(n, p.Target), checkCertificates(n, now), checkFilling(n))
	}
	return append(found, checkClocks(p.Nodes)...)
}

// Where the meaning of the states and of holds is from.
const (
	dpkgStates  = "https://manpages.debian.org/bookworm/dpkg/dpkg.1.en.html#Package_states"
	rpmStates   = "https://rpm-software-management.github.io/rpm/man/rpm.8.html"
	aptHolds    = "https://manpages.debian.org/bookworm/apt/apt-mark.8.en.html"
	zypperLocks = "https://en.opensuse.org/SDB:Zypper_manual"
)

// checkPackageStates looks at what the package manager says of packages. What pawl completes itself (dpkg --configure -a,
// before each installation; an installation by rpm that was cut off, which it does again) is a warning. Of a package that is half-installed apt wants to get rid, which pawl's --no-remove
// forbids; one that must be reinstalled it moves along, or does nothing at all when it has no archive (seen with apt 2.6.1).
func checkPackageStates(n Node) []Finding {
	var found []Finding
	add := func(id string, severity Severity, message, remedy, source string) {
		found = append(found, Finding{ID: id, Severity: severity, Target: n.Name, Message: message, Remedy: remedy, Source: source})
	}
	for _, pkg := range n.Host.Packages {
		name := strings.TrimSpace(pkg.Name + " " + pkg.Version)
		switch pkg.State {
		case PackageAbsent:
			message := "the package " + pkg.Name + " is not installed"
			const source = "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/"
			if pkg.Name == Kubelet || pkg.Name == Kubeadm && !n.Host.Kubeadm.IsZero() {
				add(BadPackage, SeverityError, message+", so what is there is not from a package, and one would not replace it for sure",
					"install it from the package repository, at the version that the node has", source)
			} else {
				add(BadPackage, SeverityWarning, message+", the upgrade installs it", "", source)
			}
		case PackageHeld:
			manager, remedy, source := "apt", "apt-mark unhold ", aptHolds
			if n.Host.PackageManager == "zypper" {
				manager, remedy, source = "zypper", "zypper removelock ", zypperLocks
			}
			add(PackageOnHold, SeverityWarning, "the package "+name+" is on hold: "+manager+" does not move it along, and refuses if the new kubeadm or kubelet "+
				"wants a newer one", remedy+pkg.Name, source)
		case PackageTwice:
			add(BadPackage, SeverityWarning, fmt.Sprintf("the package %s is %s: its installation was cut off; the upgrade does it again", name, pkg.State), "", rpmStates)
		case PackageAltered:
			add(BadPackage, SeverityWarning, fmt.Sprintf("the package %s is %s: its program is not the one that it brought; the upgrade replaces it", pkg.Name, pkg.State),
				"see who did that: rpm --verify "+pkg.Name, rpmStates)
		case "half-configured", "unpacked":
			add(BadPackage, SeverityWarning, fmt.Sprintf("the package %s is %s; dpkg is told to complete it before anything is installed", name, pkg.State),
				"dpkg --configure -a", dpkgStates)
		default:
			add(BadPackage, SeverityError, fmt.Sprintf("the package %s is %s, and apt installs nothing beside it", name, pkg.State),
				"apt-get install --reinstall "+pkg.Name+"="+pkg.Version+", or dpkg --install of its archive", dpkgStates)
		}
	}
	return found
}

// checkDiffers compares what is installed with what runs.
func checkDiffers(n Node, target Version) []Finding {
	var found []Finding
	add := func(severity Severity, message, remedy string) {
		found = append(found, Finding{ID: VersionDiffers, Severity: severity, Target: n.Name, Message: message, Remedy: remedy})
	}
	if on := n.Host.Kubelet; !on.IsZero() && !n.Kubelet.IsZero() && on != n.Kubelet {
		differ := fmt.Sprintf("the kubelet package is %s, the kubelet that runs is %s", on, n.Kubelet)
		switch {
		case target.Less(on):
			add(SeverityError, differ+", and pawl does not go back to "+target.String(), "install the kubelet package of "+n.Kubelet.String())
		case n.Kubelet.Less(on):
			add(SeverityWarning, differ+": it was not restarted since", "the upgrade restarts it")
		default:
			add(SeverityWarning, differ+": it is not the package's", "see which one the unit kubelet.service starts")
		}
	}
	for _, component := range slices.Sorted(maps.Keys(n.Host.Manifests)) {
		tag, running := n.Host.Manifests[component], n.EtcdImage
		if component != etcd {
			running = n.Components[component].String()
			if v, err := ImageVersion(component + ":" + tag); err == nil {
				tag = v.String()
			}
		}
		if running != "" && tag != "" && running != tag {
			add(SeverityWarning, fmt.Sprintf("the manifest of %s says %s, the pod that runs is %s", component, tag, running),
				"see why the kubelet does not start it: its log, and the container's")
		}
	}
	return found
}

// Files that kubeadm writes anew in every upgrade.
const (
	kubeadmFlags   = "/var/lib/kubelet/kubeadm-flags.env" // but for what a minor takes out, it stays as it is
	kubeletConfig  = "/var/lib/kubelet/config.yaml"
	manifestFolder = "/etc/kubernetes/manifests/"
)

// kubeadmWrote are flags that kubeadm once wrote into etcd's manifest itself and replaces by itself.
// Source: cmd/kubeadm/app/phases/etcd/local.go of Kubernetes v1.33 and v1.34
var kubeadmWrote = []string{"--experimental-initial-corrupt-check", "--experimental-watch-progress-notify-interval"}

// checkSettings looks for what a component of a minor on the way would not start with.
func checkSettings(p Plan, n Node) []Finding {
	var found []Finding
	for _, s := range n.Host.Settings {
		from := n.Components[s.Component]
		switch s.Component {
		case Kubelet:
			from = n.Kubelet
		case etcd:
			from = p.oldest()
		}
		gone, says, is := s.gone(from, p.Target)
		if from.IsZero() || !is || s.Component == etcd && slices.Contains(kubeadmWrote, s.Flag) || p.strips(s, gone.In, n) {
			continue
		}
		f := Finding{ID: FlagRemoved, Severity: SeverityError, Target: n.Name, Source: gone.Source, Remedy: "take it out of the file",
			Message: fmt.Sprintf("%s sets %s, which %s %s from %s on", s.File, gone.Name, s.Component, says, gone.In.MinorString())}
		if s.Gate != "" {
			f.ID = GateRemoved
		}
		if s.File == kubeletConfig || strings.HasPrefix(s.File, manifestFolder) {
			f.Severity, f.Remedy = SeverityWarning, "kubeadm writes this file anew: take it out of kubeadm's ClusterConfiguration, where it comes from there"
			if s.File == kubeletConfig {
				f.Remedy = "kubeadm writes this file anew: take it out of ConfigMap kube-system/kubelet-config"
			}
		}
		found = append(found, f)
	}
	return found
}

// strips reports whether kubeadm takes the flag out by itself on the way: that of v1.35 does with the one that its
// kubelet does not know, and no later one.
// Source: https://github.com/kubernetes/kubernetes/blob/v1.35.4/cmd/kubeadm/app/cmd/phases/upgrade/postupgrade.go
func (p Plan) strips(s Setting, in Version, n Node) bool {
	if s.File != kubeadmFlags || s.Flag != "--pod-infra-container-image" {
		return false
	}
	oldest := p.oldest()
	return oldest.Less(in) || oldest.SameMinor(in) && (p.Target.SameMinor(in) || catchesUp(p, oldest) && n.catchesUp(oldest))
}

// cgroupV1Ends is the first minor whose kubelet does not start on version 1 control groups unless it is told to, and
// whose kubeadm refuses such a machine unless it is told to pass over SystemVerification.
var cgroupV1Ends = MustVersion("v1.35.0")

func checkCgroups(p Plan, n Node) []Finding {
	if !n.Host.CgroupV1 || p.Target.Less(cgroupV1Ends) || n.Kubelet == p.Target {
		return nil
	}
	f := Finding{ID: CgroupVersion, Severity: SeverityError, Target: n.Name, Source: "https://git.k8s.io/enhancements/keps/sig-node/5573-remove-cgroup-v1"}
	switch {
	case !n.Host.CgroupV1Allowed:
		f.Message = "the machine has version 1 control groups, on which kubelets of " + cgroupV1Ends.MinorString() + " and later do not start"
		f.Remedy = "boot it with version 2, or set failCgroupV1: false in ConfigMap kube-system/kubelet-config and in " + kubeletConfig
	case !p.Settings.ignores("SystemVerification"):
		f.Message = "the machine has version 1 control groups, which kubeadm of " + cgroupV1Ends.MinorString() + " and later refuses"
		f.Remedy = "boot it with version 2, or name SystemVerification in kubeadm.ignorePreflightErrors of the cluster's definition"
	default:
		f.Severity, f.Message = SeverityInfo, "the machine has version 1 control groups; kubelet and kubeadm are told to accept them, for as long as they do"
	}
	return []Finding{f}
}

// runtimeRule is a container runtime that kubelets from a minor on do not work with.
type runtimeRule struct {
	name   string  // of the runtime, as the kubelet reports it
	below  Version // runtimes from this one on are not meant; zero: all of them are
	from   Version // the first minor
	says   string
	source string
}

var runtimeRules = []runtimeRule{
	{"docker", Version{}, MustVersion("v1.24.0"), "has no dockershim", "https://kubernetes.io/blog/2022/03/31/ready-for-dockershim-removal/"},
	{"containerd", MustVersion("v1.6.0"), MustVersion("v1.26.0"), "wants version 1 of the CRI, which containerd has since 1.6.0",
		"https://kubernetes.io/blog/2022/11/18/upcoming-changes-in-kubernetes-1-26/#cri-api-removal"},
	{"containerd", MustVersion("v2.0.0"), MustVersion("v1.38.0"), "wants RuntimeConfig of the CRI, which containerd has since 2.0.0",
		"https://git.k8s.io/enhancements/keps/sig-node/4033-group-driver-detection-over-cri"},
}

// checkRuntime holds the container runtime against the kubelets on the way.
func checkRuntime(n Node, target Version) []Finding {
	name, text, _ := strings.Cut(n.Runtime, "://")
	v, err := ParseVersion(text)
	for _, rule := range runtimeRules {
		known := rule.below.IsZero() || err == nil && v.Less(rule.below)
		if name == rule.name && known && !target.Less(rule.from) && n.Kubelet.Less(rule.from) {
			f := failure(ContainerRuntime, n.Name, fmt.Sprintf("the container runtime is %s; the kubelet of %s %s", n.Runtime, rule.from.MinorString(), rule.says),
				"bring the runtime along first")
			f.Source = rule.source
			return []Finding{f}
		}
	}
	return nil
}

const (
	kubeadmCertificates = "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/"
	// renewalMargin is when a certificate that kubeadm renews in an upgrade is worth a word: the upgrade may wait for people.
	renewalMargin = 7 * 24 * time.Hour
)

// checkCertificates looks for certificates that end. kubeadm renews all but authorities in every upgrade.
func checkCertificates(n Node, now time.Time) []Finding {
	var found []Finding
	for _, c := range n.Host.Certificates {
		left := c.Expires.Sub(now)
		if now.IsZero() || left > CertificateHorizon || !c.CA && left > renewalMargin {
			continue
		}
		f := Finding{ID: CertificateExpiry, Severity: SeverityWarning, Target: n.Name, Source: kubeadmCertificates,
			Message: fmt.Sprintf("the certificate pki/%s expires at %s", c.File, c.Expires.UTC().Format(time.RFC3339))}
		if left <= 0 {
			f.Severity = SeverityError
			f.Message = fmt.Sprintf("the certificate pki/%s has expired at %s", c.File, c.Expires.UTC().Format(time.RFC3339))
		}
		switch {
		case c.CA:
			f.Message += "; it is an authority, which kubeadm does not renew"
			f.Remedy = "replace it first: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/"
		case left <= 0:
			f.Remedy = "kubeadm certs renew all, then restart the control plane's pods"
		default:
			f.Remedy = "the upgrade renews it; begin in time"
		}
		found = append(found, f)
	}
	return found
}

// evictsBelow are the shares of room, in percent, below which a kubelet takes no more pods and evicts those that it has,
// unless it is told otherwise. Images first: where both are one filesystem, theirs is the stricter.
var evictsBelow = []struct {
	folders []string
	signal  string
	percent int64
}{
	{[]string{"/var/lib/containerd", "/var/lib/containers"}, "imagefs.available", 15},
	{[]string{"/var/lib/kubelet"}, "nodefs.available", 10},
}

// checkFilling warns of filesystems on which there is too little room for the node to take pods.
func checkFilling(n Node) []Finding {
	for _, rule := range evictsBelow {
		for _, fs := range n.Host.Filling {
			if slices.Contains(rule.folders, fs.Path) && fs.Size > 0 && fs.Free*100 < fs.Size*rule.percent {
				return []Finding{{ID: DiskSpace, Severity: SeverityWarning, Target: n.Name,
					Message: fmt.Sprintf("%d MiB of %d MiB free under %s; below %d %% (%s) the kubelet takes no pods", fs.Free>>20, fs.Size>>20, fs.Path, rule.percent, rule.signal),
					Remedy:  "free some space",
					Source:  "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#hard-eviction-thresholds"}}
			}
		}
	}
	return nil
}

const (
	// clockApart is when etcd warns of the difference between two members.
	// Source: https://github.com/etcd-io/etcd/blob/v3.7.0/server/etcdserver/api/rafthttp/probing_status.go
	clockApart = time.Second
	// clockTooFar is how far certificates that the cluster signs are dated back: for a clock that is further behind, a
	// kubelet's new one is not valid yet.
	// Source: https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/controller/certificates/signer/signer.go
	clockTooFar = 5 * time.Minute
)

// checkClocks compares the machines' clocks with each other: what counts is the median, so that the clock of the observer
// does not matter.
func checkClocks(nodes []Node) []Finding {
	var all []time.Duration
	for _, n := range nodes {
		if n.Host.Problem == "" {
			all = append(all, n.Host.ClockAhead.Std())
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	median := all[len(all)/2]
	if other := all[(len(all)-1)/2]; other.Abs() < median.Abs() {
		median = other
	}
	var found []Finding
	for _, n := range nodes {
		apart := n.Host.ClockAhead.Std() - median
		if n.Host.Problem != "" || apart.Abs() <= clockApart {
			continue
		}
		how := "ahead of"
		if apart < 0 {
			how = "behind"
		}
		f := Finding{ID: ClockSkew, Severity: SeverityWarning, Target: n.Name, Remedy: "see why it is not synchronised: timedatectl",
			Message: fmt.Sprintf("the clock is %s %s the other machines'; etcd warns from %s on", apart.Abs(), how, clockApart),
			Source:  "https://github.com/etcd-io/etcd/blob/v3.7.0/server/etcdserver/api/rafthttp/probing_status.go"}
		if apart.Abs() > clockTooFar {
			f.Severity, f.Source = SeverityError, "https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/controller/certificates/signer/signer.go"
			f.Message = fmt.Sprintf("the clock is %s %s the other machines'; certificates are dated back by %s only", apart.Abs(), how, clockTooFar)
		}
		found = append(found, f)
	}
	return found
}
