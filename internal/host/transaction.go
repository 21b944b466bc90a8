package host

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// What is done with packages, whatever the package manager is: looking, fetching, installing.

// available are the versions of kubeadm that the repository of v's minor offers. Nothing on the machine changes.
func (h *Host) available(ctx context.Context, p packageManager, repository string, v upgrade.Version) ([]upgrade.Version, error) {
	s, err := p.source(ctx, repository)
	if err != nil {
		return nil, err
	}
	if _, err := h.must(ctx, "make a folder", "install", "-d", "-m", "755", "/run/pawl"); err != nil {
		return nil, err
	}
	made, err := h.must(ctx, "make a folder", "mktemp", "-d", "/run/pawl/look.XXXXXXXX")
	if err != nil {
		return nil, err
	}
	dir := strings.TrimSpace(made)
	defer h.remove(ctx, dir)
	w, err := p.isolate(ctx, dir, s, v)
	if err != nil {
		return nil, err
	}
	offered, err := p.offered(ctx, w, []string{upgrade.Kubeadm})
	if err != nil {
		return nil, err
	}
	versions := versionsOf(offered, upgrade.Kubeadm)
	return slices.DeleteFunc(versions, func(w upgrade.Version) bool { return !w.SameMinor(v) }), nil
}

// download fetches the packages into the package manager's cache, so that install finds them there.
func (h *Host) download(ctx context.Context, p packageManager, repository string, v upgrade.Version, packages []string) error {
	unit := "pawl-" + p.name() + "-download-" + v.String()
	dir := "/run/pawl/" + unit
	end, found, err := h.on.AwaitJob(ctx, remote.Job{Unit: unit})
	if err != nil {
		return err
	}
	if !found {
		j, err := h.prepareDownload(ctx, p, dir, repository, v, packages)
		if err != nil {
			h.remove(ctx, dir)
			return err
		}
		j.Unit = unit
		if end, err = h.on.RunJob(ctx, j); err != nil {
			return err // perhaps it runs, and needs the folder
		}
	}
	h.remove(ctx, dir)
	return p.outcome("download packages", end)
}

// prepareDownload makes the view in dir and returns the job that fetches the packages.
func (h *Host) prepareDownload(ctx context.Context, p packageManager, dir, repository string, v upgrade.Version, packages []string) (remote.Job, error) {
	s, err := p.source(ctx, repository)
	if err != nil {
		return remote.Job{}, err
	}
	if _, err := h.must(ctx, "make a folder", "install", "-d", "-m", "755", "/run/pawl", dir); err != nil {
		return remote.Job{}, err
	}
	w, err := p.isolate(ctx, dir, s, v)
	if err != nil {
		return remote.Job{}, err
	}
	chosen, err := h.choose(ctx, p, w, v, packages)
	return p.fetch(w, chosen), err
}

// install brings the packages to v.
func (h *Host) install(ctx context.Context, p packageManager, repository string, v upgrade.Version, packages []string) error {
	op := "install " + strings.Join(packages, ", ") + " " + v.String()
	unit := "pawl-" + p.name() + "-install-" + strings.Join(packages, "-") + "-" + v.String()
	// Before all else: what an earlier run started must be left alone until it ends.
	end, found, err := h.on.AwaitJob(ctx, remote.Job{Unit: unit})
	if err != nil {
		return err
	}
	if err := p.restoreHolds(ctx); err != nil {
		return err
	}
	if found {
		if err := p.outcome(op, end); err != nil {
			return err
		}
	}
	if missing, err := p.notAt(ctx, v, packages); err != nil || len(missing) == 0 {
		return err
	}
	if err := p.repair(ctx, packages); err != nil {
		return err
	}
	s, err := p.source(ctx, repository)
	if err != nil {
		return err
	}
	w, err := p.switchTo(ctx, s, v)
	if err != nil {
		return err
	}
	chosen, err := h.choose(ctx, p, w, v, packages)
	if err != nil {
		return err
	}
	if err := p.recordHolds(ctx); err != nil {
		return err
	}
	j := p.install(w, chosen)
	j.Unit = unit
	if end, err = h.on.RunJob(ctx, j); err != nil {
		return err
	}
	restored := p.restoreHolds(ctx) // also when it has failed
	if err := firstError(p.outcome(op, end), restored); err != nil {
		return err
	}
	missing, err := p.notAt(ctx, v, packages)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fault.New(fault.VerificationFailed, op+" on", h.node, p.name()+" succeeded, but there is "+strings.Join(missing, ", "), "")
	}
	return nil
}

// choose are the packages at v with the package's own revision that the repository has.
func (h *Host) choose(ctx context.Context, p packageManager, w view, v upgrade.Version, packages []string) ([]candidate, error) {
	offered, err := p.offered(ctx, w, packages)
	if err != nil {
		return nil, err
	}
	var chosen []candidate
	for _, pkg := range packages {
		c, ok := pick(offered, pkg, v)
		if !ok {
			return nil, fault.New(fault.PreflightFailed, "find "+pkg+" "+v.String()+" for", h.node,
				"the package repository has "+listVersions(versionsOf(offered, pkg)),
				"name one of these as the target, or wait until the mirror has it")
		}
		chosen = append(chosen, c)
	}
	return chosen, nil
}

// jobFailed is the fault of a package manager's job that failed, nil when it did not. locked are its words when somebody
// else is busy with the packages.
func (h *Host) jobFailed(name, op string, end remote.Ending, locked ...string) error {
	if end.Failure == "" {
		return nil
	}
	if slices.ContainsFunc(locked, func(words string) bool { return strings.Contains(end.Output, words) }) {
		return fault.New(fault.Conflict, op+" on", h.node, "another package manager is running: "+remote.Tail(end.Output), "")
	}
	return fault.New(fault.CommandFailed, op+" on", h.node, name+" failed ("+end.Failure+"): "+remote.Tail(end.Output), "")
}

// remove removes a temporary folder, also when ctx has ended.
func (h *Host) remove(ctx context.Context, dir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, _ = h.root(ctx, "rm", "-rf", dir) // under /run: gone at the next boot at the latest
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
