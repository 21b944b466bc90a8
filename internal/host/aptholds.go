package host

import (
	"context"
	"fmt"
	"strings"

	"github.com/pawl-dev/pawl/internal/remote"
)

// apt takes a package off hold when it installs another version of it on request: --allow-change-held-packages does
// not put the hold back (seen with apt 2.6.1). So the holds are written down before apt runs, in a file that survives
// whatever interrupts us, and put back from there: at the end, and at the beginning of the next run if there was no end.
const holdsFile = "/var/lib/pawl/apt-holds"

// recordHolds writes down which packages are on hold. All of them: apt may have to change held packages that the
// wanted ones depend on, such as kubernetes-cni.
func (a apt) recordHolds(ctx context.Context) error {
	const op = "record holds"
	held, err := a.ask(ctx, op, "apt-mark", "showhold")
	if err != nil || strings.TrimSpace(held) == "" {
		return err
	}
	if _, err := a.must(ctx, op, "install", "-d", "-m", "700", "/var/lib/pawl"); err != nil {
		return err
	}
	return a.write(ctx, holdsFile, "600", []byte(held))
}

// restoreHolds puts the recorded holds back, if there are any recorded.
func (a apt) restoreHolds(ctx context.Context) error {
	const op = "put back holds"
	there, err := a.exists(ctx, holdsFile)
	if err != nil || !there {
		return err
	}
	held, err := a.read(ctx, holdsFile)
	if err != nil {
		return err
	}
	// apt-mark does not wait for dpkg's lock, whatever DPkg::Lock::Timeout says (seen with apt 2.6.1).
	r, err := a.root(ctx, append([]string{"apt-mark", "hold"}, strings.Fields(held)...)...)
	if err != nil {
		return err
	}
	if r.ExitCode != 0 {
		return a.outcome(op, remote.Ending{Failure: fmt.Sprintf("apt-mark exited with %d", r.ExitCode), Output: r.Stdout + "\n" + r.Stderr})
	}
	_, err = a.must(ctx, op, "rm", "-f", holdsFile)
	return err
}
