package aws

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/aws/fake"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// TestAReplacementThatIsGivenUp: the old machine was withdrawn, and a person stops the upgrade. It serves again, the new one is
// gone, and the group is as it was.
func TestAReplacementThatIsGivenUp(t *testing.T) {
	a, g := startGroup(t, 3)
	before := *g
	p := groupAt(t, a.URL, GroupConfig{Name: "workers", Image: "ami-new"})
	require.False(t, p.TakesJoin())
	old := nodes(a)
	giveUp(t, a, p, old)
	a.Do(func() {
		require.Len(t, a.Living(), 3)
		require.Equal(t, []any{before.Desired, before.Max, before.Version}, []any{g.Desired, g.Max, g.Version})
		require.Empty(t, g.Suspended)
	})
	require.Equal(t, old, nodes(a), "the same machines as before")
}

func TestAPlainInstanceThatStays(t *testing.T) {
	a := startInstances(t, 2)
	p, old := instancesAt(t, a.URL, plainConfig(t)), nodes(a)
	require.True(t, p.TakesJoin())
	giveUp(t, a, p, old)
	require.Equal(t, old, nodes(a))
}

// giveUp does half of a replacement and takes it back, each step twice.
func giveUp(t *testing.T, a *fake.AWS, p provider, old []upgrade.Machine) {
	t.Helper()
	c := callerOf(t, p)
	var kept json.RawMessage
	var made upgrade.Machine
	for _, step := range []struct {
		what string
		do   func(context.Context, provider) error
	}{
		{"begin", func(ctx context.Context, p provider) (err error) { kept, err = p.Begin(ctx, hop, old); return err }},
		{"add", func(ctx context.Context, p provider) (err error) {
			made, err = p.Add(ctx, hop, upgrade.Slot{Old: old[0]}, join)
			return err
		}},
		{"withdraw", func(ctx context.Context, p provider) error { return p.Withdraw(ctx, hop, old[0]) }},
		{"readmit", func(ctx context.Context, p provider) error { return p.Readmit(ctx, hop, old[0]) }},
		{"remove", func(ctx context.Context, p provider) error { return p.Remove(ctx, hop, made) }},
		{"end", func(ctx context.Context, p provider) error { return p.End(ctx, hop, kept) }},
	} {
		c.Until(step.what, step.do)
		c.Until(step.what, step.do)
		id := old[0].ID[strings.LastIndexByte(old[0].ID, '/')+1:]
		switch step.what {
		case "withdraw":
			a.Do(func() { require.NotContains(t, a.Targets[arn], id) })
		case "readmit":
			a.Do(func() { require.Contains(t, a.Targets[arn], id) })
		}
	}
}
