package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/mirror"
	"github.com/pawl-dev/pawl/lab/internal/node"
	"github.com/pawl-dev/pawl/lab/internal/proc"
	"github.com/pawl-dev/pawl/lab/internal/sshx"
	"github.com/pawl-dev/pawl/lab/internal/topology"
)

// Status is what can be said of a lab from outside and from its API.
type Status struct {
	State
	Directory    string       `json:"directory"`
	Definition   string       `json:"definition"` // pawl's cluster definition
	Infra        int          `json:"infraPid"`   // 0: not running
	Repositories []string     `json:"repositories"`
	API          string       `json:"api"` // "ok" or why not
	Machines     []NodeStatus `json:"machines"`
}

// NodeStatus is one node's.
type NodeStatus struct {
	Name      topology.Node `json:"name"`
	Address   string        `json:"address"`
	Power     string        `json:"power"`   // on, off, missing
	Cable     string        `json:"cable"`   // in, cut
	PID       int           `json:"pid"`     // its first process on the machine, 0: none
	Kubeadm   string        `json:"kubeadm"` // installed packages, or programs
	Kubelet   string        `json:"kubelet"`
	APIServer string        `json:"apiServer,omitempty"`
	Reported  string        `json:"reported"` // the kubelet's version in the API
	Condition string        `json:"condition"`
}

// Inspect looks at the lab.
func Inspect(ctx context.Context, h home.Home) (Status, error) {
	state, err := LoadState(h)
	if err != nil {
		return Status{}, err
	}
	s := Status{State: state, Directory: string(h), Definition: h.Cluster("lab.yaml")}
	if id, err := proc.Load(infraFile(h)); err == nil && id.Alive() {
		s.Infra = id.PID
	}
	for _, v := range state.Served {
		s.Repositories = append(s.Repositories, state.Shape.source(v))
	}
	reported, err := apiNodes(ctx, h, state)
	s.API = "ok"
	if err != nil {
		s.API = err.Error()
	}
	for _, n := range state.Nodes {
		s.Machines = append(s.Machines, inspectNode(ctx, h, state.Shape, n, reported[string(n)]))
	}
	return s, nil
}

func inspectNode(ctx context.Context, h home.Home, shape Shape, n topology.Node, r apiNode) NodeStatus {
	ns := NodeStatus{Name: n, Address: n.Address(), Power: "off", Cable: "cut", Reported: r.version, Condition: r.condition}
	if !node.Exists(h, n) {
		ns.Power = "missing"
		return ns
	}
	if id, err := node.First(h, n); err == nil && id.Alive() {
		ns.Power, ns.PID = "on", id.PID
	}
	if node.Connected(n) {
		ns.Cable = "in"
	}
	root := h.Node(string(n), "root")
	if shape == HardWay {
		ns.Kubelet, ns.APIServer = programVersion(ctx, root, "kubelet"), programVersion(ctx, root, "kube-apiserver")
		return ns
	}
	if f, err := os.Open(filepath.Join(root, "var/lib/dpkg/status")); err == nil {
		defer f.Close()
		installed := installedVersions(f, "kubeadm", "kubelet")
		ns.Kubeadm, ns.Kubelet = installed["kubeadm"], installed["kubelet"]
	}
	return ns
}

// source is where the nodes get a version from.
func (s Shape) source(version string) string {
	if s == HardWay {
		return served(mirror.Kubernetes) + "/" + version + "/"
	}
	return fmt.Sprintf("%s/ (%s)", repositoryURL(version), version)
}

// programVersion is what a program on a node's disk says, whether the node is
// on or not; empty if it has none.
func programVersion(ctx context.Context, root, program string) string {
	cmd := exec.CommandContext(ctx, "/usr/local/bin/"+program, "--version")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "Kubernetes"))
}

// installedVersions reads dpkg's own list, which is there even when the node
// is off.
func installedVersions(r io.Reader, packages ...string) map[string]string {
	wanted := map[string]bool{}
	for _, p := range packages {
		wanted[p] = true
	}
	found := map[string]string{}
	name := ""
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		key, value, _ := strings.Cut(sc.Text(), ": ")
		switch key {
		case "Package":
			name = value
		case "Version":
			if wanted[name] {
				found[name] = value
			}
		}
	}
	return found
}

type apiNode struct{ version, condition string }

// apiNodes asks the cluster's API.
func apiNodes(ctx context.Context, h home.Home, state State) (nodes map[string]apiNode, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err = onControlPlane(ctx, h, state, func(n topology.Node, c *sshx.Client) error {
		out, err := c.Run(ctx, "kubectl get nodes -o json --request-timeout=3s")
		if err != nil {
			return fmt.Errorf("%s: the API does not answer", n)
		}
		nodes, err = parseNodes([]byte(out))
		return err
	})
	return nodes, err
}

// onControlPlane does something on the first control plane where it can be done.
func onControlPlane(ctx context.Context, h home.Home, state State, do func(topology.Node, *sshx.Client) error) error {
	a, err := access(h)
	if err != nil {
		return err
	}
	last := fmt.Errorf("no control plane is on")
	for _, n := range state.controlPlanes() {
		if id, err := node.First(h, n); err != nil || !id.Alive() {
			continue
		}
		c, err := a.Dial(ctx, string(n), n.Address())
		if err != nil {
			last = err
			continue
		}
		last = do(n, c)
		c.Close()
		if last == nil {
			return nil
		}
	}
	return last
}

func parseNodes(data []byte) (map[string]apiNode, error) {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ Unschedulable bool }
			Status   struct {
				NodeInfo   struct{ KubeletVersion string }
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	nodes := map[string]apiNode{}
	for _, i := range list.Items {
		n := apiNode{version: i.Status.NodeInfo.KubeletVersion, condition: "NotReady"}
		for _, c := range i.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" {
				n.condition = "Ready"
			}
		}
		if i.Spec.Unschedulable {
			n.condition += ",SchedulingDisabled"
		}
		nodes[i.Metadata.Name] = n
	}
	return nodes, nil
}

// Print writes the status for people.
func (s Status) Print(w io.Writer) error {
	state := "up"
	if !s.Ready {
		state = "half up (up did not come to its end)"
	}
	fmt.Fprintf(w, "lab       %s since %s, began with %s, in %s\n", state, s.Started.Local().Format(time.DateTime), s.Version, s.Directory)
	kind, manager := "packages", "KUBEADM"
	if s.Shape == HardWay {
		kind, manager = "programs", "API SERVER"
	}
	infra := "not running"
	if s.Infra != 0 {
		infra = fmt.Sprintf("pid %d", s.Infra)
	}
	fmt.Fprintf(w, "infra     %s; API %s\n", infra, s.API)
	for _, r := range s.Repositories {
		fmt.Fprintf(w, "%-10s%s\n", kind, r)
	}
	fmt.Fprintf(w, "cluster   %s\n\n", s.Definition)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "NODE\tADDRESS\tPOWER\tCABLE\tPID\t%s\tKUBELET\tREPORTS\tCONDITION\n", manager)
	for _, m := range s.Machines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Address, m.Power, m.Cable,
			dash(m.PID), dash(m.Kubeadm+m.APIServer), dash(m.Kubelet), dash(m.Reported), dash(m.Condition))
	}
	return t.Flush()
}

// dash stands for what is not known.
func dash(v any) string {
	if s := fmt.Sprint(v); s != "" && s != "0" {
		return s
	}
	return "-"
}
