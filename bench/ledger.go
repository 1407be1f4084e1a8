package bench

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// ledger knows what the nodes should hold: of each key the last acknowledged write, and every write
// whose outcome nobody knows.
//
// Each value carries a stamp: the run, its key and a number that no other write of the run has. So
// whatever is found later says which write it is of. The writes of one key are made on one
// connection, in the order of their numbers (see space.choose). So no two workers touch the same
// element of acked at a time.
type ledger struct {
	run   uint32
	seq   atomic.Uint64
	acked []write // by key

	// The keys are counters, which no stamp fits into. Then acked has how many writes to each key
	// were acknowledged.
	counts bool

	mu    sync.Mutex         // guards maybe
	maybe map[uint32][]write // by key; rare
}

// write is a number, shifted by one, and whether it was a delete; 0 is
// none.
type write uint64

func newWrite(it *item) write {
	w := write(it.seq << 1)
	if it.op == opDelete {
		w |= 1
	}
	return w
}

func (w write) seq() uint64   { return uint64(w >> 1) }
func (w write) deleted() bool { return w&1 == 1 }

func newLedger(run uint32, keys int) *ledger {
	return &ledger{run: run, acked: make([]write, keys), maybe: map[uint32][]write{}}
}

// next is the number of a write that is about to be made.
func (l *ledger) next() uint64 { return l.seq.Add(1) }

func (l *ledger) ack(it *item) {
	if l.counts {
		l.acked[it.key] += counted
		return
	}
	l.acked[it.key] = newWrite(it)
}

// counted is one write more.
const counted = write(1 << 1)

func (l *ledger) unknown(it *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maybe[it.key] = append(l.maybe[it.key], newWrite(it))
}

// touched are the keys that were written, or may have been, in their order.
func (l *ledger) touched() []uint32 {
	var keys []uint32
	for key, w := range l.acked {
		if _, maybe := l.maybe[uint32(key)]; maybe || w != 0 {
			keys = append(keys, uint32(key))
		}
	}
	return keys
}

// A stamp is the start of a value: r<run>k<key>s<number>. in hexadecimal.
const (
	runDigits  = 8
	keyDigits  = 8
	seqDigits  = 16
	stampBytes = 1 + runDigits + 1 + keyDigits + 1 + seqDigits + 1
)

// stamp writes a stamp over the start of value.
func (l *ledger) stamp(value []byte, key uint32, seq uint64) {
	value[0], value[1+runDigits], value[2+runDigits+keyDigits], value[stampBytes-1] = 'r', 'k', 's', '.'
	putHex(value[1:][:runDigits], uint64(l.run))
	putHex(value[2+runDigits:][:keyDigits], uint64(key))
	putHex(value[3+runDigits+keyDigits:][:seqDigits], seq)
}

func putHex(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = "0123456789abcdef"[v&15]
		v >>= 4
	}
}

// readStamp reads what stamp wrote.
func readStamp(value []byte) (run, key uint32, seq uint64, ok bool) {
	if len(value) < stampBytes || value[0] != 'r' || value[1+runDigits] != 'k' ||
		value[2+runDigits+keyDigits] != 's' || value[stampBytes-1] != '.' {
		return 0, 0, 0, false
	}
	field := func(from, digits int) uint64 {
		v, err := strconv.ParseUint(string(value[from:from+digits]), 16, 64)
		ok = ok && err == nil
		return v
	}
	ok = true
	run = uint32(field(1, runDigits))
	key = uint32(field(2+runDigits, keyDigits))
	seq = field(3+runDigits+keyDigits, seqDigits)
	return run, key, seq, ok
}

// Fault is what is wrong with a key at a node.
type Fault string

const (
	Lost        Fault = "lost"        // an acknowledged write, and nothing is there
	Stale       Fault = "stale"       // an acknowledged write, and an older value is there
	Resurrected Fault = "resurrected" // an acknowledged delete, and a value is there
	Corrupt     Fault = "corrupt"     // a value that was never written there
)

// judge says what is wrong with finding value (exists: 200; else 404) under
// key; "" is nothing. Writes of unknown outcome may have happened at any time,
// also after later ones were acknowledged, or never.
func (l *ledger) judge(key uint32, exists bool, value []byte, size int) Fault {
	acked, maybe := l.acked[key], l.maybe[key]
	if l.counts {
		return judgeCounter(acked.seq(), uint64(len(maybe)), exists, value)
	}
	if !exists {
		ok := acked == 0 || acked.deleted() || slices.ContainsFunc(maybe, write.deleted)
		if ok {
			return ""
		}
		return Lost
	}
	run, of, seq, ok := readStamp(value)
	if !ok || of != key || len(value) != size {
		if acked == 0 {
			return "" // from before the run
		}
		return Corrupt
	}
	found := write(seq << 1)
	switch {
	case run == l.run && (found == acked || slices.Contains(maybe, found)):
		return ""
	case run != l.run && acked == 0:
		return ""
	case run == l.run && (acked == 0 || seq > acked.seq()):
		return Corrupt // refused, or never sent
	case acked.deleted():
		return Resurrected
	}
	return Stale
}

// judgeCounter says what is wrong with a counter that was 0, and to which so many writes have added
// one: those that were acknowledged and, each of them or not, those that may have been done.
func judgeCounter(acked, maybe uint64, exists bool, value []byte) Fault {
	n, err := strconv.ParseUint(string(value), 10, 64)
	switch {
	case !exists:
		return Lost
	case err != nil, n > acked+maybe:
		return Corrupt
	case n < acked:
		return Stale
	}
	return ""
}
