package upgrade

import (
	"slices"
	"strings"
	"time"
)

// Role says what a node is to an upgrade.
type Role string

// The roles.
const (
	FirstControlPlane      Role = "firstControlPlane"      // where the cluster-wide upgrade is applied
	AdditionalControlPlane Role = "additionalControlPlane" // follows the first, one at a time
	Worker                 Role = "worker"
	ManagedPart            Role = "managed"   // no node: what a provider changes
	ComponentPart          Role = "component" // no node: a component on a host that was installed by hand
)

// IsControlPlane reports whether the role runs control plane components.
func (r Role) IsControlPlane() bool { return r == FirstControlPlane || r == AdditionalControlPlane }

// Cluster is what was observed of one cluster, at one moment. It holds no secrets and no whole Kubernetes objects, so
// that it may stand in a workflow's history.
type Cluster struct {
	Name string `json:"name"`
	// Version is what the cluster says it is configured for (kubeadm: ClusterConfiguration.kubernetesVersion).
	Version Version `json:"version"`
	Nodes   []Node  `json:"nodes"`
	// Kubeadm is what kubeadm's ConfigMaps say, where releases differ in what they make of it.
	Kubeadm Configuration `json:"kubeadm,omitzero"`
	// APIs are versions of APIs in use that a release removes.
	APIs []APIUse `json:"apis,omitempty"`
	// CoreDNS are the image tags of the deployments that kubeadm takes for the cluster's DNS, normally one; nil when nobody
	// looked.
	CoreDNS []string `json:"coreDNS"`
	// KubeProxy is kube-proxy's DaemonSet; zero when nobody looked.
	KubeProxy AddonVersion `json:"kubeProxy,omitzero"`
	// CloudControllers are the cloud-controller-managers that run as workloads.
	CloudControllers []CloudController `json:"cloudControllers,omitempty"`
	// Lock is the cluster's lock where somebody holds it.
	Lock Lock `json:"lock,omitzero"`
	// Managed is what a provider runs: the control plane, add-ons and node groups. nil where all is the cluster's own.
	Managed *Managed `json:"managed,omitempty"`
	// ByHand is what runs on the machines; nil where nobody installed them by hand.
	ByHand *ByHand `json:"byHand,omitempty"`
	// ExternalEtcd is what runs on the hosts of an etcd that kubeadm has not made; nil where nobody named them.
	ExternalEtcd *ByHand `json:"externalEtcd,omitempty"`
	// Problems are findings of the observation itself: an unready API server, an unhealthy etcd member.
	Problems []Finding `json:"problems,omitempty"`
	// Measured is how long steps took in earlier upgrades of the cluster; empty when there were none.
	Measured Measured `json:"measured,omitempty"`
}

// AddonVersion is an add-on's version, as its image's tag says; zero where that is none.
type AddonVersion struct {
	Version Version `json:"version,omitzero"`
	Missing bool    `json:"missing,omitempty"` // the cluster is without it
}

// Node is one node, as its API object, its control plane pods and its host tell.
type Node struct {
	Name         string `json:"name"`
	Address      string `json:"address"` // InternalIP, or what the cluster's definition says instead
	ControlPlane bool   `json:"controlPlane"`
	// Kubelet is node.status.nodeInfo.kubeletVersion: the version `kubectl get nodes` shows.
	Kubelet Version `json:"kubelet"`
	// KubeletText is what the kubelet says instead, where that is no version.
	KubeletText string `json:"kubeletText,omitempty"`
	// Conditions are those that say that something is wrong: MemoryPressure, NetworkUnavailable, ...
	Conditions []string `json:"conditions,omitempty"`
	// Emulates is the minor that the node's API server behaves as, where that is not its own.
	Emulates Version `json:"emulates,omitzero"`
	// Components are the versions of the node's static pods by component name; empty on workers.
	Components map[string]Version `json:"components,omitempty"`
	// EtcdImage is the image tag of the node's etcd member; etcd has versions of its own.
	EtcdImage string `json:"etcdImage,omitempty"`
	// Pool is the first pool of the definition that selects the worker; empty on control planes.
	Pool    string    `json:"pool,omitempty"`
	Zone    string    `json:"zone,omitempty"` // topology.kubernetes.io/zone
	Created time.Time `json:"created,omitzero"`
	// Keeper is who replaces the worker when a managed control plane has moved, and Group the provider's node group that it
	// belongs to.
	Keeper Keeper `json:"keeper,omitempty"`
	Group  string `json:"group,omitempty"`
	// UID is that of the node's API object, and ProviderID what its machine is to its cloud; only where it may be replaced.
	UID        string `json:"uid,omitempty"`
	ProviderID string `json:"providerID,omitempty"`
	// Replaced: the node is not worked on, another takes its place; nobody needs to reach its machine.
	Replaced bool `json:"replaced,omitempty"`
	Ready    bool `json:"ready"`
	Cordoned bool `json:"cordoned"` // by a person or another tool, not by pawl
	// CordonedByPawl: an earlier run of pawl cordoned the node and did not get to uncordon it.
	CordonedByPawl bool `json:"cordonedByPawl,omitempty"`
	// LeftOut: a person wants it left as it is; see Plan.LeaveOut.
	LeftOut bool `json:"leftOut,omitempty"`
	// Runtime is node.status.nodeInfo.containerRuntimeVersion: containerd://2.3.7.
	Runtime string `json:"runtime,omitempty"`
	Host    Host   `json:"host"`
}

// Host is what was observed of a node's machine over SSH.
type Host struct {
	OS             string  `json:"os,omitempty"`             // ID of os-release: debian, ubuntu, rhel, ...
	PackageManager string  `json:"packageManager,omitempty"` // apt, dnf or zypper
	Kubeadm        Version `json:"kubeadm"`                  // the installed kubeadm
	// Available are the versions of kubeadm that the package repositories of the path's minors offer to this host, up
	// to the first that offers none.
	Available []Version `json:"available,omitempty"`
	// FreeBytes is the room under /var/lib, EtcdBytes the size of the etcd data directory: a backup must fit.
	FreeBytes int64 `json:"freeBytes,omitempty"`
	EtcdBytes int64 `json:"etcdBytes,omitempty"`
	// Unread is the first minor, by one of its versions, whose package repository could not be read from this host, and
	// why, in one line: it may not exist, or refuse. Nothing is known of the minors after it.
	Unread Unread `json:"unread,omitzero"`
	// Problem is why the host could not be looked at: unreachable, host key refused, key refused. One line.
	Problem string `json:"problem,omitempty"`
	// NotObserved is what of all that follows could not be looked at, and why, each in one line.
	NotObserved []string `json:"notObserved,omitempty"`
	// Kubelet is the version of the installed kubelet package.
	Kubelet Version `json:"kubelet,omitzero"`
	// Packages are those whose state is worth a word.
	Packages []Package `json:"packages,omitempty"`
	// Manifests are the image tags in the static pod manifests by component, etcd's among them; empty on workers.
	Manifests map[string]string `json:"manifests,omitempty"`
	// Settings are the flags and feature gates in files of this machine that some minor removes or locks.
	Settings []Setting `json:"settings,omitempty"`
	// CgroupV1: the machine has version 1 control groups. CgroupV1Allowed: the kubelet's configuration says so.
	CgroupV1        bool `json:"cgroupV1,omitempty"`
	CgroupV1Allowed bool `json:"cgroupV1Allowed,omitempty"`
	// Certificates are those of kubeadm's that expire within CertificateHorizon.
	Certificates []Certificate `json:"certificates,omitempty"`
	// ClockAhead is how far the machine's clock is ahead of the observer's, behind when negative; zero below half a second.
	ClockAhead Duration `json:"clockAhead,omitzero"`
	// Filling are filesystems with less room than the kubelet wants of any by default.
	Filling []Filesystem `json:"filling,omitempty"`
}

// PackageState is what is the matter with a package.
type PackageState string

// The states of packages; the others are dpkg's own words, such as half-installed (dpkg(1)).
const (
	PackageAbsent    PackageState = "not installed"
	PackageHeld      PackageState = "on hold"
	PackageReinstall PackageState = "reinst-required"
	PackageTwice     PackageState = "recorded twice" // rpm: its installation was cut off
	PackageAltered   PackageState = "altered"        // rpm: its program is not the package's
)

// Package is one package of a host.
type Package struct {
	Name    string       `json:"name"`
	State   PackageState `json:"state"`
	Version string       `json:"version,omitempty"` // as the package manager writes it
}

// Setting is a flag or a feature gate that a file gives to a component.
type Setting struct {
	File      string `json:"file"`
	Component string `json:"component"`
	Flag      string `json:"flag,omitempty"` // --name, without its value
	Gate      string `json:"gate,omitempty"`
	On        bool   `json:"on,omitempty"` // the gate's value
}

// CertificateHorizon is how long before its end a certificate is observed.
const CertificateHorizon = 90 * 24 * time.Hour

// Certificate is one file below kubeadm's folder of certificates, /etc/kubernetes/pki.
type Certificate struct {
	File    string    `json:"file"` // etcd/ca.crt
	CA      bool      `json:"ca,omitempty"`
	Expires time.Time `json:"expires"`
}

// Filesystem is one that fills up, by a folder on it.
type Filesystem struct {
	Path string `json:"path"`
	Free int64  `json:"free"` // bytes, for ordinary users
	Size int64  `json:"size"`
}

// Unread is a package repository that could not be read.
type Unread struct {
	Minor   Version `json:"minor"`
	Problem string  `json:"problem"`
}

// The control plane components that kubeadm runs as static pods and that carry the cluster's version.
const (
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
)

// ControlPlaneComponents lists them in the order in which they are upgraded.
var ControlPlaneComponents = []string{APIServer, ControllerManager, Scheduler}

// Settings are the parts of a cluster's definition that shape a plan. Secrets and addresses are not among them.
type Settings struct {
	Repository            string   `json:"repository"`
	IgnorePreflightErrors []string `json:"ignorePreflightErrors,omitempty"`
	// Provider is how the cluster was made, and who changes its control plane. Empty, as in plans from before there were
	// several, stands for kubeadm.
	Provider string `json:"provider,omitempty"`
	// Binaries are of clusters that were installed by hand.
	Binaries BinarySettings `json:"binaries,omitzero"`
	// RestartFargate: the workloads whose pods are on Fargate nodes of an older minor are restarted.
	RestartFargate bool `json:"restartFargate,omitempty"`
	// Bake is how long the workers wait after the control plane of a hop is done.
	Bake Duration `json:"bake,omitzero"`
	// MaxUnavailable is for pools that say nothing else.
	MaxUnavailable Amount         `json:"maxUnavailable"`
	Pools          []PoolSettings `json:"pools,omitempty"`
	// WorkerPath says when workers' kubelets move. The zero value stands for FewestDrains.
	WorkerPath WorkerPath `json:"workerPath,omitempty"`
	Drain      Drain      `json:"drain"`
	Retry      Retry      `json:"retry,omitzero"`
	Verify     Verify     `json:"verify,omitzero"`
	Windows    Windows    `json:"windows,omitzero"`
	// What a person has added to the runbook: see Notification, Hook and Health.
	Notifications []Notification `json:"notifications,omitempty"`
	Hooks         []Hook         `json:"hooks,omitempty"`
	Health        Health         `json:"health,omitzero"`
}

// ignores reports whether a check of kubeadm's preflight is not to stop it; names count whatever their case, as kubeadm has
// it.
func (s Settings) ignores(check string) bool {
	return slices.ContainsFunc(s.IgnorePreflightErrors, func(name string) bool {
		return strings.EqualFold(name, check) || strings.EqualFold(name, "all")
	})
}

// WorkerPath says in which hops the kubelets of workers move, each of which costs the worker a drain.
type WorkerPath string

// The ways of workers.
const (
	// FewestDrains leaves a kubelet where it is for as long as the skew policy lets it be: three minors then cost a
	// worker one drain. kubeadm moves in every hop all the same.
	FewestDrains WorkerPath = "fewestDrains"
	// EveryMinor moves every worker's kubelet in every hop.
	EveryMinor WorkerPath = "everyMinor"
)

// Retry says how long a step that gets no answer is tried again.
type Retry struct {
	// Timeout bounds all attempts of a step; then a person is asked. Zero, as in plans from before it could be set,
	// stands for DefaultRetryTimeout.
	Timeout Duration `json:"timeout"`
}

// Verify says how long a condition may take to become true.
type Verify struct {
	// Timeout is when a person is asked. Zero, as in plans from before it could be set, stands for DefaultVerifyTimeout.
	Timeout Duration `json:"timeout"`
}

const (
	// DefaultRetryTimeout leaves room for a host that reboots, and for whoever repairs a network.
	DefaultRetryTimeout = 90 * time.Minute
	// DefaultVerifyTimeout is ample: a control plane node pulls no images after its kubelet's restart, but its API server
	// uses 30 s of grace and etcd may have to catch up; a roll-out may have to pull.
	DefaultVerifyTimeout = 10 * time.Minute
)
