package placement

import (
	"sync"
	"sync/atomic"

	"httpdhs/kv"
)

// Refusals are notes of what this node did not store.
//
// A replica that refuses a record, for want of room or because its limits are lower, knows that
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
// Anti-entropy fetches what was refused when it compares this node with the other owners, and
// forgets notes of what none of them has. The older value is kept: when every owner refuses a
// write, that value is all that there is.
type Refusals struct {
	parts []atomic.Pointer[refusals] // by partition; nil: nothing was refused there
	round atomic.Uint64              // grows with each comparison of all of them
}

// NextRound begins a comparison with the other owners, and returns its number: notes are marked
// with the round in which they are made.
func (f *Refusals) NextRound() uint64 { return f.round.Add(1) }

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
	why     error  // it was refused last
}

// refusalsMax bounds the notes of a partition. Past it the node takes itself for behind at every
// key there that it holds no newer version of.
const refusalsMax = 64

func newRefusals(partitions int) Refusals {
	return Refusals{parts: make([]atomic.Pointer[refusals], partitions)}
}

// Any says whether anything was refused in the partition.
func (f *Refusals) Any(partition int) bool { return f.parts[partition].Load() != nil }

// Lacks is why a newer version than the one held was refused; nil: none was. It is looked at after
// the store: what is refused meanwhile does no harm.
func (f *Refusals) Lacks(partition int, hash uint64, held kv.Version) (why error) {
	r := f.parts[partition].Load()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.notes {
		if r.notes[i].hash == hash {
			return r.notes[i].lacking(held)
		}
	}
	return r.rest.lacking(held)
}

func (n *refusal) lacking(held kv.Version) (why error) {
	if held < n.version {
		return n.why
	}
	return nil
}

// note takes down that a version was refused, and why.
func (f *Refusals) note(partition int, hash uint64, version kv.Version, why error) {
	for {
		r := f.parts[partition].Load()
		if r == nil {
			r = new(refusals)
			if !f.parts[partition].CompareAndSwap(nil, r) {
				continue
			}
		}
		r.mu.Lock()
		if f.parts[partition].Load() == r { // else its last note was forgotten meanwhile
			r.noteLocked(refusal{hash, version, f.round.Load(), why})
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

// Forget drops the notes of the partition that were made before the round.
func (f *Refusals) Forget(partition int, round uint64) {
	r := f.parts[partition].Load()
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
		f.parts[partition].Store(nil)
	}
}
