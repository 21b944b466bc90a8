package host_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/sim/machine"
	"github.com/pawl-dev/pawl/internal/sim/sshd"
	"github.com/pawl-dev/pawl/internal/ssh"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Tests of what cannot be done to a real node, or not that precisely.

func wantFault(t *testing.T, err error, kind fault.Kind, says ...string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("%v, want %s", err, kind)
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestSimulatedControlPlanesAreUpgraded(t *testing.T) {
	t.Parallel()
	c := newCluster(v136)
	first := c.controlPlane(t, "cp1", upgrade.FirstControlPlane, nil)
	second := c.controlPlane(t, "cp2", upgrade.AdditionalControlPlane, nil)
	worker := simulated(t, func(o *machine.Options) { o.Name, o.Pace = "w1", 0.02; c.add(o) })
	if err := first.host.PullImages(t.Context(), v137); err != nil {
		t.Fatal(err)
	}
	if err := first.host.KubeadmUpgradeApply(t.Context(), v137, nil); err != nil {
		t.Fatal(err)
	}
	if got := c.configured(t); got != "v1.37.2" {
		t.Errorf("kubeadm-config is at %s", got)
	}
	if got := c.addons(t); got != "coredns:v1.14.2 kube-proxy:v1.36.3" {
		t.Errorf("addons before the last control plane: %s", got)
	}
	if err := second.host.KubeadmUpgradeNode(t.Context(), v137, true, nil); err != nil {
		t.Fatal(err)
	}
	if got := c.addons(t); got != "coredns:v1.14.6 kube-proxy:v1.37.2" {
		t.Errorf("addons after the last control plane: %s", got)
	}
	wantFault(t, worker.host.KubeadmUpgradeNode(t.Context(), v137, false, nil), fault.PreflightFailed, "kubeadm is v1.36.3, wanted v1.37.2")
	if err := worker.host.Install(t.Context(), worker.repository, v137, "kubeadm", "kubelet", "kubectl"); err != nil {
		t.Fatal(err)
	}
	if err := worker.host.KubeadmUpgradeNode(t.Context(), v137, false, nil); err != nil {
		t.Fatal(err)
	}
	if v, _ := worker.machine.KubeletRuns(); v != v136 {
		t.Errorf("kubelet %s runs before its restart", v)
	}
	if got := worker.sh(t, "readlink /proc/$(systemctl show -p MainPID --value kubelet)/exe"); got != "/usr/bin/kubelet (deleted)\n" {
		t.Errorf("the kubelet that runs is %q", got)
	}
	if _, err := worker.host.RestartKubelet(t.Context(), v137); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*bed{first, second} {
		if got := b.sh(t, "ls -d /etc/kubernetes/tmp/kubeadm-backup-*"); strings.Count(got, "kubeadm-backup-manifests-") != 1 || strings.Count(got, "kubeadm-backup-etcd-") != 1 {
			t.Errorf("backups: %s", got)
		}
		if got := b.sh(t, "grep -h image: /etc/kubernetes/manifests/etcd.yaml"); got != "    image: registry.k8s.io/etcd:3.7.0-0\n" {
			t.Errorf("etcd: %q", got)
		}
	}
	if err := first.host.KubeadmUpgradeApply(t.Context(), v137, nil); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// once runs f at the first event of that kind.
func once(when machine.When, what string, f func(machine.Event)) func(context.Context, machine.Event) {
	var done atomic.Bool
	return func(_ context.Context, e machine.Event) {
		if e.When == when && strings.HasPrefix(e.What, what) && done.CompareAndSwap(false, true) {
			f(e)
		}
	}
}

// eventually tries again what is only out of reach, as Temporal does for pawl.
func eventually(t *testing.T, do func() error) error {
	t.Helper()
	for range 600 {
		err := do()
		if !fault.Is(err, fault.Unreachable, fault.OutcomeUnknown) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("it stays out of reach")
	return nil
}

func TestSimulatedKubeadmCutOffBetweenTwoRenames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		component string
		end       func(machine.Event)
		kind      fault.Kind
	}{
		"by a reboot":            {upgrade.APIServer, func(e machine.Event) { e.Machine.Reboot(20 * time.Second) }, fault.OutcomeUnknown},
		"by a reboot, with etcd": {"etcd", func(e machine.Event) { e.Machine.Reboot(20 * time.Second) }, fault.OutcomeUnknown},
		"by a kill": {upgrade.Scheduler, func(e machine.Event) {
			e.Machine.Run(context.Background(), "systemctl kill -s KILL pawl-kubeadm-upgrade-apply-v1.37.2", "root", nil, nil, nil)
		}, fault.CommandFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newCluster(v136)
			b := api.controlPlane(t, "cp1", upgrade.FirstControlPlane, once(machine.At, "kubeadm: manifest of "+c.component+" taken away", c.end))
			err := b.host.KubeadmUpgradeApply(t.Context(), v137, nil)
			if !fault.Is(err, c.kind, fault.Unreachable) {
				t.Fatalf("%v", err)
			}
			t.Log(err)
			if b.machine.Exists("/etc/kubernetes/manifests/" + c.component + ".yaml") {
				t.Fatal("the manifest is there")
			}
			if err := eventually(t, func() error { return b.host.KubeadmUpgradeApply(t.Context(), v137, nil) }); err != nil {
				t.Fatal(err)
			}
			if got := api.configured(t); got != "v1.37.2" {
				t.Errorf("kubeadm-config is at %s", got)
			}
		})
	}
}

// The hole that makes pawl look for manifests: without kube-apiserver's a control plane passes for a worker.
func TestSimulatedKubeadmTakesAControlPlaneWithoutManifestForAWorker(t *testing.T) {
	t.Parallel()
	c := newCluster(v137)
	b := c.controlPlane(t, "cp2", upgrade.AdditionalControlPlane, nil)
	b.sh(t, "rm /etc/kubernetes/manifests/kube-apiserver.yaml")
	if got := b.sh(t, "kubeadm upgrade node"); !strings.Contains(got, "[upgrade/control-plane] Skipping phase. Not a control plane node.") {
		t.Errorf("kubeadm said %s", got)
	}
	wantFault(t, b.host.KubeadmUpgradeNode(t.Context(), v137, true, nil), fault.PreflightFailed, "kube-apiserver.yaml is missing")
}

func TestSimulatedKubeadmRefuses(t *testing.T) {
	t.Parallel()
	v138 := upgrade.MustVersion("v1.38.0")
	for name, c := range map[string]struct {
		prepare func(t *testing.T, b *bed)
		says    string
		kind    fault.Kind
	}{
		"a cluster whose Jobs do not run": {func(_ *testing.T, b *bed) { b.machine.SetSlow(1); b.sh(t, "systemctl stop kubelet") }, "CreateJob: Job", fault.PreflightFailed},
		"a jump over a minor":             {func(t *testing.T, b *bed) {}, "is too high; kubeadm can upgrade only 1 minor version at a time", fault.CommandFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newCluster(v136)
			target := v137
			b := simulated(t, func(o *machine.Options) {
				o.Name, o.Role, o.Pace, o.Version = "cp1", upgrade.FirstControlPlane, 0.01, v137
				if c.kind == fault.CommandFailed {
					o.Version, target = v138, v138
				}
				o.Offered = append(o.Offered, v138)
				api.add(o)
			})
			c.prepare(t, b)
			wantFault(t, b.host.KubeadmUpgradeApply(t.Context(), target, nil), c.kind, c.says)
		})
	}
}

func TestSimulatedDpkgIsLocked(t *testing.T) {
	t.Parallel()
	b := simulated(t, func(o *machine.Options) { o.Pace = 0.002 })
	b.machine.LockPackages(true)
	for range 2 { // the second time it begins with the holds, which apt-mark cannot put back either
		if err := b.host.Install(t.Context(), b.repository, v137, "kubectl"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "lock") {
			t.Errorf("%v", err)
		}
	}
	b.machine.LockPackages(false)
	if err := b.host.Install(t.Context(), b.repository, v137, "kubectl"); err != nil {
		t.Fatal(err)
	}
	if got := b.sh(t, "apt-mark showhold"); got != "kubeadm\nkubectl\nkubelet\n" {
		t.Errorf("holds: %q", got)
	}
}

func TestSimulatedRebootInTheMiddleOfAJob(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"dpkg: unpacking kubelet", "dpkg: kubelet unpacked", "dpkg: configuring kubelet"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := simulated(t, func(o *machine.Options) {
				o.Hook = once(machine.At, point, func(e machine.Event) { e.Machine.Reboot(10 * time.Second) })
			})
			install := func() error { return b.host.Install(t.Context(), b.repository, v137, "kubelet", "kubectl") }
			if err := install(); !fault.Is(err, fault.OutcomeUnknown, fault.Unreachable) {
				t.Fatalf("%v", err)
			}
			if err := eventually(t, install); err != nil {
				t.Fatal(err)
			}
			if got := b.sh(t, "apt-mark showhold"); got != "kubeadm\nkubectl\nkubelet\n" {
				t.Errorf("holds: %q", got)
			}
			if _, err := b.host.RestartKubelet(t.Context(), v137); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSimulatedConnectionIsCut(t *testing.T) {
	t.Parallel()
	const file = "/run/pawl-cut"
	for when, begun := range map[machine.When]bool{machine.Before: false, machine.During: true, machine.After: true} {
		t.Run(string(when), func(t *testing.T) {
			t.Parallel()
			server := make(chan *sshd.Server, 1)
			b := simulated(t, func(o *machine.Options) {
				o.Hook = once(when, "LC_ALL=C sudo -n -- touch "+file, func(machine.Event) { (<-server).Cut() })
			})
			server <- b.server
			_, err := b.client.Run(t.Context(), ssh.Command{Argv: []string{"touch", file}, Root: true})
			wantFault(t, err, fault.OutcomeUnknown)
			b.sh(t, "sleep 1") // over a new connection
			if b.machine.Exists(file) != begun {
				t.Errorf("the command ran: %v", !begun)
			}
		})
	}
}

func TestSimulatedHostHangs(t *testing.T) {
	t.Parallel()
	const file = "/run/pawl-hang"
	server := make(chan *sshd.Server, 1)
	b := simulated(t, func(o *machine.Options) {
		o.Hook = once(machine.During, "LC_ALL=C sudo -n -- touch "+file, func(machine.Event) { (<-server).Hang(2 * time.Second) })
	})
	server <- b.server
	b.ssh.KeepAliveInterval, b.ssh.KeepAliveTimeout = 100*time.Millisecond, 500*time.Millisecond
	b.connect(t, "n1")
	_, err := b.client.Run(t.Context(), ssh.Command{Argv: []string{"touch", file}, Root: true})
	wantFault(t, err, fault.OutcomeUnknown)
	b.sh(t, "test -e "+file)
}

func TestSimulatedHostIsOff(t *testing.T) {
	t.Parallel()
	b := simulated(t, nil)
	b.sh(t, "true")
	b.machine.Stop()
	_, err := b.client.Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	wantFault(t, err, fault.Unreachable, "connection refused")
	b.machine.Start()
	b.sh(t, "true")
}

func TestSimulatedDiskIsFull(t *testing.T) {
	t.Parallel()
	b := simulated(t, nil)
	b.machine.FillDisk(true)
	_, err := b.host.BackUp(t.Context(), "before", nil)
	wantFault(t, err, fault.CommandFailed, "No space left on device")
	if err := b.host.Install(t.Context(), b.repository, v137, "kubectl"); err == nil {
		t.Error("it was installed")
	}
	b.machine.FillDisk(false)
	if _, err := b.host.BackUp(t.Context(), "before", nil); err != nil {
		t.Error(err)
	}
	if err := b.host.Install(t.Context(), b.repository, v137, "kubectl"); err != nil {
		t.Error(err)
	}
}

func TestSimulatedKubeletDoesNotKnowAFlag(t *testing.T) {
	t.Parallel()
	b := simulated(t, func(o *machine.Options) { o.Version = v137; o.Pace = 0.02 })
	if err := b.host.KubeletHealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.sh(t, `echo 'KUBELET_KUBEADM_ARGS="--pod-infra-container-image=registry.k8s.io/pause:3.10"' > /var/lib/kubelet/kubeadm-flags.env`)
	_, err := b.host.RestartKubelet(t.Context(), v137)
	wantFault(t, err, fault.PreflightFailed, "--pod-infra-container-image")
	b.sh(t, "systemctl restart kubelet")
	time.Sleep(b.d(30 * time.Second))
	wantFault(t, b.host.KubeletHealthy(t.Context()), fault.VerificationFailed)
	if got := b.sh(t, "systemctl show -p NRestarts --value kubelet"); got == "0\n" {
		t.Errorf("systemd restarted the kubelet %s times", got)
	}
	if got := b.sh(t, "journalctl --sync; journalctl -u kubelet"); !strings.Contains(got, "unknown flag: --pod-infra-container-image") {
		t.Errorf("journal: %s", got)
	}
}

func TestSimulatedUserWithoutSudo(t *testing.T) {
	t.Parallel()
	b := simulated(t, nil)
	b.ssh.User = "guest"
	b.connect(t, "n1")
	_, err := b.host.Observe(t.Context(), "", []upgrade.Version{v137})
	wantFault(t, err, fault.Unauthorized, "sudo refuses", "pawl sudoers")
}
