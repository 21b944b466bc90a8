package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSubjectOfIDs(t *testing.T) {
	for _, c := range []struct {
		workflow, activity, id string
		want                   Subject
	}{
		{ClusterUpgradeID("prod"), "", "", Subject{Cluster: "prod"}},
		{ClusterUpgradeID("prod"), "BackUpControlPlane", "back-up-cp-1", Subject{"prod", "cp-1", "backUpControlPlane"}},
		{ClusterUpgradeID("prod"), "PrepareNode", "prepare-w1.example.com", Subject{"prod", "w1.example.com", "prepareNode"}},
		{NodeUpgradeID("prod", "w1"), "DrainNode", "drainNode", Subject{"prod", "w1", "drainNode"}},
		{NodeUpgradeID("prod", "addon/coredns"), "UpdateAddon", "updateAddon", Subject{"prod", "addon/coredns", "updateAddon"}},
		{ClusterPlanID("prod", "1"), "MakePlan", "5", Subject{"prod", "", "makePlan"}},
		{ClusterInventoryID("prod", "1"), "", "", Subject{Cluster: "prod"}},
		{FleetUpgradeID("all"), "FindUpgrade", "7", Subject{Step: "findUpgrade"}},
		{"", "", "", Subject{}},
	} {
		require.Equal(t, c.want, SubjectOf(c.workflow, c.activity, c.id), c.workflow)
	}
}
