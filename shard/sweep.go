package shard

import (
	"time"

	"httpdhs/kv"
)

// sweepStep is how many entries the sweeper looks at under one hold of a
// shard's lock.
const sweepStep = 256

func (s *Store) sweepLoop(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.Sweep()
		}
	}
}

// Sweep makes one pass over the shards in which something is due: values past
// their expiry become tombstones (kv.Entry.Bury), which frees their memory;
// what is past its grace is removed. It returns the number of the removed. A
// shard's lock is held for a bounded number of entries at a time. After Close a
// pass ends before its next shard.
func (s *Store) Sweep() (collected int) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	p := sweepPass{store: s, now: s.nowMillis()}
	for i := range s.shards {
		select {
		case <-s.stop:
			return p.collected
		default:
		}
		sh := &s.shards[i]
		for from, more := uint64(0), p.begin(sh); more; {
			from, more = p.step(sh, from)
		}
	}
	return p.collected
}

// sweepPass is the state of a Sweep. Its buffers are reused from step to step.
type sweepPass struct {
	store     *Store
	now       int64 // Unix milliseconds
	collected int

	over []overdue
	keys []byte // of over, one after the other
}

// overdue is an entry that a step has to bury or remove.
type overdue struct {
	hash   uint64
	keyEnd int      // in sweepPass.keys
	entry  kv.Entry // its slices are good for their lengths only
}

// begin says whether anything in the shard is due. If so, it forgets what is:
// the steps find out anew, together with the writes that come between them.
func (p *sweepPass) begin(sh *shard) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.due > p.now {
		return false
	}
	sh.due = neverDue
	return true
}

// step sweeps the entries from a hash on and returns where the next step
// begins, if there is more. A run of equal hashes is not split.
func (p *sweepPass) step(sh *shard, from uint64) (next uint64, more bool) {
	p.over, p.keys = p.over[:0], p.keys[:0]
	sh.mu.Lock()
	defer sh.mu.Unlock()

	seen := 0
	sh.engine.Scan(from, func(hash uint64, r *kv.Record) bool {
		if seen >= sweepStep && hash != next {
			next, more = hash, true
			return false
		}
		seen, next = seen+1, hash
		if due := dueAt(&r.Entry, p.store.grace); due > p.now {
			sh.due = min(sh.due, due)
			return true
		}
		p.keys = append(p.keys, r.Key...)
		p.over = append(p.over, overdue{hash: hash, keyEnd: len(p.keys), entry: r.Entry})
		return true
	})
	keyStart := 0
	for i := range p.over {
		o := &p.over[i]
		p.end(sh, o, p.keys[keyStart:o.keyEnd])
		keyStart = o.keyEnd
	}
	clear(p.over)
	return next, more
}

// end removes or buries an entry. The caller holds the shard's lock.
func (p *sweepPass) end(sh *shard, o *overdue, key []byte) {
	s, place := p.store, p.store.place(o.hash)
	was := footprint(key, &o.entry).Accounted
	if o.entry.Collectable(p.now, s.grace) {
		sh.remove(place, key, &o.entry)
		s.accounted.Add(-was)
		p.collected++
		return
	}
	buried := kv.Record{Key: key, Entry: o.entry}
	buried.Bury()
	s.accounted.Add(footprint(key, &buried.Entry).Accounted - was)
	sh.put(place, &buried, &o.entry, s.grace)
}
