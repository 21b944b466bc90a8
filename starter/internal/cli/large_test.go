package cli

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/forecast"
	"github.com/pawl-dev/pawl/internal/inventory"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// largeNodes and largePods are the size of a large cluster.
const largeNodes, largePods = 1000, 30000

// large is a large cluster with applications as they are: some with budgets, some that keep apart, some with volumes.
func large() inventory.Inventory {
	now := upgrade.MustVersion("v1.36.3")
	offered, err := upgrade.ParseVersions([]string{"v1.37.0", "v1.37.1", "v1.37.2", "v1.38.0", "v1.38.1", "v1.39.0"})
	if err != nil {
		panic(err)
	}
	seen := inventory.Inventory{Made: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		Cluster: upgrade.Cluster{Name: "large", Version: now}, Settings: upgrade.Settings{Repository: "https://pkgs.k8s.io/core:/stable:", MaxUnavailable: upgrade.AtMost(10)}}
	w := &seen.Workloads
	for i := range largeNodes {
		name := fmt.Sprintf("node-%04d", i)
		n := standInClusterNode(name, i < 3, now)
		n.Address, n.Host.Available = fmt.Sprintf("10.0.%d.%d", i/250, i%250), offered
		for c := range n.Components {
			n.Components[c] = now
		}
		seen.Cluster.Nodes = append(seen.Cluster.Nodes, n)
		o := forecast.Node{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: "zone-" + strconv.Itoa(i%3)},
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("7910m"), corev1.ResourceMemory: resource.MustParse("31523456Ki"),
				corev1.ResourceEphemeralStorage: resource.MustParse("95Gi"), corev1.ResourcePods: resource.MustParse("110")}}
		if i < 3 {
			o.Taints = []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}
		}
		w.Nodes = append(w.Nodes, o)
	}
	for i := range 3 {
		t := forecast.Template{Namespace: "kube-system", Controller: forecast.Controller{Kind: "DaemonSet", Name: fmt.Sprintf("agent-%d", i)}, Stays: true, Grace: 30}
		for n := range largeNodes {
			t.Pods = append(t.Pods, forecast.Pod{Name: fmt.Sprintf("agent-%d-%s", i, hash(i*largeNodes+n)), Node: w.Nodes[n].Name})
		}
		w.Templates = append(w.Templates, t)
	}
	const each = 27 // pods of an application
	for i := range (largePods - 3*largeNodes) / each {
		w.Templates = append(w.Templates, largeApp(w, i, each))
	}
	return seen
}

func largeApp(w *forecast.Workloads, i, pods int) forecast.Template {
	name := fmt.Sprintf("app-%d", i)
	t := forecast.Template{Namespace: fmt.Sprintf("team-%d", i%40), Controller: forecast.Controller{Kind: "Deployment", Name: name}, Grace: 30,
		Labels:   map[string]string{"app": name},
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("200m"), corev1.ResourceMemory: resource.MustParse("512Mi")}, EmptyDir: i%3 == 0}
	selector := &metav1.LabelSelector{MatchLabels: t.Labels}
	switch i % 10 {
	case 0:
		t.AntiAffinity = []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: selector}}
	case 1:
		t.Spread = []corev1.TopologySpreadConstraint{{MaxSkew: 2, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector}}
	case 2:
		t.Controller.Kind = "StatefulSet"
	}
	for p := range pods {
		pod := forecast.Pod{Name: name + "-7d9f8c6b5d-" + hash(i*pods+p), Node: w.Nodes[3+(i*pods+p)%(largeNodes-3)].Name}
		if i%10 == 2 {
			pod.Name, pod.Volumes = fmt.Sprintf("%s-%d", name, p), []int{len(w.Volumes)}
			w.Volumes = append(w.Volumes, forecast.Volume{Claim: t.Namespace + "/data-" + pod.Name, Nodes: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn,
					Values: []string{"zone-" + strconv.Itoa((3+(i*pods+p)%(largeNodes-3))%3)}}}}}}})
		}
		t.Pods = append(t.Pods, pod)
	}
	if i%4 == 0 {
		desired := int32(pods - 1 - i/4%3)
		if i%40 == 4 {
			desired = int32(pods) // allows nothing
		}
		w.Budgets = append(w.Budgets, forecast.Budget{Namespace: t.Namespace, Name: name, Selector: selector, Desired: desired, Healthy: int32(pods), Expected: int32(pods)})
	}
	return t
}

func hash(i int) string {
	h := fnv.New32a()
	fmt.Fprint(h, i)
	return fmt.Sprintf("%05x", h.Sum32()&0xfffff)
}

// payload is how much Temporal takes at once.
const payload = 2 << 20

// TestLargeClustersFit: the inventory and the plan of a large cluster fit into Temporal's payloads.
func TestLargeClustersFit(t *testing.T) {
	seen := large()
	plain, err := json.Marshal(seen)
	require.NoError(t, err)
	packed, err := json.Marshal(inventory.Packed{Inventory: seen})
	require.NoError(t, err)
	p := seen.Plan(upgrade.Wanted{Target: upgrade.MustVersion("v1.39.0")})
	require.Len(t, p.Hops, 3)
	require.Len(t, p.Forecast.Drains, p.Drains)
	plan, err := json.Marshal(p)
	require.NoError(t, err)
	ahead, err := json.Marshal(p.Forecast)
	require.NoError(t, err)
	t.Logf("inventory %d kB, packed %d kB; plan %d kB, of which forecast %d kB; %d findings", len(plain)>>10, len(packed)>>10, len(plan)>>10, len(ahead)>>10, len(p.Findings))
	for _, f := range p.Findings {
		t.Log(f)
	}
	require.Less(t, len(packed), payload)
	require.Less(t, len(plan), payload)

	var again inventory.Packed
	require.NoError(t, json.Unmarshal(packed, &again))
	require.Equal(t, p, again.Plan(upgrade.Wanted{Target: p.Target}))
}

// BenchmarkPlanFromInventory is what "pawl plan --inventory" takes for a large cluster, from the file to what people read.
func BenchmarkPlanFromInventory(b *testing.B) {
	text, err := json.MarshalIndent(large(), "", "  ")
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "large.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if code, _, errOut := pawl("plan", "--inventory", file, "--to", "v1.39.0"); code != exit.Done {
			b.Fatal(code, errOut)
		}
	}
	b.ReportMetric(float64(len(text))/(1<<20), "MB/file")
}
