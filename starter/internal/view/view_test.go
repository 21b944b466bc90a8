package view

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/report/sample"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// estimate is left out of the comparison: the core may learn to estimate better.
var estimate = regexp.MustCompile(`about \d+m|less than 1m`)

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = estimate.ReplaceAllString(got, "about Nm")
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./starter/internal/view -update", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", file, got, want)
	}
}

var (
	v136 = upgrade.MustVersion("v1.36.3")
	v137 = upgrade.MustVersion("v1.37.2")
	v138 = upgrade.MustVersion("v1.38.1")
	noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func clusterNode(name string, controlPlane bool) upgrade.Node {
	n := upgrade.Node{Name: name, Address: "10.0.0.1", ControlPlane: controlPlane, Kubelet: v136, Ready: true,
		Host: upgrade.Host{OS: "debian", PackageManager: "apt", Kubeadm: v136, Available: []upgrade.Version{v137, v138}, FreeBytes: 1 << 40}}
	if controlPlane {
		n.Components = map[string]upgrade.Version{}
		for _, c := range upgrade.ControlPlaneComponents {
			n.Components[c] = v136
		}
	}
	return n
}

func makePlan(change func(*upgrade.Cluster)) upgrade.Plan { return planTo(v137, change) }

func planTo(target upgrade.Version, change func(*upgrade.Cluster)) upgrade.Plan {
	c := upgrade.Cluster{Name: "lab", Version: v136, Nodes: []upgrade.Node{
		clusterNode("cp1", true), clusterNode("cp2", true), clusterNode("w1", false), clusterNode("w2", false), clusterNode("w3", false),
	}}
	if change != nil {
		change(&c)
	}
	return upgrade.MakePlan(c, upgrade.Wanted{Target: target}, upgrade.Settings{MaxUnavailable: upgrade.AtMost(1)})
}

// pooled is a plan of three pools, of which each has its own strategy.
func pooled() upgrade.Plan {
	c := upgrade.Cluster{Name: "lab", Version: v136, Nodes: []upgrade.Node{clusterNode("cp1", true)}}
	for i, pool := range []string{"cattle", "cattle", "batch", "batch", "workers", "workers", "workers"} {
		n := clusterNode("w"+strconv.Itoa(i+1), false)
		n.Pool, n.Zone = pool, string(rune('a'+i%2))
		if n.Replaced = pool == "cattle"; n.Replaced {
			n.Host, n.UID = upgrade.Host{}, "u"
		}
		c.Nodes = append(c.Nodes, n)
	}
	return upgrade.MakePlan(c, upgrade.Wanted{Target: v137}, upgrade.Settings{MaxUnavailable: upgrade.AtMost(1), Pools: []upgrade.PoolSettings{
		{Name: "cattle", Selector: "pool=cattle", Strategy: upgrade.AddNewNodes, MaxSurge: upgrade.AtMost(2), Provider: "asg"},
		{Name: "batch", Selector: "pool=batch", Strategy: upgrade.AllAtOnce},
		{Name: "gone", Selector: "pool=gone", Strategy: upgrade.Rolling},
		{Name: upgrade.DefaultPool, Strategy: upgrade.Rolling, MaxUnavailable: upgrade.Amount{Number: 50, Percent: true}, OneZoneAtATime: true, Canary: true},
	}})
}

// replaced is the end of an upgrade of them.
func replaced() snapshot.Snapshot {
	s := snapshot.Snapshot{Status: pooled().NewStatus()}
	s.State, s.Hop, s.Started, s.Ended = upgrade.Done, 1, at(0), at(600)
	second := 0
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.State = upgrade.Done
		for j := range n.Steps {
			step := &n.Steps[j]
			step.State, step.Started, step.Ended = upgrade.Done, at(second), at(second+10)
			second += 10
		}
	}
	s.Nodes[1].Successor, s.Nodes[2].Successor = "ip-10-0-1-7", "ip-10-0-2-9"
	s.Outages = []upgrade.Outage{{Pool: "batch", From: at(200), To: at(290), Others: 1, Services: []upgrade.ServiceOutage{{Service: "shop/nightly", Down: upgrade.Duration(90 * time.Second)}}}}
	s.Spread = []upgrade.NodePods{{Node: "ip-10-0-1-7", Pods: 4}, {Node: "ip-10-0-2-9", Pods: 4}, {Node: "w3", Pods: 0}}
	return s
}

func withForecast(p upgrade.Plan, drains ...upgrade.DrainForecast) upgrade.Plan {
	p.Forecast = &upgrade.Forecast{Drains: drains}
	return p
}

// troubled are drains that a budget blocks, then some that nothing does.
func troubled(n int) (drains []upgrade.DrainForecast) {
	for i := range n {
		drains = append(drains, upgrade.DrainForecast{Hop: 1, Node: "w" + strconv.Itoa(i+1), Pods: 1,
			Blocked: []upgrade.PodsForecast{{Of: "Deployment shop/web", Pods: 1, Budget: "shop/web", Reason: "needs 3 healthy, has 3"}}})
	}
	for i := range n {
		drains = append(drains, upgrade.DrainForecast{Hop: 1, Node: "x" + strconv.Itoa(i+1), Pods: i, AtLeast: upgrade.Duration(i) * upgrade.Duration(time.Second)})
	}
	return drains
}

func TestPlan(t *testing.T) {
	many := makePlan(func(c *upgrade.Cluster) {
		c.Nodes = c.Nodes[:1]
		for _, name := range strings.Fields("w01 w02 w03 w04 w05 w06 w07 w08 w09 w10 w11 w12") {
			c.Nodes = append(c.Nodes, clusterNode(name, false))
		}
	})
	many.Settings.MaxUnavailable = upgrade.AtMost(3)
	added := makePlan(nil)
	added.Settings.Notifications = []upgrade.Notification{{Name: "ops", Events: []upgrade.Event{upgrade.EventHold, upgrade.EventDone}}, {Name: "log"}}
	added.Settings.Hooks = []upgrade.Hook{
		{Name: "silence", When: upgrade.BeforeNode, Kind: upgrade.CommandHook, Timeout: upgrade.Duration(time.Minute), Parts: []upgrade.Part{upgrade.PartNode}},
		{Name: "ticket", When: upgrade.BeforeUpgrade, Kind: upgrade.HTTPHook, Timeout: upgrade.Duration(time.Minute), MayFail: true},
	}
	added.Settings.Health = upgrade.Health{Soak: upgrade.Duration(2 * time.Minute), Timeout: upgrade.Duration(time.Hour), Checks: []upgrade.Check{{Name: "error rate", By: "PromQL"}}}
	for name, p := range map[string]upgrade.Plan{
		"plan":       makePlan(nil),
		"plan-pools": pooled(),
		"plan-hops": planTo(v138, func(c *upgrade.Cluster) {
			for i := range 3 { // an earlier upgrade got as far as the first worker
				n := &c.Nodes[i]
				n.Kubelet, n.Host.Kubeadm = v137, v137
				for component := range n.Components {
					n.Components[component] = v137
				}
			}
			c.Version, c.Nodes[1].Components[upgrade.Scheduler], c.Nodes[1].Kubelet = v137, v136, v136
		}),
		"plan-many":      many,
		"plan-additions": added,
		"plan-forecast": withForecast(makePlan(nil),
			upgrade.DrainForecast{Hop: 1, Node: "cp1"},
			upgrade.DrainForecast{Hop: 1, Node: "cp2", Pods: 2, AtLeast: upgrade.Duration(30 * time.Second)},
			upgrade.DrainForecast{Hop: 1, Node: "w1", Pods: 31, AtLeast: upgrade.Duration(3 * time.Minute), Lost: 4,
				Blocked: []upgrade.PodsForecast{{Of: "Deployment shop/web", Pods: 2, Budget: "shop/web", Reason: "needs 3 healthy, has 3"},
					{Of: "Pod shop/once", Pods: 1, Reason: "it has no controller, so nothing would bring it back"}},
				Pending: []upgrade.PodsForecast{{Of: "StatefulSet shop/db", Pods: 1, Until: "w1", Reason: "2 nodes cannot reach its volume, 1 node is cordoned"},
					{Of: "Deployment shop/big", Pods: 3, Reason: "2 nodes have too little cpu, 1 node is cordoned"}}, More: 2},
			upgrade.DrainForecast{Hop: 1, Node: "w2", Pods: 7, AtLeast: upgrade.Duration(30 * time.Second),
				Waiting: []upgrade.PodsForecast{{Of: "StatefulSet shop/db", Pods: 1, Budget: "shop/db", Until: "w1", Reason: "it has no room until then"}}},
			upgrade.DrainForecast{Hop: 1, Node: "w3", Pods: 9, AtLeast: upgrade.Duration(time.Hour)}),
		"plan-forecast-long": withForecast(many, troubled(30)...),
		"plan-mixed": makePlan(func(c *upgrade.Cluster) {
			c.Nodes[0].Components[upgrade.APIServer] = v137
			c.Nodes[3].Cordoned = true
			c.Nodes[4].CordonedByPawl = true
			c.Problems = []upgrade.Finding{{Severity: upgrade.SeverityWarning, ID: "budget", Target: "payments/api",
				Message: "the PodDisruptionBudget allows no disruption now", Remedy: "the drain of its nodes will wait"}}
		}),
		"plan-refused": makePlan(func(c *upgrade.Cluster) {
			c.Nodes[2].Ready = false
			c.Nodes[3].Cordoned = true
		}),
		"plan-nothing": makePlan(func(c *upgrade.Cluster) {
			c.Version = v137
			for i := range c.Nodes {
				c.Nodes[i].Kubelet, c.Nodes[i].Host.Kubeadm = v137, v137
				for _, component := range upgrade.ControlPlaneComponents {
					if c.Nodes[i].ControlPlane {
						c.Nodes[i].Components[component] = v137
					}
				}
			}
		}),
	} {
		golden(t, name, Plan(p, Style{}))
	}
	golden(t, "plan-color", Plan(makePlan(nil), Style{Color: true}))
}

// running is an upgrade in the middle of its first worker.
func running() snapshot.Snapshot {
	s := makePlan(nil).NewStatus()
	s.State, s.Hop, s.Started = upgrade.Running, 1, noon
	s.Stages = []upgrade.Progress{
		{Title: "Look and plan", State: upgrade.Done, Started: at(0), Ended: at(4), Worked: upgrade.Duration(3 * time.Second)},
		{Title: "Back up", State: upgrade.Done, Started: at(4), Ended: at(10), Worked: upgrade.Duration(6 * time.Second)},
		{Title: "Upgrade nodes", State: upgrade.Running, Started: at(10)},
		{Title: "Verify the cluster", State: upgrade.Pending},
	}
	clock := 10
	for i := 0; i < 2; i++ {
		clock = finish(&s.Nodes[i], clock, 20)
	}
	w := &s.Nodes[2]
	w.State, w.Workflow = upgrade.Running, "node-upgrade/lab/w1"
	for j := 0; j < 2; j++ {
		w.Steps[j].State, w.Steps[j].Started, w.Steps[j].Ended = upgrade.Done, at(clock), at(clock+5)
		w.Steps[j].Worked = upgrade.Duration(4 * time.Second)
		clock += 5
	}
	w.Steps[2].State, w.Steps[2].Started = upgrade.Running, at(clock)
	return snapshot.Snapshot{Status: s, Workflow: "cluster-upgrade/lab", Run: "r1", Notes: []snapshot.Note{
		{Node: "w1", Text: "2 pods on their way out"},
		{Node: "w1", Text: "payments/api-2 blocked by PodDisruptionBudget payments/api (needs 3 healthy, has 3)"},
	}}
}

// finish marks all steps of a node as done, each taking some seconds, of which one is not its own work.
func finish(n *upgrade.NodeStatus, from, each int) int {
	n.State = upgrade.Done
	for i := range n.Steps {
		s := &n.Steps[i]
		s.State, s.Started, s.Ended = upgrade.Done, at(from), at(from+each)
		s.Worked = upgrade.Duration(time.Duration(each-1) * time.Second)
		from += each
	}
	return from
}

// secondHop is an upgrade in its second hop's control plane.
func secondHop() snapshot.Snapshot {
	s := planTo(v138, func(c *upgrade.Cluster) { c.Nodes = []upgrade.Node{c.Nodes[0], c.Nodes[2]} }).NewStatus()
	s.State, s.Hop, s.Started = upgrade.Running, 2, noon
	s.Stages = []upgrade.Progress{
		{Title: "Verify the cluster", State: upgrade.Done, Started: at(1000), Ended: at(1010), Worked: upgrade.Duration(9 * time.Second)},
		{Title: "Upgrade the control plane to v1.38.1", State: upgrade.Running, Started: at(1010)},
	}
	finish(&s.Nodes[1], finish(&s.Nodes[0], 10, 30), 30)
	cp := &s.Nodes[2]
	cp.State, cp.Workflow = upgrade.Running, "node-upgrade/lab/cp1"
	cp.Steps[0].State, cp.Steps[0].Started = upgrade.Running, at(1010)
	return snapshot.Snapshot{Status: s, Workflow: "cluster-upgrade/lab", Run: "r1"}
}

func held() snapshot.Snapshot {
	s := running()
	s.Notes = nil
	s.State = upgrade.Held
	w := &s.Nodes[2]
	w.State = upgrade.Held
	w.Held = "drain w1: payments/api-2 blocked by PodDisruptionBudget payments/api (needs 3 healthy, has 3)"
	w.Wait = &upgrade.Wait{For: upgrade.ForDecision, Node: "w1", At: "Drain", Reason: w.Held, Choices: []upgrade.Choice{
		{Update: "retry", Does: "try the step again, once its cause is removed"}, {Update: "wait", Does: "drain on, for that much longer"},
		{Update: "deletePods", Does: "delete just these pods, and drain on"}, {Update: "skip", Does: "leave the node as it is"}}}
	s.Waits = []upgrade.Wait{*w.Wait}
	s.Message = "w1: " + w.Held
	return s
}

// heldCluster is held in a step of the whole cluster.
func heldCluster() snapshot.Snapshot {
	s := running()
	s.Notes, s.Nodes = nil, s.Nodes[:2]
	s.State = upgrade.Held
	s.Message = "Check that every API server and etcd member is healthy: check lab: etcd member cp2 does not answer"
	s.Waits = []upgrade.Wait{{For: upgrade.ForDecision, At: "Check that every API server and etcd member is healthy", Reason: "check lab: etcd member cp2 does not answer",
		Choices: []upgrade.Choice{{Update: "retry", Does: "try the step again, once its cause is removed"}}}}
	return s
}

// approval waits for a person to approve.
func approval() snapshot.Snapshot {
	s := held()
	w := &s.Nodes[2]
	w.State, w.Held, w.Wait = upgrade.Pending, "", nil
	s.Waits = []upgrade.Wait{{For: upgrade.ForApproval, At: "before 3 workers are drained", Reason: "an approval is wanted",
		Details: []string{"to be done: v1.36.3 to v1.37.2 on 3 nodes with 3 drains", "it takes about 2m0s"},
		Choices: []upgrade.Choice{{Update: "approve", Does: "let it happen"}, {Update: "abort", Does: "stop at a safe point"}}}}
	s.Message = s.Waits[0].String()
	return s
}

func done() snapshot.Snapshot {
	s := running()
	s.Notes, s.Backup = nil, "/var/lib/pawl/backup/r1"
	clock := 300
	for i := 2; i < len(s.Nodes); i++ {
		clock = finish(&s.Nodes[i], clock, 4)
	}
	s.Stages[2].State, s.Stages[2].Ended = upgrade.Done, at(clock)
	s.Stages[3] = upgrade.Progress{Title: "Verify the cluster", State: upgrade.Done, Started: at(clock), Ended: at(clock + 2),
		Worked: upgrade.Duration(2 * time.Second)}
	s.State, s.Ended = upgrade.Done, at(clock+2)
	return s
}

func failed() snapshot.Snapshot {
	s := running()
	s.Notes = nil
	s.State, s.Message, s.Ended = upgrade.Failed, "upgrade control plane cp1: kubeadm said no; cp1 is at v1.36.3 and schedulable", at(400)
	s.Nodes[2].State, s.Nodes[2].Steps[2].State, s.Nodes[2].Steps[2].Ended = upgrade.Failed, upgrade.Failed, at(399)
	return s
}

func TestStatus(t *testing.T) {
	now := at(330)
	short := Status(running(), now, Style{Height: 12})
	golden(t, "status-low-window", short)
	if lines := strings.Count(short, "\n"); lines > 16 {
		t.Errorf("%d lines for a window of 12", lines)
	}
	golden(t, "status-running", Status(running(), now, Style{}))
	golden(t, "status-color", Status(running(), now, Style{Color: true}))
	golden(t, "status-hops", Status(secondHop(), at(1020), Style{}))
	golden(t, "status-held", Status(held(), now, Style{}))
	golden(t, "status-approval", Status(approval(), now, Style{}))
	noticed := heldCluster()
	noticed.Notices = []upgrade.Notice{{At: noon, Text: "ops was not notified of start: call the webhook ops: it answers 403"}}
	golden(t, "status-notice", Status(noticed, now, Style{}))
	golden(t, "status-held-cluster", Status(heldCluster(), now, Style{}))
	golden(t, "status-done", Status(done(), at(9999), Style{}))
	golden(t, "status-failed", Status(failed(), at(9999), Style{}))
	golden(t, "status-begun", Status(snapshot.Snapshot{Status: upgrade.Status{Cluster: "lab", State: upgrade.Running,
		Started: noon, Target: v137}}, at(2), Style{}))
}

func TestReport(t *testing.T) {
	for name, s := range map[string]snapshot.Snapshot{"report-done": done(), "report-running": running(), "report-failed": failed()} {
		golden(t, name, Report(report.Of(s, nil, at(330), "v0.1.0"), Style{}))
	}
	golden(t, "report-hops", Report(report.Of(secondHop(), nil, at(2000), "v0.1.0"), Style{}))
	golden(t, "report-pools", Report(report.Of(replaced(), nil, at(600), "v0.1.0"), Style{}))
	golden(t, "status-pools", Status(replaced(), at(600), Style{}))
	golden(t, "report-eventful", Report(sample.TwoHops(), Style{}))
}

func TestChanges(t *testing.T) {
	begun := running()
	begun.Notes = nil
	begun.Nodes[2].State = upgrade.Pending
	for i := range begun.Nodes[2].Steps {
		begun.Nodes[2].Steps[i] = upgrade.StepStatus{Step: begun.Nodes[2].Steps[i].Step, State: upgrade.Pending}
	}
	now := at(310)
	var b strings.Builder
	part := func(title string, lines []string) {
		b.WriteString("# " + title + "\n")
		for _, l := range lines {
			b.WriteString(l + "\n")
		}
	}
	first, mid, hold, end := begun, running(), held(), done()
	part("first look", Changes(nil, first, now))
	part("nothing new", Changes(&first, first, now))
	part("a node goes on, and is blocked", Changes(&first, mid, now))
	part("held", Changes(&mid, hold, now))
	part("done", Changes(&hold, end, now))
	golden(t, "changes", b.String())
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0.0s", 420 * time.Millisecond: "0.4s", 9960 * time.Millisecond: "10s", 59500 * time.Millisecond: "1m00s",
		154 * time.Second: "2m34s", 3720 * time.Second: "1h02m",
	} {
		if got := Short(d); got != want {
			t.Errorf("Short(%s) = %q, want %q", d, got, want)
		}
	}
}
