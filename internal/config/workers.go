package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/pawl-dev/pawl/internal/aws"
	"github.com/pawl-dev/pawl/internal/provision"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Workers says how the workers are upgraded: pool after pool, and last those that no pool selects, by what stands here
// itself.
type Workers struct {
	Pool
	Path  upgrade.WorkerPath `json:"path"`
	Pools []Pool             `json:"pools"`
}

// Pool is a pool of workers. upgrade.PoolSettings says more of the fields.
type Pool struct {
	Name           string           `json:"name"`
	Selector       string           `json:"selector"`
	Strategy       upgrade.Strategy `json:"strategy"`
	MaxUnavailable upgrade.Amount   `json:"maxUnavailable"`
	MaxSurge       upgrade.Amount   `json:"maxSurge"`
	OneZoneAtATime bool             `json:"oneZoneAtATime"`
	Order          upgrade.Order    `json:"order"`
	Nodes          []string         `json:"nodes"`
	Canary         bool             `json:"canary"`
	Drain          bool             `json:"drain"`
	Rebalance      bool             `json:"rebalance"`
	Provider       Provider         `json:"provider"`
	JoinTimeout    upgrade.Duration `json:"joinTimeout"`
}

// Provider is where new nodes come from: one of these.
type Provider struct {
	ASG     *aws.GroupConfig         `json:"asg"`
	EC2     *aws.InstancesConfig     `json:"ec2"`
	Command *provision.CommandConfig `json:"command"`
	Webhook *provision.WebhookConfig `json:"webhook"`
}

// kinds are those that are given.
func (p Provider) kinds() []string {
	var given []string
	for kind, there := range map[string]bool{"asg": p.ASG != nil, "ec2": p.EC2 != nil, "command": p.Command != nil, "webhook": p.Webhook != nil} {
		if there {
			given = append(given, kind)
		}
	}
	return given
}

// check says what is wrong with the one that is given.
func (p Provider) check(at string) error {
	var err error
	switch {
	case p.ASG != nil:
		err = afterColon(p.ASG.Validate())
	case p.EC2 != nil:
		err = afterColon(p.EC2.Validate())
	case p.Command != nil:
		err = p.Command.Validate()
	case p.Webhook != nil:
		err = p.Webhook.Validate()
	}
	if err != nil {
		return fmt.Errorf("%s.provider.%s%w", at, p.kinds()[0], err)
	}
	return nil
}

// afterColon is an error that does not follow the place of the settings by itself.
func afterColon(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(": %w", err)
}

// files are those that it names.
func (p Provider) files() []*string {
	switch {
	case p.EC2 != nil:
		return []*string{&p.EC2.UserDataFile}
	case p.Webhook != nil:
		return []*string{&p.Webhook.URLFile, &p.Webhook.HeaderFile}
	}
	return nil
}

// completeWorkers fills in defaults and makes paths absolute.
func (c *Cluster) completeWorkers(dir string) {
	w := &c.Workers
	w.Name = cmp.Or(w.Name, upgrade.DefaultPool)
	w.Path = cmp.Or(w.Path, upgrade.FewestDrains)
	w.MaxUnavailable = w.MaxUnavailable.Or(upgrade.AtMost(1))
	for _, p := range c.pools() {
		p.Strategy = cmp.Or(p.Strategy, upgrade.Rolling)
		p.MaxUnavailable = p.MaxUnavailable.Or(w.MaxUnavailable)
		if len(p.Nodes) > 0 {
			p.Order = cmp.Or(p.Order, upgrade.AsListed)
		}
		p.Order = cmp.Or(p.Order, upgrade.ByName)
		if p.Strategy == upgrade.AddNewNodes {
			p.MaxSurge = p.MaxSurge.Or(upgrade.AtMost(1))
			orDuration(&p.JoinTimeout, upgrade.DefaultJoinTimeout)
		}
		for _, path := range p.Provider.files() {
			if *path != "" && !filepath.IsAbs(*path) {
				*path = filepath.Join(dir, *path)
			}
		}
	}
}

// pools are those of the definition, and last the rest of the workers.
func (c *Cluster) pools() []*Pool {
	var all []*Pool
	for i := range c.Workers.Pools {
		all = append(all, &c.Workers.Pools[i])
	}
	return append(all, &c.Workers.Pool)
}

// checkWorkers says what is wrong with the workers' settings, the first thing.
func (c *Cluster) checkWorkers() error {
	w := c.Workers
	if w.Path != upgrade.FewestDrains && w.Path != upgrade.EveryMinor {
		return fmt.Errorf("workers.path: is %q, wanted %s or %s", w.Path, upgrade.FewestDrains, upgrade.EveryMinor)
	}
	if w.Name != upgrade.DefaultPool {
		return fmt.Errorf("workers.name: is %q, wanted none: it is for workers.pools", w.Name)
	}
	if w.Selector != "" {
		return fmt.Errorf("workers.selector: is %q, wanted none: it is for workers.pools", w.Selector)
	}
	for i, p := range w.Pools {
		at := fmt.Sprintf("workers.pools[%d]", i)
		switch {
		case !clusterName.MatchString(p.Name):
			return fmt.Errorf("%s.name: is %q, wanted lower case letters, digits and dashes", at, p.Name)
		case p.Name == upgrade.DefaultPool || slices.ContainsFunc(w.Pools[:i], func(o Pool) bool { return o.Name == p.Name }):
			return fmt.Errorf("%s.name: %q is taken, wanted another", at, p.Name)
		case p.Selector == "":
			return fmt.Errorf("%s.selector: is missing, wanted one of labels, like pool=batch", at)
		}
		if _, err := labels.Parse(p.Selector); err != nil {
			return fmt.Errorf("%s.selector: %w", at, err)
		}
		if c.Provider == ProviderEKS && p.Strategy != upgrade.AddNewNodes {
			return notManaged(at, p.Strategy)
		}
		if err := p.check(at); err != nil {
			return err
		}
	}
	if c.Provider == ProviderEKS && w.Strategy == upgrade.AllAtOnce {
		return notManaged("workers", w.Strategy)
	}
	return w.check("workers")
}

func notManaged(at string, s upgrade.Strategy) error {
	return fmt.Errorf("%s.strategy: is %q, wanted %s: nobody works on the machines of a managed cluster", at, s, upgrade.AddNewNodes)
}

func (p Pool) check(at string) error {
	replaces := p.Strategy == upgrade.AddNewNodes
	strategies := []upgrade.Strategy{upgrade.Rolling, upgrade.AllAtOnce, upgrade.AddNewNodes}
	orders := []upgrade.Order{upgrade.ByName, upgrade.ByZone, upgrade.ByAge, upgrade.AsListed}
	switch {
	case !slices.Contains(strategies, p.Strategy):
		return fmt.Errorf("%s.strategy: is %q, wanted one of %s", at, p.Strategy, listOf(strategies))
	case !slices.Contains(orders, p.Order):
		return fmt.Errorf("%s.order: is %q, wanted one of %s", at, p.Order, listOf(orders))
	case (p.Order == upgrade.AsListed) != (len(p.Nodes) > 0):
		return fmt.Errorf("%s.nodes: wanted names of nodes, with order: %s", at, upgrade.AsListed)
	case p.Drain && p.Strategy != upgrade.AllAtOnce:
		return fmt.Errorf("%s.drain: is for strategy: %s; the others always drain", at, upgrade.AllAtOnce)
	case !replaces && (p.MaxSurge.Number != 0 || p.JoinTimeout != 0 || len(p.Provider.kinds()) > 0):
		return fmt.Errorf("%s: maxSurge, joinTimeout and provider are for strategy: %s", at, upgrade.AddNewNodes)
	case replaces && len(p.Provider.kinds()) != 1:
		return fmt.Errorf("%s.provider: wanted one of asg, ec2, command and webhook, since new nodes have to come from somewhere", at)
	case p.JoinTimeout < 0:
		return fmt.Errorf("%s.joinTimeout: is %s, wanted a positive duration", at, p.JoinTimeout)
	}
	return p.Provider.check(at)
}

// poolSettings are the parts that shape a plan.
func (c *Cluster) poolSettings() []upgrade.PoolSettings {
	var all []upgrade.PoolSettings
	for _, p := range c.pools() {
		all = append(all, upgrade.PoolSettings{
			Name: p.Name, Selector: p.Selector, Strategy: p.Strategy, MaxUnavailable: p.MaxUnavailable, MaxSurge: p.MaxSurge,
			OneZoneAtATime: p.OneZoneAtATime, Order: p.Order, Nodes: p.Nodes, Canary: p.Canary, Drain: p.Drain, Rebalance: p.Rebalance,
			Provider: strings.Join(p.Provider.kinds(), ""), JoinTimeout: p.JoinTimeout,
		})
	}
	return all
}

// ProviderOf is where the new nodes of a pool come from.
func (c *Cluster) ProviderOf(pool string) (Provider, error) {
	for _, p := range c.pools() {
		if p.Name == pool && p.Strategy == upgrade.AddNewNodes {
			return p.Provider, nil
		}
	}
	return Provider{}, fmt.Errorf("%s has no pool %s whose nodes are replaced any more", c.Name, pool)
}

// listOf writes what a field may be.
func listOf[T ~string](all []T) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, string(one))
	}
	return strings.Join(texts, ", ")
}
