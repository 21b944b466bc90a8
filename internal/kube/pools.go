package kube

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// poolSelectors choose the pool of a worker: the first one that selects it.
type poolSelectors []poolSelector

type poolSelector struct {
	upgrade.PoolSettings
	labels.Selector
}

func selectors(pools []upgrade.PoolSettings) (poolSelectors, error) {
	var all poolSelectors
	for _, p := range pools {
		s, err := labels.Parse(p.Selector)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidInput, "read the selector of pool", p.Name, err, "wanted one like pool=batch")
		}
		all = append(all, poolSelector{p, s})
	}
	return all, nil
}

// assign says which pool a worker belongs to, and what must be known of it where its machine will be replaced.
func (all poolSelectors) assign(n *upgrade.Node, o *corev1.Node) {
	if n.ControlPlane {
		return
	}
	for _, p := range all {
		if !p.Matches(labels.Set(o.Labels)) {
			continue
		}
		n.Pool = p.Name
		if p.Strategy == upgrade.AddNewNodes {
			n.Replaced, n.UID, n.ProviderID = true, string(o.UID), o.Spec.ProviderID
		}
		return
	}
}
