package upgrade

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Strategy is how the workers of a pool come to a new version.
type Strategy string

// The strategies.
const (
	Rolling     Strategy = "rolling"     // a few at a time, the next one as soon as one is done
	AllAtOnce   Strategy = "allAtOnce"   // every one at the same time; the applications are down meanwhile
	AddNewNodes Strategy = "addNewNodes" // new nodes join, pods move, old nodes are removed
	ByProvider  Strategy = "byProvider"  // by updates of the provider's own, one after another
)

// Order is in which order the nodes of a pool have their turn.
type Order string

// The orders.
const (
	ByName   Order = "name"
	ByZone   Order = "zone" // then by name
	ByAge    Order = "age"  // the oldest node first
	AsListed Order = "listed"
)

// DefaultPool is the name of the pool of all workers that no other pool selects.
const DefaultPool = "workers"

// DefaultJoinTimeout is how long a new machine may take to become a Ready node: it boots, pulls images and joins.
const DefaultJoinTimeout = 15 * time.Minute

// PoolSettings is a pool of workers as the cluster's definition has it.
type PoolSettings struct {
	Name string `json:"name"`
	// Selector chooses nodes by their labels; empty chooses all. A node belongs to the first pool that selects it.
	Selector string   `json:"selector,omitempty"`
	Strategy Strategy `json:"strategy"`
	// MaxUnavailable bounds how many nodes of the pool are out of service at a time (Rolling).
	MaxUnavailable Amount `json:"maxUnavailable,omitzero"`
	// MaxSurge bounds how many new nodes there are at a time whose old ones are not gone (AddNewNodes).
	MaxSurge Amount `json:"maxSurge,omitzero"`
	// OneZoneAtATime: no node is begun with while one of another zone is under way.
	OneZoneAtATime bool  `json:"oneZoneAtATime,omitempty"`
	Order          Order `json:"order,omitempty"`
	// Nodes are those that come first, in this order (AsListed).
	Nodes []string `json:"nodes,omitempty"`
	// Canary: the first node is done before any other is begun with.
	Canary bool `json:"canary,omitempty"`
	// Drain: pods are evicted within their budgets; else they are stopped (AllAtOnce).
	Drain bool `json:"drain,omitempty"`
	// Rebalance: when the pool is done, pods that crowd together are spread over its nodes.
	Rebalance bool `json:"rebalance,omitempty"`
	// Provider says in a word where new nodes come from (AddNewNodes): asg, ec2, command, webhook.
	Provider string `json:"provider,omitempty"`
	// JoinTimeout is how long a new machine may take to become a Ready node (AddNewNodes).
	JoinTimeout Duration `json:"joinTimeout,omitzero"`
}

// Pool is a pool of workers as a plan goes about it.
type Pool struct {
	PoolSettings
	Size   int `json:"size"`   // how many workers belong to it
	AtOnce int `json:"atOnce"` // how many are under way at a time
}

// pools are those of the definition that have nodes, each with its figures. Plans from before there were pools have none;
// see Plan.PoolOf.
func pools(s Settings, nodes []Node) []Pool {
	var all []Pool
	for _, of := range s.Pools {
		p := Pool{PoolSettings: of}
		for _, n := range nodes {
			if !n.ControlPlane && n.Pool == of.Name {
				p.Size++
			}
		}
		switch of.Strategy {
		case AllAtOnce:
			p.AtOnce = p.Size
		case AddNewNodes:
			p.AtOnce = of.MaxSurge.Of(p.Size)
		default: // never every node
			p.AtOnce = max(1, min(of.MaxUnavailable.Or(s.MaxUnavailable).Of(p.Size), p.Size-1))
		}
		if p.Size > 0 {
			all = append(all, p)
		}
	}
	return all
}

// checkPools finds pools that select nothing, and says what a person agrees to.
func checkPools(p Plan, hops []Hop) []Finding {
	var found []Finding
	for _, of := range p.Settings.Pools {
		if of.Selector != "" && !slices.ContainsFunc(p.Pools, func(has Pool) bool { return has.Name == of.Name }) {
			found = append(found, Finding{ID: PoolEmpty, Severity: SeverityWarning, Target: of.Name, Message: "the pool selects no worker: " + of.Selector,
				Remedy: "look at the selector and at the nodes' labels"})
		}
	}
	for _, h := range hops {
		for _, part := range p.Parts(h) {
			if part.Pool.Strategy == AllAtOnce {
				found = append(found, Finding{ID: ApplicationsDown, Severity: SeverityWarning, Target: part.Pool.Name,
					Message: fmt.Sprintf("all %d nodes are upgraded at the same time: what runs on them only is down for about %s", len(part.Nodes), p.downFor(part.Nodes).Round(time.Second)),
					Remedy:  "it waits for an approval before it begins; waive " + ApplicationsDown + " to agree beforehand"})
			}
		}
	}
	return append(found, checkReplacedOnce(hops)...)
}

// downFor is how long all of these nodes together take, from the first step that moves pods.
func (p Plan) downFor(nodes []NodePlan) time.Duration {
	var longest time.Duration
	for _, n := range nodes {
		var all time.Duration
		for _, s := range n.Steps {
			if s != InstallKubeadm && s != UpgradeNodeConfig {
				all += expectation(n.Role, s, p.Measured)
			}
		}
		longest = max(longest, all)
	}
	return longest
}

// checkReplacedOnce refuses plans that would replace a place's node twice: nobody can name the node that the second time is
// to replace, before there is it.
func checkReplacedOnce(hops []Hop) []Finding {
	var found []Finding
	for i, h := range hops[:max(0, len(hops)-1)] {
		for _, n := range h.Workers {
			if n.Replaces() {
				found = append(found, failure(VersionPath, n.Node, fmt.Sprintf("would have to be replaced in the hop to %s and again later: its kubelet %s is too old for the whole way", h.To, n.From),
					"upgrade to "+hops[i].To.String()+" first, then on"))
			}
		}
	}
	return found
}

// PoolPart is what a hop does to a pool.
type PoolPart struct {
	Pool  Pool
	Nodes []NodePlan
}

// Parts are those of the workers that are taken out of service in the hop, pool after pool, in the order in which they
// have their turn.
func (p Plan) Parts(h Hop) []PoolPart {
	_, move := h.SplitWorkers()
	var parts []PoolPart
	for _, n := range move {
		last := len(parts) - 1
		if last < 0 || parts[last].Nodes[0].Pool != n.Pool {
			parts = append(parts, PoolPart{Pool: poolOf(p.Pools, n.Pool, p.Settings.MaxUnavailable.Of(len(move)))})
			last++
		}
		parts[last].Nodes = append(parts[last].Nodes, n)
	}
	return parts
}

// poolOf is a pool by its name. In plans from before there were pools it is one of all workers.
func poolOf(pools []Pool, name string, atOnce int) Pool {
	for _, p := range pools {
		if p.Name == name {
			return p
		}
	}
	return Pool{PoolSettings: PoolSettings{Name: cmp.Or(name, DefaultPool), Strategy: Rolling}, AtOnce: atOnce}
}

// Rounds parts the nodes of a pool into those that follow one another: the canary, then zone after zone. Within a round up
// to AtOnce are under way.
func (part PoolPart) Rounds() [][]NodePlan {
	return rounds(part.Pool, part.Nodes, func(n NodePlan) string { return n.Zone })
}

func rounds[T any](p Pool, nodes []T, zone func(T) string) [][]T {
	var all [][]T
	if p.Canary && len(nodes) > 1 {
		all, nodes = append(all, nodes[:1]), nodes[1:]
	}
	for i, n := range nodes {
		if i == 0 || p.OneZoneAtATime && zone(n) != zone(nodes[i-1]) {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], n)
	}
	return all
}

// inTurn sorts workers: pool after pool, each in its own order. Zones stay together where one follows another.
func inTurn(nodes []Node, pools []PoolSettings) []Node {
	rank := func(n Node) int {
		return slices.IndexFunc(pools, func(p PoolSettings) bool { return p.Name == n.Pool })
	}
	sorted := slices.Clone(nodes)
	slices.SortStableFunc(sorted, func(a, b Node) int {
		if c := cmp.Compare(rank(a), rank(b)); c != 0 || rank(a) < 0 {
			return c
		}
		p := pools[rank(a)]
		if p.Order == ByZone || p.OneZoneAtATime {
			if c := cmp.Compare(a.Zone, b.Zone); c != 0 {
				return c
			}
		}
		switch p.Order {
		case ByAge:
			if c := a.Created.Compare(b.Created); c != 0 {
				return c
			}
		case AsListed:
			if c := cmp.Compare(listed(p.Nodes, a.Name), listed(p.Nodes, b.Name)); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return sorted
}

// listed is a node's place in a list; those that are not in it come last.
func listed(nodes []string, name string) int {
	if i := slices.Index(nodes, name); i >= 0 {
		return i
	}
	return len(nodes)
}

// Pool is a pool of the definition by its name.
func (s Settings) Pool(name string) PoolSettings {
	for _, p := range s.Pools {
		if p.Name == name {
			return p
		}
	}
	return PoolSettings{Name: name, Strategy: Rolling}
}

// NodePods is how many pods a worker has, without those of DaemonSets.
type NodePods struct {
	Node string `json:"node"`
	Pods int    `json:"pods"`
}

// Outage is what an all-at-once upgrade of a pool cost: for how long services had no pod that was Ready.
type Outage struct {
	Pool string    `json:"pool"`
	From time.Time `json:"from"` // when pods began to be stopped
	To   time.Time `json:"to"`   // when the last of them was served again
	// Services are those that were away (namespace/name), Others how many more there were.
	Services []ServiceOutage `json:"services,omitempty"`
	Others   int             `json:"others,omitempty"`
}

// ServiceOutage is for how long a service was away.
type ServiceOutage struct {
	Service string   `json:"service"`
	Down    Duration `json:"down"`
}
