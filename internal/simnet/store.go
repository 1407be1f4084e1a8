package simnet

import (
	"maps"
	"sync"
	"time"

	"httpdhs/kv"
	"httpdhs/ring"
	"httpdhs/shard"
)

// notedStore is a node's store. It tells the recorder what is stored. A lock has it tell things in
// the order in which they were done.
type notedStore struct {
	*shard.Store
	run    *running
	rec    *recorder
	always bool // what Durable was called for is on the disk when it returns

	mu   sync.Mutex // guards keys
	keys [][]string // by partition: all that was ever stored, to know what a drop takes
}

// Apply implements dataplane.Store.
func (s *notedStore) Apply(hash uint64, r *kv.Record) (kv.Applied, error) {
	return s.apply(hash, r, nil, func() (kv.Applied, error) { return s.Store.Apply(hash, r) })
}

// Decide implements dataplane.Store.
func (s *notedStore) Decide(hash uint64, d *kv.Decision) (kv.Applied, error) {
	return s.apply(hash, &d.Record, d, func() (kv.Applied, error) { return s.Store.Decide(hash, d) })
}

// apply has the store apply a record, where the node lets it in and has memory for it. A decision
// makes the record, unless it is nil.
func (s *notedStore) apply(hash uint64, r *kv.Record, d *kv.Decision, do func() (kv.Applied, error)) (kv.Applied, error) {
	s.run.door.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run.dead.Load() {
		return kv.Applied{}, kv.ErrStopping
	}
	if a, full := s.full(hash, r, d); full {
		return a, kv.ErrNoMemory
	}
	a, err := do()
	s.note(hash, r, &a, err)
	return a, err
}

// full says whether the node has no memory for a record that the store would take: a new one, or
// one that is larger than what is held. There is always room for tombstones.
func (s *notedStore) full(hash uint64, r *kv.Record, d *kv.Decision) (a kv.Applied, full bool) {
	if !s.run.node.full.Load() {
		return a, false
	}
	held, _, ok := s.Store.Get(nil, hash, r.Key)
	now := s.run.expiry().UnixMilli()
	if d != nil {
		d.Decide(&held, now)
	}
	switch {
	case r.Tombstone, d != nil && !d.Changed, ok && (len(r.Value) <= len(held.Value) || !r.Supersedes(&held)):
		return a, false
	}
	return kv.Applied{Existed: held.Live(now), Current: held.Version}, true
}

func (s *notedStore) note(hash uint64, r *kv.Record, a *kv.Applied, err error) {
	if err != nil || a.Outcome != kv.Stored {
		return
	}
	part := s.rec.table.Partition(hash)
	s.keys[part] = append(s.keys[part], string(r.Key))
	s.tell(Event{Kind: Stored, Key: string(r.Key), Version: r.Version, Tombstone: r.Tombstone, Dead: deadAt(&r.Entry)})
}

// tell notes that something was stored or dropped, for the disk too.
func (s *notedStore) tell(e Event) {
	e.Node = s.run.name()
	s.rec.event(e)
	if s.run.log == nil {
		return
	}
	d := &s.run.node.slot
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ledger.stored(entry{s.rec.log.now(), e.Key, e.Version, e.Dead})
}

// Durable implements dataplane.Store.
func (s *notedStore) Durable(until time.Time) error {
	s.run.door.pass()
	return s.lasting(s.always, func() error { return s.Store.Durable(until) })
}

// Sync implements dataplane.Store.
func (s *notedStore) Sync() error {
	s.run.door.pass()
	return s.lasting(s.run.log != nil, s.Store.Sync)
}

// lasting calls what makes last what was stored, and notes that it does so.
func (s *notedStore) lasting(does bool, call func() error) error {
	if !does {
		return call()
	}
	d := &s.run.node.slot
	s.mu.Lock()
	d.mu.Lock()
	upTo, entries := s.rec.count(), len(d.ledger.entries)
	d.mu.Unlock()
	s.mu.Unlock()
	if err := call(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run.dead.Load() {
		return nil // nobody hears of it
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ledger.sure = max(d.ledger.sure, entries)
	s.rec.durable(s.run.name(), upTo)
	return nil
}

// GetWithin implements dataplane.Store.
func (s *notedStore) GetWithin(most int, dst []byte, hash uint64, key []byte) (kv.Entry, []byte, int, bool) {
	s.run.door.pass()
	return s.Store.GetWithin(most, dst, hash, key)
}

// Scan implements dataplane.Store.
func (s *notedStore) Scan(partition int, from uint64, fn func(hash uint64, r *kv.Record) bool) {
	s.run.door.pass()
	s.Store.Scan(partition, from, fn)
}

// Digests implements dataplane.Store.
func (s *notedStore) Digests(partition int, dst *[shard.Buckets]uint64) {
	s.run.door.pass()
	s.Store.Digests(partition, dst)
}

// Digest implements dataplane.Store.
func (s *notedStore) Digest(partition int) uint64 {
	s.run.door.pass()
	return s.Store.Digest(partition)
}

// ApplySync implements dataplane.Store.
func (s *notedStore) ApplySync(hash uint64, r *kv.Record) (kv.Applied, error) {
	return s.apply(hash, r, nil, func() (kv.Applied, error) { return s.Store.ApplySync(hash, r) })
}

// ApplyAll implements dataplane.Store.
func (s *notedStore) ApplyAll(offers []kv.Offer) {
	for i := range offers {
		o := &offers[i]
		if o.Decision != nil {
			o.Applied, o.Err = s.Decide(o.Hash, o.Decision)
		} else {
			o.Applied, o.Err = s.Apply(o.Hash, o.Record)
		}
	}
}

// DropIf implements dataplane.Store.
func (s *notedStore) DropIf(partition int, digests *[shard.Buckets]uint64) bool {
	s.run.door.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run.dead.Load() || !s.Store.DropIf(partition, digests) {
		return false
	}
	for _, key := range s.keys[partition] {
		s.tell(Event{Kind: Dropped, Key: key})
	}
	s.keys[partition] = nil
	return true
}

// recorder takes down what the checker looks at.
type recorder struct {
	log   *eventLog
	table *ring.Table

	mu        sync.Mutex // guards all below
	ops       []Op
	events    []Event
	durables  map[string][]Durable
	misloaded []string
}

// all is what was taken down so far. Nodes still run: one may drop what it has handed over.
func (r *recorder) all(h *History) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.Ops, h.Events, h.Durables, h.Misloaded = r.ops, r.events, maps.Clone(r.durables), r.misloaded
}

// count is how many events there were.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// durable notes that all lasts that a node had stored before an event.
func (r *recorder) durable(node string, upTo int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.durables == nil {
		r.durables = make(map[string][]Durable)
	}
	r.durables[node] = append(r.durables[node], Durable{r.log.now(), upTo})
}

// misload notes that a node has not loaded what it should have.
func (r *recorder) misload(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.misloaded = append(r.misloaded, what)
}

func (r *recorder) event(e Event) {
	e.At = r.log.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// begin notes an operation, whose outcome is unknown until it has ended, and returns its number.
func (r *recorder) begin(o Op) int {
	o.Begin, o.End = r.log.now(), Never
	r.mu.Lock()
	defer r.mu.Unlock()
	o.ID = len(r.ops)
	r.ops = append(r.ops, o)
	return o.ID
}

// end changes an operation by what came of it.
func (r *recorder) end(id int, with func(o *Op)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	with(&r.ops[id])
}
