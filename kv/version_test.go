package kv

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A version's bits are stored and sent: they stay.
func TestVersionGolden(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want Version
	}{
		{time.UnixMilli(0), 0},
		{time.UnixMilli(1), 1 << 22},
		{time.UnixMilli(1_700_000_000_123), 1_700_000_000_123 << 22},
		{time.Unix(1_700_000_000, 500_000), 1_700_000_000_000<<22 | 2048<<10},
		{time.Unix(1_700_000_000, 999_999), 1_700_000_000_000<<22 | 4095<<10},
		{time.Unix(1_700_000_000, 244), 1_700_000_000_000 << 22},
		{time.Unix(1_700_000_000, 245), 1_700_000_000_000<<22 | 1<<10},
		{time.UnixMilli(1<<42 - 1), (1<<42 - 1) << 22},
	} {
		got := VersionAt(c.at)
		if got != c.want {
			t.Errorf("VersionAt(%v) = %#x, want %#x", c.at, uint64(got), uint64(c.want))
		}
		tagged := got | 0x2a5
		if tagged.Millis() != c.at.UnixMilli() || !tagged.Time().Equal(c.at.Truncate(time.Millisecond)) || tagged.Tag() != 0x2a5 {
			t.Errorf("%#x is of %d, %v, tag %#x", uint64(tagged), tagged.Millis(), tagged.Time(), tagged.Tag())
		}
	}
}

// A clock's stamps ascend and are above all that it observed, whatever its
// wall clock does, and carry its tag.
func TestClockAscends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wall := time.UnixMilli(1_700_000_000_000)
		tag := rapid.Uint16Range(0, MaxTag).Draw(t, "tag")
		c := NewClock(tag, func() time.Time { return wall })
		var most Version
		t.Repeat(map[string]func(*rapid.T){
			"now": func(t *rapid.T) {
				v := c.Now()
				if v <= most || v.Tag() != tag {
					t.Fatalf("stamped %#x with tag %d after %#x", uint64(v), v.Tag(), uint64(most))
				}
				if v < VersionAt(wall) {
					t.Fatalf("stamped %#x, before the wall's %#x", uint64(v), uint64(VersionAt(wall)))
				}
				most = v
			},
			"observe": func(t *rapid.T) {
				v := VersionAt(wall.Add(time.Duration(rapid.IntRange(-5000, 5000).Draw(t, "ms")) * time.Millisecond))
				v |= Version(rapid.Uint16Range(0, MaxTag).Draw(t, "other"))
				c.Observe(v)
				most = max(most, v)
			},
			"wall": func(t *rapid.T) {
				wall = wall.Add(time.Duration(rapid.Int64Range(-1e9, 1e9).Draw(t, "ns")))
			},
			"": func(t *rapid.T) {
				if got := c.Last(); got != most&^MaxTag {
					t.Fatalf("Last() = %#x, want %#x", uint64(got), uint64(most&^MaxTag))
				}
				if !c.Wall().Equal(wall) {
					t.Fatalf("Wall() = %v, want %v", c.Wall(), wall)
				}
			},
		})
	})
}

// More stamps in a millisecond than it has fractions run ahead of the wall
// clock, in order, and no further than they must.
func TestClockBurst(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	c := NewClock(1, func() time.Time { return wall })
	first := c.Now()
	last := first
	for range 10_000 {
		v := c.Now()
		if v <= last {
			t.Fatalf("%#x follows %#x", uint64(v), uint64(last))
		}
		last = v
	}
	if got, want := last.Millis(), wall.UnixMilli()+10_000/4096; got != want {
		t.Errorf("after 10,000 stamps at %d ms the clock is at %d, want %d", wall.UnixMilli(), got, want)
	}
}

// What a member had stored before it was started stays as it is, whatever it stamps and observes.
func TestResumedIsWhatWasStored(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	c := NewClock(1, func() time.Time { return wall })
	if got := c.Resumed(); got != 0 {
		t.Errorf("Resumed() = %#x, and nothing was stored", uint64(got))
	}
	stored := VersionAt(wall.Add(time.Hour))
	c.Resume(stored)
	c.Resume(stored - 1<<20)
	c.Now()
	if !c.Observe(VersionAt(wall.Add(time.Minute))) || c.Last() <= stored {
		t.Fatalf("Last() = %#x, want more than %#x", uint64(c.Last()), uint64(stored))
	}
	wall = wall.Add(2 * time.Hour)
	if !c.Observe(VersionAt(wall)) || c.Resumed() != stored {
		t.Errorf("Resumed() = %#x, want %#x, which was stored", uint64(c.Resumed()), uint64(stored))
	}
}

// No two stamps are equal. That holds for one clock used by many, and for two clocks that stand at
// the same time.
func TestClockUnique(t *testing.T) {
	wall := func() time.Time { return time.UnixMilli(1_700_000_000_000) }
	clocks := []*Clock{NewClock(1, wall), NewClock(2, wall)}
	const stamps = 2000
	all := make([][]Version, 8)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			for n := range stamps {
				v := clocks[i%2].Now()
				all[i] = append(all[i], v)
				if n%10 == 0 {
					clocks[(i+1)%2].Observe(v)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[Version]bool)
	for _, vs := range all {
		for i, v := range vs {
			if seen[v] || i > 0 && v <= vs[i-1] {
				t.Fatalf("%#x came twice or too late", uint64(v))
			}
			seen[v] = true
		}
	}
}

// A tag that does not fit would change the time.
func TestNewClockTag(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a tag of 1024 was taken")
		}
	}()
	NewClock(MaxTag+1, time.Now)
}

// An entity tag is read back, and nothing but what was written is one of ours.
func TestETag(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := Version(rapid.Uint64Range(1, 1<<64-1).Draw(t, "version"))
		tag := string(v.AppendETag(nil))
		if got, ok := ParseETag(tag); !ok || got != v {
			t.Fatalf("%s is read as %#x, %v", tag, uint64(got), ok)
		}
	})
	if got := string(Version(0xab).AppendETag([]byte("ETag: "))); got != `ETag: "ab"` {
		t.Errorf("got %s", got)
	}
	for _, s := range []string{``, `"`, `""`, `ab`, `"ab`, `ab"`, `W/"ab"`, `"0"`, `"AB"`, `"0ab"`, `"+ab"`, `"a_b"`,
		`"0xab"`, `"xyz"`, `"1ffffffffffffffff"`, `"00000000000000000000000000ab"`} {
		if v, ok := ParseETag(s); ok {
			t.Errorf("%s is read as %#x", s, uint64(v))
		}
	}
}
