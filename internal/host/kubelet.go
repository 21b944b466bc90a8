package host

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Files that the kubelet reads at its start and that kubeadm writes.
const (
	kubeletConfig   = "/var/lib/kubelet/config.yaml"
	kubeletInstance = "/var/lib/kubelet/instance-config.yaml"
	kubeletFlags    = "/var/lib/kubelet/kubeadm-flags.env"
)

// kubeletUnit is what systemd says of the kubelet.
type kubeletUnit struct {
	active     string
	pid        string // "0" when it does not run
	started    time.Time
	restarts   string // by systemd, since it was last started by hand
	needReload bool   // its unit files changed since systemd read them
}

// RestartKubelet restarts the kubelet if the running one is not the installed one, or was started before its
// configuration was written. It returns when the kubelet was started, by the machine's clock, cut to seconds.
func (h *Host) RestartKubelet(ctx context.Context, v upgrade.Version) (time.Time, error) {
	const op = "restart kubelet"
	if err := h.kubeletInstalled(ctx, op, v); err != nil {
		return time.Time{}, err
	}
	if err := h.kubeletFlagsKnown(ctx, op, v); err != nil {
		return time.Time{}, err
	}
	unit, err := h.kubeletUnit(ctx)
	if err != nil {
		return time.Time{}, err
	}
	reason, err := h.kubeletStale(ctx, unit)
	if err != nil {
		return time.Time{}, err
	}
	if reason == "" {
		return unit.started, nil
	}
	if _, err := h.must(ctx, op, "systemctl", "daemon-reload"); err != nil {
		return time.Time{}, err
	}
	if _, err := h.must(ctx, op, "systemctl", "restart", "kubelet.service"); err != nil {
		return time.Time{}, err
	}
	if unit, err = h.kubeletUnit(ctx); err != nil {
		return time.Time{}, err
	}
	if unit.active != "active" {
		return time.Time{}, fault.New(fault.VerificationFailed, op+" on", h.node, "the unit is "+unit.active+" after the restart", "see journalctl -u kubelet")
	}
	if stale, err := h.kubeletReplaced(ctx, unit); err != nil {
		return time.Time{}, err
	} else if stale {
		return time.Time{}, fault.New(fault.VerificationFailed, op+" on", h.node, "the kubelet that runs is still not the installed one", "")
	}
	return unit.started, nil
}

// kubeletFlagsKnown returns nil when kubelet v understands the flags that kubeadm left for it. A node whose kubeadm
// skipped a minor may have one that it does not, and its kubelet would crash over and over.
func (h *Host) kubeletFlagsKnown(ctx context.Context, op string, v upgrade.Version) error {
	there, err := h.existing(ctx, kubeletFlags)
	if err != nil || len(there) == 0 {
		return err
	}
	flags, err := h.read(ctx, kubeletFlags)
	if err != nil {
		return err
	}
	for _, f := range flagsIn(flags) {
		if gone, is := upgrade.RemovedFlag(upgrade.Kubelet, f.name, upgrade.Version{}, v); is {
			return fault.New(fault.PreflightFailed, op+" on", h.node,
				fmt.Sprintf("%s sets %s, which the kubelet does not know since %s", kubeletFlags, gone.Name, gone.In.MinorString()),
				"take the flag out of the file")
		}
	}
	return nil
}

// kubeletStale says why the running kubelet must be restarted; empty when it need not be.
func (h *Host) kubeletStale(ctx context.Context, unit kubeletUnit) (string, error) {
	if unit.active != "active" || unit.pid == "0" {
		return "it does not run", nil
	}
	if unit.needReload {
		return "its unit changed", nil
	}
	replaced, err := h.kubeletReplaced(ctx, unit)
	if err != nil {
		return "", err
	}
	if replaced {
		return "its binary was replaced", nil
	}
	there, err := h.existing(ctx, kubeletConfig, kubeletInstance, kubeletFlags)
	if err != nil || len(there) == 0 {
		return "", err
	}
	argv := append([]string{"stat", "-c", "%Y"}, there...)
	r, err := h.root(ctx, argv...)
	if err != nil {
		return "", err
	}
	if r.ExitCode != 0 {
		return "", h.failed("look at the kubelet's configuration", argv, r)
	}
	for i, word := range strings.Fields(r.Stdout) {
		// The start is known in whole seconds. Within the same second a restart too many is better than one too few.
		if written, err := strconv.ParseInt(word, 10, 64); err == nil && written >= unit.started.Unix() {
			return there[i] + " changed", nil
		}
	}
	return "", nil
}

// kubeletReplaced reports whether the binary that runs is no longer the one on disk: dpkg renames a new file over the
// old one, and the kernel then marks the running one (proc(5), /proc/pid/exe).
func (h *Host) kubeletReplaced(ctx context.Context, unit kubeletUnit) (bool, error) {
	argv := []string{"readlink", "/proc/" + unit.pid + "/exe"}
	r, err := h.root(ctx, argv...)
	if err != nil {
		return false, err
	}
	if r.ExitCode != 0 { // it ended in this moment
		return true, nil
	}
	return strings.HasSuffix(strings.TrimSpace(r.Stdout), "(deleted)"), nil
}

// kubeletInstalled returns nil when the installed kubelet is v.
func (h *Host) kubeletInstalled(ctx context.Context, op string, v upgrade.Version) error {
	argv := []string{"kubelet", "--version"}
	r, err := h.user(ctx, argv...)
	if err != nil {
		return err
	}
	have, parseErr := upgrade.ParseVersion(strings.TrimPrefix(strings.TrimSpace(r.Stdout), "Kubernetes "))
	if r.ExitCode != 0 || parseErr != nil {
		return h.failed("ask kubelet for its version", argv, r)
	}
	if have != v {
		return fault.New(fault.PreflightFailed, op+" on", h.node, "the installed kubelet is "+have.String()+", wanted "+v.String(), "install that version of kubelet first")
	}
	return nil
}

// kubeletUnit asks systemd. TZ makes systemctl print the time in UTC; its English does not depend on the locale.
func (h *Host) kubeletUnit(ctx context.Context) (kubeletUnit, error) {
	argv := []string{"env", "TZ=UTC", "systemctl", "show",
		"--property=ActiveState,MainPID,ExecMainStartTimestamp,NRestarts,NeedDaemonReload", "kubelet.service"}
	r, err := h.user(ctx, argv...)
	if err != nil {
		return kubeletUnit{}, err
	}
	if r.ExitCode != 0 {
		return kubeletUnit{}, h.failed("look at the kubelet", argv, r)
	}
	return parseKubeletUnit(r.Stdout), nil
}

func parseKubeletUnit(output string) kubeletUnit {
	f := remote.Fields(output)
	unit := kubeletUnit{active: f["ActiveState"], pid: f["MainPID"], restarts: f["NRestarts"], needReload: f["NeedDaemonReload"] == "yes"}
	if started, err := time.Parse("Mon 2006-01-02 15:04:05 UTC", f["ExecMainStartTimestamp"]); err == nil {
		unit.started = started
	}
	return unit
}

// KubeletHealthy returns nil when the kubelet's unit is active and its healthz endpoint says ok.
func (h *Host) KubeletHealthy(ctx context.Context) error {
	const op = "check kubelet"
	unit, err := h.kubeletUnit(ctx)
	if err != nil {
		return err
	}
	if unit.active != "active" {
		return fault.New(fault.VerificationFailed, op+" on", h.node,
			fmt.Sprintf("the unit is %s, wanted active (restarted %s times by systemd)", unit.active, unit.restarts), "see journalctl -u kubelet")
	}
	there, err := h.existing(ctx, kubeletConfig)
	if err != nil {
		return err
	}
	var config string
	if len(there) > 0 {
		if config, err = h.read(ctx, kubeletConfig); err != nil {
			return err
		}
	}
	address, err := healthzAddress(config)
	if err != nil {
		return fault.Wrap(fault.VerificationFailed, "read "+kubeletConfig+" on", h.node, err, "")
	}
	if address == "" {
		return nil // switched off on purpose
	}
	argv := []string{"curl", "--silent", "--show-error", "--fail", "--max-time", "5", "--noproxy", "*", "http://" + address + "/healthz"}
	r, err := h.user(ctx, argv...)
	if err != nil {
		return err
	}
	switch {
	case r.ExitCode == 127:
		return fault.New(fault.PreflightFailed, op+" on", h.node, "there is no curl to ask healthz with", "install curl")
	case r.ExitCode != 0:
		return fault.New(fault.VerificationFailed, op+" on", h.node, "http://"+address+"/healthz: "+remote.Tail(r.Stdout+"\n"+r.Stderr), "")
	}
	return nil
}

// healthzAddress reads from a KubeletConfiguration where healthz is served; empty when it is switched off. The
// defaults are those of kubelet.config.k8s.io/v1beta1.
func healthzAddress(config string) (string, error) {
	var c struct {
		Address string `json:"healthzBindAddress"`
		Port    *int   `json:"healthzPort"`
	}
	if err := yaml.Unmarshal([]byte(config), &c); err != nil {
		return "", err
	}
	if c.Address == "" {
		c.Address = "127.0.0.1"
	}
	port := 10248
	if c.Port != nil {
		port = *c.Port
	}
	if port == 0 {
		return "", nil
	}
	return net.JoinHostPort(c.Address, strconv.Itoa(port)), nil
}
