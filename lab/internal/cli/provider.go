package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/lab"
	"github.com/pawl-dev/pawl/lab/internal/versions"
)

// question is what pawl asks of a provider of machines; docs/providers.md.
type question struct {
	Action  string      `json:"action"`
	Key     string      `json:"key"`
	Version string      `json:"version"`
	Zone    string      `json:"zone"`
	Join    *lab.Join   `json:"join"`
	Machine lab.Machine `json:"machine"`
}

func (a *app) providerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "provider",
		Short: "Add and remove workers for pawl, as its definition's command",
		Long: `Answers the question on stdin: pawl's contract for a provider of machines that
is a command. "add" gives each key a worker with a name of its own, "remove"
removes one; everything else is nothing to be done.`,
		Example: `  command: {add: [pawl-lab, provider], remove: [pawl-lab, provider]}`,
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var q question
			if json.NewDecoder(cmd.InOrStdin()).Decode(&q) != nil {
				return lab.Refusal("question: not JSON") // without showing it: it may hold a token
			}
			return provided(a.provide(cmd, q))
		},
	}
}

func (a *app) provide(cmd *cobra.Command, q question) error {
	switch q.Action {
	case "add":
		v, err := versions.Parse(q.Version)
		if err != nil {
			return lab.Refusal(err.Error())
		}
		return a.add(cmd, lab.Addition{Key: q.Key, Version: v, Zone: q.Zone, Join: q.Join})
	case "remove":
		h, err := a.asRoot()
		if err != nil {
			return err
		}
		name := string(q.Machine.Node)
		if name == "" {
			name = q.Machine.ID
		}
		return lab.RemoveNode(cmd.Context(), h, name)
	case "check", "begin", "withdraw", "readmit", "end":
		return nil
	}
	return lab.Refusal(fmt.Sprintf("action %q: none of this provider's", q.Action))
}

// status is an error with an exit status of its own.
type status struct {
	error
	code int
}

func (s status) Unwrap() error { return s.error }

// provided gives an error the exit status by which pawl knows what to do.
func provided(err error) error {
	var refusal lab.Refusal
	switch {
	case err == nil:
		return nil
	case errors.Is(err, lab.ErrGone):
		return status{err, 69}
	case errors.Is(err, home.ErrLocked):
		return status{err, 75}
	case errors.Is(err, lab.ErrNoLab), errors.As(err, &refusal):
		return status{err, 78}
	}
	return err
}
