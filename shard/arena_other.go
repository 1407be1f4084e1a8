//go:build !linux || heaparena

package shard

// Elsewhere the pages are on the Go heap: portable, but the collector lets the
// heap grow to a multiple of them (GOGC), and what is freed is kept for reuse.

func sysReserve(bytes int) []byte { return make([]byte, bytes) }

func sysDiscard(b []byte) { clear(b) }

func sysRelease([]byte) {}
