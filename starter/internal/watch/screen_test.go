package watch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

var update = flag.Bool("update", false, "write golden files, and the frames of docs/watch.md")

// told is what a decider was told.
type told struct {
	decisions []string
	refusal   error
}

func (d *told) decide(_ context.Context, node, update string, payload any) (string, error) {
	text, err := json.Marshal(payload)
	d.decisions = append(d.decisions, fmt.Sprintf("%s %q %s", update, node, text))
	return "trying again", errors.Join(err, d.refusal)
}

// sitting is a person before the screen; there is no terminal and no time but the test's.
type sitting struct {
	t *testing.T
	screen
	told *told
}

func sit(t *testing.T, width, height int, anytime ...upgrade.Choice) *sitting {
	d := &told{}
	s := &sitting{t: t, told: d, screen: newScreen(Person{By: "kim@desk", Decide: d.decide, Anytime: anytime}, view.Style{}, fixed)}
	s.ctx = t.Context()
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

func (s *sitting) send(msg tea.Msg) tea.Cmd {
	model, cmd := s.Update(msg)
	s.screen = model.(screen)
	return cmd
}

func (s *sitting) sees(snap snapshot.Snapshot) { s.send(Seen{Snapshot: snap}) }

// press presses keys, named as bubbletea names them, and lets what was decided be answered.
func (s *sitting) press(keys ...string) {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "backspace": tea.KeyBackspace}
	for _, key := range keys {
		msg := tea.KeyPressMsg{Text: key, Code: []rune(key)[0]}
		if code, ok := special[key]; ok {
			msg = tea.KeyPressMsg{Code: code}
		}
		if cmd := s.send(msg); cmd != nil {
			s.send(cmd())
		}
	}
}

func (s *sitting) types(text string) {
	for _, r := range text {
		s.press(string(r))
	}
}

// requireFrame compares the picture with a golden file.
func (s *sitting) requireFrame(name string) {
	s.t.Helper()
	got := s.View().Content
	if s.height > 0 {
		require.LessOrEqual(s.t, strings.Count(got, "\n"), s.height, "it fits")
	}
	file := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(s.t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(s.t, err)
	require.Equal(s.t, string(want), got)
}

// underWay is an upgrade of so many workers, the first done, the second draining, the others to come.
func underWay(workers int) snapshot.Snapshot {
	s := snap(upgrade.Running)
	s.Hop, s.Hops, s.MaxUnavailable = 1, 1, upgrade.AtMost(1)
	s.Stages = []upgrade.Progress{{Title: "Upgrade the workers to v1.37.2", State: upgrade.Running, Started: s.Started.Add(5 * time.Second)}}
	for i := range workers {
		n := upgrade.NodePlan{Node: fmt.Sprintf("w%d", i+1), Role: upgrade.Worker, From: s.From, To: s.Target,
			Steps: upgrade.KubeadmSteps(upgrade.Worker, false)}.NewStatus(1)
		for j := range n.Steps {
			step := &n.Steps[j]
			step.Started = s.Started.Add(time.Duration(5*i+j) * time.Second)
			switch {
			case i == 0 || i == 1 && j < 2:
				step.State, step.Ended = upgrade.Done, step.Started.Add(time.Second)
			case i == 1 && j == 2:
				step.State, step.Attempts = upgrade.Running, 2
			default:
				step.Started = time.Time{}
			}
		}
		n.State = map[int]upgrade.State{0: upgrade.Done, 1: upgrade.Running}[i]
		if i > 1 {
			n.State = upgrade.Pending
		}
		s.Nodes = append(s.Nodes, n)
	}
	s.Notes = []snapshot.Note{{Node: "w2", Text: "2 pods on their way out", PodsLeft: 3},
		{Node: "w2", Text: "shop/web-1 blocked by PodDisruptionBudget shop/web (needs 3 healthy, has 3)"}}
	return s
}

const blocked = "drain w2: not empty after 25s: shop/web-1 blocked by PodDisruptionBudget shop/web (needs 3 healthy, has 3); make room for the pods or relax the budget, then retry"

func held(workers int) snapshot.Snapshot {
	s := underWay(workers)
	s.State, s.Message, s.Notes = upgrade.Held, "w2: Drain: "+blocked, nil
	n := &s.Nodes[1]
	n.State, n.Held = upgrade.Held, "Drain: "+blocked
	n.Wait = &upgrade.Wait{For: upgrade.ForDecision, Node: "w2", At: "Drain", Reason: blocked, Since: s.Started.Add(20 * time.Second),
		Choices: []upgrade.Choice{{Update: "retry", Does: "try the step again", Example: `{"reason":"the budget is relaxed"}`},
			{Update: "skip", Does: "leave the node as it is", Example: `{"reason":"its disk is broken"}`}}}
	n.Steps[2].Holds = []upgrade.Hold{{Reason: blocked, From: s.Started.Add(20 * time.Second)}}
	return s
}

func TestFrames(t *testing.T) {
	for name, do := range map[string]func(*sitting){
		"begun":   func(*sitting) {},
		"running": func(s *sitting) { s.sees(underWay(4)) },
		"held":    func(s *sitting) { s.sees(held(4)) },
		"details": func(s *sitting) { s.sees(held(4)); s.press("enter") },
		"help":    func(s *sitting) { s.sees(held(4)); s.press("?") },
		"asked":   func(s *sitting) { s.sees(held(4)); s.press("r"); s.types("the budget is relaxed") },
		"away": func(s *sitting) {
			s.sees(underWay(4))
			s.send(Seen{Away: "Temporal at 127.0.0.1:7233 does not answer"})
		},
		"done": func(s *sitting) {
			done := underWay(1)
			done.State, done.Ended, done.Notes, done.Stages = upgrade.Done, done.Started.Add(time.Minute), nil, nil
			s.sees(done)
		},
		"many": func(s *sitting) {
			s.sees(held(400))
			for range 150 {
				s.press("j")
			}
		},
		"last": func(s *sitting) { s.sees(held(400)); s.press("G") },
	} {
		t.Run(name, func(t *testing.T) {
			s := sit(t, 100, 20)
			do(s)
			s.requireFrame(name)
		})
	}
	t.Run("small", func(t *testing.T) {
		s := sit(t, 40, 12)
		s.sees(held(400))
		s.requireFrame("small")
	})
}

func TestSelectionFollowsTheWorkUntilAPersonMovesIt(t *testing.T) {
	s := sit(t, 80, 24)
	s.sees(underWay(4))
	require.Equal(t, "w2", s.selected)
	s.press("down")
	s.sees(held(4))
	require.Equal(t, "w3", s.selected, "a person moved it")
	s.press("tab")
	require.Equal(t, "w2", s.selected, "the next that waits")
	s.press("g", "k")
	require.Equal(t, "w1", s.selected)
	s.press("G", "j")
	require.Equal(t, "w4", s.selected)
}

func TestDetailsScrollAsFarAsThereIsMore(t *testing.T) {
	s := sit(t, 60, 12)
	s.sees(held(4))
	s.press("enter")
	require.NotContains(t, s.View().Content, "Uncordon")
	s.press("G", "G")
	require.Contains(t, s.View().Content, "Uncordon")
	s.press("k")
	require.NotContains(t, s.View().Content, "Uncordon", "one line up is one line up")
	s.press("esc")
	require.Contains(t, s.View().Content, "NODE")
}

func TestARetryIsAskedForAReasonAndSent(t *testing.T) {
	s := sit(t, 80, 24)
	s.sees(underWay(4))
	s.press("r")
	require.Nil(t, s.asked, "nothing waits, so there is nothing to retry")
	s.sees(held(4))
	s.press("r")
	s.types("it is q?")
	s.press("backspace", "esc", "r")
	s.types("relaxed")
	s.press("enter")
	require.Equal(t, []string{`retry "w2" {"by":"kim@desk","reason":"relaxed"}`}, s.told.decisions)
	require.Contains(t, s.View().Content, "w2: trying again")
	s.told.refusal = errors.New("retry lab w2: nothing is held here, so there is nothing to retry")
	s.press("r", "enter")
	require.Contains(t, s.View().Content, "nothing is held here")
	s.press("j")
	require.NotContains(t, s.View().Content, "nothing is held here")
	s.press("r")
	require.Nil(t, s.asked, "another node is selected, and it waits for nothing")
}

// TestWhatCanBeDoneComesFromTheWaits: an update that this screen has never heard of can be sent too.
func TestWhatCanBeDoneComesFromTheWaits(t *testing.T) {
	s := sit(t, 120, 24, upgrade.Choice{Update: "pause"}, upgrade.Choice{Update: "abort"})
	snap := held(4)
	snap.Nodes[1].Wait.Choices = []upgrade.Choice{{Update: "retry"}, {Update: "skip", Example: `{"uncordon":true,"reason":"why"}`},
		{Update: "deletePods", Example: `{"pods":["shop/web-1"],"reason":"why"}`}}
	snap.Waits = []upgrade.Wait{{For: upgrade.ForApproval, At: "workers", Reason: "approve the workers", Choices: []upgrade.Choice{{Update: "approve"}}}}
	s.sees(snap)
	require.Contains(t, s.View().Content, "r retry   s skip   1 deletePods   a approve   p pause   x abort   ")
	s.press("s")
	s.types("broken disk")
	s.press("enter", "a", "enter", "1")
	require.Contains(t, s.View().Content, `deletePods w2, with: {"pods":["shop/web-1"],"reason":"why"}`)
	s.press("backspace", "enter")
	require.Contains(t, s.View().Content, "that is no JSON object")
	s.types("}")
	s.press("enter", "p", "enter")
	require.Equal(t, []string{
		`skip "w2" {"by":"kim@desk","reason":"broken disk","uncordon":true}`,
		`approve "" {"by":"kim@desk","reason":""}`,
		`deletePods "w2" {"by":"kim@desk","pods":["shop/web-1"],"reason":"why"}`,
		`pause "" {"by":"kim@desk","reason":""}`,
	}, s.told.decisions)
	snap.State, snap.Ended, snap.Waits, snap.Nodes = upgrade.Done, snap.Started.Add(time.Minute), nil, nil
	s.sees(snap)
	require.Empty(t, s.offers())
}

func TestKeysThatLeave(t *testing.T) {
	for _, key := range []tea.KeyPressMsg{{Text: "q", Code: 'q'}, {Code: 'c', Mod: tea.ModCtrl}} {
		s := sit(t, 80, 24)
		s.sees(held(4))
		require.IsType(t, tea.QuitMsg{}, s.send(key)())
		require.True(t, s.left)
	}
	s := sit(t, 80, 24)
	s.sees(held(4))
	s.press("r")
	s.types("q")
	require.False(t, s.left, "it is part of a reason")
}

// TestRecording shows how the picture looked during a real upgrade of a simulated cluster, in docs/watch.md. The run is
// recorded by `PAWL_UPDATE_IMAGES=1 go test ./integration -run TestTemporalUI -count=1`, the page is made with -update.
func TestRecording(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "run.jsonl"))
	require.NoError(t, err)
	var all []snapshot.Snapshot
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s snapshot.Snapshot
		require.NoError(t, json.Unmarshal(lines.Bytes(), &s))
		all = append(all, s)
	}
	require.NotEmpty(t, all)
	require.Equal(t, upgrade.Done, all[len(all)-1].State)
	s := sit(t, 96, 20)
	s.style = view.Style{}
	var frames []string
	add := func(about string) {
		frames = append(frames, fmt.Sprintf("%s\n\n```\n%s```\n", about, s.View().Content))
	}
	last := ""
	for _, snap := range all {
		s.clock = func() time.Time { return latest(snap) }
		s.sees(snap)
		now := snap.State
		moving := slices.IndexFunc(snap.Nodes, func(n upgrade.NodeStatus) bool { return n.State == upgrade.Running })
		switch title := stageOf(snap); {
		case now == upgrade.Held && last != "held":
			last = "held"
			add("It is held. The keys at the bottom are what can be done about the node that is selected:")
			s.press("enter")
			add("*enter*: the node, with the whole reason:")
			s.press("esc", "r")
			s.types("the budget is relaxed")
			add("*r* asks for a reason:")
			s.press("enter")
		case now == upgrade.Done:
			add("Done:")
		case moving >= 0 && snap.PodsLeft(snap.Nodes[moving].Node) > 0 && last != "drain":
			last = "drain"
			add("A drain: how many pods are left, and what keeps them:")
		case moving >= 0 && title != last && last != "drain":
			last = title
			add(title + ":")
		}
	}
	page := filepath.Join("..", "..", "..", "docs", "watch.md")
	const marker = "<!-- frames: go test ./starter/internal/watch -run TestRecording -update -->\n"
	doc, err := os.ReadFile(page)
	require.NoError(t, err)
	intro, was, found := strings.Cut(string(doc), marker)
	require.True(t, found)
	got := "\n" + strings.Join(frames, "\n")
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(intro+marker+got), 0o644))
		return
	}
	require.Equal(t, was, got)
}

func stageOf(s snapshot.Snapshot) string {
	if len(s.Stages) == 0 {
		return ""
	}
	return s.Stages[len(s.Stages)-1].Title
}

// latest is the last moment that a snapshot knows of: about when it was made.
func latest(s snapshot.Snapshot) time.Time {
	at := s.Started
	later := func(times ...time.Time) {
		for _, t := range times {
			if t.After(at) {
				at = t
			}
		}
	}
	later(s.Ended)
	for _, stage := range s.Stages {
		later(stage.Started, stage.Ended)
	}
	for _, n := range s.Nodes {
		for _, step := range n.Steps {
			later(step.Started, step.Ended)
			for _, h := range step.Holds {
				later(h.From, h.To)
			}
		}
	}
	return at
}
