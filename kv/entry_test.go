package kv

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// merge is what a store does with an entry that arrives.
func merge(held, arriving Entry) Entry {
	if arriving.Supersedes(&held) {
		return arriving
	}
	return held
}

// Merging is commutative, associative and idempotent, and of two different
// entries exactly one supersedes the other: at equal versions too.
func TestMergeRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawEntry(t), drawEntry(t), drawEntry(t)
		equal := func(what string, x, y Entry) {
			if !sameEntry(&x, &y) {
				t.Fatalf("%s: %+v and %+v", what, x, y)
			}
		}
		equal("commutative", merge(a, b), merge(b, a))
		equal("associative", merge(merge(a, b), c), merge(a, merge(b, c)))
		equal("idempotent", merge(a, a), a)
		equal("nothing is superseded by all", merge(Entry{}, a), a)
		if ab, ba := a.Supersedes(&b), b.Supersedes(&a); sameEntry(&a, &b) == (ab != ba) || ab && ba {
			t.Fatalf("a supersedes b: %v, b supersedes a: %v", ab, ba)
		}
	})
}

// The version decides, then the tombstone, then the encoding.
func TestSupersedes(t *testing.T) {
	ascending := []Entry{
		{},
		{Version: 1, Value: []byte("z")},
		{Version: 2, Value: []byte("a")},
		{Version: 2, Value: []byte("b")},
		{Version: 2, Value: []byte("aa")},
		{Version: 2, Expires: 1, Value: []byte("a")},
		{Version: 2, Meta: []byte("t"), Value: []byte("a")},
		{Version: 2, Tombstone: true},
		{Version: 2, Tombstone: true, Expires: 1},
		{Version: 3, Value: []byte("a")},
	}
	for i := range ascending {
		for j := range ascending {
			if got := ascending[i].Supersedes(&ascending[j]); got != (i > j) {
				t.Errorf("entry %d supersedes entry %d: %v", i, j, got)
			}
		}
	}
}

// A record that came twice is recognised without a copy of it.
func TestSupersedesItselfAllocatesNothing(t *testing.T) {
	a := Entry{Version: 1, Meta: []byte("t"), Value: make([]byte, 1000)}
	b := Entry{Version: 1, Meta: []byte("t"), Value: make([]byte, 1000)}
	if got := testing.AllocsPerRun(10, func() { a.Supersedes(&b) }); got != 0 {
		t.Errorf("allocates %v times", got)
	}
}

// A value is read until the millisecond of its expiry; a tombstone and nothing
// never are.
func TestLive(t *testing.T) {
	for _, c := range []struct {
		entry Entry
		now   int64
		want  bool
	}{
		{Entry{}, 0, false},
		{Entry{Version: 1}, math.MaxInt64, true},
		{Entry{Version: 1, Expires: 10}, 9, true},
		{Entry{Version: 1, Expires: 10}, 10, false},
		{Entry{Version: 1, Tombstone: true}, 0, false},
		{Entry{Version: 1, Tombstone: true, Expires: 10}, 9, false},
	} {
		if got := c.entry.Live(c.now); got != c.want {
			t.Errorf("%+v at %d is live: %v", c.entry, c.now, got)
		}
		if got := c.entry.Exists(); got != (c.entry.Version != 0) {
			t.Errorf("%+v exists: %v", c.entry, got)
		}
	}
}

// Grace counts from the deletion or the expiry, whichever is later, and is
// over a millisecond after its last. A live value is never collected.
func TestCollectable(t *testing.T) {
	at := func(ms int64) Version { return VersionAt(time.UnixMilli(ms)) }
	const grace = 100 * time.Millisecond
	for _, c := range []struct {
		name  string
		entry Entry
		first int64 // the first time at which it is; 0: never
	}{
		{"value", Entry{Version: at(1000)}, 0},
		{"tombstone", Entry{Version: at(1000), Tombstone: true}, 1101},
		{"expiring value", Entry{Version: at(1000), Expires: 5000}, 5101},
		{"buried value", Entry{Version: at(1000), Expires: 5000, Tombstone: true}, 5101},
		{"value written expired", Entry{Version: at(1000), Expires: 500}, 1101},
		{"value that never expires in practice", Entry{Version: at(1000), Expires: math.MaxInt64}, 0},
	} {
		for _, now := range []int64{0, 1000, 1100, 1101, 4999, 5000, 5100, 5101, 1 << 41} {
			want := c.first != 0 && now >= c.first
			if got := c.entry.Collectable(now, Grace{Keep: grace}); got != want {
				t.Errorf("%s is collectable at %d: %v", c.name, now, got)
			}
		}
	}
}

// A time in which no process ran does not count: neither for what was dead before, nor for what has
// expired meanwhile.
func TestGraceDoesNotCountTimeOff(t *testing.T) {
	at := func(ms int64) Version { return VersionAt(time.UnixMilli(ms)) }
	grace := Grace{Keep: 100 * time.Millisecond, OffFrom: 2000, OffFor: 3 * time.Second}
	for _, c := range []struct {
		name  string
		entry Entry
		first int64
	}{
		{"deleted before", Entry{Version: at(1000), Tombstone: true}, 4101},
		{"deleted at the last moment", Entry{Version: at(2000), Tombstone: true}, 5101},
		{"deleted meanwhile, elsewhere", Entry{Version: at(3000), Tombstone: true}, 5101},
		{"expired meanwhile", Entry{Version: at(1000), Expires: 4000}, 5101},
		{"deleted at the start", Entry{Version: at(5000), Tombstone: true}, 5101},
		{"deleted since", Entry{Version: at(6000), Tombstone: true}, 6101},
		{"expired since", Entry{Version: at(1000), Expires: 7000}, 7101},
	} {
		if c.entry.Collectable(c.first-1, grace) || !c.entry.Collectable(c.first, grace) {
			t.Errorf("%s: it is collectable from %d on, want %d", c.name, grace.End(&c.entry), c.first)
		}
	}
}

// What was collectable once stays so, and burying an expired value changes
// neither that nor its place in the merge order among other versions.
func TestCollectableForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntry(t)
		e.Version = VersionAt(time.UnixMilli(rapid.Int64Range(1, 300).Draw(t, "written")))
		now := rapid.Int64Range(0, 600).Draw(t, "now")
		later := now + rapid.Int64Range(0, 600).Draw(t, "later")
		draw := func(what string) int64 { return rapid.Int64Range(0, 200).Draw(t, what) }
		ms := time.Millisecond
		grace := Grace{Keep: time.Duration(draw("grace")) * ms, OffFrom: draw("from"), OffFor: time.Duration(draw("off")) * ms}
		if e.Collectable(now, grace) && !e.Collectable(later, grace) {
			t.Fatalf("%+v is collectable at %d, but not at %d", e, now, later)
		}
		buried := e
		buried.Bury()
		if !buried.Tombstone || buried.Value != nil || buried.Meta != nil || buried.Version != e.Version || buried.Expires != e.Expires {
			t.Fatalf("%+v buried is %+v", e, buried)
		}
		if e.Expired(now) && buried.Collectable(later, grace) != e.Collectable(later, grace) {
			t.Fatalf("burying %+v changed when it is collected", e)
		}
	})
}

// Each limit has its error, and what is exactly at the limit passes.
func TestLimits(t *testing.T) {
	lim := Limits{MaxKeyBytes: 3, MaxValueBytes: 5}
	for _, c := range []struct {
		key, value, meta int
		want             error
	}{
		{3, 5, 255, nil},
		{1, 0, 0, nil},
		{0, 0, 0, ErrKeyEmpty},
		{4, 0, 0, ErrKeyTooLong},
		{1, 6, 0, ErrValueTooLarge},
		{1, 0, 256, ErrMetaTooLong},
	} {
		bytes := func(n int) []byte { return []byte(strings.Repeat("x", n)) }
		r := Record{bytes(c.key), Entry{Value: bytes(c.value), Meta: bytes(c.meta)}}
		if got := lim.Check(&r); !errors.Is(got, c.want) {
			t.Errorf("Check(%d, %d, %d bytes) = %v, want %v", c.key, c.value, c.meta, got, c.want)
		}
	}
	if got := DefaultLimits(); got.MaxKeyBytes != 4096 || got.MaxValueBytes != 8<<20 {
		t.Errorf("default limits are %+v", got)
	}
}

// The hash is what all nodes place keys by: it stays. The values are those of
// the reference implementation of XXH3_64bits.
func TestHashGolden(t *testing.T) {
	for key, want := range map[string]uint64{
		"":  0x2d06800538d394c2,
		"a": 0xe6c632b61e964e1f,
	} {
		if got := Hash([]byte(key)); got != want {
			t.Errorf("Hash(%q) = %#x, want %#x", key, got, want)
		}
	}
}
