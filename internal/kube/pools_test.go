package kube

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestPools does to a simulated cluster, whose API, controllers and scheduler are the real ones, what strategies do to pools.
func TestPools(t *testing.T) {
	b, c := simulated(t, bed.Options{ControlPlanes: 1, Workers: 3})
	t.Run("pools", func(t *testing.T) { checkObservedPools(t, c) })
	t.Run("marks", func(t *testing.T) { checkMarks(t, b, c) })
	t.Run("join", func(t *testing.T) { checkJoin(t, b, c) })
	t.Run("volumes", func(t *testing.T) { checkVolumes(t, b, c) })
	t.Run("services", func(t *testing.T) { checkServices(t, b, c) })
	t.Run("spread", func(t *testing.T) { checkSpread(t, b, c) })
	t.Run("nodes", func(t *testing.T) { checkNodes(t, b, c) })
}

func checkObservedPools(t *testing.T, c *Cluster) {
	pools := []upgrade.PoolSettings{
		{Name: "a", Selector: "topology.kubernetes.io/zone=b", Strategy: upgrade.AddNewNodes},
		{Name: "b", Selector: "topology.kubernetes.io/zone in (b,c)", Strategy: upgrade.AllAtOnce},
		{Name: upgrade.DefaultPool, Strategy: upgrade.Rolling},
	}
	seen, err := c.Observe(t.Context(), upgrade.Settings{Pools: pools})
	require.NoError(t, err)
	require.Empty(t, seen.Problems, "pawl's user may do all that these need")
	got := map[string]string{}
	for _, n := range seen.Nodes {
		got[n.Name] = n.Zone + " " + n.Pool
		require.Equal(t, n.Pool == "a", n.Replaced)
		require.Equal(t, n.Pool == "a", n.UID != "")
		require.WithinDuration(t, time.Now(), n.Created, time.Hour)
	}
	require.Equal(t, map[string]string{"cp1": "a ", "w1": "b a", "w2": "c b", "w3": "a workers"}, got)
	_, err = c.Observe(t.Context(), upgrade.Settings{Pools: []upgrade.PoolSettings{{Name: "x", Selector: "a in b"}}})
	require.Equal(t, fault.InvalidInput, fault.KindOf(err))
}

// marks are what an upgrade puts on a node.
func marks(t *testing.T, b *bed.Bed, node string) (all []string) {
	n, err := b.Client().CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
	require.NoError(t, err)
	if n.Spec.Unschedulable {
		all = append(all, "cordoned")
	}
	for _, taint := range n.Spec.Taints {
		if taint.Key == avoided {
			all = append(all, string(taint.Effect))
		}
	}
	if _, there := n.Labels[corev1.LabelNodeExcludeBalancers]; there {
		all = append(all, "withdrawn")
	}
	for _, annotation := range []string{cordonedBy, withdrawnBy} {
		if _, there := n.Annotations[annotation]; there {
			all = append(all, annotation)
		}
	}
	return all
}

func checkMarks(t *testing.T, b *bed.Bed, c *Cluster) {
	ctx := t.Context()
	for range 2 { // each may be asked for again
		require.NoError(t, c.Avoid(ctx, []string{"w1", "w2", "w3", "gone"}))
		require.NoError(t, c.Cordon(ctx, "w1", "me"))
		require.NoError(t, c.Withdraw(ctx, "w1", "me"))
	}
	require.Equal(t, []string{"cordoned", "PreferNoSchedule", "withdrawn", cordonedBy, withdrawnBy}, marks(t, b, "w1"))
	require.NoError(t, c.Uncordon(ctx, "w1", "somebody else"))
	require.Contains(t, marks(t, b, "w1"), "withdrawn", "it is another's")
	for range 2 {
		require.NoError(t, c.Uncordon(ctx, "w1", "me"))
		require.NoError(t, c.StopAvoiding(ctx, []string{"w3"}))
	}
	require.Empty(t, marks(t, b, "w1"))
	require.Empty(t, marks(t, b, "w2"))
	require.Equal(t, []string{"PreferNoSchedule"}, marks(t, b, "w3"))
	require.NoError(t, c.StopAvoiding(ctx, nil))
	require.Empty(t, marks(t, b, "w3"))
}

func checkJoin(t *testing.T, b *bed.Bed, c *Cluster) {
	ctx := t.Context()
	join, err := c.Join(ctx, "key-1")
	require.NoError(t, err)
	again, err := c.Join(ctx, "key-1")
	require.NoError(t, err)
	require.Equal(t, join, again, "one token for one machine")
	other, err := c.Join(ctx, "key-2")
	require.NoError(t, err)
	require.NotEqual(t, join.Token, other.Token)
	require.Regexp(t, `^sha256:[0-9a-f]{64}$`, join.CACertHash)

	// The token is good for joining, and for as long as it is there.
	as, err := kubernetes.NewForConfig(&rest.Config{Host: "https://" + join.Endpoint, BearerToken: join.Token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	require.NoError(t, err)
	who := func() ([]string, error) {
		review, err := as.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		return review.Status.UserInfo.Groups, nil
	}
	groups, err := who()
	require.NoError(t, err)
	require.Contains(t, groups, nodeGroup)
	for range 2 {
		require.NoError(t, c.EndJoin(ctx, "key-1"))
		require.NoError(t, c.EndJoin(ctx, "key-2"))
	}
	require.Eventually(t, func() bool { _, err := who(); return err != nil }, 30*time.Second, 100*time.Millisecond, "the token is useless")
	left, err := b.Tokens(ctx)
	require.NoError(t, err)
	require.Empty(t, left)
}

func checkVolumes(t *testing.T, b *bed.Bed, c *Cluster) {
	ctx, volume := t.Context(), "pv-1"
	_, err := b.Client().StorageV1().VolumeAttachments().Create(ctx, &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: "csi-1"},
		Spec:       storagev1.VolumeAttachmentSpec{Attacher: "csi.example.com", NodeName: "w1", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &volume}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.ErrorContains(t, c.VolumesReleased(ctx, "w1"), "release the volumes of w1: 1 still attached: pv-1")
	require.NoError(t, c.VolumesReleased(ctx, "w2"))
	require.NoError(t, b.Client().StorageV1().VolumeAttachments().Delete(ctx, "csi-1", metav1.DeleteOptions{}))
	require.NoError(t, c.VolumesReleased(ctx, "w1"))
}

func checkServices(t *testing.T, b *bed.Bed, c *Cluster) {
	ctx, workers := t.Context(), []string{"w1", "w2", "w3"}
	_, err := b.Client().CoreV1().Services(bed.Namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"k8s-app": "web"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	service := bed.Namespace + "/web"
	require.Eventually(t, func() bool {
		only, err := c.ServedOnlyBy(ctx, workers)
		return err == nil && len(only) == 1 && only[0] == service
	}, 30*time.Second, 100*time.Millisecond)
	only, err := c.ServedOnlyBy(ctx, workers[:2])
	require.NoError(t, err)
	require.Empty(t, only, "w3 serves it too")

	began := time.Now().UTC().Truncate(time.Second)
	since, err := c.ServedSince(ctx, service, began)
	require.NoError(t, err)
	require.Equal(t, began, since, "it was never away")
	for _, node := range workers {
		require.NoError(t, c.Cordon(ctx, node, "me"))
	}
	for _, node := range workers {
		require.Eventually(t, func() bool {
			pass, err := c.Stop(ctx, node)
			return err == nil && pass.Done() && len(pass.Blocked) == 0
		}, time.Minute, 100*time.Millisecond, "budgets are not asked")
	}
	_, err = c.ServedSince(ctx, service, began)
	require.Equal(t, fault.VerificationFailed, fault.KindOf(err))
	for _, node := range workers {
		require.NoError(t, c.Uncordon(ctx, node, "me"))
	}
	require.NoError(t, b.AwaitPods(ctx))
	require.Eventually(t, func() bool {
		since, err = c.ServedSince(ctx, service, began)
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	require.True(t, !since.Before(began) && since.Before(time.Now().Add(time.Second)), "%s, began %s", since, began)
}

func checkSpread(t *testing.T, b *bed.Bed, c *Cluster) {
	ctx, workers := t.Context(), []string{"w1", "w2", "w3"}
	for _, node := range workers[1:] {
		require.NoError(t, c.Cordon(ctx, node, "me"))
	}
	for _, node := range workers[1:] {
		require.Eventually(t, func() bool { pass, err := c.Evict(ctx, node); return err == nil && pass.Done() }, time.Minute, 100*time.Millisecond)
	}
	for _, node := range workers[1:] {
		require.NoError(t, c.Uncordon(ctx, node, "me"))
	}
	require.NoError(t, b.AwaitPods(ctx))
	spread, err := c.Spread(ctx)
	require.NoError(t, err)
	all := spread[0].Pods
	require.Equal(t, []upgrade.NodePods{{Node: "w1", Pods: all}, {Node: "w2"}, {Node: "w3"}}, spread, "everything crowds on one node")

	crowds, err := c.crowds(ctx, workers)
	require.NoError(t, err)
	surplus, _ := surplusOf(crowds, workers)
	require.NotEmpty(t, surplus)
	evicted, err := c.Rebalance(ctx, workers)
	require.NoError(t, err)
	require.Equal(t, len(surplus), evicted, "as many as are too many, and no more")
	crowds, err = c.crowds(ctx, workers)
	require.NoError(t, err)
	left, _ := surplusOf(crowds, workers)
	require.Empty(t, left, "even")
	for _, node := range workers {
		require.Empty(t, marks(t, b, node), "nothing is left on the nodes")
	}
	evicted, err = c.Rebalance(ctx, workers)
	require.NoError(t, err)
	require.Zero(t, evicted)
}

func checkNodes(t *testing.T, b *bed.Bed, c *Cluster) {
	ctx := t.Context()
	address, err := b.AddNode("n1", upgrade.MustVersion("v1.36.3"), "c")
	require.NoError(t, err)
	machine := upgrade.Machine{ID: "m-1", Address: address}
	var name string
	require.Eventually(t, func() bool {
		name, err = c.NodeOf(ctx, machine)
		return err == nil && c.NodeReady(ctx, name, upgrade.MustVersion("v1.36.3"), time.Time{}) == nil
	}, time.Minute, 100*time.Millisecond, "it becomes a Ready node")
	require.Equal(t, "n1", name)
	_, err = c.NodeOf(ctx, upgrade.Machine{ID: "m-2", Address: "198.18.9.9"})
	require.Equal(t, fault.NotFound, fault.KindOf(err))

	node, err := b.Client().CoreV1().Nodes().Get(ctx, "n1", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "c", node.Labels[corev1.LabelTopologyZone])
	require.NoError(t, c.DeleteNode(ctx, "n1", "another's"))
	_, err = c.NodeOf(ctx, machine)
	require.NoError(t, err, "the node of another UID is left alone")
	b.RemoveNode("n1")
	for range 2 {
		require.NoError(t, c.DeleteNode(ctx, "n1", string(node.UID)))
	}
	_, err = c.NodeOf(ctx, machine)
	require.Equal(t, fault.NotFound, fault.KindOf(err), "gone for good")
}

func TestNodesAreFoundByWhatIsSure(t *testing.T) {
	node := func(id string, addresses ...string) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1"}, Spec: corev1.NodeSpec{ProviderID: id}}
		for _, a := range addresses {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
		}
		return n
	}
	for i, of := range []struct {
		node *corev1.Node
		m    upgrade.Machine
		want bool
	}{
		{node("aws:///a/i-1"), upgrade.Machine{ID: "i-1"}, true},
		{node("aws:///a/i-1"), upgrade.Machine{ID: "aws:///a/i-1"}, true},
		{node("aws:///a/i-1", "10.0.0.1"), upgrade.Machine{ID: "i-2", Address: "10.0.0.1"}, false}, // the address was another's
		{node("", "10.0.0.1"), upgrade.Machine{ID: "i-2", Address: "10.0.0.1"}, true},
		{node("", "10.0.0.1"), upgrade.Machine{ID: "x", Node: "w2", Address: "10.0.0.1"}, false},
		{node("", "10.0.0.1"), upgrade.Machine{ID: "x", Node: "w1"}, true},
		{node(""), upgrade.Machine{}, false},
	} {
		require.Equal(t, of.want, isNodeOf(of.node, of.m), fmt.Sprint(i))
	}
}
