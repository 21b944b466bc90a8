package kube

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestParseEtcdHealth(t *testing.T) {
	members, err := parseEtcdHealth(`[{"endpoint":"https://10.0.0.1:2379","health":true,"took":"9ms"},{"endpoint":"https://10.0.0.2:2379","health":false,"took":"5s","error":"context deadline exceeded"}]` + "\n")
	require.NoError(t, err)
	require.True(t, members[0].Health)
	require.Equal(t, "context deadline exceeded", members[1].Error)
	for _, bad := range []string{"", "[]", "{}", "unhealthy cluster"} {
		_, err := parseEtcdHealth(bad)
		require.Error(t, err, bad)
	}
}

func TestFailedChecks(t *testing.T) {
	require.Equal(t, "[-]etcd failed: reason withheld", failedChecks("[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\nreadyz check failed\n"))
	require.Equal(t, "unauthorized", failedChecks(" unauthorized\n"))
}

func TestObserveNodeTellsWhoseCordonItIs(t *testing.T) {
	for name, c := range map[string]struct {
		unschedulable bool
		annotated     bool
		want, byPawl  bool
	}{
		"schedulable":                   {false, false, false, false},
		"by somebody":                   {true, false, true, false},
		"by pawl":                       {true, true, false, true},
		"uncordoned behind pawl's back": {false, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1"}, Spec: corev1.NodeSpec{Unschedulable: c.unschedulable}}
			if c.annotated {
				n.Annotations = map[string]string{cordonedBy: "cluster-upgrade/lab"}
			}
			node := observeNode(n, nil)
			require.Equal(t, c.want, node.Cordoned)
			require.Equal(t, c.byPawl, node.CordonedByPawl)
		})
	}
}

func TestObserveNodeReadsControlPlaneVersions(t *testing.T) {
	pod := func(node, component, image string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"component": component}},
			Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Image: image}}}}
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "cp1", Labels: map[string]string{controlPlaneLabel: ""}},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.36.3", ContainerRuntimeVersion: "containerd://2.3.7"},
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "cp1"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}}}
	node := observeNode(n, []corev1.Pod{
		pod("cp1", "kube-apiserver", "r:5000/kube-apiserver:v1.37.2"), pod("cp2", "kube-scheduler", "r/kube-scheduler:v1.36.3"),
		pod("cp1", "etcd", "r/etcd:3.6.8-0"),
	})
	require.True(t, node.ControlPlane)
	require.Equal(t, "10.0.0.1", node.Address)
	require.Equal(t, map[string]upgrade.Version{"kube-apiserver": upgrade.MustVersion("v1.37.2")}, node.Components)
	require.Equal(t, "3.6.8-0", node.EtcdImage)
	require.Equal(t, "containerd://2.3.7", node.Runtime)
}

func TestEndpointWatches(t *testing.T) {
	n := 0
	require.NoError(t, scanSamples(strings.NewReader(`# TYPE apiserver_longrunning_requests gauge
apiserver_longrunning_requests{component="apiserver",group="",resource="pods",scope="cluster",subresource="",verb="WATCH",version="v1"} 6
apiserver_longrunning_requests{component="apiserver",group="discovery.k8s.io",resource="endpointslices",scope="cluster",subresource="",verb="WATCH",version="v1"} 7
apiserver_longrunning_requests{component="apiserver",group="discovery.k8s.io",resource="endpointslices",scope="namespace",subresource="",verb="WATCH",version="v1"} 2
`), "apiserver_longrunning_requests", func(s sample) { n += endpointWatches(s) }))
	require.Equal(t, 9, n)
}
