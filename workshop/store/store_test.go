package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"httpdhs/internal/testbinary"
	"httpdhs/workshop/rig"
)

// A run of the real binary with few keys measures every section that can be measured, and its page
// has a figure in each row of these. The run checks by itself that a server holds what it was
// loaded with.
func TestRunMeasuresAll(t *testing.T) {
	binary, page := buildNode(t), filepath.Join(t.TempDir(), "page.md")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	err := run(ctx, &options{
		binary: binary, before: binary, out: page, keys: 3000, few: 100, rounds: 1,
		duration: 50 * time.Millisecond, stall: 50 * time.Millisecond, grace: time.Second, settle: 2 * time.Millisecond,
		tables: t.Output(), progress: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		_, part, ok := strings.Cut(string(text), "\n## "+s.title+"\n")
		part, _, _ = strings.Cut(part, "\n## ")
		switch {
		case !ok:
			t.Errorf("the page lacks %q", s.title)
		case strings.Contains(part, "Left out: "):
			if s.number != "4" {
				t.Errorf("%s is left out:\n%s", s.title, part)
			}
		case strings.Contains(part, "not measured") || strings.Count(part, "\n| ") != len(s.rows)+2:
			t.Errorf("%s lacks rows:\n%s", s.title, part)
		}
	}
}

// Of the same operations two servers with room for all keys have the same hits,
// and refuse nothing; a node that has no room and may not evict refuses, and the
// most that it takes is near its bound and not beyond what tombstones may add.
func TestCacheReadsThrough(t *testing.T) {
	const keys = 3000
	h := &house{options: &options{binary: buildNode(t), settle: time.Millisecond}, ctx: t.Context(), samples: rig.Samples{}}
	var err error
	if h.Rig, err = rig.New(h.ctx); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.Progress = t.Output()
	h.findRedis()
	measure := func(bound int64) func(server) error {
		return func(s server) error { return h.cacheOf(s, keys, bound) }
	}
	if err := h.each(serverArgs{}, measure(1e9)); err != nil {
		t.Fatal(err)
	}
	hits := h.samples["hit %"][0]
	if hits < 50 || h.samples["refused"][0] != 0 {
		t.Errorf("%.2f %% hits, %.0f refused", hits, h.samples["refused"][0])
	}
	if h.redis != "" && (h.samples["redis hit %"][0] != hits || h.samples["redis refused"][0] != 0) {
		t.Errorf("redis has %.2f %% hits and refused %.0f, want %.2f and 0", h.samples["redis hit %"][0], h.samples["redis refused"][0], hits)
	}
	h.redis = ""
	const bound = 5 << 20 // less than two pages for each partition
	if err := h.each(serverArgs{node: []string{"--max-memory", "5MiB"}}, measure(bound)); err != nil {
		t.Fatal(err)
	}
	if taken := h.samples["taken of bound"][1]; h.samples["refused"][1] == 0 || taken < 0.8 || taken > 1.05 {
		t.Errorf("%.0f refused with %.3f of the bound taken", h.samples["refused"][1], taken)
	}
}

// buildNode builds the binary. Servers die with the thread that started them
// (rig), so the test stays on its own.
func buildNode(t *testing.T) (binary string) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is read from /proc")
	}
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	binary, err := testbinary.Build(t.TempDir())
	if err = errors.Join(err, testbinary.LookAtSources()); err != nil {
		t.Fatal(err)
	}
	return binary
}

// Settings under which a section could measure nothing are refused.
func TestSettingsAreChecked(t *testing.T) {
	good := options{keys: 1000, few: 100, rounds: 1, duration: 1, stall: 1, grace: 1, settle: 1}
	if err := good.check(); err != nil {
		t.Errorf("refused: %v", err)
	}
	for name, change := range map[string]func(*options){
		"few keys": func(o *options) { o.keys = 999 }, "fewer": func(o *options) { o.few = 99 },
		"no round": func(o *options) { o.rounds = 0 }, "no time": func(o *options) { o.stall = 0 },
	} {
		o := good
		if change(&o); o.check() == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}
