package workflows

import (
	"cmp"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// What Temporal's visibility knows of a ClusterUpgrade: `pawl list` and the list of Temporal's UI show it and are
// filtered by it. A namespace must know these attributes, or workflows that set them do not move; pawl-worker sees to
// it. SQLite and the SQL databases have 10 Keywords and 3 Ints for all who use the namespace.
// Source: https://docs.temporal.io/search-attribute
var (
	AttributeCluster   = temporal.NewSearchAttributeKeyKeyword("PawlCluster")
	AttributeTarget    = temporal.NewSearchAttributeKeyKeyword("PawlTarget")  // "v1.37.2"
	AttributePhase     = temporal.NewSearchAttributeKeyKeyword("PawlPhase")   // see phases
	AttributeState     = temporal.NewSearchAttributeKeyKeyword("PawlState")   // an upgrade.State
	AttributeHeldAt    = temporal.NewSearchAttributeKeyKeyword("PawlHeldAt")  // a node, or "cluster"; unset unless held
	AttributeNodes     = temporal.NewSearchAttributeKeyInt64("PawlNodes")     // how many the plan has
	AttributeNodesDone = temporal.NewSearchAttributeKeyInt64("PawlNodesDone") // of which nothing is left to do
)

// SearchAttributes are all of them, in the order in which they are to be shown.
var SearchAttributes = []temporal.SearchAttributeKey{
	AttributeCluster, AttributeTarget, AttributePhase, AttributeState, AttributeHeldAt, AttributeNodes, AttributeNodesDone,
}

// IndexedValueTypes are the attributes by name, as Temporal's API wants them.
func IndexedValueTypes() map[string]enumspb.IndexedValueType {
	types := map[string]enumspb.IndexedValueType{}
	for _, a := range SearchAttributes {
		types[a.GetName()] = a.GetValueType()
	}
	return types
}

// MemoMessage is the memo that says in one line why an upgrade is held or has failed; empty when all is well.
const MemoMessage = "message"

const maxMemoMessage = 1000 // runes

// MemoMoments is the memo that says since when an upgrade is held, and when its maintenance window opens or closes: Moments.
const MemoMoments = "moments"

// Moments are times that dashboards count from. Each is zero where there is none.
type Moments struct {
	HeldSince    time.Time `json:"heldSince,omitzero"`    // by the oldest of what waits for a person
	WindowOpens  time.Time `json:"windowOpens,omitzero"`  // that is waited for
	WindowCloses time.Time `json:"windowCloses,omitzero"` // in which the latest work was begun
}

// phases are the stages of the runbook, by how their titles begin, as people ask for them.
var phases = []struct{ title, phase string }{
	{"Plan", "plan"},
	{"Check the control plane", "check"},
	{"Back up", "backup"},
	{"Upgrade the control plane to", "control-plane"},
	{"Upgrade the control plane's kubelets", "control-plane-kubelets"},
	{"Let the control plane bake", "bake"},
	{"Upgrade the workers", "workers"},
	{"Verify the cluster", "verify"},
	{"Check that the rest", "check-rest"},
	{"Check that the plan still fits", "check-rest"},
	{"Wait for a maintenance window", "window"},
	{"Wait for the health", "health"},
	{"Run the hooks", "hooks"},
	{"Look at what was left", "stop"},
}

// phaseOf is the phase of a stage. One that has no name of its own keeps its title.
func phaseOf(title string) string {
	for _, p := range phases {
		if strings.HasPrefix(title, p.title) {
			return p.phase
		}
	}
	return title
}

// indexed is what visibility was told last.
type indexed struct {
	cluster, target, phase, state, heldAt, message string
	nodes, nodesDone                               int
	moments                                        Moments
}

// differs reports whether it is worth telling: each time costs an event of the history. Nodes that are done are counted by
// the hundredth.
func (i indexed) differs(was indexed) bool {
	if moved := i.nodesDone - was.nodesDone; moved > 0 && moved < i.nodes/100 {
		i.nodesDone = was.nodesDone
	}
	return i != was
}

// index tells visibility where the upgrade is.
func (u *clusterUpgrade) index(ctx workflow.Context) {
	const withMoments = 2
	now, was := indexOf(u.status), u.indexed
	version := workflow.GetVersion(ctx, "search-attributes", workflow.DefaultVersion, withMoments)
	switch {
	case version != withMoments:
		now.moments = Moments{}
	case u.windows.wait == nil:
		u.windows.begunUntil = u.windows.known.To
		fallthrough
	default:
		now.moments.WindowCloses = second(u.windows.begunUntil)
	}
	if !now.differs(was) || version == workflow.DefaultVersion {
		return
	}
	u.indexed = now
	updates := []temporal.SearchAttributeUpdate{
		AttributeCluster.ValueSet(now.cluster), AttributeState.ValueSet(now.state), AttributePhase.ValueSet(now.phase),
		AttributeHeldAt.ValueUnset(), AttributeNodes.ValueSet(int64(now.nodes)), AttributeNodesDone.ValueSet(int64(now.nodesDone)),
	}
	if now.heldAt != "" {
		updates[3] = AttributeHeldAt.ValueSet(now.heldAt)
	}
	if now.target != "" {
		updates = append(updates, AttributeTarget.ValueSet(now.target))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes cannot be set", "error", err)
	}
	memo := map[string]any{MemoMessage: now.message}
	if now.moments != was.moments {
		memo[MemoMoments] = now.moments
	} else if now.message == was.message {
		return
	}
	if err := workflow.UpsertMemo(ctx, memo); err != nil {
		workflow.GetLogger(ctx).Warn("the memo cannot be set", "error", err)
	}
}

// momentsOf are those of what is waited for.
func momentsOf(waits []upgrade.Wait) (m Moments) {
	for _, w := range waits {
		switch {
		case w.ForPerson() && (m.HeldSince.IsZero() || w.Since.Before(m.HeldSince)):
			m.HeldSince = second(w.Since)
		case w.For == upgrade.ForWindow:
			m.WindowOpens = second(w.Until)
		}
	}
	return m
}

// second is a time as it is kept: the same whoever compares it.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func indexOf(s upgrade.Status) indexed {
	is := indexed{cluster: s.Cluster, state: string(s.State), message: s.Message}
	if r := []rune(s.Message); len(r) > maxMemoMessage {
		is.message = string(r[:maxMemoMessage]) + " ..."
	}
	if !s.Target.IsZero() {
		is.target = s.Target.String()
	}
	if n := len(s.Stages); n > 0 {
		is.phase = phaseOf(s.Stages[n-1].Title)
	}
	if i := slices.IndexFunc(s.Waits, upgrade.Wait.ForPerson); i >= 0 && s.State == upgrade.Held {
		is.heldAt = cmp.Or(s.Waits[i].Node, "cluster")
	}
	is.moments = momentsOf(s.Waits)
	done := map[string]bool{} // of each node: in all its hops
	for _, n := range s.Nodes {
		before, seen := done[n.Node]
		done[n.Node] = n.State.Ended() && (before || !seen)
		switch {
		case !seen:
			is.nodes++
			if done[n.Node] {
				is.nodesDone++
			}
		case before && !done[n.Node]:
			is.nodesDone--
		}
	}
	return is
}
