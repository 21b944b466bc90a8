package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
)

// BackupFolder is where backups are kept on the machine: a folder for each, readable by root only.
const BackupFolder = "/var/lib/pawl/backups"

// Files of a backup beside its texts.
const (
	ArchiveFile = "files.tar"
	SumsFile    = "SHA256SUMS" // written last: where it is, the backup is complete
)

const margin = 64 << 20 // room that must be left after a backup

// Backup is files of a machine in an archive, and texts, in a folder of its own. Files are written under hidden names and
// renamed, and the checksums come last, so an interrupted backup is never taken for a complete one and is simply made
// again.
//
// A complete backup is only verified. One that does not verify is not made again: the machine may have been upgraded
// since, and then the backup would show the state after the upgrade.
type Backup struct {
	Root    string // folder of all backups
	ID      string
	Sources []string // files and folders that go into the archive
	Exclude string   // a pattern of tar(1) below /; empty: none
	Texts   map[string]string
	// Reserved are names that no text may have.
	Reserved []string
}

// Dir is the backup's folder.
func (b Backup) Dir() string { return b.Root + "/" + b.ID }

// BackupComplete reports whether the backup is there and complete, having read it all. A name that cannot be is
// fault.InvalidInput.
func (m *Machine) BackupComplete(ctx context.Context, op string, b Backup) (bool, error) {
	if _, err := m.BackupDir(op, b.Root, b.ID); err != nil {
		return false, err
	}
	for _, name := range sortedKeys(b.Texts) {
		if !plainName.MatchString(name) || slices.Contains(append([]string{ArchiveFile, SumsFile}, b.Reserved...), name) {
			return false, fault.New(fault.InvalidInput, op, m.Name, fmt.Sprintf("%q cannot be the name of a file in a backup", name), "")
		}
	}
	complete, err := m.Exists(ctx, b.Dir()+"/"+SumsFile)
	if err != nil || !complete {
		return false, err
	}
	return true, m.verifyBackup(ctx, b.Dir())
}

// WriteBackup makes the backup and verifies it.
func (m *Machine) WriteBackup(ctx context.Context, op string, b Backup) error {
	if err := m.writeArchive(ctx, b); err != nil {
		return err
	}
	for _, name := range sortedKeys(b.Texts) {
		if err := m.Write(ctx, b.Dir()+"/"+name, "600", []byte(b.Texts[name])); err != nil {
			return err
		}
	}
	if err := m.writeChecksums(ctx, op, b.Dir(), b.Texts); err != nil {
		return err
	}
	return m.verifyBackup(ctx, b.Dir())
}

// BackupDir is the folder of the backup named id.
func (m *Machine) BackupDir(op, root, id string) (string, error) {
	if !plainName.MatchString(id) {
		return "", fault.New(fault.InvalidInput, op, m.Name, fmt.Sprintf("%q cannot be the name of a backup", id), "")
	}
	return root + "/" + id, nil
}

// BackupRoom makes the folder if there is room for what goes into it.
func (m *Machine) BackupRoom(ctx context.Context, op string, b Backup) error {
	need, err := m.Size(ctx, b.Sources...)
	if err != nil {
		return err
	}
	if _, err := m.Must(ctx, op, "install", "-d", "-m", "700", path.Dir(b.Root), b.Root, b.Dir()); err != nil {
		return err
	}
	return m.Room(ctx, op, b.Dir(), need)
}

// Room returns nil when need bytes fit into dir and a margin is left.
func (m *Machine) Room(ctx context.Context, op, dir string, need int64) error {
	free, err := m.Free(ctx, dir)
	if err != nil {
		return err
	}
	if free < need+margin {
		return fault.New(fault.PreflightFailed, op, m.Name,
			fmt.Sprintf("%s has %d MiB free, wanted %d MiB", dir, free>>20, (need+margin)>>20), "remove old backups or make room")
	}
	return nil
}

// writeArchive packs the sources.
func (m *Machine) writeArchive(ctx context.Context, b Backup) error {
	const op = "back up files"
	file := b.Dir() + "/" + ArchiveFile
	if _, err := m.Must(ctx, op, "install", "-m", "600", "/dev/null", Hidden(file)); err != nil {
		return err
	}
	argv := []string{"tar", "--create", "--file=" + Hidden(file), "--numeric-owner"}
	if b.Exclude != "" {
		argv = append(argv, "--exclude="+b.Exclude)
	}
	argv = append(argv, "--directory=/", "--")
	for _, source := range b.Sources {
		argv = append(argv, strings.TrimPrefix(source, "/"))
	}
	for _, argv := range [][]string{argv, {"tar", "--list", "--file=" + Hidden(file)}, {"sync", Hidden(file)}, {"mv", "-T", Hidden(file), file}} {
		if _, err := m.Must(ctx, op, argv...); err != nil {
			return err
		}
	}
	return nil
}

// writeChecksums reads every file of the backup once more, compares the texts with what they must be, and writes
// SHA256SUMS as sha256sum(1) reads it.
func (m *Machine) writeChecksums(ctx context.Context, op, dir string, contents map[string]string) error {
	names := append(sortedKeys(contents), ArchiveFile)
	slices.Sort(names)
	sums, err := m.Sums(ctx, dir, names)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, name := range names {
		if text, ok := contents[name]; ok {
			if want := sha256.Sum256([]byte(text)); sums[name] != hex.EncodeToString(want[:]) {
				return fault.New(fault.VerificationFailed, op, m.Name, dir+"/"+name+" does not read back as it was written", "")
			}
		}
		fmt.Fprintf(&lines, "%s  %s\n", sums[name], name)
	}
	return m.Write(ctx, dir+"/"+SumsFile, "600", []byte(lines.String()))
}

// verifyBackup reads the whole backup and compares it with its checksums.
func (m *Machine) verifyBackup(ctx context.Context, dir string) error {
	const op = "verify backup"
	text, err := m.Read(ctx, dir+"/"+SumsFile)
	if err != nil {
		return err
	}
	want := ParseSums(text)
	if want[ArchiveFile] == "" {
		return fault.New(fault.VerificationFailed, op, m.Name, dir+"/"+SumsFile+" does not name "+ArchiveFile, "")
	}
	names := sortedKeys(want)
	have, err := m.Sums(ctx, dir, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		if have[name] != want[name] {
			return fault.New(fault.VerificationFailed, op, m.Name, dir+"/"+name+" changed since it was written",
				"find out why before going on; if the backup is of no worth, move the folder away")
		}
	}
	return nil
}

// Sums are the SHA-256 sums of files in dir, by name.
func (m *Machine) Sums(ctx context.Context, dir string, names []string) (map[string]string, error) {
	argv := []string{"sha256sum", "--"}
	for _, name := range names {
		argv = append(argv, dir+"/"+name)
	}
	out, err := m.Must(ctx, "read backup", argv...)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for name, sum := range ParseSums(out) {
		sums[path.Base(name)] = sum
	}
	return sums, nil
}

// ParseSums reads the output of sha256sum(1): "sum  name".
func ParseSums(text string) map[string]string {
	sums := map[string]string{}
	for line := range strings.Lines(text) {
		if sum, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "  "); ok && len(sum) == 2*sha256.Size {
			sums[name] = sum
		}
	}
	return sums
}

// plainName is a name that is safe as one part of a path.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// sortedKeys are the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
