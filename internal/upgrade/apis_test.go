package upgrade

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRemovedAPIs(t *testing.T) {
	for name, c := range map[string]struct {
		use    APIUse
		target string
		want   string // of the only finding; empty: none
		blocks bool
	}{
		"asked for": {APIUse{Group: "resource.k8s.io", Version: "v1beta1", Resource: "resourceclaims", Requested: []string{"cp1", "cp3"}, Managers: []string{"helm"}}, "v1.38.0",
			"resourceclaims.v1beta1.resource.k8s.io: removed in v1.38, which is on the way, and asked for at least once since kube-apiserver started on cp1, cp3 (written by helm); " +
				"move its clients to a newer version of the API before, or waive removed-api", true},
		"removed after the target": {APIUse{Group: "resource.k8s.io", Version: "v1beta1", Resource: "resourceclaims", Requested: []string{"cp1"}}, "v1.37.2", "", false},
		"removed on the way": {APIUse{Group: "networking.k8s.io", Version: "v1beta1", Resource: "servicecidrs", Requested: []string{"cp1"}}, "v1.39.0",
			"servicecidrs.v1beta1.networking.k8s.io: removed in v1.37, which is on the way, and asked for at least once since kube-apiserver started on cp1; " +
				"move its clients to a newer version of the API before, or waive removed-api", true},
		"removed before now": {APIUse{Group: "flowcontrol.apiserver.k8s.io", Version: "v1beta3", Resource: "flowschemas", Managers: []string{"kubectl"}}, "v1.37.2", "", false},
		"written only": {APIUse{Group: "storage.k8s.io", Version: "v1beta1", Resource: "volumeattributesclasses", Managers: []string{"kubectl-client-side-apply"}}, "v1.37.2",
			"volumeattributesclasses.v1beta1.storage.k8s.io: removed in v1.37, which is on the way, and objects were written with it once, not since the API servers started (written by kubectl-client-side-apply); " +
				"move its clients to a newer version of the API before", false},
		"not in the table": {APIUse{Group: "new.k8s.io", Version: "v1beta1", Resource: "news", Removed: MustVersion("v1.37.0"), Requested: []string{"cp1"}}, "v1.37.2",
			"news.v1beta1.new.k8s.io: removed in v1.37, which is on the way, and asked for at least once since kube-apiserver started on cp1; " +
				"move its clients to a newer version of the API before, or waive removed-api", true},
		"not removed at all": {APIUse{Group: "", Version: "v1", Resource: "endpoints", Requested: []string{"cp1"}}, "v1.37.2", "", false},
		"objects that must go": {APIUse{Group: "scheduling.k8s.io", Version: "v1alpha2", Resource: "podgroups", Objects: true, Requested: []string{"cp1"}}, "v1.37.2",
			"podgroups.v1alpha2.scheduling.k8s.io: removed in v1.37, which is on the way, and objects of it are stored that it cannot read; delete them before, or waive removed-api", true},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := healthy(1, 1)
			cluster.APIs = []APIUse{c.use}
			offer(&cluster, "v1.37.2", "v1.38.0", "v1.39.0")
			p := MakePlan(cluster, Wanted{Target: MustVersion(c.target)}, settings())
			require.Equal(t, c.blocks, p.Refused())
			if c.want == "" {
				require.Empty(t, p.Findings)
				return
			}
			require.Len(t, p.Findings, 1)
			require.Equal(t, c.want, p.Findings[0].String())
			require.NotEmpty(t, p.Findings[0].Source)
			require.False(t, MakePlan(cluster, Wanted{Target: MustVersion(c.target), Waive: []string{APIRemoved}}, settings()).Refused())
		})
	}
}

// TestRemovedAPIsAreInOrder: a row is found by a person who looks for it, and each resource is removed once.
func TestRemovedAPIsAreInOrder(t *testing.T) {
	seen := map[string]bool{}
	for i, r := range RemovedAPIs {
		if i > 0 {
			require.LessOrEqual(t, RemovedAPIs[i-1].Removed.Minor(), r.Removed.Minor())
		}
		for _, resource := range r.Resources {
			name := resource + "." + r.Version + "." + r.Group
			require.False(t, seen[name], name)
			seen[name] = true
		}
	}
}
