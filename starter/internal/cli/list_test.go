package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/upgrades"
	"github.com/pawl-dev/pawl/workflows"
)

// TestEmbeddedServerKnowsPawlsSearchAttributes: from its first start on, before any worker comes.
func TestEmbeddedServerKnowsPawlsSearchAttributes(t *testing.T) {
	s := sharedServer(t)
	has, err := s.client.OperatorService().ListSearchAttributes(context.Background(), &operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	require.NoError(t, err)
	require.Equal(t, workflows.IndexedValueTypes(), has.GetCustomAttributes())
}

// TestListIsWhatVisibilityKnows starts upgrades with the attributes that the real workflow sets; the stand-in sets none.
func TestListIsWhatVisibilityKnows(t *testing.T) {
	s := sharedServer(t)
	t.Setenv("TEMPORAL_NAMESPACE", "listed") // where no worker is, and no other test's upgrades
	expect(t, exit.Done, "no upgrades\n", "", "list")
	expect(t, exit.Done, "[]\n", "", "list", "-o", "json")
	listed, err := client.Dial(client.Options{HostPort: s.address, Namespace: "listed"})
	require.NoError(t, err)
	defer listed.Close()
	start := func(cluster, message string, attributes ...temporal.SearchAttributeUpdate) {
		options := client.StartWorkflowOptions{ID: workflows.ClusterUpgradeID(cluster), TaskQueue: workflows.TaskQueue,
			TypedSearchAttributes: temporal.NewSearchAttributes(attributes...), Memo: map[string]any{workflows.MemoMessage: message}}
		_, err := listed.ExecuteWorkflow(context.Background(), options, workflows.ClusterUpgradeName)
		require.NoError(t, err)
	}
	held := func(cluster string) []temporal.SearchAttributeUpdate {
		return []temporal.SearchAttributeUpdate{
			workflows.AttributeCluster.ValueSet(cluster), workflows.AttributeTarget.ValueSet("v1.37.2"),
			workflows.AttributePhase.ValueSet("workers"), workflows.AttributeState.ValueSet("held"),
			workflows.AttributeHeldAt.ValueSet("w1"), workflows.AttributeNodes.ValueSet(9), workflows.AttributeNodesDone.ValueSet(3)}
	}
	start("new", "")
	start("stuck", "w1: Drain: blocked", held("stuck")...)
	start("gone", "w1: Drain: blocked", held("gone")...)
	require.NoError(t, listed.TerminateWorkflow(context.Background(), workflows.ClusterUpgradeID("gone"), "", "test"))
	start("gone", "", workflows.AttributeCluster.ValueSet("gone"), workflows.AttributeState.ValueSet("running"))
	require.NoError(t, listed.TerminateWorkflow(context.Background(), workflows.ClusterUpgradeID("gone"), "", "test"))

	states := func(args ...string) string {
		_, out, _ := pawl(append([]string{"list", "-o", "json"}, args...)...)
		var all []upgrades.Listed
		require.NoError(t, json.Unmarshal([]byte(out), &all), out)
		var is []string
		for _, l := range all {
			is = append(is, l.Cluster+" "+string(l.State))
		}
		return strings.Join(is, ", ")
	}
	require.Eventually(t, func() bool { return states() == "stuck held, new pending, gone aborted" }, 20*time.Second, 50*time.Millisecond, "%s", states())
	require.Equal(t, "stuck held", states("--held"), "an upgrade that was terminated while held waits for nobody")
	_, out, _ := pawl("list")
	require.Regexp(t, `(?m)^CLUSTER +TARGET +STATE +PHASE +NODES +SINCE +ELAPSED$
^stuck +v1.37.2 +held at w1 +workers +3/9 +\d{4}-\d\d-\d\d \d\d:\d\d +\S+$
^    w1: Drain: blocked$
^new +pending `, out)
	expect(t, exit.BadInput, "", `--output "yaml", wanted text or json`, "list", "-o", "yaml")
}
