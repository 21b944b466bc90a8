package forecast

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// reason is why a pod cannot be on a node.
type reason int

const (
	fits reason = iota
	otherNode
	tainted
	outOfService
	farFromVolume
	crowded
	portTaken
	repelled
	alone
	uneven
	lacking // and from here on one for each resource
)

// words are what is said of one node and of several.
var words = map[reason][2]string{
	otherNode:     {"does not match its node selector or affinity", "do not match its node selector or affinity"},
	tainted:       {"has a taint that it does not tolerate", "have a taint that it does not tolerate"},
	outOfService:  {"is cordoned", "are cordoned"},
	farFromVolume: {"cannot reach its volume", "cannot reach its volume"},
	crowded:       {"has as many pods as it may have", "have as many pods as they may have"},
	portTaken:     {"has its host port in use", "have its host port in use"},
	repelled:      {"has a pod nearby that it must be apart from", "have a pod nearby that it must be apart from"},
	alone:         {"has no pod nearby that it must be with", "have no pod nearby that it must be with"},
	uneven:        {"would break its topology spread", "would break its topology spread"},
}

// cordon is the taint of a node that is unschedulable.
var cordon = corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}

func tolerates(tolerations []corev1.Toleration, taint corev1.Taint) bool {
	return slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool { return t.ToleratesTaint(klog.Logger{}, &taint, true) })
}

// toleratesAll reports whether pods with the tolerations can be scheduled in spite of the taints.
func toleratesAll(tolerations []corev1.Toleration, taints []corev1.Taint) bool {
	return !slices.ContainsFunc(taints, func(t corev1.Taint) bool {
		return t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(tolerations, t)
	})
}

// enough is how many nodes that fit are compared; schedulers of large clusters do not look at all of them either.
const enough = 50

// choose finds a node for a pod: one that fits, which is all that is certain, and of several the one with the fewest of
// its kind and then the fewest pods, much as a scheduler would prefer. not is a node that it must not be. If none fits,
// it says how many nodes do not for which reason.
func (m *world) choose(p *pod, not *node) (best *node, why map[reason]int) {
	least := leastOf(p)
	why = map[reason]int{}
	found := 0
	better := func(a, b *node) bool {
		switch {
		case b == nil:
			return true
		case a.cordoned != b.cordoned:
			return b.cordoned
		case a.same[p.template] != b.same[p.template]:
			return a.same[p.template] < b.same[p.template]
		}
		return a.places > b.places
	}
	for i := range m.nodes {
		n := m.nodes[(m.turn+i)%len(m.nodes)]
		if n == not {
			continue
		}
		if r := m.fit(p, n, least); r != fits {
			why[r]++
			continue
		}
		if better(n, best) {
			best = n
		}
		if found++; found == enough && !best.cordoned {
			m.turn = (m.turn + i + 1) % len(m.nodes)
			break
		}
	}
	return best, why
}

// leastOf are the minimums that the skews of the pod's spread constraints are measured from now.
func leastOf(p *pod) []int {
	least := make([]int, len(p.spread))
	for i, s := range p.spread {
		least[i] = s.least()
	}
	return least
}

// fit is why the pod cannot be on the node now. least is leastOf it.
func (m *world) fit(p *pod, n *node, least []int) reason {
	if why := p.static[n.index]; why != fits {
		return why
	}
	if n.cordoned && !p.tolerates {
		return outOfService
	}
	if n.places < 1 {
		return crowded
	}
	for _, r := range p.requests {
		if n.room[r.resource] < r.amount {
			return lacking + reason(r.resource)
		}
	}
	for _, v := range p.Volumes {
		if !m.reach[v][n.index] {
			return farFromVolume
		}
	}
	for _, a := range p.Ports {
		if slices.ContainsFunc(n.ports, a.conflicts) {
			return portTaken
		}
	}
	return p.fitBeside(n, least)
}

// fitBeside is why the pod cannot be beside the pods that there are.
func (p *pod) fitBeside(n *node, least []int) reason {
	for _, apart := range [][]*tally{p.avoids, p.repelledBy} {
		for _, t := range apart {
			if pods, _ := t.at(n); pods > 0 {
				return repelled
			}
		}
	}
	first := p.besideSelf && !slices.ContainsFunc(p.beside, func(t *tally) bool { return t.total > 0 })
	for _, t := range p.beside {
		if pods, in := t.at(n); !in || pods == 0 && !first {
			return alone
		}
	}
	for i, s := range p.spread {
		if pods, in := s.at(n); !in || pods+s.self-least[i] > s.maxSkew {
			return uneven
		}
	}
	return fits
}

func (a Port) conflicts(b Port) bool {
	everywhere := func(ip string) bool { return ip == "" || ip == "0.0.0.0" }
	return a.Port == b.Port && a.Protocol == b.Protocol && (a.IP == b.IP || everywhere(a.IP) || everywhere(b.IP))
}

// explain says why no node fits, in one line. Nodes that could never do, such as the control plane's, are named only
// where nothing but cordons keeps the pod from the others.
func (m *world) explain(why map[reason]int) string {
	var parts []string
	say := func(r reason) {
		nodes, text := why[r], words[r]
		if r >= lacking {
			lacks := " too little " + string(m.resources[r-lacking])
			text = [2]string{"has" + lacks, "have" + lacks}
		}
		switch {
		case nodes == 1:
			parts = append(parts, "1 node "+text[0])
		case nodes > 1:
			parts = append(parts, fmt.Sprintf("%d nodes %s", nodes, text[1]))
		}
	}
	for r := lacking; r < lacking+reason(len(m.resources)); r++ {
		say(r)
	}
	for r := farFromVolume; r < lacking; r++ {
		say(r)
	}
	others := len(parts) > 0
	say(outOfService)
	if !others {
		say(otherNode)
		say(tainted)
	}
	if len(parts) == 0 {
		return "there is no other node"
	}
	return strings.Join(parts, ", ")
}
