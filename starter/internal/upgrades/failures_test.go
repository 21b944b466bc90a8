package upgrades

import (
	"slices"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

func TestFailuresIn(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	scheduled := func(id int64, activity string) *historypb.HistoryEvent {
		return &historypb.HistoryEvent{EventId: id, Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
			ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{ActivityId: activity}}}
	}
	started := func(id, of int64, attempt int32, failure *failurepb.Failure) *historypb.HistoryEvent {
		return &historypb.HistoryEvent{EventId: id, EventTime: timestamppb.New(noon.Add(time.Duration(id) * time.Second)),
			Attributes: &historypb.HistoryEvent_ActivityTaskStartedEventAttributes{
				ActivityTaskStartedEventAttributes: &historypb.ActivityTaskStartedEventAttributes{
					ScheduledEventId: of, Attempt: attempt, LastFailure: failure}}}
	}
	away := &failurepb.Failure{FailureInfo: &failurepb.Failure_TimeoutFailureInfo{
		TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{TimeoutType: enumspb.TIMEOUT_TYPE_HEARTBEAT}}}
	got := failuresIn("cp1", []*historypb.HistoryEvent{
		{EventId: 1}, scheduled(2, "installKubeadm"), started(3, 2, 1, nil),
		scheduled(5, "upgradeControlPlane"), started(6, 5, 2, away),
		scheduled(8, "drainNode"), started(9, 8, 4, &failurepb.Failure{Message: "evict:\n refused"}),
	})
	want := []snapshot.Failure{
		{Node: "cp1", Activity: "upgradeControlPlane", At: noon.Add(6 * time.Second), Text: "the worker that did it went away"},
		{Node: "cp1", Activity: "drainNode", At: noon.Add(9 * time.Second), Text: "evict: refused"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
