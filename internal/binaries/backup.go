package binaries

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/remote"
)

// versionsFile is the text of a backup that says which versions there were.
const versionsFile = "versions.txt"

// BackUp makes the backup named id and returns its folder: the files of the components' units, the files that their flags
// name (configuration, kubeconfigs, certificates and keys), /etc/kubernetes where there is one, and the given texts. The
// binaries themselves stay beside the new ones, and etcd's data are SnapshotEtcd's. Nothing is done when that backup is
// complete already.
func (h *Host) BackUp(ctx context.Context, id string, texts map[string]string) (string, error) {
	const op = "back up"
	b := remote.Backup{Root: h.backups, ID: id, Texts: texts, Reserved: []string{versionsFile, snapshotFile, summaryFile}}
	if complete, err := h.on.BackupComplete(ctx, op, b); complete || err != nil {
		return b.Dir(), err
	}
	all, err := h.components(ctx)
	if err != nil {
		return "", err
	}
	var versions strings.Builder
	wanted := []string{"/etc/kubernetes"}
	for _, c := range all {
		versions.WriteString(c.Component + " " + c.OnDisk.String() + " " + c.Path + "\n")
		wanted = append(wanted, c.Unit.Files...)
		wanted = append(wanted, namedFiles(c)...)
	}
	slices.Sort(wanted)
	if b.Sources, err = h.regular(ctx, slices.Compact(wanted)); err != nil {
		return "", err
	}
	if err := h.on.BackupRoom(ctx, op, b); err != nil {
		return "", err
	}
	b.Texts = map[string]string{versionsFile: versions.String()}
	for name, text := range texts {
		b.Texts[name] = text
	}
	return b.Dir(), h.on.WriteBackup(ctx, op, b)
}

// namedFiles are the paths that a component's flags and environment name.
func namedFiles(c component) []string {
	var files []string
	add := func(value string) {
		if path.IsAbs(value) && path.Clean(value) == value && !strings.ContainsAny(value, ",\n") {
			files = append(files, value)
		}
	}
	for _, f := range c.flags {
		add(f.value)
	}
	for _, value := range c.env {
		add(value)
	}
	return files
}

// regular are those of the paths that are files, or /etc/kubernetes: a flag may name etcd's data, a socket, or /.
func (h *Host) regular(ctx context.Context, paths []string) ([]string, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	argv := append(append([]string{"find", "-L"}, paths...), "-maxdepth", "0", "(", "-type", "f", "-size", "-1024k", "-o", "-path", "/etc/kubernetes", ")")
	r, err := h.on.Root(ctx, argv...) // exit code 1 when any of them is missing
	if err != nil {
		return nil, err
	}
	found := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	return slices.DeleteFunc(paths, func(p string) bool { return !slices.Contains(found, p) }), nil
}
