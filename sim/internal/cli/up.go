package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/sim/scenario"
	"github.com/pawl-dev/pawl/sim/internal/remote"
)

func upCommand() *cobra.Command {
	var s shape
	c := &cobra.Command{
		Use:   "up",
		Short: "Make a cluster, and keep it until Ctrl-C",
		Long: `Make a simulated cluster and keep it until Ctrl-C; then nothing of it is left. It says where its definition for
pawl is, for "pawl dev --clusters FOLDER".`,
		Example: "  pawl-sim up\n  pawl-sim up --control-planes 1 --workers 100 --pace 0.01\n  pawl-sim up --scenario bad-day.txt",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, faults, err := s.options()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			o.Say = func(line string) { fmt.Fprintln(out, line) }
			b, done, err := bring(cmd.Context(), o, faults)
			if err != nil {
				return err
			}
			defer done()
			fmt.Fprintf(out, "\nThe cluster %s is up. In other terminals:\n  pawl dev --clusters %s\n  pawl plan %s --to %s --waive etcd-version\nCtrl-C ends it.\n",
				o.Name, b.Clusters(), o.Name, newest(o))
			return hold(cmd.Context(), b)
		},
	}
	s.flags(c)
	return c
}

func newest(o bed.Options) string {
	v := o.Version
	for _, w := range o.Offered {
		if v.Less(w) {
			v = w
		}
	}
	return v.String()
}

// bring makes a cluster in a folder of its own, which done removes with it.
func bring(ctx context.Context, o bed.Options, faults []scenario.Fault) (b *bed.Bed, done func(), err error) {
	if remote.Answers(o.Dir) {
		return nil, nil, fmt.Errorf("a simulated cluster runs in %s already; end it, or choose another folder with --dir", o.Dir)
	}
	if err := takeOver(o.Dir); err != nil {
		return nil, nil, err
	}
	if b, err = bed.Start(ctx, o); err != nil {
		return nil, nil, err // the logs in the folder say why
	}
	stop, err := remote.Serve(o.Dir, b)
	if err == nil {
		err = b.Fault(ctx, faults...)
	}
	done = func() {
		if stop != nil {
			stop()
		}
		b.Stop()
		_ = os.RemoveAll(o.Dir)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return b, done, nil
}

// mark is the file by which a folder is known to be a simulated cluster's, and so may be removed.
const mark = ".pawl-sim"

// takeOver makes the folder empty: what a cluster that was killed has left goes, what is somebody else's stays.
func takeOver(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, mark)); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty, and what is in it is not a simulated cluster's; name another folder with --dir", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, mark), nil, 0o600)
}

// hold waits for Ctrl-C, or for a part of the cluster to die.
func hold(ctx context.Context, b *bed.Bed) error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if err := b.Died(); err != nil {
				return err
			}
		}
	}
}
