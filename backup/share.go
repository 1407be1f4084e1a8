package backup

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/shard"
)

// ErrTooLittle is what a Merger returns where one partition needs more than it may take.
var ErrTooLittle = errors.New("too little memory")

// share is the partitions from lo up to hi: what a pass keeps of the logs. Where they take more
// than they may, it gives up its upper half, for a later pass.
type share struct {
	lo     int
	budget int64

	hi    atomic.Int64
	since atomic.Int64 // bytes that came since memory was last looked at

	mu     sync.Mutex   // guards all below; held while it shrinks
	merged *shard.Store // of the nodes before
	some   bool         // there is one
	node   *shard.Store // of the node at hand; nil: it is merged
	err    error
}

// lookEvery is how much may come between two looks at the memory that is taken.
const lookEvery = 4 << 20

// newStore makes a store that keeps what it is given: it knows no time.
func newStore(partitions int) (*shard.Store, error) {
	return shard.Open(shard.Options{Partitions: partitions, SweepEvery: -1, Now: func() time.Time { return time.UnixMilli(1) }})
}

func (s *share) has(partition int) bool {
	return partition >= s.lo && int64(partition) < s.hi.Load()
}

// took notes that so many bytes came, and shrinks the share where they are too many.
func (s *share) took(bytes int64) error {
	if s.since.Add(bytes) < lookEvery {
		return nil
	}
	s.since.Store(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.used() > s.budget {
		hi := int(s.hi.Load())
		half := s.lo + (hi-s.lo)/2
		if half == s.lo {
			s.err = fmt.Errorf("%w: the entries of one partition take %s, and all together may take %s", ErrTooLittle, inMiB(s.used()), inMiB(s.budget))
			break
		}
		s.hi.Store(int64(half))
		giveUp(s.merged, half, hi)
		if s.node != nil {
			giveUp(s.node, half, hi)
		}
	}
	return s.err
}

// sweepsUntilBack is after how many passes of its sweeper a store has given back what was freed.
const sweepsUntilBack = 12

// giveUp empties the partitions from lo up to hi, and gives their memory back.
func giveUp(store *shard.Store, lo, hi int) {
	for p := lo; p < hi; p++ {
		store.Drop(p)
	}
	for range sweepsUntilBack {
		store.Sweep()
	}
}

// used is what the share takes. The caller holds mu.
func (s *share) used() int64 {
	used := s.merged.Stats().Accounted
	if s.node != nil {
		used += s.node.Stats().Accounted
	}
	return used
}

// logStore is a disk.Store that keeps of a node's log what belongs to a share.
type logStore struct {
	*share
	store *shard.Store
	shift int // of a hash, to its partition
}

// keptAtOnce is how many records are merged together.
const keptAtOnce = 64

// Restore implements disk.Store.
func (l *logStore) Restore(offers []kv.Offer) {
	var kept [keptAtOnce]kv.Offer
	for len(offers) > 0 {
		n, bytes := 0, int64(0)
		part := offers[:min(len(offers), keptAtOnce)]
		for _, o := range part {
			if l.has(int(o.Hash >> l.shift)) {
				kept[n] = o
				n++
				bytes += int64(len(o.Record.Key) + len(o.Record.Value))
			}
		}
		l.store.Restore(kept[:n])
		err := l.took(bytes)
		for i := range n {
			err = errors.Join(err, kept[i].Err)
		}
		part[0].Err = err
		offers = offers[len(part):]
	}
}

// Drop implements disk.Store.
func (l *logStore) Drop(partition int) {
	if l.has(partition) {
		l.store.Drop(partition)
	}
}

// What else a disk.Store has is for logs that are written.

func (l *logStore) Touch([]uint64)                                         {}
func (l *logStore) Scan(int, uint64, func(hash uint64, r *kv.Record) bool) {}
func (l *logStore) Again(uint64, []byte, kv.Version) bool                  { return false }
func (l *logStore) Mark(int) kv.Version                                    { return 0 }
func (l *logStore) RaiseMark(int, kv.Version)                              {}
func (l *logStore) LiveBytes() int64                                       { return 0 }

// mergeIn merges what the node at hand holds into what others hold.
func (s *share) mergeIn(node *shard.Store) error {
	for p := s.lo; s.has(p); p++ {
		var offers [keptAtOnce]kv.Offer
		var records [keptAtOnce]kv.Record
		n, bytes := 0, int64(0)
		flush := func() (err error) {
			s.merged.Restore(offers[:n])
			for i := range offers[:n] {
				err = errors.Join(err, offers[i].Err)
			}
			n = 0
			return err
		}
		var err error
		node.Scan(p, 0, func(hash uint64, r *kv.Record) bool {
			records[n] = *r
			offers[n] = kv.Offer{Hash: hash, Record: &records[n]}
			bytes += int64(len(r.Key) + len(r.Value))
			if n++; n == keptAtOnce {
				err = flush()
			}
			return err == nil
		})
		if err == nil {
			err = flush() // nobody else has the node's store: what the records alias is still there
		}
		if err == nil {
			err = s.took(bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
