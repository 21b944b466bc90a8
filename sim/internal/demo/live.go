package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/sim/internal/picture"
)

// watch follows the upgrade to its end: as a live picture of the cluster on a terminal, else as pawl's own lines.
func (d *Demo) watch(ctx context.Context, b *bed.Bed) error {
	if !d.terminal() {
		return d.run(ctx, d.out, "watch", d.opts.Cluster)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	program := tea.NewProgram(screen{look: func() picture.Picture { return d.look(ctx, b) }},
		tea.WithContext(ctx), tea.WithInput(os.Stdin), tea.WithOutput(d.out), tea.WithFPS(10), tea.WithoutSignalHandler())
	d.setLive(true)
	defer d.setLive(false)
	followed := make(chan error, 1)
	go func() {
		followed <- d.follow(ctx, func(s upgrade.Status) { program.Send(s) })
		program.Send(over{})
	}()
	model, err := program.Run()
	cancel()
	failed := <-followed
	last, ok := model.(screen)
	if ok && last.interrupted {
		return errors.New("interrupted")
	}
	if ok {
		p := d.look(context.WithoutCancel(ctx), b)
		p.Status = last.status
		fmt.Fprint(d.out, p.Render())
	}
	return errors.Join(err, failed)
}

func (d *Demo) setLive(live bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live = live
}

// happened are the faults of the scenario so far.
func (d *Demo) happened() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.faults) == 0 {
		return ""
	}
	return "\n" + strings.Join(d.faults, "\n") + "\n"
}

// follow reads what `pawl watch -o json` says: one status for each change.
func (d *Demo) follow(ctx context.Context, seen func(upgrade.Status)) error {
	cmd := d.command(ctx, "watch", d.opts.Cluster, "-o", "json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := json.NewDecoder(out); ; {
		var s upgrade.Status
		if err := lines.Decode(&s); err != nil {
			if !errors.Is(err, io.EOF) {
				_ = cmd.Process.Kill()
			}
			break
		}
		seen(s)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("pawl watch: %w", err)
	}
	return nil
}

// look is the cluster now. What cannot be seen is left out of the picture.
func (d *Demo) look(ctx context.Context, b *bed.Bed) picture.Picture {
	p := picture.Picture{Now: time.Now(), Color: true, Faults: d.happened()}
	p.Nodes, p.Waiting, _ = b.Look(ctx)
	return p
}

type (
	tick time.Time
	over struct{}
)

// screen is the model behind the live picture.
type screen struct {
	look              func() picture.Picture
	picture           picture.Picture
	status            upgrade.Status
	over, interrupted bool
}

const frame = 200 * time.Millisecond

// Init starts the clock.
func (s screen) Init() tea.Cmd { return next() }

func next() tea.Cmd { return tea.Tick(frame, func(t time.Time) tea.Msg { return tick(t) }) }

// Update takes in pawl's status, the clock and Ctrl-C.
func (s screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case upgrade.Status:
		s.status = msg
	case tick:
		s.picture = s.look()
		return s, next()
	case over:
		s.over = true
		return s, tea.Quit
	case tea.KeyPressMsg:
		if msg.String() == "ctrl+c" {
			s.interrupted = true
			return s, tea.Quit
		}
	}
	return s, nil
}

// View draws the picture, and clears it at the end: the last one is printed to stay.
func (s screen) View() tea.View {
	if s.over || s.interrupted || len(s.picture.Nodes) == 0 {
		return tea.NewView("")
	}
	s.picture.Status = s.status
	return tea.NewView(s.picture.Render())
}
