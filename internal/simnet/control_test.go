package simnet

import (
	"slices"
	"sync"
	"testing"
	"time"

	"httpdhs/dataplane"
	"httpdhs/kv"
)

// controlSeeds is how many runs may pass before one shows what is broken.
const controlSeeds = 60

// finds runs seeds until one breaks one of the properties, and fails when none does.
func finds(t *testing.T, rules Rules, properties []string, change func(*Shape)) {
	t.Helper()
	for seed := range uint64(controlSeeds) {
		shape := drawShape(seed+1, together)
		shape.RestTime = time.Minute // what is broken may never come to rest
		change(&shape)
		for _, v := range Check(run(t, shape), rules) {
			if slices.Contains(properties, v.Property) {
				t.Logf("seed %d: %v", seed+1, v)
				return
			}
		}
	}
	t.Errorf("none of %d seeds breaks %v", controlSeeds, properties)
}

// split has one node cut off from all others for some seconds, in the middle.
func split(s *Shape) {
	s.Span = 6 * time.Second
	all := names(s.Nodes)
	s.Faults = []*Fault{{Kind: Cut, At: time.Second, For: 3 * time.Second, A: all[:1], B: all[1:]}}
}

// Without tombstones a deleted key comes back from a node that was cut off.
func TestControlTombstonesForgotten(t *testing.T) {
	finds(t, Rules{}, []string{"deleted"}, func(s *Shape) {
		split(s)
		s.Faults[0].For = s.Span // so that nothing is written after it
		s.Deletes = 0.4
		s.Grace, s.SweepEvery = 300*time.Millisecond, 100*time.Millisecond
	})
}

// In a split, what holds of quorums does not hold of one replica.
func TestControlWeakLevels(t *testing.T) {
	weak := func(s *Shape) { split(s); s.Weak = true }
	finds(t, Rules{AssumeStrict: true}, []string{"strict"}, weak)
	finds(t, Rules{AssumeStrict: true}, []string{"back"}, weak)
}

// liar is a replica that does not do what it says.
type liar struct {
	dataplane.Store
	mu      sync.Mutex // guards all below
	applied int
	drops   bool                // it acknowledges records that it does not store
	older   map[string]kv.Entry // it answers what it had first
}

func (l *liar) Apply(hash uint64, r *kv.Record) (kv.Applied, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.applied++; l.drops && l.applied%5 == 0 {
		return kv.Applied{Outcome: kv.Stored, Current: r.Version}, nil
	}
	return l.Store.Apply(hash, r)
}

func (l *liar) ApplyAll(offers []kv.Offer) {
	for i := range offers {
		o := &offers[i]
		if o.Decision != nil {
			o.Applied, o.Err = l.Decide(o.Hash, o.Decision)
		} else {
			o.Applied, o.Err = l.Apply(o.Hash, o.Record)
		}
	}
}

func (l *liar) GetWithin(most int, dst []byte, hash uint64, key []byte) (kv.Entry, []byte, int, bool) {
	e, buf, size, ok := l.Store.GetWithin(most, dst, hash, key)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok || l.older == nil {
		return e, buf, size, ok
	}
	old, known := l.older[string(key)]
	if !known {
		old = e
		old.Value, old.Meta = slices.Clone(e.Value), slices.Clone(e.Meta)
		l.older[string(key)] = old
	}
	buf = append(dst, old.Value...)
	old.Value = buf[len(dst):]
	return old, buf, len(old.Value), true
}

// A replica that acknowledges what it does not store is found out.
func TestControlDroppedRecords(t *testing.T) {
	finds(t, Rules{}, []string{"acks"}, func(s *Shape) {
		s.Faults = nil
		s.Store = func(node int, store dataplane.Store) dataplane.Store {
			if node == 0 {
				return &liar{Store: store, drops: true}
			}
			return store
		}
	})
}

// So is one that answers what a key had before.
func TestControlOlderValues(t *testing.T) {
	for _, property := range []string{"strict", "agree"} {
		finds(t, Rules{}, []string{property}, func(s *Shape) {
			s.Faults = nil
			s.Store = func(node int, store dataplane.Store) dataplane.Store {
				if node == 0 {
					return &liar{Store: store, older: make(map[string]kv.Entry)}
				}
				return store
			}
		})
	}
}

// onlyChanges has members come and go, and nothing else go wrong.
func onlyChanges(s *Shape) {
	for i := uint64(1); s.Members == nil; i++ {
		s.drawMembers(newChance(s.Seed, streamWays-i))
	}
	s.Faults = nil
}

// forgetful fetches, and says that it has stored, what it does not store.
type forgetful struct{ dataplane.Store }

func (f forgetful) ApplySync(_ uint64, r *kv.Record) (kv.Applied, error) {
	return kv.Applied{Outcome: kv.Stored, Current: r.Version}, nil
}

// A node that joins and claims what it has not fetched is found out by those who ask it.
func TestControlJoinsWithoutTheData(t *testing.T) {
	finds(t, Rules{}, []string{"absent"}, func(s *Shape) {
		onlyChanges(s)
		s.RestTime = 5 * time.Second // it never comes to rest
		s.Store = func(_ int, store dataplane.Store) dataplane.Store { return forgetful{store} }
	})
}
