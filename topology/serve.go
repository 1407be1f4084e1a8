package topology

import (
	"time"

	"httpdhs/ring"
	"httpdhs/wire"
)

// ServePing answers a probe.
func (t *Topology) ServePing(dst, request []byte) ([]byte, error) {
	ping, err := wire.ParsePing(request)
	if err != nil {
		return dst, err
	}
	// A member that is not accepted is left to the prober's pace. Else two that refuse each other
	// would ask each other without end.
	now, m := time.Now(), t.find(ping.Name)
	if m != nil && t.accepts(&ping) == nil {
		m.asked(&ping, now)
	}
	self, _ := t.statement(m, ping.Figures)
	return wire.AppendPing(dst, &self), nil
}

// ServeRing says who is on a ring.
func (t *Topology) ServeRing(dst, body []byte) ([]byte, error) {
	x, err := wire.ParseRing(body)
	if err != nil {
		return dst, err
	}
	t.mu.Lock()
	table := t.mu.rings.tables[x]
	t.mu.Unlock()
	var nodes []ring.Node
	if table != nil {
		nodes = table.Nodes()
	}
	return wire.AppendNodes(dst, nodes), nil
}
