package forecast

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// anyWorkloads are workloads of all kinds, on nodes that have room for them at first.
func anyWorkloads(t *rapid.T, workers int) Workloads {
	w := cluster(workers)
	left := map[string]int{}
	for i := range workers {
		left[fmt.Sprintf("w%d", i+1)] = 8
	}
	for i := range rapid.IntRange(1, 8).Draw(t, "apps") {
		name := fmt.Sprintf("app%d", i)
		nodes, pods := "", int32(0)
		for range rapid.IntRange(0, 5).Draw(t, "pods") {
			n := fmt.Sprintf("w%d", rapid.IntRange(1, workers).Draw(t, "node"))
			if left[n]--; left[n] >= 0 {
				nodes += " " + n
				pods++
			}
		}
		kind := rapid.SampledFrom([]string{"Deployment", "StatefulSet", "DaemonSet", "Database", ""}).Draw(t, "kind")
		w.add(kind, name, nodes, func(o *Template) {
			o.Stays = kind == "DaemonSet"
			o.EmptyDir = rapid.Bool().Draw(t, "emptyDir")
			o.Grace = rapid.Int64Range(-1, 3600).Draw(t, "grace")
			requests(rapid.SampledFrom([]string{"0", "100m", "500m"}).Draw(t, "cpu"))(o)
			switch rapid.IntRange(0, 8).Draw(t, "constraint") {
			case 0:
				o.AntiAffinity = apart(rapid.SampledFrom([]string{hostname, "zone", "none"}).Draw(t, "apart by"), "app0")
			case 1:
				o.Affinity = apart(hostname, rapid.SampledFrom([]string{name, "app0"}).Draw(t, "with"))
			case 2:
				spreadBy(rapid.SampledFrom([]string{hostname, "zone"}).Draw(t, "spread by"), func(c *corev1.TopologySpreadConstraint) {
					if rapid.Bool().Draw(t, "honor") {
						honor := corev1.NodeInclusionPolicyHonor
						c.NodeTaintsPolicy = &honor
					}
				})(o)
			case 3:
				o.Ports = []Port{{Protocol: corev1.ProtocolTCP, Port: 80}}
			case 4:
				o.NodeSelector = map[string]string{"zone": "b"}
			case 5:
				o.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
			case 6:
				for i := range o.Pods {
					o.Pods[i].Volumes = []int{len(w.Volumes)}
					w.Volumes = append(w.Volumes, Volume{Nodes: nodesWith(hostname, corev1.NodeSelectorOpIn, o.Pods[i].Node)})
				}
			}
			for i := range o.Pods {
				o.Pods[i].Unready = rapid.IntRange(0, 4).Draw(t, "unready") == 0
				o.Pods[i].Pending = o.Pods[i].Unready && rapid.Bool().Draw(t, "pending")
			}
			if rapid.IntRange(0, 4).Draw(t, "unscheduled") == 0 {
				o.Pods = append(o.Pods, Pod{Name: "unscheduled", Pending: true, Unready: true})
			}
		})
		for b := range rapid.SampledFrom([]int{0, 1, 1, 2}).Draw(t, "budgets") {
			healthy := int32(0)
			for _, p := range w.Templates[i].Pods {
				if !p.Unready {
					healthy++
				}
			}
			w.budget(fmt.Sprintf("%s-%d", name, b), name, rapid.Int32Range(0, pods+1).Draw(t, "desired"), healthy)
			last := &w.Budgets[len(w.Budgets)-1]
			last.AlwaysAllow, last.Expected = rapid.Bool().Draw(t, "alwaysAllow"), pods
		}
	}
	if rapid.Bool().Draw(t, "budget of all") {
		w.Budgets = append(w.Budgets, Budget{Namespace: "shop", Name: "all", Selector: &metav1.LabelSelector{}, Desired: 3, Healthy: 5, Expected: 5})
	}
	return w
}

// TestEveryPodIsAccountedFor: no drain loses a pod that has a controller, overfills a node, or leaves a pod that has to go;
// budgets count what there is; and the same is told of the same, also when it was written down meanwhile.
func TestEveryPodIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 5).Draw(t, "workers")
		w := anyWorkloads(t, workers)
		p := planOf(workers, rapid.IntRange(1, 3).Draw(t, "at once"))
		m := newWorld(w)
		count := func() map[string]int {
			all := map[string]int{}
			for _, n := range m.nodes {
				for _, p := range n.pods {
					all[p.of]++
				}
			}
			for _, p := range m.pending {
				all[p.of]++
			}
			return all
		}
		begin := count()
		for _, d := range m.window(drainedOf(m, p.Hops[0].Workers), p.Settings.MaxUnavailable.Of(1), nil) {
			loose := 0
			for _, k := range d.blocked {
				if k.cause == noController {
					loose++
					begin[k.of]--
				}
			}
			if d.pods < loose {
				t.Fatalf("%s: %d pods, of which %d have no controller", d.node.name(), d.pods, loose)
			}
		}
		end := count()
		for of, pods := range begin {
			if end[of] != pods {
				t.Fatalf("%s had %d pods, has %d", of, pods, end[of])
			}
		}
		for _, n := range m.nodes {
			if n.cordoned || n.places < 0 || n.room[0] < 0 {
				t.Fatalf("%s has %d places and %v left, cordoned %v", n.name(), n.places, n.room, n.cordoned)
			}
		}
		for _, b := range m.budgets {
			before, after := int32(0), int32(0) // ready pods that it covers
			for _, o := range m.templates {
				if !slices.Contains(o.budgets, b) {
					continue
				}
				for _, p := range o.Pods {
					if p.Node != "" && !p.Unready {
						before++
					}
				}
				for _, n := range m.nodes {
					if pods := n.same[o]; pods > 0 {
						after += int32(len(slices.DeleteFunc(slices.Clone(n.pods), func(p *pod) bool { return p.template != o || !p.ready() })))
					}
				}
			}
			if b.healthy != b.Healthy-before+after {
				t.Fatalf("budget %s counts %d healthy pods, of %d that were %d are left", b.name(), b.healthy, before, after)
			}
		}

		f, found := Make(p, w)
		text, err := json.Marshal(w)
		require.NoError(t, err)
		var again Workloads
		require.NoError(t, json.Unmarshal(text, &again))
		f2, found2 := Make(p, again)
		require.Equal(t, f, f2)
		require.Equal(t, found, found2)
	})
}

// FuzzMake: an inventory may come from anywhere.
func FuzzMake(f *testing.F) {
	w := cluster(2)
	w.add("Deployment", "web", "w1 w2", func(t *Template) { t.AntiAffinity = apart(hostname, "web"); spreadBy("zone", nil)(t) })
	w.add("StatefulSet", "db", "w1", on(&w, "w1"))
	w.budget("web", "web", 1, 2)
	for _, seed := range []Workloads{w, {}, {Nodes: []Node{{Name: "w1"}, {Name: "w1"}}, Templates: []Template{{Pods: []Pod{{Node: "w1", Volumes: []int{-1, 7}}}}}}} {
		text, err := json.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, 1)
	}
	f.Fuzz(func(_ *testing.T, text []byte, atOnce int) {
		var w Workloads
		if json.Unmarshal(text, &w) != nil {
			return
		}
		Make(planOf(2, atOnce), w)
	})
}
