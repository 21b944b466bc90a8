package activities

import (
	"context"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// BinaryHost is a machine whose Kubernetes was installed by hand: binaries that units of systemd start. Of one host one
// change is made at a time. Every method may be called again after any interruption, with the same input.
type BinaryHost interface {
	// Observe looks at the machine without changing it: its components, where and at what version they are, what their units
	// give them, and whether the source has the changes' new binaries for it.
	Observe(ctx context.Context, source upgrade.BinarySource, changes []upgrade.BinaryChange) (upgrade.BinaryHost, error)
	// EtcdMembers asks all members of etcd for their versions through this host's own. Their Node is left empty.
	EtcdMembers(ctx context.Context) ([]upgrade.EtcdMember, error)
	// BackUp copies the units, and the files that they name, into the backup folder named id, mode 600, with the given texts,
	// and verifies the copy. It returns the folder. Nothing is done when that backup is complete already.
	BackUp(ctx context.Context, id string, texts map[string]string) (string, error)
	// SnapshotEtcd takes a snapshot of etcd into the backup folder named id, mode 600, and verifies it.
	SnapshotEtcd(ctx context.Context, id string) (upgrade.Snapshot, error)
	// Fetch downloads the change's new binary beside the old one, and verifies it. Nothing that runs is touched.
	// fault.PreflightFailed is a version that the source has not, a lack of room, or a binary that a package brought.
	Fetch(ctx context.Context, source upgrade.BinarySource, change upgrade.BinaryChange) error
	// Check asks the fetched binary whether it knows the flags that the unit gives the old one. It does not start it.
	Check(ctx context.Context, change upgrade.BinaryChange) ([]upgrade.Finding, error)
	// Swap puts the fetched binary into its place, restarts the unit, and waits until it passes its gate.
	// fault.VerificationFailed is one that did not, and was swapped back. etcd is only begun with while all members are
	// healthy.
	Swap(ctx context.Context, change upgrade.BinaryChange) error
	// Healthy returns nil when the component runs at v and passes its gate; else what is not so.
	Healthy(ctx context.Context, component string, v upgrade.Version) error
}
