package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// byHand is a host with components, each as "name version" or, where the process is another, "name disk running".
func byHand(node string, components ...string) BinaryHost {
	h := BinaryHost{Node: node, Arch: "amd64", Machine: "x86_64"}
	for _, c := range components {
		words := strings.Fields(c)
		b := Binary{Component: words[0], Path: "/usr/local/bin/" + words[0], OnDisk: MustVersion(words[1])}
		if !slices.Contains(tools, b.Component) {
			b.Unit = BinaryUnit{Name: b.Component + ".service", Active: "active", Running: MustVersion(words[len(words)-1])}
		}
		h.Binaries = append(h.Binaries, b)
	}
	return h
}

func controlPlaneByHand(node, etcdVersion string) BinaryHost {
	const version = "v1.36.3"
	return byHand(node, APIServer+" "+version, ControllerManager+" "+version, Scheduler+" "+version, Kubectl+" "+version, etcd+" "+etcdVersion, Etcdctl+" "+etcdVersion)
}

func workerByHand(node, version string) BinaryHost {
	return byHand(node, Kubelet+" "+version, KubeProxy+" "+version)
}

func etcdMembers(versions ...string) []EtcdMember {
	var all []EtcdMember
	for i, v := range versions {
		m := EtcdMember{Node: fmt.Sprintf("cp%d", i+1), Endpoint: fmt.Sprintf("https://10.0.0.%d:2379", i+1), Leader: i == 0}
		if v != "" {
			m.Version = MustVersion(v)
		}
		all = append(all, m)
	}
	return all
}

func TestBinaryPhases(t *testing.T) {
	hosts := []BinaryHost{controlPlaneByHand("cp1", "v3.6.8"), controlPlaneByHand("cp2", "v3.6.11"), workerByHand("w1", "v1.36.3"), workerByHand("w2", "v1.37.2")}
	got := renderPhases(BinaryPhases(hosts, etcdMembers("v3.6.8", "v3.6.11"), BinaryTargets{Kubernetes: MustVersion("v1.37.2"), Etcd: versions("v3.6.11", "v3.7.0")}))
	want := `etcd v3.6.11: cp1 etcd v3.6.8, cp1 etcdctl v3.6.8
etcd v3.7.0: cp2 etcd v3.6.11, cp2 etcdctl v3.6.11, cp1 etcd v3.6.11, cp1 etcdctl v3.6.11
kube-apiserver v1.37.2: cp1 kube-apiserver v1.36.3, cp2 kube-apiserver v1.36.3
kube-controller-manager v1.37.2: cp1 kube-controller-manager v1.36.3, cp2 kube-controller-manager v1.36.3
kube-scheduler v1.37.2: cp1 kube-scheduler v1.36.3, cp2 kube-scheduler v1.36.3
cp1 v1.37.2: cp1 kubectl v1.36.3
cp2 v1.37.2: cp2 kubectl v1.36.3
w1 v1.37.2 (drain w1): w1 kubelet v1.36.3, w1 kube-proxy v1.36.3
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := BinaryPhases(hosts[3:], nil, BinaryTargets{Kubernetes: MustVersion("v1.37.2")}); len(got) != 0 {
		t.Errorf("what is there already is done again: %v", got)
	}
	patch := BinaryPhases([]BinaryHost{workerByHand("w1", "v1.37.0")}, nil, BinaryTargets{Kubernetes: MustVersion("v1.37.2")})
	if len(patch) != 1 || patch[0].Drain != "" || len(patch[0].Steps) != 2 {
		t.Errorf("a patch: %+v", patch)
	}
	behind := BinaryPhases([]BinaryHost{byHand("w1", Kubelet+" v1.37.2 v1.36.3")}, nil, BinaryTargets{Kubernetes: MustVersion("v1.37.2")})
	if len(behind) != 1 || behind[0].Steps[0].From != MustVersion("v1.36.3") {
		t.Errorf("replaced on disk, but not restarted: %+v", behind)
	}
}

func renderPhases(phases []BinaryPhase) string {
	var b strings.Builder
	for _, p := range phases {
		b.WriteString(p.Title)
		if p.Drain != "" {
			b.WriteString(" (drain " + p.Drain + ")")
		}
		for i, s := range p.Steps {
			b.WriteString([]string{": ", ", "}[min(i, 1)] + s.Node + " " + s.Component + " " + s.From.String())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestEveryStepByHandKeepsTheSkewPolicy walks every order that phases have, in clusters of up to three control planes and
// with kubelets of several minors, and looks at each state on the way.
func TestEveryStepByHandKeepsTheSkewPolicy(t *testing.T) {
	to := MustVersion("v1.37.2")
	for servers := 1; servers <= 3; servers++ {
		for _, kubelet := range []string{"v1.34.4", "v1.35.4", "v1.36.3", "v1.37.2"} {
			var hosts []BinaryHost
			for i := range servers {
				hosts = append(hosts, controlPlaneByHand(fmt.Sprintf("cp%d", i+1), "v3.6.11"))
			}
			if kubelet != "v1.37.2" { // which would be newer than the API servers
				hosts = append(hosts, workerByHand("w1", kubelet), workerByHand("w2", "v1.36.3"))
			}
			at := map[string]map[string]Version{}
			for _, h := range hosts {
				at[h.Node] = map[string]Version{}
				for _, b := range h.Binaries {
					at[h.Node][b.Component] = b.version()
				}
			}
			steps := 0
			for _, p := range BinaryPhases(hosts, etcdMembers("v3.6.11"), BinaryTargets{Kubernetes: to, Etcd: versions("v3.7.0")}) {
				for _, s := range p.Steps {
					if at[s.Node][s.Component] != s.From {
						t.Fatalf("%+v starts from %s", s, at[s.Node][s.Component])
					}
					at[s.Node][s.Component] = s.To
					steps++
					var all []Instance
					for node, components := range at {
						for component, v := range components {
							if component != Kubectl { // which is a person's, and not of the cluster
								all = append(all, Instance{component, node, v})
							}
						}
					}
					if broken := CheckSkew(all); len(broken) > 0 {
						t.Errorf("%d servers, kubelet %s, after %+v: %v", servers, kubelet, s, broken)
					}
				}
			}
			for node, components := range at {
				for component, v := range components {
					if want := map[bool]Version{true: MustVersion("v3.7.0"), false: to}[component == etcd || component == Etcdctl]; v != want {
						t.Errorf("%s on %s ends at %s", component, node, v)
					}
				}
			}
			if steps == 0 {
				t.Error("nothing was done")
			}
		}
	}
}

func TestEtcdWay(t *testing.T) {
	for name, c := range map[string]struct {
		members []string
		to      string
		offered []string // nil: not known
		want    string   // the way, or what is said instead
	}{
		"it is there":                        {[]string{"v3.6.8", "v3.6.8"}, "v3.6.8", nil, ""},
		"a patch":                            {[]string{"v3.6.8"}, "v3.6.11", nil, "v3.6.11"},
		"from an old patch":                  {[]string{"v3.6.8"}, "v3.7.0", nil, "v3.6.11 v3.7.0"},
		"from a good patch":                  {[]string{"v3.6.11"}, "v3.7.0", nil, "v3.7.0"},
		"the newest on offer":                {[]string{"v3.6.8"}, "v3.7.0", []string{"v3.6.8", "v3.6.16", "v3.6.12", "v3.7.0"}, "v3.6.16 v3.7.0"},
		"none on offer is new enough":        {[]string{"v3.6.8"}, "v3.7.0", []string{"v3.6.8", "v3.6.10", "v3.7.0"}, "wants every member at v3.6.11 or newer; the source has v3.6.8, v3.6.10"},
		"none of the minor on offer":         {[]string{"v3.6.8"}, "v3.7.0", []string{"v3.7.0"}, "the source has none of that minor"},
		"two minors":                         {[]string{"v3.5.24"}, "v3.7.0", nil, "v3.5.32 v3.6.11 v3.7.0"},
		"two minors from a good patch":       {[]string{"v3.5.32"}, "v3.7.1", nil, "v3.6.11 v3.7.1"},
		"three minors":                       {[]string{"v3.4.37"}, "v3.7.0", nil, "v3.5.32 v3.6.11 v3.7.0"},
		"a minor of which nothing is known":  {[]string{"v3.7.0"}, "v3.9.1", nil, "v3.8.0 v3.9.1"},
		"begun before":                       {[]string{"v3.7.0", "v3.6.11", "v3.7.0"}, "v3.7.0", nil, "v3.7.0"},
		"begun from a patch that is too old": {[]string{"v3.7.0", "v3.6.8"}, "v3.7.0", nil, "v3.6.11 v3.7.0"},
		"two minors apart":                   {[]string{"v3.7.0", "v3.5.32"}, "v3.7.0", nil, "more than one minor apart"},
		"back":                               {[]string{"v3.7.0"}, "v3.6.11", nil, "is a downgrade"},
		"another major version":              {[]string{"v3.7.0"}, "v4.0.0", nil, "crosses a major version"},
		"a silent member":                    {[]string{"v3.7.0", ""}, "v3.7.0", nil, "did not say its version"},
		"no members":                         {nil, "v3.7.0", nil, ""},
	} {
		var offered []Version
		for _, v := range c.offered {
			offered = append(offered, MustVersion(v))
		}
		way, found := EtcdWay(etcdMembers(c.members...), MustVersion(c.to), offered)
		var words []string
		for _, v := range way {
			words = append(words, v.String())
		}
		if len(found) == 0 && strings.Join(words, " ") != c.want || len(found) > 0 && (c.want == "" || !strings.Contains(found[0].String(), c.want) || way != nil) {
			t.Errorf("%s: %v, %v, want %q", name, way, found, c.want)
		}
	}
}

func TestCheckBinaries(t *testing.T) {
	good := controlPlaneByHand("cp1", "v3.6.11")
	with := func(component string, change func(*Binary)) BinaryHost {
		h := good
		h.Binaries = slices.Clone(good.Binaries)
		i := slices.IndexFunc(h.Binaries, func(b Binary) bool { return b.Component == component })
		change(&h.Binaries[i])
		return h
	}
	source := BinarySource{Kubernetes: "https://mirror.example/release"}
	for name, c := range map[string]struct {
		hosts   []BinaryHost
		source  BinarySource
		runtime []ComponentVersion
		want    []string // each "id severity: part of the message"
	}{
		"in order":              {hosts: []BinaryHost{good, workerByHand("w1", "v1.36.3")}},
		"no API server":         {hosts: []BinaryHost{workerByHand("w1", "v1.36.3")}, want: []string{"control-plane error: no host has a unit that starts kube-apiserver"}},
		"out of reach":          {hosts: []BinaryHost{good, {Node: "w1", Problem: "no route"}}, want: []string{"host error: no route"}},
		"without TLS":           {hosts: []BinaryHost{good}, source: BinarySource{Etcd: "HTTP://mirror.example"}, want: []string{"download warning: reached without TLS"}},
		"unknown architecture":  {hosts: []BinaryHost{good, {Node: "w1", Machine: "riscv64"}}, want: []string{`architecture error: no binaries for the architecture "riscv64"`}},
		"no such version":       {hosts: []BinaryHost{good, {Node: "w1", Arch: "amd64", Missing: []MissingBinary{{Kubelet, MustVersion("v1.37.2"), "404"}}}}, want: []string{"download error: kubelet v1.37.2 cannot be had: 404"}},
		"not observed":          {hosts: []BinaryHost{good, {Node: "w1", Arch: "amd64", NotObserved: []string{"x"}}}, want: []string{"not-observed warning: could not look at x"}},
		"no unit":               {hosts: []BinaryHost{with(Scheduler, func(b *Binary) { b.Unit = BinaryUnit{} })}, want: []string{"unit error: no unit of systemd starts it"}},
		"not active":            {hosts: []BinaryHost{with(Scheduler, func(b *Binary) { b.Unit.Active = "failed" })}, want: []string{"unit error: kube-scheduler.service is failed, wanted active"}},
		"stale":                 {hosts: []BinaryHost{with(Scheduler, func(b *Binary) { b.Unit.Stale = true })}, want: []string{"unit warning: changed since systemd read them"}},
		"elsewhere":             {hosts: []BinaryHost{with(Scheduler, func(b *Binary) { b.Problem = "/opt/x is not there" })}, want: []string{"binary error: kube-scheduler: /opt/x is not there"}},
		"not restarted":         {hosts: []BinaryHost{with(Scheduler, func(b *Binary) { b.OnDisk = MustVersion("v1.37.2") })}, want: []string{"version-differs warning: kube-scheduler on disk is v1.37.2, the process is v1.36.3"}},
		"newer than the target": {hosts: []BinaryHost{with(Scheduler, func(b *Binary) { b.OnDisk = MustVersion("v1.38.0") })}, want: []string{"version-differs error: would be a way back"}},
		"removed flags": {hosts: []BinaryHost{with(ControllerManager, func(b *Binary) { b.Flags = []string{"--kubeconfig", "--concurrent-service-syncs"} })},
			want: []string{"removed-flag error: kube-controller-manager.service sets --concurrent-service-syncs, which kube-controller-manager does not know from v1.37 on"}},
		"removed gates": {hosts: []BinaryHost{with(Scheduler, func(b *Binary) { b.Gates = map[string]bool{"SidecarContainers": true} })},
			want: []string{"removed-feature-gate error: kube-scheduler.service sets SidecarContainers"}},
		"etcd's removed flags": {hosts: []BinaryHost{with(etcd, func(b *Binary) { b.Flags = []string{"--experimental-compaction-batch-limit", "--name"} })},
			want: []string{"removed-flag error: etcd.service sets --experimental-compaction-batch-limit, which etcd does not know from v3.7 on"}},
		"etcd's gates are its own": {hosts: []BinaryHost{with(etcd, func(b *Binary) { b.Gates = map[string]bool{"SidecarContainers": true} })}},
		"a runtime that is not there": {hosts: []BinaryHost{good, workerByHand("w1", "v1.36.3")}, runtime: []ComponentVersion{{Runc, MustVersion("v1.3.3")}},
			want: []string{"binary warning: runc is to go to v1.3.3, and was not found"}},
		"a package's runtime": {hosts: []BinaryHost{good, {Node: "w1", Arch: "amd64", Binaries: append(workerByHand("w1", "v1.36.3").Binaries, Binary{Component: Runc, Problem: "/usr/bin/runc belongs to a package: runc"})}},
			runtime: []ComponentVersion{{Runc, MustVersion("v1.3.3")}}, want: []string{"binary error: runc: /usr/bin/runc belongs to a package"}},
		"a kubelet too far behind": {hosts: []BinaryHost{good, workerByHand("w1", "v1.33.0")}, want: []string{"version-skew error: kubelet on w1 is v1.33.0, would be 4 minors behind"}},
	} {
		if c.source == (BinarySource{}) {
			c.source = source
		}
		found := CheckBinaries(c.hosts, c.source, BinaryTargets{Kubernetes: MustVersion("v1.37.2"), Etcd: versions("v3.7.0"), Runtime: c.runtime})
		if len(found) != len(c.want) {
			t.Errorf("%s: %v, want %q", name, found, c.want)
			continue
		}
		for i, want := range c.want {
			head, message, _ := strings.Cut(want, ": ")
			if f := found[i]; head != f.ID+" "+string(f.Severity) || !strings.Contains(f.Message, message) {
				t.Errorf("%s: %s %s %s, want %q", name, f.ID, f.Severity, f, want)
			}
		}
	}
	stays := with(etcd, func(b *Binary) { b.Flags = []string{"--experimental-compaction-batch-limit"} })
	if found := CheckBinaries([]BinaryHost{stays}, source, BinaryTargets{Kubernetes: MustVersion("v1.37.2")}); len(found) != 0 {
		t.Errorf("etcd stays as it is: %v", found)
	}
}
