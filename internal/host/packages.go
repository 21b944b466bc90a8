package host

import (
	"context"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// kubernetesPackages are what an upgrade installs; Download fetches them all at once.
var kubernetesPackages = []string{"kubeadm", "kubelet", "kubectl"}

// packageManager is one of the systems' package managers. repository is the base address of the package repositories,
// such as https://pkgs.k8s.io; empty stands for the one that the machine is configured with.
type packageManager interface {
	name() string
	// available are the versions of kubeadm that the repository of v's minor offers. Nothing on the machine changes.
	available(ctx context.Context, repository string, v upgrade.Version) ([]upgrade.Version, error)
	// download fetches the packages at v into the cache. The machine's configuration stays as it is.
	download(ctx context.Context, repository string, v upgrade.Version, packages []string) error
	// install brings the packages to v. Holds stay as they are.
	install(ctx context.Context, repository string, v upgrade.Version, packages []string) error
	// states are the packages whose state is worth a word, and the version of the kubelet's, zero when there is none.
	states(ctx context.Context) ([]upgrade.Package, upgrade.Version, error)
	// listing are all installed packages with their versions and the holds, as text for a backup.
	listing(ctx context.Context) (string, error)
	// files are where the repositories are configured, for a backup.
	files() []string
}

// packages finds the machine's package manager.
func (h *Host) packages(ctx context.Context) (packageManager, error) {
	release, err := h.read(ctx, "/etc/os-release")
	if err != nil {
		return nil, err
	}
	return h.packagesOf(parseOSRelease(release))
}

func (h *Host) packagesOf(system osRelease) (packageManager, error) {
	if system.is("debian") {
		return apt{h}, nil
	}
	return nil, fault.New(fault.PreflightFailed, "look at", h.node, "the operating system is "+system.id+", wanted one with apt (Debian, Ubuntu)", "")
}

// Download fetches the packages of v into the package manager's cache.
func (h *Host) Download(ctx context.Context, repository string, v upgrade.Version) error {
	packages, err := h.packages(ctx)
	if err != nil {
		return err
	}
	return packages.download(ctx, repository, v, kubernetesPackages)
}

// Install brings the named packages to v.
func (h *Host) Install(ctx context.Context, repository string, v upgrade.Version, names ...string) error {
	packages, err := h.packages(ctx)
	if err != nil {
		return err
	}
	return packages.install(ctx, repository, v, names)
}
