package upgrade

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComponents(t *testing.T) {
	c := healthy(2, 3)
	c.Nodes[0].Components[APIServer] = v137
	c.Nodes[0].EtcdImage, c.Nodes[1].EtcdImage = "3.6.11-0", "3.6.11-0"
	for i := range c.Nodes {
		c.Nodes[i].Runtime = "containerd://2.3.7"
	}
	c.KubeProxy.Version, c.CoreDNS = v136, []string{"v1.14.2"}
	require.Equal(t, []Component{
		{Name: APIServer, Current: "v1.37.2", Nodes: 1, Target: "v1.37.2", By: ""},
		{Name: APIServer, Current: "v1.36.3", Nodes: 1, Target: "v1.37.2", By: ByKubeadm},
		{Name: ControllerManager, Current: "v1.36.3", Nodes: 2, Target: "v1.37.2", By: ByKubeadm},
		{Name: Scheduler, Current: "v1.36.3", Nodes: 2, Target: "v1.37.2", By: ByKubeadm},
		{Name: "etcd", Current: "3.6.11-0", Nodes: 2, Target: "as kubeadm v1.37.2 brings", By: ByKubeadm},
		{Name: "kube-proxy", Current: "v1.36.3", Nodes: 0, Target: "v1.37.2", By: ByKubeadm},
		{Name: "CoreDNS", Current: "v1.14.2", Nodes: 0, Target: "as kubeadm v1.37.2 brings", By: ByKubeadm},
		{Name: "kubeadm", Current: "v1.36.3", Nodes: 5, Target: "v1.37.2", By: ByPawl},
		{Name: "kubelet, kubectl", Current: "v1.36.3", Nodes: 5, Target: "v1.37.2", By: ByPawl},
		{Name: "container runtime", Current: "containerd://2.3.7", Nodes: 5, Target: "", By: ""},
	}, MakePlan(c, Wanted{Target: v137}, settings()).Components)

	c.Nodes[0].Components[APIServer] = v136
	for _, component := range MakePlan(c, Wanted{Target: v136}, settings()).Components {
		require.Empty(t, component.By, "%s is there already", component.Name)
	}
}
