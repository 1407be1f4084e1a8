package replicate

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// A replica that refuses a record, because its memory is full or its limits are lower, knows that
// it is behind: others may hold that record, and a client may have read it there. It keeps a note
// of the record's version for as long as it holds nothing as new. Until then:
//
//   - A read of level one does not take its word for that key. The reader asks the next owner, and
//     falls back on what it holds only where no other owner is up.
//   - A read of more replicas counts it as one that has answered. An acknowledged write was stored
//     by w owners, and one that refuses is none of them, so where w+r > N one of any r that
//     answer holds it. Of a write that was not acknowledged fewer may hold it. Then the reader
//     also waits for all other owners that are up, so that it finds what an earlier read has found.
//   - It decides no condition on the key.
//   - A node that claims a partition does not rely on its word alone.
//
// The replica fetches what it has refused when it compares itself with the other owners
// (catchUp), and forgets notes of what none of them has. It keeps the older value: when every
// owner refuses a write, that value is all that there is.
type behind struct {
	parts  []atomic.Pointer[refusals] // by partition; nil: nothing was refused there
	round  atomic.Uint64              // grows with each catchUp
	caught time.Time                  // when catchUp was called last; of the sync loop alone
	next   int                        // partition that it goes on from; the same
	full   time.Time                  // when a claim last found too little room; the same
}

// refusals are the notes of a partition.
type refusals struct {
	mu    sync.Mutex // guards all below
	notes []refusal  // at most refusalsMax, a hash each
	rest  refusal    // of all other keys, the newest; zero: none
}

// refusal is the newest version refused of the keys of a hash.
type refusal struct {
	hash    uint64
	version kv.Version
	round   uint64 // in which it was made
}

// refusalsMax bounds the notes of a partition. Past it the node takes itself for behind at every
// key there that it holds no newer version of.
const refusalsMax = 64

func newBehind(partitions int) behind {
	return behind{parts: make([]atomic.Pointer[refusals], partitions)}
}

// any says whether anything was refused in the partition.
func (b *behind) any(partition int) bool { return b.parts[partition].Load() != nil }

// lacks says whether a newer version than the one held was refused. It is looked at after the
// store: what is refused meanwhile does no harm.
func (b *behind) lacks(partition int, hash uint64, held kv.Version) bool {
	r := b.parts[partition].Load()
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.notes {
		if r.notes[i].hash == hash {
			return held < r.notes[i].version
		}
	}
	return held < r.rest.version
}

// note takes down that a version was refused.
func (b *behind) note(partition int, hash uint64, version kv.Version) {
	for {
		r := b.parts[partition].Load()
		if r == nil {
			r = new(refusals)
			if !b.parts[partition].CompareAndSwap(nil, r) {
				continue
			}
		}
		r.mu.Lock()
		if b.parts[partition].Load() == r { // else its last note was forgotten meanwhile
			r.noteLocked(refusal{hash, version, b.round.Load()})
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
	}
}

func (r *refusals) noteLocked(n refusal) {
	for i := range r.notes {
		if old := &r.notes[i]; old.hash == n.hash {
			n.version = max(n.version, old.version)
			*old = n
			return
		}
	}
	if len(r.notes) < refusalsMax {
		r.notes = append(r.notes, n)
		return
	}
	n.version = max(n.version, r.rest.version)
	r.rest = n
}

// forget drops the notes of the partition that were made before the round.
func (b *behind) forget(partition int, round uint64) {
	r := b.parts[partition].Load()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.notes[:0]
	for _, n := range r.notes {
		if n.round >= round {
			kept = append(kept, n)
		}
	}
	r.notes = kept
	if r.rest.round < round {
		r.rest = refusal{}
	}
	if len(r.notes) == 0 && r.rest.version == 0 {
		b.parts[partition].Store(nil)
	}
}

// refuse takes down what this node makes of a record that it was to store, if it refuses it.
// A version that no node believes is none to be behind of.
func (c *Coordinator) refuse(hash uint64, version kv.Version, r *wire.Result) {
	if r.Code != wire.NoMemory && r.Code != wire.Refused || !c.clock.Observe(version) {
		return
	}
	c.behind.note(c.view.Load().partition(hash), hash, version)
}

// applyIf decides a condition and stores the record, unless this node is behind at its key.
func (c *Coordinator) applyIf(partition int, hash uint64, r *kv.Record, cond *kv.Condition) wire.Result {
	if c.behind.any(partition) {
		if e, _, _ := c.store.Get(nil, hash, r.Key); c.behind.lacks(partition, hash, e.Version) {
			return wire.Result{Code: wire.NoMemory}
		}
	}
	return c.mergeResult(c.store.ApplyIf(hash, r, cond))
}

// catchUp fetches from the other owners, every driftEvery, what this node has refused, partition by
// partition. Where all of them were compared with, it forgets the notes from before the round
// before: it holds what they have, or has refused it again, which is a new note. What none of them
// has was acknowledged by nobody who still holds it. It stops where there is no room, and where a
// claim waits, and goes on from there next time.
func (c *Coordinator) catchUp() {
	b := &c.behind
	if time.Since(b.caught) < driftEvery {
		return
	}
	b.caught = time.Now()
	round := b.round.Add(1)
	for range b.parts {
		part := b.next
		b.next = (b.next + 1) % len(b.parts)
		if !b.any(part) {
			continue
		}
		if !c.view.Load().mine[part] { // any more: it is asked for nothing there
			b.forget(part, round)
			continue
		}
		compared, full := c.compareWithOwners(part)
		if compared {
			b.forget(part, round-1)
		}
		if full || len(c.unclaimed()) > 0 {
			return
		}
	}
}

// compareWithOwners fetches what the other owners of a partition have and this node has not. It
// says whether all of them were compared with, and whether there was no room.
func (c *Coordinator) compareWithOwners(part int) (compared, full bool) {
	v := c.view.Load()
	compared = true
	for _, n := range v.owners(part) {
		p := v.peers[n]
		if p == nil {
			continue
		}
		if p.State() == peer.Down {
			compared = false
			continue
		}
		err := c.pullFrom(origin{p, false}, []int{part})
		switch {
		case errors.Is(err, kv.ErrNoMemory):
			full = true
		case err != nil:
			compared = false
			if !errors.Is(err, errNotYet) && !c.closed.Load() {
				c.opt.Log.Warn("cannot fetch what was refused", "peer", p.Name(), "error", err)
			}
		}
	}
	return compared, full
}
