package aws

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"text/template"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// images is how a definition names the image of new machines. All are empty where the launch template names it.
type images struct {
	id     string   // ami-..., or resolve:ssm:PARAMETER
	name   string   // a pattern
	owners []string // of images found by name
}

// about is what texts of a definition may use of a run.
type about struct {
	Version string // v1.37.2
	Number  string // 1.37.2
	Minor   string // v1.37
	Cluster string
	Pool    string
}

func aboutRun(r upgrade.Replacement) about {
	return about{Version: r.Version.String(), Number: r.Version.Number(), Minor: r.Version.MinorString(), Cluster: r.Cluster, Pool: r.Pool}
}

// render fills in a short text of a definition. It holds no secret.
func render(field, text string, r upgrade.Replacement) (string, error) {
	t, err := template.New(field).Option("missingkey=error").Parse(text)
	if err == nil {
		var b strings.Builder
		if err = t.Execute(&b, aboutRun(r)); err == nil {
			return b.String(), nil
		}
	}
	return "", fault.Wrap(fault.InvalidInput, "fill in", field, err, "it may use {{.Version}}, {{.Number}}, {{.Minor}}, {{.Cluster}} and {{.Pool}}")
}

// resolveImage finds the image of new machines, or returns "" where none is named.
func (c *cloud) resolveImage(ctx context.Context, named images, r upgrade.Replacement) (string, error) {
	const op = "find the image"
	remedy := "build it, or name another in the pool's definition"
	in := &ec2.DescribeImagesInput{}
	target, err := render("image", named.id+named.name, r)
	switch {
	case err != nil:
		return "", err
	case target == "", named.name == "" && strings.HasPrefix(target, "resolve:"): // EC2 reads the parameter at launch
		return target, nil
	case named.name != "":
		owners := named.owners
		if len(owners) == 0 {
			owners = []string{"self"}
		}
		filter := "name"
		in.Owners, in.Filters = owners, []types.Filter{{Name: &filter, Values: []string{target}}}
	default:
		in.ImageIds = []string{target}
	}
	var found []types.Image
	for pages := ec2.NewDescribeImagesPaginator(c.ec2, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if code(err) == "InvalidAMIID.NotFound" {
			break
		}
		if err != nil {
			return "", looked(op, target, err)
		}
		found = append(found, page.Images...)
	}
	if len(found) == 0 {
		return "", fault.New(fault.PreflightFailed, op, target, "there is none that this account may use", remedy)
	}
	found = slices.DeleteFunc(found, func(i types.Image) bool { return i.State != types.ImageStateAvailable })
	if len(found) == 0 {
		return "", fault.New(fault.PreflightFailed, op, target, "it is not available (yet)", "wait until AWS says that it is available")
	}
	newest := slices.MaxFunc(found, func(a, b types.Image) int {
		return cmp.Or(cmp.Compare(str(a.CreationDate), str(b.CreationDate)), cmp.Compare(str(a.ImageId), str(b.ImageId)))
	})
	return str(newest.ImageId), nil
}
