package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// RunByProvider says that a provider runs the control plane: its parts are not to be seen, its patches are the provider's, and
// only minors are compared.
func (c *Cluster) RunByProvider() *Cluster {
	c.managed = true
	return c
}

// InstalledByHand says that the cluster was not made by kubeadm: its control plane is not to be seen in the API.
func (c *Cluster) InstalledByHand() *Cluster {
	c.byHand = true
	return c
}

func (c *Cluster) madeByKubeadm() bool { return !c.managed && !c.byHand }

// apiReady asks the API as everybody reaches it.
func (c *Cluster) apiReady(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	body, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	if err != nil {
		return c.classify("check the API of", c.name, err)
	}
	if string(body) != "ok" {
		return fault.New(fault.VerificationFailed, "check the API of", c.name, fmt.Sprintf("/readyz answers %q", failedChecks(string(body))), "")
	}
	return nil
}

// runs reports whether a version that was observed is the wanted one.
func (c *Cluster) runs(got string, wanted upgrade.Version) bool {
	if !c.managed {
		return got == wanted.String()
	}
	v, err := upgrade.ParseVersion(got)
	return err == nil && v.SameMinor(wanted)
}

// NodesBehind are the nodes of a minor older than v's that are replaced without anybody asking for it.
func (c *Cluster) NodesBehind(ctx context.Context, v upgrade.Version) ([]string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.classify("list nodes of", c.name, err)
	}
	var behind []string
	for _, n := range nodes.Items {
		keeper, _ := upgrade.KeeperOf(n.Labels)
		if has, err := upgrade.ParseVersion(n.Status.NodeInfo.KubeletVersion); keeper.FollowsByItself() && (err != nil || has.MinorsBehind(v) > 0) {
			behind = append(behind, n.Name)
		}
	}
	return behind, nil
}
