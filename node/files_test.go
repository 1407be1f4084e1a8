package node

import (
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

// A node that is alone in its process warns of fewer connections than usual. The nodes of one that
// is there to try things out share its files, and do not.
func TestWarningOfFewConnections(t *testing.T) {
	b, err := connBound(20_000/3, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	for alone, want := range map[bool]string{true: "level=WARN", false: "level=INFO"} {
		var log strings.Builder
		b.tell(slog.New(slog.NewTextHandler(&log, nil)), alone)
		if !strings.Contains(log.String(), want) {
			t.Errorf("alone %v: %s", alone, log.String())
		}
	}
}
