package simnet

import (
	"sync"
	"testing"
	"time"

	"httpdhs/dataplane"
	"httpdhs/kv"
)

// calm has a run without faults, in which one crowd writes.
func calm(s *Shape) {
	s.Faults, s.Members, s.AtOnce = nil, nil, false
	s.Ahead = make([]time.Duration, s.Nodes)
	s.Crowds = []*Crowd{{Writers: 6, Calls: 30, Keys: 1}}
}

// everywhere has the same kind of store at all nodes.
func everywhere(s *Shape, store func(dataplane.Store) dataplane.Store) {
	s.Store = func(_ int, inner dataplane.Store) dataplane.Store { return store(inner) }
}

// offered changes what is offered to a store before it is applied.
type offered struct {
	dataplane.Store
	apply func(s dataplane.Store, hash uint64, r *kv.Record) (kv.Applied, error)
}

func (o offered) Apply(hash uint64, r *kv.Record) (kv.Applied, error) {
	return o.apply(o.Store, hash, r)
}

func (o offered) ApplyAll(offers []kv.Offer) {
	for i := range offers {
		f := &offers[i]
		if f.Decision != nil {
			f.Applied, f.Err = o.Decide(f.Hash, f.Decision)
		} else {
			f.Applied, f.Err = o.Apply(f.Hash, f.Record)
		}
	}
}

// A replaced value that comes back, under the version of what replaced it, is found out.
func TestControlComesBack(t *testing.T) {
	finds(t, Rules{}, []string{"once"}, func(s *Shape) {
		calm(s)
		var mu sync.Mutex
		first := make(map[string][]byte) // by key: its first value
		everywhere(s, func(inner dataplane.Store) dataplane.Store {
			return offered{inner, func(s dataplane.Store, hash uint64, r *kv.Record) (kv.Applied, error) {
				mu.Lock()
				defer mu.Unlock()
				was, known := first[string(r.Key)]
				switch back := *r; {
				case r.Tombstone:
				case !known:
					first[string(r.Key)] = append(was, r.Value...)
				case r.Version>>10%16 == 0:
					back.Value = was
					return s.Apply(hash, &back)
				}
				return s.Apply(hash, r)
			}}
		})
	})
}

// A replica that refuses a write of a crowd now and then is found out, while nothing else goes
// wrong.
func TestControlFailsWithoutReason(t *testing.T) {
	finds(t, Rules{}, []string{"reason"}, func(s *Shape) {
		calm(s)
		everywhere(s, func(inner dataplane.Store) dataplane.Store {
			return offered{inner, func(s dataplane.Store, hash uint64, r *kv.Record) (kv.Applied, error) {
				if r.Version>>10%64 == 0 {
					return kv.Applied{}, kv.ErrNoMemory
				}
				return s.Apply(hash, r)
			}}
		})
	})
}

// While links lag one replica is behind the other: what holds of quorums does not hold of it.
func TestControlLags(t *testing.T) {
	finds(t, Rules{AssumeStrict: true}, []string{"strict"}, func(s *Shape) {
		calm(s)
		s.Crowds, s.Weak, s.Span = nil, true, 3*time.Second
		s.Faults = []*Fault{{Kind: Lagging, For: s.Span, A: names(s.Nodes)[:2], By: 200 * time.Millisecond}}
	})
}

// A full node that acknowledges what it has no memory for is found out.
func TestControlFull(t *testing.T) {
	finds(t, Rules{}, []string{"acks"}, func(s *Shape) {
		calm(s)
		s.Sizes = 30
		s.Faults = []*Fault{{Kind: Full, For: s.Span, A: names(s.Nodes)[:2]}}
		everywhere(s, func(inner dataplane.Store) dataplane.Store {
			return offered{inner, func(s dataplane.Store, hash uint64, r *kv.Record) (kv.Applied, error) {
				if a, err := s.Apply(hash, r); err == nil {
					return a, nil
				}
				return kv.Applied{Outcome: kv.Stored, Current: r.Version}, nil
			}}
		})
	})
}

// So is a joiner that dies, and claims what it has not fetched when it is back.
func TestControlFalters(t *testing.T) {
	finds(t, Rules{}, []string{"absent"}, func(s *Shape) {
		onlyChanges(s)
		s.Fetching, s.RestTime = 50*time.Millisecond, 5*time.Second // it never comes to rest
		s.Members.Changes = []*Change{{Kind: Falter, At: s.Span / 4, After: 300 * time.Millisecond, Back: time.Second}}
		everywhere(s, func(inner dataplane.Store) dataplane.Store { return forgetful{inner} })
	})
}
