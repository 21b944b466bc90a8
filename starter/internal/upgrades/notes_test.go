package upgrades

import (
	"slices"
	"testing"
	"time"

	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

func payloads(t *testing.T, v any) *commonpb.Payloads {
	t.Helper()
	p, err := converter.GetDefaultDataConverter().ToPayloads(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// waiting is an activity whose task has been on the queue of a site for so long.
func waiting(id string, since time.Duration) *workflowpb.PendingActivityInfo {
	return &workflowpb.PendingActivityInfo{
		ActivityId: id, Attempt: 1, State: enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, ScheduledTime: timestamppb.New(time.Now().Add(-since)),
		ActivityOptions: &activitypb.ActivityOptions{TaskQueue: &taskqueuepb.TaskQueue{Name: "site-b"}},
	}
}

func TestNotesOf(t *testing.T) {
	blocked := func(n int) (all []upgrade.BlockedPod) {
		for range n {
			all = append(all, upgrade.BlockedPod{Pod: "payments/api", Reason: "blocked by PodDisruptionBudget payments/api"})
		}
		return all
	}
	for name, tc := range map[string]struct {
		node     string
		activity *workflowpb.PendingActivityInfo
		want     []string
	}{
		"nothing to say": {"w1", &workflowpb.PendingActivityInfo{Attempt: 1}, nil},
		"a drain": {"w1", &workflowpb.PendingActivityInfo{HeartbeatDetails: payloads(t, upgrade.DrainPass{
			Evicted: 1, Terminating: 2, Blocked: blocked(1)})},
			[]string{"3 pods on their way out", "payments/api blocked by PodDisruptionBudget payments/api"}},
		"many blocked pods": {"w1", &workflowpb.PendingActivityInfo{HeartbeatDetails: payloads(t, upgrade.DrainPass{Blocked: blocked(9)})},
			append(slices.Repeat([]string{"payments/api blocked by PodDisruptionBudget payments/api"}, 3), "and 6 more pods blocked")},
		"a line of text":                  {"w1", &workflowpb.PendingActivityInfo{HeartbeatDetails: payloads(t, "pulling images")}, []string{"pulling images"}},
		"a task that nobody takes up":     {"", waiting("check-control-plane", 2*time.Minute), []string{"check-control-plane waits since 2m0s for a pawl-worker that polls task queue site-b"}},
		"a task that was just laid there": {"", waiting("check-control-plane", time.Second), nil},
		"a task of the next attempt":      {"", waiting("check-control-plane", -time.Second), nil},
		"a retry": {"w1", &workflowpb.PendingActivityInfo{Attempt: 3, LastFailure: &failurepb.Failure{Message: "ssh cp1:\n refused"}},
			[]string{"retrying, attempt 3: ssh cp1: refused"}},
		"a worker that went away": {"w1", &workflowpb.PendingActivityInfo{Attempt: 2, LastFailure: &failurepb.Failure{
			Message: "activity Heartbeat timeout", FailureInfo: &failurepb.Failure_TimeoutFailureInfo{
				TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{TimeoutType: enumspb.TIMEOUT_TYPE_HEARTBEAT}}}},
			[]string{"retrying, attempt 2: the worker that did it went away"}},
		"the cluster's own step is named": {"", &workflowpb.PendingActivityInfo{ActivityId: "download-w1", Attempt: 2,
			LastFailure: &failurepb.Failure{Message: "apt is busy"}}, []string{"download-w1: retrying, attempt 2: apt is busy"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, n := range notesOf(tc.node, []*workflowpb.PendingActivityInfo{tc.activity}) {
				got = append(got, n.Text)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}
