package aws

import (
	"context"
	"maps"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	filterValues = 100 // at most, in one filter (EC2 takes 200)
	tagged       = 500 // resources at most, in one request about tags (EC2 takes 1,000)
)

// instances finds instances by one filter. One that is not known (yet, or any more) is left out: a filter does not fail for it.
func (c *cloud) instances(ctx context.Context, filter string, values ...string) ([]types.Instance, error) {
	var found []types.Instance
	for part := range slices.Chunk(values, filterValues) {
		pages := ec2.NewDescribeInstancesPaginator(c.ec2, &ec2.DescribeInstancesInput{
			Filters: []types.Filter{{Name: &filter, Values: part}},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, looked("look for", "instances", err)
			}
			for _, r := range page.Reservations {
				found = append(found, r.Instances...)
			}
		}
	}
	return found, nil
}

// instance finds one by its id, or returns nil.
func (c *cloud) instance(ctx context.Context, id string) (*types.Instance, error) {
	found, err := c.instances(ctx, "instance-id", id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// resolve finds the instance of a machine: by its id, or by its address among those that may be it. It never goes by the
// node's name. nil means that there is none (any more).
func (c *cloud) resolve(ctx context.Context, m upgrade.Machine, may func(types.Instance) bool) (*types.Instance, error) {
	id, err := identity(m)
	if err != nil {
		return nil, err
	}
	if id != "" {
		return c.instance(ctx, id)
	}
	if m.Address == "" {
		return nil, fault.New(fault.PreflightFailed, "find the instance of", called(m), "it has neither a provider ID nor an address", "set the kubelet's provider-id")
	}
	found, err := c.instances(ctx, "private-ip-address", m.Address)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(i types.Instance) bool { return !may(i) })
	if len(found) > 1 {
		found = slices.DeleteFunc(found, ended)
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return &found[0], nil
	}
	return nil, fault.New(fault.PreflightFailed, "find the instance of", called(m),
		"several have the address "+m.Address+": "+str(found[0].InstanceId)+", "+str(found[1].InstanceId), "set the kubelet's provider-id")
}

// isOld reports whether an instance was there before the run began: only such a one may be found by its address, since an
// address is given to another machine once the old one is gone.
func isOld(r upgrade.Replacement) func(types.Instance) bool {
	return func(i types.Instance) bool { return tag(i, tagOld) == value(r.Run) }
}

// tag is the value of an instance's tag.
func tag(i types.Instance, key string) string {
	for _, t := range i.Tags {
		if str(t.Key) == key {
			return str(t.Value)
		}
	}
	return ""
}

func state(i types.Instance) types.InstanceStateName {
	if i.State == nil {
		return ""
	}
	return i.State.Name
}

// ended reports whether an instance is gone for good, or will be.
func ended(i types.Instance) bool {
	return state(i) == types.InstanceStateNameTerminated || state(i) == types.InstanceStateNameShuttingDown
}

// died reports whether a new instance will never be a node: ended, or stopped.
func died(i types.Instance) bool {
	return ended(i) || state(i) == types.InstanceStateNameStopping || state(i) == types.InstanceStateNameStopped
}

// reason is why an instance ended, as EC2 says it.
func reason(i types.Instance) string {
	if i.StateReason != nil && str(i.StateReason.Message) != "" {
		return ": " + str(i.StateReason.Message)
	}
	return ""
}

// machine is an instance as the caller knows it.
func machine(i types.Instance) upgrade.Machine {
	m := upgrade.Machine{ID: str(i.InstanceId), Address: str(i.PrivateIpAddress)}
	if i.Placement != nil {
		m.Zone = str(i.Placement.AvailabilityZone)
	}
	return m
}

// label sets tags of instances. One that EC2 does not know yet is Conflict: it will.
func (c *cloud) label(ctx context.Context, tags map[string]string, ids ...string) error {
	for part := range slices.Chunk(ids, tagged) {
		_, err := c.ec2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: part, Tags: ec2Tags(tags)})
		if code(err) == "InvalidInstanceID.NotFound" {
			return fault.New(fault.Conflict, "tag", part[0], "EC2 does not know it (yet)", "")
		}
		if err != nil {
			return changed("tag", part[0], err)
		}
	}
	return nil
}

// unlabel removes tags of instances, whatever their values are.
func (c *cloud) unlabel(ctx context.Context, keys []string, ids ...string) error {
	var tags []types.Tag
	for _, key := range keys {
		tags = append(tags, types.Tag{Key: sdk.String(key)})
	}
	for part := range slices.Chunk(ids, tagged) {
		if _, err := c.ec2.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: part, Tags: tags}); err != nil {
			return changed("remove tags of", part[0], err)
		}
	}
	return nil
}

// ec2Tags are tags in the order of their keys: a client token wants the same request each time.
func ec2Tags(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, key := range sorted(tags) {
		list = append(list, types.Tag{Key: sdk.String(key), Value: sdk.String(tags[key])})
	}
	return list
}

func str(s *string) string { return sdk.ToString(s) }
func num(n *int32) int32   { return sdk.ToInt32(n) }

// sorted are the keys of a map, in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
