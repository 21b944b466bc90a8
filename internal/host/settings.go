package host

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Where flags of the kubelet may stand: what kubeadm wrote, what people wrote (Debian, RPM), and the unit with its
// drop-ins, the package's own and the machine's.
var (
	kubeletFlagFiles = []string{kubeletFlags, "/etc/default/kubelet", "/etc/sysconfig/kubelet",
		"/etc/systemd/system/kubelet.service", "/etc/systemd/system/kubelet.service.d",
		"/usr/lib/systemd/system/kubelet.service", "/usr/lib/systemd/system/kubelet.service.d"}
	kubeletFlagNames = []string{"kubeadm-flags.env", "kubelet", "kubelet.service", "*.conf"}
)

// argument is one of a command line.
type argument struct{ name, value string }

// flagsIn finds the flags in a file of environment variables or of systemd's units, comments left out.
func flagsIn(text string) []argument {
	var found []argument
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n\\\"'", r) })
		for i, word := range words {
			if name, value, ok := strings.Cut(word, "=--"); ok && !strings.HasPrefix(name, "-") {
				word = "--" + value // KUBELET_EXTRA_ARGS=--flag
			}
			if !strings.HasPrefix(word, "--") || word == "--" {
				continue
			}
			f := argument{}
			var with bool
			if f.name, f.value, with = strings.Cut(word, "="); !with && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
				f.value = words[i+1]
			}
			found = append(found, f)
		}
	}
	return found
}

// settingsOf are those of the flags that some minor of Kubernetes takes away, and those of the gates in --feature-gates.
// etcd has gates of its own, of which nothing is known.
func settingsOf(file, component string, flags []argument) []upgrade.Setting {
	var all []upgrade.Setting
	for _, f := range flags {
		if f.name == "--feature-gates" && component != etcd {
			all = append(all, gatesOf(file, component, upgrade.ParseGates(f.value))...)
		}
		all = append(all, upgrade.Setting{File: file, Component: component, Flag: f.name})
	}
	return slices.DeleteFunc(all, func(s upgrade.Setting) bool { return !s.Matters() })
}

func gatesOf(file, component string, gates map[string]bool) []upgrade.Setting {
	var all []upgrade.Setting
	for _, gate := range slices.Sorted(maps.Keys(gates)) {
		if s := (upgrade.Setting{File: file, Component: component, Gate: gate, On: gates[gate]}); s.Matters() {
			all = append(all, s)
		}
	}
	return all
}

// kubeletSettings is the part of the kubelet's configuration that a plan wants to know.
type kubeletSettings struct {
	FeatureGates map[string]bool   `json:"featureGates"`
	FailCgroupV1 *bool             `json:"failCgroupV1"`
	EvictionHard map[string]string `json:"evictionHard"`
}

// observeFiles fills in what the files say.
func observeFiles(files map[string]string, seen *upgrade.Host) kubeletSettings {
	var config kubeletSettings
	if text, ok := files[kubeletConfig]; ok {
		if err := yaml.Unmarshal([]byte(text), &config); err != nil {
			seen.NotObserved = append(seen.NotObserved, fmt.Sprintf("%s (%v)", kubeletConfig, err))
		}
		seen.CgroupV1Allowed = config.FailCgroupV1 != nil && !*config.FailCgroupV1
		seen.Settings = append(seen.Settings, gatesOf(kubeletConfig, upgrade.Kubelet, config.FeatureGates)...)
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		switch {
		case path.Dir(file) == manifestFolder:
			observeManifest(file, files[file], seen)
		case isKubeletFlags(file):
			seen.Settings = append(seen.Settings, settingsOf(file, upgrade.Kubelet, flagsIn(files[file]))...)
		}
	}
	return config
}

// isKubeletFlags reports whether systemd reads the file for the kubelet: of drop-ins those that end in .conf.
func isKubeletFlags(file string) bool {
	if slices.Contains(kubeletFlagFiles, file) {
		return true
	}
	return slices.Contains(kubeletFlagFiles, path.Dir(file)) && strings.HasSuffix(file, ".conf")
}

func observeManifest(file, text string, seen *upgrade.Host) {
	component := strings.TrimSuffix(path.Base(file), ".yaml")
	pod, err := parseStaticPod(component, text)
	if err != nil {
		seen.NotObserved = append(seen.NotObserved, fmt.Sprintf("%s (%v)", file, err))
		return
	}
	if seen.Manifests == nil {
		seen.Manifests = map[string]string{}
	}
	_, seen.Manifests[component] = upgrade.ParseImage(pod.image)
	var flags []argument
	for _, arg := range pod.command {
		if strings.HasPrefix(arg, "--") {
			name, value, _ := strings.Cut(arg, "=")
			flags = append(flags, argument{name, value})
		}
	}
	seen.Settings = append(seen.Settings, settingsOf(file, component, flags)...)
}
