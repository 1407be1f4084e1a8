package bench

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// Verification is what reading everything back came to.
type Verification struct {
	Acknowledged int64    `json:"acknowledged_keys"` // with a write that was acknowledged
	Unknown      int64    `json:"unknown_keys"`      // with a write of unknown outcome
	Reads        int64    `json:"reads"`
	Nodes        []string `json:"nodes"` // that were read
	Unreachable  []string `json:"unreachable,omitempty"`

	// Keys with a fault at any node.
	Lost        int64 `json:"lost"`
	Stale       int64 `json:"stale"`
	Resurrected int64 `json:"resurrected"`
	Corrupt     int64 `json:"corrupt"`

	Unread   int64     `json:"unread"` // reads without an answer, tried several times
	Examples []FaultAt `json:"examples,omitempty"`
}

// FaultAt is one fault.
type FaultAt struct {
	Key   string `json:"key"`
	Node  string `json:"node"`
	Fault Fault  `json:"fault"`
}

// examplesMax is how many faults are shown.
const examplesMax = 20

// OK says that there was no fault, and that there was something to see.
func (v *Verification) OK() bool {
	return v.Lost+v.Stale+v.Resurrected+v.Corrupt+v.Unread == 0 && len(v.Nodes) > 0
}

// findings gathers what the readers find. Safe for concurrent use.
type findings struct {
	ledger *ledger
	size   int // of a value
	keys   []uint32

	mu     sync.Mutex // guards what follows
	reads  int64
	faults map[uint32]map[Fault]bool
	shown  []FaultAt
}

func (f *findings) note(key uint32, name, node string, exists bool, value []byte) {
	fault := f.ledger.judge(key, exists, value, f.size)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if fault == "" {
		return
	}
	if f.faults[key] == nil {
		f.faults[key] = map[Fault]bool{}
	}
	f.faults[key][fault] = true
	if len(f.shown) < examplesMax {
		f.shown = append(f.shown, FaultAt{Key: name, Node: node, Fault: fault})
	}
}

// verification sums up. want is how many reads there should have been.
func (f *findings) verification(want int64) *Verification {
	v := &Verification{Unknown: int64(len(f.ledger.maybe)), Reads: f.reads, Unread: want - f.reads, Examples: f.shown}
	for _, w := range f.ledger.acked {
		if w != 0 {
			v.Acknowledged++
		}
	}
	for _, faults := range f.faults {
		for fault := range faults {
			switch fault {
			case Lost:
				v.Lost++
			case Stale:
				v.Stale++
			case Resurrected:
				v.Resurrected++
			case Corrupt:
				v.Corrupt++
			}
		}
	}
	slices.SortFunc(v.Examples, func(a, b FaultAt) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Node, b.Node))
	})
	return v
}

// readTries is how often a read is tried. What fails as often is unread.
const readTries = 5

// readback reads every key that was written from every node: a connection
// those of its share, from its node.
type readback struct {
	*space
	found *findings
	names []string // of the nodes
	at    []int    // by connection: how far it is
	again [][]retry
}

// retry is a read that had no answer that counts.
type retry struct {
	key   uint32
	tries uint64
}

func newReadback(s *space, found *findings, names []string, conns int) *readback {
	return &readback{space: s, found: found, names: names, at: make([]int, conns), again: make([][]retry, conns)}
}

func (w *readback) request(c *conn, p *pending, dst []byte) ([]byte, bool) {
	if list := w.again[c.index]; len(list) > 0 {
		last := list[len(list)-1]
		w.again[c.index] = list[:len(list)-1]
		p.item = item{key: last.key, seq: last.tries}
	} else {
		next := c.share + w.at[c.index]*c.shares
		if next >= len(w.found.keys) {
			return dst, false
		}
		w.at[c.index]++
		p.item = item{key: w.found.keys[next]}
	}
	return w.nodes[c.node].get.append(dst, p.key, w.cfg.KeySize), true
}

func (w *readback) answer(c *conn, p *pending, status int, body []byte) verdict {
	if status != 200 && status != 404 {
		w.lost(c, p)
		return verdict{failed: 1, kind: statusKind(status)}
	}
	name := fmt.Appendf(nil, "%0*d", w.cfg.KeySize, p.key)
	w.found.note(p.key, string(name), w.names[c.node], status == 200, body)
	return verdict{done: 1}
}

func (w *readback) lost(c *conn, p *pending) {
	if p.seq++; p.seq < readTries {
		w.again[c.index] = append(w.again[c.index], retry{p.key, p.seq})
	}
}
