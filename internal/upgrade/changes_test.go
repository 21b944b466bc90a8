package upgrade

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// requireFits requires that what is left of a plan fits the cluster after each hop that went as planned.
func requireFits(t *rapid.T, c Cluster, p Plan, w Wanted) {
	for done := 1; done < len(p.Hops); done++ {
		c.Version, c.Nodes = p.Hops[done-1].To, p.Hops[done-1].leaves(c.Nodes)
		now := MakePlan(c, p.Rest(done, w.Waive), p.Settings)
		require.Empty(t, p.Changes(done, now), "after hop %d", done)
	}
}

// TestFactsThatNoLongerFitThePlan: between two hops something else happens to the cluster.
func TestFactsThatNoLongerFitThePlan(t *testing.T) {
	v135, v1354 := MustVersion("v1.35.4"), MustVersion("v1.35.5")
	before := Cluster{Name: "lab", Version: v135, Nodes: []Node{nodeAt("cp1", true, v135), nodeAt("w1", false, v135), nodeAt("w2", false, v135)}}
	for i := range before.Nodes {
		before.Nodes[i].Host.Available = []Version{v135, v136, v137}
	}
	plan := MakePlan(before, Wanted{Target: v137}, settings())
	require.Len(t, plan.Hops, 2)
	require.Equal(t, Wanted{Target: v137, Through: []Version{v136}}, plan.Rest(0, nil))

	for _, c := range []struct {
		name   string
		change func(*Cluster)
		want   []string
	}{
		{"nothing", func(*Cluster) {}, nil},
		{"what makes no difference", func(c *Cluster) { c.Nodes[1].Host.FreeBytes /= 2 }, nil},
		{"a new node", func(c *Cluster) { c.Nodes = append(c.Nodes, nodeAt("w3", false, v136)) }, []string{"w3 is new, with kubelet v1.36.3"}},
		{"a node less", func(c *Cluster) { c.Nodes = c.Nodes[:2] }, []string{"w2 is gone"}},
		{"another upgraded it", func(c *Cluster) { c.Nodes[2].Kubelet, c.Nodes[2].Host.Kubeadm = v136, v136 }, []string{"w2: kubelet is v1.36.3, expected v1.35.4"}},
		{"it was reinstalled", func(c *Cluster) { c.Nodes[2].Kubelet = v1354 }, []string{"w2: kubelet is v1.35.5, expected v1.35.4"}},
		{"a cordon", func(c *Cluster) { c.Nodes[1].Cordoned = true }, []string{"w1: somebody has cordoned it"}},
		{"a cordon of ours", func(c *Cluster) { c.Nodes[1].CordonedByPawl = true }, nil},
		{"another address", func(c *Cluster) { c.Nodes[1].Address = "10.0.0.99" }, []string{"w1: its address is 10.0.0.99, was 10.0.0.1"}},
		{"not ready", func(c *Cluster) { c.Nodes[1].Ready = false }, []string{"w1: the node is not Ready; repair it or remove it from the cluster first"}},
		{"the target is there already", func(c *Cluster) {
			c.Version = v137
			for i := range c.Nodes {
				n := &c.Nodes[i]
				n.Kubelet, n.Host.Kubeadm = v137, v137
				for component := range n.Components {
					n.Components[component] = v137
				}
			}
		}, []string{"cp1: kube-apiserver is v1.37.2, expected v1.36.3", "cp1: kube-controller-manager is v1.37.2, expected v1.36.3",
			"cp1: kube-scheduler is v1.37.2, expected v1.36.3", "cp1: kubelet is v1.37.2, expected v1.36.3", "cp1: kubeadm is v1.37.2, expected v1.36.3",
			"w1: kubelet is v1.37.2, expected v1.35.4", "w1: kubeadm is v1.37.2, expected v1.36.3",
			"w2: kubelet is v1.37.2, expected v1.35.4", "w2: kubeadm is v1.37.2, expected v1.36.3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			after := Cluster{Name: "lab", Version: v136, Nodes: plan.Hops[0].leaves(slices.Clone(before.Nodes))}
			c.change(&after)
			now := MakePlan(after, plan.Rest(1, nil), settings())
			require.Equal(t, c.want, plan.Changes(1, now))

			again := plan.Replan(1, now)
			require.Equal(t, plan.Hops[0], again.Hops[0])
			require.Len(t, again.Hops, 1+len(now.Hops))
			require.Equal(t, v135, again.Current)
			if !now.Refused() {
				require.Empty(t, again.Changes(1, now), "what was planned again fits")
			}
		})
	}
}
