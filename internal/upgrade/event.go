package upgrade

import (
	"slices"
	"strings"
	"time"
)

// Event is what a notification tells of.
type Event string

// The events.
const (
	EventStart        Event = "start"        // the plan is made and will be done
	EventHold         Event = "hold"         // something failed, and a person has to choose
	EventApproval     Event = "approval"     // a person has to approve what comes next
	EventWindowClosed Event = "windowClosed" // it waits for the next maintenance window
	EventWindowOpened Event = "windowOpened" // it goes on
	EventPaused       Event = "paused"       // by a person
	EventDone         Event = "done"
	EventAborted      Event = "aborted" // by a person
	EventFailed       Event = "failed"  // refused, or cancelled
)

// Events are all there are.
var Events = []Event{EventStart, EventHold, EventApproval, EventWindowClosed, EventWindowOpened, EventPaused, EventDone, EventAborted, EventFailed}

// Notification is a place that is told of events. Where it is and what opens it stays in the cluster's definition.
type Notification struct {
	Name   string  `json:"name"`
	Events []Event `json:"events,omitempty"` // none: all of them
}

// Wants reports whether the place is told of such events.
func (n Notification) Wants(e Event) bool { return len(n.Events) == 0 || slices.Contains(n.Events, e) }

// Message is what a notification says: the body that is sent, as JSON.
type Message struct {
	// Text is all of it on a line or two for people, as chat programs show it.
	Text    string    `json:"text"`
	Event   Event     `json:"event"`
	Cluster string    `json:"cluster"`
	From    Version   `json:"from"`
	Target  Version   `json:"target"`
	Node    string    `json:"node,omitempty"`   // "" is the upgrade as a whole
	Reason  string    `json:"reason,omitempty"` // one line
	Choices []Choice  `json:"choices,omitempty"`
	Link    string    `json:"link,omitempty"` // to Temporal's UI, where that is known
	Time    time.Time `json:"time"`
}

// Event is what the beginning of a wait is to those who are notified; "" where they are not.
func (w WaitFor) Event() Event {
	switch w {
	case ForDecision:
		return EventHold
	case ForApproval:
		return EventApproval
	case ForResume:
		return EventPaused
	case ForWindow:
		return EventWindowClosed
	}
	return ""
}

// headlines say what an event is.
var headlines = map[Event]string{
	EventStart: "upgrade started", EventHold: "held, waits for a person", EventApproval: "waits for an approval",
	EventWindowClosed: "waits for the next maintenance window", EventWindowOpened: "the maintenance window is open, going on",
	EventPaused: "paused", EventDone: "upgrade done", EventAborted: "upgrade aborted", EventFailed: "upgrade failed",
}

// escapeSlack escapes what Slack takes for markup. Source: https://docs.slack.dev/messaging/formatting-message-text
var escapeSlack = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// WithText fills in the text.
func (m Message) WithText() Message {
	line := m.Cluster + " " + m.From.String() + " → " + m.Target.String() + ": " + headlines[m.Event]
	if m.From.IsZero() {
		line = m.Cluster + " → " + m.Target.String() + ": " + headlines[m.Event]
	}
	if m.Node != "" && !strings.HasPrefix(m.Reason, m.Node+":") {
		line += " at " + m.Node
	}
	if m.Reason != "" {
		line += ": " + m.Reason
	}
	var updates []string
	for _, c := range m.Choices {
		updates = append(updates, c.Update)
	}
	if len(updates) > 0 {
		line += " (choices: " + strings.Join(updates, ", ") + ")"
	}
	m.Text = escapeSlack.Replace(line)
	if m.Link != "" {
		m.Text += "\n<" + m.Link + ">"
	}
	return m
}

// Notice is something that went wrong without stopping the upgrade: a notification that could not be delivered, a hook
// that may fail.
type Notice struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"` // one line
}

// maxNotices is how many are kept: the latest.
const maxNotices = 20

// Note keeps a notice.
func (s *Status) Note(at time.Time, text string) {
	s.Notices = append(slices.Clone(s.Notices[max(0, len(s.Notices)-maxNotices+1):]), Notice{At: at, Text: text})
}
