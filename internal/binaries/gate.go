package binaries

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Healthy returns nil when the component runs at version v and passes its gate; else what is not so.
func (h *Host) Healthy(ctx context.Context, name string, v upgrade.Version) error {
	c, err := h.one(ctx, "check "+name, name)
	if err != nil {
		return err
	}
	if !c.kind.unit {
		if c.OnDisk != v {
			return h.unhealthy(c, fmt.Sprintf("%s is %s, wanted %s", c.Path, c.OnDisk, v))
		}
		return nil
	}
	return h.gate(ctx, c, v)
}

// unhealthy is the fault of a component that does not pass its gate.
func (h *Host) unhealthy(c component, fact string) error {
	return fault.New(fault.VerificationFailed, "check "+c.Component+" on", h.node, fact, "")
}

// gate looks once whether the process is the one that it must be, and serves. That the unit is active says little: units
// whose Type= is simple are, as soon as there is a process.
func (h *Host) gate(ctx context.Context, c component, v upgrade.Version) error {
	if c.state.active != "active" || c.state.pid == "0" {
		return h.unhealthy(c, fmt.Sprintf("%s is %s, wanted active (restarted %d times by systemd)", c.state.id, c.state.active, c.state.restarts))
	}
	same, program, err := h.runsWhatIsThere(ctx, c)
	if err != nil {
		return err
	}
	if !same {
		return h.unhealthy(c, fmt.Sprintf("the process runs %s, wanted what is at %s now", cmp.Or(program, "nothing"), c.Path))
	}
	if c.OnDisk != v {
		return h.unhealthy(c, fmt.Sprintf("it is %s, wanted %s", c.OnDisk, v))
	}
	if err := h.serves(ctx, c, v); err != nil {
		return err
	}
	now, err := h.unitState(ctx, c.state.id)
	if err == nil && (now.pid != c.state.pid || now.invocation != c.state.invocation) {
		return h.unhealthy(c, "its process ended while it was looked at")
	}
	return err
}

// serves asks the component itself.
func (h *Host) serves(ctx context.Context, c component, v upgrade.Version) error {
	switch c.Component {
	case upgrade.Etcd:
		return h.etcdHealthy(ctx, c, v)
	case upgrade.APIServer:
		return h.apiServerReady(ctx, c, v)
	case upgrade.ControllerManager:
		return h.healthz(ctx, c, secure(c, "10257", "127.0.0.1"))
	case upgrade.Scheduler:
		return h.healthz(ctx, c, secure(c, "10259", "127.0.0.1"))
	case upgrade.Kubelet, upgrade.KubeProxy:
		where, err := h.plainHealthz(ctx, c)
		if err != nil || where == "" { // switched off on purpose
			return err
		}
		return h.healthz(ctx, c, "http://"+where)
	case upgrade.Containerd:
		return h.containerdAnswers(ctx, c)
	}
	return nil
}

// secure is where a component of the control plane serves HTTPS; empty when it is told not to.
func secure(c component, port, fallback string) string {
	if port = c.set("secure-port", port); port == "0" {
		return ""
	}
	address := c.set("bind-address", "")
	if ip := net.ParseIP(address); ip == nil || ip.IsUnspecified() {
		address = fallback
	}
	return "https://" + net.JoinHostPort(address, port)
}

// healthz asks /healthz once.
func (h *Host) healthz(ctx context.Context, c component, base string) error {
	if base == "" {
		return nil
	}
	_, err := h.ask(ctx, c, base+"/healthz", nil)
	return err
}

// apiServerReady asks /readyz and /version on the host's own address, and not where a load balancer may choose another.
func (h *Host) apiServerReady(ctx context.Context, c component, v upgrade.Version) error {
	base := secure(c, "6443", cmp.Or(c.set("advertise-address", ""), h.address, "127.0.0.1"))
	var credentials []string // for an API server that answers nobody without: those it has for kubelets, which it signed or trusts
	if cert, key := c.set("kubelet-client-certificate", ""), c.set("kubelet-client-key", ""); cert != "" && key != "" {
		credentials = []string{"--cert", cert, "--key", key}
	}
	if _, err := h.ask(ctx, c, base+"/readyz", credentials); err != nil {
		return err
	}
	text, err := h.ask(ctx, c, base+"/version", credentials)
	if err != nil {
		return err
	}
	var says struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal([]byte(text), &says); err != nil {
		return h.unhealthy(c, base+"/version does not read as JSON")
	}
	if have, err := upgrade.ParseVersion(says.GitVersion); err != nil || have != v {
		return h.unhealthy(c, fmt.Sprintf("%s/version says %q, wanted %s", base, says.GitVersion, v))
	}
	return nil
}

// ask gets a page from a component of the host itself. Its certificate is not verified: controller-manager and scheduler
// sign their own by default, nothing secret is sent, and that the process is the right one was seen before. Without an
// answer to anybody the credentials are used.
func (h *Host) ask(ctx context.Context, c component, page string, credentials []string) (string, error) {
	argv := []string{"curl", "--silent", "--show-error", "--max-time", "10", "--noproxy", "*", "--insecure", "--write-out", `\n%{http_code}`}
	root := false
	for {
		r, err := h.on.On.Run(ctx, remote.Command{Argv: append(argv, page), Root: root})
		if err != nil {
			return "", err
		}
		body, code := r.Stdout, ""
		if i := strings.LastIndexByte(r.Stdout, '\n'); i >= 0 {
			body, code = r.Stdout[:i], r.Stdout[i+1:]
		}
		switch {
		case r.ExitCode == 127:
			return "", fault.New(fault.PreflightFailed, "check "+c.Component+" on", h.node, "there is no curl to ask "+page+" with", "install curl")
		case r.ExitCode == 0 && code == "200":
			return body, nil
		case r.ExitCode == 0 && (code == "401" || code == "403") && !root && len(credentials) > 0:
			argv, root = append(argv, credentials...), true
			continue
		case r.ExitCode == 0:
			return "", h.unhealthy(c, fmt.Sprintf("%s says %s: %s", page, code, remote.Tail(body)))
		}
		return "", h.unhealthy(c, page+": "+remote.Tail(r.Stderr))
	}
}

// plainHealthz is where the kubelet or kube-proxy serves /healthz, by its configuration file, or by its flags where there is
// none; empty when it is switched off.
func (h *Host) plainHealthz(ctx context.Context, c component) (string, error) {
	address, port := "127.0.0.1", "10248"
	if c.Component == upgrade.KubeProxy {
		address, port = "0.0.0.0", "10256"
	}
	var config struct {
		Address string `json:"healthzBindAddress"`
		Port    *int   `json:"healthzPort"`
	}
	if file := c.set("config", ""); file != "" {
		text, err := h.on.Read(ctx, file)
		if err != nil {
			return "", err
		}
		if err := yaml.Unmarshal([]byte(text), &config); err != nil {
			return "", h.unhealthy(c, file+" does not read as YAML")
		}
	}
	// kube-proxy heeds its flags only where it has no file; the kubelet's go before its file.
	if c.Component == upgrade.Kubelet || c.set("config", "") == "" {
		config.Address = c.set("healthz-bind-address", config.Address)
		if n, err := strconv.Atoi(c.set("healthz-port", "")); err == nil {
			config.Port = &n
		}
	}
	if config.Port != nil {
		port = strconv.Itoa(*config.Port)
	}
	address = cmp.Or(config.Address, address)
	if host, p, err := net.SplitHostPort(address); err == nil { // kube-proxy's has a port
		address, port = host, p
	}
	if port == "0" {
		return "", nil
	}
	if ip := net.ParseIP(address); ip != nil && ip.IsUnspecified() {
		address = "127.0.0.1"
	}
	return net.JoinHostPort(address, port), nil
}

// containerdAnswers asks containerd through its socket.
func (h *Host) containerdAnswers(ctx context.Context, c component) error {
	argv := []string{"timeout", "20", path.Dir(c.Path) + "/ctr"}
	if socket := c.set("address", ""); socket != "" {
		argv = append(argv, "--address", socket)
	}
	r, err := h.on.Root(ctx, append(argv, "version")...)
	if err == nil && r.ExitCode != 0 {
		return h.unhealthy(c, "ctr version: "+remote.Tail(r.Stdout+"\n"+r.Stderr))
	}
	return err
}
