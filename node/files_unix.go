//go:build unix

package node

import (
	"math"
	"syscall"
)

// OpenFiles is how many files this process may have open; 0 if that is not known. The runtime of
// Go has raised the soft limit to the hard one at start.
func OpenFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}
