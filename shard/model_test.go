package shard

import (
	"bytes"
	"reflect"
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

func (m *model) apply(hash uint64, r kv.Record, d *kv.Decision) kv.Applied {
	old := m.entries[string(r.Key)].rec.Entry
	a := kv.Applied{Existed: old.Live(m.now()), Current: old.Version}
	if d != nil {
		if old.Version == r.Version {
			a.Outcome = kv.Same
			return a
		}
		if d.Decide(&old, m.now()); !d.Changed {
			a.Outcome = kv.Kept
			return a
		}
		r = d.Record
	}
	a.Outcome = kv.Stale
	if old.Version == r.Version && !r.Supersedes(&old) {
		a.Outcome = kv.Same
	}
	if r.Supersedes(&old) && !r.Collectable(m.now(), kv.Grace{Keep: grace}) {
		m.entries[string(r.Key)] = held{hash, clone(&r)}
		a.Outcome, a.Current = kv.Stored, r.Version
	}
	return a
}

func (m *model) sweep() (collected int) {
	for key, h := range m.entries {
		switch {
		case h.rec.Collectable(m.now(), kv.Grace{Keep: grace}):
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

// drawUpdate draws an operation that may be decided. Some of its conditions hold.
func drawUpdate(t *rapid.T, key []byte, m *model) *kv.Op {
	op := &kv.Op{
		Kind:   rapid.SampledFrom([]kv.OpKind{kv.OpGet, kv.OpPut, kv.OpPut, kv.OpDelete, kv.OpIncr, kv.OpAppend, kv.OpSetRange, kv.OpExpire}).Draw(t, "op"),
		Keep:   rapid.Bool().Draw(t, "keep"),
		Prior:  rapid.Bool().Draw(t, "prior"),
		Number: rapid.Int64Range(-3, 30).Draw(t, "number"),
		Record: kv.Record{Key: key, Entry: drawEntry(t, m.clock.Now())},
	}
	op.Version, op.Tombstone = 0, false
	c := &op.Cond
	if c.Kind = rapid.SampledFrom([]kv.ConditionKind{kv.Always, kv.Always, kv.IfAbsent, kv.IfPresent, kv.IfVersion, kv.IfNotVersion}).Draw(t, "cond"); c.Kind < kv.IfVersion {
		return op
	}
	for _, h := range m.dump() {
		if rapid.Bool().Draw(t, "name") {
			c.Versions = append(c.Versions, h.rec.Version)
		}
	}
	return op
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
	decision := func(t *rapid.T, key []byte) *kv.Decision {
		d := new(kv.Decision)
		for range rapid.IntRange(1, 3).Draw(t, "operations") {
			d.Ops = append(d.Ops, drawUpdate(t, key, m))
		}
		d.Begin(drawEntry(t, clock.Now()).Version, 100, 1000)
		return d
	}
	rt.Repeat(map[string]func(*rapid.T){
		"apply": func(t *rapid.T) {
			key, hash := drawKey(t)
			r := kv.Record{Key: key, Entry: drawEntry(t, clock.Now())}
			want := m.apply(hash, clone(&r), nil)
			if got, err := s.Apply(hash, &r); got != want || err != nil {
				t.Fatalf("apply %v: got %+v, %v, want %+v", r, got, err, want)
			}
		},
		"decide": func(t *rapid.T) {
			key, hash := drawKey(t)
			d := decision(t, key)
			same := kv.Decision{Ops: d.Ops}
			same.Begin(d.Version, d.MaxValue, d.MaxFound)
			want := m.apply(hash, same.Record, &same)
			if got, err := s.Decide(hash, d); got != want || err != nil {
				t.Fatalf("decide %q at %x: got %+v, %v, want %+v", key, d.Version, got, err, want)
			}
			if want.Outcome != kv.Same && !reflect.DeepEqual(d.Results, same.Results) {
				t.Fatalf("decide %q: got %+v, want %+v", key, d.Results, same.Results)
			}
		},
		"applyAll": func(t *rapid.T) {
			offers := make([]kv.Offer, rapid.IntRange(0, 2*windowOffers+2).Draw(t, "offers"))
			for i := range offers {
				key, hash := drawKey(t)
				offers[i] = kv.Offer{Hash: hash, Record: &kv.Record{Key: key, Entry: drawEntry(t, clock.Now())}}
				if rapid.IntRange(0, 3).Draw(t, "decided") == 0 {
					d := decision(t, key)
					offers[i].Decision, offers[i].Record = d, &d.Record
				}
			}
			s.ApplyAll(offers)
			for i, o := range offers {
				r, d := *o.Record, o.Decision
				if d != nil {
					d = &kv.Decision{Ops: d.Ops}
					d.Begin(o.Decision.Version, o.Decision.MaxValue, o.Decision.MaxFound)
					r = d.Record
				}
				want := m.apply(o.Hash, clone(&r), d)
				if o.Applied != want || o.Err != nil {
					t.Fatalf("offer %d, %v: got %+v, %v, want %+v", i, *o.Record, o.Applied, o.Err, want)
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
