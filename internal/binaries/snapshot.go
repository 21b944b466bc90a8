package binaries

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	snapshotFile = "etcd-snapshot.db"
	summaryFile  = "etcd-snapshot.json" // what etcd says of it
)

// SnapshotEtcd makes the host's member write a snapshot into the backup folder named id, readable by root only, and
// verifies it with etcdutl. One that is there already is only verified.
func (h *Host) SnapshotEtcd(ctx context.Context, id string) (upgrade.Snapshot, error) {
	const op = "take an etcd snapshot on"
	dir, err := h.on.BackupDir(op, h.backups, id)
	if err != nil {
		return upgrade.Snapshot{}, err
	}
	c, err := h.one(ctx, op, upgrade.Etcd)
	if err != nil {
		return upgrade.Snapshot{}, err
	}
	file := dir + "/" + snapshotFile
	there, err := h.on.Exists(ctx, file)
	if err != nil {
		return upgrade.Snapshot{}, err
	}
	if there {
		return h.snapshotStatus(ctx, c, file)
	}
	if err := h.snapshotRoom(ctx, op, c, dir); err != nil {
		return upgrade.Snapshot{}, err
	}
	part := remote.Hidden(file)
	if err := h.saveSnapshot(ctx, op, c, id, part); err != nil {
		return upgrade.Snapshot{}, err
	}
	s, err := h.snapshotStatus(ctx, c, part)
	if err != nil {
		return s, err
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return s, fault.Wrap(fault.Unexpected, op, h.node, err, "")
	}
	if err := h.on.Write(ctx, dir+"/"+summaryFile, "600", append(text, '\n')); err != nil {
		return s, err
	}
	for _, argv := range [][]string{{"chown", "0:0", part}, {"chmod", "600", part}, {"sync", part}, {"mv", "-T", part, file}} {
		if _, err := h.on.Must(ctx, op, argv...); err != nil {
			return s, err
		}
	}
	return s, nil
}

// snapshotRoom makes the folder if the whole database fits.
func (h *Host) snapshotRoom(ctx context.Context, op string, c component, dir string) error {
	s, err := h.settings(ctx, c)
	if err != nil {
		return err
	}
	need := int64(0)
	if s.DataDir != "" {
		if need, err = h.on.Size(ctx, s.DataDir); err != nil {
			return err
		}
	}
	if _, err := h.on.Must(ctx, op, "install", "-d", "-m", "700", path.Dir(h.backups), h.backups, dir); err != nil {
		return err
	}
	return h.on.Room(ctx, op, dir, need)
}

// saveSnapshot runs etcdctl as a job: a large database takes its time.
func (h *Host) saveSnapshot(ctx context.Context, op string, c component, id, part string) error {
	e, err := h.client(ctx, c)
	if err != nil {
		return err
	}
	var last remote.Ending
	for i, files := range e.tls {
		argv := slices.Concat([]string{e.program, "--endpoints=" + e.endpoint}, files.flags(), []string{"snapshot", "save", part})
		j := remote.Job{Unit: fmt.Sprintf("pawl-etcd-snapshot-%s-%d", id, i), Argv: argv, Env: []string{"ETCDCTL_API=3"}, Most: downloadTime}
		if last, err = h.on.RunJob(ctx, j); err != nil {
			return err
		}
		if last.Failure == "" {
			return nil
		}
	}
	return fault.New(fault.CommandFailed, op, h.node, "etcdctl failed ("+last.Failure+"): "+remote.Tail(last.Output), "")
}

// snapshotStatus asks etcdutl what a snapshot holds; it reads all of it.
func (h *Host) snapshotStatus(ctx context.Context, c component, file string) (upgrade.Snapshot, error) {
	program, err := h.tool(ctx, c, upgrade.Etcdutl)
	if err != nil {
		return upgrade.Snapshot{}, err
	}
	out, err := h.on.Must(ctx, "verify the etcd snapshot", program, "snapshot", "status", file, "--write-out=json")
	if err != nil {
		return upgrade.Snapshot{}, err
	}
	var s struct {
		Hash     uint32 `json:"hash"`
		Revision int64  `json:"revision"`
		Keys     int64  `json:"totalKey"`
		Size     int64  `json:"totalSize"`
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Revision == 0 || s.Size == 0 {
		return upgrade.Snapshot{}, fault.New(fault.VerificationFailed, "verify the etcd snapshot on", h.node, file+" holds nothing", "take it again")
	}
	return upgrade.Snapshot{Hash: s.Hash, Revision: s.Revision, Keys: s.Keys, Bytes: s.Size}, nil
}
