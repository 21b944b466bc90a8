package aws

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Add makes the machine of the slot in the old one's zone, with the join data in its user data, and returns it once it runs.
func (p *Instances) Add(ctx context.Context, r upgrade.Replacement, s upgrade.Slot, j upgrade.Join) (upgrade.Machine, error) {
	const op = "make a machine for"
	var made upgrade.Machine
	key, asked := r.Key(s), false
	err := p.await(ctx, op, called(s.Old), func() (bool, string, error) {
		found, err := p.instances(ctx, "tag:"+tagSlot, key)
		if err != nil {
			return false, "", err
		}
		if len(found) == 0 {
			if asked {
				return false, "EC2 does not show it yet", nil
			}
			asked = true
			return false, "EC2 has been asked for it", p.run(ctx, r, s, j)
		}
		i := found[0]
		made = machine(i)
		switch {
		case died(i):
			return false, "", fault.New(fault.VerificationFailed, op, called(s.Old), "the new machine "+made.ID+" died before it was a node"+reason(i), "look at its console output")
		case state(i) != types.InstanceStateNameRunning:
			return false, made.ID + " is " + string(state(i)), nil
		}
		return true, "", p.register(ctx, made.ID, made.Address, p.config.TargetGroups)
	})
	if err != nil {
		return upgrade.Machine{}, err
	}
	return made, nil
}

// run asks EC2 for the machine. The client token is the slot's: the same is made once, however often it is asked for.
func (p *Instances) run(ctx context.Context, r upgrade.Replacement, s upgrade.Slot, j upgrade.Join) error {
	const op = "make a machine for"
	old, err := p.resolve(ctx, s.Old, isOld(r))
	if err != nil {
		return err
	}
	if old == nil || ended(*old) || tag(*old, tagOld) != value(r.Run) {
		return fault.New(fault.PreflightFailed, op, called(s.Old), "its instance is gone, or has lost its tag "+tagOld, "have nobody change the pool's machines during an upgrade")
	}
	pin := decodePinned(tag(*old, tagPinned))
	version, err := p.version(ctx, p.template(), pin.Version)
	if err != nil {
		return err
	}
	s.Old.Zone = machine(*old).Zone
	data, err := p.userData(r, s, j)
	if err != nil {
		return err
	}
	one, key := int32(1), r.Key(s)
	in := &ec2.RunInstancesInput{ClientToken: &key, MinCount: &one, MaxCount: &one, LaunchTemplate: &types.LaunchTemplateSpecification{Version: &pin.Version}}
	in.LaunchTemplate.LaunchTemplateId, in.LaunchTemplate.LaunchTemplateName = p.template().pointers()
	if pin.Image != "" {
		in.ImageId = &pin.Image
	}
	if data != "" {
		in.UserData = sdk.String(base64.StdEncoding.EncodeToString([]byte(data)))
	}
	if err := p.place(ctx, in, version, *old); err != nil {
		return err
	}
	tags := templateTags(version)
	maps.Copy(tags, p.config.Tags)
	maps.Copy(tags, map[string]string{tagRun: value(r.Run), tagSlot: key, tagReplaces: str(old.InstanceId)})
	in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: ec2Tags(tags)}}
	_, err = p.ec2.RunInstances(ctx, in)
	if code(err) == "IdempotentParameterMismatch" {
		return nil // it was made by an earlier attempt, with other join data
	}
	return changed(op, called(s.Old), err)
}

// templateTags are those that the template gives to instances: a request that has tags of its own takes their place.
func templateTags(v types.LaunchTemplateVersion) map[string]string {
	tags := map[string]string{}
	if v.LaunchTemplateData == nil {
		return tags
	}
	for _, spec := range v.LaunchTemplateData.TagSpecifications {
		if spec.ResourceType == types.ResourceTypeInstance {
			for _, t := range spec.Tags {
				tags[str(t.Key)] = str(t.Value)
			}
		}
	}
	return tags
}

// place puts the machine into the subnet. Where the template describes network interfaces the subnet belongs to the first.
func (p *Instances) place(ctx context.Context, in *ec2.RunInstancesInput, v types.LaunchTemplateVersion, old types.Instance) error {
	subnet, err := p.subnet(ctx, old)
	if err != nil {
		return err
	}
	if subnet == "" { // EC2-Classic's heirs: a default subnet
		in.Placement = &types.Placement{AvailabilityZone: old.Placement.AvailabilityZone}
		return nil
	}
	if v.LaunchTemplateData == nil || len(v.LaunchTemplateData.NetworkInterfaces) == 0 {
		in.SubnetId = &subnet
		return nil
	}
	if len(v.LaunchTemplateData.NetworkInterfaces) > 1 {
		return fault.New(fault.PreflightFailed, "use launch template", p.template().String(), "it describes several network interfaces, each with a subnet of its own", "describe one, or none")
	}
	n := v.LaunchTemplateData.NetworkInterfaces[0]
	in.NetworkInterfaces = []types.InstanceNetworkInterfaceSpecification{{
		SubnetId: &subnet, DeviceIndex: n.DeviceIndex, Groups: n.Groups, AssociatePublicIpAddress: n.AssociatePublicIpAddress,
		DeleteOnTermination: n.DeleteOnTermination, Description: n.Description, InterfaceType: n.InterfaceType,
	}}
	return nil
}

// subnet is where the machine that takes the old one's place is made.
func (p *Instances) subnet(ctx context.Context, old types.Instance) (string, error) {
	if len(p.config.Subnets) == 0 {
		return str(old.SubnetId), nil
	}
	out, err := p.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: p.config.Subnets})
	if err != nil {
		return "", looked("look at", "the pool's subnets", err)
	}
	zone := machine(old).Zone
	at := slices.IndexFunc(out.Subnets, func(s types.Subnet) bool { return str(s.AvailabilityZone) == zone })
	if at < 0 {
		return "", fault.New(fault.PreflightFailed, "choose a subnet for", str(old.InstanceId), "none of the pool's subnets is in its zone "+zone, "add one to subnets")
	}
	return str(out.Subnets[at].SubnetId), nil
}

// Withdraw takes a machine out of the definition's target groups, and waits until they have let go of it.
func (p *Instances) Withdraw(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error {
	i, err := p.resolve(ctx, m, isOld(r))
	if err != nil || i == nil || ended(*i) {
		return err
	}
	return p.withdraw(ctx, str(i.InstanceId), str(i.PrivateIpAddress), p.config.TargetGroups)
}

// Readmit puts a machine back into the same target groups.
func (p *Instances) Readmit(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error {
	i, err := p.resolve(ctx, m, isOld(r))
	if err != nil || i == nil || ended(*i) {
		return err
	}
	return p.register(ctx, str(i.InstanceId), str(i.PrivateIpAddress), p.config.TargetGroups)
}

// TakesJoin reports whether the user data that pawl gives machines has what they need to join.
func (p *Instances) TakesJoin() bool { return p.config.UserDataFile != "" }

// Remove terminates a machine, and waits until it is gone. Only a machine that bears the run's tags is ended.
func (p *Instances) Remove(ctx context.Context, r upgrade.Replacement, m upgrade.Machine) error {
	return p.await(ctx, opRemove, called(m), func() (bool, string, error) {
		i, err := p.resolve(ctx, m, isOld(r))
		switch {
		case err != nil:
			return false, "", err
		case i == nil, state(*i) == types.InstanceStateNameTerminated:
			return true, "", nil
		case ended(*i):
			return false, "it is " + string(state(*i)), nil
		case tag(*i, tagOld) != value(r.Run) && tag(*i, tagRun) != value(r.Run):
			return false, "", fault.New(fault.PreflightFailed, opRemove, str(i.InstanceId), "it bears none of the run's tags, "+tagOld+" and "+tagRun, "make sure that it is the machine to end, and end it yourself")
		}
		_, err = p.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{str(i.InstanceId)}})
		if code(err) == "OperationNotPermitted" {
			return false, "", fault.New(fault.PreflightFailed, opRemove, str(i.InstanceId), "it is protected from termination", "turn that off")
		}
		return false, "it has been asked to end", changed(opRemove, str(i.InstanceId), err)
	})
}

func disableAPITermination(id string) *ec2.DescribeInstanceAttributeInput {
	return &ec2.DescribeInstanceAttributeInput{InstanceId: &id, Attribute: types.InstanceAttributeNameDisableApiTermination}
}
