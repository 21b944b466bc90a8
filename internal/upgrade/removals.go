package upgrade

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// What each minor takes away from the components' command lines and configurations. A component that is given a flag or
// a feature gate that it does not know does not start.

//go:generate go run ../../scripts/featuregates gates.go

// Removal is a flag or a feature gate that a component no longer takes.
type Removal struct {
	Name   string  // --flag, or the gate's name
	In     Version // the first release of the minor that is without it
	Source string
}

// removedFlag is a row of removedFlags.
type removedFlag struct {
	component string
	minor     uint64 // of Kubernetes 1; of etcd, the one that brings the etcd without it
	flags     string // apart by spaces; one that ends in * stands for all that begin so
	source    string // empty: the minor's changelog
}

// removedFlags are compared from the components' own flags: those of v1.30.14 and later, minor by minor, and of etcd
// 3.5.24, 3.6.8 and 3.7.0, which kubeadm brings. Of earlier minors they are what kubeadm once wrote itself.
var removedFlags = []removedFlag{
	{Kubelet, 24, "network-plugin", "https://kubernetes.io/blog/2022/03/31/ready-for-dockershim-removal/"},
	{Kubelet, 27, "container-runtime", ""},
	{Kubelet, 31, "iptables-drop-bit iptables-masquerade-bit keep-terminated-pod-volumes", ""},
	{Kubelet, 34, "cloud-config register-schedulable", ""},
	{Kubelet, 35, "pod-infra-container-image", ""},
	{Kubelet, 37, "application-metrics-count-limit boot-id-file container-hints containerd containerd-namespace enable-load-reader " +
		"event-storage-age-limit event-storage-event-limit global-housekeeping-interval log-cadvisor-usage machine-id-file storage-driver-buffer-duration " +
		"storage-driver-db storage-driver-host storage-driver-password storage-driver-secure storage-driver-table storage-driver-user",
		"https://github.com/kubernetes/kubernetes/pull/139870"},
	{APIServer, 31, "cloud-provider-gce-l7lb-src-cidrs cloud-provider-gce-lb-src-cidrs", ""},
	{APIServer, 33, "cloud-provider cloud-config", ""},
	{ControllerManager, 31, "cloud-provider-gce-l7lb-src-cidrs cloud-provider-gce-lb-src-cidrs horizontal-pod-autoscaler-downscale-delay " +
		"horizontal-pod-autoscaler-upscale-delay volume-host-allow-local-loopback volume-host-cidr-denylist", ""},
	{ControllerManager, 37, "concurrent-service-syncs", ""},
	{KubeProxy, 37, "boot-id-file machine-id-file", ""},
	{etcd, 34, "enable-v2 experimental-enable-v2v3 proxy proxy-dial-timeout proxy-failure-wait proxy-read-timeout proxy-refresh-interval " +
		"proxy-write-timeout", "https://etcd.io/docs/v3.6/upgrades/upgrade_3_6/"},
	{etcd, 37, "discovery discovery-proxy experimental-*", "https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/"},
}

// etcd is the component's name where versions are Kubernetes'.
const etcd = "etcd"

// RemovedFlag looks for a flag of a component that is gone somewhere after from and up to to. The flag may be written
// with dashes before it or without, and with '_' for '-', as the components read it.
func RemovedFlag(component, flag string, from, to Version) (Removal, bool) {
	name := strings.ReplaceAll(strings.TrimLeft(flag, "-"), "_", "-")
	for _, row := range removedFlags {
		if row.component != component || !onTheWay(row.minor, from, to) {
			continue
		}
		for _, gone := range strings.Fields(row.flags) {
			if prefix, all := strings.CutSuffix(gone, "*"); gone == name || all && strings.HasPrefix(name, prefix) {
				return Removal{"--" + name, firstOf(row.minor), sourceOr(row.source, row.minor)}, true
			}
		}
	}
	return Removal{}, false
}

// RemovedGate looks for a feature gate that is gone somewhere after from and up to to. All of Kubernetes' components
// share their gates; kubeadm and etcd have gates of their own, which are not looked for. It is known of the gates that
// v1.32 and later had.
func RemovedGate(gate string, from, to Version) (Removal, bool) {
	if minor, gone := removedGates[gate]; gone && onTheWay(minor, from, to) {
		return Removal{gate, firstOf(minor), sourceOr("", minor)}, true
	}
	return Removal{}, false
}

// LockedGate looks for a feature gate that may only be set to one value somewhere after from and up to to, and reports
// whether this value is the other one: a component that is told so does not start, either.
func LockedGate(gate string, value bool, from, to Version) (Removal, bool) {
	if lock, locked := lockedGates[gate]; locked && lock.value != value && onTheWay(lock.minor, from, to) {
		return Removal{gate, firstOf(lock.minor), sourceOr("", lock.minor)}, true
	}
	return Removal{}, false
}

// Matters reports whether any minor removes or locks what is set: the others are not worth recording.
func (s Setting) Matters() bool {
	_, _, gone := s.gone(Version{}, Version{major: 1, minor: math.MaxUint64})
	return gone
}

// gone says what a way from one version to another takes away of the setting, and how the component puts it.
func (s Setting) gone(from, to Version) (what Removal, says string, gone bool) {
	if s.Flag != "" {
		what, gone = RemovedFlag(s.Component, s.Flag, from, to)
		return what, "does not know", gone
	}
	if what, gone = RemovedGate(s.Gate, from, to); gone {
		return what, "does not know", true
	}
	what, gone = LockedGate(s.Gate, s.On, from, to)
	return what, fmt.Sprintf("lets nobody set to %t", s.On), gone
}

// gateLock is since which minor of Kubernetes 1 a gate may have one value only, and which.
type gateLock struct {
	minor uint64
	value bool
}

// ParseGates reads what --feature-gates is given: "A=true,B=false". What does not read so is passed over, as the
// component refuses it now.
func ParseGates(text string) map[string]bool {
	gates := map[string]bool{}
	for _, setting := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(setting, "=")
		if on, err := strconv.ParseBool(strings.TrimSpace(value)); err == nil && strings.TrimSpace(name) != "" {
			gates[strings.TrimSpace(name)] = on
		}
	}
	return gates
}

// onTheWay reports whether a way from one version to another enters the minor or passes it.
func onTheWay(minor uint64, from, to Version) bool {
	first := firstOf(minor)
	return from.Less(first) && !from.SameMinor(first) && to.AtLeastMinor(1, minor)
}

func firstOf(minor uint64) Version { return Version{major: 1, minor: minor} }

func sourceOr(source string, minor uint64) string {
	if source != "" {
		return source
	}
	return fmt.Sprintf("https://github.com/kubernetes/kubernetes/blob/master/CHANGELOG/CHANGELOG-1.%d.md", minor)
}
