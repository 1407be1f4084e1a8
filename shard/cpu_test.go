package shard

import (
	"runtime"
	"testing"

	"httpdhs/internal/cputime"
)

// reportCPU reports, when what it returns is called, the CPU time of an operation
// since: on a machine that has other work that is the figure to compare.
func reportCPU(b *testing.B) (report func()) {
	if !cputime.Known {
		return func() {}
	}
	runtime.LockOSThread()
	began := cputime.Thread()
	return func() {
		b.ReportMetric(float64(cputime.Thread()-began)/float64(b.N), "cpu-ns/op")
		runtime.UnlockOSThread()
	}
}
