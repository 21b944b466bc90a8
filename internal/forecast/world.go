package forecast

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// world is the model of a cluster, in which pods are moved. Everything that does not change is worked out when it is
// made, so that a move is cheap: there are tens of thousands.
type world struct {
	nodes     []*node
	byName    map[string]*node
	templates []*template
	budgets   []*budget
	reach     [][]bool // by volume and node
	resources []corev1.ResourceName
	fair      []*tally // whose domains leave cordoned nodes out
	pending   []*pod   // in the order in which they came to be
	turn      int      // where the next search for a node begins
}

// node is a node with the pods on it.
type node struct {
	index    int
	object   *corev1.Node // with what matchers look at
	room     []int64      // that is left, by resource
	places   int64        // for pods, that are left
	pods     []*pod
	same     map[*template]int
	ports    []Port
	cordoned bool
}

func (n *node) name() string { return n.object.Name }

// template is a Template made ready for being scheduled.
type template struct {
	*Template
	of         string // its controller, for people
	requests   []request
	static     []reason // by node: why its pods can never be there
	tolerates  bool     // the cordon
	budgets    []*budget
	tallies    []*tally // that count its pods
	avoids     []*tally // of pods that it must be apart from
	repelledBy []*tally // of pods that must be apart from it
	beside     []*tally // of pods that it must be beside
	besideSelf bool     // it may be the first of those
	spread     []spread
}

type request struct {
	resource int
	amount   int64
}

// tally counts pods in the parts of the cluster that a topology key makes.
type tally struct {
	domain []int // of each node; -1 is none
	count  []int
	total  int
	from   func() // counts anew, since its domains depend on cordons; mostly nil
}

func (t *tally) add(n *node, pods int) {
	if d := t.domain[n.index]; d >= 0 {
		t.count[d] += pods
		t.total += pods
	}
}

// at is how many there are in the node's domain, and whether it is in one.
func (t *tally) at(n *node) (int, bool) {
	d := t.domain[n.index]
	if d < 0 {
		return 0, false
	}
	return t.count[d], true
}

type spread struct {
	*tally
	maxSkew, minDomains int
	self                int // 1 if the pod counts itself
}

// least is the global minimum that a skew is measured from.
func (s spread) least() int {
	if len(s.count) < s.minDomains || len(s.count) == 0 {
		return 0
	}
	return slices.Min(s.count)
}

type budget struct {
	*Budget
	selector labels.Selector
	healthy  int32
	waiting  int // of its pods found no place
}

func (b *budget) name() string { return b.Namespace + "/" + b.Name }

// allows reports whether it lets a healthy pod go.
func (b *budget) allows() bool { return b.Failed == "" && b.Expected > 0 && b.healthy > b.Desired }

// pod is a pod, or the replacement of one.
type pod struct {
	*template
	Pod
	node *node
	// why there is no place for it, and the node whose return made one.
	why, until string
	waitedFor  string // the node whose return let it go
}

func (p *pod) ready() bool { return !p.Unready && !p.Pending }

// newWorld makes the model. What does not make sense in it is left out: it may come from a file.
func newWorld(w Workloads) *world {
	m := &world{byName: map[string]*node{}}
	for i := range w.Nodes {
		m.addNode(&w.Nodes[i])
	}
	known := map[string][]bool{}
	for _, v := range w.Volumes {
		m.reach = append(m.reach, m.reachable(v, known))
	}
	for i := range w.Budgets {
		selector, err := metav1.LabelSelectorAsSelector(w.Budgets[i].Selector)
		if err != nil {
			continue // the API server refuses such a budget
		}
		m.budgets = append(m.budgets, &budget{Budget: &w.Budgets[i], selector: selector, healthy: w.Budgets[i].Healthy})
	}
	for i := range w.Templates {
		m.addTemplate(&w.Templates[i])
	}
	for _, t := range m.templates {
		m.addTerms(t)
	}
	for _, t := range m.templates {
		for i := range t.Pods {
			m.addPod(&pod{template: t, Pod: t.Pods[i]})
		}
	}
	// What could be scheduled but was not waits for something that is not modelled, and takes no room.
	m.pending = slices.DeleteFunc(m.pending, func(p *pod) bool { n, _ := m.choose(p, nil); return n != nil })
	return m
}

func (m *world) addNode(o *Node) {
	if m.byName[o.Name] != nil {
		return
	}
	n := &node{index: len(m.nodes), same: map[*template]int{}, object: &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: o.Name, Labels: o.Labels}, Spec: corev1.NodeSpec{Taints: o.Taints},
	}}
	for name, quantity := range o.Allocatable {
		if name == corev1.ResourcePods {
			n.places = quantity.Value()
			continue
		}
		i := m.resource(name)
		n.grow(len(m.resources))
		n.room[i] = amount(name, o.Allocatable)
	}
	m.nodes = append(m.nodes, n)
	m.byName[o.Name] = n
}

func (n *node) grow(resources int) {
	for len(n.room) < resources {
		n.room = append(n.room, 0)
	}
}

func (m *world) resource(name corev1.ResourceName) int {
	i := slices.Index(m.resources, name)
	if i < 0 {
		i = len(m.resources)
		m.resources = append(m.resources, name)
	}
	return i
}

// amount is what a list says of a resource: of CPUs thousandths.
func amount(name corev1.ResourceName, list corev1.ResourceList) int64 {
	quantity := list[name]
	if name == corev1.ResourceCPU {
		return quantity.MilliValue()
	}
	return quantity.Value()
}

// reachable says which nodes reach a volume. Volumes of a zone have it in common.
func (m *world) reachable(v Volume, known map[string][]bool) []bool {
	key := v.Nodes.String()
	if reach := known[key]; reach != nil {
		return reach
	}
	reach := make([]bool, len(m.nodes))
	for i := range reach {
		reach[i] = v.Nodes == nil
	}
	if v.Nodes != nil {
		selector := nodeaffinity.NewLazyErrorNodeSelector(v.Nodes)
		for i, n := range m.nodes {
			reach[i], _ = selector.Match(n.object)
		}
	}
	known[key] = reach
	return reach
}

func (m *world) addTemplate(o *Template) {
	t := &template{Template: o, tolerates: tolerates(o.Tolerations, cordon)}
	t.of = "Pods of namespace " + o.Namespace
	if o.Controller.Name != "" {
		t.of = o.Controller.Kind + " " + o.Namespace + "/" + o.Controller.Name
	}
	for _, name := range sortedNames(o.Requests) {
		if a := amount(name, o.Requests); a > 0 && name != corev1.ResourcePods {
			t.requests = append(t.requests, request{m.resource(name), a})
		}
	}
	for _, n := range m.nodes {
		n.grow(len(m.resources))
	}
	for _, b := range m.budgets {
		if b.Namespace == o.Namespace && b.selector.Matches(labels.Set(o.Labels)) {
			t.budgets = append(t.budgets, b)
		}
	}
	affinity := t.nodeAffinity()
	for _, n := range m.nodes {
		why := fits
		if ok, _ := affinity.Match(n.object); !ok {
			why = otherNode
		} else if !toleratesAll(o.Tolerations, n.object.Spec.Taints) {
			why = tainted
		}
		t.static = append(t.static, why)
	}
	m.templates = append(m.templates, t)
}

func sortedNames(list corev1.ResourceList) []corev1.ResourceName {
	names := make([]corev1.ResourceName, 0, len(list))
	for name := range list {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t *template) nodeAffinity() nodeaffinity.RequiredNodeAffinity {
	return nodeaffinity.NewRequiredNodeAffinity(t.NodeSelector, &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: t.NodeAffinity},
	})
}

// addTerms makes what counts pods for the template's affinity, anti-affinity and spread.
func (m *world) addTerms(t *template) {
	for _, term := range t.AntiAffinity {
		match := t.selects(term)
		others, own := m.newTally(term.TopologyKey), m.newTally(term.TopologyKey)
		t.avoids = append(t.avoids, others)
		t.tallies = append(t.tallies, own)
		for _, x := range m.templates {
			if match(x) {
				x.tallies = append(x.tallies, others)
				x.repelledBy = append(x.repelledBy, own)
			}
		}
	}
	// Only pods that match all terms count for any of them, as the scheduler has it.
	var all []func(*template) bool
	for _, term := range t.Affinity {
		all = append(all, t.selects(term))
	}
	matchesAll := func(x *template) bool {
		return !slices.ContainsFunc(all, func(match func(*template) bool) bool { return !match(x) })
	}
	t.besideSelf = matchesAll(t)
	for _, term := range t.Affinity {
		count := m.newTally(term.TopologyKey)
		t.beside = append(t.beside, count)
		for _, x := range m.templates {
			if matchesAll(x) {
				x.tallies = append(x.tallies, count)
			}
		}
	}
	for _, c := range t.Spread {
		m.addSpread(t, c)
	}
}

func (m *world) addSpread(t *template, c corev1.TopologySpreadConstraint) {
	selector := selectorOf(c.LabelSelector, t.Labels, c.MatchLabelKeys, nil)
	s := spread{tally: &tally{}, maxSkew: int(c.MaxSkew)}
	if c.MinDomains != nil {
		s.minDomains = int(*c.MinDomains)
	}
	matched := map[*template]bool{}
	for _, x := range m.templates {
		if x.Namespace == t.Namespace && selector.Matches(labels.Set(x.Labels)) {
			matched[x] = true
			x.tallies = append(x.tallies, s.tally)
		}
	}
	if matched[t] {
		s.self = 1
	}
	affinity := t.nodeAffinity()
	counts := func(n *node) bool {
		for _, c := range t.Spread {
			if _, ok := n.object.Labels[c.TopologyKey]; !ok {
				return false
			}
		}
		if c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor &&
			(n.cordoned && !t.tolerates || !toleratesAll(t.Tolerations, n.object.Spec.Taints)) {
			return false
		}
		if c.NodeAffinityPolicy != nil && *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyIgnore {
			return true
		}
		ok, _ := affinity.Match(n.object)
		return ok
	}
	from := func() {
		s.divide(m.nodes, c.TopologyKey, counts)
		for _, n := range m.nodes {
			for x, pods := range n.same { // a sum, whatever the order
				if matched[x] {
					s.add(n, pods)
				}
			}
		}
	}
	from()
	if c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor {
		s.from = from
		m.fair = append(m.fair, s.tally)
	}
	t.spread = append(t.spread, s)
}

func (m *world) newTally(key string) *tally {
	t := &tally{}
	t.divide(m.nodes, key, func(*node) bool { return true })
	return t
}

// divide gives the nodes that count their domains, with nothing in them.
func (t *tally) divide(nodes []*node, key string, counts func(*node) bool) {
	t.domain, t.count, t.total = make([]int, len(nodes)), nil, 0
	domains := map[string]int{}
	for i, n := range nodes {
		t.domain[i] = -1
		value, ok := n.object.Labels[key]
		if !ok || !counts(n) {
			continue
		}
		d, known := domains[value]
		if !known {
			d = len(domains)
			domains[value] = d
			t.count = append(t.count, 0)
		}
		t.domain[i] = d
	}
}

// selects says which templates' pods a term of pod affinity means. Of namespaces it knows the names.
func (t *template) selects(term corev1.PodAffinityTerm) func(*template) bool {
	selector := selectorOf(term.LabelSelector, t.Labels, term.MatchLabelKeys, term.MismatchLabelKeys)
	namespaces := term.Namespaces
	if len(namespaces) == 0 && term.NamespaceSelector == nil {
		namespaces = []string{t.Namespace}
	}
	byLabel, err := metav1.LabelSelectorAsSelector(term.NamespaceSelector) // nil selects nothing
	if err != nil {
		byLabel = labels.Nothing()
	}
	return func(x *template) bool {
		return (slices.Contains(namespaces, x.Namespace) || byLabel.Matches(labels.Set{corev1.LabelMetadataName: x.Namespace})) &&
			selector.Matches(labels.Set(x.Labels))
	}
}

// selectorOf is a selector with what the keys add to it: the pod's own values, or others than these.
func selectorOf(s *metav1.LabelSelector, own map[string]string, match, mismatch []string) labels.Selector {
	if s == nil {
		return labels.Nothing()
	}
	s = s.DeepCopy()
	for operator, keys := range map[metav1.LabelSelectorOperator][]string{metav1.LabelSelectorOpIn: match, metav1.LabelSelectorOpNotIn: mismatch} {
		for _, key := range keys {
			if value, ok := own[key]; ok {
				s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
			}
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return selector
}

// addPod puts a pod where it was observed.
func (m *world) addPod(p *pod) {
	p.Volumes = slices.DeleteFunc(slices.Clone(p.Volumes), func(v int) bool { return v < 0 || v >= len(m.reach) })
	if n := m.byName[p.Node]; n != nil {
		m.put(p, n)
	} else if p.Node == "" {
		m.pending = append(m.pending, p)
	}
}

// put puts a pod on a node.
func (m *world) put(p *pod, n *node) { p.node = n; m.move(p, 1) }

// take takes a pod off its node.
func (m *world) take(p *pod) { m.move(p, -1); p.node = nil }

func (m *world) move(p *pod, by int) {
	n := p.node
	for _, r := range p.requests {
		n.room[r.resource] -= int64(by) * r.amount
	}
	n.places -= int64(by)
	for _, t := range p.tallies {
		t.add(n, by)
	}
	if n.same[p.template] += by; n.same[p.template] == 0 {
		delete(n.same, p.template)
	}
	if by > 0 {
		n.pods = append(n.pods, p)
		n.ports = append(n.ports, p.Ports...)
		return
	}
	n.pods = slices.DeleteFunc(n.pods, func(o *pod) bool { return o == p })
	for _, port := range p.Ports {
		if i := slices.Index(n.ports, port); i >= 0 {
			n.ports = slices.Delete(n.ports, i, i+1)
		}
	}
}

// cordon closes or opens a node for pods.
func (m *world) cordon(n *node, cordoned bool) {
	n.cordoned = cordoned
	for _, t := range m.fair {
		t.from()
	}
}

// movable are the pods that a drain of the node moves, in the order in which the API lists them.
func (n *node) movable() []*pod {
	pods := slices.DeleteFunc(slices.Clone(n.pods), func(p *pod) bool { return p.Stays })
	slices.SortStableFunc(pods, func(a, b *pod) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return pods
}
