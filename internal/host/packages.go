package host

import (
	"context"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// kubernetesPackages are what an upgrade installs; Download fetches them all at once.
var kubernetesPackages = []string{"kubeadm", "kubelet", "kubectl"}

// dependencies are packages of Kubernetes' repository that the others depend on, and that nothing puts on hold by itself.
var dependencies = []string{"kubernetes-cni", "cri-tools"}

// packageManager is one of the systems' package managers. The order of the steps is not its business: transaction.go
// has that for all of them.
type packageManager interface {
	name() string

	// source finds the machine's entry for Kubernetes packages. repository is the base address of the package
	// repositories, such as https://pkgs.k8s.io; empty stands for the one that the machine is configured with.
	source(ctx context.Context, repository string) (packageSource, error)
	// isolate reads the repository of v's minor into dir. Nothing else on the machine changes.
	isolate(ctx context.Context, dir string, s packageSource, v upgrade.Version) (view, error)
	// switchTo makes the machine's own entry name v's minor and reads that repository. Each part is left out when it is
	// done already.
	switchTo(ctx context.Context, s packageSource, v upgrade.Version) (view, error)
	// offered are all versions of the packages in the view, the newest first.
	offered(ctx context.Context, w view, packages []string) ([]candidate, error)
	// fetch is the job that puts the chosen packages into the ordinary cache, where install finds them.
	fetch(w view, chosen []candidate) remote.Job
	// install is the job that installs them, on hold or not.
	install(w view, chosen []candidate) remote.Job
	// outcome is the fault of a job that failed, nil when it did not.
	outcome(op string, end remote.Ending) error

	// notAt describes those of the packages that are not installed, whole, at v.
	notAt(ctx context.Context, v upgrade.Version, packages []string) ([]string, error)
	// repair puts right what an interrupted installation of the packages left behind and a new one would trip over.
	repair(ctx context.Context, packages []string) error
	// recordHolds takes down, before an installation, what it will do to holds; restoreHolds makes up for it, afterwards
	// and before the next one. Neither does anything where there is nothing to do.
	recordHolds(ctx context.Context) error
	restoreHolds(ctx context.Context) error

	// states are the packages whose state is worth a word, and the version of the kubelet's, zero when there is none.
	states(ctx context.Context) ([]upgrade.Package, upgrade.Version, error)
	// listing are all installed packages with their versions and the holds, as text for a backup.
	listing(ctx context.Context) (string, error)
	// files are where the repositories are configured, for a backup.
	files() []string
}

// view is what a package manager is to see of repositories: one minor's alone, or what the machine is configured with.
type view struct {
	source  packageSource
	dir     string // of a view of its own
	options []string
	env     []string
}

// packages finds the machine's package manager.
func (h *Host) packages(ctx context.Context) (packageManager, error) {
	system, err := h.system(ctx)
	if err != nil {
		return nil, err
	}
	return h.packagesOf(ctx, system)
}

func (h *Host) packagesOf(ctx context.Context, system osRelease) (packageManager, error) {
	const op, wanted = "look at", ", wanted one with apt (Debian, Ubuntu), dnf (Red Hat, Fedora) or zypper (SUSE)"
	switch {
	case system.is("debian"):
		return apt{h}, nil
	case slices.ContainsFunc([]string{"suse", "opensuse", "sles"}, system.is):
		return zypper{rpm{h}}, nil
	case slices.ContainsFunc([]string{"fedora", "rhel", "centos"}, system.is):
		version, err := h.user(ctx, "dnf", "--version")
		if err != nil {
			return nil, err
		}
		if version.ExitCode == 0 {
			return dnf{rpm{h}, strings.HasPrefix(version.Stdout, "dnf5")}, nil
		}
		return nil, fault.New(fault.PreflightFailed, op, h.node, "the operating system is "+system.id+" without dnf (yum before it is not supported)"+wanted, "")
	}
	return nil, fault.New(fault.PreflightFailed, op, h.node, "the operating system is "+system.id+wanted, "")
}

// Download fetches the packages of v into the package manager's cache, with a view of the repository of its own, so
// that the machine goes on seeing its present one until its turn comes.
func (h *Host) Download(ctx context.Context, repository string, v upgrade.Version) error {
	p, err := h.packages(ctx)
	if err != nil {
		return err
	}
	return h.download(ctx, p, repository, v, kubernetesPackages)
}

// Install brings the named packages to v. Holds stay as they are.
func (h *Host) Install(ctx context.Context, repository string, v upgrade.Version, names ...string) error {
	p, err := h.packages(ctx)
	if err != nil {
		return err
	}
	return h.install(ctx, p, repository, v, names)
}
