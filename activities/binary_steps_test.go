package activities

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

func byHandInput() NodeInput {
	return NodeInput{Cluster: "hard", Node: "w1", Host: "w1", Changes: []upgrade.BinaryChange{{Component: upgrade.Kubelet, From: v136, To: v137}, {Component: upgrade.KubeProxy, From: v136, To: v137}}}
}

func TestBinariesAreFetchedCheckedAndSwapped(t *testing.T) {
	w := &world{}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.FetchBinaries, byHandInput())
	require.NoError(t, err)
	require.Equal(t, "BinaryHost w1,Fetch kubelet,Check kubelet,Fetch kube-proxy,Check kube-proxy", strings.Join(w.calls, ","))
	w.calls = nil
	_, err = env.ExecuteActivity(a.SwapBinaries, byHandInput())
	require.NoError(t, err)
	require.Equal(t, "BinaryHost w1,Fetch kubelet,Swap kubelet,Fetch kube-proxy,Swap kube-proxy", strings.Join(w.calls, ","))
}

func TestABinaryThatDoesNotKnowItsFlagsIsNotSwapped(t *testing.T) {
	w := &world{found: []upgrade.Finding{{ID: upgrade.FlagRemoved, Severity: upgrade.SeverityError, Message: "it does not know --containerd"}}}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.FetchBinaries, byHandInput())
	require.ErrorContains(t, err, "check kubelet v1.37.2 for w1: it does not know --containerd")
}

func TestASwapThatIsSwappedBackEndsTheStep(t *testing.T) {
	w := &world{errs: map[string][]error{"Swap kubelet": {fault.New(fault.VerificationFailed, "swap kubelet on", "w1", "did not pass its gate; swapped back", "")}}}
	env, a := environment(t, w)
	_, err := env.ExecuteActivity(a.SwapBinaries, byHandInput())
	require.ErrorContains(t, err, "swapped back")
	require.NotContains(t, w.calls, "Swap kube-proxy", "those after it are left as they are")
}

// etcdHost is one whose units start etcd, beside what is none of etcd's business.
func etcdHost(v string) upgrade.BinaryHost {
	etcd := upgrade.Binary{Component: upgrade.Etcd, Path: "/usr/local/bin/etcd", OnDisk: upgrade.MustVersion(v),
		Unit: upgrade.BinaryUnit{Name: "etcd.service", Active: "active", Running: upgrade.MustVersion(v)}}
	return upgrade.BinaryHost{Arch: "amd64", Binaries: []upgrade.Binary{{Component: upgrade.Kubelet, Problem: "of a package"}, etcd}}
}

func TestAnExternalEtcdIsObservedAndBackedUp(t *testing.T) {
	w := &world{settings: upgrade.Settings{Binaries: upgrade.BinarySettings{EtcdHosts: []string{"e1", "e2"}, Etcd: []upgrade.Version{upgrade.MustVersion("v3.6.16")}}}}
	components := map[string]upgrade.Version{upgrade.APIServer: v137, upgrade.ControllerManager: v137, upgrade.Scheduler: v137}
	w.seen = upgrade.Cluster{Version: v137, Kubeadm: upgrade.Configuration{ExternalEtcd: true},
		Nodes: []upgrade.Node{{Name: "cp1", ControlPlane: true, Kubelet: v137, Ready: true, Components: components}}}
	w.hosts = map[string]upgrade.Host{"cp1": {PackageManager: "apt", Kubeadm: v137, Available: []upgrade.Version{v137}, FreeBytes: 1 << 40}}
	w.byHand = map[string]upgrade.BinaryHost{"e1": etcdHost("v3.6.8"), "e2": etcdHost("v3.6.8")}
	w.members = []upgrade.EtcdMember{{Name: "e1", Endpoint: "https://a", Version: upgrade.MustVersion("v3.6.8"), Leader: true}, {Name: "e2", Endpoint: "https://b", Version: upgrade.MustVersion("v3.6.8")}}
	env, a := environment(t, w)
	value, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "lab", Target: v137.String()})
	require.NoError(t, err)
	var plan upgrade.Plan
	require.NoError(t, value.Get(&plan))
	require.Empty(t, plan.Errors())
	require.Len(t, plan.Hops, 1)
	var order []string
	for _, n := range plan.Hops[0].ControlPlane {
		order = append(order, n.Node)
	}
	require.Equal(t, []string{"e2/etcd-v3.6.16", "e1/etcd-v3.6.16"}, order, "the leader last")

	w.calls = nil
	backups := plan.BackUps(plan.Hops[0])
	require.Equal(t, "e1/etcd", backups[0].Node)
	require.Equal(t, 0, plan.SnapshotAt())
	in := BackUpInput{NodeInput: NodeInput{Cluster: "lab", Node: backups[0].Node, Host: backups[0].Host, Settings: plan.Settings}, Backup: "b", Snapshot: true}
	value, err = env.ExecuteActivity(a.BackUpControlPlane, in)
	require.NoError(t, err)
	var out Outcome
	require.NoError(t, value.Get(&out))
	require.Equal(t, "/backups/b-etcd", out.Note, "beside kubeadm's backup, if the machine has one")
	require.Equal(t, []string{"BinaryHost e1", "BackUp e1", "SnapshotEtcd e1"}, w.calls)

	w.members[1].Version = upgrade.Version{}
	_, err = env.ExecuteActivity(a.CheckControlPlane, ClusterInput{Cluster: "lab", Settings: upgrade.Settings{Binaries: w.settings.Binaries, Verify: upgrade.Verify{Timeout: upgrade.Duration(time.Millisecond)}}})
	require.ErrorContains(t, err, "https://b: it does not say its version")
}

func TestAClusterThatWasInstalledByHandIsObserved(t *testing.T) {
	server := func(v upgrade.Version) upgrade.BinaryHost {
		return upgrade.BinaryHost{Arch: "amd64", Binaries: []upgrade.Binary{{Component: upgrade.APIServer, Path: "/usr/local/bin/kube-apiserver", OnDisk: v,
			Unit: upgrade.BinaryUnit{Name: "kube-apiserver.service", Files: []string{"/etc/systemd/system/kube-apiserver.service"}, Active: "active", Running: v}}}}
	}
	w := &world{settings: upgrade.Settings{Provider: upgrade.ProviderBinaries, Binaries: upgrade.BinarySettings{ControlPlane: []string{"cp1", "cp2"}}}}
	w.byHand = map[string]upgrade.BinaryHost{"cp1": server(v137), "cp2": server(v136)}
	w.members = []upgrade.EtcdMember{{Name: "cp1", Endpoint: "https://a", Version: upgrade.MustVersion("v3.6.8")}}
	env, a := environment(t, w)
	value, err := env.ExecuteActivity(a.MakePlan, PlanInput{Cluster: "hard", Target: v137.String()})
	require.NoError(t, err)
	var plan upgrade.Plan
	require.NoError(t, value.Get(&plan))
	require.Equal(t, v136, plan.Current, "the oldest API server")
	require.Empty(t, plan.Errors())
	require.Equal(t, "cp2/kube-apiserver", plan.Hops[0].ControlPlane[0].Node)

	in := BackUpInput{NodeInput: NodeInput{Cluster: "hard", Node: "cp1", Host: "cp1", Settings: w.settings}, Backup: "b", Snapshot: true}
	w.calls = nil
	_, err = env.ExecuteActivity(a.BackUpControlPlane, in)
	require.NoError(t, err)
	require.Equal(t, []string{"BinaryHost cp1", "BackUp cp1", "SnapshotEtcd cp1"}, w.calls)
}
