package devserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

// retention is how long an ended workflow stays to be looked at.
const retention = 90 * 24 * time.Hour

// prepareDatabase makes the file when it is not there, and refuses one that this server must not use. The caller
// holds the lock.
func prepareDatabase(file string) error {
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return createDatabase(file)
	}
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return checkVersion(file)
}

// createDatabase writes the schema to a temporary file first: a process killed half-way must not leave a database
// that looks whole.
func createDatabase(file string) error {
	draft := file + ".new"
	if err := removeDatabase(draft); err != nil {
		return fmt.Errorf("create %s: %w", file, err)
	}
	if err := sqlite.SetupSchema(sqlConfig(draft, nil)); err != nil {
		return fmt.Errorf("create %s: schema: %w", file, err)
	}
	if err := os.Chmod(draft, 0o600); err != nil {
		return fmt.Errorf("create %s: %w", file, err)
	}
	if err := writeVersion(file); err != nil {
		return fmt.Errorf("create %s: %w", file, err)
	}
	return os.Rename(draft, file)
}

// removeDatabase removes a SQLite file with its journals.
func removeDatabase(file string) error {
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// createNamespaces makes the namespaces that are not there yet. Settings of those that are stay as they are.
func createNamespaces(file string, names []string, attributes map[string]enumspb.IndexedValueType) error {
	var configs []*sqlite.NamespaceConfig
	for _, name := range names {
		c, err := sqlite.NewNamespaceConfig(clusterName, name, false, attributes)
		if err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
		c.Detail.Config.Retention = durationpb.New(retention)
		configs = append(configs, c)
	}
	if err := sqlite.CreateNamespaces(sqlConfig(file, durable), configs...); err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	return nil
}

// folder makes the database's folder, for its owner only: histories tell much about a cluster.
func folder(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	return nil
}
