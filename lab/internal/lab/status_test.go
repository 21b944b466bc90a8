package lab

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

func TestStatusForPeople(t *testing.T) {
	s := Status{
		State:        State{Version: "v1.36.3", Started: time.Date(2026, 11, 23, 7, 0, 0, 0, time.Local), Ready: true},
		Directory:    "/lab",
		Definition:   "/lab/run/clusters/lab.yaml",
		Infra:        42,
		API:          "ok",
		Repositories: []string{"http://10.77.0.1/core:/stable:/v1.37/deb/ (v1.37.2)"},
		Machines: []NodeStatus{
			{Name: "cp1", Address: "10.77.0.11", Power: "on", Cable: "in", PID: 7, Kubeadm: "1.37.2-1.1", Kubelet: "1.36.3-1.1", Reported: "v1.36.3", Condition: "Ready"},
			{Name: "w1", Address: "10.77.0.21", Power: "off", Cable: "cut"},
		},
	}
	var b strings.Builder
	if err := s.Print(&b); err != nil {
		t.Fatal(err)
	}
	want := `lab       up since 2026-11-23 07:00:00, began with v1.36.3, in /lab
infra     pid 42; API ok
packages  http://10.77.0.1/core:/stable:/v1.37/deb/ (v1.37.2)
cluster   /lab/run/clusters/lab.yaml

NODE  ADDRESS     POWER  CABLE  PID  KUBEADM     KUBELET     REPORTS  CONDITION
cp1   10.77.0.11  on     in     7    1.37.2-1.1  1.36.3-1.1  v1.36.3  Ready
w1    10.77.0.21  off    cut    -    -           -           -        -
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &b, want)
	}
}

func TestStatusOfALabByHand(t *testing.T) {
	s := Status{State: State{Shape: HardWay}, Repositories: []string{HardWay.source("v1.37.2")}, Machines: []NodeStatus{
		{Name: "cp1", Address: "10.77.0.11", Power: "on", Cable: "in", PID: 7, APIServer: "v1.37.2"},
		{Name: "w1", Address: "10.77.0.21", Power: "on", Cable: "in", PID: 8, Kubelet: "v1.36.3", Reported: "v1.36.3", Condition: "Ready"},
	}}
	var b strings.Builder
	if err := s.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"programs  http://10.77.0.1/release/v1.37.2/\n",
		"NODE  ADDRESS     POWER  CABLE  PID  API SERVER  KUBELET  REPORTS  CONDITION\n",
		"cp1   10.77.0.11  on     in     7    v1.37.2     -        -        -\n",
		"w1    10.77.0.21  on     in     8    -           v1.36.3  v1.36.3  Ready\n",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("lacks %q:\n%s", line, &b)
		}
	}
}

func TestInstalledVersions(t *testing.T) {
	got := installedVersions(strings.NewReader("Package: kubeadm\nStatus: hold ok installed\nVersion: 1.37.2-1.1\nDepends: x\n\nPackage: sudo\nVersion: 1.9\n\nPackage: kubelet\nVersion: 1.36.3-1.1\n"), "kubeadm", "kubelet")
	if want := map[string]string{"kubeadm": "1.37.2-1.1", "kubelet": "1.36.3-1.1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseNodes(t *testing.T) {
	got, err := parseNodes([]byte(`{"items":[
		{"metadata":{"name":"w1"},"spec":{"unschedulable":true},"status":{"nodeInfo":{"kubeletVersion":"v1.37.2"},"conditions":[{"type":"Ready","status":"True"}]}},
		{"metadata":{"name":"w2"},"status":{"nodeInfo":{"kubeletVersion":"v1.36.3"},"conditions":[{"type":"Ready","status":"Unknown"}]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]apiNode{"w1": {"v1.37.2", "Ready,SchedulingDisabled"}, "w2": {"v1.36.3", "NotReady"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDefinitionByShape(t *testing.T) {
	const ignored, repository = "kubeadm: {ignorePreflightErrors: [SystemVerification]}\n", "packages:\n  repository: http://10.77.0.1/core:/stable:\n"
	three := topology.Nodes(3, 1)
	for _, c := range []struct {
		name      string
		state     State
		has, lack []string
	}{
		{"kubeadm, version 1", State{Shape: Kubeadm, Nodes: three, CgroupV1: true}, []string{"provider: kubeadm\n", ignored, repository}, []string{"hosts:", "binaries:"}},
		{"kubeadm, version 2", State{Shape: Kubeadm, Nodes: three}, []string{repository}, []string{ignored}},
		{
			"by hand", State{Shape: HardWay, Nodes: three, CgroupV1: true},
			[]string{"provider: binaries\n", "    cp3: {address: 10.77.0.13}\n", "  controlPlane: [cp1, cp2, cp3]\n", "mirror: http://10.77.0.1/release\n", "etcdMirror: http://10.77.0.1/etcd\n"},
			[]string{ignored, "packages:", "w1"},
		},
		{
			"kubeadm, external etcd", State{Shape: Kubeadm, Nodes: three, ExternalEtcd: true},
			[]string{"provider: kubeadm\n", "    cp3: {address: 10.77.0.13}\n", repository, "etcd:\n  hosts: [cp1, cp2, cp3]\n  mirror: http://10.77.0.1/etcd\n"},
			[]string{"binaries:", "w1"},
		},
	} {
		got := Definition(c.state)
		for _, part := range c.has {
			if !strings.Contains(got, part) {
				t.Errorf("%s: lacks %q:\n%s", c.name, part, got)
			}
		}
		for _, part := range c.lack {
			if strings.Contains(got, part) {
				t.Errorf("%s: has %q:\n%s", c.name, part, got)
			}
		}
	}
}

func TestStateSurvivesTheDisk(t *testing.T) {
	h := tempHome(t)
	if _, err := LoadState(h); err != ErrNoLab {
		t.Errorf("without a lab: %v, want %v", err, ErrNoLab)
	}
	s := State{Version: "v1.36.3", Nodes: topology.Nodes(1, 2), InotifyInstances: "128"}
	if err := s.save(h); err != nil {
		t.Fatal(err)
	}
	got, err := LoadState(h)
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v, %v; want %+v", got, err, s)
	}
	if err := got.Has("w3"); err == nil {
		t.Error("w3 is in a lab of two workers")
	}
}

func tempHome(t *testing.T) home.Home {
	t.Helper()
	return home.Home(t.TempDir())
}
