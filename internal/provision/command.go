package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// CommandConfig names the programs that get and remove machines, as argument vectors: no shell reads them. They run on
// pawl's worker. Where one is not named there is nothing to do.
type CommandConfig struct {
	Add      []string         `json:"add"`
	Remove   []string         `json:"remove"`
	Withdraw []string         `json:"withdraw"`
	Readmit  []string         `json:"readmit"`
	Check    []string         `json:"check"`
	Begin    []string         `json:"begin"`
	End      []string         `json:"end"`
	Timeout  upgrade.Duration `json:"timeout"` // of one call; 15m if not given
}

// Validate says what is wrong, as what follows the place of the settings in a definition.
func (c CommandConfig) Validate() error {
	commands := c.commands()
	for _, a := range []action{actionAdd, actionRemove} {
		if len(commands[a]) == 0 {
			return fmt.Errorf(".%s: missing, wanted a program and its arguments, as a list", a)
		}
	}
	for _, a := range actions {
		argv := commands[a]
		if len(argv) > 0 && argv[0] == "" || slices.ContainsFunc(argv, func(s string) bool { return strings.Contains(s, "\x00") }) {
			return fmt.Errorf(".%s: wanted a program and its arguments", a)
		}
	}
	if c.Timeout < 0 {
		return fmt.Errorf(".timeout: %s, wanted more than none", c.Timeout)
	}
	return nil
}

// actions in the order of a replacement.
var actions = []action{actionCheck, actionBegin, actionAdd, actionWithdraw, actionReadmit, actionRemove, actionEnd}

func (c CommandConfig) commands() map[action][]string {
	return map[action][]string{
		actionCheck: c.Check, actionBegin: c.Begin, actionAdd: c.Add, actionWithdraw: c.Withdraw, actionReadmit: c.Readmit, actionRemove: c.Remove, actionEnd: c.End,
	}
}

// NewCommand makes a provider of programs. They run in folder, against which their own path is read if it is relative and
// has a slash.
func NewCommand(c CommandConfig, folder string) *Provider {
	return &Provider{asker: commands{argv: c.commands(), folder: folder}, timeout: c.Timeout.Or(defaultTimeout)}
}

// commands asks programs.
type commands struct {
	argv   map[action][]string
	folder string
}

func (c commands) does(a action) bool { return len(c.argv[a]) > 0 }

func (c commands) lacks() []error {
	var lack []error
	for _, a := range actions {
		if !c.does(a) {
			continue
		}
		path := c.argv[a][0]
		if strings.Contains(path, "/") && !filepath.IsAbs(path) {
			path = filepath.Join(c.folder, path)
		}
		if _, err := exec.LookPath(path); err != nil {
			lack = append(lack, fmt.Errorf("the program to %s cannot be run: %w", a, err))
		}
	}
	return lack
}

// What a program says by how it ends, besides 0. The numbers are those of sysexits.h.
const (
	exitGone    = 69 // EX_UNAVAILABLE: the machine of this key is lost; another is wanted
	exitNotNow  = 75 // EX_TEMPFAIL: ask again
	exitRefused = 78 // EX_CONFIG: a person has to put something right
)

// answers are the actions whose output is read.
var answers = []action{actionAdd, actionBegin}

// kept is how much of the end of a program's output is read.
const kept = 64 << 10

// ask runs the program of the action.
func (c commands) ask(ctx context.Context, q request) (json.RawMessage, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return nil, fault.Wrap(fault.Unexpected, "write", "the question", err, "")
	}
	argv := c.argv[q.Action]
	out, errs := &tail{most: kept}, &tail{most: kept}
	err = run(ctx, process{argv: argv, folder: c.folder, in: append(text, '\n'), out: out, errs: errs})
	said := short(scrub(string(errs.kept), secrets(q)))
	var exit *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, failed(fault.OutcomeUnknown, argv, "it was ended: "+ctx.Err().Error(), said)
	case errors.As(err, &exit):
		return nil, failed(kindOfExit(exit.ExitCode()), argv, exit.String(), said)
	default:
		return nil, failed(fault.PreflightFailed, argv, "it does not start: "+err.Error(), said)
	}
	if !slices.Contains(answers, q.Action) {
		return nil, nil
	}
	answer := lastLine(out.kept)
	switch visible := scrub(string(answer), secrets(q)); {
	case len(answer) == 0:
		return nil, nil
	case !json.Valid(answer):
		return nil, failed(fault.PreflightFailed, argv, "the last line of its output is no JSON: "+short(visible), said)
	}
	return answer, nil
}

func kindOfExit(code int) fault.Kind {
	switch code {
	case exitGone:
		return fault.VerificationFailed
	case exitNotNow:
		return fault.Conflict
	case exitRefused:
		return fault.PreflightFailed
	}
	return fault.CommandFailed
}

// failed is the fault of a program, with the end of what it wrote.
func failed(kind fault.Kind, argv []string, fact, said string) error {
	if said != "" {
		fact += ": " + said
	}
	return fault.New(kind, "run", filepath.Base(argv[0]), fact, "")
}

// lastLine is the last one that is not empty.
func lastLine(text []byte) json.RawMessage {
	text = bytes.TrimSpace(text)
	return bytes.TrimSpace(text[bytes.LastIndexByte(text, '\n')+1:])
}
