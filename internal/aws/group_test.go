package aws

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/fake"
)

func TestAGroupIsReplacedWhole(t *testing.T) {
	for name, c := range map[string]struct {
		config GroupConfig
		world  func(*fake.AWS, *fake.Group)
		after  string // the version that the group has
		strays bool   // AWS chooses the zones
	}{
		"image":                      {config: GroupConfig{Image: "ami-new"}, after: "2"},
		"image by name":              {config: GroupConfig{ImageName: "kubernetes-{{.Version}}-*"}, after: "2"},
		"version":                    {config: GroupConfig{TemplateVersion: "$Latest"}, world: func(a *fake.AWS, _ *fake.Group) { version(a, "ami-new") }, after: "2"},
		"template is right already":  {world: func(a *fake.AWS, g *fake.Group) { version(a, "ami-new"); g.Version = "2" }, after: "2"},
		"follows the latest":         {config: GroupConfig{Image: "ami-new"}, world: func(_ *fake.AWS, g *fake.Group) { g.Version = "$Latest" }, after: "$Latest"},
		"follows the default":        {config: GroupConfig{Image: "ami-new"}, world: func(_ *fake.AWS, g *fake.Group) { g.Version = "$Default" }, after: "2"},
		"latest, nothing is named":   {world: func(a *fake.AWS, g *fake.Group) { version(a, "ami-new"); g.Version = "$Latest" }, after: "$Latest"},
		"desired capacity is kept":   {config: GroupConfig{Image: "ami-new"}, world: func(a *fake.AWS, _ *fake.Group) { a.KeepsDesired = true }, after: "2"},
		"without LaunchInstances":    {config: GroupConfig{Image: "ami-new"}, world: func(a *fake.AWS, g *fake.Group) { a.Without["LaunchInstances"] = true; uneven(g) }, after: "2", strays: true},
		"mixed instances policy":     {config: GroupConfig{Image: "ami-new"}, world: func(_ *fake.AWS, g *fake.Group) { g.Mixed = true; uneven(g) }, after: "2", strays: true},
		"target group of definition": {config: GroupConfig{Image: "ami-new", TargetGroups: []string{arn}}, after: "2"},
	} {
		for _, twice := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				a, g := startGroup(t, 3)
				if c.world != nil {
					c.world(a, g)
				}
				c.config.Name = "workers"
				p := groupAt(t, a.URL, c.config)
				old := nodes(a)
				for _, f := range p.Check(t.Context(), hop, old) {
					require.NotEqual(t, "error", string(f.Severity), f.String())
				}
				callerOf(t, p).replaceAll(hop, old, twice)
				if c.strays {
					require.True(t, g.Suspended["AZRebalance"], "who suspended it resumes it")
					delete(g.Suspended, "AZRebalance")
				}
				requireReplaced(t, a, g, 3, "ami-new")
				require.Equal(t, c.after, g.Version)
				if !c.strays {
					require.Equal(t, map[string]int{"z-a": 1, "z-b": 1, "z-c": 1}, spread(g))
				}
				for _, m := range g.Members {
					require.Equal(t, hopTag, m.Tags[tagRun])
					require.Equal(t, "x", m.Tags["team"])
				}
			})
		}
	}
}

// uneven: a person has seen to it that the zones need not be even.
func uneven(g *fake.Group) { g.Suspended["AZRebalance"] = true }

var hopTag = value(hop.Run)

// version adds one to the group's template.
func version(a *fake.AWS, image string) {
	t := a.Templates["workers"]
	t.Versions = append(t.Versions, &fake.Version{Number: 2, Image: image, Tags: map[string]string{"team": "x"}})
}
