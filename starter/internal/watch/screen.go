package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/pawl-dev/pawl/starter/internal/exit"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
	"github.com/pawl-dev/pawl/starter/internal/view"
)

// Screen shows a live picture on a terminal, redrawn in place, and leaves the last one standing.
func Screen(ctx context.Context, source Source, in io.Reader, out io.Writer, color bool) (snapshot.Snapshot, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	program := tea.NewProgram(screen{now: time.Now(), style: view.Style{Color: color}},
		tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithFPS(10), tea.WithoutSignalHandler())

	var last snapshot.Snapshot
	var failed error
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		last, failed = Follow(ctx, source, Interval, func(seen Seen) { program.Send(seen) })
		program.Send(finished{})
	}()
	model, err := program.Run()
	cancel()
	<-followed
	if last.Workflow != "" {
		fmt.Fprint(out, view.Status(last, time.Now(), view.Style{Color: color}))
	}
	if s, ok := model.(screen); ok && s.interrupted || errors.Is(err, tea.ErrProgramKilled) {
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
)

// screen is the model behind the picture.
type screen struct {
	seen        bool
	last        snapshot.Snapshot
	away        string
	now         time.Time
	style       view.Style
	interrupted bool
	finished    bool
}

// Init starts the clock, so that elapsed times move between two looks.
func (screen) Init() tea.Cmd { return tickClock() }

func tickClock() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return clock(t) })
}

// Update takes in what was seen, the clock, the window's size and Ctrl-C.
func (s screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case Seen:
		s.now, s.away = time.Now(), msg.Away
		if msg.Away == "" {
			s.seen, s.last = true, msg.Snapshot
		}
	case clock:
		s.now = time.Time(msg)
		return s, tickClock()
	case tea.WindowSizeMsg:
		s.style.Height = msg.Height
	case tea.KeyPressMsg:
		switch msg.String() {
		case "ctrl+c", "q", "esc":
			s.interrupted = true
			return s, tea.Quit
		}
	case finished:
		s.finished = true
		return s, tea.Quit
	}
	return s, nil
}

// View draws the picture. At the end it clears it: the caller prints the last one whole, however long it is.
func (s screen) View() tea.View {
	if s.finished || s.interrupted {
		return tea.NewView("")
	}
	var b strings.Builder
	if s.seen {
		b.WriteString(view.Status(s.last, s.now, s.style))
	} else if s.away == "" {
		b.WriteString("looking ...\n")
	}
	if s.away != "" {
		b.WriteString("\n" + s.away + "; trying again\n")
	}
	return tea.NewView(b.String())
}
