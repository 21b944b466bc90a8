package aws

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// InstancesConfig says what a pool's new machines are where no Auto Scaling group makes them: plain EC2 instances from a launch
// template. Image, ImageName and UserDataFile take the place of what the template says.
type InstancesConfig struct {
	// Region is that of the instances. Empty: as the worker's environment or profile says.
	Region string `json:"region,omitempty"`
	// Profile is one of the worker's shared AWS configuration.
	Profile string `json:"profile,omitempty"`
	// Endpoint takes the place of all of AWS's, for tests.
	Endpoint string `json:"endpoint,omitempty"`
	// LaunchTemplate is the name or the id (lt-...) of the template.
	LaunchTemplate string `json:"launchTemplate"`
	// TemplateVersion is a number, $Latest or $Default. Empty: $Default. Its number is looked up once for each run.
	TemplateVersion string `json:"templateVersion,omitempty"`
	// Image of new machines: ami-..., or resolve:ssm:PARAMETER. It may use {{.Version}} (v1.37.2), {{.Number}} (1.37.2),
	// {{.Minor}} (v1.37), {{.Cluster}} and {{.Pool}}. Empty: the template's.
	Image string `json:"image,omitempty"`
	// ImageName is the name of the image instead, with * for anything; the newest is taken. It may use the same.
	ImageName string `json:"imageName,omitempty"`
	// ImageOwners are the accounts whose images may be found by name. Empty: self.
	ImageOwners []string `json:"imageOwners,omitempty"`
	// UserDataFile is a file of the worker's machine: the user data of new machines, a Go template. Beside what Image may use,
	// it has {{.Endpoint}}, {{.Token}}, {{.CACertHash}} (for kubeadm join), {{.Zone}} and {{quote TEXT}}, a shell word. Empty: the
	// template's user data, by which machines join by themselves.
	UserDataFile string `json:"userDataFile,omitempty"`
	// Subnets of new machines: each is made in the one of the old machine's zone. Empty: in the old machine's own.
	Subnets []string `json:"subnets,omitempty"`
	// TargetGroups are the ARNs of target groups that hold the pool's machines: new ones are registered, old ones taken out.
	TargetGroups []string `json:"targetGroups,omitempty"`
	// Tags of new machines, beside those of the template.
	Tags map[string]string `json:"tags,omitempty"`
}

// Validate says what is wrong in the definition, or returns nil.
func (c InstancesConfig) Validate() error {
	bad := func(field, fact, remedy string) error {
		return fault.New(fault.InvalidInput, "read the pool's", field, fact, remedy)
	}
	if c.LaunchTemplate == "" {
		return bad("launchTemplate", "none is named", "set the name or the id of one")
	}
	for _, s := range c.Subnets {
		if !strings.HasPrefix(s, "subnet-") {
			return bad("subnets", s+" is no subnet", "wanted subnet-...")
		}
	}
	for _, key := range sorted(c.Tags) {
		if strings.HasPrefix(key, "aws:") || strings.HasPrefix(key, tagPrefix) {
			return bad("tags", key+" is AWS's or pawl's own", "leave it out")
		}
	}
	return validate(c.Image, c.ImageName, c.ImageOwners, c.TemplateVersion, false, c.TargetGroups)
}

// Instances makes and removes plain EC2 instances.
type Instances struct {
	*cloud
	config InstancesConfig
}

// NewInstances reads credentials where the AWS command line does. Nothing is sent.
func NewInstances(ctx context.Context, c InstancesConfig) (*Instances, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	_, shared, err := connect(ctx, "open EC2", c.Region, c.Profile, c.Endpoint)
	if err != nil {
		return nil, err
	}
	return &Instances{cloud: shared, config: c}, nil
}

func (p *Instances) images() images {
	return images{id: p.config.Image, name: p.config.ImageName, owners: p.config.ImageOwners}
}

func (p *Instances) template() launchTemplate { return templateNamed(p.config.LaunchTemplate) }

// pinned is what all machines of a run are made from.
type pinned struct {
	Version string `json:"version"`         // of the launch template, a number
	Image   string `json:"image,omitempty"` // "" for the template's
}

func (p pinned) encode() string { return strings.TrimSpace(p.Version + " " + p.Image) }

func decodePinned(text string) pinned {
	version, image, _ := strings.Cut(text, " ")
	return pinned{Version: version, Image: image}
}

// resolvePinned looks up what the definition leads to now.
func (p *Instances) resolvePinned(ctx context.Context, r upgrade.Replacement) (pinned, error) {
	version := p.config.TemplateVersion
	if version == "" {
		version = preset
	}
	v, err := p.version(ctx, p.template(), version)
	if err != nil {
		return pinned{}, err
	}
	image, err := p.resolveImage(ctx, p.images(), r)
	return pinned{Version: numbered(v), Image: image}, err
}

// anyone: before a run begins, an address is enough to find a machine by.
func anyone(types.Instance) bool { return true }

// Check says what stands in the way of replacing these instances. Nothing is changed.
func (p *Instances) Check(ctx context.Context, r upgrade.Replacement, old []upgrade.Machine) []upgrade.Finding {
	f := &findings{target: "launch template " + p.config.LaunchTemplate}
	if pin, err := p.resolvePinned(ctx, r); err != nil {
		f.failed(err)
	} else if v, err := p.version(ctx, p.template(), pin.Version); err != nil {
		f.failed(err)
	} else {
		p.checkTemplate(f, v, pin)
	}
	if _, err := p.userData(r, upgrade.Slot{}, upgrade.Join{Endpoint: "192.0.2.1:6443", Token: "abcdef.0123456789abcdef", CACertHash: "sha256:" + strings.Repeat("0", 64)}); err != nil {
		f.failed(err)
	}
	for _, m := range old {
		f.target = "node " + called(m)
		p.checkOld(ctx, f, m)
	}
	return f.all
}

// checkTemplate looks at the version that new machines are made from.
func (p *Instances) checkTemplate(f *findings, v types.LaunchTemplateVersion, pin pinned) {
	data := v.LaunchTemplateData
	if data == nil {
		return
	}
	if pin.Image == "" && str(data.ImageId) == "" {
		f.stop("version "+pin.Version+" names no image", "set image or imageName")
	}
	if p.config.UserDataFile == "" {
		return
	}
	if o := data.MetadataOptions; o == nil || o.HttpTokens != types.LaunchTemplateHttpTokensStateRequired || o.HttpPutResponseHopLimit == nil || *o.HttpPutResponseHopLimit > 1 {
		f.warn("its metadata options let pods read the user data, which holds the join token until it is used",
			"set HttpTokens to required and HttpPutResponseHopLimit to 1 in the template")
	}
}

// checkOld looks at a machine that is to be ended.
func (p *Instances) checkOld(ctx context.Context, f *findings, m upgrade.Machine) {
	i, err := p.resolve(ctx, m, anyone)
	switch {
	case err != nil:
		f.failed(err)
	case i == nil || ended(*i):
		f.stop("no instance has its provider ID or its address ("+m.ID+" "+m.Address+")", "leave the node out of the pool, or put region or profile right")
	case tag(*i, tagAWSGroup) != "":
		f.stop(str(i.InstanceId)+" is of Auto Scaling group "+tag(*i, tagAWSGroup)+", which would replace it by itself", "name the group in the pool's definition")
	default:
		attribute, err := p.ec2.DescribeInstanceAttribute(ctx, disableAPITermination(str(i.InstanceId)))
		switch {
		case err != nil:
			f.failed(looked("look at the protection of", str(i.InstanceId), err))
		case attribute.DisableApiTermination != nil && attribute.DisableApiTermination.Value != nil && *attribute.DisableApiTermination.Value:
			f.stop(str(i.InstanceId)+" is protected from termination", "turn that off, or leave the node out of the pool")
		}
		if _, err := p.subnet(ctx, *i); err != nil {
			f.failed(err)
		}
	}
}

// Begin marks the old machines, and records in their tags what all new ones are made from.
func (p *Instances) Begin(ctx context.Context, r upgrade.Replacement, old []upgrade.Machine) (json.RawMessage, error) {
	pin, ids := pinned{}, []string{}
	for _, m := range old {
		i, err := p.resolve(ctx, m, anyone)
		if err != nil {
			return nil, err
		}
		if i == nil || ended(*i) {
			return nil, fault.New(fault.PreflightFailed, opBegin, "node "+called(m), "no instance has its provider ID or its address", "leave the node out of the pool")
		}
		if group := tag(*i, tagAWSGroup); group != "" {
			return nil, fault.New(fault.PreflightFailed, opBegin, "node "+called(m), "its instance is of Auto Scaling group "+group, "name the group in the pool's definition")
		}
		ids = append(ids, str(i.InstanceId))
		if tag(*i, tagOld) == value(r.Run) && tag(*i, tagPinned) != "" {
			pin = decodePinned(tag(*i, tagPinned))
		}
	}
	if pin.Version == "" {
		var err error
		if pin, err = p.resolvePinned(ctx, r); err != nil {
			return nil, err
		}
	}
	if err := p.label(ctx, map[string]string{tagOld: value(r.Run), tagPinned: pin.encode()}, ids...); err != nil {
		return nil, err
	}
	return json.Marshal(pin)
}

// End removes the marks of the old machines that are still there.
func (p *Instances) End(ctx context.Context, r upgrade.Replacement, _ json.RawMessage) error {
	left, err := p.instances(ctx, "tag:"+tagOld, value(r.Run))
	if err != nil {
		return err
	}
	var ids []string
	for _, i := range left {
		if !ended(i) {
			ids = append(ids, str(i.InstanceId))
		}
	}
	return p.unlabel(ctx, []string{tagOld, tagPinned}, ids...)
}
