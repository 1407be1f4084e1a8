package shard

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"httpdhs/kv"

	"pgregory.net/rapid"
)

// model is a store as one would write it down: every rule in its plainest
// form, on one map.
type model struct {
	clock   *fakeClock
	entries map[string]held
}

func (m *model) now() int64 { return m.clock.Now().UnixMilli() }

func (m *model) apply(hash uint64, r kv.Record, c *kv.Condition) (kv.Applied, error) {
	old := m.entries[string(r.Key)].rec.Entry
	a := kv.Applied{Existed: old.Live(m.now()), Current: old.Version}
	if c != nil {
		if old.Version == r.Version {
			a.Outcome = kv.Same
			return a, nil
		}
		if !c.Holds(old.Version, a.Existed) {
			return a, kv.ErrConditionFailed
		}
	}
	a.Outcome = kv.Stale
	if old.Version == r.Version && !r.Supersedes(&old) {
		a.Outcome = kv.Same
	}
	if r.Supersedes(&old) && !r.Collectable(m.now(), grace) {
		m.entries[string(r.Key)] = held{hash, clone(&r)}
		a.Outcome, a.Current = kv.Stored, r.Version
	}
	return a, nil
}

func (m *model) sweep() (collected int) {
	for key, h := range m.entries {
		switch {
		case h.rec.Collectable(m.now(), grace):
			delete(m.entries, key)
			collected++
		case h.rec.Expired(m.now()):
			h.rec.Bury()
			m.entries[key] = h
		}
	}
	return collected
}

func (m *model) dump() []held {
	var all []held
	for _, h := range m.entries {
		all = append(all, h)
	}
	slices.SortFunc(all, compareHeld)
	return all
}

// Whatever is done to a store, it answers and holds what the model does, and
// its books are those of its entries.
func TestStoreModel(t *testing.T) {
	forEachStore(t, func(t *testing.T, o Options) {
		t.Parallel()
		o.hash = fewHashes
		rapid.Check(t, func(rt *rapid.T) { checkStoreModel(t, rt, o) })
	})
}

func checkStoreModel(t *testing.T, rt *rapid.T, o Options) {
	clock := newFakeClock()
	s := open(t, clock, o)
	defer s.Close()
	m := &model{clock: clock, entries: make(map[string]held)}
	apply := func(t *rapid.T, c *kv.Condition) {
		key, hash := drawKey(t)
		r := kv.Record{Key: key, Entry: drawEntry(t, clock.Now())}
		want, wantErr := m.apply(hash, clone(&r), c)
		got, err := s.merge(hash, &r, terms{cond: c})
		if got != want || !errors.Is(err, wantErr) {
			t.Fatalf("apply %v: got %+v, %v, want %+v, %v", r, got, err, want, wantErr)
		}
	}
	rt.Repeat(map[string]func(*rapid.T){
		"apply": func(t *rapid.T) { apply(t, nil) },
		"applyIf": func(t *rapid.T) {
			c := kv.Condition{Kind: rapid.SampledFrom([]kv.ConditionKind{kv.Always, kv.IfAbsent, kv.IfPresent, kv.IfVersion, kv.IfNotVersion}).Draw(t, "kind")}
			c.Versions = append(c.Versions, drawEntry(t, clock.Now()).Version)
			for _, h := range m.dump() { // so that some condition on a version holds
				if rapid.Bool().Draw(t, "name") {
					c.Versions = append(c.Versions, h.rec.Version)
				}
			}
			apply(t, &c)
		},
		"applyAll": func(t *rapid.T) {
			offers := make([]kv.Offer, rapid.IntRange(0, 2*windowOffers+2).Draw(t, "offers"))
			for i := range offers {
				key, hash := drawKey(t)
				offers[i] = kv.Offer{Hash: hash, Record: &kv.Record{Key: key, Entry: drawEntry(t, clock.Now())}}
				if rapid.IntRange(0, 3).Draw(t, "conditional") == 0 {
					offers[i].Cond = &kv.Condition{Kind: rapid.SampledFrom([]kv.ConditionKind{kv.IfAbsent, kv.IfPresent}).Draw(t, "kind")}
				}
			}
			s.ApplyAll(offers)
			for i, o := range offers {
				want, wantErr := m.apply(o.Hash, clone(o.Record), o.Cond)
				if o.Applied != want || !errors.Is(o.Err, wantErr) {
					t.Fatalf("offer %d, %v: got %+v, %v, want %+v, %v", i, *o.Record, o.Applied, o.Err, want, wantErr)
				}
			}
		},
		"get": func(t *rapid.T) {
			key, hash := drawKey(t)
			e, buf, ok := s.Get([]byte("before"), hash, key)
			want, wantOK := m.entries[string(key)]
			if ok != wantOK || !sameRecord(&kv.Record{Entry: e}, &kv.Record{Entry: want.rec.Entry}) {
				t.Fatalf("Get(%q) = %v, %v, want %v, %v", key, e, ok, want.rec.Entry, wantOK)
			}
			if !bytes.Equal(buf, slices.Concat([]byte("before"), e.Meta, e.Value)) {
				t.Fatalf("Get(%q) appended %q", key, buf)
			}
		},
		"pass": func(t *rapid.T) {
			clock.Advance(time.Duration(rapid.IntRange(1, 8000).Draw(t, "ms")) * time.Millisecond)
		},
		"sweep": func(t *rapid.T) {
			if got, want := s.Sweep(), m.sweep(); got != want {
				t.Fatalf("Sweep() = %d, want %d", got, want)
			}
		},
		"drop": func(t *rapid.T) {
			p := rapid.IntRange(0, s.Partitions()-1).Draw(t, "partition")
			s.Drop(p)
			for key, h := range m.entries {
				if s.place(h.hash).partition == p {
					delete(m.entries, key)
				}
			}
		},
		"": func(t *rapid.T) {
			sameHeld(t, "held", dump(s), m.dump())
			checkBooks(t, s)
		},
	})
}

// The same records in any order and any number leave the same entries and the
// same digests.
func TestApplyCommutes(t *testing.T) {
	clock := newFakeClock()
	rapid.Check(t, func(rt *rapid.T) {
		var records []held
		for range rapid.IntRange(1, 12).Draw(rt, "records") {
			key, hash := drawKey(rt)
			records = append(records, held{hash, kv.Record{Key: key, Entry: drawEntry(rt, clock.Now())}})
		}
		one, two := open(t, clock, Options{hash: fewHashes}), open(t, clock, Options{hash: fewHashes})
		defer one.Close()
		defer two.Close()
		for _, r := range records {
			mustApply(rt, one, r.hash, r.rec)
		}
		again := append(slices.Clone(records), records[:len(records)/2]...)
		for _, r := range rapid.Permutation(again).Draw(rt, "order") {
			mustApply(rt, two, r.hash, r.rec)
		}
		sameHeld(rt, "after another order", dump(two), dump(one))
		for p := range one.Partitions() {
			var a, b [Buckets]uint64
			one.Digests(p, &a)
			two.Digests(p, &b)
			if a != b {
				rt.Fatalf("digests of partition %d differ", p)
			}
		}
	})
}
