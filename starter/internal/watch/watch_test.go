package watch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

func snap(state upgrade.State) snapshot.Snapshot {
	s := snapshot.Snapshot{Workflow: "cluster-upgrade/lab", Status: upgrade.Status{Cluster: "lab", State: state,
		From: upgrade.MustVersion("v1.36.3"), Target: upgrade.MustVersion("v1.37.2"),
		Started: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)}}
	if state.Ended() {
		s.Ended = s.Started.Add(time.Minute)
	}
	return s
}

// answers gives one answer after the other, then the last for ever.
func answers(all ...any) Source {
	i := -1
	return func(context.Context) (snapshot.Snapshot, error) {
		i = min(i+1, len(all)-1)
		if err, ok := all[i].(error); ok {
			return snapshot.Snapshot{}, err
		}
		return snap(all[i].(upgrade.State)), nil
	}
}

func fixed() time.Time { return time.Date(2026, 1, 2, 12, 0, 30, 0, time.UTC) }

func TestFollowSurvivesWhatIsAway(t *testing.T) {
	away := exit.Errorf(exit.Unreachable, "status lab: Temporal at 127.0.0.1:7233 does not answer")
	var out bytes.Buffer
	last, err := Follow(context.Background(), answers(upgrade.Running, away, away, upgrade.Running, upgrade.Done),
		time.Millisecond, EndedOrHeld, Lines(&out, fixed))
	if err != nil || last.State != upgrade.Done {
		t.Errorf("got %s, %v", last.State, err)
	}
	want := `12:00:00 lab v1.36.3 -> v1.37.2 started
12:00:30 status lab: Temporal at 127.0.0.1:7233 does not answer; trying again
12:00:30 Temporal answers again
12:01:00 lab done 1m00s
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

func TestFollowEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, tc := range map[string]struct {
		ctx    context.Context
		source Source
		code   int
		state  upgrade.State
	}{
		"held":        {context.Background(), answers(upgrade.Running, upgrade.Held), exit.Held, upgrade.Held},
		"failed":      {context.Background(), answers(upgrade.Failed), exit.Unexpected, upgrade.Failed},
		"aborted":     {context.Background(), answers(upgrade.Aborted), exit.Unexpected, upgrade.Aborted},
		"unknown":     {context.Background(), answers(exit.Errorf(exit.BadInput, "no upgrade")), exit.BadInput, ""},
		"interrupted": {ctx, answers(errors.New("cancelled")), exit.Interrupted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			last, err := Follow(tc.ctx, tc.source, time.Millisecond, EndedOrHeld, func(Seen) {})
			code := exit.Code(err)
			if err == nil {
				code = Code(last.State)
			}
			if code != tc.code || last.State != tc.state {
				t.Errorf("exit %d in state %q, wanted %d in %q", code, last.State, tc.code, tc.state)
			}
		})
	}
}

func TestJSONLinesShowChangesOnly(t *testing.T) {
	var out, errOut bytes.Buffer
	_, err := Follow(context.Background(), answers(upgrade.Running, upgrade.Running, errors.New("away"), upgrade.Running, upgrade.Done),
		time.Millisecond, EndedOrHeld, JSONLines(&out, &errOut))
	if err != nil || strings.Count(out.String(), "\n") != 2 || errOut.String() != "pawl: away; trying again\n" {
		t.Errorf("%v\n%s%s", err, out.String(), errOut.String())
	}
}

func TestScreenLeavesTheLastPicture(t *testing.T) {
	var out bytes.Buffer
	in, keep := io.Pipe()
	defer keep.Close()
	last, err := Screen(context.Background(), answers(upgrade.Running, upgrade.Held, upgrade.Done), Person{}, in, &out, false)
	if err != nil || last.State != upgrade.Done {
		t.Errorf("got %s, %v", last.State, err)
	}
	if want := "lab  v1.36.3 -> v1.37.2  done, 1m00s\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("wanted it to end with %q, got %q", want, out.String())
	}
}

func TestScreenEndsOnCtrlC(t *testing.T) {
	var out bytes.Buffer
	last, err := Screen(context.Background(), answers(upgrade.Running), Person{}, strings.NewReader("\x03"), &out, false)
	if exit.Code(err) != exit.Interrupted {
		t.Errorf("got %s, %v; wanted 130", last.State, err)
	}
}

func TestScreenLeftWhileHeldIsHeld(t *testing.T) {
	var out bytes.Buffer
	in, keys := io.Pipe()
	source := func(context.Context) (snapshot.Snapshot, error) {
		go func() { _, _ = keys.Write([]byte("q")) }()
		return snap(upgrade.Held), nil
	}
	last, err := Screen(context.Background(), source, Person{}, in, &out, false)
	if err != nil || Code(last.State) != exit.Held {
		t.Errorf("got %s, %v; wanted 12", last.State, err)
	}
}
