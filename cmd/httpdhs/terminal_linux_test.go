package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"httpdhs/bench"
)

// openTerminal is a terminal, and what a person sees of it.
func openTerminal(t *testing.T) (tty, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { screen.Close() })
	number, unlock := uint32(0), int32(0)
	for _, ask := range []struct {
		request uintptr
		arg     unsafe.Pointer
	}{{syscall.TIOCSPTLCK, unsafe.Pointer(&unlock)}, {syscall.TIOCGPTN, unsafe.Pointer(&number)}} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), ask.request, uintptr(ask.arg)); errno != 0 {
			t.Fatal(errno)
		}
	}
	if tty, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return tty, screen
}

// On a terminal a value ends its line, so that the prompt begins on its own; what has ended it
// already, or is nothing, gets no more. Everywhere else a value is its bytes.
func TestGetOnATerminal(t *testing.T) {
	startCluster(t, 1)
	for value, want := range map[string]string{"v": "v\r\n", "v\n": "v\r\n", "": ""} {
		expect(t, 0, "", "", "put", "k", value)
		expect(t, 0, value, "", "get", "k")
		tty, screen := openTerminal(t)
		var stderr bytes.Buffer
		if status := run([]string{"get", "k"}, strings.NewReader(""), tty, &stderr); status != 0 {
			t.Errorf("status %d, %s", status, stderr.String())
		}
		tty.Close()
		seen, err := io.ReadAll(screen) // ends with an error when the terminal is closed
		if string(seen) != want {
			t.Errorf("%q is shown as %q (%v), want %q", value, seen, err, want)
		}
	}
}

// A terminal shows how a run of the load generator stands, and its last state when it is over.
func TestBenchOnATerminal(t *testing.T) {
	tty, screen := openTerminal(t)
	var c bench.Config
	watch := watchBench(tty, &c)
	c.Progress(bench.Progress{Phase: "measuring", Elapsed: time.Second, Done: 7, Rate: 1234})
	watch.stop()
	tty.Close()
	seen, _ := io.ReadAll(screen) // ends with an error when the terminal is closed
	for _, want := range []string{"measuring", "1,234/s", "0 errors", "\r\n"} {
		if !strings.Contains(string(seen), want) {
			t.Errorf("%q is shown: it lacks %q", seen, want)
		}
	}
}
