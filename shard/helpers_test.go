package shard

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"httpdhs/kv"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// often is how often a test does something: seldom in the everyday run, and more with make model.
func often(daily, long int) int {
	if os.Getenv("SHARD_STEPS") != "" {
		return long
	}
	return daily
}

const grace = 10 * time.Second

// fakeClock is a wall clock that a test moves by hand.
type fakeClock struct{ millis atomic.Int64 }

func newFakeClock() *fakeClock {
	c := new(fakeClock)
	c.millis.Store(1_700_000_000_000)
	return c
}

func (c *fakeClock) Now() time.Time          { return time.UnixMilli(c.millis.Load()) }
func (c *fakeClock) Advance(d time.Duration) { c.millis.Add(d.Milliseconds()) }

// version is that of the clock's time, a moment later for a larger n.
func (c *fakeClock) version(n uint64) kv.Version { return kv.VersionAt(c.Now()) + kv.Version(n) }

// open makes a store without a sweeper that reads the clock.
func open(t testing.TB, c *fakeClock, o Options) *Store {
	t.Helper()
	o.Now, o.Grace, o.SweepEvery = c.Now, kv.Grace{Keep: grace}, -1
	if o.hash == nil {
		o.hash = constHash(1)
	}
	if o.Partitions == 0 {
		o.Partitions = 4
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fatalT is what testing.TB and rapid.T have in common.
type fatalT interface {
	Helper()
	Fatalf(format string, args ...any)
}

func mustApply(t fatalT, s *Store, hash uint64, r kv.Record) kv.Applied {
	t.Helper()
	a, err := s.Apply(hash, &r)
	if err != nil {
		t.Fatalf("Apply(%q): %v", r.Key, err)
	}
	return a
}

func value(key string, v kv.Version, val string) kv.Record {
	return kv.Record{Key: []byte(key), Entry: kv.Entry{Version: v, Value: []byte(val)}}
}

func tombstone(key string, v kv.Version) kv.Record {
	return kv.Record{Key: []byte(key), Entry: kv.Entry{Version: v, Tombstone: true}}
}

// held is a record and its hash, as a scan has shown it.
type held struct {
	hash uint64
	rec  kv.Record
}

func clone(r *kv.Record) kv.Record {
	c := *r
	c.Key = bytes.Clone(r.Key)
	c.Value = bytes.Clone(r.Value)
	c.Meta = bytes.Clone(r.Meta)
	return c
}

func sameRecord(a, b *kv.Record) bool {
	return a.Version == b.Version && a.Expires == b.Expires && a.Tombstone == b.Tombstone &&
		bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Meta, b.Meta) && bytes.Equal(a.Value, b.Value)
}

func compareHeld(a, b held) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(a.rec.Key, b.rec.Key))
}

// dump is all that the store holds, in the order of the scans.
func dump(s *Store) []held {
	var all []held
	for p := range s.Partitions() {
		s.Scan(p, 0, func(hash uint64, r *kv.Record) bool {
			all = append(all, held{hash, clone(r)})
			return true
		})
	}
	return all
}

// sameHeld fails unless got is want, in want's order.
func sameHeld(t fatalT, what string, got, want []held) {
	t.Helper()
	same := func(a, b held) bool { return a.hash == b.hash && sameRecord(&a.rec, &b.rec) }
	if !slices.EqualFunc(got, want, same) {
		t.Fatalf("%s:\ngot  %v\nwant %v", what, got, want)
	}
}

// checkBooks recomputes from a scan what a store keeps beside its entries:
// digests, counters, the accounted bytes and what is due.
func checkBooks(t fatalT, s *Store) {
	t.Helper()
	var sum Stats
	taken, promised, packs := 0, 0, true
	for p := range s.Partitions() {
		var digests, got [Buckets]uint64
		var want counts
		sh := &s.shards[p]
		queued := make(map[due]bool)
		for i := range sh.dues.n {
			queued[*sh.dues.at(i)] = true
		}
		s.Scan(p, 0, func(hash uint64, r *kv.Record) bool {
			place := s.place(hash)
			if place.partition != p {
				t.Fatalf("hash %016x is in partition %d, want %d", hash, p, place.partition)
			}
			digests[place.bucket] ^= mix(hash, r.Version)
			want.count(r.Key, &r.Entry, 1)
			if at := dueAt(&r.Entry, s.grace); at != neverDue && !queued[due{at, hash}] {
				t.Fatalf("%q is due at %d, and the sweeper does not know", r.Key, at)
			}
			return true
		})
		if s.Digests(p, &got); got != digests {
			t.Fatalf("digests of partition %d are not those of its entries", p)
		}
		var whole uint64
		for _, digest := range digests {
			whole ^= digest
		}
		if sum := s.Digest(p); sum != whole {
			t.Fatalf("the digest of partition %d is %x, want %x", p, sum, whole)
		}
		if sh.counts != want {
			t.Fatalf("partition %d counts %+v, want %+v", p, sh.counts, want)
		}
		if got := s.PartitionKeys(p); got != want.keys {
			t.Fatalf("PartitionKeys(%d) = %d, want %d", p, got, want.keys)
		}
		if bound := 4*(want.timed+staleMin) + 1; sh.dues.n > bound {
			t.Fatalf("partition %d has %d entries with a time, and queues %d", p, want.timed, sh.dues.n)
		}
		packed, ok := sh.engine.(*packedEngine)
		if packs = packs && ok; ok {
			checkPacked(t, packed)
			has, more := pagesOf(packed)
			taken += has + int(sh.dues.bytes()/pageBytes)
			promised += more
		}
		sum.add(s.partitionStats(p))
	}
	if packs {
		checkArena(t, &s.arena, taken, promised)
		poison(&s.arena)
	}
	if got := s.Stats(); got != sum || got.Accounted != got.Memory.Total() {
		t.Fatalf("stats are %+v, want %+v", got, sum)
	}
	if got := s.accounted.Load(); got != sum.Accounted {
		t.Fatalf("%d bytes are reserved, want %d", got, sum.Accounted)
	}
}

// counted is the stats without what depends on the engine.
func counted(s Stats) Stats {
	s.Accounted, s.Memory = 0, Memory{}
	return s
}

// hashes has few values, so that different keys often share one, in all
// partitions of four and at both ends.
var hashes = rapid.SampledFrom([]uint64{0, 1, 1<<62 - 1, 1 << 62, 1<<63 | 1<<60, 1<<63 | 2<<60, 1<<64 - 2, 1<<64 - 1})

// drawKey draws a key and its hash, which is a function of the key.
func drawKey(t *rapid.T) (key []byte, hash uint64) {
	key = []byte(rapid.StringMatching(`[a-c]{1,2}`).Draw(t, "key"))
	return key, fewHashes(key)
}

// fewHashes is a hash of seven values, of all partitions of four.
func fewHashes(key []byte) uint64 {
	hash := uint64(0)
	for _, c := range key {
		hash = hash*31 + uint64(c)
	}
	all := [...]uint64{0, 1, 1<<62 - 1, 1 << 62, 1<<63 | 1<<60, 1<<63 | 2<<60, 1<<64 - 1}
	return all[hash%uint64(len(all))]
}

// constHash is a hash that gives all keys the same.
func constHash(hash uint64) func([]byte) uint64 { return func([]byte) uint64 { return hash } }

// drawEntry draws an entry written within a few graces of now, at times so few
// that equal versions come up.
func drawEntry(t *rapid.T, now time.Time) kv.Entry {
	seconds := rapid.Int64Range(-25, 2)
	at := now.Add(time.Duration(seconds.Draw(t, "written")) * time.Second)
	e := kv.Entry{Version: kv.VersionAt(at) + kv.Version(rapid.IntRange(0, 1).Draw(t, "tag"))}
	if e.Tombstone = rapid.Bool().Draw(t, "tombstone"); e.Tombstone {
		return e
	}
	if rapid.Bool().Draw(t, "expires") {
		e.Expires = now.Add(time.Duration(seconds.Draw(t, "expiry")) * time.Second).UnixMilli()
	}
	e.Value = rapid.SliceOfN(rapid.Byte(), 0, 90).Draw(t, "value")
	e.Meta = []byte(rapid.SampledFrom([]string{"", "text/plain"}).Draw(t, "type"))
	return e
}
