package forecast

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	budgetSource   = "https://kubernetes.io/docs/tasks/run-application/configure-pdb/"
	evictionSource = "https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/#how-api-initiated-eviction-works"
	drainSource    = "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/"
	placeSource    = "https://kubernetes.io/docs/concepts/scheduling-eviction/"
	emptyDirSource = "https://kubernetes.io/docs/concepts/storage/volumes/#emptydir"
)

// findingsOfAKind is how many findings there may be with the same id; what there is beyond is counted in one more.
const findingsOfAKind = 20

// unseen says what could not be looked at.
func unseen(w Workloads) []upgrade.Finding {
	var found []upgrade.Finding
	for _, what := range w.Unseen {
		found = append(found, upgrade.Finding{ID: upgrade.DrainUnseen, Severity: upgrade.SeverityInfo, Message: what})
	}
	return found
}

// matter is what is the matter with a budget or with the pods of a controller, over all drains.
type matter struct {
	cause  cause
	target string
	why    string
	nodes  []string // whose drains it concerns, in order
	pods   []string
	count  int
	until  bool // only until the node is back
}

// matters gathers them, in the order in which they come.
type matters struct {
	list []*matter
	by   map[matterKey]*matter
}

type matterKey struct {
	cause  cause
	target string
}

func (all *matters) add(c cause, target, why, node string) *matter {
	key := matterKey{c, target}
	m := all.by[key]
	if m == nil {
		m = &matter{cause: c, target: target, why: why, until: true}
		if all.by == nil {
			all.by = map[matterKey]*matter{}
		}
		all.by[key] = m
		all.list = append(all.list, m)
	}
	m.count++
	if !slices.Contains(m.nodes[max(0, len(m.nodes)-1):], node) { // they come node by node
		m.nodes = append(m.nodes, node)
	}
	return m
}

// findings says once for each budget and controller what a person should know before the upgrade.
func findings(p upgrade.Plan, w Workloads, drains []*drained) []upgrade.Finding {
	var blocked, noRoom, lost matters
	for _, d := range drains {
		node := d.node.name()
		for _, k := range d.blocked {
			switch k.cause {
			case budgetSpent, budgetFailed:
				blocked.add(k.cause, "PodDisruptionBudget "+k.budget, k.why, node)
			case noController:
				m := blocked.add(k.cause, "", k.why, node)
				m.pods = append(m.pods, k.Namespace+"/"+k.Name)
			default:
				blocked.add(k.cause, k.of, k.why, node)
			}
		}
		for _, r := range d.pending {
			m := noRoom.add(goes, r.of, r.why, node)
			m.until = m.until && r.until != ""
		}
		for _, r := range d.emptyDir {
			lost.add(goes, r.of, "", node)
		}
	}
	found := bounded(upgrade.DrainBlocked, "budgets or controllers that block drains", blocked.list, blockedFinding)
	found = append(found, bounded(upgrade.DrainNoRoom, "controllers whose pods find no place", noRoom.list, roomFinding(p, w, noRoom.list))...)
	return append(found, lostFinding(lost.list)...)
}

// bounded makes findings, and one that counts those that are too many.
func bounded(id, what string, all []*matter, finding func(*matter) upgrade.Finding) []upgrade.Finding {
	var found []upgrade.Finding
	for _, m := range all[:min(len(all), findingsOfAKind)] {
		f := finding(m)
		f.ID, f.Target = id, m.target
		found = append(found, f)
	}
	if more := len(all) - len(found); more > 0 {
		found = append(found, upgrade.Finding{ID: id, Severity: upgrade.SeverityWarning, Message: fmt.Sprintf("there are %d more %s", more, what)})
	}
	return found
}

func blockedFinding(m *matter) upgrade.Finding {
	f := upgrade.Finding{Severity: upgrade.SeverityWarning, Message: fmt.Sprintf("will block the drain of %s: %s", few(m.nodes), m.why)}
	switch m.cause {
	case budgetSpent:
		f.Remedy, f.Source = "add a replica or relax the budget", budgetSource
		if strings.Contains(m.why, "found no room") {
			f.Remedy = "make room for its pods, or relax the budget"
		}
	case budgetFailed:
		f.Remedy, f.Source = "give the budget a selector of pods whose controllers have a scale", budgetSource
	case twoBudgets:
		f.Message = fmt.Sprintf("its pods will block the drain of %s: %s", few(m.nodes), m.why)
		f.Remedy, f.Source = "leave one budget for each pod", evictionSource
	case noController:
		f.Message = fmt.Sprintf("%s without a controller will block the drain of %s: %s", counted(m.count, "pod"), few(m.nodes), few(m.pods))
		f.Remedy, f.Source = "delete them yourself; nothing brings them back", drainSource
	case comesBack:
		f.Message = fmt.Sprintf("its pods will block the drain of %s: each %s", few(m.nodes), strings.TrimPrefix(m.why, "it "))
		f.Remedy, f.Source = "let it not tolerate "+cordon.Key+", or make room elsewhere", placeSource+"taint-and-toleration/"
	}
	return f
}

// roomFinding says of pods that find no place whether fewer workers at a time would help.
func roomFinding(p upgrade.Plan, w Workloads, all []*matter) func(*matter) upgrade.Finding {
	still := map[string]bool{}
	p, fewer := oneByOne(p)
	if fewer = fewer && len(all) > 0; fewer {
		for _, d := range walk(p, w) {
			for _, r := range d.pending {
				still[r.of] = true
			}
		}
	}
	return func(m *matter) upgrade.Finding {
		f := upgrade.Finding{Severity: upgrade.SeverityWarning, Source: placeSource}
		f.Message = fmt.Sprintf("%s will find no other place when %s drained: %s", counted(m.count, "pod"), areDrained(m.nodes), m.why)
		if m.until {
			f.Message += "; Pending until a node is back"
		} else {
			f.Message += "; Pending also when all nodes are back"
		}
		f.Remedy = "add a node, or lower what the pods ask for"
		if fewer && !still[m.target] {
			f.Remedy = "with workers.maxUnavailable 1 there would be room"
		}
		if m.until && strings.Contains(m.why, words[farFromVolume][0]) {
			f.Severity, f.Remedy = upgrade.SeverityInfo, ""
		}
		return f
	}
}

// oneByOne is the plan with one node at a time where a person may choose how many, and whether that is fewer.
func oneByOne(p upgrade.Plan) (one upgrade.Plan, fewer bool) {
	fewer = len(p.Pools) == 0 && p.Settings.MaxUnavailable.Number > 1
	p.Settings.MaxUnavailable = upgrade.AtMost(1)
	p.Pools = slices.Clone(p.Pools)
	for i := range p.Pools {
		if pool := &p.Pools[i]; pool.Strategy == upgrade.Rolling && pool.AtOnce > 1 {
			pool.AtOnce, fewer = 1, true
		}
	}
	return p, fewer
}

// lostFinding names whose scratch data drains give up.
func lostFinding(all []*matter) []upgrade.Finding {
	if len(all) == 0 {
		return nil
	}
	of := make([]string, 0, len(all))
	for _, m := range all {
		of = append(of, m.target)
	}
	return []upgrade.Finding{{ID: upgrade.DrainLost, Severity: upgrade.SeverityInfo, Source: emptyDirSource,
		Message: "drains delete what pods keep in emptyDir volumes: " + few(of)}}
}

// few lists names, and how many more there are.
func few(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func areDrained(nodes []string) string {
	if len(nodes) == 1 {
		return nodes[0] + " is"
	}
	return few(nodes) + " are"
}
