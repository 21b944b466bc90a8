package kube

import (
	"context"
	"encoding/json"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// configuration reads kubeadm's ConfigMaps. One that is not there says nothing.
func (c *Cluster) configuration(ctx context.Context) (upgrade.Configuration, error) {
	var k upgrade.Configuration
	for _, m := range []struct {
		name, key string
		parse     func(string, *upgrade.Configuration) error
	}{
		{"kubeadm-config", "ClusterConfiguration", parseClusterConfiguration},
		{"kubelet-config", "kubelet", parseKubeletConfiguration},
		{"kube-proxy", "config.conf", parseProxyConfiguration},
	} {
		op := "read ConfigMap " + m.name + " of"
		ctx, cancel := bounded(ctx)
		cm, err := c.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, m.name, metav1.GetOptions{})
		cancel()
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return k, c.classify(op, c.name, err)
		}
		if err := m.parse(cm.Data[m.key], &k); err != nil {
			return k, fault.Wrap(fault.PreflightFailed, op, c.name, err, "")
		}
	}
	return k, nil
}

// arguments are a component's extra arguments: a map up to v1beta3, a list of names and values since v1beta4.
// Source: https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/#kubeadm-k8s-io-v1beta4-Arg
type arguments []argument

type argument struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// UnmarshalJSON reads both forms.
func (a *arguments) UnmarshalJSON(text []byte) error {
	byName := map[string]string{}
	if json.Unmarshal(text, &byName) != nil {
		return json.Unmarshal(text, (*[]argument)(a))
	}
	for name, value := range byName {
		*a = append(*a, argument{name, value})
	}
	return nil
}

type component struct {
	ExtraArgs arguments `json:"extraArgs"`
}

// defaultRepository is kubeadm's. Source: cmd/kubeadm/app/apis/kubeadm/v1beta4/defaults.go.
const defaultRepository = "registry.k8s.io"

// parseClusterConfiguration reads the part of kubeadm's ClusterConfiguration in which releases differ. Of arguments it
// keeps the names; values may be anything.
func parseClusterConfiguration(text string, k *upgrade.Configuration) error {
	var read struct {
		APIVersion        string    `json:"apiVersion"`
		APIServer         component `json:"apiServer"`
		ControllerManager component `json:"controllerManager"`
		Scheduler         component `json:"scheduler"`
		Etcd              struct {
			Local struct {
				component
				ImageTag string `json:"imageTag"`
			} `json:"local"`
			External *struct {
				Endpoints []string `json:"endpoints"`
			} `json:"external"`
		} `json:"etcd"`
		DNS struct {
			ImageTag string `json:"imageTag"`
		} `json:"dns"`
		Proxy struct {
			Disabled bool `json:"disabled"`
		} `json:"proxy"`
		ImageRepository string          `json:"imageRepository"`
		FeatureGates    map[string]bool `json:"featureGates"`
	}
	if err := yaml.Unmarshal([]byte(text), &read); err != nil {
		return err
	}
	k.APIVersion, k.EtcdTag, k.DNSTag = read.APIVersion, read.Etcd.Local.ImageTag, read.DNS.ImageTag
	if k.ExternalEtcd, k.ProxyDisabled = read.Etcd.External != nil, read.Proxy.Disabled; k.ExternalEtcd {
		k.EtcdEndpoints = read.Etcd.External.Endpoints
	}
	if read.ImageRepository != defaultRepository {
		k.ImageRepository = read.ImageRepository
	}
	setGates(k, upgrade.Kubeadm, read.FeatureGates)
	for name, args := range map[string]arguments{
		upgrade.APIServer: read.APIServer.ExtraArgs, upgrade.ControllerManager: read.ControllerManager.ExtraArgs,
		upgrade.Scheduler: read.Scheduler.ExtraArgs, etcdComponent: read.Etcd.Local.ExtraArgs,
	} {
		addArguments(k, name, args)
	}
	return nil
}

func addArguments(k *upgrade.Configuration, component string, args arguments) {
	for _, a := range args {
		if k.Flags == nil {
			k.Flags = map[string][]string{}
		}
		k.Flags[component] = insert(k.Flags[component], a.Name)
		switch {
		case a.Name == "feature-gates":
			setGates(k, component, upgrade.ParseGates(a.Value))
		case a.Name == "emulated-version" && component == upgrade.APIServer:
			k.EmulatedVersion = emulatedVersion(a.Value)
		}
	}
}

// emulatedVersion reads "1.36", or "kube=1.36" among others that are apart by commas; zero when that is not said.
func emulatedVersion(value string) upgrade.Version {
	for _, part := range strings.Split(value, ",") {
		name, version, named := strings.Cut(part, "=")
		if !named {
			version = name
		} else if name != "kube" {
			continue
		}
		if v, err := upgrade.ParseVersion(version + ".0"); err == nil {
			return v
		}
	}
	return upgrade.Version{}
}

// setGates adds feature gates of a component; none leaves no trace.
func setGates(k *upgrade.Configuration, component string, gates map[string]bool) {
	for gate, on := range gates {
		if k.Gates == nil {
			k.Gates = map[string]map[string]bool{}
		}
		if k.Gates[component] == nil {
			k.Gates[component] = map[string]bool{}
		}
		k.Gates[component][gate] = on
	}
}

// parseKubeletConfiguration reads the feature gates of the kubelets' configuration. Fields that a kubelet does not know do
// not keep it from starting.
func parseKubeletConfiguration(text string, k *upgrade.Configuration) error {
	var read struct {
		FeatureGates map[string]bool `json:"featureGates"`
	}
	err := yaml.Unmarshal([]byte(text), &read)
	setGates(k, upgrade.Kubelet, read.FeatureGates)
	return err
}

// parseProxyConfiguration reads the feature gates and the mode of kube-proxy's configuration.
func parseProxyConfiguration(text string, k *upgrade.Configuration) error {
	var read struct {
		FeatureGates map[string]bool `json:"featureGates"`
		Mode         string          `json:"mode"`
	}
	err := yaml.Unmarshal([]byte(text), &read)
	setGates(k, upgrade.KubeProxy, read.FeatureGates)
	if read.Mode != "iptables" {
		k.ProxyMode = read.Mode
	}
	return err
}
