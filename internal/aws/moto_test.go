package aws

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	balancing "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/awstest"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// The tests here run over moto, an AWS for tests that knows nothing of pawl, so that fake is not judged by itself alone. moto
// has no client tokens, delays, hooks or LaunchInstances: what depends on those is tested over fake.

// beforeMoto answers what moto does not know: that there is no LaunchInstances, that no instance refresh runs, and that a version
// of a launch template was deleted.
func beforeMoto(w http.ResponseWriter, _ *http.Request, body []byte) bool {
	form, _ := url.ParseQuery(string(body))
	switch form.Get("Action") {
	case "LaunchInstances":
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "<ErrorResponse><Error><Code>InvalidAction</Code><Message>unknown</Message></Error></ErrorResponse>")
	case "DeleteLaunchTemplateVersions":
		_, _ = io.WriteString(w, "<DeleteLaunchTemplateVersionsResponse/>")
	case "DescribeInstanceRefreshes":
		_, _ = io.WriteString(w, "<DescribeInstanceRefreshesResponse><DescribeInstanceRefreshesResult><InstanceRefreshes/></DescribeInstanceRefreshesResult></DescribeInstanceRefreshesResponse>")
	default:
		return false
	}
	return true
}

// stock is what stands in an AWS before pawl comes.
type stock struct {
	t        *testing.T
	url      string
	ec2      *ec2.Client
	scaling  *autoscaling.Client
	elb      *elb.Client
	subnet   string
	from, to string // images
	target   string // group
}

func newStock(t *testing.T) *stock {
	t.Helper()
	s := &stock{t: t, url: awstest.Moto(t, beforeMoto)}
	c := awstest.Quick(s.url)
	s.ec2, s.scaling, s.elb = ec2.NewFromConfig(c), autoscaling.NewFromConfig(c), elb.NewFromConfig(c)
	subnets, err := s.ec2.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
	require.NoError(t, err)
	require.NotEmpty(t, subnets.Subnets)
	s.subnet = *subnets.Subnets[0].SubnetId
	for name, image := range map[string]*string{"kubernetes-old": &s.from, "kubernetes-v1.37.2-a": &s.to} {
		made, err := s.ec2.RegisterImage(t.Context(), &ec2.RegisterImageInput{Name: &name})
		require.NoError(t, err)
		*image = *made.ImageId
	}
	group, err := s.elb.CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{Name: sdk.String("workers"), Protocol: balancing.ProtocolEnumTcp, Port: sdk.Int32(80), VpcId: subnets.Subnets[0].VpcId})
	require.NoError(t, err)
	s.target = *group.TargetGroups[0].TargetGroupArn
	_, err = s.ec2.CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: sdk.String("workers"),
		LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: &s.from, InstanceType: types.InstanceTypeM5Large,
			TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: sdk.String("team"), Value: sdk.String("x")}}}}}})
	require.NoError(t, err)
	return s
}

// living are the instances that run.
func (s *stock) living() []types.Instance {
	s.t.Helper()
	state := "instance-state-name"
	out, err := s.ec2.DescribeInstances(s.t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: &state, Values: []string{"pending", "running"}}}})
	require.NoError(s.t, err)
	var all []types.Instance
	for _, r := range out.Reservations {
		all = append(all, r.Instances...)
	}
	return all
}

func (s *stock) nodes() []upgrade.Machine {
	var all []upgrade.Machine
	for _, i := range s.living() {
		m := machine(i)
		m.ID, m.Node = "aws:///"+m.Zone+"/"+m.ID, "node-of-"+m.ID
		all = append(all, m)
	}
	return all
}

// newGroup makes an Auto Scaling group of three, with two processes that a person suspended.
func (s *stock) newGroup() {
	s.t.Helper()
	three, name := int32(3), "workers"
	_, err := s.scaling.CreateAutoScalingGroup(s.t.Context(), &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: &three, MaxSize: &three, DesiredCapacity: &three, VPCZoneIdentifier: &s.subnet, TargetGroupARNs: []string{s.target},
		LaunchTemplate: &scaling.LaunchTemplateSpecification{LaunchTemplateName: &name, Version: sdk.String("1")},
		Tags:           []scaling.Tag{{Key: sdk.String("team"), Value: sdk.String("x"), PropagateAtLaunch: sdk.Bool(true)}},
	})
	require.NoError(s.t, err)
	_, err = s.scaling.SuspendProcesses(s.t.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: &name, ScalingProcesses: []string{"AZRebalance", "HealthCheck"}})
	require.NoError(s.t, err)
}

// requireAsBefore: all settings of the group are as newGroup makes them.
func (s *stock) requireAsBefore(p *Group, version string) {
	s.t.Helper()
	v, err := p.look(s.t.Context())
	require.NoError(s.t, err)
	require.Equal(s.t, []int32{3, 3, 3}, []int32{*v.MinSize, *v.DesiredCapacity, *v.MaxSize})
	require.ElementsMatch(s.t, []string{"AZRebalance", "HealthCheck"}, v.suspended())
	require.False(s.t, sdk.ToBool(v.NewInstancesProtectedFromScaleIn))
	require.Equal(s.t, version, v.version())
	require.Equal(s.t, map[string]string{"team": "x"}, v.tags)
	require.Len(s.t, v.Instances, 3)
	for _, m := range v.Instances {
		require.False(s.t, sdk.ToBool(m.ProtectedFromScaleIn))
		require.Empty(s.t, tag(v.instances[*m.InstanceId], tagOld))
	}
}

// targets are the ids of the target group's members.
func (s *stock) targets() []string {
	s.t.Helper()
	out, err := s.elb.DescribeTargetHealth(s.t.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: &s.target})
	require.NoError(s.t, err)
	var ids []string
	for _, h := range out.TargetHealthDescriptions {
		ids = append(ids, *h.Target.Id)
	}
	return ids
}

// requireAllNew: as many machines run as before, and none of them is an old one.
func (s *stock) requireAllNew(old []upgrade.Machine, image string) {
	s.t.Helper()
	now := s.living()
	require.Len(s.t, now, len(old))
	was := map[string]bool{}
	for _, m := range old {
		was[mustID(s.t, m)] = true
	}
	for _, i := range now {
		require.False(s.t, was[*i.InstanceId])
		require.Equal(s.t, hopTag, tag(i, tagRun))
		require.Equal(s.t, "x", tag(i, "team"))
		if image != "" {
			require.Equal(s.t, image, *i.ImageId)
		}
	}
}

func TestMotoGroup(t *testing.T) {
	for name, c := range map[string]struct {
		config  func(*stock) GroupConfig
		version string
	}{
		"image":                     {func(s *stock) GroupConfig { return GroupConfig{Image: s.to} }, "2"},
		"image by name":             {func(*stock) GroupConfig { return GroupConfig{ImageName: "kubernetes-{{.Version}}-*"} }, "2"},
		"template is right already": {func(*stock) GroupConfig { return GroupConfig{} }, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStock(t)
			s.newGroup()
			config := c.config(s)
			config.Name = "workers"
			p, old := groupAt(t, s.url, config), s.nodes()
			for _, f := range p.Check(t.Context(), hop, old) {
				require.NotEqual(t, upgrade.SeverityError, f.Severity, f.String())
			}
			callerOf(t, p).replaceAll(hop, old, true)
			s.requireAllNew(old, "")
			s.requireAsBefore(p, c.version)
			var ids []string
			for _, i := range s.living() {
				ids = append(ids, *i.InstanceId)
			}
			require.ElementsMatch(t, ids, s.targets())
		})
	}
}

func TestMotoGroupIsPutBack(t *testing.T) {
	s := newStock(t)
	s.newGroup()
	p, old := groupAt(t, s.url, GroupConfig{Name: "workers", Image: s.to}), s.nodes()
	_, err := p.Begin(t.Context(), hop, old)
	require.NoError(t, err)
	made, err := p.Add(t.Context(), hop, upgrade.Slot{Old: old[0]}, join)
	require.NoError(t, err)
	require.NoError(t, p.Remove(t.Context(), hop, made))
	require.NoError(t, p.End(t.Context(), hop, nil))
	s.requireAsBefore(p, "1")
}

func TestMotoInstances(t *testing.T) {
	s := newStock(t)
	for range 2 {
		_, err := s.ec2.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: &s.from, MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1), InstanceType: types.InstanceTypeM5Large, SubnetId: &s.subnet})
		require.NoError(t, err)
	}
	config := plainConfig(t)
	config.Image, config.TargetGroups = s.to, []string{s.target}
	p, old := instancesAt(t, s.url, config), s.nodes()
	old[1].ID = ""
	for _, f := range p.Check(t.Context(), hop, old) {
		require.NotEqual(t, upgrade.SeverityError, f.Severity, f.String())
	}
	callerOf(t, p).replaceAll(hop, old, true)
	require.Len(t, s.living(), 2)
	for _, i := range s.living() {
		require.NotEqual(t, mustID(t, old[0]), *i.InstanceId)
		require.Equal(t, s.to, *i.ImageId)
		require.Equal(t, hopTag, tag(i, tagRun))
		require.Equal(t, "x", tag(i, "team"))
		require.Equal(t, s.subnet, *i.SubnetId)
	}
	require.Len(t, s.targets(), 2)
}
