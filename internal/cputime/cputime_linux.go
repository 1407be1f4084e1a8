// Package cputime tells how long a thread was on a processor, which other processes do not
// lengthen. It is for measurements, and knows Linux alone.
package cputime

import (
	"syscall"
	"time"
	"unsafe"
)

// Known says whether Thread tells anything.
const Known = true

// Thread is the CPU time of the calling thread. A goroutine that compares two of them stays on its
// thread (runtime.LockOSThread).
func Thread() time.Duration {
	const clockThreadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}
