package aws

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const opAdd = "add a machine to"

// Add makes the machine of the slot, in the old one's zone where AWS lets pawl choose, and returns it once it is in service.
// The join data is not used: a group's machines fetch their own.
func (g *Group) Add(ctx context.Context, r upgrade.Replacement, s upgrade.Slot, _ upgrade.Join) (upgrade.Machine, error) {
	var made upgrade.Machine
	err := g.await(ctx, opAdd, g.target(), func() (done bool, lacks string, err error) {
		unlock, err := g.lock(ctx, g.config.Name)
		if err != nil {
			return false, "", err
		}
		defer unlock()
		made, lacks, err = g.advance(ctx, r, s)
		return err == nil && lacks == "", lacks, err
	})
	return made, err
}

// advance does what is left to do for the slot, and says what is not yet so.
func (g *Group) advance(ctx context.Context, r upgrade.Replacement, s upgrade.Slot) (made upgrade.Machine, lacks string, err error) {
	v, err := g.look(ctx)
	if err != nil {
		return made, "", err
	}
	if v.tags[tagBefore] == "" || v.tags[tagRun] != value(r.Run) {
		return made, "", fault.New(fault.PreflightFailed, opAdd, g.target(), "it has lost pawl's tags, "+tagPrefix+"*",
			"have whatever removed them (Terraform?) ignore them, and put them back: "+tagRun+"="+value(r.Run)+", passed on at launch, and "+tagBefore)
	}
	key := r.Key(s)
	i, err := g.machineOf(ctx, v, key)
	if err != nil {
		return made, "", err
	}
	if i == nil {
		return g.ask(ctx, v, r, s)
	}
	if _, ok := v.tags[tagWant+key]; ok {
		if err := g.forget(ctx, tagWant+key); err != nil {
			return made, "", err
		}
	}
	id := str(i.InstanceId)
	m, listed := v.member(id)
	if died(*i) || listed && leaving(m) {
		return made, "", g.discard(ctx, v, r, *i)
	}
	if !listed {
		return made, id + " is not in the group (yet)", nil
	}
	if lacks := g.notInService(ctx, m, *i); lacks != "" {
		return made, lacks, nil
	}
	// A launch by name counts in the desired capacity as well; where it does not, the group would want to shrink.
	if n := int32(len(v.counted())); num(v.DesiredCapacity) < n {
		if err := g.setDesired(ctx, n); err != nil {
			return made, "", err
		}
	}
	return machine(*i), "", nil
}

// machineOf finds the instance of a slot, dead or alive, or returns nil.
func (g *Group) machineOf(ctx context.Context, v view, key string) (*ec2types.Instance, error) {
	for _, i := range v.instances {
		if tag(i, tagSlot) == key {
			return &i, nil
		}
	}
	found, err := g.instances(ctx, "tag:"+tagSlot, key)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// notInService says what a new machine waits for.
func (g *Group) notInService(ctx context.Context, m types.Instance, i ec2types.Instance) string {
	id, life := str(m.InstanceId), string(m.LifecycleState)
	switch {
	case strings.HasSuffix(life, ":Wait"):
		return id + " is " + life + ": " + g.hooks(ctx, "LAUNCHING")
	case m.LifecycleState != types.LifecycleStateInService:
		return id + " is " + life
	case state(i) != ec2types.InstanceStateNameRunning:
		return id + " is " + string(state(i))
	}
	return ""
}

// hooks names those that a machine may wait for.
func (g *Group) hooks(ctx context.Context, transition string) string {
	out, err := g.api.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: &g.config.Name})
	if err != nil {
		return "a lifecycle hook is not completed"
	}
	var names []string
	for _, h := range out.LifecycleHooks {
		if strings.HasSuffix(str(h.LifecycleTransition), transition) {
			names = append(names, str(h.LifecycleHookName))
		}
	}
	return "whoever owns lifecycle hook " + strings.Join(names, " or ") + " has not completed it"
}

// ask has a machine made for the slot, or takes one that the group has made and nobody has taken.
func (g *Group) ask(ctx context.Context, v view, r upgrade.Replacement, s upgrade.Slot) (made upgrade.Machine, lacks string, err error) {
	key, all := r.Key(s), wants(v.tags)
	oldID, zone := g.place(v, s.Old)
	mine := want{key: key, old: oldID, since: noActivity}
	others := 0
	for _, w := range all {
		switch {
		case w.key == key:
			mine = w
		case w.old == oldID: // of an earlier try, which has been given up
			if err := g.forget(ctx, tagWant+w.key); err != nil {
				return made, "", err
			}
			delete(v.tags, tagWant+w.key)
		case len(open([]want{w}, v.claimed())) > 0:
			others++
		}
	}
	byName := v.synchronous()
	if free := v.unclaimed(r.Run); len(free) > others {
		if i := choose(free, zone, byName && len(v.AvailabilityZones) > 1); i != nil {
			lacks, err = g.claim(ctx, r, mine, str(i.InstanceId))
			return made, lacks, err
		}
	}
	_, asked := v.tags[tagWant+key]
	if !asked || mine.failed {
		if mine.failed {
			mine.failed, mine.attempt = false, mine.attempt+1
		}
		mine.since = noActivity
		if err := g.record(ctx, map[string]string{tagWant + key: mine.encode()}); err != nil {
			return made, "", err
		}
		v.tags[tagWant+key] = mine.encode()
	}
	if byName {
		return g.launch(ctx, v, r, mine, zone)
	}
	return g.raise(ctx, v, r, mine, zone)
}

// place is the old machine's id and zone, as far as they are known. The id stands for the slot's place even when the instance
// is gone.
func (g *Group) place(v view, old upgrade.Machine) (id, zone string) {
	zone = old.Zone
	if id, _ = identity(old); id == "" {
		for _, i := range v.instances {
			if tag(i, tagOld) != "" && old.Address != "" && str(i.PrivateIpAddress) == old.Address {
				id = str(i.InstanceId)
			}
		}
	}
	if i, ok := v.instances[id]; ok {
		zone = machine(i).Zone
	}
	if id == "" {
		id = token(old.Node)
	}
	return id, zone
}

// choose takes the free machine of the zone, or where it need not be of that zone any.
func choose(free []ec2types.Instance, zone string, must bool) *ec2types.Instance {
	for _, i := range free {
		if machine(i).Zone == zone {
			return &i
		}
	}
	if must && zone != "" {
		return nil
	}
	return &free[0]
}

// claim makes a machine the slot's. It is not done yet: the next look finds it by its tags.
func (g *Group) claim(ctx context.Context, r upgrade.Replacement, w want, id string) (lacks string, err error) {
	err = g.label(ctx, map[string]string{tagRun: value(r.Run), tagSlot: w.key, tagReplaces: w.old}, id)
	if fault.Is(err, fault.Conflict) {
		return err.Error(), nil // it will be known soon
	}
	if err != nil {
		return "", err
	}
	return "the slot was given " + id, g.forget(ctx, tagWant+w.key)
}

// launch makes the machine by name. The same token makes it once, however often it is asked for.
func (g *Group) launch(ctx context.Context, v view, r upgrade.Replacement, w want, zone string) (made upgrade.Machine, lacks string, err error) {
	one, client := int32(1), w.client()
	in := &autoscaling.LaunchInstancesInput{AutoScalingGroupName: &g.config.Name, RequestedCapacity: &one, ClientToken: &client, RetryStrategy: types.RetryStrategyNone}
	if slices.Contains(v.AvailabilityZones, zone) {
		in.AvailabilityZones = []string{zone}
	} else if len(v.AvailabilityZones) > 1 {
		return made, "", fault.New(fault.PreflightFailed, opAdd, g.target(), "zone "+zone+" of the old machine is not among its zones", "add a subnet of that zone to the group")
	}
	out, err := g.api.LaunchInstances(ctx, in)
	switch code(err) {
	case "":
	case "IdempotentCallInProgress":
		return made, "AWS makes it", nil
	case "InvalidAction", "UnsupportedOperation": // an AWS without it
		return g.raise(ctx, v, r, w, zone)
	default:
		return made, "", g.refused(ctx, r, w, code(err), said(err), changed(opAdd, g.target(), err))
	}
	if err != nil {
		return made, "", changed(opAdd, g.target(), err)
	}
	for _, i := range out.Instances {
		if len(i.InstanceIds) > 0 {
			lacks, err = g.claim(ctx, r, w, i.InstanceIds[0])
			return made, lacks, err
		}
	}
	for _, e := range out.Errors {
		return made, "", g.refused(ctx, r, w, str(e.ErrorCode), str(e.ErrorMessage), nil)
	}
	return made, "AWS makes it", nil
}

// refused records that AWS will not make the machine, and says why. What may pass by itself is not recorded.
func (g *Group) refused(ctx context.Context, r upgrade.Replacement, w want, code, said string, as error) error {
	kind, remedy := refusal(code, refusals)
	if code == "ValidationError" {
		kind, remedy = fault.PreflightFailed, "put the group right: its maximum, its subnets, its launch template"
	}
	if as != nil && (kind == fault.Conflict || kind == fault.Unauthorized || kind == fault.Unexpected) {
		return as
	}
	if kind == fault.Unexpected || kind == fault.Conflict {
		kind = fault.PreflightFailed
	}
	w.failed = true
	if err := g.record(ctx, map[string]string{tagWant + w.key: w.encode()}); err != nil {
		return err
	}
	if err := g.lower(ctx, r); err != nil {
		return err
	}
	return fault.New(kind, opAdd, g.target(), "AWS says "+code+": "+said, remedy)
}

// lower takes back a desired capacity that was raised for a machine that will not be.
func (g *Group) lower(ctx context.Context, r upgrade.Replacement) error {
	v, err := g.look(ctx)
	if err != nil {
		return err
	}
	n := max(v.needed(r.Run, wants(v.tags)), num(v.MinSize))
	if d := num(v.DesiredCapacity); d != n+1 { // nothing to take back, or somebody else's
		return nil
	}
	return g.setDesired(ctx, n)
}

// discard removes a new machine that died from the group, and says so.
func (g *Group) discard(ctx context.Context, v view, r upgrade.Replacement, i ec2types.Instance) error {
	id := str(i.InstanceId)
	if m, listed := v.member(id); listed && !leaving(m) {
		if err := g.terminate(ctx, v, id); err != nil {
			return err
		}
	}
	if err := g.lower(ctx, r); err != nil {
		return err
	}
	return fault.New(fault.VerificationFailed, opAdd, g.target(), "the new machine "+id+" died before it was a node"+reason(i),
		"look at the group's activities and the machine's console output")
}
