package binaries_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/binaries"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/ssh"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// What the packages promise to each other without importing each other.
var (
	_ activities.BinaryHost = (*binaries.Host)(nil)
	_ remote.Runner         = (*ssh.Client)(nil)
)

// machine is one of the lab's hosts that were installed by hand.
type machine struct {
	*binaries.Host
	client  *ssh.Client
	address string
}

// labMachine reaches the host named by the environment variable.
func labMachine(t *testing.T, variable string) *machine {
	t.Helper()
	folder, address := os.Getenv("PAWL_LAB_CLUSTERS"), os.Getenv(variable)
	if folder == "" || address == "" {
		t.Skip("SKIPPED, NOT TESTED ON A REAL HOST: PAWL_LAB_CLUSTERS must name the folder with the lab's keys, PAWL_LAB_BY_HAND_CONTROL_PLANE and " +
			"PAWL_LAB_BY_HAND_WORKER the addresses of a control plane and of a worker of a cluster that `pawl-lab up --hard-way` made fresh at v1.36.3, " +
			"PAWL_LAB_MIRROR and PAWL_LAB_ETCD_MIRROR where it serves v1.37.2 and etcd v3.7.0")
	}
	client := ssh.New(ssh.Config{User: "root", Address: address + ":22", KeyFile: folder + "/id_ed25519", KnownHostsFile: folder + "/known_hosts"})
	t.Cleanup(func() { _ = client.Close() })
	return &machine{binaries.New(address, address, client), client, address}
}

func (m *machine) sh(t *testing.T, line string) string {
	t.Helper()
	r, err := m.client.Run(context.WithoutCancel(t.Context()), ssh.Command{Argv: []string{"sh", "-c", line}, Root: true})
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("%s: %+v, %v", line, r, err)
	}
	return r.Stdout
}

func labSource() upgrade.BinarySource {
	return upgrade.BinarySource{Kubernetes: os.Getenv("PAWL_LAB_MIRROR"), Etcd: os.Getenv("PAWL_LAB_ETCD_MIRROR")}
}

// change fetches, checks and swaps, and says how long that took.
func (m *machine) change(t *testing.T, component string, from, to string) {
	t.Helper()
	c := upgrade.BinaryChange{Component: component, From: upgrade.MustVersion(from), To: upgrade.MustVersion(to)}
	began := time.Now()
	if err := m.Fetch(t.Context(), labSource(), c); err != nil {
		t.Fatal(err)
	}
	fetched := time.Now()
	if found, err := m.Check(t.Context(), c); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
	checked := time.Now()
	if err := m.Swap(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := m.Healthy(t.Context(), component, c.To); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s to %s: fetched in %s, checked in %s, swapped in %s", component, from, to,
		fetched.Sub(began).Round(100*time.Millisecond), checked.Sub(fetched).Round(100*time.Millisecond), time.Since(checked).Round(100*time.Millisecond))
}

func TestLabObserve(t *testing.T) {
	for variable, wanted := range map[string][]string{
		"PAWL_LAB_BY_HAND_CONTROL_PLANE": {upgrade.APIServer, upgrade.ControllerManager, upgrade.Scheduler, upgrade.Kubectl, upgrade.Etcd, upgrade.Etcdctl, upgrade.Etcdutl},
		"PAWL_LAB_BY_HAND_WORKER":        {upgrade.Kubelet, upgrade.KubeProxy, upgrade.Kubectl, upgrade.Containerd, upgrade.Runc},
	} {
		m := labMachine(t, variable)
		began := time.Now()
		seen, err := m.Observe(t.Context(), labSource(), []upgrade.BinaryChange{
			{Component: upgrade.APIServer, To: upgrade.MustVersion("v1.37.2")}, {Component: upgrade.Etcd, To: upgrade.MustVersion("v3.99.0")}})
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.MarshalIndent(seen, "", " ")
		t.Logf("in %s: %s", time.Since(began).Round(100*time.Millisecond), text)
		if _, member := seen.Binary(upgrade.Etcd); seen.Arch == "" || (len(seen.Missing) == 1 && seen.Missing[0].Component == upgrade.Etcd) != member {
			t.Errorf("%s, %+v", seen.Arch, seen.Missing)
		}
		for _, name := range wanted {
			b, ok := seen.Binary(name)
			if !ok || b.OnDisk.IsZero() || b.Problem != "" {
				t.Errorf("%s: %+v", name, b)
			}
			if b.Unit.Name != "" && (b.Unit.Running != b.OnDisk || b.Unit.Active != "active") {
				t.Errorf("%s: %+v", name, b)
			}
		}
		if found := upgrade.CheckBinaries([]upgrade.BinaryHost{seen}, labSource(), upgrade.BinaryTargets{Kubernetes: upgrade.MustVersion("v1.37.2"), Etcd: []upgrade.Version{upgrade.MustVersion("v3.7.0")}}); len(found) > 0 {
			t.Log(found)
		}
	}
}

// TestLabUpgrade upgrades a fresh lab cluster, the control plane of one and then a worker, and swaps back on the way.
func TestLabUpgrade(t *testing.T) {
	cp, w := labMachine(t, "PAWL_LAB_BY_HAND_CONTROL_PLANE"), labMachine(t, "PAWL_LAB_BY_HAND_WORKER")
	ctx := t.Context()
	if _, err := cp.BackUp(ctx, "lab", map[string]string{"note.txt": "x\n"}); err != nil {
		t.Fatal(err)
	}
	dir, err := cp.BackUp(ctx, "lab", map[string]string{"note.txt": "x\n"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(cp.sh(t, "find "+dir+" -printf '%m %s %f\\n'; tar -tf "+dir+"/files.tar"))
	s, err := cp.SnapshotEtcd(ctx, "lab")
	if err != nil || s.Keys == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	members, err := cp.EtcdMembers(ctx)
	if err != nil || len(members) == 0 {
		t.Fatalf("%+v, %v", members, err)
	}
	t.Logf("%+v, %+v", s, members)
	has := members[0].Version.String()
	way, found := upgrade.EtcdWay(members, upgrade.MustVersion("v3.7.0"), []upgrade.Version{upgrade.MustVersion("v3.6.16"), upgrade.MustVersion("v3.7.0")})
	if len(found) > 0 {
		t.Fatal(found)
	}
	for _, to := range way {
		for _, component := range []string{upgrade.Etcd, upgrade.Etcdctl, upgrade.Etcdutl} {
			cp.change(t, component, has, to.String())
		}
		has = to.String()
	}
	cp.change(t, upgrade.APIServer, "v1.36.3", "v1.37.2")
	t.Run("a flag that is gone, swapped back", func(t *testing.T) {
		const dropIn = "/etc/systemd/system/kube-controller-manager.service.d"
		cp.sh(t, "mkdir -p "+dropIn+"; exec=$(systemctl show -p ExecStart --value kube-controller-manager | sed 's/.*argv\\[\\]=//; s/ ; .*//'); "+
			"printf '[Service]\\nExecStart=\\nExecStart=%s --concurrent-service-syncs=2\\n' \"$exec\" > "+dropIn+"/x.conf; systemctl daemon-reload; systemctl restart kube-controller-manager")
		c := upgrade.BinaryChange{Component: upgrade.ControllerManager, From: upgrade.MustVersion("v1.36.3"), To: upgrade.MustVersion("v1.37.2")}
		if err := cp.Fetch(ctx, labSource(), c); err != nil {
			t.Fatal(err)
		}
		found, err := cp.Check(ctx, c)
		t.Log(found, err)
		if err != nil || len(found) != 1 || !strings.Contains(found[0].Message, "--concurrent-service-syncs") {
			t.Errorf("%v, %v", found, err)
		}
		began := time.Now()
		err = cp.Swap(ctx, c)
		t.Log(time.Since(began), err)
		if !fault.Is(err, fault.VerificationFailed) || !strings.Contains(err.Error(), "swapped back, v1.36.3 runs again") {
			t.Errorf("%v", err)
		}
		if err := cp.Healthy(ctx, upgrade.ControllerManager, c.From); err != nil {
			t.Error(err)
		}
		cp.sh(t, "rm -r "+dropIn)
	})
	for _, component := range []string{upgrade.ControllerManager, upgrade.Scheduler, upgrade.Kubectl} {
		cp.change(t, component, "v1.36.3", "v1.37.2")
	}
	t.Run("a program that does not serve, swapped back", func(t *testing.T) {
		const folder = "/root/bad/v1.37.9/bin/linux/amd64"
		w.sh(t, "mkdir -p "+folder+"; printf '#!/bin/sh\\ncase \"$1\" in --version) echo Kubernetes v1.37.9;; --help) ;; *) sleep 600;; esac\\n' > "+folder+
			"/kubelet; sha256sum < "+folder+"/kubelet | cut -d' ' -f1 > "+folder+"/kubelet.sha256")
		c := upgrade.BinaryChange{Component: upgrade.Kubelet, From: upgrade.MustVersion("v1.36.3"), To: upgrade.MustVersion("v1.37.9")}
		if err := w.Fetch(ctx, upgrade.BinarySource{Kubernetes: "file:///root/bad"}, c); err != nil {
			t.Fatal(err)
		}
		binaries.SetPatience(w.Host, 15*time.Second)
		err := w.Swap(ctx, c)
		binaries.SetPatience(w.Host, 3*time.Minute)
		t.Log(err)
		if !fault.Is(err, fault.VerificationFailed) || !strings.Contains(err.Error(), "swapped back, v1.36.3 runs again") {
			t.Errorf("%v", err)
		}
	})
	for _, component := range []string{upgrade.Kubelet, upgrade.KubeProxy, upgrade.Kubectl} {
		w.change(t, component, "v1.36.3", "v1.37.2")
	}
	t.Log(cp.sh(t, "kubectl get nodes -o wide; ls -l /usr/local/bin"))
}

// TestLabUnitsReadAsSystemdReadsThem asks the processes of units for their arguments, which systemd gave them.
func TestLabUnitsReadAsSystemdReadsThem(t *testing.T) {
	m := labMachine(t, "PAWL_LAB_BY_HAND_WORKER")
	const unit, folder = "pawl-test.service", "/run/systemd/system"
	put := func(file, text string) {
		t.Helper()
		r, err := m.client.Run(t.Context(), ssh.Command{Argv: []string{"sh", "-c", `mkdir -p "$(dirname "$0")"; cat > "$0"`, file}, Stdin: []byte(text), Root: true})
		if err != nil || r.ExitCode != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	const clean = "systemctl stop pawl-test 2>/dev/null; rm -rf /run/pawl-test " + folder + "/pawl-test.service*; systemctl daemon-reload"
	t.Cleanup(func() { m.sh(t, clean) })
	for name, c := range binaries.UnitCases {
		m.sh(t, clean)
		marks := strings.NewReplacer(binaries.EnvFileMark, "/run/pawl-test/env", binaries.FolderMark, "/run/pawl-test")
		put("/run/pawl-test/env", c.EnvFile)
		put(folder+"/"+unit, marks.Replace("[Unit]\nDescription=x\n[Service]\n"+c.Unit+"\n"))
		if c.Drop != "" {
			put(folder+"/"+unit+".d/x.conf", c.Drop)
		}
		m.sh(t, "systemctl daemon-reload; systemctl start pawl-test")
		real := strings.Split(strings.TrimSuffix(m.sh(t, "cat /proc/$(systemctl show -p MainPID --value pawl-test)/cmdline"), "\x00"), "\x00")
		got, err := binaries.UnitCommand(t.Context(), m.Host, unit)
		want := append([]string{"/bin/sh", "-c", "sleep 600; :"}, c.Want...)
		if err != nil || !slices.Equal(got, real) || !slices.Equal(real, want) {
			t.Errorf("%s: %v\n    got %q\nsystemd %q\n   want %q", name, err, got, real, want)
		}
	}
}

// TestLabEtcdMemberByMember takes the members of a fresh cluster of three to the next minor, the leader last, and one of
// them is cut off on the way again and again.
func TestLabEtcdMemberByMember(t *testing.T) {
	addresses := strings.Fields(os.Getenv("PAWL_LAB_BY_HAND_MEMBERS"))
	if len(addresses) == 0 {
		t.Skip("SKIPPED, NOT TESTED ON REAL MEMBERS: PAWL_LAB_BY_HAND_MEMBERS must be the addresses of three control planes of a fresh cluster of `pawl-lab up --hard-way`, and the others as for TestLabUpgrade")
	}
	machines := map[string]*machine{}
	var hosts []upgrade.BinaryHost
	for _, address := range addresses {
		t.Setenv("PAWL_LAB_BY_HAND_MEMBER", address)
		m := labMachine(t, "PAWL_LAB_BY_HAND_MEMBER")
		machines[address] = m
		seen, err := m.Observe(t.Context(), labSource(), nil)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, seen)
	}
	members, err := machines[addresses[0]].EtcdMembers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range members {
		for _, address := range addresses {
			if strings.Contains(members[i].Endpoint, address+":") {
				members[i].Node = address
			}
		}
	}
	way, found := upgrade.EtcdWay(members, upgrade.MustVersion("v3.7.0"), []upgrade.Version{upgrade.MustVersion("v3.6.16"), upgrade.MustVersion("v3.7.0")})
	if len(found) > 0 {
		t.Fatal(found)
	}
	for _, phase := range upgrade.BinaryPhases(hosts, members, upgrade.BinaryTargets{Kubernetes: upgrade.MustVersion("v1.37.2"), Etcd: way})[:len(way)] {
		t.Log(phase.Title)
		for i, step := range phase.Steps {
			m := machines[step.Node]
			if i == 0 { // its etcd
				cutOften(t, m, step.BinaryChange)
			}
			m.change(t, step.Component, step.From.String(), step.To.String())
		}
	}
	members, err = machines[addresses[0]].EtcdMembers(t.Context())
	t.Logf("%+v, %v", members, err)
	for _, m := range members {
		if m.Version.String() != "v3.7.0" {
			t.Errorf("%+v", m)
		}
	}
}

// cutOften begins a change and loses the connection, every time a little later.
func cutOften(t *testing.T, m *machine, c upgrade.BinaryChange) {
	cuts := 0
	for n := 3; ; n += 7 {
		h := binaries.New(m.address, m.address, &cutting{Runner: m.client, left: n})
		err := h.Fetch(t.Context(), labSource(), c)
		if err == nil {
			err = h.Swap(t.Context(), c)
		}
		if err == nil {
			t.Logf("cut off %d times", cuts)
			return
		}
		if !fault.Is(err, fault.Unreachable) {
			t.Fatalf("after %d commands: %v", n, err)
		}
		cuts++
	}
}

// cutting is a connection that is lost after some commands.
type cutting struct {
	remote.Runner
	left int
}

func (c *cutting) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	if c.left--; c.left < 0 {
		return remote.Result{}, fault.New(fault.Unreachable, "connect to", "it", "cut off", "")
	}
	return c.Runner.Run(ctx, cmd)
}
