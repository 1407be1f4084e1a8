package shard

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"httpdhs/kv"
)

// checkPacked recomputes from the segments what a packed engine keeps of them,
// and holds it to the invariants that its comment states.
func checkPacked(t fatalT, e *packedEngine) {
	t.Helper()
	slots := checkSlots(t, e)
	var live, dead, taken, gone int64
	found := 0
	for number := range e.log.segments {
		s := &e.log.segments[number]
		gaps := 0
		drained := drainedOf(&e.log, number)
		gaps += drained.cursor
		for place := drained.cursor; place < s.used; {
			b := s.data[place:s.used]
			if gap := gapAt(b); gap > 0 {
				gaps += gap
				place += gap
				continue
			}
			shape := shapeOf(b)
			if hash, ok := slots[at(number, place)]; !ok || hash != e.hash(b[shape.keyAt:shape.metaAt]) {
				t.Fatalf("segment %d has a record at %d that no slot leads to", number, place)
			}
			live += int64(shape.size)
			place += shape.size
			found++
		}
		if gaps != s.dead {
			t.Fatalf("segment %d has %d bytes of gaps, and counts %d", number, gaps, s.dead)
		}
		if s.used > 0 && gaps == s.used {
			t.Fatalf("segment %d is all gaps", number)
		}
		dead += int64(gaps)
		taken += s.pages() - int64(drained.gone)
		gone += int64(drained.gone)
	}
	if found != e.n || len(slots) != e.n {
		t.Fatalf("%d records and %d slots, want %d", found, len(slots), e.n)
	}
	if e.log.fifo != nil {
		checkFifo(t, e)
	}
	if gone != e.log.gone {
		t.Fatalf("%d bytes of segments were given back, counts %d", gone, e.log.gone)
	}
	if live != e.log.live || dead != e.log.dead || taken != e.log.taken {
		t.Fatalf("%d bytes live, %d dead, %d taken; counts %d, %d, %d", live, dead, taken, e.log.live, e.log.dead, e.log.taken)
	}
}

// pagesOf is what a packed engine has of its arena, and what it was promised.
func pagesOf(e *packedEngine) (taken, promised int) {
	bytes, all := 0, 0
	if e.log.fifo != nil {
		bytes = e.log.fifo.ghost.bytes()
	}
	for number, s := range e.log.segments {
		bytes += len(s.data) - drainedOf(&e.log, number).gone
		all += cap(s.data) - len(s.data)
	}
	for _, t := range []table{e.table, e.old} {
		bytes += (t.clean - t.gone) * slotBytes
		all += (len(t.slots) - t.clean) * slotBytes
	}
	return bytes / pageBytes, all / pageBytes
}

// checkSlots holds the tables and the spill to their order, and returns the
// hashes of the records by their locations.
func checkSlots(t fatalT, e *packedEngine) map[location]uint64 {
	t.Helper()
	slots := make(map[location]uint64)
	add := func(slot uint64) (x uint64) {
		where := location(slot & locationMask)
		if _, twice := slots[where]; twice {
			t.Fatalf("two slots lead to %x", where)
		}
		slots[where] = e.hashAt(where)
		return slots[where] << e.skip
	}
	walk := func(table *table, from int, belongs func(x uint64) bool) {
		last := uint64(0)
		for p := from; p < table.clean; p++ {
			if table.slots[p] == 0 {
				continue
			}
			x := add(table.slots[p])
			cut := table.cut(x)
			home := table.home(cut)
			switch {
			case table.tag(x) != table.slots[p]&tagMask || table.prefix(p) != cut:
				t.Fatalf("the slot at %d has tag %x and prefix %x, want those of %x", p, table.slots[p]>>tagShift, table.prefix(p), x)
			case cut < last:
				t.Fatalf("the slot at %d is out of order", p)
			case home > p || p-home > reachMax:
				t.Fatalf("the slot at %d is at home at %d", p, home)
			case !belongs(x):
				t.Fatalf("the slot at %d, x %x, is in the wrong table: front %x", p, x, e.front)
			}
			for i := home; i < p; i++ {
				if table.slots[i] == 0 {
					t.Fatalf("the slot at %d does not reach its home at %d", p, home)
				}
			}
			last = cut
		}
	}
	if e.table.full(e.n) {
		t.Fatalf("%d records are too many for %d slots", e.n, len(e.table.slots))
	}
	growing := e.old.slots != nil
	walk(&e.table, 0, func(x uint64) bool { return !growing || x < e.front })
	if growing {
		if takes := e.table.clean*slotBytes + e.old.bytes(); takes > e.tableBytes() {
			t.Fatalf("the tables take %d bytes, and are said to take %d", takes, e.tableBytes())
		}
		walk(&e.old, e.next, func(x uint64) bool { return x >= e.front })
	}
	for i, s := range e.spill {
		if x := add(s.slot); x != s.hash<<e.skip {
			t.Fatalf("spilled hash %x, want %x", s.hash, x>>e.skip)
		}
		if j, ok := e.findSpilled(s.hash, e.keyAt(location(s.slot&locationMask))); j != i || !ok {
			t.Fatalf("the spill is not sorted at %d", i)
		}
	}
	return slots
}

// workload is a mix of operations on an engine.
type workload struct {
	keys      uint64 // keys are drawn from so many
	put       int    // per cent of operations; the rest deletes
	size      func(r *rand.Rand) int
	hash      func(key []byte) uint64
	partition uint
}

// packedSteps is how many operations each of TestPackedAgainstMap's workloads
// makes: SHARD_STEPS, or some for every day.
func packedSteps(t *testing.T) int {
	if s := os.Getenv("SHARD_STEPS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("SHARD_STEPS: %v", err)
		}
		return n
	}
	return 20_000
}

func upTo(n int) func(*rand.Rand) int { return func(r *rand.Rand) int { return r.IntN(n) } }

// mostly draws sizes below small, and one in a hundred below large.
func mostly(small, large int) func(*rand.Rand) int {
	return func(r *rand.Rand) int {
		if r.IntN(100) == 0 {
			return r.IntN(large)
		}
		return r.IntN(small)
	}
}

// Under random operations of many kinds the packed engine holds what the map
// engine does, at every step, and its books are those of its memory.
func TestPackedAgainstMap(t *testing.T) {
	coarse := func(keep int) func([]byte) uint64 {
		return func(key []byte) uint64 { return kv.Hash(key) &^ (^uint64(0) >> keep) }
	}
	for name, w := range map[string]workload{
		"small":     {keys: 5_000, put: 70, size: upTo(100), hash: kv.Hash},
		"fixed":     {keys: 20_000, put: 90, size: func(*rand.Rand) int { return 100 }, hash: kv.Hash},
		"empty":     {keys: 3_000, put: 60, size: upTo(1), hash: kv.Hash},
		"mixed":     {keys: 1_000, put: 75, size: mostly(300, 70_000), hash: kv.Hash},
		"pages":     {keys: 200, put: 75, size: upTo(9_000), hash: kv.Hash},
		"few":       {keys: 40, put: 55, size: mostly(100, 200_000), hash: kv.Hash},
		"shared":    {keys: 5_000, put: 75, size: upTo(50), hash: coarse(8)},
		"one hash":  {keys: 300, put: 75, size: upTo(50), hash: constHash(1 << 50)},
		"partition": {keys: 10_000, put: 75, size: upTo(50), partition: 10, hash: func(key []byte) uint64 { return kv.Hash(key) >> 10 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.run(t, packedSteps(t), rand.Uint64())
		})
	}
}

func (w *workload) run(t *testing.T, steps int, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	a := new(arena)
	defer a.close()
	r := rand.New(rand.NewPCG(seed, 0))
	packed, reference := newPackedEngine(a, newPace(1), w.partition, w.hash), newMapEngine()
	checkEvery := max(steps/20, 1)
	put := w.put
	for i := range steps {
		if i%(steps/6+1) == 0 {
			put = []int{w.put, 100 - w.put}[r.IntN(2)] // grow, shrink
		}
		key := binary.BigEndian.AppendUint64(nil, r.Uint64N(w.keys))
		hash := w.hash(key)
		if r.IntN(100) < put {
			record := drawRecord(r, key, w.size(r))
			packed.Put(hash, &record)
			reference.Put(hash, &record)
		} else if packed.Delete(hash, key) != reference.Delete(hash, key) {
			t.Fatalf("step %d: deletes of %x differ", i, key)
		}
		key = binary.BigEndian.AppendUint64(nil, r.Uint64N(w.keys))
		got, gotOK := packed.Get(w.hash(key), key)
		want, wantOK := reference.Get(w.hash(key), key)
		if gotOK != wantOK || !sameRecord(&kv.Record{Entry: got}, &kv.Record{Entry: want}) {
			t.Fatalf("step %d: %x is %v, %v, want %v, %v", i, key, got, gotOK, want, wantOK)
		}
		if r.IntN(1000) == 0 {
			from := w.hash(binary.BigEndian.AppendUint64(nil, r.Uint64()))
			sameHeld(t, fmt.Sprintf("step %d: scan", i), scanEngine(packed, from, 100), scanEngine(reference, from, 100))
		}
		if i%97 == 0 {
			a.giveBack()
			poison(a)
		}
		if i%checkEvery == 0 || i == steps-1 {
			tidyUp(t, packed)
			checkPacked(t, packed)
			taken, promised := pagesOf(packed)
			checkArena(t, a, taken, promised)
			sameHeld(t, fmt.Sprintf("step %d: scan of all", i), scanEngine(packed, 0, 1<<30), scanEngine(reference, 0, 1<<30))
		}
	}
}

// tidyUp lets the engine do all that it has put off, which has an end.
func tidyUp(t fatalT, e *packedEngine) {
	t.Helper()
	for i := 0; e.Tidy(); i++ {
		if i > 100_000 {
			t.Fatalf("there is always more to tidy up: %+v", e.Memory())
		}
	}
}

func drawRecord(r *rand.Rand, key []byte, size int) kv.Record {
	record := kv.Record{Key: key, Entry: kv.Entry{Version: kv.Version(r.Uint64() | 1)}}
	if r.IntN(10) == 0 {
		record.Expires = r.Int64() | 1
	}
	if r.IntN(10) == 0 {
		record.Tombstone = true
		return record
	}
	if r.IntN(10) == 0 {
		record.Meta = []byte("text/plain")
	}
	record.Value = make([]byte, size)
	for i := 0; i < size; i += 1 + size/16 {
		record.Value[i] = byte(r.Uint64())
	}
	return record
}

// A large table grows through the size at which its slots keep other bits of
// the hash, and shrinks back.
func TestTableGrowsPastItsTags(t *testing.T) {
	a := new(arena)
	defer a.close()
	e := newPackedEngine(a, newPace(1), 0, kv.Hash)
	key := make([]byte, 8)
	skips := make(map[uint]bool)
	const n = 120_000
	every := uint64(often(5000, 1000))
	for i := range uint64(n) {
		binary.BigEndian.PutUint64(key, i)
		e.Put(kv.Hash(key), &kv.Record{Key: key, Entry: kv.Entry{Version: 1}})
		skips[e.table.skip] = true
		if i%20_000 == 0 || e.old.slots != nil && i%every == 0 {
			checkPacked(t, e)
		}
	}
	checkPacked(t, e)
	if !skips[0] || !skips[8] {
		t.Errorf("the tags were of %v, want both kinds", skips)
	}
	for i := range uint64(n - 1) {
		binary.BigEndian.PutUint64(key, i)
		if !e.Delete(kv.Hash(key), key) {
			t.Fatalf("key %d is not there", i)
		}
		if i%20_000 == 0 || e.old.slots != nil && i%every == 0 {
			checkPacked(t, e)
		}
	}
	checkPacked(t, e)
	if e.table.skip != 0 {
		t.Errorf("with %d records the table has %d slots", e.n, len(e.table.slots))
	}
}

// No call does work that grows with what is held: while a million keys come,
// are overwritten with other sizes and go, each moves a bounded number of
// records and slots. Counted, not timed: a count is the same on every machine.
func TestStepsAreBounded(t *testing.T) {
	n := uint64(often(30_000, 1_000_000))
	hashes := 0
	a := new(arena)
	defer a.close()
	e := newPackedEngine(a, newPace(1), 0, func(key []byte) uint64 { hashes++; return kv.Hash(key) })
	const (
		// A record of 50 bytes and its cost are 114 of compaction's bytes.
		recordsMax = compactStepMax/(50+recordCost) + 1
		// Slots of one tag are moved together.
		slotsMax = 2*growSlots + reachMax
	)
	key, value := make([]byte, 16), make([]byte, 200)
	r := rand.New(rand.NewPCG(1, 1))
	step := func(what string, i uint64, do func(hash uint64)) {
		binary.BigEndian.PutUint64(key, i)
		next, growing := e.next, e.old.slots != nil
		hashes = 0
		do(kv.Hash(key))
		if hashes > recordsMax+slotsMax {
			t.Fatalf("%s %d of %d looked at %d records", what, i, n, hashes)
		}
		// The rest of a table may be empty, and is skipped.
		if moved := e.next - next; growing && e.old.slots != nil && moved > 2*slotsMax {
			t.Fatalf("%s %d of %d moved %d slots", what, i, n, moved)
		}
	}
	put := func(i uint64) {
		step("put", i, func(hash uint64) {
			e.Put(hash, &kv.Record{Key: key, Entry: kv.Entry{Version: 1, Value: value[:50+r.IntN(100)]}})
		})
	}
	for i := range n {
		put(i)
	}
	for range n {
		put(r.Uint64N(n))
	}
	for i := range n - 1 {
		step("delete", i, func(hash uint64) { e.Delete(hash, key) })
	}
	checkPacked(t, e)
}

// Compaction and growth go on as fast as writes make them necessary: dead bytes
// stay at a 14th of what is live, a growing table is moved long before it is
// full again.
func TestCompactionKeepsUp(t *testing.T) {
	a := new(arena)
	defer a.close()
	e := newPackedEngine(a, newPace(1), 0, kv.Hash)
	e.pace.cores = 1e9 // not held back
	const n = 20_000
	key, value := make([]byte, 16), make([]byte, 200)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range uint64(6 * n) {
		binary.BigEndian.PutUint64(key, i%n)
		if i > 2*n {
			binary.BigEndian.PutUint64(key, r.Uint64N(n))
		}
		e.Put(kv.Hash(key), &kv.Record{Key: key, Entry: kv.Entry{Version: 1, Value: value[:50+r.IntN(100)]}})
		if e.old.slots != nil && e.table.full(e.n) {
			t.Fatalf("with %d keys the new table is full before it is in use", e.n)
		}
		m := e.Memory()
		if bound := (m.Live/deadShare + deadMinBytes) * 5 / 4; m.Dead > bound+int64(streams*segmentMaxBytes/16) {
			t.Fatalf("after %d puts: %+v, want %d dead at most", i, m, bound)
		}
	}
}

// What throttles compaction does not stop it for good: the sweeper catches up.
func TestSweepTidies(t *testing.T) {
	clock := newFakeClock()
	s := open(t, clock, Options{Partitions: 1, hash: kv.Hash, CompactShare: 0.9})
	s.pace.until.Store(int64(1 << 61))
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 30_000 {
		key := fmt.Sprint(random.IntN(3000))
		r := value(key, clock.version(uint64(i)), string(make([]byte, 50+random.IntN(100))))
		mustApply(t, s, kv.Hash(r.Key), r)
	}
	before := s.Stats().Memory
	if before.Dead < before.Live/2 {
		t.Fatalf("compaction was not held back: %+v", before)
	}
	s.pace.until.Store(0)
	s.Sweep()
	checkBooks(t, s)
	if m := s.Stats().Memory; m.Dead > m.Live/deadShare+deadMinBytes {
		t.Errorf("the sweeper left %+v", m)
	}
}

// FuzzPacked reads operations from bytes, four each, and compares the engines.
func FuzzPacked(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 1, 200, 9, 1, 1, 0, 0, 0, 2, 0, 0})
	f.Add(make([]byte, 4000))
	f.Fuzz(func(t *testing.T, ops []byte) {
		a := new(arena)
		defer a.close()
		hash := func(key []byte) uint64 { return kv.Hash(key[:1]) } // 256 hashes, shared by others
		packed, reference := newPackedEngine(a, newPace(1), 0, hash), newMapEngine()
		for ; len(ops) >= 4; ops = ops[4:] {
			key := ops[1 : 2+ops[0]>>6]
			h := hash(key)
			switch ops[0] & 7 {
			case 0, 1:
				if got, want := packed.Delete(h, key), reference.Delete(h, key); got != want {
					t.Fatalf("Delete(%x) = %v, want %v", key, got, want)
				}
			case 2:
				packed.Tidy()
			default:
				size := int(ops[2]) << (ops[3] & 7)
				r := kv.Record{Key: key, Entry: kv.Entry{Version: kv.Version(ops[3]) + 1, Value: make([]byte, size)}}
				r.Tombstone = ops[3]&0x40 != 0
				if ops[3]&0x80 != 0 {
					r.Expires = int64(ops[3])
				}
				packed.Put(h, &r)
				reference.Put(h, &r)
			}
		}
		checkPacked(t, packed)
		sameHeld(t, "scan", scanEngine(packed, 0, 1<<30), scanEngine(reference, 0, 1<<30))
	})
}
