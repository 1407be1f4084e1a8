package replicate

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"httpdhs/kv"
	"httpdhs/rebalance"
	"httpdhs/ring"
)

// ringBytesMax bounds the answer to who is on a ring: what a thousand members with the longest
// names take.
const ringBytesMax = 1 << 20

// serveRing says who is on a ring.
func (c *Coordinator) serveRing(dst, body []byte) ([]byte, error) {
	if len(body) != 8 {
		return dst, fmt.Errorf("%w: ring", errMessage)
	}
	c.rings.mu.Lock()
	table := c.rings.tables[rebalance.Ring(binary.LittleEndian.Uint64(body))]
	c.rings.mu.Unlock()
	var nodes []ring.Node
	if table != nil {
		nodes = table.Nodes()
	}
	answer, err := json.Marshal(nodes)
	if err != nil {
		panic("BUG: replicate: nodes do not marshal: " + err.Error())
	}
	return append(appendHead(dst, kindRing), answer...), nil
}

// learnRings asks who is on the rings that others want and this node has not heard of.
func (c *Coordinator) learnRings() error {
	r := &c.rings
	r.mu.Lock()
	ask := make(map[rebalance.Ring]*Peer, len(r.unknown))
	for x, name := range r.unknown {
		if p := r.peers[name]; p != nil {
			ask[x] = p
		}
	}
	r.mu.Unlock()
	var errs []error
	for _, x := range slices.Sorted(maps.Keys(ask)) {
		p := ask[x]
		table, err := c.learnRing(x, p)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot learn from %s who is on ring %s: %w", p.name, ringName(x), err))
			continue
		}
		r.mu.Lock()
		if r.tables[x] == nil { // it may have become the target meanwhile, and be written
			r.tables[x] = table
		}
		r.mu.Unlock()
	}
	if len(ask) > len(errs) {
		c.reconsider()
	}
	return errors.Join(errs...)
}

func (c *Coordinator) learnRing(x rebalance.Ring, p *Peer) (*ring.Table, error) {
	msg := binary.LittleEndian.AppendUint64(appendHead(nil, kindRing), uint64(x))
	answer, err := p.direct(msg, time.Now().Add(probeTimeout))
	if err != nil {
		return nil, err
	}
	body, err := expectKind(answer, kindRing, messageHead)
	if err != nil {
		return nil, err
	}
	if len(body) > ringBytesMax {
		return nil, fmt.Errorf("%w: ring of %d bytes", errMessage, len(body))
	}
	var nodes []ring.Node
	if err := json.Unmarshal(body, &nodes); err != nil {
		return nil, fmt.Errorf("%w: ring: %w", errMessage, err)
	}
	if len(nodes) > kv.MaxTag+1 {
		return nil, fmt.Errorf("%w: ring of %d members, at most %d", errMessage, len(nodes), kv.MaxTag+1)
	}
	table, err := ring.New(nodes, c.opt.Ring)
	if err != nil {
		return nil, err
	}
	if got := rebalance.Ring(table.Fingerprint()); got != x {
		return nil, fmt.Errorf("%w: its members make ring %s", errNotYet, ringName(got))
	}
	return table, nil
}
