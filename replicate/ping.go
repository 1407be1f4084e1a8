package replicate

import (
	"math"

	"httpdhs/peer"
	"httpdhs/wire"
)

// counted says whether this node counts on the peer: it is up, and has been sent all that was kept for it.
func (p *member) counted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.countedLocked()
}

func (p *member) countedLocked() bool {
	return p.Delivered() && p.met < p.host.oldest()
}

// mayBeSynced says whether the peer is worth asking for what only one in sync
// can answer, when its answer says itself whether it is: one that came to be in
// sync a moment ago, and was never taken for down, has not said so yet.
func (p *member) mayBeSynced() bool {
	if p.InSync() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.believedLocked()
}

// believeLocked takes note of what the peer says of itself. missed: others, the peer at least, have gone on without this node.
//
// A peer that was down here has missed what this node coordinated meanwhile, and what was kept for it may have been dropped. It learns so from the
// count in this node's Sees; then it gives up what it holds, and only afterwards says in its Heeds that it knows. Until then nothing
// that it says to hold is believed. missed is the same the other way round.
func (p *member) believeLocked(ping *wire.Ping) (missed bool) {
	if ping.Boot != p.ping.Boot {
		p.meetLocked(ping.Boot)
	} else if ping.Number < p.ping.Number {
		return false // overtaken by a later one
	}
	p.seenDowns = max(p.seenDowns, ping.Sees[p.boot].Suspicion)
	p.ping = *ping
	return p.heeded < p.seenDowns
}

// meetLocked begins anew with a peer that was restarted, or is heard for the first time.
func (p *member) meetLocked(boot uint64) {
	switch {
	case p.ping.Boot != 0:
		p.downs = 0
	case p.past.boot == boot, p.past.boot == 0: // 0: it was not heard then, and may have been this one
		p.downs += p.past.downs
	} // else it was found down before it was ever heard, or not, and that counts
	p.past = past{}
	p.seenDowns, p.heeded, p.answeredTo = 0, 0, 0
	p.heeding = heeding{}
	p.met = math.MaxUint64 // until the host says which operations began before
}

// past is what is left of a peer that was no member for a while.
type past struct{ boot, downs uint64 }

// believedLocked says whether what the peer says to hold may be believed.
func (p *member) believedLocked() bool {
	return p.State() != peer.Down && p.ping.Acknowledged[p.boot] == p.downs
}
