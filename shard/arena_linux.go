//go:build !heaparena

package shard

import (
	"fmt"
	"syscall"
)

// sysReserve returns addresses that take memory, zeroed, as they are written
// to. They do not count as committed: the store's own bound is what limits
// them.
func sysReserve(bytes int) []byte {
	const flags = syscall.MAP_ANON | syscall.MAP_PRIVATE | syscall.MAP_NORESERVE
	b, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, flags)
	if err != nil {
		panic(fmt.Sprintf("shard: cannot reserve %d bytes of addresses: %v", bytes, err))
	}
	return b
}

// sysDiscard gives the memory of the pages back. They read as zero again.
func sysDiscard(b []byte) {
	if err := syscall.Madvise(b, syscall.MADV_DONTNEED); err != nil {
		clear(b) // locked memory cannot be discarded
	}
}

// sysRelease ends the life of what sysReserve returned.
func sysRelease(b []byte) { _ = syscall.Munmap(b) }
