package forecast

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

var v136, v137 = upgrade.MustVersion("v1.36.3"), upgrade.MustVersion("v1.37.2")

// planOf drains workers w1, w2, ..., so many out at a time.
func planOf(workers, atOnce int) upgrade.Plan {
	c := upgrade.Cluster{Name: "lab", Version: v136}
	for i := range workers + 1 {
		n := upgrade.Node{Name: fmt.Sprintf("w%d", i), Kubelet: v136, Ready: true,
			Host: upgrade.Host{OS: "debian", PackageManager: "apt", Kubeadm: v136, Available: []upgrade.Version{v137}, FreeBytes: 1 << 40}}
		if i == 0 {
			n.Name, n.ControlPlane = "cp1", true
			n.Components = map[string]upgrade.Version{upgrade.APIServer: v136, upgrade.ControllerManager: v136, upgrade.Scheduler: v136}
		}
		c.Nodes = append(c.Nodes, n)
	}
	return upgrade.MakePlan(c, upgrade.Wanted{Target: v137}, upgrade.Settings{MaxUnavailable: upgrade.AtMost(atOnce)})
}

// cluster is one control plane node and workers with room for 4 CPUs and 10 pods each, in zones a and b by turns.
func cluster(workers int) Workloads {
	w := Workloads{Nodes: []Node{{Name: "cp1", Labels: map[string]string{"kubernetes.io/hostname": "cp1"}, Allocatable: room("4", "10"),
		Taints: []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}}}}
	for i := range workers {
		name := fmt.Sprintf("w%d", i+1)
		w.Nodes = append(w.Nodes, Node{Name: name, Allocatable: room("4", "10"),
			Labels: map[string]string{"kubernetes.io/hostname": name, "zone": string(rune('a' + i%2))}})
	}
	return w
}

func room(cpu, pods string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourcePods: resource.MustParse(pods)}
}

// add adds an application with one pod on each of the nodes named; change may be nil.
func (w *Workloads) add(kind, name, nodes string, change func(*Template)) {
	t := Template{Namespace: "shop", Controller: Controller{kind, name}, Labels: map[string]string{"app": name}, Grace: 30}
	if kind == "" {
		t.Controller = Controller{}
	}
	for i, n := range strings.Fields(nodes) {
		t.Pods = append(t.Pods, Pod{Name: fmt.Sprintf("%s-%d", name, i), Node: n})
	}
	if change != nil {
		change(&t)
	}
	w.Templates = append(w.Templates, t)
}

// budget adds a budget for the application.
func (w *Workloads) budget(name, app string, desired, healthy int32) {
	w.Budgets = append(w.Budgets, Budget{Namespace: "shop", Name: name, Desired: desired, Healthy: healthy, Expected: healthy,
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}})
}

func apart(key, app string) []corev1.PodAffinityTerm {
	return []corev1.PodAffinityTerm{{TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}}
}

const hostname = "kubernetes.io/hostname"

// says is the forecast in short: of each worker that is not smooth, what becomes of its pods.
func says(f *upgrade.Forecast) []string {
	var all []string
	for _, d := range f.Drains {
		for _, part := range []struct {
			what string
			pods []upgrade.PodsForecast
		}{{"blocked", d.Blocked}, {"waiting", d.Waiting}, {"pending", d.Pending}} {
			for _, p := range part.pods {
				line := fmt.Sprintf("%s: %d of %s %s", d.Node, p.Pods, p.Of, part.what)
				if p.Budget != "" {
					line += " by " + p.Budget
				}
				if p.Until != "" {
					line += " until " + p.Until
				}
				all = append(all, line+": "+p.Reason)
			}
		}
	}
	return all
}

func TestForecast(t *testing.T) {
	for name, c := range map[string]struct {
		workers, atOnce int
		make            func(*Workloads)
		want            []string
		finding         string // of the first finding, with its id and remedy
	}{
		"nothing in the way": {3, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w1 w2 w3", nil)
			w.budget("web", "web", 2, 3)
		}, nil, ""},
		"budget at zero": {2, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w2", nil)
			w.budget("web", "web", 1, 1)
		}, []string{"w2: 1 of Deployment shop/web blocked by shop/web: needs 1 healthy, has 1"},
			"drain-blocked PodDisruptionBudget shop/web: will block the drain of w2: needs 1 healthy, has 1; add a replica or relax the budget"},
		"budget of all nodes is one finding": {6, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w1 w2 w3 w4 w5 w6", nil)
			w.budget("web", "web", 6, 6)
		}, []string{ // w2 has the pod that a person moved off w1
			"w1: 1 of Deployment shop/web blocked by shop/web: needs 6 healthy, has 6",
			"w2: 2 of Deployment shop/web blocked by shop/web: needs 6 healthy, has 6",
			"w3: 1 of Deployment shop/web blocked by shop/web: needs 6 healthy, has 6",
			"w4: 1 of Deployment shop/web blocked by shop/web: needs 6 healthy, has 6",
			"w5: 1 of Deployment shop/web blocked by shop/web: needs 6 healthy, has 6",
			"w6: 1 of Deployment shop/web blocked by shop/web: needs 6 healthy, has 6",
		}, "drain-blocked PodDisruptionBudget shop/web: will block the drain of w1, w2, w3, w4, w5 and 1 more: needs 6 healthy, has 6; add a replica or relax the budget"},
		"budget without pods": {2, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w2", nil)
			w.budget("other", "other", 0, 0)
		}, nil, ""},
		"budget that cannot be evaluated": {2, 1, func(w *Workloads) {
			w.add("Database", "db", "w2", nil)
			w.budget("db", "db", 0, 1)
			w.Budgets[0].Failed = `found no controllers for pod "db-0"`
		}, []string{`w2: 1 of Database shop/db blocked by shop/db: it cannot be evaluated: found no controllers for pod "db-0"`},
			`drain-blocked PodDisruptionBudget shop/db: will block the drain of w2: it cannot be evaluated: found no controllers for pod "db-0"; give the budget a selector of pods whose controllers have a scale`},
		"two budgets": {2, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w2", nil)
			w.budget("web", "web", 0, 1)
			w.budget("all", "web", 0, 1)
		}, []string{"w2: 1 of Deployment shop/web blocked: more than one budget selects it, which the eviction API refuses: shop/web, shop/all"},
			"drain-blocked Deployment shop/web: its pods will block the drain of w2: more than one budget selects it, which the eviction API refuses: shop/web, shop/all; leave one budget for each pod"},
		"no controller": {2, 1, func(w *Workloads) { w.add("", "once", "w2 w2", nil) },
			[]string{"w2: 1 of Pod shop/once-0 blocked: it has no controller, so nothing would bring it back", "w2: 1 of Pod shop/once-1 blocked: it has no controller, so nothing would bring it back"},
			"drain-blocked 2 pods without a controller will block the drain of w2: shop/once-0, shop/once-1; delete them yourself; nothing brings them back"},
		"what stays does not block": {2, 1, func(w *Workloads) {
			w.add("DaemonSet", "proxy", "cp1 w1 w2", func(t *Template) { t.Stays = true })
			w.add("Node", "apiserver", "cp1", func(t *Template) { t.Stays = true })
			w.budget("proxy", "proxy", 3, 3)
		}, nil, ""},
		"unready pods under a budget that is met": {2, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w1 w2", func(t *Template) { t.Pods[1].Unready = true })
			w.budget("web", "web", 1, 1)
		}, []string{ // w2's went, w1's may not
			"w1: 1 of Deployment shop/web blocked by shop/web: needs 1 healthy, has 1",
			"w2: 1 of Deployment shop/web blocked by shop/web: needs 1 healthy, has 1", // the healthy one, which is here now
		}, "drain-blocked PodDisruptionBudget shop/web: will block the drain of w1, w2: needs 1 healthy, has 1; add a replica or relax the budget"},
		"unready pods under a budget that is not met": {2, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w2", func(t *Template) { t.Pods[0].Unready = true })
			w.budget("web", "web", 1, 0)
			w.Budgets[0].Expected = 1
		}, []string{"w2: 1 of Deployment shop/web blocked by shop/web: needs 1 healthy, has 0"},
			"drain-blocked PodDisruptionBudget shop/web: will block the drain of w2: needs 1 healthy, has 0; add a replica or relax the budget"},
		"unready pods that may always go": {2, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w2", func(t *Template) { t.Pods[0].Unready = true })
			w.budget("web", "web", 1, 0)
			w.Budgets[0].Expected, w.Budgets[0].AlwaysAllow = 1, true
		}, nil, ""},
		"pods that have not started bypass budgets": {2, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w2", func(t *Template) { t.Pods[0].Pending, t.Pods[0].Unready = true, true })
			w.budget("web", "web", 1, 0)
			w.budget("all", "web", 1, 0)
		}, nil, ""},
		"no room by requests": {2, 1, func(w *Workloads) {
			w.add("Deployment", "big", "w1 w2", requests("3"))
		}, []string{ // one pod is too many from the first drain on, until its node is back
			"w1: 1 of Deployment shop/big pending until w1: 1 node has too little cpu, 1 node is cordoned",
			"w2: 1 of Deployment shop/big pending until w2: 1 node has too little cpu, 1 node is cordoned",
		}, "drain-no-room Deployment shop/big: 2 pods will find no other place when w1, w2 are drained: 1 node has too little cpu, 1 node is cordoned; Pending until a node is back; add a node, or lower what the pods ask for"},
		"no room with so many out at a time": {3, 2, func(w *Workloads) {
			w.add("Deployment", "big", "w1 w2", requests("3"))
		}, []string{
			"w2: 1 of Deployment shop/big pending until w1: 1 node has too little cpu, 2 nodes are cordoned",
			"w3: 1 of Deployment shop/big pending until w2: 1 node has too little cpu, 2 nodes are cordoned",
		}, ""},
		"no room for more pods": {2, 1, func(w *Workloads) {
			w.add("Deployment", "many", strings.Repeat("w1 ", 5)+strings.Repeat("w2 ", 6), nil)
		}, []string{"w1: 1 of Deployment shop/many pending until w1: 1 node has as many pods as it may have, 1 node is cordoned",
			"w2: 1 of Deployment shop/many pending until w2: 1 node has as many pods as it may have, 1 node is cordoned"}, ""},
		"node selector": {2, 1, func(w *Workloads) {
			w.add("Deployment", "gpu", "w2", func(t *Template) { t.NodeSelector = map[string]string{"zone": "b"} })
		}, []string{"w2: 1 of Deployment shop/gpu pending until w2: 1 node is cordoned, 2 nodes do not match its node selector or affinity"}, ""},
		"node affinity": {2, 1, func(w *Workloads) {
			w.add("Deployment", "gpu", "w2", func(t *Template) {
				t.NodeAffinity = nodesWith("zone", corev1.NodeSelectorOpNotIn, "a")
				t.Tolerations = []corev1.Toleration{{Key: "other", Operator: corev1.TolerationOpExists}}
			})
		}, []string{"w2: 1 of Deployment shop/gpu pending until w2: 1 node is cordoned, 1 node does not match its node selector or affinity, 1 node has a taint that it does not tolerate"}, ""},
		"taint": {2, 1, func(w *Workloads) {
			w.Nodes[1].Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
			w.add("Deployment", "web", "w2", nil)
		}, []string{"w2: 1 of Deployment shop/web pending until w2: 1 node is cordoned, 2 nodes have a taint that it does not tolerate"}, ""},
		"taint that is tolerated": {2, 1, func(w *Workloads) {
			w.Nodes[1].Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
			w.add("Deployment", "web", "w2", func(t *Template) {
				t.Tolerations = []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists}}
			})
		}, nil, ""},
		"taint that only is a preference": {2, 1, func(w *Workloads) {
			w.Nodes[1].Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectPreferNoSchedule}}
			w.add("Deployment", "web", "w2", nil)
		}, nil, ""},
		"anti-affinity": {2, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w1 w2", func(t *Template) { t.AntiAffinity = apart(hostname, "web") })
		}, []string{
			"w1: 1 of Deployment shop/web pending until w1: 1 node has a pod nearby that it must be apart from, 1 node is cordoned",
			"w2: 1 of Deployment shop/web pending until w2: 1 node has a pod nearby that it must be apart from, 1 node is cordoned"}, ""},
		"anti-affinity of another": {2, 1, func(w *Workloads) {
			w.add("DaemonSet", "lonely", "w1", func(t *Template) { t.Stays, t.AntiAffinity = true, apart(hostname, "web") })
			w.add("Deployment", "web", "w2", nil)
		}, []string{"w2: 1 of Deployment shop/web pending until w2: 1 node has a pod nearby that it must be apart from, 1 node is cordoned"}, ""},
		"anti-affinity by zone": {4, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w1 w2", func(t *Template) { t.AntiAffinity = apart("zone", "web") })
		}, nil, ""},
		"anti-affinity in another namespace": {2, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w1", func(t *Template) { t.Namespace = "other" })
			w.add("Deployment", "cart", "w2", func(t *Template) {
				t.AntiAffinity = apart(hostname, "web")
				t.AntiAffinity[0].NamespaceSelector = &metav1.LabelSelector{}
			})
		}, []string{ // cart may not follow web, but web may not follow cart either
			"w1: 1 of Deployment other/web pending until w1: 1 node has a pod nearby that it must be apart from, 1 node is cordoned",
			"w2: 1 of Deployment shop/cart pending until w2: 1 node has a pod nearby that it must be apart from, 1 node is cordoned"}, ""},
		"affinity": {3, 1, func(w *Workloads) {
			w.add("DaemonSet", "cache", "w3", func(t *Template) { t.Stays = true })
			w.add("Deployment", "web", "w3", func(t *Template) { t.Affinity = apart(hostname, "cache") })
		}, []string{"w3: 1 of Deployment shop/web pending until w3: 2 nodes have no pod nearby that it must be with, 1 node is cordoned"}, ""},
		"affinity to its own kind": {3, 1, func(w *Workloads) {
			w.add("Deployment", "web", "w3", func(t *Template) { t.Affinity = apart(hostname, "web") })
		}, nil, ""},
		"spread": {2, 1, func(w *Workloads) { w.add("Deployment", "web", "w1 w2", spreadBy(hostname, nil)) },
			[]string{
				"w1: 1 of Deployment shop/web pending until w1: 1 node would break its topology spread, 1 node is cordoned",
				"w2: 1 of Deployment shop/web pending until w2: 1 node would break its topology spread, 1 node is cordoned"}, ""},
		"spread that leaves cordoned nodes out": {2, 1, func(w *Workloads) {
			honor := corev1.NodeInclusionPolicyHonor
			w.add("Deployment", "web", "w1 w2", spreadBy(hostname, func(c *corev1.TopologySpreadConstraint) { c.NodeTaintsPolicy = &honor }))
		}, nil, ""},
		"spread by zone": {4, 1, func(w *Workloads) { w.add("Deployment", "web", "w1 w2 w3 w4", spreadBy("zone", nil)) }, nil, ""},
		"spread over more zones than there are": {4, 1, func(w *Workloads) {
			three := int32(3)
			w.add("Deployment", "web", "w1 w2", spreadBy("zone", func(c *corev1.TopologySpreadConstraint) { c.MinDomains = &three }))
		}, nil, ""},
		"host ports": {2, 1, func(w *Workloads) {
			port := func(ip string) func(*Template) {
				return func(t *Template) { t.Ports = []Port{{corev1.ProtocolTCP, ip, 8080}} }
			}
			w.add("DaemonSet", "agent", "w1", func(t *Template) { t.Stays = true; port("10.0.0.1")(t) })
			w.add("Deployment", "web", "w2", port(""))
		}, []string{"w2: 1 of Deployment shop/web pending until w2: 1 node has its host port in use, 1 node is cordoned"}, ""},
		"local volume": {3, 1, func(w *Workloads) { w.add("StatefulSet", "db", "w2", on(w, "w2")) },
			[]string{"w2: 1 of StatefulSet shop/db pending until w2: 2 nodes cannot reach its volume, 1 node is cordoned"},
			"drain-no-room StatefulSet shop/db: 1 pod will find no other place when w2 is drained: 2 nodes cannot reach its volume, 1 node is cordoned; Pending until a node is back"},
		"zonal volume": {4, 1, func(w *Workloads) {
			w.Volumes = []Volume{{Claim: "shop/db-0", Nodes: nodesWith("zone", corev1.NodeSelectorOpIn, "b")}}
			w.add("StatefulSet", "db", "w2", func(t *Template) { t.Pods[0].Volumes = []int{0} })
		}, nil, ""},
		"local volumes of which a budget lets one go": {3, 2, func(w *Workloads) {
			w.add("StatefulSet", "db", "w1 w2", on(w, "w1", "w2"))
			w.budget("db", "db", 1, 2)
		}, []string{
			"w1: 1 of StatefulSet shop/db pending until w1: 1 node cannot reach its volume, 2 nodes are cordoned",
			"w2: 1 of StatefulSet shop/db waiting by shop/db until w1: it has no room until then",
			"w2: 1 of StatefulSet shop/db pending until w2: 2 nodes cannot reach its volume, 1 node is cordoned"}, ""},
		"local volumes on one node": {2, 1, func(w *Workloads) {
			w.add("StatefulSet", "db", "w1 w1", on(w, "w1", "w1"))
			w.budget("db", "db", 1, 2)
		}, []string{
			"w1: 1 of StatefulSet shop/db blocked by shop/db: needs 1 healthy, has 1, 1 found no room",
			"w1: 2 of StatefulSet shop/db pending until w1: 1 node cannot reach its volume, 1 node is cordoned",
		}, "drain-blocked PodDisruptionBudget shop/db: will block the drain of w1: needs 1 healthy, has 1, 1 found no room; make room for its pods, or relax the budget"},
		// w1 was cordoned by somebody and stays so: what leaves it has no way back, and w3 is full.
		"an earlier drain leaves a budget without room": {3, 1, func(w *Workloads) {
			w.add("Deployment", "big", "w1 w2", requests("3"))
			w.add("DaemonSet", "full", "w3", func(t *Template) { t.Stays = true; requests("2")(t) })
			w.budget("big", "big", 1, 2)
		}, []string{
			"w1: 1 of Deployment shop/big pending until w2: 2 nodes have too little cpu, 1 node is cordoned",
			"w2: 1 of Deployment shop/big blocked by shop/big: needs 1 healthy, has 1, 1 found no room",
			"w2: 1 of Deployment shop/big pending: 1 node has too little cpu, 2 nodes are cordoned",
		}, "drain-blocked PodDisruptionBudget shop/big: will block the drain of w2: needs 1 healthy, has 1, 1 found no room; make room for its pods, or relax the budget"},
		"comes back": {2, 1, func(w *Workloads) {
			w.add("Deployment", "typha", "w2", func(t *Template) {
				t.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
				t.NodeSelector = map[string]string{"zone": "b"}
			})
		}, []string{"w2: 1 of Deployment shop/typha blocked: it tolerates the cordon and fits nowhere else, so it comes back"},
			"drain-blocked Deployment shop/typha: its pods will block the drain of w2: each tolerates the cordon and fits nowhere else, so it comes back; let it not tolerate node.kubernetes.io/unschedulable, or make room elsewhere"},
		"what waits for something else takes no room": {2, 1, func(w *Workloads) {
			w.add("Job", "gated", "", func(t *Template) { requests("4")(t); t.Pods = []Pod{{Name: "gated-0", Pending: true}} })
			w.add("Deployment", "web", "w2", requests("2"))
		}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := cluster(c.workers)
			c.make(&w)
			p := planOf(c.workers, c.atOnce)
			for i := range p.Nodes {
				p.Nodes[i].Cordoned = p.Nodes[i].Name == "w1" && strings.HasPrefix(name, "an earlier drain")
			}
			f, found := Make(p, w)
			require.Len(t, f.Drains, c.workers+1)
			require.Equal(t, c.want, says(f))
			for _, d := range f.Drains {
				require.Zero(t, d.More)
			}
			if c.finding != "" {
				require.NotEmpty(t, found)
				require.Equal(t, c.finding, found[0].ID+" "+found[0].String())
			}
			if len(c.want) == 0 {
				require.Empty(t, found)
			}
		})
	}
}

func requests(cpu string) func(*Template) {
	return func(t *Template) {
		t.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
}

func nodesWith(key string, operator corev1.NodeSelectorOperator, values ...string) *corev1.NodeSelector {
	return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: operator, Values: values}}}}}
}

// on gives each pod a volume that is only on one node.
func on(w *Workloads, nodes ...string) func(*Template) {
	return func(t *Template) {
		for i, n := range nodes {
			t.Pods[i].Volumes = []int{len(w.Volumes)}
			w.Volumes = append(w.Volumes, Volume{Claim: "shop/" + t.Pods[i].Name, Nodes: nodesWith(hostname, corev1.NodeSelectorOpIn, n)})
		}
	}
}

func spreadBy(key string, change func(*corev1.TopologySpreadConstraint)) func(*Template) {
	return func(t *Template) {
		c := corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: t.Labels}}
		if key == hostname { // the control plane's node is no domain
			t.NodeAffinity = nodesWith("zone", corev1.NodeSelectorOpExists)
		}
		if change != nil {
			change(&c)
		}
		t.Spread = append(t.Spread, c)
	}
}

// TestAtLeast: pods end side by side, unless a budget waits for a replacement that comes only when the old one has ended.
func TestAtLeast(t *testing.T) {
	for name, c := range map[string]struct {
		kind    string
		desired int32
		want    time.Duration
	}{
		"all at once": {"StatefulSet", 0, 60 * time.Second},
		"in waves":    {"StatefulSet", 3, 4 * 60 * time.Second},
		"two by two":  {"StatefulSet", 2, 2 * 60 * time.Second},
		"replacements that come at once cost no time": {"Deployment", 3, 60 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := cluster(2)
			w.add(c.kind, "db", "w1 w1 w1 w1", func(t *Template) { t.Grace = 60 })
			w.budget("db", "db", c.desired, 4)
			w.add("Job", "short", "w1", func(t *Template) { t.Grace = 5 })
			f, _ := Make(planOf(2, 1), w)
			require.Equal(t, "w1", f.Drains[1].Node)
			require.Equal(t, c.want, f.Drains[1].AtLeast.Std())
			require.Equal(t, 5, f.Drains[1].Pods)
			require.True(t, f.Drains[1].Smooth())
		})
	}
}

func TestScratchDataIsTold(t *testing.T) {
	w := cluster(3)
	w.add("Deployment", "web", "w1 w2", func(t *Template) { t.EmptyDir = true })
	f, found := Make(planOf(3, 1), w)
	require.Equal(t, 1, f.Drains[1].Lost)
	require.Len(t, found, 1)
	require.Equal(t, upgrade.DrainLost, found[0].ID)
	require.Equal(t, upgrade.SeverityInfo, found[0].Severity)
	require.Equal(t, "drains delete what pods keep in emptyDir volumes: Deployment shop/web", found[0].Message)
}

func TestFewerWorkersAtATimeAreTheRemedy(t *testing.T) {
	w := cluster(3)
	w.add("Deployment", "big", "w1 w2", requests("3"))
	_, found := Make(planOf(3, 2), w)
	require.Len(t, found, 1)
	require.Equal(t, "with workers.maxUnavailable 1 there would be room", found[0].Remedy)
	_, found = Make(planOf(3, 1), w)
	require.Empty(t, found)
}

// TestWhatIsKeptIsBounded: a plan stands in a history, however much is the matter.
func TestWhatIsKeptIsBounded(t *testing.T) {
	const workers = 300
	w := cluster(workers)
	for i := range 900 {
		w.add("Deployment", fmt.Sprintf("app%03d", i), fmt.Sprintf("w%d", i%workers+1), nil)
		w.budget(fmt.Sprintf("app%03d", i), fmt.Sprintf("app%03d", i), 1, 1)
	}
	f, found := Make(planOf(workers, 1), w)
	kept, more := 0, 0
	for _, d := range f.Drains {
		kept += len(d.Blocked)
		more += d.More
	}
	require.Equal(t, entriesInAll, kept)
	require.Positive(t, more)
	require.Len(t, found, findingsOfAKind+1)
	require.Contains(t, found[findingsOfAKind].Message, "there are 880 more budgets or controllers that block drains")
	text, err := json.Marshal(f)
	require.NoError(t, err)
	require.Less(t, len(text), 200<<10)
}

func TestUnseen(t *testing.T) {
	f, found := Make(planOf(2, 1), Workloads{Unseen: []string{"pods were not looked at: forbidden"}})
	require.Nil(t, f)
	require.Equal(t, []upgrade.Finding{{ID: upgrade.DrainUnseen, Severity: upgrade.SeverityInfo, Message: "pods were not looked at: forbidden"}}, found)
}
