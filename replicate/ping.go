package replicate

import (
	"encoding/json"
	"fmt"
	"time"

	"httpdhs/kv"
	"httpdhs/rebalance"
)

// Ping is what a node tells of itself: in each probe, and in its answer to one.
type Ping struct {
	Name     string     `json:"name"`
	Boot     uint64     `json:"boot"`     // drawn at start: tells a restart from a pause
	Settings string     `json:"settings"` // of the ring: they have to be equal
	Clock    kv.Version `json:"clock"`
	Wall     int64      `json:"wall"`   // its wall clock, Unix milliseconds
	Synced   bool       `json:"synced"` // it holds all that it owns by the ring that it reads by
	Stopping bool       `json:"stopping,omitempty"`

	// Said is its part in the protocol by which rings change.
	Said rebalance.Statement `json:"said"`

	// Moving is what it is fetching; nil: nothing.
	Moving *Moving `json:"moving,omitempty"`

	// Dead are the members that have been down to it for so long that it would have them removed.
	Dead []string `json:"dead,omitempty"`

	// Sees has the peers that it counts on, which have all that it kept for
	// them: the boot of each, and how often it has taken it for down.
	Sees map[uint64]uint64 `json:"sees,omitempty"`

	// Heeds has how often each peer, by its boot, has taken it for down, as far as it knows: after each time it gave up what
	// it held.
	Heeds map[uint64]uint64 `json:"heeds,omitempty"`

	Keys       int64     `json:"keys"`
	Bytes      int64     `json:"bytes"`
	Tombstones int64     `json:"tombstones"`
	Memory     Memory    `json:"memory"`
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`

	to uint64 // of an answer: the Seq of the statement that it answers
}

// Memory is what a node's store takes, by kind, in bytes, and what it has evicted.
type Memory struct {
	Live     int64 `json:"live"`     // records that are held
	Dead     int64 `json:"dead"`     // where records were
	Segments int64 `json:"segments"` // all that records lie in
	Index    int64 `json:"index"`
	Max      int64 `json:"max,omitempty"` // the bound; 0: none

	Evicted      int64 `json:"evicted,omitempty"` // entries, since the start
	EvictedBytes int64 `json:"evicted_bytes,omitempty"`
}

func appendPing(dst []byte, p *Ping) []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic("BUG: replicate: ping does not marshal: " + err.Error())
	}
	return append(appendHead(dst, kindPing), body...)
}

func parsePing(msg []byte) (p Ping, err error) {
	body, err := expectKind(msg, kindPing, messageHead)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return p, fmt.Errorf("%w: ping: %w", errMessage, err)
	}
	return p, nil
}

// counted is the boot of the peer if this node counts on it: it is up, and has
// been sent all that was kept for it. downs is how often it was taken for down.
func (p *Peer) counted() (boot, downs uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ping.Boot, p.downs, p.State() == Up && !p.settling
}

// mayBeSynced says whether the peer is worth asking for what only one in sync
// can answer, when its answer says itself whether it is: one that came to be in
// sync a moment ago, and was never taken for down, has not said so yet.
func (p *Peer) mayBeSynced() bool {
	if p.isSynced() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.believedLocked()
}

// believeLocked takes note of what the peer says of itself.
//
// A peer that was down here has missed what this node coordinated meanwhile, and what was kept for it may have been dropped. It learns so from this
// node's Sees: the peer is not in it any more, or with another count; then it gives up what it holds, and only afterwards says in its
// Heeds that it knows. Until then nothing that it says to hold is believed. The same the other way round is missed: this node has to give up what it holds.
func (p *Peer) believeLocked(ping *Ping, boot uint64) (missed bool) {
	if ping.Boot != p.ping.Boot {
		if p.ping.Boot != 0 { // else it was found down before it was ever heard, and that counts
			p.downs = 0
		}
		p.seen, p.seenDowns, p.heeded, p.answeredTo = false, 0, 0, 0
	} else if ping.Said.Seq < p.ping.Said.Seq {
		return false // overtaken by a later one
	}
	downs, seen := ping.Sees[boot]
	missed = p.seen && !seen
	if seen && downs != p.seenDowns {
		missed, p.seenDowns = true, downs
	}
	p.seen, p.ping = seen, *ping
	return missed
}

// believedLocked says whether what the peer says to hold may be believed.
func (p *Peer) believedLocked() bool {
	return p.State() != Down && p.ping.Heeds[p.boot] == p.downs
}
