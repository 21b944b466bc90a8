package host

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// staticPod is the part of a static pod manifest that pawl reads.
type staticPod struct {
	image   string
	command []string // with its arguments
}

// parseStaticPod reads the manifest of a component, which kubeadm writes with one container of the component's name.
func parseStaticPod(component, manifest string) (staticPod, error) {
	var pod struct {
		Spec struct {
			Containers []struct {
				Name    string   `json:"name"`
				Image   string   `json:"image"`
				Command []string `json:"command"`
				Args    []string `json:"args"`
			} `json:"containers"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(manifest), &pod); err != nil {
		return staticPod{}, fmt.Errorf("not a pod manifest: %w", err)
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == component {
			return staticPod{image: c.Image, command: append(c.Command, c.Args...)}, nil
		}
	}
	return staticPod{}, fmt.Errorf("no container named %s", component)
}

// localEtcd reports whether an API server uses an etcd member on its own machine: kubeadm writes the loopback address
// for a stacked member and the addresses of ExternalEtcd otherwise.
func (p staticPod) localEtcd() bool {
	for _, arg := range p.command {
		if servers, ok := strings.CutPrefix(arg, "--etcd-servers="); ok {
			return strings.Contains(servers, "//127.0.0.1:") || strings.Contains(servers, "//localhost:") || strings.Contains(servers, "//[::1]:")
		}
	}
	return false
}
