package binaries

import (
	"context"
	"time"
)

// SetPatience makes a component that does not pass its gate fail sooner.
func SetPatience(h *Host, d time.Duration) { h.patience = d }

// UnitCase is a unit, and what systemd starts for it.
type UnitCase struct {
	Unit    string // of [Service]
	Drop    string // of a drop-in
	EnvFile string
	Want    []string
}

// EnvFileMark stands in a case for the path of its environment file, FolderMark for that of its folder.
const EnvFileMark, FolderMark = "@ENVFILE@", "@FOLDER@"

// UnitCases are tried here, and on a real systemd in the lab.
var UnitCases = unitCases

// UnitCommand is what the host's unit starts, as this package reads it.
func UnitCommand(ctx context.Context, h *Host, unit string) ([]string, error) {
	state, err := h.unitState(ctx, unit)
	if err != nil {
		return nil, err
	}
	c := component{state: state}
	err = h.readUnit(ctx, &c)
	return append([]string{c.Path}, c.argv...), err
}
