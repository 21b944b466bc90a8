package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTaskQueues(t *testing.T) {
	for name, c := range map[string]struct {
		environment string
		args        []string
		want        []string
		says        string
	}{
		"by itself":     {want: []string{"pawl"}},
		"environment":   {environment: "pawl, site-b", want: []string{"pawl", "site-b"}},
		"flags":         {environment: "pawl", args: []string{"--task-queue", " site-b ", "--task-queue=site-c"}, want: []string{"site-b", "site-c"}},
		"empty":         {args: []string{"--task-queue", ""}, says: `--task-queue: is "", wanted the name of a task queue, or several like pawl,site-b`},
		"one of two":    {args: []string{"--task-queue", "pawl,"}, says: `--task-queue: is "pawl,", wanted`},
		"blank":         {args: []string{"--task-queue", " "}, says: `--task-queue: is " ", wanted`},
		"environment's": {environment: "pawl, ,site-b", says: "also of PAWL_TASK_QUEUE"},
		"only commas":   {environment: ",", says: `--task-queue: is ",", wanted`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PAWL_TASK_QUEUE", c.environment)
			cmd := command()
			require.NoError(t, cmd.ParseFlags(c.args))
			named, err := cmd.Flags().GetStringSlice("task-queue")
			require.NoError(t, err)
			queues, err := taskQueues(named)
			require.Equal(t, c.want, queues)
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
			}
		})
	}
}
