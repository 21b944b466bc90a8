package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/starter/internal/view"
)

// terminal reports whether w is a terminal.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}

// style has colours on a terminal, unless NO_COLOR says otherwise (https://no-color.org).
func style(w io.Writer) view.Style {
	return view.Style{Color: terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// teller tells on stderr what is the matter while something takes long.
func teller(cmd *cobra.Command) func(string) {
	return func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "pawl:", text) }
}

func printYAML(w io.Writer, v any) error {
	text, err := yaml.Marshal(v)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
