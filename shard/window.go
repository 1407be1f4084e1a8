package shard

import "httpdhs/kv"

// A window is the part of a batch that is merged under locks that are taken once. It is as long as
// cache misses can overlap (a processor has some ten to twenty under way), and no longer. Whoever
// else wants one of its shards waits for all of it, which is some microseconds. With large values
// that would be the time to copy them, so their bytes bound it too.
const (
	windowOffers = 16
	windowBytes  = 64 << 10
)

// ApplyAll is Apply, or Decide where an offer has a decision, for each of the offers. Those of
// one key are applied in their order. Each has an answer of its own. The locks of a window's shards
// are taken once, in the order of the partitions. Offers that come in that order take a shard's
// lock once for all of them, and any order will do. Where Options.Eviction has to make room for one
// of them, the locks are given back and taken again around it. It allocates nothing.
func (s *Store) ApplyAll(offers []kv.Offer) {
	if s.journal.Admit(false) != nil {
		for i := range offers {
			s.applyAlone(&offers[i], terms{}) // deletes may be admitted yet
		}
		return
	}
	s.applyAll(offers, terms{})
}

// Restore is ApplyAll of what this store held before, in the order in which it came to hold it. So
// what is collectable by now takes the place of what it had replaced.
func (s *Store) Restore(offers []kv.Offer) { s.applyAll(offers, terms{restore: true}) }

// applyAll offers all by the same terms, but for their decisions.
func (s *Store) applyAll(offers []kv.Offer, t terms) {
	for len(offers) > 0 {
		n := windowOf(offers)
		if n == 1 {
			s.applyAlone(&offers[0], t)
		} else {
			s.applyWindow(offers[:n], t)
		}
		offers = offers[n:]
	}
}

// windowOf is the length of the first window.
func windowOf(offers []kv.Offer) int {
	offers = offers[:min(len(offers), windowOffers)]
	bytes := 0
	for i := range offers {
		r := offers[i].Record
		if bytes += len(r.Key) + len(r.Value); bytes > windowBytes {
			return max(i, 1)
		}
	}
	return len(offers)
}

// Touch loads what a Get of these hashes, or a write to them, will look at first, so that their
// cache misses overlap. It is a hint, for a caller who is about to come with some sixteen of them
// one after the other.
func (s *Store) Touch(hashes []uint64) {
	for len(hashes) > 1 {
		n := min(len(hashes), windowOffers)
		var w window
		copy(w.hashes[:], hashes[:n])
		w.n = n
		s.order(&w)
		w.lock()
		w.touch()
		w.unlock()
		hashes = hashes[n:]
	}
}

// window is the keys of a window, and where they are. They are in the order of their partitions,
// and within one in the order of the offers.
type window struct {
	n      int
	hashes [windowOffers]uint64 // as they came
	order  [windowOffers]uint64 // partition and, in the low bits, the place among the hashes
	shards [windowOffers]*shard // of each in order; nil: the one before
	seen   uint32               // what lock and touchDigests have loaded, so that they do
}

const (
	windowPlaceBits = 8
	windowPlaceMask = 1<<windowPlaceBits - 1
)

// applyAlone merges an offer that is in no window, or for which one found no room.
func (s *Store) applyAlone(o *kv.Offer, t terms) {
	t.decision = o.Decision
	o.Applied, o.Err = s.merge(o.Hash, o.Record, t)
}

func (s *Store) applyWindow(offers []kv.Offer, t terms) {
	var w window
	for i := range offers {
		w.hashes[i] = offers[i].Hash
	}
	w.n = len(offers)
	s.order(&w)
	for w.n > 0 {
		done, short := s.applyLocked(&w, offers, t)
		last := &offers[w.order[done-1]&windowPlaceMask]
		switch {
		case short:
			s.applyAlone(last, t)
		case s.maxBytes > 0 && s.over() > 0:
			s.trimAlone(last.Hash)
		}
		w.n = copy(w.order[:], w.order[done:w.n])
		s.group(&w)
	}
}

// applyLocked goes through the window's offers up to the first that needs an eviction. It says how
// many these are, and whether the last was short of room and is still to be merged. Eviction may
// take long, and the locks of other shards, each alone: it is not for one who holds sixteen.
func (s *Store) applyLocked(w *window, offers []kv.Offer, t terms) (done int, short bool) {
	w.lock()
	defer w.unlock()
	w.touch()
	w.touchDigests(s.bits)
	t.window = true
	var sh *shard
	for i, key := range w.order[:w.n] {
		if w.shards[i] != nil {
			sh = w.shards[i]
		}
		var missing int64
		o := &offers[key&windowPlaceMask]
		t.decision = o.Decision
		o.Applied, missing, o.Err = s.tryLocked(sh, s.place(o.Hash), o.Record, t, 0)
		if missing > 0 {
			return i + 1, true
		}
		if s.trims(sh) {
			return i + 1, false
		}
	}
	return w.n, false
}

// order sorts the window, which is short and often sorted already.
func (s *Store) order(w *window) {
	for i, hash := range w.hashes[:w.n] {
		key := hash>>(64-s.bits)<<windowPlaceBits | uint64(i)
		at := i
		for ; at > 0 && w.order[at-1] > key; at-- {
			w.order[at] = w.order[at-1]
		}
		w.order[at] = key
	}
	s.group(w)
}

// group finds the shards of the window's order.
func (s *Store) group(w *window) {
	last := ^uint64(0)
	for i, key := range w.order[:w.n] {
		if partition := key >> windowPlaceBits; partition != last {
			w.shards[i], last = &s.shards[partition], partition
		} else {
			w.shards[i] = nil
		}
	}
}

// lock takes the locks in ascending order of partitions, as all do who take more than one, so that
// nobody waits in a circle. It looks at what lies beside each lock first. To take a lock waits for
// its cache line; to look does not.
func (w *window) lock() {
	for _, sh := range w.shards[:w.n] {
		if sh != nil {
			w.seen += sh.near.Load()
		}
	}
	for _, sh := range w.shards[:w.n] {
		if sh != nil {
			sh.mu.Lock()
		}
	}
}

func (w *window) unlock() {
	for _, sh := range w.shards[:w.n] {
		if sh != nil {
			sh.mu.Unlock()
		}
	}
}

// touch loads what will be read first: the slot of each key, then its record.
// Loads that do not wait for each other overlap, where merge after merge would
// wait for each miss of the cache.
func (w *window) touch() {
	var engines [windowOffers]*packedEngine
	var e *packedEngine
	for i, sh := range w.shards[:w.n] {
		if sh != nil {
			e, _ = sh.engine.(*packedEngine)
		}
		if engines[i] = e; e != nil {
			e.touchSlot(w.hashes[w.order[i]&windowPlaceMask])
		}
	}
	for i, e := range engines[:w.n] {
		if e != nil {
			e.touchRecord(w.hashes[w.order[i]&windowPlaceMask])
		}
	}
}

// touchDigests loads the digests that writes will change.
func (w *window) touchDigests(partitionBits uint) {
	var sh *shard
	for i, key := range w.order[:w.n] {
		if w.shards[i] != nil {
			sh = w.shards[i]
		}
		w.seen += uint32(sh.digests[w.hashes[key&windowPlaceMask]<<partitionBits>>(64-bucketBits)])
	}
}

// touchSlot loads the first slot that find will look at. It is not to be
// inlined: a load whose result is not used would be left out.
//
//go:noinline
func (e *packedEngine) touchSlot(hash uint64) uint64 {
	x := hash << e.skip
	t := e.home(x)
	if t.slots == nil {
		return 0
	}
	return t.slots[t.home(t.cut(x))]
}

// touchRecord loads the beginning of the record that find will look at first.
//
//go:noinline
func (e *packedEngine) touchRecord(hash uint64) byte {
	x := hash << e.skip
	t := e.home(x)
	p := t.seek(x)
	if !t.matches(p, t.tag(x)) {
		return 0
	}
	where := location(t.slots[p] & locationMask)
	return e.log.segments[where.segment()].data[where.place()]
}
