package aws

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const opRemove = "remove"

// Withdraw takes a machine out of the group's target groups and those of the definition, and waits until they have let go of it.
func (g *Group) Withdraw(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error {
	i, err := g.resolve(ctx, m, isOld(r))
	if err != nil || i == nil || ended(*i) {
		return err
	}
	groups, err := g.targetGroups(ctx)
	if err != nil {
		return err
	}
	return g.withdraw(ctx, str(i.InstanceId), str(i.PrivateIpAddress), groups)
}

// Readmit puts a machine back into the same target groups.
func (g *Group) Readmit(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error {
	i, err := g.resolve(ctx, m, isOld(r))
	if err != nil || i == nil || ended(*i) {
		return err
	}
	groups, err := g.targetGroups(ctx)
	if err != nil {
		return err
	}
	return g.register(ctx, str(i.InstanceId), str(i.PrivateIpAddress), groups)
}

// TakesJoin reports that the group's machines join by themselves.
func (g *Group) TakesJoin() bool { return false }

// targetGroups are those that hold the pool's machines: the group's own, and those that the definition names.
func (g *Group) targetGroups(ctx context.Context) ([]string, error) {
	v, err := g.look(ctx)
	if err != nil {
		return nil, err
	}
	arns := slices.Clone(v.TargetGroupARNs)
	for _, t := range v.TrafficSources {
		if strings.Contains(str(t.Identifier), ":targetgroup/") && strings.HasPrefix(str(t.Type), "elbv2") {
			arns = append(arns, str(t.Identifier))
		}
	}
	arns = append(arns, g.config.TargetGroups...)
	slices.Sort(arns)
	return slices.Compact(arns), nil
}

// Remove ends a machine of the group, which becomes smaller by one, and waits until it is gone.
func (g *Group) Remove(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error {
	i, err := g.resolve(ctx, m, isOld(r))
	if err != nil {
		return err
	}
	id, err := identity(m)
	if err != nil {
		return err
	}
	if i != nil {
		id = str(i.InstanceId)
	}
	if id == "" {
		return nil // known by its address alone, and no machine of before the run has that any more
	}
	return g.await(ctx, opRemove, id, func() (bool, string, error) {
		unlock, err := g.lock(ctx, g.config.Name)
		if err != nil {
			return false, "", err
		}
		defer unlock()
		return g.end(ctx, r, id)
	})
}

// end does what is left to do to end a machine.
func (g *Group) end(ctx context.Context, r upgrade.Replacement, id string) (done bool, lacks string, err error) {
	i, err := g.instance(ctx, id)
	if err != nil {
		return false, "", err
	}
	v, err := g.look(ctx)
	if err != nil {
		return false, "", err
	}
	m, listed := v.member(id)
	switch {
	case listed && !leaving(m):
		if i != nil && tag(*i, tagOld) == value(r.Run) && v.tags[tagReplaced] == "" && v.tags[tagBefore] != "" {
			if err := g.record(ctx, map[string]string{tagReplaced: "yes"}); err != nil {
				return false, "", err
			}
		}
		return false, "it has been asked to end", g.terminate(ctx, v, id)
	case listed && strings.HasSuffix(string(m.LifecycleState), ":Wait"):
		return false, "it is " + string(m.LifecycleState) + ": " + g.hooks(ctx, "TERMINATING"), nil
	case listed:
		return false, "it is " + string(m.LifecycleState), nil
	case i == nil, state(*i) == ec2types.InstanceStateNameTerminated:
		return true, "", nil
	case ended(*i):
		return false, "it is " + string(state(*i)), nil
	}
	return false, "", fault.New(fault.PreflightFailed, opRemove, id, "it is not in "+g.target()+" any more, and runs: somebody detached it", "end it yourself, or attach it again")
}

// terminate has the group end a member and become smaller by one: unless somebody made the desired capacity smaller already,
// so that the group is to have fewer machines anyway. A throttled or unanswered request is no answer: the caller looks again.
func (g *Group) terminate(ctx context.Context, v view, id string) error {
	smaller := int(num(v.DesiredCapacity)) >= len(v.counted())
	if ended(v.instances[id]) && num(v.DesiredCapacity) <= num(v.MinSize) {
		smaller = false // it died by itself, and the group may not be smaller: it makes another
	}
	_, err := g.api.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: &smaller}, once)
	switch {
	case err == nil:
		return nil
	case code(err) == "ValidationError" && strings.Contains(said(err), "min"):
		return fault.New(fault.PreflightFailed, opRemove, id, "AWS says "+said(err), "somebody changed the minimum or the desired capacity of "+g.target()+" during the upgrade: lower its minimum")
	case code(err) == "ValidationError" && strings.Contains(strings.ToLower(said(err)), "not found"):
		return nil // it left between the look and the request
	}
	if err = changed(opRemove, id, err); fault.Is(err, fault.OutcomeUnknown, fault.Conflict) {
		return nil
	}
	return err
}
