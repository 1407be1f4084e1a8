package replicate

import (
	"encoding/json"
	"fmt"
	"time"

	"httpdhs/kv"
)

// Ping is what a node tells of itself: in each probe, and in its answer to one.
type Ping struct {
	Name     string     `json:"name"`
	Boot     uint64     `json:"boot"` // drawn at start: tells a restart from a pause
	Ring     string     `json:"ring"` // fingerprint of its partition table
	Clock    kv.Version `json:"clock"`
	Wall     int64      `json:"wall"`   // its wall clock, Unix milliseconds
	Synced   bool       `json:"synced"` // it holds all that it owns
	Passes   uint64     `json:"passes"` // how often it came to be in sync
	Stopping bool       `json:"stopping,omitempty"`

	// Sees has the peers that it counts on, which have all that it kept for
	// them: the boot of each, and how often it has taken it for down.
	Sees map[uint64]uint64 `json:"sees,omitempty"`

	Keys       int64     `json:"keys"`
	Bytes      int64     `json:"bytes"`
	Tombstones int64     `json:"tombstones"`
	Memory     Memory    `json:"memory"`
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
}

// Memory is what a node's store takes, by kind, in bytes.
type Memory struct {
	Live     int64 `json:"live"`     // records that are held
	Dead     int64 `json:"dead"`     // where records were
	Segments int64 `json:"segments"` // all that records lie in
	Index    int64 `json:"index"`
	Max      int64 `json:"max,omitempty"` // the bound; 0: none
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

// sees says whether the peer counts on the node of that boot.
func (p *Peer) sees(boot uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.ping.Sees[boot]
	return ok
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
	return p.needs == 0
}

// believeLocked takes note of what the peer says of itself.
//
// A peer that was down here has missed what this node coordinated meanwhile,
// and what was kept for it may have been dropped. So it is not taken to be in
// sync, whatever it says, until it has been through another pass. It learns
// that it needs one in the same way from the other side: the peer's Sees had
// this node, and has not any more, or the count has changed. Then missed is
// true: this node has to go through another pass.
func (p *Peer) believeLocked(ping *Ping, boot uint64) (missed bool) {
	if ping.Boot != p.ping.Boot {
		p.seen, p.seenDowns, p.downs, p.needs = false, 0, 0, 0
	}
	downs, seen := ping.Sees[boot]
	missed = p.seen && !seen
	if seen && downs != p.seenDowns {
		missed, p.seenDowns = true, downs
	}
	p.seen, p.ping = seen, *ping
	p.synced.Store(ping.Synced && ping.Passes >= p.needs)
	return missed
}
