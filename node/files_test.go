package node

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"httpdhs/server"
)

// The connections that a node takes fit into the files that it may have open, beside what it
// needs itself. Where that are too few, it says how many it needs.
func TestConnBound(t *testing.T) {
	for _, c := range []struct{ files, least, most int }{
		{0, 8192, 8192}, {256, 100, 192}, {1024, 600, 960}, {4096, 2500, 4000}, {20_000, 8192, 8192}, {1 << 30, 8192, 8192},
	} {
		b, err := connBound(c.files, 0, false)
		if err != nil || b.conns < c.least || b.conns > c.most {
			t.Errorf("with %d files: %d connections (%v), want %d to %d", c.files, b.conns, err, c.least, c.most)
		}
	}
	if _, err := connBound(64, 0, false); err == nil || !strings.Contains(err.Error(), "needs 95 at least") || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("with 64 files: %v", err)
	}
	if _, err := connBound(95, 0, false); err != nil {
		t.Error(err)
	}
	if _, err := connBound(94, 0, false); err == nil {
		t.Error("94 files are enough too")
	}
	// The profiler's connections are beside those that the node takes.
	plain, _ := connBound(256, 0, false)
	beside, err := connBound(256, sideConns, false)
	if err != nil || server.FilesOf(beside.conns)+sideConns > server.FilesOf(plain.conns) {
		t.Errorf("with a profiler: %d connections (%v), without %d", beside.conns, err, plain.conns)
	}
}

// With as many files as are wanted a node takes as many connections as usual, and with one less it
// does not.
func TestWantedFiles(t *testing.T) {
	for _, resp := range []bool{false, true} {
		few, err := connBound(1024, sideConns, resp)
		if err != nil {
			t.Fatal(err)
		}
		for files, want := range map[int]int{few.wanted: 8192, few.wanted - 1: 8191} {
			if b, err := connBound(files, sideConns, resp); err != nil || b.conns != want {
				t.Errorf("with %d files, Redis %v: %d connections (%v), want %d", files, resp, b.conns, err, want)
			}
		}
	}
}

// A node that is alone in its process warns of less than half of the usual connections. It says
// how many files it wants for all, also where there are a few less. The nodes of a process that is
// there to try things out share its files, and say nothing of that.
func TestWarningOfFewConnections(t *testing.T) {
	for _, c := range []struct {
		files  int
		alone  bool
		level  string
		wanted bool
	}{
		{20_000 / 4, true, "WARN", true}, {20_000 / 4, false, "INFO", false}, {11_000, true, "INFO", true}, {20_000, true, "INFO", false},
	} {
		b, err := connBound(c.files, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		b.tell(slog.New(slog.NewTextHandler(&log, nil)), c.alone)
		if line := log.String(); !strings.Contains(line, "level="+c.level) || strings.Contains(line, fmt.Sprint("wanted_files=", b.wanted)) != c.wanted {
			t.Errorf("%d files, alone %v: %s", c.files, c.alone, line)
		}
	}
}
