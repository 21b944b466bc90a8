package activities

import (
	"encoding/json"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Activities holds what all activities share. Workflows name activities by the methods of a nil *Activities.
type Activities struct {
	Directory Directory
	Past      Past
	Upgrades  Upgrades
	Events    Events // nil: none are shown
	// Link is where Temporal's UI shows a run of a workflow, "" where that is not known.
	Link func(workflow, run string) string
}

// open opens a node from both sides: its cluster's API, and its machine.
func (a *Activities) open(in NodeInput) (API, Host, error) {
	api, err := a.Directory.API(in.Cluster)
	if err != nil {
		return nil, nil, err
	}
	host, err := a.Directory.Host(in.Cluster, in.Node, in.Address)
	return api, host, err
}

// ClusterInput names a cluster.
type ClusterInput struct {
	Cluster  string           `json:"cluster"`
	Version  upgrade.Version  `json:"version"`
	Settings upgrade.Settings `json:"settings"`
}

// NodeInput names a node, its machine, and what is wanted of it.
type NodeInput struct {
	Cluster  string           `json:"cluster"`
	Node     string           `json:"node"`
	Address  string           `json:"address"`
	Role     upgrade.Role     `json:"role"`
	Version  upgrade.Version  `json:"version"`
	Settings upgrade.Settings `json:"settings"`
	// KeepsKubelet: only kubeadm and what it configures move in this hop.
	KeepsKubelet bool `json:"keepsKubelet,omitempty"`
	// Owner is the id of the upgrade: it is recorded on what pawl cordons and names the backup.
	Owner string `json:"owner"`
	// Successor says what takes the node's place, where it is replaced.
	Successor *SuccessorInput `json:"successor,omitempty"`
	// Host is the machine, and Changes what changes on it, where it was installed by hand.
	Host    string                 `json:"host,omitempty"`
	Changes []upgrade.BinaryChange `json:"changes,omitempty"`
	// Addon is where an add-on of a provider goes. Run is that of the upgrade's hop, and Try counts what people decided since;
	// both only where a provider changes something. Force overrules its own checks, or budgets.
	Addon upgrade.AddonMove `json:"addon,omitzero"`
	Run   string            `json:"run,omitempty"`
	Try   int               `json:"try,omitempty"`
	Force bool              `json:"force,omitempty"`
	// Since is when the step first began (RestartFargate only).
	Since time.Time `json:"since,omitzero"`
	// EndpointWatchers is how many watched EndpointSlices before anything was touched; 0 when nobody counted.
	EndpointWatchers int `json:"endpointWatchers,omitempty"`
	// KubeletStarted is when the new kubelet was started, by the node's own clock; zero when it was not restarted.
	KubeletStarted time.Time `json:"kubeletStarted,omitzero"`
}

// Outcome is what a step tells the workflow. An attempt that fails tells it as the details of its error.
type Outcome struct {
	// Worked is how long the successful attempt took on the worker.
	Worked upgrade.Duration `json:"worked"`
	// Attempt is how many attempts it took.
	Attempt int `json:"attempt,omitempty"`
	// KubeletStarted is when the kubelet was started, by the node's own clock (RestartKubelet only).
	KubeletStarted time.Time `json:"kubeletStarted,omitzero"`
	// EndpointWatchers is how many watch EndpointSlices (CheckControlPlane only).
	EndpointWatchers int `json:"endpointWatchers,omitempty"`
	// Note is one line worth keeping: the folder of a backup.
	Note string `json:"note,omitempty"`
	// Left says what of the node or part was left as it is (RestartFargate only).
	Left string `json:"left,omitempty"`
	// Successor is the node that takes the place of this one, and Machine what it runs on (AddNode only).
	Successor string           `json:"successor,omitempty"`
	Machine   *upgrade.Machine `json:"machine,omitempty"`
	// GivenUp: the new machine is gone, and the next attempt needs another (AddNode only).
	GivenUp bool `json:"givenUp,omitempty"`
	// Snapshot is how the pool was before (BeginReplacement only).
	Snapshot json.RawMessage `json:"snapshot,omitempty"`
	// Services are those that will be away (CordonPool only), Outage for how long they were (AwaitServices only).
	Services []string        `json:"services,omitempty"`
	Outage   *upgrade.Outage `json:"outage,omitempty"`
	// Spread is how many pods each worker has (LookAtSpread only).
	Spread []upgrade.NodePods `json:"spread,omitempty"`
	// Waits are what the drain waited for (DrainNode and StopPods only).
	Waits []upgrade.DrainWait `json:"waits,omitempty"`
	// APIServer is for how long the node's own API server was away; nil when that was not measured.
	APIServer *upgrade.Downtime `json:"apiServer,omitempty"`
}
