package view

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

// Changes says what is new in cur against prev, one line for each change, each with its time, oldest first. Without a
// prev, everything that has begun is new.
func Changes(prev *snapshot.Snapshot, cur snapshot.Snapshot, now time.Time) []string {
	var before snapshot.Snapshot
	if prev != nil {
		before = *prev
	}
	var c changes
	if prev == nil {
		c.add(cur.Started, cur.Cluster, path(cur.Status)+" started")
	}
	for i, stage := range cur.Stages {
		was := upgrade.Progress{}
		if i < len(before.Stages) {
			was = before.Stages[i]
		}
		c.progress(cur.Cluster, stage.Title, was.State, stage.State, was.Started, stage.Started, stage.Ended, now)
	}
	for _, n := range cur.Nodes {
		c.node(find(before.Nodes, n), n, now)
	}
	for _, note := range cur.Notes {
		if !slices.Contains(before.Notes, note) {
			c.add(now, nameOr(note.Node, cur.Cluster), note.Text)
		}
	}
	if prev != nil || cur.State != upgrade.Running {
		c.run(before, cur, now)
	}
	return c.lines(now.Location())
}

type change struct {
	at   time.Time
	text string
}

type changes []change

func (c *changes) add(at time.Time, who, what string) {
	*c = append(*c, change{at, who + " " + what})
}

// progress notes the begin and the end of a stage or step.
func (c *changes) progress(who, title string, was, is upgrade.State, wasStarted, started, ended, now time.Time) {
	if was == is && wasStarted.Equal(started) || is == upgrade.Pending || is == "" {
		return
	}
	switch is {
	case upgrade.Running:
		c.add(or(started, now), who, title+" started")
	default:
		c.add(or(ended, now), who, strings.TrimRight(fmt.Sprintf("%s %s %s", title, is, elapsed(started, ended, now)), " "))
	}
}

func (c *changes) node(was, is upgrade.NodeStatus, now time.Time) {
	for i, step := range is.Steps {
		old := upgrade.StepStatus{}
		if i < len(was.Steps) {
			old = was.Steps[i]
		}
		c.progress(is.Node, step.Step.Title(), old.State, step.State, old.Started, step.Started, step.Ended, now)
	}
	if is.Held != "" && is.Held != was.Held {
		c.add(now, is.Node, "held: "+is.Held)
	}
	if is.State != was.State && is.State.Ended() {
		at, took := now, ""
		if len(is.Steps) > 0 {
			last := is.Steps[len(is.Steps)-1]
			at, took = or(last.Ended, now), " "+elapsed(is.Steps[0].Started, last.Ended, now)
		}
		c.add(at, is.Node, strings.TrimRight(fmt.Sprintf("%s, %s -> %s%s", is.State, is.From, is.To, took), " "))
		if is.Left != "" {
			c.add(at, is.Node, "left "+is.Left)
		}
	}
}

func (c *changes) run(was, is snapshot.Snapshot, now time.Time) {
	if was.State == is.State && was.Message == is.Message {
		return
	}
	text := string(is.State)
	if is.State.Ended() {
		text += " " + elapsed(is.Started, is.Ended, now)
	}
	if is.Message != "" && !repeated(is) {
		text += ": " + is.Message
	}
	c.add(or(is.Ended, now), is.Cluster, text)
}

// lines are the changes in the order of their times. What happened at one time stays in the order of the runbook.
func (c changes) lines(zone *time.Location) []string {
	sort.SliceStable(c, func(i, j int) bool { return c[i].at.Before(c[j].at) })
	var lines []string
	for _, x := range c {
		lines = append(lines, x.at.In(zone).Format("15:04:05")+" "+x.text)
	}
	return lines
}

func find(nodes []upgrade.NodeStatus, n upgrade.NodeStatus) upgrade.NodeStatus {
	for _, have := range nodes {
		if have.Node == n.Node && have.Hop == n.Hop {
			return have
		}
	}
	return upgrade.NodeStatus{}
}

func or(t, fallback time.Time) time.Time {
	if t.IsZero() {
		return fallback
	}
	return t
}

func nameOr(name, fallback string) string {
	if name == "" {
		return fallback
	}
	return name
}
