package replicate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"httpdhs/rebalance"
	"httpdhs/ring"
	"httpdhs/wire"
)

// serveRing says who is on a ring.
func (c *Coordinator) serveRing(dst, body []byte) ([]byte, error) {
	x, err := wire.ParseRing(body)
	if err != nil {
		return dst, err
	}
	c.rings.mu.Lock()
	table := c.rings.tables[x]
	c.rings.mu.Unlock()
	var nodes []ring.Node
	if table != nil {
		nodes = table.Nodes()
	}
	return wire.AppendNodes(dst, nodes), nil
}

// learnRings asks who is on the rings that others want and this node has not heard of.
func (c *Coordinator) learnRings() error {
	r := &c.rings
	r.mu.Lock()
	ask := make(map[rebalance.Ring]*member, len(r.unknown))
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
			errs = append(errs, fmt.Errorf("cannot learn from %s who is on ring %s: %w", p.Name(), ringName(x), err))
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

func (c *Coordinator) learnRing(x rebalance.Ring, p *member) (*ring.Table, error) {
	answer, err := p.Ask(wire.AppendRing(nil, x), time.Now().Add(probeTimeout))
	if err != nil {
		return nil, err
	}
	nodes, err := wire.ParseNodes(answer)
	if err != nil {
		return nil, err
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
