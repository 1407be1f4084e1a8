package slowlog

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/syncbuf"
)

// What takes as long as is said, or longer, is logged, and nothing else. Of many in a second ten
// are, and the next line says how many were not.
func TestSlowOperations(t *testing.T) {
	var out syncbuf.Buffer
	l := New(slog.New(slog.NewTextHandler(&out, nil)), 100*time.Millisecond)
	now := time.Unix(1_700_000_000, 0)
	note := func(took time.Duration) {
		if l.Slow(took, now) {
			l.Say("slow", slog.Duration("took", took))
		}
	}
	note(99 * time.Millisecond)
	if got := out.String(); got != "" {
		t.Errorf("logged %q", got)
	}
	for range 15 {
		note(100 * time.Millisecond)
	}
	if n := strings.Count(out.String(), "level=WARN"); n != linesPerSecond {
		t.Errorf("%d lines in a moment, want %d", n, linesPerSecond)
	}
	now = now.Add(time.Second)
	note(time.Second)
	note(time.Second)
	if got := strings.Split(strings.TrimSpace(out.String()), "\n"); !strings.HasSuffix(got[10], "took=1s more_since_last=5") || !strings.HasSuffix(got[11], "took=1s") {
		t.Errorf("%q", got[10:])
	}
}

// With no time given nothing is slow.
func TestOff(t *testing.T) {
	l := New(slog.New(slog.DiscardHandler), 0)
	if l.On() || l.Slow(time.Hour, time.Now()) {
		t.Error("it is on")
	}
}

// A long key is cut between two characters, and one that is no text is in quotes.
func TestShort(t *testing.T) {
	for in, want := range map[string]string{
		"user:42":                          "user:42",
		strings.Repeat("k", shownBytesMax): strings.Repeat("k", shownBytesMax),
		strings.Repeat("k", 4096):          strings.Repeat("k", shownBytesMax) + "…",
		"k" + strings.Repeat("é", 4096):    "k" + strings.Repeat("é", shownBytesMax/2-1) + "…",
		"a\xff\x00b":                       `"a\xff\x00b"`,
	} {
		if got := Short([]byte(in)); got != want {
			t.Errorf("%.20q: %q", in, got)
		}
	}
}
