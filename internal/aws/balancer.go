package aws

import (
	"context"
	"fmt"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// withdraw takes a machine out of target groups, by its id or its address, and waits until each has let go of it.
func (c *cloud) withdraw(ctx context.Context, id, address string, groups []string) error {
	const op = "take out of the load balancers"
	for _, arn := range groups {
		err := c.await(ctx, op, id, func() (bool, string, error) {
			health, err := c.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
			if code(err) == "TargetGroupNotFound" {
				return true, "", nil
			}
			if err != nil {
				return false, "", looked(op, arn, err)
			}
			var in []types.TargetDescription
			draining := 0
			for _, h := range health.TargetHealthDescriptions {
				if h.Target == nil || str(h.Target.Id) != id && (address == "" || str(h.Target.Id) != address) {
					continue
				}
				switch healthOf(h) {
				case types.TargetHealthStateEnumUnused:
					// "unused" is also a target that is registered where no listener leads: it is taken out, but not waited for.
					if h.TargetHealth.Reason == types.TargetHealthReasonEnumNotRegistered {
						continue
					}
					in = append(in, *h.Target)
				case types.TargetHealthStateEnumDraining:
					draining++
				default:
					in = append(in, *h.Target)
				}
			}
			if len(in) > 0 {
				_, err := c.elb.DeregisterTargets(ctx, &elb.DeregisterTargetsInput{TargetGroupArn: &arn, Targets: in})
				if err != nil && code(err) != "InvalidTarget" {
					return false, "", changed(op, arn, err)
				}
			}
			return len(in)+draining == 0, fmt.Sprintf("%s has not let go of it", arn), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// register puts a machine into target groups where it is not: by its id, or by its address where a group wants that. Their
// health checks decide when it gets traffic.
func (c *cloud) register(ctx context.Context, id, address string, groups []string) error {
	const op = "add to the load balancers"
	for _, arn := range groups {
		health, err := c.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
		if err != nil {
			return looked(op, arn, err)
		}
		there := false
		for _, h := range health.TargetHealthDescriptions {
			there = there || h.Target != nil && (str(h.Target.Id) == id || address != "" && str(h.Target.Id) == address) && healthOf(h) != types.TargetHealthStateEnumDraining
		}
		if there {
			continue
		}
		put := func(target string) error {
			_, err := c.elb.RegisterTargets(ctx, &elb.RegisterTargetsInput{TargetGroupArn: &arn, Targets: []types.TargetDescription{{Id: &target}}})
			return err
		}
		if err = put(id); code(err) == "InvalidTarget" && address != "" {
			err = put(address)
		}
		if err != nil {
			return changed(op, arn, err)
		}
	}
	return nil
}

func healthOf(h types.TargetHealthDescription) types.TargetHealthStateEnum {
	if h.TargetHealth == nil {
		return ""
	}
	return h.TargetHealth.State
}
