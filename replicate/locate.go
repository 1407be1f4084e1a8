package replicate

import (
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

// Locate asks all owners of a key what they hold; primary first.
func (c *Coordinator) Locate(key []byte, deadline time.Time) (partition int, held []Holding) {
	if !c.awaitIntroduction(deadline) {
		return 0, nil
	}
	v := c.view.Load()
	hash := kv.Hash(key)
	partition = v.partition(hash)
	owners := v.owners(partition)
	held = make([]Holding, len(owners))
	var all together
	for k, n := range owners {
		h := &held[k]
		h.Node = v.names[n]
		if int(n) == v.self {
			h.State, h.Self = peer.Up, true
			h.Entry, _, _ = c.store.Get(nil, hash, key)
			continue
		}
		p := v.peers[n]
		if h.State = p.State(); h.State == peer.Down {
			h.Err = p.Status().Reason
			continue
		}
		all.Go(func() { h.Entry, h.Err = p.look(key, deadline) })
	}
	all.Wait()
	return partition, held
}

// look reads key at the peer past the queue, so that it can be asked even when
// much is queued for it.
func (p *member) look(key []byte, deadline time.Time) (kv.Entry, error) {
	msg := wire.AppendRead(wire.OpenBatch(nil), key)
	wire.SetClock(msg, p.clock.Last())
	answer, err := p.Ask(msg, deadline)
	if err != nil {
		return kv.Entry{}, err
	}
	_, body, err := wire.Split(answer)
	if err != nil {
		return kv.Entry{}, err
	}
	if _, body, err = wire.SplitClock(body); err != nil {
		return kv.Entry{}, err
	}
	r, _, err := wire.NextResult(body)
	return r.Record.Entry, err
}
