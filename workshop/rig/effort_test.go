package rig

import (
	"testing"
	"time"
)

// What a process has spent is read from what the kernel says, whatever the process is called.
func TestEffortIsRead(t *testing.T) {
	var e Effort
	e.addStat([]byte("42 (a) b) S 1 1 1 0 -1 4194560 700 0 3 0 150 50 0 0 20 0 9 0 1 1 1\n"))
	e.addStatus([]byte("Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t2\n"))
	e.addStatus(nil)
	if want := (Effort{CPU: 2 * time.Second, Voluntary: 7, Involuntary: 2, Faults: 703}); e != want {
		t.Errorf("got %+v, want %+v", e, want)
	}
	if got := e.Since(Effort{CPU: time.Second, Faults: 3}); got.CPU != time.Second || got.Faults != 700 || got.Voluntary != 7 {
		t.Errorf("since then: %+v", got)
	}
}

// perf counts by its rate, and only if it was allowed to.
func TestPerfRate(t *testing.T) {
	const good = "\n Performance counter stats for process id '1,2':\n\n" +
		"         1,234,500      raw_syscalls:sys_enter\n\n       0.500000000 seconds time elapsed\n"
	if got, err := perfRate(good); got != 2_469_000 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	for _, out := range []string{"", "event syntax error: 'raw_syscalls:sys_enter'", "   <not counted>      raw_syscalls:sys_enter\n 0.5 seconds time elapsed"} {
		if got, err := perfRate(out); err == nil {
			t.Errorf("%q is a rate of %v", out, got)
		}
	}
}
