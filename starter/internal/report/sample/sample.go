// Package sample makes up upgrades that tests render and people look at.
//
// Rule: deterministic; nothing outside of tests imports it.
package sample

import (
	"fmt"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

var noon = time.Date(2026, 3, 14, 12, 58, 20, 0, time.UTC)

// TwoHops is an upgrade of three control plane nodes and six workers over two minors: one step was tried again, one
// drain waited for a budget, and one was held until somebody had made room.
func TwoHops() report.Report {
	r := begin("prod", 3, 6, 2, "v1.35.4", "v1.36.3", "v1.37.2")
	r.before["1 cp2 upgradeControlPlane"] = func(r *run, s *upgrade.StepStatus) {
		s.Attempts = 2
		r.now = r.now.Add(41 * time.Second)
		r.failures = append(r.failures, snapshot.Failure{Node: "cp2", Activity: string(s.Step), At: r.now, Text: "the worker that did it went away"})
	}
	r.before["1 w2 drainNode"] = func(r *run, s *upgrade.StepStatus) {
		from := r.now.Add(3 * time.Second)
		to := from.Add(164 * time.Second)
		s.Waits = []upgrade.DrainWait{
			{Budget: "payments/api", Reason: "blocked by PodDisruptionBudget payments/api (needs 3 healthy, has 3)", From: from, To: to,
				Waited: upgrade.Duration(to.Sub(from)), Pods: []string{"payments/api-7d9c5b6f4-x2x8p", "payments/api-7d9c5b6f4-q9k4z"}},
			{Budget: "search/index", Reason: "blocked by PodDisruptionBudget search/index (needs 2 healthy, has 2)", From: from,
				To: from.Add(12 * time.Second), Waited: upgrade.Duration(12 * time.Second), Pods: []string{"search/index-1"}},
		}
		r.extra = to.Sub(r.now)
	}
	r.before["2 w4 drainNode"] = func(r *run, s *upgrade.StepStatus) {
		from := r.now.Add(2 * time.Second)
		to := r.now.Add(10 * time.Minute)
		s.Waits = []upgrade.DrainWait{{Budget: "payments/api", Reason: "blocked by PodDisruptionBudget payments/api (needs 3 healthy, has 3)",
			From: from, To: to, Waited: upgrade.Duration(to.Sub(from)), Pods: []string{"payments/api-7d9c5b6f4-m7vtd"}}}
		r.now = to.Add(14*time.Minute + 35*time.Second)
		action := upgrade.Action{At: r.now, What: "retry", Node: "w4", By: "ann@ops1", Reason: "payments/api scaled to 4 replicas, CHG-4711"}
		s.Attempts = 2
		s.Holds = []upgrade.Hold{{Reason: "drain w4: not empty after 10m0s: payments/api-7d9c5b6f4-m7vtd blocked by PodDisruptionBudget " +
			"payments/api (needs 3 healthy, has 3); make room for the pods or relax the budget, then retry", From: to, To: r.now, Release: &action}}
		r.status.Record(action)
	}
	return r.finish()
}

// Hundred is an upgrade of three control plane nodes and ninety-seven workers, ten at a time.
func Hundred() report.Report {
	return begin("fleet", 3, 97, 10, "v1.36.3", "v1.37.2").finish()
}

// Overnight is an upgrade that was held for a night, and is still under way.
func Overnight() report.Report {
	r := begin("prod", 1, 3, 1, "v1.36.3", "v1.37.2")
	r.before["1 w1 drainNode"] = func(r *run, s *upgrade.StepStatus) {
		from := r.now.Add(10 * time.Minute)
		r.now = from.Add(17 * time.Hour)
		action := upgrade.Action{At: r.now, What: "retry", Node: "w1", By: "ann@ops1", Reason: "budget relaxed"}
		s.Attempts = 2
		s.Holds = []upgrade.Hold{{Reason: "drain w1: not empty after 10m0s", From: from, To: r.now, Release: &action}}
		r.status.Record(action)
	}
	done := r.finish()
	s := done.Snapshot
	s.State, s.Ended, s.Backup = upgrade.Running, time.Time{}, ""
	last := &s.Nodes[len(s.Nodes)-1]
	last.State = upgrade.Running
	now := last.Steps[2].Started.Add(15 * time.Second)
	last.Steps[2] = upgrade.StepStatus{Step: upgrade.DrainNode, State: upgrade.Running, Started: last.Steps[2].Started}
	for i := 3; i < len(last.Steps); i++ {
		last.Steps[i] = upgrade.StepStatus{Step: last.Steps[i].Step, State: upgrade.Pending}
	}
	s.Stages = s.Stages[:len(s.Stages)-1]
	stage := &s.Stages[len(s.Stages)-1]
	stage.State, stage.Ended = upgrade.Running, time.Time{}
	return report.Of(s, nil, now, "v0.1.0")
}

// run makes an upgrade up as it goes along.
type run struct {
	status   upgrade.Status
	plan     upgrade.Plan
	now      time.Time
	before   map[string]func(*run, *upgrade.StepStatus) // by hop, node and step: what comes in between
	extra    time.Duration                              // that the next step's work takes longer
	failures []snapshot.Failure
}

func begin(cluster string, controlPlanes, workers, atOnce int, versions ...string) *run {
	p := upgrade.Plan{Cluster: cluster, Current: upgrade.MustVersion(versions[0]), Target: upgrade.MustVersion(versions[len(versions)-1])}
	p.Settings.MaxUnavailable = upgrade.AtMost(atOnce)
	for i := range versions[1:] {
		hop := upgrade.Hop{From: upgrade.MustVersion(versions[i]), To: upgrade.MustVersion(versions[i+1])}
		for n := range controlPlanes {
			role := upgrade.AdditionalControlPlane
			if n == 0 {
				role = upgrade.FirstControlPlane
			}
			hop.ControlPlane = append(hop.ControlPlane, node(fmt.Sprint("cp", n+1), role, hop))
		}
		for n := range workers {
			name := fmt.Sprint("w", n+1)
			if workers > 9 {
				name = fmt.Sprintf("w%02d", n+1)
			}
			hop.Workers = append(hop.Workers, node(name, upgrade.Worker, hop))
		}
		p.Hops = append(p.Hops, hop)
	}
	r := &run{plan: p, status: p.NewStatus(), now: noon, before: map[string]func(*run, *upgrade.StepStatus){}}
	r.status.Started = noon
	return r
}

func node(name string, role upgrade.Role, hop upgrade.Hop) upgrade.NodePlan {
	return upgrade.NodePlan{Node: name, Role: role, From: hop.From, To: hop.To, Steps: upgrade.KubeadmSteps(role, false)}
}

func (r *run) finish() report.Report {
	r.stage("Plan", func() { r.now = r.now.Add(4 * time.Second) })
	for i, hop := range r.plan.Hops {
		r.status.Hop = i + 1
		r.own("Check the control plane", 2*time.Second, "")
		r.own("Back up etcd and the configuration", 6*time.Second,
			fmt.Sprintf("/var/lib/pawl/backups/%s-%s-to-%s-1f0c9a42", r.plan.Cluster, hop.From, hop.To))
		r.stage("Upgrade the control plane to "+hop.To.String(), func() {
			for _, n := range hop.ControlPlane {
				r.walk(n.Components())
			}
		})
		r.stage("Upgrade the control plane's kubelets to "+hop.To.String(), func() {
			for _, n := range hop.ControlPlane {
				r.walk(n.Kubelet())
			}
		})
		r.stage("Upgrade the workers to "+hop.To.String(), func() { r.window(hop.Workers) })
		r.own("Verify the cluster", 9*time.Second, "")
	}
	r.status.State, r.status.Ended = upgrade.Done, r.now
	s := snapshot.Snapshot{Status: r.status, Workflow: "cluster-upgrade/" + r.plan.Cluster, Run: "1f0c9a42-5d2e-4f5c-9a0b-6f1f5a3f7c11"}
	return report.Of(s, r.failures, r.now.Add(3*time.Minute), "v0.1.0")
}

func (r *run) stage(title string, do func()) *upgrade.Progress {
	p := upgrade.Progress{Title: title, Hop: r.status.Hop, State: upgrade.Done, Started: r.now}
	do()
	p.Ended = r.now
	r.status.Stages = append(r.status.Stages, p)
	return &r.status.Stages[len(r.status.Stages)-1]
}

func (r *run) own(title string, took time.Duration, note string) {
	p := r.stage(title, func() { r.now = r.now.Add(took + 60*time.Millisecond) })
	p.Worked, p.Attempts, p.Note = upgrade.Duration(took), 1, note
}

// window keeps as many workers under way as may be.
func (r *run) window(workers []upgrade.NodePlan) {
	free := make([]time.Time, r.plan.Settings.MaxUnavailable.Number)
	for i := range free {
		free[i] = r.now
	}
	for _, n := range workers {
		next := 0
		for i := range free {
			if free[i].Before(free[next]) {
				next = i
			}
		}
		r.now = free[next]
		r.walk(n)
		free[next] = r.now
	}
	for _, t := range free {
		if t.After(r.now) {
			r.now = t
		}
	}
}

// walk takes a node through its steps.
func (r *run) walk(p upgrade.NodePlan) {
	for i := range r.status.Nodes {
		n := &r.status.Nodes[i]
		if n.Node != p.Node || n.Hop != r.status.Hop {
			continue
		}
		for _, step := range p.Steps {
			for j := range n.Steps {
				if n.Steps[j].Step == step {
					r.step(n, &n.Steps[j])
				}
			}
		}
		n.State, n.Workflow = upgrade.Done, "node-upgrade/"+r.plan.Cluster+"/"+n.Node
	}
}

// usual is how long steps take, in seconds.
var usual = map[upgrade.Step]int{
	upgrade.InstallKubeadm: 6, upgrade.UpgradeControlPlane: 96, upgrade.VerifyControlPlane: 14, upgrade.UpgradeNodeConfig: 2,
	upgrade.DrainNode: 21, upgrade.InstallKubelet: 8, upgrade.RestartKubelet: 2, upgrade.VerifyNode: 7, upgrade.UncordonNode: 1,
}

func (r *run) step(n *upgrade.NodeStatus, s *upgrade.StepStatus) {
	s.State, s.Started, s.Attempts = upgrade.Done, r.now, 1
	if do := r.before[fmt.Sprintf("%d %s %s", n.Hop, n.Node, s.Step)]; do != nil {
		do(r, s)
	}
	took := time.Duration(usual[s.Step]) * time.Second
	for _, c := range n.Node + string(s.Step) { // no two nodes are alike
		took += took * time.Duration((int(c)*(n.Hop+2))%7-3) / 60
	}
	if n.Role.IsControlPlane() && s.Step == upgrade.VerifyNode {
		took += 31 * time.Second
	}
	took += r.extra
	r.extra = 0
	if n.Role.IsControlPlane() {
		s.APIServer = away(s, r.now, took)
	}
	r.now = r.now.Add(took + 70*time.Millisecond)
	s.Ended, s.Worked = r.now, upgrade.Duration(took)
}

func away(s *upgrade.StepStatus, began time.Time, took time.Duration) *upgrade.Downtime {
	d := &upgrade.Downtime{AtLeast: s.Attempts > 1}
	at := func(part int) time.Time { return began.Add(took * time.Duration(part) / 100) }
	switch s.Step {
	case upgrade.UpgradeControlPlane:
		d.Add(at(18), at(24))
		d.Add(at(41), at(62))
	case upgrade.VerifyNode:
		d.Add(at(14), at(55))
	case upgrade.VerifyControlPlane, upgrade.RestartKubelet:
	default:
		return nil
	}
	return d
}
