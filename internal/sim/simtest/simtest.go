// Package simtest finds for tests the programs that a simulated cluster needs.
//
// Rule: what lacks is said loudly, and fails where nothing may lack.
package simtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Programs puts the programs that `make build` makes into PATH, for the whole test binary. If one of the wanted ones is
// missing the test is skipped, or fails where PAWL_TEST_REQUIRE_ALL says that nothing may be skipped.
func Programs(t testing.TB, wanted ...string) {
	t.Helper()
	dir, err := bin()
	for _, program := range wanted {
		if err == nil {
			_, err = os.Stat(filepath.Join(dir, program))
		}
	}
	switch {
	case err == nil:
	case os.Getenv("PAWL_TEST_REQUIRE_ALL") != "":
		t.Fatalf("%v; run make build", err)
	default:
		t.Skipf("SKIPPED, NOT TESTED ON A SIMULATED CLUSTER: %v; run make build", err)
	}
}

// bin is the folder of programs. Tests that run side by side share the environment, so it is changed once.
var bin = sync.OnceValues(func() (string, error) {
	dir, err := root()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "bin")
	return dir, os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
})

// root is the folder of the module that is tested, in which or below which tests run.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if !errors.Is(err, fs.ErrNotExist) {
			return dir, err
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("find the folder of programs: no go.mod here or above")
		}
		dir = above
	}
}
