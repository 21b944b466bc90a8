//go:build !unix

package devserver

import (
	"fmt"
	"runtime"
)

// lockFile refuses: without a lock that ends with the process, two servers could ruin one file.
func lockFile(database string) (release func(), err error) {
	return nil, fmt.Errorf("lock %s: not supported on %s; run a Temporal server elsewhere and set TEMPORAL_ADDRESS",
		database, runtime.GOOS)
}
