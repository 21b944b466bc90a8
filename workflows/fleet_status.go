package workflows

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// FleetUpgradeName is a name that people and other programs use. It does not change.
const FleetUpgradeName = "FleetUpgrade"

// FleetUpgradeID is the id of a fleet's upgrade. In one Temporal there is one at a time.
func FleetUpgradeID(fleet string) string { return "fleet-upgrade/" + fleet }

// FleetUpgradeInput is what a person gives to upgrade many clusters:
// {"fleet":"prod","targetVersion":"v1.37.2","waves":[["canary"],["eu1","eu2"]],"maxConcurrent":2,"soak":"30m","maxHeld":1}.
type FleetUpgradeInput struct {
	// Fleet is a name for all of them.
	Fleet string `json:"fleet"`
	// TargetVersion is the Kubernetes version that all of them are to reach.
	TargetVersion string `json:"targetVersion"`
	// Waves are clusters by the names of their definitions.
	Waves [][]string `json:"waves"`
	// MaxConcurrent is how many are under way at a time; 0 is 1.
	MaxConcurrent int `json:"maxConcurrent,omitempty"`
	// MaxHeld is how many may be held or have failed before nothing new begins.
	MaxHeld int `json:"maxHeld,omitempty"`
	// Soak is how long a wave has to be well before the next begins.
	Soak upgrade.Duration `json:"soak,omitempty"`
	// Through, Waive and Approve are those of each cluster's upgrade: see ClusterUpgradeInput.
	Through []string `json:"through,omitempty"`
	Waive   []string `json:"waive,omitempty"`
	Approve []string `json:"approve,omitempty"`
}

// UnmarshalJSON refuses fields it does not know: a misspelt setting must not be ignored silently.
func (in *FleetUpgradeInput) UnmarshalJSON(b []byte) error {
	type plain FleetUpgradeInput
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode((*plain)(in)); err != nil {
		return fmt.Errorf(`input of %s: %w; wanted {"fleet":"NAME","targetVersion":"v1.37.2","waves":[["canary"],["eu1","eu2"]]}`, FleetUpgradeName, err)
	}
	return nil
}

// Status is the fleet before anything is begun, or what is wrong with the input.
func (in FleetUpgradeInput) Status() (upgrade.FleetStatus, error) {
	s, err := upgrade.NewFleet(upgrade.FleetWanted{
		Fleet: in.Fleet, Target: in.TargetVersion, Waves: in.Waves, MaxConcurrent: in.MaxConcurrent, MaxHeld: in.MaxHeld, Soak: in.Soak,
	})
	if err == nil {
		_, err = upgrade.ParseVersions(in.Through)
	}
	return s, errors.Join(err, ClusterUpgradeInput{Approve: in.Approve}.CheckApprovals())
}

// Of FleetUpgrade, beside UpdatePause, UpdateResume and UpdateAbort (FleetDecision): UpdateRetry and UpdateSkip
// (ClusterDecision).

// ClusterDecision is about one cluster of a fleet: {"cluster":"eu1","reason":"repaired"}.
type ClusterDecision struct {
	Decision
	// Cluster is which; to retry, none is all that have failed.
	Cluster string `json:"cluster,omitempty"`
}

// FleetDecision is about a fleet as a whole: {"clusters":true,"reason":"freeze"}.
type FleetDecision struct {
	Decision
	// Clusters: the clusters that are under way are told the same.
	Clusters bool `json:"clusters,omitempty"`
}

// newFleetUpgrade sets up what people see and may say, before anything is begun.
func newFleetUpgrade(ctx workflow.Context, in FleetUpgradeInput) (*fleetUpgrade, error) {
	s, err := in.Status()
	if err != nil {
		err = fault.Wrap(fault.InvalidInput, "upgrade fleet", in.Fleet, err, "")
		return nil, temporal.NewNonRetryableApplicationError(err.Error(), string(fault.InvalidInput), nil)
	}
	s.Started = workflow.Now(ctx)
	f := &fleetUpgrade{input: in, status: s}
	if err := workflow.SetQueryHandler(ctx, QueryStatus, func() (upgrade.FleetStatus, error) { return f.status, nil }); err != nil {
		return nil, err
	}
	workflow.Go(ctx, f.listenToClusters)
	return f, errors.Join(
		steerFleet(ctx, f, UpdateRetry, `Start again what has failed: one cluster, or all: {"cluster":"eu1","reason":"repaired"}`, func(d ClusterDecision) error {
			if _, err := f.status.Retry(d.Cluster); err != nil {
				return reject("%s", err)
			}
			return nil
		}, f.retry),
		steerFleet(ctx, f, UpdateSkip, `Leave a cluster as it is, and go on without it: {"cluster":"eu1","reason":"later"}`, func(d ClusterDecision) error {
			if err := f.status.CheckSkip(d.Cluster); err != nil {
				return reject("%s", err)
			}
			return needsReason(d.Decision)
		}, f.skip),
		steerFleet(ctx, f, UpdatePause, `Begin no cluster; with "clusters" those under way are paused too: {"clusters":true,"reason":"freeze"}`, func(d FleetDecision) error {
			if f.status.Paused && !d.Clusters {
				return reject("it is paused already")
			}
			return nil
		}, f.pause),
		steerFleet(ctx, f, UpdateResume, `Go on after a pause; with "clusters" those under way too: {"clusters":true}`, func(d FleetDecision) error {
			if !f.status.Paused && !d.Clusters {
				return reject("it is not paused")
			}
			return nil
		}, f.resume),
		steerFleet(ctx, f, UpdateAbort, `Begin no more, and end; with "clusters" those under way are told to stop too: {"clusters":true,"reason":"not today"}`, func(d FleetDecision) error {
			return needsReason(d.Decision)
		}, f.abort),
	)
}

// steerFleet registers an update.
func steerFleet[D interface {
	decision
	of() string
}](ctx workflow.Context, f *fleetUpgrade, update, description string, check func(D) error, do func(workflow.Context, D) string) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, update,
		func(ctx workflow.Context, d strict[D]) (string, error) {
			said := d.said.said()
			f.status.Actions = append(f.status.Actions, upgrade.Action{At: workflow.Now(ctx), What: update, Cluster: d.said.of(), By: said.By, Reason: said.Reason})
			f.news = true
			return do(ctx, d.said), nil
		},
		workflow.UpdateHandlerOptions{Description: description, Validator: func(d strict[D]) error {
			if f.status.State.Ended() {
				return reject("the fleet's upgrade is over")
			}
			return check(d.said)
		}})
}

func (d ClusterDecision) of() string { return d.Cluster }
func (FleetDecision) of() string     { return "" }

func (f *fleetUpgrade) retry(_ workflow.Context, d ClusterDecision) string {
	again, _ := f.status.Retry(d.Cluster) // which was checked
	for _, cluster := range again {
		c := f.status.Find(cluster)
		c.State, c.Reason, c.Ended = upgrade.Pending, "", time.Time{}
	}
	return "to be started again: " + strings.Join(again, ", ")
}

func (f *fleetUpgrade) skip(ctx workflow.Context, d ClusterDecision) string {
	c := f.status.Find(d.Cluster)
	was := c.State
	c.State, c.Reason, c.Ended = upgrade.Skipped, d.Reason, workflow.Now(ctx)
	if was == upgrade.Held {
		return fmt.Sprintf("skipped %s; its own upgrade is held still", d.Cluster)
	}
	return "skipped " + d.Cluster
}

func (f *fleetUpgrade) pause(ctx workflow.Context, d FleetDecision) string {
	f.status.Paused = true
	return "nothing new begins" + f.tell(ctx, d, UpdatePause)
}

func (f *fleetUpgrade) resume(ctx workflow.Context, d FleetDecision) string {
	f.status.Paused = false
	return "going on" + f.tell(ctx, d, UpdateResume)
}

func (f *fleetUpgrade) abort(ctx workflow.Context, d FleetDecision) string {
	if !d.Clusters {
		f.status.Aborted = upgrade.AbortFleet
		return "ended; what is under way goes on by itself: " + cmp.Or(strings.Join(f.status.UnderWay(), ", "), "nothing")
	}
	f.status.Aborted = upgrade.AbortClusters
	return "nothing new begins" + f.tell(ctx, d, UpdateAbort)
}

// tell says the same to the clusters that are under way, if a person wants so, and answers what they answered.
func (f *fleetUpgrade) tell(ctx workflow.Context, d FleetDecision, update string) string {
	if !d.Clusters {
		return ""
	}
	underWay := f.status.UnderWay()
	answers := make([]string, len(underWay))
	_ = inParallel(ctx, underWay, len(underWay), func(ctx workflow.Context, i int, cluster string) error {
		c := f.status.Find(cluster)
		ctx = workflow.WithActivityOptions(ctx, tellOptions(update+" "+cluster))
		err := workflow.ExecuteActivity(ctx, act.TellUpgrade, activities.TellInput{
			Workflow: c.Workflow, Run: c.Run, Update: update, Reason: d.Reason, By: d.By,
		}).Get(ctx, &answers[i])
		if err != nil {
			answers[i] = "no: " + reason(err)
		}
		answers[i] = cluster + ": " + answers[i]
		return nil
	})
	return strings.Join(append([]string{""}, answers...), "; ")
}

// tellOptions give up soon: a person waits for the answer.
func tellOptions(summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		Summary:                summary,
		StartToCloseTimeout:    20 * time.Second,
		ScheduleToCloseTimeout: time.Minute,
		HeartbeatTimeout:       heartbeat,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 5 * time.Second},
	}
}

// listenToClusters takes in what the upgrades of clusters say of themselves.
func (f *fleetUpgrade) listenToClusters(ctx workflow.Context) {
	signals := workflow.GetSignalChannel(ctx, signalClusterState)
	for {
		var s clusterState
		signals.Receive(ctx, &s)
		c := f.status.Find(s.Cluster)
		if c == nil || c.State == upgrade.Pending || c.State.Ended() || s.State.Ended() || c.Run != "" && c.Run != s.Run {
			continue // of another run; and of its end Temporal itself tells
		}
		c.State, c.Reason, c.From, c.To = s.State, s.Reason, s.From, s.To
		f.news = true
	}
}
