package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/page"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

func reportCommand() *cobra.Command {
	var format, file string
	c := &cobra.Command{
		Use:   "report CLUSTER",
		Short: "Tell what an upgrade did and where its time went",
		Long: `Tell what the newest upgrade did: versions, time per stage, node and step, what drains waited for, how long
API servers were away, what was held and tried again, who did what, and how much time pawl itself added.
It can be asked for while the upgrade runs, too.

With -o html it is one page with a timeline that needs nothing else: for a ticket, for the archive, for
print. On a terminal the page is written to report-CLUSTER.html in the current folder.`,
		Example: `  pawl report lab
  pawl report lab -o html                      # writes report-lab.html
  pawl report lab -o html --out CHG-4711.html
  pawl report lab -o json | jq -r .time.overhead`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, err := reportWriter(format)
			if err != nil {
				return err
			}
			r, err := newestReport(cmd, args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if format == "html" && file == "" && terminal(out) {
				file = "report-" + args[0] + ".html"
			}
			if file == "" {
				return write(out, r)
			}
			var text bytes.Buffer
			if err := write(&text, r); err != nil {
				return err
			}
			if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
				return exit.Errorf(exit.BadInput, "report %s: %v", args[0], err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "pawl: wrote", file)
			return nil
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", "text, json or html")
	c.Flags().StringVar(&file, "out", "", "write to this file instead of to standard output")
	return c
}

// reportWriter reads -o.
func reportWriter(format string) (func(io.Writer, report.Report) error, error) {
	switch format {
	case "text", "":
		return func(w io.Writer, r report.Report) error {
			_, err := fmt.Fprint(w, view.Report(r, style(w)))
			return err
		}, nil
	case "json":
		return func(w io.Writer, r report.Report) error { return printJSON(w, r) }, nil
	case "html":
		return page.Write, nil
	}
	return nil, exit.Errorf(exit.BadInput, "--output %q, wanted text, json or html", format)
}

// newestReport is the report of the newest upgrade of a cluster.
func newestReport(cmd *cobra.Command, cluster string) (report.Report, error) {
	client, s, err := newest(cmd, cluster)
	if err != nil {
		return report.Report{}, err
	}
	defer client.Close()
	return report.Of(s, client.Failures(cmd.Context(), s), time.Now(), buildVersion()), nil
}
