package shard

import (
	"math/bits"
	"sync/atomic"

	"httpdhs/kv"
)

// A store at its bound that evicts nothing has memory that nobody uses: dead
// bytes that compaction has left for later, and values that have expired. A
// write that finds no room makes it there, in bounded steps: first in its own
// shard, under the lock that it has, then in whichever shard has most to give.
// Nothing is done while there is room.
const (
	// squeezeSteps is how many steps a write makes in its own shard: less than a
	// millisecond.
	squeezeSteps = 8

	// trimSteps is how many a write makes in its own shard that finds the store
	// above its bound.
	trimSteps = 2

	// A write makes at most regainSteps in other shards, and one more for so many
	// bytes that it lacks: enough where a 16th of the segments is dead.
	regainSteps     = 128
	regainStepBytes = compactStepMax / 16

	// spareShare is the part of the live bytes up to which dead ones are not worth
	// it: to regain a byte costs 64 to move. Above spareMuch they come before
	// what has expired, which costs little but makes only bytes dead.
	spareShare = 64
	spareMuch  = 32

	// Ranks of gifts; above each, the binary logarithm of the spare pages counts.
	rankNone = 0
	rankDue  = 1 << 8
	rankMuch = 2 << 8
)

// spare is about what compaction down to the last byte would give back.
func (m *Memory) spare() int64 {
	if m.Dead <= m.Live/spareShare {
		return 0
	}
	return m.Segments - m.Live
}

// gift is what a shard has for writes that find no memory. Who holds the shard's
// lock writes it, where it changes, and anyone reads it.
type gift struct {
	due  atomic.Int64 // when the first of its entries is due, Unix milliseconds
	rank atomic.Int32 // of its spare pages, rankNone if there are none
}

func (g *gift) set(due int64, m *Memory) {
	if g.due.Load() != due {
		g.due.Store(due)
	}
	rank := int32(bits.Len64(uint64(m.spare() / pageBytes)))
	if rank > 0 && m.Dead > m.Live/spareMuch {
		rank += rankMuch
	}
	if g.rank.Load() != rank {
		g.rank.Store(rank)
	}
}

// squeezeOwn makes room for a record in its own shard and reserves it, or says
// how much is missing. The caller holds the shard's lock.
func (s *Store) squeezeOwn(sh *shard, hash uint64, r *kv.Record, reserved int64) (growth, missing int64) {
	size := int64(recordSize(r))
	for range squeezeSteps {
		if m := sh.memory(); m.spare() < size || !sh.engine.Squeeze() {
			break
		}
		s.settle(sh, 0)
		var ok bool
		if growth, ok = s.reserve(sh, hash, r, reserved, s.bound(r, terms{})); ok {
			return growth, 0
		}
	}
	return 0, max(s.growth(sh, hash, r)-reserved, 1)
}

// trim brings the store back within its bound, where tombstones or what
// compaction copies took it past it. The caller holds the shard's lock.
func (s *Store) trim(sh *shard) {
	for range trimSteps {
		if !s.trims(sh) || !s.trimStep(sh) {
			return
		}
	}
}

func (s *Store) trimStep(sh *shard) (did bool) {
	if s.eviction != EvictNone {
		return s.evictStep(sh, s.over())
	}
	defer s.settle(sh, 0)
	return sh.engine.Squeeze()
}

// trims says whether trim would take something from a shard. The caller holds
// its lock.
func (s *Store) trims(sh *shard) bool {
	if s.maxBytes == 0 || s.over() <= 0 {
		return false
	}
	if s.eviction != EvictNone {
		return sh.held >= s.fair()-s.fair()/fairSlack
	}
	return sh.gift.rank.Load() > rankNone
}

// trimAlone is trim of the shard of a hash for a caller who holds no lock.
func (s *Store) trimAlone(hash uint64) {
	sh := &s.shards[s.place(hash).partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.trim(sh)
}

// regain makes room until the store is within its bound, in so many steps at
// most. It returns how many are left. The caller holds s.short and no shard's
// lock.
func (s *Store) regain(steps int64) (left int64) {
	s.expiry.now = s.nowMillis()
	for ; steps > 0 && s.over() > 0; steps-- {
		sh, rank := s.giver(s.expiry.now)
		switch rank {
		case rankNone:
			return steps
		case rankDue:
			s.expiry.step(sh)
			continue
		}
		sh.mu.Lock()
		sh.engine.Squeeze()
		s.settle(sh, 0)
		sh.mu.Unlock()
	}
	return steps
}

// giver is the shard that gives next, with the rank of what it has to give.
func (s *Store) giver(now int64) (giver *shard, best int32) {
	for i := range s.gifts {
		g := &s.gifts[i]
		rank := g.rank.Load()
		if rank < rankDue && g.due.Load() <= now {
			rank = rankDue
		}
		if rank > best {
			giver, best = &s.shards[i], rank
		}
	}
	return giver, best
}
