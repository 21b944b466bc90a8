// Package demo shows pawl at work on a simulated cluster: what a person would type, and what they would see.
//
// Rule: everything that is shown comes from the pawl command and from the cluster, run as a person would run them.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/term"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/supervise"
)

// Options say what to show.
type Options struct {
	Cluster, Target string
	Dir             string // the cluster's folder; what the demo keeps goes there too
	Keep            bool   // stay at the end, until Ctrl-C
	Report          string // file for the report as a page; "" is none
}

// Demo is a demonstration.
type Demo struct {
	opts    Options
	out     io.Writer
	began   time.Time
	address string // of Temporal
	pawl    string // the program

	mu     sync.Mutex
	live   bool
	faults []string // that happened while the picture is live
}

// New makes a demonstration that is shown on out.
func New(o Options, out io.Writer) *Demo { return &Demo{opts: o, out: out, began: time.Now()} }

// Say takes what the cluster says of itself: a line on the way, or in the live picture.
func (d *Demo) Say(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live {
		d.faults = append(d.faults, line)
		return
	}
	fmt.Fprintln(d.out, "  "+line)
}

// Title begins a part.
func (d *Demo) Title(text string) {
	if d.terminal() {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(d.out, "\n%s\n", text)
}

func (d *Demo) terminal() bool {
	f, ok := d.out.(*os.File)
	return ok && term.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// Run shows the upgrade of a cluster that is up. wait is called at the end to keep it.
func (d *Demo) Run(ctx context.Context, b *bed.Bed, wait func() error) error {
	var err error
	if d.pawl, err = supervise.Find("pawl"); err != nil {
		return fmt.Errorf("demo: %w; build it with \"make build\"", err)
	}
	up := time.Since(d.began)
	d.Title("Temporal and a worker: pawl dev --clusters " + b.Clusters())
	stop, err := d.startDev(ctx, b.Clusters())
	if err != nil {
		return err
	}
	defer stop()
	wanted := d.wanted()
	d.Title("What will happen: pawl plan " + strings.Join(wanted, " "))
	if err := d.run(ctx, d.out, append([]string{"plan"}, wanted...)...); err != nil {
		return err
	}
	d.Title("It happens: pawl start " + strings.Join(wanted, " "))
	began := time.Now()
	if err := d.run(ctx, d.out, append([]string{"start"}, wanted...)...); err != nil {
		return err
	}
	if err := d.watch(ctx, b); err != nil {
		return err
	}
	took := time.Since(began)
	d.Title("Where the time went: pawl report " + d.opts.Cluster)
	if err := errors.Join(d.run(ctx, d.out, "report", d.opts.Cluster), d.writeReport(ctx)); err != nil {
		return err
	}
	d.Title(fmt.Sprintf("Cluster up in %s, upgraded in %s, %s in all.", short(up), short(took), short(time.Since(d.began))))
	if !d.opts.Keep {
		fmt.Fprintln(d.out, "Nothing of it is left. To keep it for playing: make demo ARGS=--keep")
		return nil
	}
	d.howToPlay(b)
	return wait()
}

func short(t time.Duration) string { return t.Round(100 * time.Millisecond).String() }

// wanted is what the demo asks for. kubeadm v1.36.3 brings an etcd that is older than etcd's own rules want before
// v1.37.2; where that is on the way, the demo takes the risk that a plan would refuse.
func (d *Demo) wanted() []string {
	return []string{d.opts.Cluster, "--to", d.opts.Target, "--waive", "etcd-version"}
}

func (d *Demo) howToPlay(b *bed.Bed) {
	fmt.Fprintf(d.out, `It stays up until Ctrl-C. In another terminal:
  export TEMPORAL_ADDRESS=%s
  bin/pawl status %s
  bin/pawl-sim ssh w1 kubeadm version -o short
  bin/pawl-sim fault 'w2 start reboot'
  kubectl --kubeconfig %s get nodes
`, d.address, d.opts.Cluster, b.AdminKubeconfig())
}

// run runs pawl and lets its output pass.
func (d *Demo) run(ctx context.Context, out io.Writer, args ...string) error {
	cmd := d.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pawl %s: %w", args[0], err)
	}
	return nil
}

func (d *Demo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.pawl, args...)
	// A person's own settings may name the company's Temporal.
	cmd.Env = append(os.Environ(), "TEMPORAL_ADDRESS="+d.address, "TEMPORAL_NAMESPACE=default", "TEMPORAL_CONFIG_FILE="+os.DevNull)
	return cmd
}

func (d *Demo) writeReport(ctx context.Context) error {
	if d.opts.Report == "" {
		return nil
	}
	f, err := os.Create(d.opts.Report)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	err = errors.Join(d.run(ctx, f, "report", d.opts.Cluster, "-o", "html"), f.Close())
	if err == nil {
		fmt.Fprintf(d.out, "\nThe report as a page: %s\n", d.opts.Report)
	}
	return err
}

// startDev starts `pawl dev` and returns when its worker answers.
func (d *Demo) startDev(ctx context.Context, clusters string) (stop func(), err error) {
	port, err := freePorts()
	if err != nil {
		return nil, err
	}
	d.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	log, err := os.Create(filepath.Join(d.opts.Dir, "dev.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the program has its own
	dev := exec.Command(d.pawl, "dev", "--clusters", clusters, "--data", filepath.Join(d.opts.Dir, "temporal"), "--port", strconv.Itoa(port))
	dev.Stdout, dev.Stderr = log, log
	if err := supervise.NewStarter().Start(dev); err != nil {
		return nil, fmt.Errorf("start pawl dev: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = dev.Wait()
	}()
	stop = func() {
		_ = dev.Process.Signal(os.Interrupt)
		<-ended
	}
	if err := d.awaitWorker(ctx, ended, log.Name()); err != nil {
		stop()
		return nil, err
	}
	text, err := os.ReadFile(log.Name())
	fmt.Fprint(d.out, string(text))
	return stop, err
}

// noWorker is pawl's exit code while Temporal or the worker is not there yet.
const noWorker = 13

func (d *Demo) awaitWorker(ctx context.Context, ended <-chan struct{}, log string) error {
	for {
		err := d.command(ctx, "plan", d.opts.Cluster, "--to", d.opts.Target, "-o", "json").Run()
		var exit *exec.ExitError
		if err == nil || !errors.As(err, &exit) || exit.ExitCode() != noWorker {
			return nil // whatever it says, the plan says it again
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			text, _ := os.ReadFile(log)
			return fmt.Errorf("pawl dev ended: %s", text)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// freePorts finds a port for Temporal, with one for its UI a thousand above: the usual ones if they are free.
func freePorts() (int, error) {
	const usual = 7233
	for port := usual; port < usual+900; port += 10 {
		if free(port) && free(port+1000) {
			return port, nil
		}
	}
	return 0, errors.New("find a free port for Temporal: none from 7233 on")
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
