package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/probe"
)

func (a *app) probeCommand() *cobra.Command {
	var (
		out      string
		interval = 200 * time.Millisecond
	)
	cmd := &cobra.Command{
		Use:   "probe --out FILE URL...",
		Short: "Probe URLs until interrupted, and sum up",
		Long: `Asks every URL at every interval, side by side, each time over a new connection,
without checking certificates and with one second for the answer. Every answer
becomes a line of JSON in the file; anything but a status of 2xx is a failure.
On SIGINT or SIGTERM it prints each URL's totals and ends.`,
		Example: `  pawl-lab exec pawl-lab probe --out probe.jsonl http://10.77.0.21:30080/ https://10.77.0.1:6443/readyz`,
		Args:    arguments(1, -1),
		RunE: func(cmd *cobra.Command, urls []string) error {
			if interval <= 0 {
				return fmt.Errorf("--interval %s: must be above zero", interval)
			}
			f, err := os.Create(out)
			if err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			defer f.Close()
			summaries, err := probe.Run(cmd.Context(), f, interval, urls)
			if err != nil {
				return err
			}
			if err := probe.Print(cmd.OutOrStdout(), summaries); err != nil {
				return err
			}
			return f.Close()
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file for the results, one line of JSON each")
	cmd.Flags().DurationVar(&interval, "interval", interval, "time between two probes of one URL")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}
