package aws

import (
	"context"
	"slices"
	"strconv"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// GroupConfig says which Auto Scaling group a pool is, and what its new machines are. Of Image, ImageName and TemplateVersion
// at most one is set; where none is, the group's launch template is right already. New machines must join the cluster by
// themselves: pawl gives a group no join data, since a token in a template expires while the group still uses it.
type GroupConfig struct {
	// Region is that of the group. Empty: as the worker's environment or profile says.
	Region string `json:"region,omitempty"`
	// Profile is one of the worker's shared AWS configuration.
	Profile string `json:"profile,omitempty"`
	// Endpoint takes the place of all of AWS's, for tests.
	Endpoint string `json:"endpoint,omitempty"`
	// Name of the group.
	Name string `json:"name"`
	// Image of new machines: ami-..., or resolve:ssm:PARAMETER. It may use {{.Version}} (v1.37.2), {{.Number}} (1.37.2),
	// {{.Minor}} (v1.37), {{.Cluster}} and {{.Pool}}. A version of the group's launch template is made for it.
	Image string `json:"image,omitempty"`
	// ImageName is the name of the image instead, with * for anything; the newest is taken. It may use the same.
	ImageName string `json:"imageName,omitempty"`
	// ImageOwners are the accounts whose images may be found by name. Empty: self.
	ImageOwners []string `json:"imageOwners,omitempty"`
	// TemplateVersion is the version of the group's launch template that new machines have: a number, $Latest or $Default.
	TemplateVersion string `json:"templateVersion,omitempty"`
	// TargetGroups are the ARNs of target groups that hold the pool's machines beside those that the group names itself.
	TargetGroups []string `json:"targetGroups,omitempty"`
}

// Validate says what is wrong in the definition, or returns nil.
func (c GroupConfig) Validate() error {
	if c.Name == "" {
		return fault.New(fault.InvalidInput, "read the pool's", "Auto Scaling group", "it has no name", "set name")
	}
	return validate(c.Image, c.ImageName, c.ImageOwners, c.TemplateVersion, c.TemplateVersion != "", c.TargetGroups)
}

// validate checks what both kinds of pool have. exclusive: a version cannot stand beside an image.
func validate(image, imageName string, owners []string, version string, exclusive bool, targetGroups []string) error {
	bad := func(field, fact, remedy string) error {
		return fault.New(fault.InvalidInput, "read the pool's", field, fact, remedy)
	}
	sample := upgrade.Replacement{Version: upgrade.MustVersion("v1.2.3"), Cluster: "c", Pool: "p"}
	id, err := render("image", image, sample)
	if err != nil {
		return err
	}
	if _, err := render("imageName", imageName, sample); err != nil {
		return err
	}
	switch {
	case image != "" && imageName != "", exclusive && image+imageName != "":
		return bad("image", "image, imageName and templateVersion each say what new machines are", "set one of them")
	case image != "" && !strings.HasPrefix(id, "ami-") && !strings.HasPrefix(id, "resolve:ssm:"):
		return bad("image", id+" is no image", "wanted ami-... or resolve:ssm:PARAMETER, or imageName")
	case len(owners) > 0 && imageName == "":
		return bad("imageOwners", "no imageName goes with them", "set imageName, or leave them out")
	}
	if n, err := strconv.Atoi(version); version != "" && version != latest && version != preset && (err != nil || n < 1) {
		return bad("templateVersion", version+" is no version", "wanted a number, $Latest or $Default")
	}
	for _, arn := range targetGroups {
		if !strings.HasPrefix(arn, "arn:") || !strings.Contains(arn, ":targetgroup/") {
			return bad("targetGroups", arn+" is no target group", "wanted arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/...")
		}
	}
	return nil
}

// Group makes and removes the machines of an Auto Scaling group.
type Group struct {
	*cloud
	api    groupsAPI
	config GroupConfig
}

// NewGroup reads credentials where the AWS command line does. Nothing is sent.
func NewGroup(ctx context.Context, c GroupConfig) (*Group, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	aws, shared, err := connect(ctx, "open Auto Scaling group "+c.Name, c.Region, c.Profile, c.Endpoint)
	if err != nil {
		return nil, err
	}
	return &Group{cloud: shared, api: autoscaling.NewFromConfig(aws), config: c}, nil
}

func (g *Group) target() string { return "group " + g.config.Name }

func (g *Group) images() images {
	return images{id: g.config.Image, name: g.config.ImageName, owners: g.config.ImageOwners}
}

// named: the definition says what new machines are.
func (g *Group) named() bool {
	return g.config.Image != "" || g.config.ImageName != "" || g.config.TemplateVersion != ""
}

// view is the group and its machines at one instant.
type view struct {
	types.AutoScalingGroup
	tags      map[string]string
	instances map[string]ec2types.Instance // of members, by id
}

func (g *Group) look(ctx context.Context) (view, error) {
	out, err := g.api.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{g.config.Name}})
	if err != nil {
		return view{}, looked("look at", g.target(), err)
	}
	if len(out.AutoScalingGroups) == 0 {
		return view{}, fault.New(fault.NotFound, "look at", g.target(), "there is none of this name in this account and region", "put name, region or profile right in the pool's definition")
	}
	v := view{AutoScalingGroup: out.AutoScalingGroups[0], tags: map[string]string{}, instances: map[string]ec2types.Instance{}}
	for _, t := range v.Tags {
		v.tags[str(t.Key)] = str(t.Value)
	}
	var ids []string
	for _, m := range v.Instances {
		ids = append(ids, str(m.InstanceId))
	}
	found, err := g.instances(ctx, "instance-id", ids...)
	for _, i := range found {
		v.instances[str(i.InstanceId)] = i
	}
	return v, err
}

// member finds one by its id.
func (v view) member(id string) (types.Instance, bool) {
	i := slices.IndexFunc(v.Instances, func(m types.Instance) bool { return str(m.InstanceId) == id })
	if i < 0 {
		return types.Instance{}, false
	}
	return v.Instances[i], true
}

// leaving reports whether the group ends a member already, or lets go of it.
func leaving(m types.Instance) bool {
	state := string(m.LifecycleState)
	return strings.HasPrefix(state, "Terminat") || strings.HasPrefix(state, "Detach")
}

// counted are the members that the group counts against its desired capacity, dead ones that it has not replaced included.
func (v view) counted() []types.Instance {
	return slices.DeleteFunc(slices.Clone(v.Instances), leaving)
}

// alive are those of them that run or will.
func (v view) alive() []types.Instance {
	return slices.DeleteFunc(v.counted(), func(m types.Instance) bool { return ended(v.instances[str(m.InstanceId)]) })
}

// unclaimed are the machines that the group made during the run, and that are no slot's yet.
func (v view) unclaimed(run string) []ec2types.Instance {
	var free []ec2types.Instance
	for _, m := range v.alive() {
		i := v.instances[str(m.InstanceId)]
		if tag(i, tagRun) == value(run) && tag(i, tagSlot) == "" && !died(i) {
			free = append(free, i)
		}
	}
	return free
}

// claimed are the keys of slots that have a machine.
func (v view) claimed() []string {
	var keys []string
	for _, i := range v.instances {
		if key := tag(i, tagSlot); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// needed is the desired capacity that accounts for each machine that counts and each that is being made.
func (v view) needed(run string, asked []want) int32 {
	making := len(open(asked, v.claimed())) - len(v.unclaimed(run))
	for _, m := range v.counted() {
		if _, known := v.instances[str(m.InstanceId)]; !known && strings.HasPrefix(string(m.LifecycleState), "Pending") {
			making-- // made just now: EC2 does not show it yet
		}
	}
	return int32(len(v.counted()) + max(0, making))
}

// suspended are the processes that are.
func (v view) suspended() []string {
	var names []string
	for _, p := range v.SuspendedProcesses {
		names = append(names, str(p.ProcessName))
	}
	return names
}

// specification is the group's launch template and its version, which a mixed instances policy has in its own place; nil where
// there is none.
func (v view) specification() *types.LaunchTemplateSpecification {
	if v.LaunchTemplate != nil {
		return v.LaunchTemplate
	}
	if p := v.MixedInstancesPolicy; p != nil && p.LaunchTemplate != nil {
		return p.LaunchTemplate.LaunchTemplateSpecification
	}
	return nil
}

func (v view) template() launchTemplate {
	s := v.specification()
	return launchTemplate{id: str(s.LaunchTemplateId), name: str(s.LaunchTemplateName)}
}

// version is that of the launch template, as the group says it.
func (v view) version() string {
	if s := v.specification(); s != nil && str(s.Version) != "" {
		return str(s.Version)
	}
	return preset
}

// at puts a version of the launch template into an update, with all else as it is.
func (v view) at(version string, in *autoscaling.UpdateAutoScalingGroupInput) {
	s := &types.LaunchTemplateSpecification{Version: sdk.String(version)}
	s.LaunchTemplateId, s.LaunchTemplateName = v.template().pointers()
	if v.LaunchTemplate != nil {
		in.LaunchTemplate = s
		return
	}
	policy, inner := *v.MixedInstancesPolicy, *v.MixedInstancesPolicy.LaunchTemplate
	inner.LaunchTemplateSpecification = s
	policy.LaunchTemplate = &inner
	in.MixedInstancesPolicy = &policy
}

// record sets tags of the group. The run's is given to the instances that the group makes from then on.
func (g *Group) record(ctx context.Context, tags map[string]string) error {
	in := &autoscaling.CreateOrUpdateTagsInput{}
	for _, key := range sorted(tags) {
		in.Tags = append(in.Tags, types.Tag{Key: sdk.String(key), Value: sdk.String(tags[key]), PropagateAtLaunch: sdk.Bool(key == tagRun),
			ResourceId: &g.config.Name, ResourceType: sdk.String("auto-scaling-group")})
	}
	_, err := g.api.CreateOrUpdateTags(ctx, in)
	return changed("tag", g.target(), err)
}

// forget removes tags of the group.
func (g *Group) forget(ctx context.Context, keys ...string) error {
	in := &autoscaling.DeleteTagsInput{}
	for _, key := range keys {
		in.Tags = append(in.Tags, types.Tag{Key: sdk.String(key), ResourceId: &g.config.Name, ResourceType: sdk.String("auto-scaling-group")})
	}
	_, err := g.api.DeleteTags(ctx, in)
	return changed("remove tags of", g.target(), err)
}

// setDesired sets the desired capacity to an absolute value.
func (g *Group) setDesired(ctx context.Context, n int32) error {
	_, err := g.api.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: &g.config.Name, DesiredCapacity: &n, HonorCooldown: sdk.Bool(false)})
	if code(err) == "ValidationError" && strings.Contains(said(err), "max value") {
		return fault.New(fault.PreflightFailed, "raise the desired capacity of", g.target(), said(err),
			"somebody lowered its maximum during the upgrade: raise it again, by one for each node replaced at a time")
	}
	return changed("set the desired capacity of", g.target(), err)
}
