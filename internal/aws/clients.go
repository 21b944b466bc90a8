package aws

import (
	"context"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/pawl-dev/pawl/internal/fault"
)

// instancesAPI is what is used of EC2.
type instancesAPI interface {
	DescribeInstances(context.Context, *ec2.DescribeInstancesInput, ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error)
	DescribeInstanceAttribute(context.Context, *ec2.DescribeInstanceAttributeInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceAttributeOutput, error)
	DescribeImages(context.Context, *ec2.DescribeImagesInput, ...func(*ec2.Options)) (*ec2.DescribeImagesOutput, error)
	DescribeSubnets(context.Context, *ec2.DescribeSubnetsInput, ...func(*ec2.Options)) (*ec2.DescribeSubnetsOutput, error)
	DescribeLaunchTemplateVersions(context.Context, *ec2.DescribeLaunchTemplateVersionsInput, ...func(*ec2.Options)) (*ec2.DescribeLaunchTemplateVersionsOutput, error)
	CreateLaunchTemplateVersion(context.Context, *ec2.CreateLaunchTemplateVersionInput, ...func(*ec2.Options)) (*ec2.CreateLaunchTemplateVersionOutput, error)
	DeleteLaunchTemplateVersions(context.Context, *ec2.DeleteLaunchTemplateVersionsInput, ...func(*ec2.Options)) (*ec2.DeleteLaunchTemplateVersionsOutput, error)
	CreateTags(context.Context, *ec2.CreateTagsInput, ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error)
	DeleteTags(context.Context, *ec2.DeleteTagsInput, ...func(*ec2.Options)) (*ec2.DeleteTagsOutput, error)
	RunInstances(context.Context, *ec2.RunInstancesInput, ...func(*ec2.Options)) (*ec2.RunInstancesOutput, error)
	TerminateInstances(context.Context, *ec2.TerminateInstancesInput, ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error)
}

// groupsAPI is what is used of Auto Scaling.
type groupsAPI interface {
	DescribeAutoScalingGroups(context.Context, *autoscaling.DescribeAutoScalingGroupsInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error)
	DescribeInstanceRefreshes(context.Context, *autoscaling.DescribeInstanceRefreshesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeInstanceRefreshesOutput, error)
	DescribeLifecycleHooks(context.Context, *autoscaling.DescribeLifecycleHooksInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeLifecycleHooksOutput, error)
	DescribeScalingActivities(context.Context, *autoscaling.DescribeScalingActivitiesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeScalingActivitiesOutput, error)
	CreateOrUpdateTags(context.Context, *autoscaling.CreateOrUpdateTagsInput, ...func(*autoscaling.Options)) (*autoscaling.CreateOrUpdateTagsOutput, error)
	DeleteTags(context.Context, *autoscaling.DeleteTagsInput, ...func(*autoscaling.Options)) (*autoscaling.DeleteTagsOutput, error)
	SuspendProcesses(context.Context, *autoscaling.SuspendProcessesInput, ...func(*autoscaling.Options)) (*autoscaling.SuspendProcessesOutput, error)
	ResumeProcesses(context.Context, *autoscaling.ResumeProcessesInput, ...func(*autoscaling.Options)) (*autoscaling.ResumeProcessesOutput, error)
	UpdateAutoScalingGroup(context.Context, *autoscaling.UpdateAutoScalingGroupInput, ...func(*autoscaling.Options)) (*autoscaling.UpdateAutoScalingGroupOutput, error)
	SetDesiredCapacity(context.Context, *autoscaling.SetDesiredCapacityInput, ...func(*autoscaling.Options)) (*autoscaling.SetDesiredCapacityOutput, error)
	SetInstanceProtection(context.Context, *autoscaling.SetInstanceProtectionInput, ...func(*autoscaling.Options)) (*autoscaling.SetInstanceProtectionOutput, error)
	LaunchInstances(context.Context, *autoscaling.LaunchInstancesInput, ...func(*autoscaling.Options)) (*autoscaling.LaunchInstancesOutput, error)
	TerminateInstanceInAutoScalingGroup(context.Context, *autoscaling.TerminateInstanceInAutoScalingGroupInput, ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error)
}

// balancersAPI is what is used of Elastic Load Balancing.
type balancersAPI interface {
	DescribeTargetHealth(context.Context, *elb.DescribeTargetHealthInput, ...func(*elb.Options)) (*elb.DescribeTargetHealthOutput, error)
	RegisterTargets(context.Context, *elb.RegisterTargetsInput, ...func(*elb.Options)) (*elb.RegisterTargetsOutput, error)
	DeregisterTargets(context.Context, *elb.DeregisterTargetsInput, ...func(*elb.Options)) (*elb.DeregisterTargetsOutput, error)
}

var (
	_ instancesAPI = (*ec2.Client)(nil)
	_ groupsAPI    = (*autoscaling.Client)(nil)
	_ balancersAPI = (*elb.Client)(nil)
)

// attempts is how often the SDK itself sends a request that was throttled or not answered.
const attempts = 5

// cloud is what both providers have in common.
type cloud struct {
	ec2   instancesAPI
	elb   balancersAPI
	first time.Duration // between the first two looks at what is waited for
	most  time.Duration // between two looks at most
	place string        // which AWS this is: locks are per place and group
}

// Connect reads credentials where the AWS command line does. Nothing is sent.
func Connect(ctx context.Context, op, region, profile, endpoint string) (sdk.Config, error) {
	options := []func(*config.LoadOptions) error{config.WithRetryMaxAttempts(attempts)}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	if profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	if endpoint != "" {
		options = append(options, config.WithBaseEndpoint(endpoint))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return c, fault.Wrap(fault.InvalidInput, op, profile, err, "")
	}
	if c.Region == "" {
		return c, fault.New(fault.InvalidInput, op, "", "no region is named", "set region, or AWS_REGION in the worker's environment")
	}
	return c, nil
}

// connect opens what both providers have in common.
func connect(ctx context.Context, op, region, profile, endpoint string) (sdk.Config, *cloud, error) {
	c, err := Connect(ctx, op, region, profile, endpoint)
	if err != nil {
		return c, nil, err
	}
	return c, &cloud{
		ec2: ec2.NewFromConfig(c), elb: elb.NewFromConfig(c),
		first: 2 * time.Second, most: 15 * time.Second, place: c.Region + " " + endpoint,
	}, nil
}

// once sends a request once, whatever becomes of it: for what has no client token and is not the same when done twice. The
// method looks before it sends another.
func once(o *autoscaling.Options) {
	o.Retryer = retry.AddWithMaxAttempts(o.Retryer, 1)
}

func (c *cloud) await(ctx context.Context, op, target string, look func() (done bool, lacks string, err error)) error {
	return Await(ctx, c.first, c.most, op, target, look)
}

// Await looks until what is waited for is so, with a pause of first between the first two looks and of most at most. When ctx
// ends first, the error says what was not yet so.
func Await(ctx context.Context, first, most time.Duration, op, target string, look func() (done bool, lacks string, err error)) error {
	lacks := "it was not looked at"
	for pause := first; ; pause = min(pause*3/2, most) {
		done, now, err := look()
		switch {
		case err != nil && ctx.Err() != nil:
			return &fault.Error{Kind: fault.OutcomeUnknown, Op: op, Target: target, Fact: lacks, Err: ctx.Err()}
		case err != nil || done:
			return err
		}
		lacks = now
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return &fault.Error{Kind: fault.OutcomeUnknown, Op: op, Target: target, Fact: lacks, Err: ctx.Err()}
		}
	}
}

// locks are one per group: within this process two calls do not count the machines of a group at the same time.
var locks sync.Map // string to chan struct{}

// lock waits for the group's lock, and returns what releases it.
func (c *cloud) lock(ctx context.Context, group string) (func(), error) {
	of, _ := locks.LoadOrStore(c.place+" "+group, make(chan struct{}, 1))
	held := of.(chan struct{})
	select {
	case held <- struct{}{}:
		return func() { <-held }, nil
	case <-ctx.Done():
		return nil, &fault.Error{Kind: fault.OutcomeUnknown, Op: "wait for another call about", Target: "group " + group, Err: ctx.Err()}
	}
}
