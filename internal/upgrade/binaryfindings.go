package upgrade

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Ids of findings on hosts whose components were installed by hand.
const (
	UnitProblem   = "unit"
	BinaryProblem = "binary"
	Architecture  = "architecture"
	Download      = "download"
)

// CheckBinaries finds what stands in the way of an upgrade by hand.
func CheckBinaries(hosts []BinaryHost, source BinarySource, targets BinaryTargets) []Finding {
	found := checkBinaryHosts(hosts, source, targets)
	if !slices.ContainsFunc(hosts, func(h BinaryHost) bool { _, serves := h.Binary(APIServer); return serves }) {
		found = append(found, failure(NoControlPlane, "", "no host has a unit that starts "+APIServer, "name the hosts of the control plane"))
	}
	return mergeFindings(found)
}

func checkBinaryHosts(hosts []BinaryHost, source BinarySource, targets BinaryTargets) []Finding {
	found := checkSource(source)
	for _, h := range hosts {
		if h.Problem != "" {
			found = append(found, failure(HostProblem, h.Node, h.Problem, "make the host reachable"))
			continue
		}
		found = append(found, checkBinaryHost(h, targets)...)
	}
	return found
}

func checkSource(s BinarySource) []Finding {
	var found []Finding
	for _, url := range []string{s.Kubernetes, s.Etcd, s.Containerd, s.Runc, s.CNI} {
		if strings.HasPrefix(strings.ToLower(url), "http://") {
			found = append(found, Finding{ID: Download, Severity: SeverityWarning, Target: url,
				Message: "it is reached without TLS: whoever is in between can replace a binary and its checksum", Remedy: "use https"})
		}
	}
	return found
}

func checkBinaryHost(h BinaryHost, targets BinaryTargets) []Finding {
	targets = targets.on(h)
	var found []Finding
	if h.Arch == "" {
		found = append(found, failure(Architecture, h.Node, fmt.Sprintf("there are no binaries for the architecture %q", h.Machine), "leave the host out"))
	}
	for _, m := range h.Missing {
		found = append(found, failure(Download, h.Node, fmt.Sprintf("%s %s cannot be had: %s", m.Component, m.Version, m.Problem), "choose another version, or add it to the source"))
	}
	for _, what := range h.NotObserved {
		found = append(found, Finding{ID: NotObserved, Severity: SeverityWarning, Target: h.Node, Message: "could not look at " + what})
	}
	for _, b := range h.Binaries {
		found = append(found, checkBinary(h.Node, b, targets.of(b.Component))...)
	}
	if b, ok := h.Binary(Kubelet); ok && !b.version().IsZero() {
		if problem := checkKubelet(h.Node, b.version(), targets.Kubernetes); problem != "" {
			f := failure(VersionSkew, h.Node, problem, "upgrade it first")
			f.Source = skewPolicy + "#kubelet"
			found = append(found, f)
		}
	}
	for _, part := range targets.Runtime {
		if _, there := h.Binary(part.Component); !there {
			found = append(found, Finding{ID: BinaryProblem, Severity: SeverityWarning, Target: h.Node, Remedy: "look where it is, or take it out of the definition",
				Message: fmt.Sprintf("%s is to go to %s, and was not found: it stays as it is", part.Component, part.Version)})
		}
	}
	return found
}

// tools are started by no unit.
var tools = []string{Kubectl, Etcdctl, Etcdutl, Runc, CNIPlugins}

// checkBinary looks at one component of a host. Without a target it stays as it is.
func checkBinary(node string, b Binary, target Version) []Finding {
	if target.IsZero() {
		return nil
	}
	var found []Finding
	add := func(id string, severity Severity, message, remedy string) {
		found = append(found, Finding{ID: id, Severity: severity, Target: node, Message: message, Remedy: remedy})
	}
	unit := b.Unit
	if b.Problem != "" {
		add(BinaryProblem, SeverityError, b.Component+": "+b.Problem, "put it right: pawl replaces the file that the unit starts")
	}
	if slices.Contains(tools, b.Component) {
		return found
	}
	switch {
	case unit.Name == "":
		add(UnitProblem, SeverityError, fmt.Sprintf("%s is there, but no unit of systemd starts it", b.Component), "start it by a unit whose ExecStart names it")
	case unit.Active != "active":
		add(UnitProblem, SeverityError, fmt.Sprintf("%s is %s, wanted active", unit.Name, cmp.Or(unit.Active, "unknown")), "see journalctl -u "+unit.Name)
	case unit.Stale:
		add(UnitProblem, SeverityWarning, fmt.Sprintf("files of %s changed since systemd read them; the upgrade makes it read them", unit.Name), "look whether that is meant")
	}
	if on, runs := b.OnDisk, unit.Running; !on.IsZero() && !runs.IsZero() && on != runs {
		differ := fmt.Sprintf("%s on disk is %s, the process is %s", b.Component, on, runs)
		switch {
		case target.Less(on):
			add(VersionDiffers, SeverityError, differ+", and "+target.String()+" would be a way back", "put the binary of "+runs.String()+" there")
		default:
			add(VersionDiffers, SeverityWarning, differ+": it was not restarted since", "the upgrade restarts it")
		}
	}
	return append(found, checkBinarySettings(node, b, target)...)
}

// checkBinarySettings finds what the unit sets and a release on the way does not know.
func checkBinarySettings(node string, b Binary, target Version) []Finding {
	from, to := b.version(), target
	if b.Component == etcd {
		from, to = kubernetesOf(from), kubernetesOf(to)
	}
	var found []Finding
	for _, s := range b.settings() {
		gone, says, is := s.gone(from, to)
		if !is || b.version().IsZero() {
			continue
		}
		f := Finding{ID: FlagRemoved, Severity: SeverityError, Target: node, Source: gone.Source, Remedy: "take it out of the unit or of its configuration",
			Message: fmt.Sprintf("%s sets %s, which %s %s from %s on", s.File, gone.Name, s.Component, says, since(b.Component, gone.In).MinorString())}
		if s.Gate != "" {
			f.ID = GateRemoved
		}
		found = append(found, f)
	}
	slices.SortFunc(found, func(a, b Finding) int { return cmp.Compare(a.Message, b.Message) })
	return found
}

// kubernetesOf is the release of Kubernetes since which kubeadm brings etcd of that minor: what removals of etcd are
// counted by.
func kubernetesOf(v Version) Version {
	of := firstOf(0)
	for _, step := range etcdSteps {
		if v.AtLeastMinor(step.brings.major, step.brings.minor) {
			of = step.kubernetes
		}
	}
	return of
}

// since turns a release of Kubernetes into etcd's where the component is etcd.
func since(component string, v Version) Version {
	for _, step := range etcdSteps {
		if component == etcd && step.kubernetes.SameMinor(v) {
			return step.brings
		}
	}
	return v
}
