package view

import "github.com/pawl-dev/pawl/internal/upgrade"

// Style says how to render.
type Style struct {
	Color bool
	// Height is how many lines fit; 0 is no limit.
	Height int
}

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s Style) bold(text string) string   { return s.paint("1", text) }
func (s Style) dim(text string) string    { return s.paint("2", text) }
func (s Style) red(text string) string    { return s.paint("31", text) }
func (s Style) green(text string) string  { return s.paint("32", text) }
func (s Style) yellow(text string) string { return s.paint("33", text) }
func (s Style) cyan(text string) string   { return s.paint("36", text) }

// state paints a text in the colour of a state.
func (s Style) state(state upgrade.State, text string) string {
	switch state {
	case upgrade.Running:
		return s.cyan(text)
	case upgrade.Held, upgrade.Paused, upgrade.Waiting:
		return s.yellow(text)
	case upgrade.Done:
		return s.green(text)
	case upgrade.Failed, upgrade.Aborted:
		return s.red(text)
	}
	return s.dim(text)
}

// mark is one character for a state.
func mark(state upgrade.State) string {
	switch state {
	case upgrade.Running:
		return "●"
	case upgrade.Held:
		return "!"
	case upgrade.Paused, upgrade.Waiting:
		return "…"
	case upgrade.Skipped:
		return "–"
	case upgrade.Done:
		return "✔"
	case upgrade.Failed, upgrade.Aborted:
		return "✘"
	}
	return "○"
}

func roleName(r upgrade.Role) string {
	switch {
	case r.IsControlPlane():
		return "control plane"
	case r == upgrade.ManagedPart, r == upgrade.ComponentPart:
		return string(r)
	}
	return "worker"
}
