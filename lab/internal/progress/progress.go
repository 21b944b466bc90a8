// Package progress tells the user what the lab does and how long it took.
// Rule: one line when a step ends, and one when a long step begins.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Printer writes the lines; several steps may run side by side.
type Printer struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
	now   func() time.Time
}

// New starts the clock.
func New(out io.Writer) *Printer {
	return &Printer{out: out, start: time.Now(), now: time.Now}
}

// Step runs fn and prints its title with the time it took.
func (p *Printer) Step(title string, fn func() error) error {
	return p.run(title, func() (bool, error) { return false, fn() })
}

// Cached runs fn, which reports that there was nothing to do; then the line
// says "cached". A step that is not over within a second is announced.
func (p *Printer) Cached(title string, fn func() (cached bool, err error)) error {
	begun := time.AfterFunc(time.Second, func() { p.line("...", "%s", title) })
	defer begun.Stop()
	return p.run(title, fn)
}

// Note prints a line of text.
func (p *Printer) Note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Elapsed is the time since New.
func (p *Printer) Elapsed() time.Duration { return p.now().Sub(p.start) }

func (p *Printer) run(title string, fn func() (bool, error)) error {
	begin := p.now()
	cached, err := fn()
	took := Duration(p.now().Sub(begin))
	switch {
	case err != nil:
		p.line(took, "%s: FAILED", title)
	case cached:
		p.line("cached", "%s", title)
	default:
		p.line(took, "%s", title)
	}
	return err
}

func (p *Printer) line(mark, format string, args ...any) {
	p.Note("%8s  %8s  %s", Duration(p.Elapsed()), mark, fmt.Sprintf(format, args...))
}

// Duration renders a time span short enough for a column: 9.3s, 2m05s.
func Duration(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	s := int(d.Round(time.Second).Seconds())
	return fmt.Sprintf("%dm%02ds", s/60, s%60)
}
