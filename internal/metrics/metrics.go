// Package metrics names what pawl counts and measures.
//
// Rule: every metric of pawl's own is in All, with its labels and what it says; workflows and activities record by these
// names only, through Temporal's metrics handler, which keeps silent while a workflow is replayed. Labels are few and
// their values bounded: clusters, pools, steps, outcomes. What makes Prometheus' series of it is internal/telemetry.
package metrics

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
)

// Kind is what a metric is to Prometheus.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge" // made when it is asked for, never recorded
	Histogram Kind = "histogram"
)

// Cluster is the label that nearly all have.
const Cluster = "cluster"

// Metric is one of pawl's own.
type Metric struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []string
	// Buckets are a histogram's, in seconds.
	Buckets []float64
	// Known are the values of the labels after cluster that are known beforehand: their series begin with 0 for every
	// cluster, so that the first event of all is an increase too.
	Known [][]string
}

// What workers record.
var (
	StepAttempts = Metric{Name: "pawl_step_attempts_total", Kind: Counter, Labels: []string{Cluster, "step", "outcome"},
		Known: [][]string{{"verifyNode", "verificationFailed"}, {"verifyControlPlane", "verificationFailed"}},
		Help:  "Attempts of steps that have ended on this worker, by outcome: done, stopped (the worker or the upgrade was), or the kind of the fault"}
	StepDuration = Metric{Name: "pawl_step_duration_seconds", Kind: Histogram, Labels: []string{"step"}, Buckets: ofSteps,
		Help: "How long attempts of steps took that succeeded"}
	Evictions = Metric{Name: "pawl_evictions_total", Kind: Counter, Labels: []string{Cluster, "outcome"}, Known: [][]string{{"accepted"}, {"refused"}},
		Help: "Evictions that drains asked for: accepted, or refused by a PodDisruptionBudget, once for each pass over the node's pods"}
	DrainBlocked = Metric{Name: "pawl_drain_blocked_seconds", Kind: Histogram, Labels: []string{Cluster}, Buckets: ofWaits, Known: [][]string{{}},
		Help: "For how long each attempt to drain a node waited for what may not be evicted"}
	NodeDuration = Metric{Name: "pawl_node_duration_seconds", Kind: Histogram, Labels: []string{Cluster, "pool", "outcome"}, Buckets: ofWaits,
		Help: "How long all steps of a node took in one hop, holds included, by how it ended: done, skipped, aborted; pool is control-plane for the nodes of the control plane"}
	UpgradeDuration = Metric{Name: "pawl_upgrade_duration_seconds", Kind: Histogram, Labels: []string{Cluster, "outcome"}, Buckets: ofUpgrades,
		Known: [][]string{{"done"}, {"aborted"}, {"failed"}}, Help: "How long upgrades took from start to end, by how they ended: done, aborted, failed"}
	Holds = Metric{Name: "pawl_holds_total", Kind: Counter, Labels: []string{Cluster}, Known: [][]string{{}},
		Help: "How often something failed and was held for a person to decide"}
	WindowWait = Metric{Name: "pawl_window_wait_seconds", Kind: Histogram, Labels: []string{Cluster}, Buckets: ofUpgrades, Known: [][]string{{}},
		Help: "How long upgrades waited for maintenance windows"}
)

// What any worker tells of all upgrades when it is asked, from Temporal's visibility.
var (
	UpgradeState = Metric{Name: "pawl_upgrade_state", Kind: Gauge, Labels: []string{Cluster, "state"},
		Help: "1 for the state of the cluster's newest upgrade, 0 for all others"}
	UpgradeInfo = Metric{Name: "pawl_upgrade_info", Kind: Gauge, Labels: []string{Cluster, "target", "phase", "task_queue"},
		Help: "Always 1: where the cluster's newest upgrade goes, which part of the runbook it is in, and where workers must poll for it"}
	UpgradeNodes = Metric{Name: "pawl_upgrade_nodes", Kind: Gauge, Labels: []string{Cluster},
		Help: "How many nodes the plan of the cluster's newest upgrade has"}
	UpgradeNodesDone = Metric{Name: "pawl_upgrade_nodes_done", Kind: Gauge, Labels: []string{Cluster},
		Help: "On how many of them nothing is left to do"}
	UpgradeStarted = Metric{Name: "pawl_upgrade_start_timestamp_seconds", Kind: Gauge, Labels: []string{Cluster},
		Help: "When the cluster's newest upgrade was started"}
	UpgradeEnded = Metric{Name: "pawl_upgrade_end_timestamp_seconds", Kind: Gauge, Labels: []string{Cluster},
		Help: "When it ended; 0 while it goes on"}
	UpgradeHeld = Metric{Name: "pawl_upgrade_held_timestamp_seconds", Kind: Gauge, Labels: []string{Cluster, "at"},
		Help: "Since when it is held for a person, and at which node (or cluster); 0, and at nothing, while it is not"}
	WindowOpens = Metric{Name: "pawl_upgrade_window_open_timestamp_seconds", Kind: Gauge, Labels: []string{Cluster},
		Help: "When the maintenance window opens that it waits for; 0 while it waits for none"}
	WindowCloses = Metric{Name: "pawl_upgrade_window_close_timestamp_seconds", Kind: Gauge, Labels: []string{Cluster},
		Help: "When the maintenance window closes in which its latest work was begun; 0 where there are no windows"}
	TemporalUp = Metric{Name: "pawl_temporal_up", Kind: Gauge,
		Help: "Whether Temporal told of the upgrades when it was asked last; the metrics of upgrades are left out while it does not"}
)

// All are all of them.
var All = []Metric{
	StepAttempts, StepDuration, Evictions, DrainBlocked, NodeDuration, UpgradeDuration, Holds, WindowWait,
	UpgradeState, UpgradeInfo, UpgradeNodes, UpgradeNodesDone, UpgradeStarted, UpgradeEnded, UpgradeHeld, WindowOpens, WindowCloses, TemporalUp,
}

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

var (
	ofSteps    = []float64{0.1, 0.5, 1, 2.5, 5, 10, 30, minute, 2 * minute, 5 * minute, 10 * minute, 20 * minute, hour}
	ofWaits    = []float64{1, 10, 30, minute, 2 * minute, 5 * minute, 10 * minute, 20 * minute, hour, 4 * hour, day}
	ofUpgrades = []float64{10, minute, 5 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 8 * hour, day, 2 * day, 7 * day}
)

// Add counts n more. values are those of the labels, in their order.
func (m Metric) Add(h client.MetricsHandler, n int, values ...string) {
	h.WithTags(m.tags(values)).Counter(m.Name).Inc(int64(n))
}

// Observe takes a duration into the histogram.
func (m Metric) Observe(h client.MetricsHandler, d time.Duration, values ...string) {
	h.WithTags(m.tags(values)).Timer(m.Name).Record(d)
}

func (m Metric) tags(values []string) map[string]string {
	if len(values) != len(m.Labels) {
		panic(fmt.Sprintf("%s has the labels %q, not %d", m.Name, m.Labels, len(values)))
	}
	tags := map[string]string{}
	for i, v := range values {
		tags[m.Labels[i]] = v
	}
	return tags
}
