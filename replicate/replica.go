package replicate

import (
	"bytes"

	"httpdhs/kv"
	"httpdhs/placement"
	"httpdhs/wire"
)

// replica is this node's own store, as one of the owners: what it makes of what it is offered, and
// what it knows to lack.
type replica struct {
	store    Store
	clock    *kv.Clock
	limits   kv.Limits
	board    *placement.Board
	counters *Counters
}

// limited refuses a record of a peer that is beyond this node's limits, or stamped so far ahead
// that this node does not believe it. A version that is held here has to be below all that this
// node stamps. The code is 0 if it is to be merged.
func (r *replica) limited(record *kv.Record) wire.Code {
	if r.limits.Check(record) != nil {
		r.counters.Refused.Add(1)
		return wire.Refused
	}
	return r.believed(record.Version)
}

// believed says whether a version is near enough to this node's clock: its code is 0 then.
func (r *replica) believed(v kv.Version) wire.Code {
	if r.clock.Observe(v) {
		return 0
	}
	r.counters.Refused.Add(1)
	return wire.TooFarAhead
}

// merge offers a record to the store: one that this node stamped, or that was read from another,
// whose clock may be wrong.
func (r *replica) merge(hash uint64, record *kv.Record) wire.Result {
	if code := r.believed(record.Version); code != 0 {
		return wire.Result{Code: code}
	}
	applied, err := r.store.Apply(hash, record)
	result := merged(&applied, err)
	r.refuse(hash, record.Version, &result)
	return result
}

// decide carries out a decision and stores what comes of it, unless this node is behind at its key.
func (r *replica) decide(partition int, hash uint64, d *kv.Decision) wire.Result {
	if r.board.Refused.Any(partition) {
		e, _, _, _ := r.store.GetWithin(0, nil, hash, d.Record.Key)
		if why := r.board.Refused.Lacks(partition, hash, e.Version); why != nil {
			return wire.Result{Code: wire.RefusalOf(why)}
		}
	}
	applied, err := r.store.Decide(hash, d)
	return judged(&applied, err, d)
}

// judged is what the store made of a decision.
func judged(a *kv.Applied, err error, d *kv.Decision) wire.Result {
	result := merged(a, err)
	switch {
	case result.Code != wire.Stored:
	case d.Needs != kv.Copies{}:
		result = wire.Result{Code: wire.Larger, Needs: d.Needs}
	default:
		result = wire.Result{Code: wire.Decided, Changed: d.Changed, Decision: d}
	}
	return result
}

// merged is what the store made of a record.
func merged(a *kv.Applied, err error) wire.Result {
	// Where this very version is held already, by an earlier try, what was
	// there before it is not known any more.
	r := wire.Result{Existed: a.Existed && a.Outcome != kv.Same, Version: a.Current}
	switch {
	case err != nil:
		r.Code = wire.RefusalOf(err)
	case a.Outcome == kv.Stale:
		r.Code = wire.Stale
	default:
		r.Code = wire.Stored
	}
	return r
}

// refuse takes down what this node makes of a record that it was to store, if it refuses it. A
// version that no node believes is none to be behind of.
func (r *replica) refuse(hash uint64, version kv.Version, result *wire.Result) {
	if why := result.Code.Refusal(); why != nil && r.clock.Observe(version) {
		r.board.Refuse(hash, version, why)
	}
}

// read is this node's answer to a read; the value is appended to dst, unless it has more bytes than
// most. size is how many it has.
func (r *replica) read(most int, dst []byte, partition int, hash uint64, key []byte) (result wire.Result, buf []byte, size int) {
	// Whether the node has authority is asked first: what it came to hold
	// meanwhile does no harm, what it lacked before would.
	result = wire.Result{Code: wire.Absent, NoAuthority: !r.board.Holds(partition)}
	e, buf, size, ok := r.store.GetWithin(most, dst, hash, key)
	if ok {
		result.Code, result.Record = wire.Found, kv.Record{Key: key, Entry: e}
	}
	result.Behind = r.board.Refused.Lacks(partition, hash, e.Version) != nil
	return result, buf, size
}

// gatherMax is how many writes are gathered before they are done together. They are so many that
// the store can take them by partitions, and its cache misses overlap. They are so few that the
// other owners do not wait for them.
const gatherMax = 32

// gathered are records that are not merged yet, and decisions that are not made. Whoever gathers
// them keeps what they are of.
type gathered struct {
	offers [gatherMax]kv.Offer
	n      int
}

// add takes in a record, and says whether there is room for no more.
func (g *gathered) add(hash uint64, record *kv.Record) (full bool) {
	return g.offer(kv.Offer{Hash: hash, Record: record})
}

// decide is add of a decision, which has begun before it is made.
func (g *gathered) decide(hash uint64, d *kv.Decision) (full bool) {
	return g.offer(kv.Offer{Hash: hash, Record: &d.Record, Decision: d})
}

func (g *gathered) offer(o kv.Offer) (full bool) {
	g.offers[g.n] = o
	g.n++
	return g.n == gatherMax
}

// has says whether a write to the key is gathered.
func (g *gathered) has(hash uint64, key []byte) bool {
	for i := range g.offers[:g.n] {
		if o := &g.offers[i]; o.Hash == hash && bytes.Equal(o.Record.Key, key) {
			return true
		}
	}
	return false
}

// reset forgets them: they point to memory of others.
func (g *gathered) reset() {
	clear(g.offers[:g.n])
	g.n = 0
}

// mergeAll offers what is gathered to the store.
func (r *replica) mergeAll(g *gathered) { r.store.ApplyAll(g.offers[:g.n]) }

// result is what the store made of the k-th write, once all are merged.
func (r *replica) result(g *gathered, k int) wire.Result {
	o := &g.offers[k]
	if o.Decision != nil {
		return judged(&o.Applied, o.Err, o.Decision)
	}
	result := merged(&o.Applied, o.Err)
	r.refuse(o.Hash, o.Record.Version, &result)
	return result
}
