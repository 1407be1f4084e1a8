package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"httpdhs/internal/poll"
)

// manager is a service manager: it notes what services tell it.
type manager struct {
	*net.UnixConn
	reading sync.WaitGroup

	mu   sync.Mutex // guards told
	told []string   // lines, in their order
}

func startManager(t *testing.T, socket string) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{UnixConn: c}
	m.reading.Go(func() {
		b := make([]byte, 8<<10)
		for {
			n, err := c.Read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, strings.Split(string(b[:n]), "\n")...)
			m.mu.Unlock()
		}
	})
	t.Cleanup(func() { _ = c.Close(); m.reading.Wait() })
	return m
}

// count is how often it was told so.
func (m *manager) count(line string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, told := range m.told {
		if told == line {
			n++
		}
	}
	return n
}

// statuses are the texts that it was told, in their order.
func (m *manager) statuses() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, told := range m.told {
		if text, ok := strings.CutPrefix(told, "STATUS="); ok {
			all = append(all, text)
		}
	}
	return all
}

func (m *manager) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	poll.Until(t, what, func() error {
		if !cond() {
			m.mu.Lock()
			defer m.mu.Unlock()
			return fmt.Errorf("it was told %q", m.told)
		}
		return nil
	})
}

// A node tells the service manager that it has started and what it waits for. Then it tells that it
// is ready, that it is alive, and that it stops. The socket is in the file system or an abstract
// one. The node has started while it is not ready yet, as it is not before its seed is there.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	for _, socket := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@httpdhs-test-%d", os.Getpid())} {
		m := startManager(t, socket)
		seed, port := freePort(t), freePort(t)
		server := func(env []string, args ...string) *process {
			p, err := launch(t.TempDir(), env, append([]string{"server", "--replicas=1"}, args...)...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.kill)
			return p
		}
		p := server([]string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=200000"},
			fmt.Sprintf("--port=%d", port), fmt.Sprintf("--join=127.0.0.1:%d", seed), "--drain-delay=1h")
		m.await(t, "it has started, and lives", func() bool { return m.count("READY=1") == 1 && m.count("WATCHDOG=1") > 2 })
		if s := m.statuses(); len(s) == 0 || !strings.HasPrefix(s[0], "not ready: ") {
			t.Errorf("statuses are %q", s)
		}
		other := server(nil, fmt.Sprintf("--port=%d", seed)) // tells nobody, and starts all the same
		m.await(t, "it is ready", func() bool { return slices.Contains(m.statuses(), "ready") })
		if m.count("STOPPING=1") != 0 {
			t.Error("it stops")
		}
		stop(t, p)
		m.await(t, "it stops", func() bool { return m.count("STOPPING=1") == 1 })
		beats := m.count("WATCHDOG=1")
		m.await(t, "it lives while it drains", func() bool { return m.count("WATCHDOG=1") > beats+2 })
		if s := m.statuses(); s[len(s)-1] != "not ready: stopping" {
			t.Errorf("statuses are %q", s)
		}
		for _, p := range []*process{p, other} {
			stop(t, p)
			if status, err := p.wait(); err != nil || status != 0 {
				t.Errorf("it ends with %d, %v: %s", status, err, &p.err)
			}
		}
		if n := m.count("READY=1"); n != 1 {
			t.Errorf("it has started %d times", n)
		}
	}
}

func stop(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// A service manager that is not there is a warning.
func TestNoServiceManager(t *testing.T) {
	t.Parallel()
	p, err := launch(t.TempDir(), []string{"NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "none")}, "server", fmt.Sprintf("--port=%d", freePort(t)), "--replicas=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	poll.True(t, "it says so", func() bool { return strings.Contains(p.err.String(), "NOTIFY_SOCKET") })
	stop(t, p)
	if status, err := p.wait(); err != nil || status != 0 {
		t.Errorf("it ends with %d, %v: %s", status, err, &p.err)
	}
}
