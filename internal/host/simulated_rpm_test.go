package host_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// simulatedRPM is what differs between the simulated hosts with dnf and with zypper.
type simulatedRPM struct {
	distro       machine.Distro
	os, manager  string
	repo, cached string // the file of the repository, and where a package is in the cache
}

var simulatedRPMs = map[string]simulatedRPM{
	"dnf": {machine.Rocky, "rocky", "dnf", "/etc/yum.repos.d/kubernetes.repo", "/var/cache/dnf/kubernetes/packages/%-1.37.2-150500.1.1.x86_64.rpm"},
	"zypper": {machine.SUSE, "opensuse-leap", "zypper", "/etc/zypp/repos.d/kubernetes.repo",
		"/var/cache/zypp/packages/kubernetes/%-1.37.2-150500.1.1.x86_64.rpm"},
}

// onSimulatedRPM runs a check on a simulated host with dnf and on one with zypper.
func onSimulatedRPM(t *testing.T, change func(*machine.Options), check func(t *testing.T, b *bed, r simulatedRPM)) {
	t.Parallel()
	for name, r := range simulatedRPMs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, simulated(t, func(o *machine.Options) {
				o.Distro = r.distro
				if change != nil {
					change(o)
				}
			}), r)
		})
	}
}

// rpmHolds are what keeps packages back.
const rpmHolds = "grep -h exclude /etc/yum.repos.d/kubernetes.repo; cat /etc/zypp/locks /etc/dnf/plugins/versionlock.list; true"

func TestSimulatedRPMHost(t *testing.T) {
	onSimulatedRPM(t, nil, func(t *testing.T, b *bed, r simulatedRPM) {
		b.sh(t, "mkdir -p /run/pawl")
		state := "rpm -qa; cat " + r.repo + "; ls /run/pawl; " + rpmHolds
		before, holds := b.sh(t, state), b.sh(t, rpmHolds)
		for range 2 {
			seen, err := b.host.Observe(t.Context(), "", []upgrade.Version{v137, upgrade.MustVersion("v1.38.0")})
			if err != nil || seen.OS != r.os || seen.PackageManager != r.manager || seen.Kubeadm != v136 || seen.Kubelet != v136 || seen.Problem != "" ||
				!slices.Equal(seen.Available, []upgrade.Version{v137}) || !strings.Contains(seen.Unread.Problem, "/v1.38: ") || len(seen.Packages) > 0 || len(seen.NotObserved) > 0 {
				t.Errorf("%+v, %v", seen, err)
			}
			if err := b.host.Download(t.Context(), b.repository, v137); err != nil {
				t.Fatal(err)
			}
		}
		if after := b.sh(t, state); after != before {
			t.Errorf("the host changed:\n%s\nwas:\n%s", after, before)
		}
		for _, pkg := range []string{"kubeadm", "kubelet", "kubectl"} {
			b.sh(t, "test -e "+strings.ReplaceAll(r.cached, "%", pkg))
		}
		for range 2 {
			if err := b.host.Install(t.Context(), b.repository, v137, "kubeadm"); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.sh(t, "rpm -q kubeadm kubelet kubectl"); got != "kubeadm-1.37.2-150500.1.1.x86_64\nkubelet-1.36.3-150500.1.1.x86_64\nkubectl-1.36.3-150500.1.1.x86_64\n" {
			t.Errorf("installed: %s", got)
		}
		if err := b.host.Install(t.Context(), b.repository, v137, "kubelet", "kubectl"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.host.RestartKubelet(t.Context(), v137); err != nil {
			t.Error(err)
		}
		if got := b.sh(t, rpmHolds); got != holds {
			t.Errorf("holds:\n%s\nwere:\n%s", got, holds)
		}
		if got := b.sh(t, "cat "+r.repo+"; ls /run/pawl"); strings.Contains(got, "v1.36") || !strings.HasSuffix(got, "\n") {
			t.Errorf("the repository, and what is left: %s", got)
		}
		wantFault(t, b.host.Install(t.Context(), b.repository, upgrade.MustVersion("v1.37.9"), "kubeadm"), fault.PreflightFailed, "the package repository has v1.37.2")
	})
}

func TestSimulatedRPMHostRestartsInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"rpm: installing kubelet", "rpm: kubelet installed", "rpm: cleaning up kubectl"} {
		t.Run(point, func(t *testing.T) {
			onSimulatedRPM(t, func(o *machine.Options) {
				o.Hook = once(machine.At, point, func(e machine.Event) { e.Machine.Reboot(10 * time.Second) })
			}, func(t *testing.T, b *bed, _ simulatedRPM) {
				holds := b.sh(t, rpmHolds)
				install := func() error { return b.host.Install(t.Context(), b.repository, v137, "kubelet", "kubectl") }
				if err := install(); !fault.Is(err, fault.OutcomeUnknown, fault.Unreachable) {
					t.Fatalf("%v", err)
				}
				if err := eventually(t, install); err != nil {
					t.Fatal(err)
				}
				if got := b.sh(t, "rpm -q kubelet kubectl"); got != "kubelet-1.37.2-150500.1.1.x86_64\nkubectl-1.37.2-150500.1.1.x86_64\n" {
					t.Errorf("installed: %s", got)
				}
				if got := b.sh(t, rpmHolds); got != holds {
					t.Errorf("holds:\n%s\nwere:\n%s", got, holds)
				}
			})
		})
	}
}

func TestSimulatedVersionLockFollows(t *testing.T) {
	t.Parallel()
	b := simulated(t, func(o *machine.Options) { o.Distro = machine.Rocky })
	const list = "/etc/dnf/plugins/versionlock.list"
	put(t, b, list, "# by hand\nkubelet-0:1.36.3-150500.1.1.*\nkubeadm-0:1.36.3-150500.1.1.*\n!kubectl-0:1.36.9-150500.1.1.*\n")
	if err := b.host.Install(t.Context(), b.repository, v137, "kubeadm"); err != nil {
		t.Fatal(err)
	}
	if got, want := b.sh(t, "cat "+list), "# by hand\nkubelet-0:1.36.3-150500.1.1.*\nkubeadm-0:1.37.2-150500.1.1.*\n!kubectl-0:1.36.9-150500.1.1.*\n"; got != want {
		t.Errorf("locks:\n%s\nwant:\n%s", got, want)
	}
}

func TestSimulatedZypperIsLocked(t *testing.T) {
	t.Parallel()
	b := simulated(t, func(o *machine.Options) { o.Distro, o.Pace = machine.SUSE, 0.002 })
	b.machine.LockPackages(true)
	for range 2 {
		wantFault(t, b.host.Install(t.Context(), b.repository, v137, "kubectl"), fault.Conflict, "System management is locked")
	}
	b.machine.LockPackages(false)
	if err := b.host.Install(t.Context(), b.repository, v137, "kubectl"); err != nil {
		t.Error(err)
	}
}

func TestSimulatedRPMFindings(t *testing.T) {
	onSimulatedRPM(t, nil, func(t *testing.T, b *bed, r simulatedRPM) {
		if got := b.findings(t, upgrade.Worker, v136); got != nil {
			t.Errorf("nothing is the matter: %q", got)
		}
		b.sh(t, "echo >> /usr/bin/kubectl; echo 'kubelet 1.37.2-150500.1.1' >> /var/lib/rpm/packages")
		want := []string{
			"warning package-state n1: the package kubelet 1.36.3-150500.1.1 and 1.37.2-150500.1.1 is recorded twice: its installation was cut off; the upgrade does it again",
			"warning package-state n1: the package kubectl is altered: its program is not the one that it brought; the upgrade replaces it; see who did that: rpm --verify kubectl",
		}
		if r.manager == "zypper" {
			b.sh(t, "zypper addlock kubernetes-cni")
			want = append(want, "warning package-hold n1: the package kubernetes-cni 1.5.0-150500.1.1 is on hold: zypper does not move it along, and refuses if the new kubeadm or kubelet wants a newer one; "+
				"zypper removelock kubernetes-cni")
		}
		got := b.findings(t, upgrade.Worker, v136)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q\nwant %q", got, want)
		}
		b.machine.LockPackages(true)
		if got := b.findings(t, upgrade.Worker, v136); slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, "recorded twice") }) {
			t.Errorf("while a package manager is at work: %q", got)
		}
	})
}
