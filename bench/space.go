package bench

import (
	"math/rand/v2"
	"strconv"
)

// space is what all workers of a run share: the keys, the requests made ahead
// and, if the run is verified, what should be stored. But for the ledger it
// does not change once made.
type space struct {
	cfg     *Config
	pickers []*picker    // of each node
	nodes   []*templates // of each node
	ledger  *ledger      // nil: not verified
}

// stampItem gives the write it, if writes are to be told apart, a number, and
// writes that into its value.
func (s *space) stampItem(it *item, value []byte) {
	if s.ledger != nil {
		it.seq = s.ledger.next()
		if it.op == opPut {
			s.ledger.stamp(value, it.key, it.seq)
		}
	}
}

// appendPut appends a put of an item by its template, stamped where that is wanted.
func (s *space) appendPut(dst []byte, t *template, it *item) []byte {
	value := len(dst) + t.value
	dst = t.append(dst, it.key, s.cfg.KeySize)
	s.stampItem(it, dst[value:])
	return dst
}

// written notes what came of a write.
func (s *space) written(it *item, status int) {
	if s.ledger == nil || it.op == opGet {
		return
	}
	switch {
	case status >= 200 && status < 300:
		s.ledger.ack(it)
	case status < 400, status >= 500:
		s.ledger.unknown(it)
	}
}

// lost notes that of these operations nobody knows what came.
func (s *space) lost(p *pending) {
	if s.ledger == nil {
		return
	}
	if len(p.items) == 0 {
		s.written(&p.item, 0)
	}
	for i := range p.items {
		s.written(&p.items[i], 0)
	}
}

// choose draws the key of an operation of c. A write of a run that is verified
// goes only where c alone writes: then the order of the answers is the order
// of the writes.
func (s *space) choose(c *conn, o op, r *rand.PCG) uint32 {
	pick := s.pickers[c.node]
	place := pick.place(r)
	if s.ledger != nil && o != opGet {
		place = pick.dealt(place, c.share, c.shares)
	}
	return pick.key(place)
}

// judge is the verdict on one operation: ok, or the kind of its error. size is
// the length of what a get found.
func (s *space) judge(o op, status, size int) (kind string) {
	switch {
	case o == opGet && status == 200 && size == s.cfg.ValueSize:
		return ""
	case o == opGet && status == 200:
		return kindLength
	case o == opGet && status == 404 && s.cfg.DeleteRatio > 0:
		return "" // deleted by this run
	case o == opGet && status == 404:
		return kindMissing
	case o == opPut && (status == 201 || status == 204), o == opDelete && status == 204,
		o == opIncr && (status == 200 || status == 201):
		return ""
	}
	return statusKind(status)
}

// newRand is the source of randomness of one worker of one phase.
func newRand(seed uint64, phase, worker int) *rand.PCG {
	return rand.NewPCG(seed, uint64(phase)<<32|uint64(worker))
}

// chance says yes in so many of all draws.
func chance(r *rand.PCG, ratio float64) bool { return unit(r) < ratio }

// statusKind is the kind of error that an answer's status is.
func statusKind(status int) string { return "status " + strconv.Itoa(status) }
