//go:build !linux

package shard

import "testing"

// reportCPU reports nothing: the CPU time of a thread is read on Linux only.
func reportCPU(*testing.B) (report func()) { return func() {} }
