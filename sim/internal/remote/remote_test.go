package remote

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/scenario"
)

// cluster has one node, w1.
type cluster struct {
	faults  []string
	refuses error
}

func (c *cluster) Fault(ctx context.Context, faults ...scenario.Fault) error {
	for _, f := range faults {
		c.faults = append(c.faults, f.Line)
	}
	return errors.Join(c.refuses, ctx.Err())
}

func (c *cluster) Commands(node string) ([]string, error) {
	if node != "w1" {
		return nil, errors.New("no such node")
	}
	return []string{"kubeadm version -o short", "test -e /x"}, nil
}

func TestRemote(t *testing.T) {
	dir, err := os.MkdirTemp("", "sim") // a socket's path must be short
	require.NoError(t, err)
	defer func() { _ = os.RemoveAll(dir) }()
	nobody := "no simulated cluster runs in " + dir + `; start one with "pawl-sim up", or name its folder with --dir`
	require.False(t, Answers(dir))
	require.EqualError(t, Fault(t.Context(), dir, "w1 start cut"), nobody)

	var c cluster
	stop, err := Serve(dir, &c)
	require.NoError(t, err)
	require.True(t, Answers(dir))
	require.NoError(t, Fault(t.Context(), dir, "w1 start cut\n"))
	require.NoError(t, Fault(t.Context(), dir, `* before "apt-get install" hang for 2s`))
	require.Equal(t, []string{"w1 start cut", `* before "apt-get install" hang for 2s`}, c.faults)

	require.EqualError(t, Fault(t.Context(), dir, "w1 start hang"), `"w1 start hang": hang wants a time, such as: for 20s`)
	require.Len(t, c.faults, 2, "what is refused does not happen")
	c.refuses = errors.New("no such budget")
	require.EqualError(t, Fault(t.Context(), dir, "* start block-budget a/b"), "no such budget")

	lines, err := Commands(t.Context(), dir, "w1")
	require.NoError(t, err)
	require.Equal(t, "kubeadm version -o short\ntest -e /x\n", lines)
	_, err = Commands(t.Context(), dir, "w9")
	require.EqualError(t, err, "no such node")

	stop()
	require.False(t, Answers(dir))
	require.EqualError(t, Fault(t.Context(), dir, "w1 start cut"), nobody)
}
