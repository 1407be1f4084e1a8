package replicate

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"httpdhs/kv"
)

// Ping is what a node tells of itself: in each probe, and in its answer to one.
type Ping struct {
	Name     string     `json:"name"`
	Boot     uint64     `json:"boot"` // drawn at start: tells a restart from a pause
	Ring     string     `json:"ring"` // fingerprint of its partition table
	Clock    kv.Version `json:"clock"`
	Synced   bool       `json:"synced"`         // it holds all that it owns
	Sees     []uint64   `json:"sees,omitempty"` // boots of the peers that it counts on, and that have all it kept for them
	Stopping bool       `json:"stopping,omitempty"`

	Keys       int64     `json:"keys"`
	Bytes      int64     `json:"bytes"`
	Tombstones int64     `json:"tombstones"`
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
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
	return slices.Contains(p.ping.Sees, boot)
}

// counted is the boot of the peer if this node counts on it: it is up, and has
// been sent all that was kept for it.
func (p *Peer) counted() (boot uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ping.Boot, p.State() == Up && !p.settling
}
