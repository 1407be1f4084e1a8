package shard

import (
	"time"

	"httpdhs/kv"
)

// sweepStep is how many dues the sweeper looks at under one hold of a shard's
// lock.
const sweepStep = 32

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
// what is past its grace is removed. It returns the number of the removed. It
// costs what is due, whatever else is held. A shard's lock is held for a
// bounded number of entries at a time. After Close a pass ends before its next
// shard.
//
// On its way it does what the engines have put off. At its end it gives back what was freed and not
// used again for some passes.
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
		for sh := &s.shards[i]; p.step(sh); {
		}
		for sh := &s.shards[i]; s.rest() && p.tidy(sh); {
		}
	}
	s.arena.giveBack()
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

// step sweeps entries of the shard and says whether there is more to do. A run
// of equal hashes is not split.
func (p *sweepPass) step(sh *shard) (more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.dues.first() > p.now {
		return false
	}
	defer p.store.settle(sh, 0)
	began := sh.steps.begin()
	defer sh.steps.end(StepSweep, began)
	return p.sweepDue(sh)
}

// sweepDue is step without the lock and the accounting.
func (p *sweepPass) sweepDue(sh *shard) (more bool) {
	last := due{at: -1}
	for seen := 0; sh.dues.first() <= p.now; seen++ {
		if seen == sweepStep {
			return true
		}
		if d := sh.dues.remove(0); d != last {
			last = d
			p.sweepHash(sh, d.hash)
		}
	}
	return false
}

// tidy does a step of what the shard's engine has put off.
func (p *sweepPass) tidy(sh *shard) (more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	defer p.store.settle(sh, 0)
	return sh.engine.Tidy()
}

// rest waits for compaction's next turn, and says whether the store goes on.
func (s *Store) rest() bool {
	wait, _ := s.pace.delay()
	if wait == 0 {
		return true
	}
	select {
	case <-s.stop:
		return false
	case <-time.After(wait):
		return true
	}
}

// sweepHash buries or removes what is due of a hash.
func (p *sweepPass) sweepHash(sh *shard, hash uint64) {
	p.over, p.keys = p.over[:0], p.keys[:0]
	sh.engine.Scan(hash, func(h uint64, r *kv.Record) bool {
		if h != hash {
			return false
		}
		if dueAt(&r.Entry, p.store.grace) <= p.now {
			p.keys = append(p.keys, r.Key...)
			p.over = append(p.over, overdue{hash: hash, keyEnd: len(p.keys), entry: r.Entry})
		}
		return true
	})
	keyStart := 0
	for i := range p.over {
		o := &p.over[i]
		p.end(sh, o, p.keys[keyStart:o.keyEnd])
		keyStart = o.keyEnd
	}
	clear(p.over)
}

// end removes or buries an entry. The caller holds the shard's lock.
func (p *sweepPass) end(sh *shard, o *overdue, key []byte) {
	s, place := p.store, p.store.place(o.hash)
	if o.entry.Collectable(p.now, s.grace) {
		sh.remove(place, key, &o.entry)
		p.collected++
		return
	}
	buried := kv.Record{Key: key, Entry: o.entry}
	buried.Bury()
	sh.put(place, &buried, &o.entry, s.grace)
}
