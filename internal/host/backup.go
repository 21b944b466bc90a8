package host

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// BackupFolder is where backups are kept on the node: a folder for each, readable by root only.
const BackupFolder = remote.BackupFolder

const (
	packagesFile = "packages.txt" // installed versions and holds
	snapshotFile = "etcd-snapshot.db"
	summaryFile  = "etcd-snapshot.json" // what etcd says of it
)

// backedUp are the files and folders of a node that a kubeadm upgrade changes and that an installation of packages
// does not bring back. Those that exist are kept.
var backedUp = []string{
	"/etc/kubernetes",
	kubeletConfig, kubeletInstance, kubeletFlags,
	"/etc/default/kubelet",
	"/etc/systemd/system/kubelet.service.d",
	"/usr/lib/systemd/system/kubelet.service.d",
}

// BackUp makes the backup named id and returns its folder. Nothing is done when that backup is complete already.
func (h *Host) BackUp(ctx context.Context, id string, texts map[string]string) (string, error) {
	const op = "back up"
	b := remote.Backup{Root: BackupFolder, ID: id, Exclude: "etc/kubernetes/tmp", Texts: texts, // which holds kubeadm's own backups, etcd's data among them
		Reserved: []string{packagesFile, snapshotFile, summaryFile}}
	if complete, err := h.on.BackupComplete(ctx, op, b); complete || err != nil {
		return b.Dir(), err
	}
	manager, err := h.packages(ctx)
	if err != nil {
		return "", err
	}
	if b.Sources, err = h.existing(ctx, append(slices.Clone(backedUp), manager.files()...)...); err != nil {
		return "", err
	}
	if err := h.on.BackupRoom(ctx, op, b); err != nil {
		return "", err
	}
	listing, err := manager.listing(ctx)
	if err != nil {
		return "", err
	}
	b.Texts = map[string]string{packagesFile: listing}
	maps.Copy(b.Texts, texts)
	return b.Dir(), h.on.WriteBackup(ctx, op, b)
}

// KeepSnapshot moves an etcd snapshot out of etcd's data directory, where it was written, into the backup folder.
func (h *Host) KeepSnapshot(ctx context.Context, id, file string, s upgrade.Snapshot) error {
	const op = "keep etcd snapshot of"
	dir, err := h.on.BackupDir(op, BackupFolder, id)
	if err != nil {
		return err
	}
	if !path.IsAbs(file) || path.Clean(file) != file {
		return fault.New(fault.InvalidInput, op, h.node, fmt.Sprintf("%q is not a plain absolute path", file), "")
	}
	kept := dir + "/" + snapshotFile
	there, err := h.exists(ctx, file)
	if err != nil {
		return err
	}
	if there { // also when one was kept before: then the caller was interrupted, and took another
		if err := h.moveSnapshot(ctx, op, file, dir, kept, s); err != nil {
			return err
		}
	} else if err := h.keptBefore(ctx, op, file, kept, s); err != nil {
		return err
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fault.Wrap(fault.Unexpected, op, h.node, err, "")
	}
	if err := h.write(ctx, dir+"/"+summaryFile, "600", append(text, '\n')); err != nil {
		return err
	}
	// Last: an interrupted run may have left it in etcd's data directory.
	_, err = h.must(ctx, op, "rm", "-f", file)
	return err
}

// moveSnapshot brings file to kept in one rename. Between filesystems that takes a copy, which is compared before it
// gets its name; the original is removed by the caller, when everything else is done.
func (h *Host) moveSnapshot(ctx context.Context, op, file, dir, kept string, s upgrade.Snapshot) error {
	if err := h.snapshotSize(ctx, op, file, s); err != nil {
		return err
	}
	if _, err := h.must(ctx, op, "install", "-d", "-m", "700", path.Dir(BackupFolder), BackupFolder, dir); err != nil {
		return err
	}
	devices, err := h.must(ctx, op, "stat", "-c", "%d", file, dir)
	if err != nil {
		return err
	}
	steps := [][]string{{"chmod", "600", file}, {"chown", "0:0", file}, {"sync", file}, {"mv", "-T", file, kept}}
	if d := strings.Fields(devices); len(d) != 2 || d[0] != d[1] {
		if err := h.on.Room(ctx, op, dir, s.Bytes); err != nil {
			return err
		}
		steps = [][]string{
			{"install", "-m", "600", "/dev/null", remote.Hidden(kept)},
			{"cp", "--no-preserve=all", file, remote.Hidden(kept)},
			{"cmp", file, remote.Hidden(kept)},
			{"sync", remote.Hidden(kept)},
			{"mv", "-T", remote.Hidden(kept), kept},
		}
	}
	for _, argv := range steps {
		if _, err := h.must(ctx, op, argv...); err != nil {
			return err
		}
	}
	return nil
}

// keptBefore returns nil when the snapshot was moved by an earlier call.
func (h *Host) keptBefore(ctx context.Context, op, file, kept string, s upgrade.Snapshot) error {
	there, err := h.exists(ctx, kept)
	if err != nil {
		return err
	}
	if !there {
		return fault.New(fault.VerificationFailed, op, h.node, "there is no "+file, "take the snapshot again")
	}
	return h.snapshotSize(ctx, op, kept, s)
}

// snapshotSize returns nil when file has the size that etcd gave. etcd appends a SHA-256 sum to the database that it
// streams (etcd 3.x, server/etcdserver/api/v3rpc/maintenance.go, Snapshot) and gives the size without it.
func (h *Host) snapshotSize(ctx context.Context, op, file string, s upgrade.Snapshot) error {
	out, err := h.must(ctx, op, "stat", "-c", "%s", file)
	if err != nil {
		return err
	}
	size, ok := remote.FirstInt(out)
	if !ok || s.Bytes <= 0 || size != s.Bytes && size != s.Bytes+sha256.Size {
		return fault.New(fault.VerificationFailed, op, h.node,
			fmt.Sprintf("%s has %d bytes, etcd gave %d", file, size, s.Bytes), "take the snapshot again")
	}
	return nil
}
