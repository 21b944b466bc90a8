package aws

import (
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pawl-dev/pawl/internal/fault"
)

// The versions that are not numbers: what they lead to changes.
const (
	latest = "$Latest"
	preset = "$Default"
)

const (
	opTemplate = "look at the launch template"
	opVersion  = "make a version of the launch template"
)

// launchTemplate is one by its id or its name.
type launchTemplate struct{ id, name string }

// templateNamed reads what a definition says: lt-... is an id.
func templateNamed(text string) launchTemplate {
	if strings.HasPrefix(text, "lt-") {
		return launchTemplate{id: text}
	}
	return launchTemplate{name: text}
}

func (t launchTemplate) String() string {
	if t.id != "" {
		return t.id
	}
	return t.name
}

// pointers are how requests name it: by exactly one of the two.
func (t launchTemplate) pointers() (id, name *string) {
	if t.id != "" {
		return &t.id, nil
	}
	return nil, &t.name
}

// version finds one version of a template: a number, $Latest or $Default.
func (c *cloud) version(ctx context.Context, t launchTemplate, version string) (types.LaunchTemplateVersion, error) {
	in := &ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{version}}
	in.LaunchTemplateId, in.LaunchTemplateName = t.pointers()
	out, err := c.ec2.DescribeLaunchTemplateVersions(ctx, in)
	if err != nil && code(err) != "InvalidLaunchTemplateId.VersionNotFound" {
		return types.LaunchTemplateVersion{}, looked(opTemplate, t.String(), err)
	}
	if err != nil || len(out.LaunchTemplateVersions) == 0 {
		return types.LaunchTemplateVersion{}, fault.New(fault.PreflightFailed, opTemplate, t.String(), "it has no version "+version, "name one that it has in the pool's definition")
	}
	return out.LaunchTemplateVersions[0], nil
}

// numbered is a version's number as a text.
func numbered(v types.LaunchTemplateVersion) string {
	if v.VersionNumber == nil {
		return ""
	}
	return strconv.FormatInt(*v.VersionNumber, 10)
}

// description is that of the version that pawl makes for an image: it is found again by it.
func description(image, source string) string {
	text := "pawl: " + image + " from version " + source
	if len(text) > 255 {
		return "pawl: " + token(text)
	}
	return text
}

// described finds the version with a description, or returns "".
func (c *cloud) described(ctx context.Context, t launchTemplate, description string) (string, error) {
	in := &ec2.DescribeLaunchTemplateVersionsInput{}
	in.LaunchTemplateId, in.LaunchTemplateName = t.pointers()
	for pages := ec2.NewDescribeLaunchTemplateVersionsPaginator(c.ec2, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", looked(opTemplate, t.String(), err)
		}
		for _, v := range page.LaunchTemplateVersions {
			if str(v.VersionDescription) == description {
				return numbered(v), nil
			}
		}
	}
	return "", nil
}

// makeVersion makes a version that differs from its source in the image alone. Called again with the same step it answers
// the same.
func (c *cloud) makeVersion(ctx context.Context, t launchTemplate, image, source, step string) (string, error) {
	text, key := description(image, source), token(step, t.String(), image, source)
	in := &ec2.CreateLaunchTemplateVersionInput{
		SourceVersion: &source, VersionDescription: &text, ClientToken: &key,
		LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: &image},
	}
	in.LaunchTemplateId, in.LaunchTemplateName = t.pointers()
	out, err := c.ec2.CreateLaunchTemplateVersion(ctx, in)
	if code(err) == "VersionLimitExceeded" {
		return "", fault.New(fault.PreflightFailed, opVersion, t.String(), "it has as many versions as there can be (10,000)", "delete some")
	}
	if err != nil {
		return "", changed(opVersion, t.String(), err)
	}
	if out.LaunchTemplateVersion == nil {
		return "", fault.New(fault.OutcomeUnknown, opVersion, t.String(), "AWS did not say its number", "")
	}
	return numbered(*out.LaunchTemplateVersion), nil
}

// deleteVersion deletes one that pawl made. One that is gone, or has become the default, is no error.
func (c *cloud) deleteVersion(ctx context.Context, t launchTemplate, version string) error {
	in := &ec2.DeleteLaunchTemplateVersionsInput{Versions: []string{version}}
	in.LaunchTemplateId, in.LaunchTemplateName = t.pointers()
	_, err := c.ec2.DeleteLaunchTemplateVersions(ctx, in)
	return changed("delete version "+version+" of the launch template", t.String(), err)
}
