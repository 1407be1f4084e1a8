package replicate

import (
	"math"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// Holding is what one owner holds of a key.
type Holding struct {
	Node  string
	State peer.State
	Self  bool
	Entry kv.Entry // zero: nothing
	Err   error    // why it could not be asked
}

// Locate asks all owners of a key what they hold. It returns them in their order, the first owner
// first. held is nil if this node may not coordinate before the deadline.
func (c *Coordinator) Locate(key []byte, deadline time.Time) (partition int, held []Holding) {
	if c.topology.Await(deadline) != nil {
		return 0, nil
	}
	v := c.board.View()
	hash := kv.Hash(key)
	partition = v.Partition(hash)
	owners := v.Owners(partition)
	held = make([]Holding, len(owners))
	var all peer.Group
	for k, n := range owners {
		h := &held[k]
		h.Node = v.Names[n]
		if int(n) == v.Self {
			h.State, h.Self = peer.Up, true
			h.Entry, _, _, _ = c.replica.store.GetWithin(math.MaxInt, nil, hash, key)
			continue
		}
		p := v.Peers[n]
		if h.State = p.State(); h.State == peer.Down {
			_, h.Err = p.Why()
			continue
		}
		all.Go(func() { h.Entry, h.Err = c.look(p, key, deadline) })
	}
	all.Wait()
	return partition, held
}

// look reads key at the peer past the queue, so that it can be asked even when
// much is queued for it.
func (c *Coordinator) look(p *peer.Peer, key []byte, deadline time.Time) (kv.Entry, error) {
	msg := wire.AppendRead(wire.OpenBatch(nil), key)
	wire.SetClock(msg, c.clock.Last())
	answer, err := p.Ask(msg, deadline)
	if err != nil {
		return kv.Entry{}, err
	}
	_, body, err := wire.SplitBatch(answer)
	if err != nil {
		return kv.Entry{}, err
	}
	r, _, err := wire.NextResult(body)
	return r.Record.Entry, err
}
