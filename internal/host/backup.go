package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// BackupFolder is where backups are kept on the node: a folder for each, readable by root only.
const BackupFolder = "/var/lib/pawl/backups"

const (
	archiveFile  = "files.tar"    // what backedUp names
	packagesFile = "packages.txt" // installed versions and holds
	sumsFile     = "SHA256SUMS"   // written last: where it is, the backup is complete
	snapshotFile = "etcd-snapshot.db"
	summaryFile  = "etcd-snapshot.json" // what etcd says of it

	margin = 64 << 20 // room that must be left after a backup
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

// BackUp makes the backup named id and returns its folder. Files are written under hidden names and renamed, and the
// checksums come last, so an interrupted backup is never taken for a complete one and is simply made again.
//
// A complete backup is only verified. One that does not verify is not made again: the node may have been upgraded
// since, and then the backup would show the state after the upgrade.
func (h *Host) BackUp(ctx context.Context, id string, texts map[string]string) (string, error) {
	const op = "back up"
	dir, err := h.backupFolder(op, id)
	if err != nil {
		return "", err
	}
	for _, name := range sortedKeys(texts) {
		if !plainName.MatchString(name) || slices.Contains([]string{archiveFile, packagesFile, sumsFile, snapshotFile, summaryFile}, name) {
			return "", fault.New(fault.InvalidInput, op, h.node, fmt.Sprintf("%q cannot be the name of a file in a backup", name), "")
		}
	}
	complete, err := h.exists(ctx, dir+"/"+sumsFile)
	if err != nil {
		return "", err
	}
	if complete {
		return dir, h.verifyBackup(ctx, dir)
	}
	manager, err := h.packages(ctx)
	if err != nil {
		return "", err
	}
	sources, err := h.existing(ctx, append(slices.Clone(backedUp), manager.files()...)...)
	if err != nil {
		return "", err
	}
	if err := h.makeBackupFolder(ctx, op, dir, sources); err != nil {
		return "", err
	}
	if err := h.writeArchive(ctx, dir, sources); err != nil {
		return "", err
	}
	listing, err := manager.listing(ctx)
	if err != nil {
		return "", err
	}
	contents := map[string]string{packagesFile: listing}
	for name, text := range texts {
		contents[name] = text
	}
	for _, name := range sortedKeys(contents) {
		if err := h.write(ctx, dir+"/"+name, "600", []byte(contents[name])); err != nil {
			return "", err
		}
	}
	if err := h.writeChecksums(ctx, dir, contents); err != nil {
		return "", err
	}
	return dir, h.verifyBackup(ctx, dir)
}

// plainName is a name that is safe as one part of a path.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (h *Host) backupFolder(op, id string) (string, error) {
	if !plainName.MatchString(id) {
		return "", fault.New(fault.InvalidInput, op, h.node, fmt.Sprintf("%q cannot be the name of a backup", id), "")
	}
	return BackupFolder + "/" + id, nil
}

// makeBackupFolder makes the folder if there is room for what goes into it.
func (h *Host) makeBackupFolder(ctx context.Context, op, dir string, sources []string) error {
	need, err := h.sizeOf(ctx, sources...)
	if err != nil {
		return err
	}
	if _, err := h.must(ctx, op, "install", "-d", "-m", "700", path.Dir(BackupFolder), BackupFolder, dir); err != nil {
		return err
	}
	return h.room(ctx, op, dir, need)
}

// room returns nil when need bytes fit into dir and a margin is left.
func (h *Host) room(ctx context.Context, op, dir string, need int64) error {
	free, err := h.freeBytes(ctx, dir)
	if err != nil {
		return err
	}
	if free < need+margin {
		return fault.New(fault.PreflightFailed, op, h.node,
			fmt.Sprintf("%s has %d MiB free, wanted %d MiB", dir, free>>20, (need+margin)>>20), "remove old backups or make room")
	}
	return nil
}

// writeArchive packs the sources. /etc/kubernetes/tmp holds kubeadm's own backups, etcd's data among them.
func (h *Host) writeArchive(ctx context.Context, dir string, sources []string) error {
	const op = "back up files"
	file := dir + "/" + archiveFile
	if _, err := h.must(ctx, op, "install", "-m", "600", "/dev/null", remote.Hidden(file)); err != nil {
		return err
	}
	argv := []string{"tar", "--create", "--file=" + remote.Hidden(file), "--numeric-owner", "--exclude=etc/kubernetes/tmp", "--directory=/", "--"}
	for _, source := range sources {
		argv = append(argv, strings.TrimPrefix(source, "/"))
	}
	for _, argv := range [][]string{argv, {"tar", "--list", "--file=" + remote.Hidden(file)}, {"sync", remote.Hidden(file)}, {"mv", "-T", remote.Hidden(file), file}} {
		if _, err := h.must(ctx, op, argv...); err != nil {
			return err
		}
	}
	return nil
}

// writeChecksums reads every file of the backup once more, compares the texts with what they must be, and writes
// SHA256SUMS as sha256sum(1) reads it.
func (h *Host) writeChecksums(ctx context.Context, dir string, contents map[string]string) error {
	names := append(sortedKeys(contents), archiveFile)
	slices.Sort(names)
	sums, err := h.sums(ctx, dir, names)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, name := range names {
		if text, ok := contents[name]; ok {
			if want := sha256.Sum256([]byte(text)); sums[name] != hex.EncodeToString(want[:]) {
				return fault.New(fault.VerificationFailed, "back up", h.node, dir+"/"+name+" does not read back as it was written", "")
			}
		}
		fmt.Fprintf(&lines, "%s  %s\n", sums[name], name)
	}
	return h.write(ctx, dir+"/"+sumsFile, "600", []byte(lines.String()))
}

// verifyBackup reads the whole backup and compares it with its checksums.
func (h *Host) verifyBackup(ctx context.Context, dir string) error {
	const op = "verify backup"
	text, err := h.read(ctx, dir+"/"+sumsFile)
	if err != nil {
		return err
	}
	want := parseSums(text)
	if want[archiveFile] == "" {
		return fault.New(fault.VerificationFailed, op, h.node, dir+"/"+sumsFile+" does not name "+archiveFile, "")
	}
	names := sortedKeys(want)
	have, err := h.sums(ctx, dir, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		if have[name] != want[name] {
			return fault.New(fault.VerificationFailed, op, h.node, dir+"/"+name+" changed since it was written",
				"find out why before going on; if the backup is of no worth, move the folder away")
		}
	}
	return nil
}

// sums are the SHA-256 sums of files in dir, by name.
func (h *Host) sums(ctx context.Context, dir string, names []string) (map[string]string, error) {
	argv := []string{"sha256sum", "--"}
	for _, name := range names {
		argv = append(argv, dir+"/"+name)
	}
	out, err := h.must(ctx, "read backup", argv...)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for name, sum := range parseSums(out) {
		sums[path.Base(name)] = sum
	}
	return sums, nil
}

// parseSums reads the output of sha256sum(1): "sum  name".
func parseSums(text string) map[string]string {
	sums := map[string]string{}
	for line := range strings.Lines(text) {
		if sum, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "  "); ok && len(sum) == 2*sha256.Size {
			sums[name] = sum
		}
	}
	return sums
}

// KeepSnapshot moves an etcd snapshot out of etcd's data directory, where it was written, into the backup folder.
func (h *Host) KeepSnapshot(ctx context.Context, id, file string, s upgrade.Snapshot) error {
	const op = "keep etcd snapshot of"
	dir, err := h.backupFolder(op, id)
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
		if err := h.room(ctx, op, dir, s.Bytes); err != nil {
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
