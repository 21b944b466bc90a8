package eks

import (
	"context"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	sdk "github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/pawl-dev/pawl/internal/aws"
	"github.com/pawl-dev/pawl/internal/fault"
)

// clusterAPI is what is used of EKS.
type clusterAPI interface {
	DescribeCluster(context.Context, *sdk.DescribeClusterInput, ...func(*sdk.Options)) (*sdk.DescribeClusterOutput, error)
	DescribeClusterVersions(context.Context, *sdk.DescribeClusterVersionsInput, ...func(*sdk.Options)) (*sdk.DescribeClusterVersionsOutput, error)
	ListUpdates(context.Context, *sdk.ListUpdatesInput, ...func(*sdk.Options)) (*sdk.ListUpdatesOutput, error)
	DescribeUpdate(context.Context, *sdk.DescribeUpdateInput, ...func(*sdk.Options)) (*sdk.DescribeUpdateOutput, error)
	UpdateClusterVersion(context.Context, *sdk.UpdateClusterVersionInput, ...func(*sdk.Options)) (*sdk.UpdateClusterVersionOutput, error)
	StartInsightsRefresh(context.Context, *sdk.StartInsightsRefreshInput, ...func(*sdk.Options)) (*sdk.StartInsightsRefreshOutput, error)
	DescribeInsightsRefresh(context.Context, *sdk.DescribeInsightsRefreshInput, ...func(*sdk.Options)) (*sdk.DescribeInsightsRefreshOutput, error)
	ListInsights(context.Context, *sdk.ListInsightsInput, ...func(*sdk.Options)) (*sdk.ListInsightsOutput, error)
	DescribeInsight(context.Context, *sdk.DescribeInsightInput, ...func(*sdk.Options)) (*sdk.DescribeInsightOutput, error)
	ListAddons(context.Context, *sdk.ListAddonsInput, ...func(*sdk.Options)) (*sdk.ListAddonsOutput, error)
	DescribeAddon(context.Context, *sdk.DescribeAddonInput, ...func(*sdk.Options)) (*sdk.DescribeAddonOutput, error)
	DescribeAddonVersions(context.Context, *sdk.DescribeAddonVersionsInput, ...func(*sdk.Options)) (*sdk.DescribeAddonVersionsOutput, error)
	UpdateAddon(context.Context, *sdk.UpdateAddonInput, ...func(*sdk.Options)) (*sdk.UpdateAddonOutput, error)
	ListNodegroups(context.Context, *sdk.ListNodegroupsInput, ...func(*sdk.Options)) (*sdk.ListNodegroupsOutput, error)
	DescribeNodegroup(context.Context, *sdk.DescribeNodegroupInput, ...func(*sdk.Options)) (*sdk.DescribeNodegroupOutput, error)
	UpdateNodegroupVersion(context.Context, *sdk.UpdateNodegroupVersionInput, ...func(*sdk.Options)) (*sdk.UpdateNodegroupVersionOutput, error)
	ListFargateProfiles(context.Context, *sdk.ListFargateProfilesInput, ...func(*sdk.Options)) (*sdk.ListFargateProfilesOutput, error)
}

// machinesAPI is what is used of EC2.
type machinesAPI interface {
	DescribeSubnets(context.Context, *ec2.DescribeSubnetsInput, ...func(*ec2.Options)) (*ec2.DescribeSubnetsOutput, error)
	DescribeLaunchTemplateVersions(context.Context, *ec2.DescribeLaunchTemplateVersionsInput, ...func(*ec2.Options)) (*ec2.DescribeLaunchTemplateVersionsOutput, error)
}

var (
	_ clusterAPI  = (*sdk.Client)(nil)
	_ machinesAPI = (*ec2.Client)(nil)
)

// Config says which cluster of EKS it is.
type Config struct {
	// Region of the cluster. Empty: as the worker's environment or profile says.
	Region string `json:"region,omitempty"`
	// Profile is one of the worker's shared AWS configuration.
	Profile string `json:"profile,omitempty"`
	// Endpoint takes the place of all of AWS's, for tests.
	Endpoint string `json:"endpoint,omitempty"`
	// Name of the cluster.
	Name string `json:"name"`
	// TemplateVersions are, for node groups with custom images, the version of their launch template that they go to: a
	// number, $Latest or $Default, which is also what holds for those that are not named.
	TemplateVersions map[string]string `json:"templateVersions,omitempty"`
}

// The versions of launch templates that have no number.
const (
	latest = "$Latest"
	preset = "$Default"
)

// clusterName is what EKS takes as a cluster's name.
var clusterName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$`)

// Validate says what is wrong in the definition, or returns nil.
func (c Config) Validate() error {
	const op = "read the definition of"
	if c.Name == "" {
		return fault.New(fault.InvalidInput, op, "the EKS cluster", "it has no name", "set name")
	}
	if !clusterName.MatchString(c.Name) {
		return fault.New(fault.InvalidInput, op, "EKS cluster "+c.Name, "that is no name of a cluster", "wanted letters, digits, - and _, at most 100")
	}
	for group, version := range c.TemplateVersions {
		if n, err := strconv.Atoi(version); version != latest && version != preset && (err != nil || n < 1) {
			return fault.New(fault.InvalidInput, op, "node group "+group, version+" is no version of a launch template", "wanted a number, $Latest or $Default")
		}
	}
	return nil
}

// Cluster is a cluster of EKS.
type Cluster struct {
	api    clusterAPI
	ec2    machinesAPI
	config Config
	first  time.Duration // between the first two looks at what is waited for
	most   time.Duration // between two looks at most
	ended  sync.Map      // string to types.Update: updates that came to their end, which never change again
}

// New reads credentials where the AWS command line does. Nothing is sent.
func New(ctx context.Context, c Config) (*Cluster, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	opened, err := aws.Connect(ctx, "open EKS cluster "+c.Name, c.Region, c.Profile, c.Endpoint)
	if err != nil {
		return nil, err
	}
	return &Cluster{api: sdk.NewFromConfig(opened), ec2: ec2.NewFromConfig(opened), config: c, first: 2 * time.Second, most: 20 * time.Second}, nil
}

func (c *Cluster) target() string { return "cluster " + c.config.Name }

func (c *Cluster) await(ctx context.Context, op, target string, look func() (done bool, lacks string, err error)) error {
	return aws.Await(ctx, c.first, c.most, op, target, look)
}
