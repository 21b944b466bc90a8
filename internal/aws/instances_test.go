package aws

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/fake"
	"github.com/pawl-dev/pawl/internal/aws/fake/fate"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const userData = `#!/bin/sh
kubeadm join {{quote .Endpoint}} --token {{quote .Token}} --discovery-token-ca-cert-hash {{quote .CACertHash}} # {{.Number}} {{.Zone}} {{quote .Pool}}
`

func plainConfig(t *testing.T) InstancesConfig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "userdata.sh")
	require.NoError(t, os.WriteFile(file, []byte(userData), 0o600))
	return InstancesConfig{LaunchTemplate: "workers", Image: "ami-new", UserDataFile: file, TargetGroups: []string{arn}, Tags: map[string]string{"kubernetes.io/cluster/prod": "owned"}}
}

// addInstances makes plain instances at rest, each in a zone of its own, and a template for new ones.
func addInstances(a *fake.AWS, n int) {
	a.Templates["workers"] = &fake.Template{ID: "lt-0a", Name: "workers", Default: 1, Versions: []*fake.Version{{Number: 1, Image: "ami-old", Tags: map[string]string{"team": "x"}, Metadata: true}}}
	a.Targets[arn] = map[string]*fake.Target{}
	for k := range n {
		zone := "z-" + string(rune('a'+k))
		a.Subnets["subnet-"+zone] = zone
		i := a.Make(zone, true)
		a.Targets[arn][i.ID] = &fake.Target{State: "healthy"}
	}
}

func startInstances(t *testing.T, n int) *fake.AWS {
	t.Helper()
	a := start(t)
	addInstances(a, n)
	return a
}

func requireInstancesReplaced(t *testing.T, a *fake.AWS, n int) {
	t.Helper()
	a.Do(func() {
		require.Len(t, a.Living(), n)
		require.Len(t, a.Instances, 2*n, "each new machine was launched once")
		zones := map[string]bool{}
		for _, id := range a.Living() {
			i := a.Instances[id]
			zones[i.Zone] = true
			require.Equal(t, "running", i.State)
			require.Equal(t, "ami-new", i.Image)
			require.Equal(t, hopTag, i.Tags[tagRun])
			require.Equal(t, "x", i.Tags["team"])
			require.Contains(t, i.UserData, "kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef")
			require.Contains(t, i.UserData, "# 1.37.2 "+i.Zone+" workers")
			require.Equal(t, "initial", a.Targets[arn][id].State)
		}
		require.Len(t, zones, n)
		require.Len(t, a.Targets[arn], n)
	})
}

func TestInstancesAreReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*InstancesConfig)
		world  func(*fake.AWS)
	}{
		"in the old subnet": {},
		"in named subnets":  {config: func(c *InstancesConfig) { c.Subnets = []string{"subnet-z-c", "subnet-z-b", "subnet-z-a"} }},
		"network interface": {world: func(a *fake.AWS) { a.Templates["workers"].Versions[0].Interface = true }},
		"template by id":    {config: func(c *InstancesConfig) { c.LaunchTemplate, c.TemplateVersion = "lt-0a", "$Latest" }},
		"image of template": {config: func(c *InstancesConfig) { c.Image = "" }, world: func(a *fake.AWS) { a.Templates["workers"].Versions[0].Image = "ami-new" }},
	} {
		for _, twice := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				a := startInstances(t, 3)
				config := plainConfig(t)
				if c.config != nil {
					c.config(&config)
				}
				if c.world != nil {
					c.world(a)
				}
				p := instancesAt(t, a.URL, config)
				old := nodes(a)
				require.Empty(t, p.Check(t.Context(), hop, old))
				callerOf(t, p).replaceAll(hop, old, twice)
				requireInstancesReplaced(t, a, 3)
			})
		}
	}
}

func TestTheVersionOfARunStays(t *testing.T) {
	a := startInstances(t, 2)
	config := plainConfig(t)
	config.Image, config.TemplateVersion = "", "$Latest"
	p := instancesAt(t, a.URL, config)
	old := nodes(a)
	kept, err := p.Begin(t.Context(), hop, old)
	require.NoError(t, err)
	require.JSONEq(t, `{"version":"1"}`, string(kept))
	a.Do(func() {
		a.Templates["workers"].Versions = append(a.Templates["workers"].Versions, &fake.Version{Number: 2, Image: "ami-newer"})
	})
	again, err := p.Begin(t.Context(), hop, old)
	require.NoError(t, err)
	require.Equal(t, kept, again)
	made, err := p.Add(t.Context(), hop, upgrade.Slot{Old: old[0]}, join)
	require.NoError(t, err)
	require.Equal(t, "ami-old", a.Instances[made.ID].Image)
}

func TestAnotherTokenMakesNoOtherMachine(t *testing.T) {
	a := startInstances(t, 1)
	p := instancesAt(t, a.URL, plainConfig(t))
	old := nodes(a)
	_, err := p.Begin(t.Context(), hop, old)
	require.NoError(t, err)
	ctx, die := context.WithCancel(t.Context())
	a.After = func(_ int, action string) {
		if action == "RunInstances" {
			die()
		}
	}
	_, err = p.Add(ctx, hop, upgrade.Slot{Old: old[0]}, join)
	require.Equal(t, fault.OutcomeUnknown, fault.KindOf(err), "%v", err)
	a.After = nil
	other := join
	other.Token = "ffffff.0123456789abcdef"
	made, err := p.Add(t.Context(), hop, upgrade.Slot{Old: old[0]}, other)
	require.NoError(t, err)
	require.Len(t, a.Instances, 2)
	require.Contains(t, a.Instances[made.ID].UserData, join.Token)
}

func TestInstancesFail(t *testing.T) {
	for name, c := range map[string]struct {
		world func(*fake.AWS)
		do    func(context.Context, *Instances, []upgrade.Machine) error
		kind  fault.Kind
		says  string
	}{
		"no capacity": {world: func(a *fake.AWS) { a.Capacity["z-a"] = "InsufficientInstanceCapacity" }, do: addFirst, kind: fault.PreflightFailed, says: "AWS has no such capacity in this zone now"},
		"quota":       {world: func(a *fake.AWS) { a.Capacity["z-a"] = "VcpuLimitExceeded" }, do: addFirst, kind: fault.PreflightFailed, says: "have the account's quota raised"},
		"dies":        {world: func(a *fake.AWS) { a.Stillborn = 1 }, do: addFirst, kind: fault.VerificationFailed, says: "died before it was a node: Server.InternalError: it died"},
		"old is gone": {world: func(a *fake.AWS) { a.Kill(a.Living()[0]) }, do: addFirst, kind: fault.PreflightFailed, says: "its instance is gone"},
		"protected": {world: func(a *fake.AWS) { a.Instances[a.Living()[0]].Protected = true }, do: func(ctx context.Context, p *Instances, old []upgrade.Machine) error {
			return p.Remove(ctx, hop, old[0])
		},
			kind: fault.PreflightFailed, says: "is protected from termination; turn that off"},
		"a machine of nobody": {do: func(ctx context.Context, p *Instances, old []upgrade.Machine) error {
			other := hop
			other.Run = "another"
			return p.Remove(ctx, other, old[0])
		}, kind: fault.PreflightFailed, says: "bears none of the run's tags"},
		"not of AWS": {do: func(ctx context.Context, p *Instances, _ []upgrade.Machine) error {
			return p.Remove(ctx, hop, upgrade.Machine{ID: "gce://p/z/vm", Node: "w"})
		}, kind: fault.PreflightFailed, says: "names no EC2 instance, wanted aws:///ZONE/i-"},
		"throttling storm": {world: func(a *fake.AWS) { a.Decide = func(int, string) fate.Fate { return fate.Throttled } }, do: addFirst, kind: fault.Conflict, says: "RequestLimitExceeded"},
		"nothing answers":  {world: func(a *fake.AWS) { a.Decide = func(int, string) fate.Fate { return fate.CutOff } }, do: addFirst, kind: fault.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			a := startInstances(t, 1)
			p := instancesAt(t, a.URL, plainConfig(t))
			old := nodes(a)
			_, err := p.Begin(t.Context(), hop, old)
			require.NoError(t, err)
			if c.world != nil {
				a.Do(func() { c.world(a) })
			}
			for range 2 { // it is said again
				err = c.do(t.Context(), p, old)
				require.Equal(t, c.kind, fault.KindOf(err), "%v", err)
				require.ErrorContains(t, err, c.says)
				require.NotContains(t, err.Error(), join.Token)
			}
			require.LessOrEqual(t, len(a.Instances), 2)
		})
	}
}

func addFirst(ctx context.Context, p *Instances, old []upgrade.Machine) error {
	_, err := p.Add(ctx, hop, upgrade.Slot{Old: old[0]}, join)
	return err
}

func TestAnAddressIsTheOldMachinesOnlyWhileItBearsTheRunsTag(t *testing.T) {
	a := startInstances(t, 1)
	p := instancesAt(t, a.URL, plainConfig(t))
	old := nodes(a)
	old[0].ID = ""
	_, err := p.Begin(t.Context(), hop, old)
	require.NoError(t, err)
	require.NoError(t, p.Remove(t.Context(), hop, old[0]))
	var other *fake.Instance
	a.Do(func() { other = a.Make("z-a", true); other.IP = old[0].Address })
	require.NoError(t, p.Remove(t.Context(), hop, old[0]), "gone already")
	require.NoError(t, p.Withdraw(t.Context(), hop, old[0]))
	require.Equal(t, "running", other.State)
}

func TestInstancesCheck(t *testing.T) {
	a := startInstances(t, 2)
	old := nodes(a)
	a.Instances[a.Living()[0]].Tags[tagAWSGroup] = "elsewhere"
	a.Instances[a.Living()[1]].Protected = true
	a.Templates["workers"].Versions[0].Metadata = false
	config := plainConfig(t)
	config.Image = "ami-missing"
	said := ""
	for _, f := range instancesAt(t, a.URL, config).Check(t.Context(), hop, append(old, upgrade.Machine{Node: "w9", Address: "10.9.9.9"})) {
		said += f.String() + "\n"
	}
	require.Contains(t, said, "is of Auto Scaling group elsewhere")
	require.Contains(t, said, "is protected from termination")
	require.Contains(t, said, "ami-missing: there is none that this account may use")
	require.Contains(t, said, "no instance has its provider ID or its address ( 10.9.9.9)")
	config.Image = "ami-new"
	require.Contains(t, fmt.Sprint(instancesAt(t, a.URL, config).Check(t.Context(), hop, nil)), "let pods read the user data")
	require.NotContains(t, strings.Join(a.Done, " "), "RunInstances")
}

func TestUserDataIsRefusedWithoutItsContent(t *testing.T) {
	a := startInstances(t, 1)
	for name, c := range map[string]struct{ text, says string }{
		"unknown":  {"{{.Tokken}}", "can't evaluate field Tokken"},
		"unclosed": {"{{.Token", "unclosed action"},
		"long":     {strings.Repeat("x", 20_000), "longer than the 16 KiB"},
		"index":    {`{{index .Token 99}}`, "index out of range"},
		"called":   {`{{call .Token}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := plainConfig(t)
			require.NoError(t, os.WriteFile(config.UserDataFile, []byte(c.text), 0o600))
			p := instancesAt(t, a.URL, config)
			_, err := p.userData(hop, upgrade.Slot{}, join)
			require.Equal(t, fault.InvalidInput, fault.KindOf(err))
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), join.Token)
		})
	}
}

func TestAWaitThatIsOverSaysWhatWasLacking(t *testing.T) {
	a, g := startGroup(t, 1)
	g.LaunchHook = true
	p := groupAt(t, a.URL, GroupConfig{Name: "workers"})
	old := nodes(a)
	_, err := p.Begin(t.Context(), hop, old)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
	defer cancel()
	_, err = p.Add(ctx, hop, upgrade.Slot{Old: old[0]}, join)
	require.Equal(t, fault.OutcomeUnknown, fault.KindOf(err))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
