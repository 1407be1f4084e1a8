package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Effort is what processes have spent since they began, all threads together.
type Effort struct {
	CPU                    time.Duration // in the kernel, too
	Voluntary, Involuntary float64       // context switches
	Faults                 float64       // of pages
}

// EffortOf adds up what the system tells of the processes of servers.
func (r *Rig) EffortOf(addrs ...string) (sum Effort, err error) {
	for _, addr := range addrs {
		dir := filepath.Join("/proc", strconv.Itoa(r.PID(addr)))
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			return sum, err
		}
		sum.addStat(stat)
		tasks, err := filepath.Glob(filepath.Join(dir, "task", "*", "status"))
		if err != nil {
			return sum, err
		}
		for _, task := range tasks {
			status, _ := os.ReadFile(task) // a thread may be gone
			sum.addStatus(status)
		}
	}
	return sum, nil
}

// clockTick is the unit of time of /proc/PID/stat.
const clockTick = time.Second / 100

// addStat adds minflt, majflt, utime and stime, fields 10, 12, 14 and 15 of proc_pid_stat(5). The
// name before them is in brackets and may hold anything.
func (e *Effort) addStat(stat []byte) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return
	}
	field := func(n int) float64 {
		v, _ := strconv.ParseFloat(fields[n-3], 64)
		return v
	}
	e.Faults += field(10) + field(12)
	e.CPU += time.Duration(field(14)+field(15)) * clockTick
}

// addStatus adds the context switches of a thread.
func (e *Effort) addStatus(status []byte) {
	for line := range strings.Lines(string(status)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		v, _ := strconv.ParseFloat(text, 64)
		switch name {
		case "voluntary_ctxt_switches":
			e.Voluntary += v
		case "nonvoluntary_ctxt_switches":
			e.Involuntary += v
		}
	}
}

// Since is what was spent from then on.
func (e Effort) Since(then Effort) Effort {
	return Effort{e.CPU - then.CPU, e.Voluntary - then.Voluntary, e.Involuntary - then.Involuntary, e.Faults - then.Faults}
}

// Syscalls counts the system calls of servers with perf until stop is called, which returns how
// many there were in a second.
func (r *Rig) Syscalls(addrs ...string) (stop func() (float64, error), err error) {
	var pids []string
	for _, addr := range addrs {
		pids = append(pids, strconv.Itoa(r.PID(addr)))
	}
	ctx, cancel := context.WithCancel(r.ctx)
	cmd := exec.CommandContext(ctx, "perf", "stat", "-e", "raw_syscalls:sys_enter", "-p", strings.Join(pids, ","))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	return func() (float64, error) {
		cancel()
		_ = cmd.Wait() // it was interrupted
		return perfRate(out.String())
	}, nil
}

var (
	perfCount   = regexp.MustCompile(`(?m)^\s*([0-9,]+)\s+raw_syscalls:sys_enter`)
	perfSeconds = regexp.MustCompile(`([0-9.]+) seconds time elapsed`)
)

// perfRate reads the rate from what perf printed.
func perfRate(out string) (float64, error) {
	count, took := perfCount.FindStringSubmatch(out), perfSeconds.FindStringSubmatch(out)
	if count == nil || took == nil {
		return 0, fmt.Errorf("perf counted nothing: %q", out)
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(count[1], ",", ""), 64)
	seconds, err2 := strconv.ParseFloat(took[1], 64)
	return n / seconds, errors.Join(err, err2)
}
