package host

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// PullImages pulls the control plane's images of v, from the registry that the present ones come from.
func (h *Host) PullImages(ctx context.Context, v upgrade.Version) error {
	argv := []string{"kubeadm", "config", "images", "pull", "--kubernetes-version=" + v.String()}
	pods, err := h.staticPods(ctx)
	if err != nil {
		return err
	}
	if pod, ok := pods[upgrade.APIServer]; ok {
		repository, _ := upgrade.ParseImage(pod.image)
		if registry, ok := strings.CutSuffix(repository, "/"+upgrade.APIServer); ok && registry != "registry.k8s.io" {
			argv = append(argv, "--image-repository="+registry)
		}
	}
	end, err := h.on.RunJob(ctx, remote.Job{Unit: "pawl-kubeadm-images-pull-" + v.String(), Argv: argv})
	if err != nil {
		return err
	}
	return h.kubeadmFault("pull images of "+v.String(), end)
}

// KubeadmUpgradeApply runs `kubeadm upgrade apply`, on the first control plane.
func (h *Host) KubeadmUpgradeApply(ctx context.Context, v upgrade.Version, ignorePreflightErrors []string) error {
	argv := append([]string{"kubeadm", "upgrade", "apply", v.String(), "--yes"}, ignore(ignorePreflightErrors)...)
	return h.kubeadmUpgrade(ctx, v, true, remote.Job{Unit: "pawl-kubeadm-upgrade-apply-" + v.String(), Argv: argv})
}

// KubeadmUpgradeNode runs `kubeadm upgrade node`, on every other node. It takes its version from the cluster's
// kubeadm-config and compares it with nothing: the caller makes sure beforehand that v is written there.
func (h *Host) KubeadmUpgradeNode(ctx context.Context, v upgrade.Version, controlPlane bool, ignorePreflightErrors []string) error {
	argv := append([]string{"kubeadm", "upgrade", "node"}, ignore(ignorePreflightErrors)...)
	return h.kubeadmUpgrade(ctx, v, controlPlane, remote.Job{Unit: "pawl-kubeadm-upgrade-node-" + v.String(), Argv: argv})
}

func ignore(checks []string) []string {
	if len(checks) == 0 {
		return nil
	}
	return []string{"--ignore-preflight-errors=" + strings.Join(checks, ",")}
}

func (h *Host) kubeadmUpgrade(ctx context.Context, v upgrade.Version, controlPlane bool, j remote.Job) error {
	op := strings.Join(j.Argv[:3], " ")
	// A kubeadm that runs is left alone, first of all: in the middle of its work a missing manifest is no damage.
	end, found, err := h.on.AwaitJob(ctx, j)
	if err != nil {
		return err
	}
	if !found {
		if err := h.beforeKubeadm(ctx, op, v, controlPlane); err != nil {
			return err
		}
		if end, err = h.on.RunJob(ctx, j); err != nil {
			return err
		}
	}
	if err := h.kubeadmFault(op, end); err != nil {
		return err
	}
	if !controlPlane {
		return nil
	}
	// kubeadm tells control planes from workers by kube-apiserver.yaml alone, and "upgrades" a control plane whose
	// manifest is missing as a worker, with success. So its word is not enough.
	return h.manifestsAt(ctx, op, v)
}

// beforeKubeadm checks what kubeadm does not check itself.
func (h *Host) beforeKubeadm(ctx context.Context, op string, v upgrade.Version, controlPlane bool) error {
	// kubeadm has no lock. The brackets keep pgrep from finding the shell that runs it.
	running, err := h.root(ctx, "pgrep", "-f", "[k]ubeadm (upgrade|init|join|reset)")
	if err != nil {
		return err
	}
	if running.ExitCode == 0 {
		return fault.New(fault.Conflict, op+" on", h.node, "another kubeadm is running, process "+strings.Join(strings.Fields(running.Stdout), ", "), "")
	}
	installed, err := h.kubeadmVersion(ctx)
	if err != nil {
		return err
	}
	if installed != v {
		return fault.New(fault.PreflightFailed, op+" on", h.node, "kubeadm is "+orNone(installed)+", wanted "+v.String(), "install that version of kubeadm first")
	}
	if !controlPlane {
		return nil
	}
	return h.restoreManifests(ctx, op)
}

// kubeadmVersion is the installed kubeadm's version; zero when there is no kubeadm.
func (h *Host) kubeadmVersion(ctx context.Context) (upgrade.Version, error) {
	argv := []string{"kubeadm", "version", "-o", "short"}
	r, err := h.user(ctx, argv...)
	if err != nil {
		return upgrade.Version{}, err
	}
	if r.ExitCode == 127 {
		return upgrade.Version{}, nil
	}
	v, parseErr := upgrade.ParseVersion(strings.TrimSpace(r.Stdout))
	if r.ExitCode != 0 || parseErr != nil {
		return upgrade.Version{}, h.failed("ask kubeadm for its version", argv, r)
	}
	return v, nil
}

func orNone(v upgrade.Version) string {
	if v.IsZero() {
		return "not installed"
	}
	return v.String()
}

// kubeadmFault is the fault of a kubeadm that failed, nil when it did not.
func (h *Host) kubeadmFault(op string, end remote.Ending) error {
	if end.Failure == "" {
		return nil
	}
	if checks := parsePreflightErrors(end.Output); len(checks) > 0 {
		return fault.New(fault.PreflightFailed, op+" on", h.node, "kubeadm's preflight checks failed: "+remote.Tail(strings.Join(checks, "\n")),
			"put it right, or name the check in ignorePreflightErrors if it does not matter here")
	}
	return fault.New(fault.CommandFailed, op+" on", h.node, "kubeadm failed ("+end.Failure+"): "+remote.Tail(end.Output), "")
}

// preflightError is how kubeadm prints a failed check: "[ERROR CoreDNSMigration]: reason". Exit codes tell nothing:
// since 1.34 it is always 1.
var preflightError = regexp.MustCompile(`\[ERROR ([^\]\s]+)\]:?[ \t]*(.*)`)

// parsePreflightErrors returns kubeadm's failed checks as "Name: reason", each once, in kubeadm's order.
func parsePreflightErrors(output string) []string {
	var checks []string
	for line := range strings.Lines(output) {
		if m := preflightError.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
			check := strings.TrimSuffix(m[1]+": "+strings.TrimSpace(m[2]), ": ")
			if !slices.Contains(checks, check) {
				checks = append(checks, check)
			}
		}
	}
	return checks
}
