package host

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// observeMachine fills in what may stop an upgrade on the machine beside the repositories: packages, settings,
// certificates, control groups, room, clock. It takes one command for each. Where one does not work the rest stands; an
// error is that of a host which cannot be worked with at all.
func (h *Host) observeMachine(ctx context.Context, packages packageManager, seen *upgrade.Host) error {
	var config kubeletSettings
	for _, look := range []struct {
		what string
		at   func() error
	}{
		{"packages", func() (err error) {
			seen.Packages, seen.Kubelet, err = packages.states(ctx)
			return err
		}},
		{"certificates and the kubelet's and the control plane's flags", func() error {
			files, err := h.readAll(ctx, slices.Concat(kubeletFlagNames, []string{"config.yaml", "*.crt"}, manifestNames()),
				slices.Concat(kubeletFlagFiles, []string{kubeletConfig, manifestFolder, pkiFolder})...)
			config = observeFiles(files, seen)
			seen.Certificates = expiring(files, time.Now())
			return err
		}},
		{"filesystems", func() error { return h.observeFilesystems(ctx, len(config.EvictionHard) > 0, seen) }},
		{"the clock", func() (err error) {
			seen.ClockAhead, err = h.clockAhead(ctx)
			return err
		}},
	} {
		err := look.at()
		if fault.Is(err, fault.Unreachable, fault.Unauthorized, fault.OutcomeUnknown) {
			return err
		}
		if err != nil {
			seen.NotObserved = append(seen.NotObserved, look.what+" ("+err.Error()+")")
		}
	}
	return nil
}

// manifestNames are those of the static pods that kubeadm makes.
func manifestNames() []string {
	var names []string
	for _, component := range append(slices.Clone(upgrade.ControlPlaneComponents), etcd) {
		names = append(names, component+".yaml")
	}
	return names
}

// cgroupFolder is where control groups are; on a machine with version 2 it is their filesystem.
const cgroupFolder = "/sys/fs/cgroup"

// filesystem is what statfs(2) says of one, by a folder on it.
type filesystem struct {
	kind string
	upgrade.Filesystem
}

// observeFilesystems looks at the control groups' version and at the room where the kubelet wants some, unless the cluster
// has thresholds of its own for that.
func (h *Host) observeFilesystems(ctx context.Context, ownThresholds bool, seen *upgrade.Host) error {
	argv := []string{"stat", "--file-system", "--format=%n %T %S %b %a", cgroupFolder, "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/containers"}
	r, err := h.user(ctx, argv...) // exit code 1 when any of them is missing
	if err != nil {
		return err
	}
	all := parseFilesystems(r.Stdout)
	if len(all) == 0 {
		return h.failed("look at filesystems", argv, r)
	}
	// Source: IsCgroup2UnifiedMode of github.com/opencontainers/cgroups, by which the kubelet tells them apart
	seen.CgroupV1 = all[0].Path == cgroupFolder && all[0].kind != "cgroup2fs"
	for _, fs := range all {
		const most = 15 // percent: the kubelet's own threshold of images, the highest
		if fs.Path != cgroupFolder && !ownThresholds && fs.Free*100 < fs.Size*most {
			seen.Filling = append(seen.Filling, fs.Filesystem)
		}
	}
	return nil
}

// parseFilesystems reads "/var/lib/kubelet ext2/ext3 4096 26214400 10485760": folder, kind, bytes of a block, blocks, blocks
// that are free for ordinary users.
func parseFilesystems(output string) []filesystem {
	var all []filesystem
	for line := range strings.Lines(output) {
		f := strings.Fields(line)
		if len(f) != 5 {
			continue
		}
		block, err1 := strconv.ParseInt(f[2], 10, 64)
		size, err2 := strconv.ParseInt(f[3], 10, 64)
		free, err3 := strconv.ParseInt(f[4], 10, 64)
		if firstError(err1, err2, err3) != nil || block <= 0 || size < 0 || free < 0 || max(size, free) > math.MaxInt64/block/100 {
			continue
		}
		all = append(all, filesystem{f[1], upgrade.Filesystem{Path: f[0], Size: size * block, Free: free * block}})
	}
	return all
}

// leastClock is the difference from which a clock is worth recording.
const leastClock = 500 * time.Millisecond

// clockAhead is how far the machine's clock is ahead of ours at least: it was read at some time between the question and
// the answer.
func (h *Host) clockAhead(ctx context.Context) (upgrade.Duration, error) {
	argv := []string{"date", "+%s.%N"}
	asked := time.Now()
	r, err := h.user(ctx, argv...)
	answered := time.Now()
	if err != nil {
		return 0, err
	}
	clock, ok := parseClock(r.Stdout)
	if r.ExitCode != 0 || !ok {
		return 0, h.failed("read the clock", argv, r)
	}
	ahead := time.Duration(0)
	switch {
	case clock.After(answered):
		ahead = clock.Sub(answered)
	case clock.Before(asked):
		ahead = clock.Sub(asked)
	}
	if ahead.Abs() < leastClock {
		return 0, nil
	}
	return upgrade.Duration(ahead.Round(leastClock)), nil
}

// parseClock reads seconds since the epoch with nine digits after the point.
func parseClock(output string) (time.Time, bool) {
	seconds, rest, ok := strings.Cut(strings.TrimSpace(output), ".")
	s, err1 := strconv.ParseInt(seconds, 10, 64)
	n, err2 := strconv.ParseUint(rest, 10, 32)
	return time.Unix(s, int64(n)), ok && len(rest) == 9 && firstError(err1, err2) == nil
}
