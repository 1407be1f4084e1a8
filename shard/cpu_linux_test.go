package shard

import (
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// threadTime is the CPU time of this thread, which other processes do not
// lengthen.
func threadTime() time.Duration {
	const clockThreadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

// reportCPU reports, when what it returns is called, the CPU time of an operation
// since: on a machine that has other work that is the figure to compare.
func reportCPU(b *testing.B) (report func()) {
	runtime.LockOSThread()
	began := threadTime()
	return func() {
		b.ReportMetric(float64(threadTime()-began)/float64(b.N), "cpu-ns/op")
		runtime.UnlockOSThread()
	}
}
