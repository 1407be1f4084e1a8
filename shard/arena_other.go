//go:build !linux || heaparena

package shard

// Elsewhere the pages are on the Go heap: portable, but the collector lets the heap grow to a
// multiple of them (GOGC), and only a chunk that nobody uses is given back.

func sysReserve(size, _ int) (mapped, aligned []byte) {
	b := make([]byte, size)
	return b, b
}

func sysHuge([]byte, bool) {}

func sysHasHuge() bool { return false }

func sysDiscard([]byte) {}

func sysRelease([]byte) {}
