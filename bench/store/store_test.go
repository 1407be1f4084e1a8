package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A run of the real binary with few keys measures every section that can be
// measured, and its page has a figure in each row of these; it checks by itself
// that a server holds what it was loaded with.
func TestRunMeasuresAll(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is read from /proc")
	}
	// Servers die with the thread that started them: rig.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir := t.TempDir()
	binary, page := filepath.Join(dir, "httpdhs"), filepath.Join(dir, "page.md")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/httpdhs")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the binary: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	err := run(ctx, &options{
		binary: binary, before: binary, out: page, keys: 3000, few: 100, rounds: 1,
		duration: 50 * time.Millisecond, stall: 50 * time.Millisecond, grace: time.Second, settle: time.Millisecond,
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
