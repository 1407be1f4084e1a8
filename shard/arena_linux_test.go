//go:build !heaparena

package shard

import (
	"syscall"
	"testing"
	"unsafe"
)

// checkResident holds an arena to what the system says: what is resident counts as backed.
func checkResident(t *testing.T, a *arena) {
	t.Helper()
	for _, c := range a.chunks {
		resident := make([]byte, len(c.data)/pageBytes)
		_, _, err := syscall.Syscall(syscall.SYS_MINCORE, c.base(), uintptr(len(c.data)), uintptr(unsafe.Pointer(&resident[0])))
		if err != 0 {
			t.Fatal(err)
		}
		for page, in := range resident {
			if in&1 != 0 && c.backed[page/64]>>(page%64)&1 == 0 {
				t.Fatalf("page %d is resident, and does not count as backed", page)
			}
		}
	}
}
