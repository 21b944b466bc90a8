package workflows

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Names that people and other programs use: Temporal's UI and CLI, schedules, dashboards. They do not change.
const (
	TaskQueue = "pawl"

	ClusterUpgradeName = "ClusterUpgrade"
	ClusterPlanName    = "ClusterPlan"
	NodeUpgradeName    = "NodeUpgrade"

	ClusterInventoryName = "ClusterInventory"
	ScheduledUpgradeName = "ScheduledUpgrade"

	QueryStatus = "status" // of ClusterUpgrade: upgrade.Status; of NodeUpgrade: upgrade.NodeStatus
	QueryPlan   = "plan"   // of ClusterUpgrade: upgrade.Plan
)

// ClusterUpgradeID is the id of a cluster's upgrade. In one Temporal there is one at a time.
func ClusterUpgradeID(cluster string) string { return "cluster-upgrade/" + cluster }

// ClusterPlanID is the id of one look at a cluster. Looks do not disturb each other, so each has its own id.
func ClusterPlanID(cluster, unique string) string { return "cluster-plan/" + cluster + "/" + unique }

// ClusterInventoryID is the id of one inventory of a cluster.
func ClusterInventoryID(cluster, unique string) string {
	return "cluster-inventory/" + cluster + "/" + unique
}

// NodeUpgradeID is the id of a node's part of an upgrade.
func NodeUpgradeID(cluster, node string) string { return "node-upgrade/" + cluster + "/" + node }

// ClusterUpgradeInput is what a person gives to upgrade a cluster, the same from the CLI, from Temporal's UI and from
// Temporal's CLI: {"cluster":"lab","targetVersion":"v1.37.2"}.
type ClusterUpgradeInput struct {
	// Cluster is the name of a definition that the worker has: clusters/<name>.yaml.
	Cluster string `json:"cluster"`
	// TargetVersion is the Kubernetes version to reach, like v1.37.2; where a provider runs the control plane the minor, like
	// v1.37, since the patch is the provider's to choose.
	TargetVersion string `json:"targetVersion,omitempty"`
	// Through pins the releases of minors on the way, like ["v1.36.3"]; of the others it is the newest patch that all
	// nodes are offered.
	Through []string `json:"through,omitempty"`
	// Waive are ids of findings that are not to stop the upgrade, like ["disk-space"]. Not all can be waived.
	Waive []string `json:"waive,omitempty"`
	// RollBack brings a managed control plane back to the minor before, in place of a target; its provider allows that for some
	// days. What has followed it must be back already.
	RollBack bool `json:"rollBack,omitempty"`
	// Approve are points at which it waits for a person's approval: hop, control-plane, workers, pool,
	// canary.
	Approve []string `json:"approve,omitempty"`
}

// clusterUpgradeFields are the fields without the methods.
type clusterUpgradeFields ClusterUpgradeInput

// UnmarshalJSON refuses fields it does not know: a misspelt setting must not be ignored silently.
func (in *ClusterUpgradeInput) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode((*clusterUpgradeFields)(in)); err != nil {
		return fmt.Errorf(`input of %s: %w; wanted {"cluster":"NAME","targetVersion":"v1.37.2"}`, ClusterUpgradeName, err)
	}
	return nil
}

// ClusterInventoryInput is what a person gives to record a cluster: {"cluster":"lab"}.
type ClusterInventoryInput struct {
	Cluster string `json:"cluster"`
}

// Report is the result of ClusterUpgrade.
type Report struct {
	Status upgrade.Status `json:"status"`
	// Backup is the folder on the control plane nodes that holds the backup taken before anything was changed; with
	// several hops, the folders of each hop's, separated by ", ".
	Backup string `json:"backup,omitempty"`
}
