package eks

import (
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	sdk "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/awstest"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// The tests here run over moto, an AWS for tests that knows nothing of pawl, so that fake is not judged by itself alone. moto
// has clusters, node groups, Fargate profiles, subnets and launch templates, and no updates, insights or add-ons.

// unknown are the questions that moto does not know, with the answer of an EKS in which nothing of the kind is there.
var unknown = []struct {
	question *regexp.Regexp
	answer   string
}{
	{regexp.MustCompile(`^GET /clusters/[^/]+/updates$`), `{"updateIds":[]}`},
	{regexp.MustCompile(`^POST /clusters/[^/]+/insights$`), `{"insights":[]}`},
	{regexp.MustCompile(`^GET /clusters/[^/]+/addons$`), `{"addons":[]}`},
	{regexp.MustCompile(`^GET /cluster-versions$`), `{"clusterVersions":[{"clusterVersion":"1.34","versionStatus":"STANDARD_SUPPORT"}]}`},
}

func beforeMoto(w http.ResponseWriter, r *http.Request, _ []byte) bool {
	for _, u := range unknown {
		if u.question.MatchString(r.Method + " " + r.URL.Path) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, u.answer)
			return true
		}
	}
	return false
}

func TestMoto(t *testing.T) {
	address := awstest.Moto(t, beforeMoto)
	c := awstest.Quick(address)
	eks, machines := sdk.NewFromConfig(c), ec2.NewFromConfig(c)
	subnets, err := machines.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(subnets.Subnets), 2)
	ids := []string{*subnets.Subnets[0].SubnetId, *subnets.Subnets[1].SubnetId}
	role, name := aws.String("arn:aws:iam::123456789012:role/eks"), aws.String("prod")
	_, err = eks.CreateCluster(t.Context(), &sdk.CreateClusterInput{Name: name, Version: aws.String("1.34"), RoleArn: role, ResourcesVpcConfig: &types.VpcConfigRequest{SubnetIds: ids}})
	require.NoError(t, err)
	template, err := machines.CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("workers"), LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: aws.String("ami-1")}})
	require.NoError(t, err)
	id := template.LaunchTemplate.LaunchTemplateId
	_, err = machines.CreateLaunchTemplateVersion(t.Context(), &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: id, LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: aws.String("ami-2")}})
	require.NoError(t, err)
	for _, in := range []*sdk.CreateNodegroupInput{
		{NodegroupName: aws.String("blue"), AmiType: types.AMITypesAl2023X8664Standard, Version: aws.String("1.34"), ScalingConfig: &types.NodegroupScalingConfig{MinSize: aws.Int32(1), MaxSize: aws.Int32(5), DesiredSize: aws.Int32(3)}},
		{NodegroupName: aws.String("green"), AmiType: types.AMITypesCustom, Version: aws.String("1.34"), LaunchTemplate: &types.LaunchTemplateSpecification{Id: id, Version: aws.String("1")}},
	} {
		in.ClusterName, in.NodeRole, in.Subnets = name, role, ids
		_, err := eks.CreateNodegroup(t.Context(), in)
		require.NoError(t, err)
	}
	_, err = eks.CreateFargateProfile(t.Context(), &sdk.CreateFargateProfileInput{ClusterName: name, FargateProfileName: aws.String("fp"), PodExecutionRoleArn: role, Selectors: []types.FargateProfileSelector{{Namespace: aws.String("batch")}}})
	require.NoError(t, err)

	k := at(t, address, Config{Name: "prod", TemplateVersions: map[string]string{"green": "$Latest"}})
	m, err := k.Observe(t.Context(), v("1.34"))
	require.NoError(t, err)
	require.Empty(t, m.Found)
	require.Equal(t, []any{v("1.34"), "ACTIVE"}, []any{m.Version, m.Status})
	require.Len(t, m.Subnets, 2)
	require.Greater(t, m.Subnets[0].Free, 100)
	require.Equal(t, []string{"fp"}, m.Fargate)
	require.Equal(t, []upgrade.ManagedMinor{{Version: v("1.34"), Support: upgrade.StandardSupport}}, m.Offered)
	require.Len(t, m.NodeGroups, 2)
	require.Equal(t, []any{"blue", v("1.34"), "ACTIVE", 1, 5, 3}, []any{m.NodeGroups[0].Name, m.NodeGroups[0].Version, m.NodeGroups[0].Status, m.NodeGroups[0].Min, m.NodeGroups[0].Max, m.NodeGroups[0].Desired})
	require.Equal(t, []string{*id, "1", "2", "ami-2"}, []string{m.NodeGroups[1].Template, m.NodeGroups[1].TemplateVersion, m.NodeGroups[1].NextTemplateVersion, m.NodeGroups[1].NextImageID})

	out, err := k.UpgradeControlPlane(t.Context(), "run/1", v("1.34"), false)
	require.NoError(t, err)
	require.Equal(t, upgrade.ManagedOutcome{Version: "v1.34"}, out)
	out, err = k.UpgradeNodeGroup(t.Context(), "run/1", "blue", v("1.34"), false)
	require.NoError(t, err)
	require.Equal(t, upgrade.ManagedOutcome{Version: "v1.34"}, out)
	_, err = k.UpgradeNodeGroup(t.Context(), "run/1", "none", v("1.34"), false)
	require.Equal(t, fault.NotFound, fault.KindOf(err), "%v", err)
	_, err = at(t, address, Config{Name: "other"}).Observe(t.Context(), v("1.34"))
	require.Equal(t, fault.NotFound, fault.KindOf(err), "%v", err)
}
