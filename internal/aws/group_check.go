package aws

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// findings collects what stands in the way of one target.
type findings struct {
	target string
	all    []upgrade.Finding
}

func (f *findings) add(severity upgrade.Severity, message, remedy string) {
	f.all = append(f.all, upgrade.Finding{ID: upgrade.NodeProvider, Severity: severity, Target: f.target, Message: message, Remedy: remedy})
}

func (f *findings) stop(message, remedy string) { f.add(upgrade.SeverityError, message, remedy) }
func (f *findings) warn(message, remedy string) { f.add(upgrade.SeverityWarning, message, remedy) }

// failed adds an error of a look as what it is.
func (f *findings) failed(err error) {
	if err != nil {
		f.stop(err.Error(), "")
	}
}

// refusal is the first finding that stops, as an error of op.
func (f *findings) refusal(op string) error {
	for _, one := range f.all {
		if one.Severity == upgrade.SeverityError {
			return fault.New(fault.PreflightFailed, op, f.target, one.Message, one.Remedy)
		}
	}
	return nil
}

// Check says what stands in the way of replacing the group's machines. Nothing is changed.
func (g *Group) Check(ctx context.Context, r upgrade.Replacement, old []upgrade.Machine) []upgrade.Finding {
	f := &findings{target: g.target()}
	v, err := g.look(ctx)
	if err != nil {
		f.failed(err)
		return f.all
	}
	if _, begun, err := g.recorded(v, r); begun || err != nil {
		f.failed(err)
		return f.all
	}
	g.hindrances(ctx, f, v)
	for _, m := range old {
		i, err := g.resolve(ctx, m, v.has)
		switch {
		case err != nil:
			f.failed(err)
		case i == nil:
			f.stop("no instance of it has the node "+called(m)+" ("+m.ID+" "+m.Address+")", "leave the node out of the pool, or name the group that it is of")
		case !v.has(*i):
			f.stop("the node "+called(m)+" is "+str(i.InstanceId)+", which is not of this group", "leave the node out of the pool, or name the group that it is of")
		}
	}
	if spec := v.specification(); spec != nil && !slices.ContainsFunc(f.all, func(one upgrade.Finding) bool { return one.Severity == upgrade.SeverityError }) {
		_, err := g.resolveImage(ctx, g.images(), r)
		f.failed(err)
		version := v.version()
		if g.config.TemplateVersion != "" {
			version = g.config.TemplateVersion
		}
		_, err = g.version(ctx, v.template(), version)
		f.failed(err)
	}
	g.advise(ctx, f, v)
	return f.all
}

// has reports whether an instance is a member.
func (v view) has(i ec2types.Instance) bool {
	_, ok := v.member(str(i.InstanceId))
	return ok
}

// hindrances are what makes a replacement impossible.
func (g *Group) hindrances(ctx context.Context, f *findings, v view) {
	if str(v.Status) != "" {
		f.stop("it is being deleted: "+str(v.Status), "")
	}
	spec := v.specification()
	if spec == nil {
		f.stop("it has a launch configuration, wanted a launch template", "give it a launch template")
	}
	if p := v.MixedInstancesPolicy; p != nil && p.LaunchTemplate != nil {
		for _, o := range p.LaunchTemplate.Overrides {
			if w := str(o.WeightedCapacity); w != "" && w != "1" {
				f.stop("its mixed instances policy gives instance types weights, so that its capacity is no number of machines", "give all the weight 1")
				break
			}
		}
		if g.named() && slices.ContainsFunc(p.LaunchTemplate.Overrides, func(o types.LaunchTemplateOverrides) bool { return o.LaunchTemplateSpecification != nil }) {
			f.stop("its mixed instances policy names launch templates of single instance types, which an image or version does not reach", "change those templates yourself, and leave image, imageName and templateVersion out")
		}
	}
	if t := str(v.DesiredCapacityType); t != "" && t != "units" {
		f.stop("its desired capacity counts "+t+", wanted units", "set its desired capacity type to units")
	}
	if v.WarmPoolConfiguration != nil {
		f.stop("it has a warm pool, whose machines are of the old version and would be taken for new ones", "delete the warm pool, and make it again after the upgrade")
	}
	for _, p := range v.suspended() {
		if p == "Launch" || p == "Terminate" {
			f.stop("its process "+p+" is suspended", "resume it")
		}
	}
	refreshes, err := g.api.DescribeInstanceRefreshes(ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: &g.config.Name})
	if err != nil {
		f.failed(looked("look at the instance refreshes of", g.target(), err))
	} else {
		for _, refresh := range refreshes.InstanceRefreshes {
			if slices.Contains([]types.InstanceRefreshStatus{
				types.InstanceRefreshStatusPending, types.InstanceRefreshStatusInProgress, types.InstanceRefreshStatusCancelling,
				types.InstanceRefreshStatusRollbackInProgress, types.InstanceRefreshStatusBaking,
			}, refresh.Status) {
				f.stop(fmt.Sprintf("instance refresh %s is %s", str(refresh.InstanceRefreshId), refresh.Status), "wait for its end, or cancel it")
			}
		}
	}
	ready := 0
	for _, m := range v.alive() {
		if m.LifecycleState == types.LifecycleStateInService {
			ready++
		}
	}
	if n := int(num(v.DesiredCapacity)); ready != n || len(v.Instances) != n {
		f.stop(fmt.Sprintf("it is not at rest: %d of %d machines in service, desired capacity %d", ready, len(v.Instances), n), "wait until it is, or put its desired capacity right")
	}
}

// advise says what is worth knowing.
func (g *Group) advise(ctx context.Context, f *findings, v view) {
	if hooks, err := g.api.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: &g.config.Name}); err != nil {
		f.failed(looked("look at the lifecycle hooks of", g.target(), err))
	} else {
		for _, h := range hooks.LifecycleHooks {
			f.add(upgrade.SeverityInfo, fmt.Sprintf("each machine waits for lifecycle hook %s (%s, at most %d s)", str(h.LifecycleHookName), strings.TrimPrefix(str(h.LifecycleTransition), "autoscaling:"), num(h.HeartbeatTimeout)),
				"whoever owns the hook must complete it: pawl waits")
		}
	}
	if _, ok := v.tags["k8s.io/cluster-autoscaler/enabled"]; ok {
		f.warn("it has a tag by which a cluster-autoscaler scales it, which nothing suspends", "pause the cluster-autoscaler during the upgrade")
	}
	if len(v.LoadBalancerNames) > 0 {
		f.warn("it is behind a classic load balancer ("+strings.Join(v.LoadBalancerNames, ", ")+"), which keeps an old machine until it is ended", "use target groups where connections must end before the drain")
	}
	for _, t := range v.TrafficSources {
		if kind := str(t.Type); kind != "" && kind != "elb" && kind != "elbv2" {
			f.warn("it is behind "+str(t.Identifier)+" ("+kind+"), which keeps an old machine until it is ended", "")
		}
	}
	if spec := v.specification(); spec != nil && g.named() {
		switch v.version() {
		case latest:
			if g.config.TemplateVersion == "" {
				f.warn("it follows $Latest of launch template "+v.template().String()+", of which a version is made: any other group that does so gets the new image too", "give other groups a numeric version")
			}
		case preset:
			f.add(upgrade.SeverityInfo, "it follows $Default of launch template "+v.template().String()+"; after the upgrade it stands at the new version's number", "")
		}
	}
	if !v.synchronous() && len(v.AvailabilityZones) > 1 {
		f.warn("it mixes On-Demand and Spot, so that AWS chooses the zone of each new machine: pods bound to a zone's volumes may wait, and afterwards AZRebalance may even the zones out by ending machines without a drain",
			"suspend AZRebalance yourself before the upgrade: pawl leaves it so")
	}
	if v.MaxInstanceLifetime != nil && *v.MaxInstanceLifetime > 0 {
		f.warn("it ends machines by itself at a maximum lifetime, also during the upgrade and without a drain", "set no maximum instance lifetime during the upgrade")
	}
	if v.CapacityRebalance != nil && *v.CapacityRebalance {
		f.warn("it replaces Spot machines by itself when AWS foresees their end, also during the upgrade and without a drain", "turn capacity rebalancing off during the upgrade")
	}
}

// synchronous reports whether LaunchInstances can make machines of the group: not where On-Demand and Spot are mixed.
func (v view) synchronous() bool {
	p := v.MixedInstancesPolicy
	if p == nil || p.InstancesDistribution == nil {
		return true
	}
	base, above := num(p.InstancesDistribution.OnDemandBaseCapacity), int32(100)
	if p.InstancesDistribution.OnDemandPercentageAboveBaseCapacity != nil {
		above = *p.InstancesDistribution.OnDemandPercentageAboveBaseCapacity
	}
	return above == 100 || above == 0 && base == 0
}
