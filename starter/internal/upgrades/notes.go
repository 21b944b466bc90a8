package upgrades

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/workflows"
)

// notesOf says what Temporal knows of the activities that are under way: what they report of themselves, and why they
// are tried again.
func notesOf(node string, pending []*workflowpb.PendingActivityInfo) []snapshot.Note {
	pending = slices.Clone(pending)
	slices.SortFunc(pending, func(a, b *workflowpb.PendingActivityInfo) int {
		return strings.Compare(a.GetActivityId(), b.GetActivityId())
	})
	var notes []snapshot.Note
	add := func(text string) { notes = append(notes, snapshot.Note{Node: node, Text: text}) }
	for _, a := range pending {
		switch a.GetState() {
		case enumspb.PENDING_ACTIVITY_STATE_PAUSED, enumspb.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED:
			add("paused in Temporal: unpause the activity " + a.GetActivityId() + " to go on")
		}
		if lies := liesSince(a); lies >= quietFor {
			add(fmt.Sprintf("%s waits since %s for a pawl-worker that polls task queue %s", a.GetActivityId(), lies.Round(time.Second), queueOf(a)))
		}
		about := ""
		if node == "" { // several things of a cluster may be under way; a node is at its one step
			about = a.GetActivityId() + ": "
		}
		texts, left := progressOf(a)
		for i, text := range texts {
			add(about + text)
			if i == 0 {
				notes[len(notes)-1].PodsLeft = left
			}
		}
		goesOn := a.GetActivityId() == workflows.KeepLockID && a.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED
		if a.GetAttempt() > 1 && a.GetLastFailure() != nil && !goesOn {
			add(about + fmt.Sprintf("retrying, attempt %d: %s", a.GetAttempt(), failureText(a.GetLastFailure())))
		}
	}
	return notes
}

// quietFor is how long something may last that will be over before anybody has read of it.
const quietFor = 5 * time.Second

// liesSince is for how long an activity's task has been there for a worker to take up; 0 where it is not.
func liesSince(a *workflowpb.PendingActivityInfo) time.Duration {
	if a.GetState() != enumspb.PENDING_ACTIVITY_STATE_SCHEDULED || a.GetScheduledTime() == nil || a.GetNextAttemptScheduleTime().AsTime().After(time.Now()) {
		return 0
	}
	return max(0, time.Since(a.GetScheduledTime().AsTime()))
}

func queueOf(a *workflowpb.PendingActivityInfo) string {
	return cmp.Or(a.GetActivityOptions().GetTaskQueue().GetName(), workflows.TaskQueue)
}

// progressOf reads a heartbeat: a drain's pass with the number of pods that are left, or a line of text.
func progressOf(a *workflowpb.PendingActivityInfo) (texts []string, podsLeft int) {
	details := a.GetHeartbeatDetails().GetPayloads()
	if len(details) == 0 {
		return nil, 0
	}
	var text string
	if converter.GetDefaultDataConverter().FromPayload(details[0], &text) == nil {
		if text == "" {
			return nil, 0
		}
		return []string{text}, 0
	}
	var pass upgrade.DrainPass
	if converter.GetDefaultDataConverter().FromPayload(details[0], &pass) != nil {
		return nil, 0
	}
	return drainTexts(pass), pass.Evicted + pass.Terminating + len(pass.Blocked)
}

// blockedShown is how many blocked pods are named before the rest is counted.
const blockedShown = 3

func drainTexts(p upgrade.DrainPass) []string {
	var texts []string
	if leaving := p.Terminating + p.Evicted; leaving == 1 {
		texts = append(texts, "1 pod on its way out")
	} else if leaving > 1 {
		texts = append(texts, fmt.Sprintf("%d pods on their way out", leaving))
	}
	for i, b := range p.Blocked {
		if i == blockedShown {
			return append(texts, fmt.Sprintf("and %d more pods blocked", len(p.Blocked)-i))
		}
		texts = append(texts, b.Pod+" "+b.Reason)
	}
	return texts
}

// failureText is why an attempt failed. A time-out has a cause that its own text does not name.
func failureText(f *failurepb.Failure) string {
	if t := f.GetTimeoutFailureInfo(); t != nil {
		if t.GetTimeoutType() == enumspb.TIMEOUT_TYPE_HEARTBEAT {
			return "the worker that did it went away"
		}
		return "it took too long (" + t.GetTimeoutType().String() + ")"
	}
	return strings.Join(strings.Fields(f.GetMessage()), " ")
}
