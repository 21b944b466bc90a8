package devserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"go.temporal.io/server/common/headers"
)

// Version is the Temporal server's version.
func Version() string { return headers.ServerVersion }

func versionFile(database string) string { return database + ".version" }

// checkVersion refuses a database that another version of the server made: Temporal migrates its schema on other
// databases, never on SQLite, and would fail in the middle of somebody's upgrade.
func checkVersion(database string) error {
	b, err := os.ReadFile(versionFile(database))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open %s: no %s says which Temporal server made it, wanted %s; let the program that made it "+
			"finish its workflows, then name another file", database, versionFile(database), Version())
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", database, err)
	}
	if was := strings.TrimSpace(string(b)); was != Version() {
		return fmt.Errorf("open %s: made by Temporal server %s, this is %s, and SQLite files are not migrated; finish its "+
			"workflows with the build that has %s, or move the file away to start afresh", database, was, Version(), was)
	}
	return nil
}

func writeVersion(database string) error {
	return os.WriteFile(versionFile(database), []byte(Version()+"\n"), 0o600)
}
