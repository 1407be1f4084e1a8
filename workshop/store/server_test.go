package main

import (
	"errors"
	"net"
	"strings"
	"testing"
)

// What the kernel and the servers say about memory is read where it stands, and
// a text without it is an error and not a zero.
func TestMemoryIsRead(t *testing.T) {
	if got, err := rollupRSS("00400000-7ffd ---p 00000000 00:00 0 [rollup]\nRss:               19320 kB\nPss: 1 kB\n"); got != 19320<<10 || err != nil {
		t.Errorf("smaps_rollup: %d, %v", got, err)
	}
	if _, err := rollupRSS("Pss: 1 kB\n"); err == nil {
		t.Error("smaps_rollup without Rss is no error")
	}
	if got, err := statmResident("320000 4830 3190 1930 0 19000 0\n"); got != 4830 || err != nil {
		t.Errorf("statm: %d, %v", got, err)
	}
	if _, err := statmResident(""); err == nil {
		t.Error("an empty statm is no error")
	}
	const stats = "# HeapIdle = 1\n# HeapObjects = 6963\n# GCCPUFraction = 0.0006438998474818938\n# DebugGC = false\n"
	if got, err := number(objectsPattern, stats); got != 6963 || err != nil {
		t.Errorf("objects: %v, %v", got, err)
	}
	if got, err := number(fractionPattern, stats); got != 0.0006438998474818938 || err != nil {
		t.Errorf("fraction: %v, %v", got, err)
	}
	if _, err := number(usedPattern, stats); err == nil {
		t.Error("a number that is not there is no error")
	}
}

// Answers of redis are values, no value, or errors.
func TestReplies(t *testing.T) {
	for in, want := range map[string]struct {
		text  string
		ok    bool
		fails bool
	}{
		"+OK\r\n":           {"OK", true, false},
		":12\r\n":           {"12", true, false},
		"$3\r\na\r\n\r\n":   {"a\r\n", true, false},
		"$3\r\nab":          {"", false, true}, // the connection ends within the value
		"$3\r\nabc\r\n":     {"abc", true, false},
		"$-1\r\n":           {"", false, false},
		"-OOM command\r\n":  {"", false, true},
		"*1\r\n$1\r\na\r\n": {"", false, true},
		"\r\n":              {"", false, true},
	} {
		text, ok, err := answering(t, in).reply()
		if string(text) != want.text && !want.fails || ok != want.ok && !want.fails || (err != nil) != want.fails {
			t.Errorf("%q: %q, %v, %v", in, text, ok, err)
		}
	}
}

// In a read-through a hit is a value that was there, and a miss and an update are stored. A write
// that redis has no room for is refused and no failure.
func TestReadThroughRedis(t *testing.T) {
	s := &redis{data: answering(t, "$1\r\nx\r\n"+"$-1\r\n"+"+OK\r\n"+"-OOM command not allowed\r\n")}
	hits, refused, err := s.readThrough([]sized{{1, 5}, {2, 5}}, []sized{{3, 5}})
	if hits != 1 || refused != 1 || err != nil {
		t.Errorf("%d hits, %d refused, %v", hits, refused, err)
	}
	s = &redis{data: answering(t, "-ERR broken\r\n")}
	if _, _, err := s.readThrough([]sized{{1, 5}}, nil); !errors.Is(err, errRedis) {
		t.Errorf("another error is %v", err)
	}
}

// Commands are what the protocol wants.
func TestCommands(t *testing.T) {
	var b strings.Builder
	c := newResp(nil)
	c.w.Reset(&b)
	c.send("SET", []byte("key"), []byte("value"))
	if err := c.w.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

// answering is a connection whose other side takes everything and says text.
func answering(t *testing.T, text string) *resp {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	c := newResp(near)
	c.r.Reset(strings.NewReader(text))
	go func() { // ends when near is closed
		buf := make([]byte, 1024)
		for {
			if _, err := far.Read(buf); err != nil {
				return
			}
		}
	}()
	return c
}
