package upgrade

import (
	"fmt"
	"slices"
	"strings"
)

// BinaryStep is one change on one host.
type BinaryStep struct {
	Node string `json:"node"`
	BinaryChange
}

// BinaryPhase is a part of an upgrade by hand. Its steps are done one after another.
type BinaryPhase struct {
	Title string       `json:"title"`
	Steps []BinaryStep `json:"steps"`
	// Drain is the node that has to be drained for the phase's time; empty where none has.
	Drain string `json:"drain,omitempty"`
}

// byHandOrder are the components of the control plane in the order in which they are upgraded, each on all hosts before
// the next.
// Source: https://kubernetes.io/releases/version-skew-policy/#supported-component-upgrade-order
var byHandOrder = []string{APIServer, ControllerManager, Scheduler, CloudControllerManager}

// BinaryPhases is what one hop of the control plane to a version does, in order: etcd by the versions of its own way,
// member by member with the leader last; then API servers, controller-managers, schedulers and cloud-controller-managers;
// then each node's container runtime, kubelet and kube-proxy. What is there already, or newer, is left out.
func BinaryPhases(hosts []BinaryHost, members []EtcdMember, targets BinaryTargets) []BinaryPhase {
	to := targets.Kubernetes
	var phases []BinaryPhase
	add := func(p BinaryPhase) {
		if len(p.Steps) > 0 {
			phases = append(phases, p)
		}
	}
	at := map[string]Version{} // of a host's etcd and tools, on the way
	for _, v := range targets.Etcd {
		p := BinaryPhase{Title: "etcd " + v.String()}
		for _, h := range leaderLast(hosts, members) {
			p.Steps = append(p.Steps, stepsOf(h, at, v, etcd, Etcdctl, Etcdutl)...)
		}
		add(p)
	}
	for _, component := range byHandOrder {
		p := BinaryPhase{Title: component + " " + to.String()}
		for _, h := range hosts {
			p.Steps = append(p.Steps, stepsOf(h, at, to, component)...)
		}
		add(p)
	}
	for _, h := range hosts {
		p := BinaryPhase{Title: h.Node + " " + to.String()}
		for _, part := range targets.on(h).Runtime {
			p.Steps = append(p.Steps, stepsOf(h, at, part.Version, part.Component)...)
		}
		// Source: https://kubernetes.io/releases/version-skew-policy/#kubelet-1: a minor upgrade in place is not supported.
		// And a runtime that does not come back must have no pods to lose.
		if b, ok := h.Binary(Kubelet); ok && (len(p.Steps) > 0 || !b.version().SameMinor(to)) {
			p.Drain = h.Node
		}
		p.Steps = append(p.Steps, stepsOf(h, at, to, Kubelet, KubeProxy, Kubectl)...)
		add(p)
	}
	return phases
}

// version is the component's: of the process, where there is one.
func (b Binary) version() Version {
	if !b.Unit.Running.IsZero() {
		return b.Unit.Running
	}
	return b.OnDisk
}

// stepsOf are those of a host's components that are older than v. at is where earlier steps left them, and is kept.
func stepsOf(h BinaryHost, at map[string]Version, v Version, components ...string) []BinaryStep {
	var steps []BinaryStep
	for _, component := range components {
		b, ok := h.Binary(component)
		from, moved := at[h.Node+"/"+component]
		if !moved {
			from = b.version()
		}
		if !ok || from.IsZero() || !from.Less(v) {
			continue
		}
		at[h.Node+"/"+component] = v
		steps = append(steps, BinaryStep{h.Node, BinaryChange{component, from, v}})
	}
	return steps
}

// leaderLast puts the host of etcd's leader behind the others, so that there is one election and not several.
func leaderLast(hosts []BinaryHost, members []EtcdMember) []BinaryHost {
	leads := func(h BinaryHost) bool {
		return slices.ContainsFunc(members, func(m EtcdMember) bool { return m.Leader && m.Node != "" && m.Node == h.Node })
	}
	sorted := slices.Clone(hosts)
	slices.SortStableFunc(sorted, func(a, b BinaryHost) int {
		switch {
		case leads(a) == leads(b):
			return 0
		case leads(a):
			return 1
		}
		return -1
	})
	return sorted
}

// EtcdWay is the way of all members to a version: one minor at a time, and each minor left only from the patch that etcd
// asks for. offered are the versions that can be had; nil where nobody knows. The finding, where there is one, is why
// there is no way.
func EtcdWay(members []EtcdMember, to Version, offered []Version) ([]Version, []Finding) {
	if to.IsZero() || len(members) == 0 {
		return nil, nil
	}
	var versions []Version
	for _, m := range members {
		if m.Version.IsZero() {
			return nil, []Finding{failure(EtcdMembers, m.Endpoint, "the etcd member did not say its version", "bring all members to health before")}
		}
		versions = append(versions, m.Version)
	}
	slices.SortFunc(versions, Version.Compare)
	oldest, newest := versions[0], versions[len(versions)-1]
	switch {
	case !oldest.SameMajor(to):
		return nil, []Finding{failure(EtcdVersion, "etcd", fmt.Sprintf("%s to %s crosses a major version", oldest, to), "choose a target of the same major version")}
	case to.Less(newest):
		return nil, []Finding{failure(EtcdVersion, "etcd", fmt.Sprintf("%s to %s is a downgrade", newest, to), "choose a target of "+newest.String()+" or newer")}
	case oldest.MinorsBehind(newest) > 1:
		return nil, []Finding{failure(EtcdVersion, "etcd", fmt.Sprintf("members are of %s and %s, which is more than one minor apart", oldest, newest),
			"bring them to one version first")}
	}
	return etcdWay(oldest, to, offered)
}

func etcdWay(at, to Version, offered []Version) ([]Version, []Finding) {
	var way []Version
	for !at.SameMinor(to) {
		step, known := etcdStepTo(at.nextMinor())
		if known && at.Less(step.least) {
			stop, found := stopIn(step.least, offered, fmt.Sprintf("before %s, etcd wants every member at %s or newer",
				step.brings.MinorString(), step.least), step.source)
			if len(found) > 0 {
				return nil, found
			}
			way = append(way, stop)
		}
		next := at.nextMinor()
		if next.SameMinor(to) {
			break
		}
		// A minor in between: entered at once at a patch from which it can be left.
		if step, known := etcdStepTo(next.nextMinor()); known {
			next = step.least
		}
		stop, found := stopIn(next, offered, fmt.Sprintf("etcd goes one minor at a time, by %s or newer", next), etcdUpgrades)
		if len(found) > 0 {
			return nil, found
		}
		way, at = append(way, stop), stop
	}
	if at.Less(to) {
		way = append(way, to)
	}
	return way, nil
}

const etcdUpgrades = "https://etcd.io/docs/latest/upgrades/upgrading-etcd/"

// etcdStepTo is what is known of the move to the minor of v.
func etcdStepTo(v Version) (etcdStep, bool) {
	i := slices.IndexFunc(etcdSteps, func(s etcdStep) bool { return s.brings.SameMinor(v) })
	if i < 0 {
		return etcdStep{}, false
	}
	return etcdSteps[i], true
}

// stopIn is the newest version on offer that is of least's minor and not older; least itself where nobody knows what is
// offered.
func stopIn(least Version, offered []Version, why, source string) (Version, []Finding) {
	if offered == nil {
		return least, nil
	}
	var best Version
	var names []string
	for _, v := range offered {
		if v.SameMinor(least) && v.pre == "" {
			names = append(names, v.String())
			if !v.Less(least) && best.Less(v) {
				best = v
			}
		}
	}
	if best.IsZero() {
		has := "none of that minor"
		if len(names) > 0 {
			has = strings.Join(names, ", ")
		}
		f := failure(EtcdVersion, "etcd", why+"; the source has "+has, "add such a release to the source")
		f.Source = source
		return Version{}, []Finding{f}
	}
	return best, nil
}
