package antientropy

import (
	"errors"
	"slices"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
)

// lookForDrift pulls what a random peer in sync has more of, or each of them after one was
// restarted. One that is not in sync then is looked at once it is: what its disk has, others may
// lack.
func (r *Repairer) lookForDrift() {
	v := r.board.View()
	var peers, later []*peer.Peer
	for _, p := range v.Peers {
		switch {
		case p == nil:
		case p.Up() && p.InSync():
			peers = append(peers, p)
		default:
			later = append(later, p)
		}
	}
	if len(peers) == 0 {
		return
	}
	all, owed := r.board.Compared(), r.owed
	if all {
		r.owed = later
	} else {
		one := peers[int(r.opt.Random()*float64(len(peers)))]
		peers = slices.DeleteFunc(peers, func(p *peer.Peer) bool { return p != one && !slices.Contains(owed, p) })
		r.owed = slices.DeleteFunc(slices.Clone(owed), func(p *peer.Peer) bool { return !slices.Contains(later, p) })
	}
	for _, p := range peers {
		r.compareWith(p, r.comparable(v.Shared(p), all || slices.Contains(owed, p)))
	}
}

// compareWith pulls what a peer has more of in some partitions.
func (r *Repairer) compareWith(p *peer.Peer, partitions []int) {
	err := r.puller.pullFrom(r.remote(p, false), partitions)
	if err != nil && !errors.Is(err, placement.ErrNotInSync) && !r.stopping.Load() {
		r.opt.Log.Warn("sync with a peer broke off", "peer", p.Name(), "error", err)
	}
}

// keepUp pulls, while this node is not in sync, what the peers have more of that are. It may wait
// for an owner of other partitions that is down for long. Meanwhile the peers forget deletes of
// which its disk knows nothing.
func (r *Repairer) keepUp() {
	if r.waits.IsZero() {
		r.waits = time.Now()
	}
	if time.Since(r.waits) < driftEvery {
		return
	}
	v := r.board.View()
	for _, p := range v.Peers {
		if p != nil && p.Up() && p.InSync() {
			r.compareWith(p, v.Shared(p))
		}
	}
	r.waits = time.Now()
}

// comparable are those of the partitions that are worth comparing in turn: owners that evict
// differ, and that is no fault.
func (r *Repairer) comparable(partitions []int, all bool) []int {
	if all {
		return partitions
	}
	return slices.DeleteFunc(partitions, r.own.store.Evicted)
}

// catchUp fetches from the other owners, every driftEvery, what this node has refused, partition by
// partition. Where all of them were compared with, it forgets the notes from before the round
// before: it holds what they have, or has refused it again, which is a new note. What none of them
// has was acknowledged by nobody who still holds it. It stops where there is no room, and where a
// claim waits, and goes on from there next time.
func (r *Repairer) catchUp() {
	if time.Since(r.caught) < driftEvery {
		return
	}
	r.caught = time.Now()
	refused := &r.board.Refused
	round := refused.NextRound()
	for range r.board.Partitions() {
		part := r.catching
		r.catching = (r.catching + 1) % r.board.Partitions()
		if !refused.Any(part) {
			continue
		}
		if !r.board.View().Mine(part) { // any more: it is asked for nothing there
			refused.Forget(part, round)
			continue
		}
		compared, full := r.compareWithOwners(part)
		if compared {
			refused.Forget(part, round-1)
		}
		if full || r.topology.Claiming() {
			return
		}
	}
}

// compareWithOwners fetches what the other owners of a partition have and this node has not. It
// says whether all of them were compared with, and whether there was no room.
func (r *Repairer) compareWithOwners(part int) (compared, full bool) {
	v := r.board.View()
	compared = true
	for _, n := range v.Owners(part) {
		p := v.Peers[n]
		if p == nil {
			continue
		}
		if p.State() == peer.Down {
			compared = false
			continue
		}
		err := r.puller.pullFrom(r.remote(p, false), []int{part})
		switch {
		case kv.NoRoom(err):
			full = true
		case err != nil:
			compared = false
			if !errors.Is(err, placement.ErrNotInSync) && !r.stopping.Load() {
				r.opt.Log.Warn("cannot fetch what was refused", "peer", p.Name(), "error", err)
			}
		}
	}
	return compared, full
}
