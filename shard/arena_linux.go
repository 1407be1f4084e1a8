//go:build !heaparena

package shard

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// sysReserve returns addresses that take memory as they are written to, and what of them is
// aligned. They do not count as committed: the store's own bound is what limits them.
func sysReserve(size, align int) (mapped, aligned []byte) {
	const flags = syscall.MAP_ANON | syscall.MAP_PRIVATE | syscall.MAP_NORESERVE
	b, err := syscall.Mmap(-1, 0, size+align, syscall.PROT_READ|syscall.PROT_WRITE, flags)
	if err != nil {
		panic(fmt.Sprintf("shard: cannot reserve %d bytes of addresses: %v", size, err))
	}
	past := int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) % uintptr(align))
	at := (align - past) % align
	return b, b[at : at+size]
}

// sysHuge says whether memory is to be had in huge pages, if the system has them.
func sysHuge(b []byte, huge bool) {
	advice := syscall.MADV_NOHUGEPAGE
	if huge {
		advice = syscall.MADV_HUGEPAGE
	}
	_ = syscall.Madvise(b, advice)
}

// sysHasHuge says whether the system has huge pages. Where it does not tell, it counts as one that
// has: then more is given back than has to be.
func sysHasHuge() bool {
	allowed, _ := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return !bytes.Contains(allowed, []byte("[never]"))
}

// sysDiscard gives the memory of the pages back. Locked memory stays.
func sysDiscard(b []byte) { _ = syscall.Madvise(b, syscall.MADV_DONTNEED) }

// sysRelease ends the life of what sysReserve mapped.
func sysRelease(mapped []byte) { _ = syscall.Munmap(mapped) }
