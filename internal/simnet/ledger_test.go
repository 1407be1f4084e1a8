package simnet

import (
	"testing"
	"time"

	"httpdhs/disk"
	"httpdhs/kv"
)

// What lasts of what was stored at 1, 2 … 5 s, when the node falls at 5.005 s.
func TestLedgerFalls(t *testing.T) {
	const all, sure = 5, 2
	ill := func(kind FaultKind) trouble { return trouble{Span{3500 * time.Millisecond, Never}, kind} }
	for _, c := range []struct {
		what    string
		mode    disk.Sync
		trouble []trouble
		power   bool
		want    int
	}{
		{"what was durable", disk.SyncAlways, nil, false, sure},
		{"the same at a power cut", disk.SyncAlways, nil, true, sure},
		{"all but what was being gathered", disk.SyncInterval, nil, false, all - 1},
		{"the same without syncs", disk.SyncNever, nil, false, all - 1},
		{"all but an interval", disk.SyncInterval, nil, true, 3},
		{"what was there at the start", disk.SyncNever, nil, true, sure},
		{"what a disk had before it took no writes", disk.SyncInterval, []trouble{ill(Unwritable)}, false, 3},
		{"what it had synced before it took no syncs", disk.SyncInterval, []trouble{ill(Unsyncable)}, false, sure},
		{"nothing had to be synced before a sync failed", disk.SyncNever, []trouble{ill(Unsyncable)}, false, sure},
		{"what was written before it took no writes", disk.SyncNever, []trouble{ill(Unwritable)}, false, 3},
		{"a slow disk has written", disk.SyncInterval, []trouble{ill(SlowDisk)}, false, all - 1},
		{"and has not synced", disk.SyncInterval, []trouble{ill(SlowDisk)}, true, sure},
	} {
		l := newLedger(c.mode)
		l.sure, l.trouble = sure, c.trouble
		for i := range all {
			l.stored(entry{at: time.Duration(i+1) * time.Second, key: "a", version: kv.Version(i + 1)})
		}
		l.fall(5*time.Second+5*time.Millisecond, c.power)
		if got := int(l.lasts("a").version); got != c.want {
			t.Errorf("%s: version %d lasts, want %d", c.what, got, c.want)
		}
	}
}

// A node that was killed, and loses its power before it is started again, loses as much as by that
// alone. What was dropped may be gone. What is loaded lasts.
func TestLedgerAfterFall(t *testing.T) {
	l := newLedger(disk.SyncInterval)
	for i := range 4 {
		l.stored(entry{at: time.Duration(i+1) * time.Second, key: "a", version: kv.Version(i + 1)})
	}
	l.fall(5*time.Second, false)
	if got := l.lasts("a").version; got != 4 {
		t.Errorf("version %d lasts a kill, want 4", got)
	}
	l.fall(time.Hour, true)
	if got := l.lasts("a").version; got != 3 {
		t.Errorf("version %d lasts the power cut after it, want 3", got)
	}
	l.trouble = []trouble{{Span{time.Minute, 2 * time.Hour}, Unsyncable}}
	l.loaded([]entry{{at: time.Hour, key: "a", version: 4}}, time.Hour)
	l.fall(time.Hour+time.Minute, true)
	if got := l.lasts("a").version; got != 3 {
		t.Errorf("version %d lasts of what was loaded from a disk that takes no syncs, want 3", got)
	}
	l.loaded(nil, time.Hour)
	l.fall(time.Hour+time.Minute, true)
	if got := l.lasts("a").version; got != 0 {
		t.Errorf("version %d has to last that was gone when it was loaded", got)
	}
	l.trouble = nil
	l.loaded([]entry{{key: "a", version: 4}}, time.Hour)
	l.fall(time.Hour, true)
	if got := l.lasts("a").version; got != 4 {
		t.Errorf("version %d lasts that was loaded, want 4", got)
	}
	l.loaded([]entry{{key: "a", version: 4}}, time.Hour)
	l.stored(entry{at: 2 * time.Hour, key: "a"})
	l.fall(2*time.Hour, true)
	if got := l.lasts("a").version; got != 0 {
		t.Errorf("version %d has to last that was dropped", got)
	}
	for v, want := range map[kv.Version]bool{0: true, 2: true, 9: false} {
		if ok := l.wrong("a", v, 0) == ""; ok != want {
			t.Errorf("version %d may be loaded: %v, want %v", v, ok, want)
		}
	}
}
