package schedule

import (
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/workflows"
)

// prefix marks the ids of schedules that pawl made.
const prefix = "pawl/"

// ID is the id of a schedule with that name.
func ID(name string) string { return prefix + name }

// Name is the name in an id of pawl's, and else the whole id.
func Name(id string) string { return strings.TrimPrefix(id, prefix) }

// Schedule is a schedule of upgrades.
type Schedule struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Upgrade is what its runs are given.
	Upgrade  workflows.ScheduledUpgradeInput `json:"upgrade"`
	When     string                          `json:"when"`
	TimeZone string                          `json:"timeZone"`
	Jitter   upgrade.Duration                `json:"jitter,omitempty"`
	// CatchUp is how late a run may begin when Temporal was away at its time.
	CatchUp        upgrade.Duration `json:"catchUp"`
	PauseOnFailure bool             `json:"pauseOnFailure,omitempty"`
	Paused         bool             `json:"paused"`
	Note           string           `json:"note,omitempty"`
	// Next are the times that come, the next first.
	Next []time.Time `json:"next,omitempty"`
	// Runs are the latest runs, the last one first.
	Runs []Run `json:"runs,omitempty"`
	// Overlapped is how many times were passed over since a run was still under way, Missed those for which Temporal came
	// too late.
	Overlapped int `json:"overlapped,omitempty"`
	Missed     int `json:"missed,omitempty"`
}

// The states of runs.
const (
	Running   = "running"
	Completed = "completed"
	Failed    = "failed"
	Cancelled = "cancelled" // of the waiting; the upgrade goes on
	Forgotten = "forgotten" // Temporal's retention is over
)

// Run is one run of a schedule.
type Run struct {
	Workflow string    `json:"workflow"`
	Run      string    `json:"run"`
	Due      time.Time `json:"due"`
	Started  time.Time `json:"started"`
	State    string    `json:"state"`
	// Outcome is empty where it did not complete.
	Outcome workflows.ScheduledOutcome `json:"outcome,omitempty"`
	// Message is one line: what it came to.
	Message string `json:"message,omitempty"`
	UI      string `json:"ui,omitempty"`
}

// Says is the outcome, or the state where there is none.
func (r Run) Says() string {
	if r.Outcome == workflows.ScheduledNothingToDo {
		return "nothing to do"
	}
	if r.Outcome != "" {
		return string(r.Outcome)
	}
	return r.State
}

// Zone is the schedule's time zone; UTC where this machine does not know it.
func (s Schedule) Zone() *time.Location {
	if zone, err := time.LoadLocation(s.TimeZone); err == nil {
		return zone
	}
	return time.UTC
}
