package upgrade

import "time"

// Wait is one thing that an upgrade waits for.
type Wait struct {
	For    WaitFor   `json:"for"`
	Node   string    `json:"node,omitempty"` // "" is the upgrade as a whole
	At     string    `json:"at"`             // the step, the stage or the point: "Drain"
	Reason string    `json:"reason"`         // one line
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // when it ends by itself
	// Details are lines worth reading before deciding: what an approval would let happen.
	Details []string `json:"details,omitempty"`
	// Choices are what a person can do.
	Choices []Choice `json:"choices,omitempty"`
}

// ForPerson reports whether nothing goes on there until a person says so.
func (w Wait) ForPerson() bool { return w.For == ForDecision || w.For == ForApproval }

// WaitFor is what ends a wait.
type WaitFor string

// What ends waits.
const (
	ForDecision WaitFor = "decision" // something failed, and a person has to choose
	ForApproval WaitFor = "approval"
	ForResume   WaitFor = "resume" // somebody paused it
	ForWindow   WaitFor = "window" // a maintenance window
	ForHealth   WaitFor = "health" // a health gate
)

// Choice is something that a person can do: an update by its name, and what to send with it.
type Choice struct {
	Update  string `json:"update"`            // "retry"
	Does    string `json:"does"`              // one line
	Example string `json:"example,omitempty"` // JSON
}

// String is where it waits and why, on one line.
func (w Wait) String() string {
	s := w.At + ": " + w.Reason
	if w.Node != "" {
		s = w.Node + ": " + s
	}
	return s
}

// Same reports whether it is the same wait, perhaps seen at another time.
func (w Wait) Same(o Wait) bool {
	return w.For == o.For && w.Node == o.Node && w.At == o.At && w.Since.Equal(o.Since)
}
