// Package nonblock reads and writes TCP connections without a word to Go's scheduler.
//
// The runtime takes every system call for one that may wait. Before the call the goroutine lets
// go of its claim to its processor, and afterwards it looks whether it still has it. Meanwhile a
// thread of the runtime looks for calls that take longer, every 20 µs when it is busy. It hands
// their processor to another thread, and wakes that (runtime.entersyscall, runtime.retake). A
// read or a write of a socket of package net never waits: where there is nothing to do, the
// kernel says so, and the goroutine parks. But a call can seem to wait. Where more threads want
// to run than there are processors, the kernel takes the processor away in the middle of it, and
// the runtime then does all that for nothing. Three nodes and a load generator on two processors
// spent a quarter of a write's CPU time on it.
//
// So these calls are made as Go code is run (syscall.RawSyscall). Deadlines, closing, parking and
// errors are those of package net. The price: a collection of garbage that begins waits for the
// call. One copies 256 KiB at most. To the loopback that took 0.1 ms (median; 0.22 ms in one of a
// hundred).
package nonblock
