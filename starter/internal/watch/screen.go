package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

// Person is who sits before the screen, and what that person may do.
type Person struct {
	By string // recorded with each decision
	// Decide sends an update, to the workflow of a node or to the cluster's when node is "", and returns what was answered.
	// An error is one line that says why it was not accepted. nil lets nobody decide.
	Decide func(ctx context.Context, node, update string, payload any) (answer string, err error)
	// Anytime are updates that make sense whenever an upgrade is under way, beside those that its waits offer.
	Anytime []upgrade.Choice
}

// Screen shows a live picture on a terminal, in which a person selects nodes and answers what the upgrade waits for. It
// stays while the upgrade is held, and leaves the last picture standing.
func Screen(ctx context.Context, source Source, person Person, in io.Reader, out io.Writer, color bool) (snapshot.Snapshot, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := newScreen(person, view.Style{Color: color}, time.Now)
	first.ctx = ctx
	program := tea.NewProgram(first, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithFPS(10), tea.WithoutSignalHandler())

	var last snapshot.Snapshot
	var failed error
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		last, failed = Follow(ctx, source, Interval, upgrade.State.Ended, func(seen Seen) { program.Send(seen) })
		program.Send(finished{})
	}()
	model, err := program.Run()
	cancel()
	<-followed
	if last.Workflow != "" {
		fmt.Fprint(out, view.Status(last, time.Now(), view.Style{Color: color}))
	}
	if s, ok := model.(screen); ok && s.left && s.last.State == upgrade.Held {
		return s.last, nil // what is to be said of it says the exit code
	} else if ok && s.left || errors.Is(err, tea.ErrProgramKilled) {
		return last, exit.Silent(exit.Interrupted)
	}
	if err != nil {
		return last, exit.Errorf(exit.Unexpected, "watch: %v", err)
	}
	return last, failed
}

type (
	clock    time.Time
	finished struct{}
	// answered is what came of a decision.
	answered string
)

// screen is the model behind the picture.
type screen struct {
	ctx    context.Context
	person Person
	clock  func() time.Time

	seen bool
	last snapshot.Snapshot
	away string
	now  time.Time

	style         view.Style
	width, height int
	selected      string // a node
	moved         bool   // by the person: the selection follows the work no more
	page          page
	offset        int // of details and help
	asked         *offer
	typed         string
	answer        string

	left, finished bool
}

type page int

const (
	overview page = iota
	details
	help
)

func newScreen(p Person, style view.Style, now func() time.Time) screen {
	return screen{person: p, style: style, clock: now, now: now()}
}

// Init starts the clock, so that elapsed times move between two looks.
func (screen) Init() tea.Cmd { return tickClock() }

func tickClock() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return clock(t) })
}

// Update takes in what was seen, the clock, the window's size, keys, and what came of a decision.
func (s screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case Seen:
		s.now, s.away = s.clock(), msg.Away
		if msg.Away == "" {
			s.seen, s.last = true, msg.Snapshot
			s.follow()
		}
	case clock:
		s.now = time.Time(msg)
		return s, tickClock()
	case tea.WindowSizeMsg:
		s.width, s.height = msg.Width, msg.Height
	case tea.PasteMsg:
		if s.asked != nil {
			s.typed += msg.Content
		}
	case tea.KeyPressMsg:
		if msg.String() == "ctrl+c" {
			s.left = true
			return s, tea.Quit
		}
		if s.asked != nil {
			return s.typing(msg)
		}
		return s.press(msg.String())
	case answered:
		s.answer = string(msg)
	case finished:
		s.finished = true
		return s, tea.Quit
	}
	return s, nil
}

// follow selects what is worth looking at, as long as the person has not: the first node that waits, else the first that
// is under way.
func (s *screen) follow() {
	rows := view.Rows(s.last)
	named := func(n upgrade.NodeStatus) bool { return n.Node == s.selected }
	if s.moved && slices.ContainsFunc(rows, named) || len(rows) == 0 {
		return
	}
	for _, state := range []upgrade.State{upgrade.Held, upgrade.Waiting, upgrade.Paused, upgrade.Running} {
		if i := slices.IndexFunc(rows, func(n upgrade.NodeStatus) bool { return n.State == state }); i >= 0 {
			s.selected = rows[i].Node
			return
		}
	}
	if !slices.ContainsFunc(rows, named) {
		s.selected = rows[0].Node
	}
}

// press is a key while nothing is asked.
func (s screen) press(key string) (tea.Model, tea.Cmd) {
	s.answer = ""
	switch key {
	case "q":
		s.left = true
		return s, tea.Quit
	case "?":
		s.page, s.offset = help, 0
	case "enter":
		if s.page == overview && s.selected != "" {
			s.page, s.offset = details, 0
		}
	case "esc":
		s.page = overview
	case "up", "k":
		s.move(-1)
	case "down", "j":
		s.move(1)
	case "pgup":
		s.move(-10)
	case "pgdown":
		s.move(10)
	case "home", "g":
		s.move(-1 << 20)
	case "end", "G":
		s.move(1 << 20)
	case "tab":
		s.next()
	default:
		for _, o := range s.offers() {
			if o.key == key && s.person.Decide != nil {
				s.asked, s.typed = &o, ""
				if o.whole {
					s.typed = o.choice.Example
				}
			}
		}
	}
	return s, nil
}

// move selects another node, or scrolls.
func (s *screen) move(by int) {
	if s.page != overview {
		_, end := s.picture()
		s.offset = min(max(0, s.offset+by), end)
		return
	}
	rows := view.Rows(s.last)
	if len(rows) == 0 {
		return
	}
	at := slices.IndexFunc(rows, func(n upgrade.NodeStatus) bool { return n.Node == s.selected })
	s.selected, s.moved = rows[min(max(0, at+by), len(rows)-1)].Node, true
}

// next selects the next node that waits for somebody.
func (s *screen) next() {
	var waiting []string
	for _, w := range s.last.AllWaits() {
		if w.Node != "" {
			waiting = append(waiting, w.Node)
		}
	}
	if len(waiting) > 0 {
		s.selected, s.moved = waiting[(slices.Index(waiting, s.selected)+1)%len(waiting)], true
	}
}

// typing is a key while a reason is asked for.
func (s screen) typing(key tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	switch key.String() {
	case "esc":
		s.asked = nil
	case "backspace":
		if r := []rune(s.typed); len(r) > 0 {
			s.typed = string(r[:len(r)-1])
		}
	case "ctrl+u":
		s.typed = ""
	case "enter":
		o := *s.asked
		payload, err := o.payload(s.typed, s.person.By)
		if err != nil {
			s.answer = err.Error()
			return s, nil
		}
		s.asked, s.answer = nil, o.choice.Update+": sent"
		return s, s.decide(o, payload)
	default:
		s.typed += key.Text
	}
	return s, nil
}

// decide sends it, beside the picture.
func (s screen) decide(o offer, payload map[string]any) tea.Cmd {
	return func() tea.Msg {
		answer, err := s.person.Decide(s.ctx, o.node, o.choice.Update, payload)
		if err != nil {
			return answered(err.Error())
		}
		return answered(strings.TrimPrefix(o.node+": "+answer, ": "))
	}
}

// View draws the picture. At the end there is none: the caller prints the last one whole, however long it is.
func (s screen) View() tea.View {
	if s.finished || s.left {
		return tea.NewView("")
	}
	text, _ := s.picture()
	v := tea.NewView(text)
	v.AltScreen = true
	return v
}

// picture is the page that is shown, and how far it can be scrolled.
func (s screen) picture() (text string, end int) {
	if !s.seen {
		if s.away != "" {
			return s.away + "; trying again\n", 0
		}
		return "looking ...\n", 0
	}
	l := view.Live{Snapshot: s.last, Now: s.now, Width: s.width, Height: s.height, Selected: s.selected, Offset: s.offset, Foot: s.answer}
	switch {
	case s.asked != nil:
		l.Foot = s.asked.question() + s.typed + "▏"
		if s.answer != "" {
			l.Foot += "   " + s.answer
		}
	case s.away != "":
		l.Foot = s.away + "; trying again"
	}
	if s.asked != nil {
		l.Asking, l.Keys = true, []string{"enter send", "esc leave it"}
	} else if s.person.Decide != nil {
		for _, o := range s.offers() {
			l.Keys = append(l.Keys, o.label())
		}
	}
	switch s.page {
	case details:
		return l.Details(s.style)
	case help:
		return l.Help(s.style)
	}
	return l.Overview(s.style), 0
}
