package activities

import (
	"context"
	"encoding/json"
	"time"

	"github.com/pawl-dev/pawl/internal/forecast"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// The interfaces below are what activities need of the world. Adapters implement them (internal/kube, internal/host);
// worker/ is the only place where the two meet. Every method classifies its own errors as fault.Error, may be called
// again after any interruption, and returns when ctx ends.

// Directory opens the clusters that this worker knows. Connections are shared and kept between calls.
type Directory interface {
	// Settings are the parts of the cluster's definition that shape a plan. fault.NotFound names an unknown cluster
	// and lists the known ones; fault.InvalidInput says what is wrong in the definition.
	Settings(cluster string) (upgrade.Settings, error)
	// TaskQueue is that of the workers beside the cluster, "" where any worker will do. No file is read but the definition.
	TaskQueue(cluster string) (string, error)
	// API opens the cluster's Kubernetes API.
	API(cluster string) (API, error)
	// Host opens the machine behind a node. address is the node's InternalIP; the definition may override it.
	Host(cluster, node, address string) (Host, error)
	// Notification opens a place that is notified, by its name in the definition.
	Notification(cluster, name string) (Webhook, error)
	// Hook reads what a hook of the definition does.
	Hook(cluster, name string) (Hook, error)
	// Provider opens where the new nodes of a pool come from. fault.InvalidInput is a pool that has none (any more).
	Provider(ctx context.Context, cluster, pool string) (NodeProvider, error)
	// BinaryHost opens a machine that was installed by hand. address is empty where only the definition knows it.
	BinaryHost(cluster, node, address string) (BinaryHost, error)
	// Managed opens the control plane that a provider runs, with its add-ons and node groups. fault.InvalidInput is a cluster
	// that has none.
	Managed(ctx context.Context, cluster string) (Managed, error)
	// Gate opens the health checks of the definition.
	Gate(cluster string) (Gate, error)
}

// Webhook is an address that takes JSON. It is never part of an error.
type Webhook interface {
	// Send sends body once and returns the beginning of the answer. key is the same for all attempts to send the same.
	// fault.HookFailed is a refusal, fault.Unreachable what may pass by itself.
	Send(ctx context.Context, key string, body any) (string, error)
	// Check says whether the address can be read, and sends nothing.
	Check() error
}

// Hook is what a hook does: one of the three.
type Hook struct {
	Command  []string // an argument vector, run as root
	Manifest []byte   // of a Job
	Webhook  Webhook
}

// Gate is what must be true of the workloads.
type Gate interface {
	// Look looks once at all checks. What is not known is not true, and its value says why.
	Look(ctx context.Context) []upgrade.CheckResult
}

// NodeProvider makes and removes the machines of one pool of workers: a cloud, or whatever a person has for it. Every method
// looks first, does what is left to do, and verifies it; it may be called again after any interruption, with the same
// input. Waiting for a machine to become a node, and what is done to nodes, is not its business.
//
// What is refused by name, or has to be put right by a person, is fault.PreflightFailed; a lack of capacity or of quota is
// fault.PreflightFailed too; throttling that outlasts the client's own retries is fault.Conflict.
type NodeProvider interface {
	// TakesJoin reports whether its machines are given what they need to join; else they know it by themselves.
	TakesJoin() bool
	// Check says what stands in the way of replacing these machines. Nothing is changed.
	Check(ctx context.Context, r upgrade.Replacement, old []upgrade.Machine) []upgrade.Finding
	// Begin readies the pool, and keeps others from interfering. It returns what End needs to put everything back as it was:
	// no secret, since it stands in the workflow's history. Called again, after its first answer was lost, it returns how things
	// were before it was called first.
	Begin(ctx context.Context, r upgrade.Replacement, old []upgrade.Machine) (snapshot json.RawMessage, err error)
	// Add makes the machine of the slot, in the old one's zone, or finds the one that was made for it, and returns it once it
	// runs. A machine that died on the way is fault.VerificationFailed.
	Add(ctx context.Context, r upgrade.Replacement, s upgrade.Slot, j upgrade.Join) (upgrade.Machine, error)
	// Withdraw takes a machine out of load balancers, and waits until they have let go of it.
	Withdraw(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error
	// Readmit undoes Withdraw, for a machine that stays after all.
	Readmit(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error
	// Remove ends a machine for good, and waits until it is gone. One that is gone already is no error.
	Remove(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error
	// End puts the pool's settings back as they were. Machines that were added for slots whose old machine is still there
	// are not its business.
	End(ctx context.Context, r upgrade.Replacement, snapshot json.RawMessage) error
}

// Past is what is known of earlier upgrades.
type Past interface {
	// Measured is how long steps took in the latest upgrades of the cluster that came to their end; empty when there were
	// none.
	Measured(ctx context.Context, cluster string) (upgrade.Measured, error)
	// Running is the upgrade of the cluster that is under way, whoever started it; its zero value where there is none.
	Running(ctx context.Context, cluster string) (RunningUpgrade, error)
}

// Upgrades are those that run.
type Upgrades interface {
	// Tell sends an update to an upgrade and returns its answer. A rejection is fault.InvalidInput; an upgrade that does not
	// run is fault.NotFound.
	Tell(ctx context.Context, in TellInput) (string, error)
}

// API is a cluster's Kubernetes API.
type API interface {
	// Observe looks at the whole cluster: nodes, static pods, health of every API server and etcd member, and
	// what else a plan judges: APIs in use, kubeadm's configuration, add-ons, webhooks, permissions. What of the latter
	// cannot be looked at is a finding, not an error. The nodes' Host parts are left empty. Workers belong to the first of
	// the settings' pools that selects them. Where a provider runs the control plane, what is its own is not looked at.
	Observe(ctx context.Context, s upgrade.Settings) (upgrade.Cluster, error)
	// Workloads looks at what drains move: all pods, and what decides where they can be. What it may not look at is among
	// what it has not seen, and no error.
	Workloads(ctx context.Context) (forecast.Workloads, error)
	// ControlPlaneHealth returns nil when every API server answers /readyz on its own address, every etcd member is
	// healthy, and the leases of controller-manager and scheduler are being renewed; else what is not.
	ControlPlaneHealth(ctx context.Context) error
	// ControlPlaneSettled returns nil when the node's static pods are those of its manifests at version v, running
	// and Ready under the kubelet that runs now; else what is not yet so.
	ControlPlaneSettled(ctx context.Context, node string, v upgrade.Version) error
	// KubeletAt reports whether the kubelet that runs on the node is of version v.
	KubeletAt(ctx context.Context, node string, v upgrade.Version) (bool, error)
	// NodeReady returns nil when the node is Ready by a heartbeat newer than since, its kubelet reports v, and every
	// DaemonSet pod that belongs on it is Ready; else what is not yet so.
	NodeReady(ctx context.Context, node string, v upgrade.Version, since time.Time) error
	// APIServerProbe looks up the address of the node's own API server, and returns what asks it once, soon: nil when it
	// is ready to serve.
	APIServerProbe(ctx context.Context, node string) (func(context.Context) error, error)
	// EndpointWatchers counts who watches EndpointSlices at all API servers together: kube-proxies above all.
	EndpointWatchers(ctx context.Context) (int, error)
	// AddonsReady returns nil when kube-proxy and CoreDNS are rolled out, kube-proxy at v, and every pod of
	// kube-system is Ready; else what is not yet so.
	AddonsReady(ctx context.Context, v upgrade.Version) error
	// ConfiguredVersion is the version that the cluster is configured for (kubeadm: ClusterConfiguration).
	ConfiguredVersion(ctx context.Context) (upgrade.Version, error)
	// Cordon makes the node unschedulable and records that owner did it. A node cordoned by somebody else is left as
	// it is.
	Cordon(ctx context.Context, node, owner string) error
	// Uncordon makes the node schedulable again if owner cordoned it, and takes back all else that owner has put on it: see
	// Avoid and Withdraw. A node that is as it was before is left alone.
	Uncordon(ctx context.Context, node, owner string) error
	// Evict makes one pass over the node's pods: evicts those that may go and says which are left.
	Evict(ctx context.Context, node string) (upgrade.DrainPass, error)
	// Stop makes one pass over the same pods and deletes them, whatever their budgets say, each with its own grace.
	Stop(ctx context.Context, node string) (upgrade.DrainPass, error)
	// Avoid makes the scheduler prefer other nodes to these.
	Avoid(ctx context.Context, nodes []string) error
	// StopAvoiding takes that back on all nodes but these.
	StopAvoiding(ctx context.Context, but []string) error
	// Withdraw marks the node so that load balancers of Services send it nothing more, and records that owner did it.
	Withdraw(ctx context.Context, node, owner string) error
	// VolumesReleased returns nil when no volume is attached to the node; else which are.
	VolumesReleased(ctx context.Context, node string) error
	// Join makes a bootstrap token for the key, or finds it, and returns what a machine needs to join. EndJoin makes it useless.
	Join(ctx context.Context, key string) (upgrade.Join, error)
	EndJoin(ctx context.Context, key string) error
	// NodeOf is the name of the node that a machine has become; while it has not joined, fault.NotFound.
	NodeOf(ctx context.Context, m upgrade.Machine) (string, error)
	// DeleteNode removes the API object of that name and UID. One that is gone, or another's now, is no error.
	DeleteNode(ctx context.Context, node, uid string) error
	// ServedOnlyBy are the services (namespace/name) that only pods on these nodes serve.
	ServedOnlyBy(ctx context.Context, nodes []string) ([]string, error)
	// ServedSince says since when a service is served again that was not since a moment; while nobody serves it,
	// fault.VerificationFailed.
	ServedSince(ctx context.Context, service string, began time.Time) (time.Time, error)
	// NodesBehind are the nodes of a minor older than v's that are replaced without anybody asking for it.
	NodesBehind(ctx context.Context, v upgrade.Version) ([]string, error)
	// RestartFargate has the Deployments and StatefulSets whose pods are on Fargate nodes of a minor older than v's make them
	// anew, each once for the same since, and says which have not done so yet, and which pods nobody makes anew.
	RestartFargate(ctx context.Context, v upgrade.Version, since time.Time) (upgrade.Restart, error)
	// Spread counts the pods of each worker.
	Spread(ctx context.Context) ([]upgrade.NodePods, error)
	// Rebalance evicts pods that crowd together on some of these nodes, within budgets and at most what is needed, and returns
	// how many.
	Rebalance(ctx context.Context, nodes []string) (int, error)
	// DeletePod deletes a pod (namespace/name) that is on the node, whatever its budget says. One that is on another node is
	// fault.InvalidInput; one that is gone, or on its way out, is no error.
	DeletePod(ctx context.Context, node, pod string) error
	// AwaitEviction returns when a pod has left the node or a budget has changed since the pass, or when ctx ends or wait
	// is over.
	AwaitEviction(ctx context.Context, node string, pass upgrade.DrainPass, wait time.Duration) error
	// AcquireLock takes the cluster's lock for owner if nobody else holds it, for LockDuration, and returns the lock as it is
	// then. Of any number that try at once one gets it.
	AcquireLock(ctx context.Context, owner string) (upgrade.Lock, error)
	// RenewLock prolongs the lock if it is owner's, and returns it as it is then: another's, or nobody's, where it was lost.
	RenewLock(ctx context.Context, owner string) (upgrade.Lock, error)
	// ReleaseLock gives the lock up if it is owner's, and does nothing otherwise.
	ReleaseLock(ctx context.Context, owner string) error
	// SnapshotEtcd makes the node's etcd member write a snapshot to file (a path inside etcd's data directory on the
	// node) and verifies it.
	SnapshotEtcd(ctx context.Context, node, file string) (upgrade.Snapshot, error)
	// ClusterConfiguration returns kubeadm's ConfigMaps as YAML, by name, for the backup.
	ClusterConfiguration(ctx context.Context) (map[string]string, error)
	// RunJob makes the Job of a manifest, or finds the one made for the same key already, waits for its end and returns
	// the last lines of its log. name makes the Job's own; env is NAME=value for its containers. fault.HookFailed is a Job
	// that failed or took longer than most.
	RunJob(ctx context.Context, manifest []byte, name, key string, env []string, most time.Duration) (string, error)
	// CheckJob returns nil when the API would take the Job of the manifest. None is made.
	CheckJob(ctx context.Context, manifest []byte) error
}

// Host is a node's machine: its packages, its kubeadm and its kubelet.
type Host interface {
	// Observe looks at the machine without changing it: what is installed, what the repositories of the minors offer,
	// how much room there is. Each minor is named by one of its versions. It looks no further than the first that
	// offers nothing.
	Observe(ctx context.Context, repository string, minors []upgrade.Version) (upgrade.Host, error)
	// Download fetches the packages of version v into the package manager's cache, and installs nothing.
	Download(ctx context.Context, repository string, v upgrade.Version) error
	// Install brings the named packages to version v: repairs an interrupted run of the package manager, switches the
	// repository to v's minor, and puts holds back as they were. Nothing is done when all are at v already.
	Install(ctx context.Context, repository string, v upgrade.Version, packages ...string) error
	// PullImages pulls the control plane images of v with the installed kubeadm.
	PullImages(ctx context.Context, v upgrade.Version) error
	// KubeadmUpgradeApply runs `kubeadm upgrade apply` for v, or waits for the one that runs already, and returns its
	// outcome. A missing static pod manifest, left by a run that was cut off, is restored first.
	KubeadmUpgradeApply(ctx context.Context, v upgrade.Version, ignorePreflightErrors []string) error
	// KubeadmUpgradeNode is the same for `kubeadm upgrade node`.
	KubeadmUpgradeNode(ctx context.Context, v upgrade.Version, controlPlane bool, ignorePreflightErrors []string) error
	// StaticPodVersions reads the versions of the control plane components from the manifests on disk.
	StaticPodVersions(ctx context.Context) (map[string]upgrade.Version, error)
	// RestartKubelet restarts the kubelet if the running one is not the installed one, and returns when it was started
	// (by the machine's own clock).
	RestartKubelet(ctx context.Context, v upgrade.Version) (time.Time, error)
	// KubeletHealthy returns nil when the kubelet's unit is active and answers healthz; else what is not so.
	KubeletHealthy(ctx context.Context) error
	// BackUp copies the node's Kubernetes configuration (PKI, kubeconfigs, manifests, kubelet configuration, package
	// versions) and the given texts into the backup folder named id, mode 600, and verifies the copy. It returns the
	// folder. Nothing is done when that backup is complete already.
	BackUp(ctx context.Context, id string, texts map[string]string) (string, error)
	// KeepSnapshot moves an etcd snapshot from file into the backup folder named id, mode 600, and verifies that it
	// has the size that etcd gave.
	KeepSnapshot(ctx context.Context, id, file string, s upgrade.Snapshot) error
	// RunHook runs a command as root as the unit of that name, or waits for the one that was begun already, and returns
	// the end of its output. The outcome is kept until ForgetHook. fault.HookFailed is a command that failed, took longer
	// than most, or whose outcome nobody knows.
	RunHook(ctx context.Context, unit string, argv, env []string, most time.Duration) (string, error)
	// ForgetHook forgets the outcome of a hook's command.
	ForgetHook(ctx context.Context, unit string) error
}
