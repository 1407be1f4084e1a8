package replicate

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"httpdhs/kv"
)

// Ping is what a node tells of itself: in each probe, and in its answer to one.
type Ping struct {
	Name     string     `json:"name"`
	Boot     uint64     `json:"boot"` // drawn at start: tells a restart from a pause
	Ring     string     `json:"ring"` // fingerprint of its partition table
	Clock    kv.Version `json:"clock"`
	Synced   bool       `json:"synced"`           // it holds all that it owns
	Formed   []uint64   `json:"formed,omitempty"` // the boots that it came to be in sync with
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
	kind, body, err := splitHead(msg)
	if err != nil {
		return p, err
	}
	if kind != kindPing {
		return p, fmt.Errorf("%w: kind %d, want a ping", errMessage, kind)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return p, fmt.Errorf("%w: ping: %w", errMessage, err)
	}
	return p, nil
}

// formation decides when a node that started empty is in sync with the nodes
// that own the same keys. Memory is not kept over a restart, so a node that
// meets peers in sync has missed what they hold. But where all members are up
// and none is in sync, nobody holds anything that the others miss: the cluster
// is new, or all of it was restarted. They are in sync from then on, and each
// remembers the boots of the others, so that a member that looks a moment
// later, and finds the first already in sync, knows that it was counted in.
type formation struct {
	mu     sync.Mutex // guards all
	synced bool
	formed []uint64
}

// view is what formation needs to know of one peer.
type memberView struct {
	up   bool
	ping Ping
}

// look decides anew; boot is this node's. It says whether the node came to be
// in sync just now.
func (f *formation) look(boot uint64, peers []memberView) (now bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.synced {
		return false
	}
	anySynced := false
	boots := make([]uint64, 0, len(peers))
	for _, m := range peers {
		if m.up && m.ping.Synced {
			anySynced = true
			if slices.Contains(m.ping.Formed, boot) {
				f.synced, f.formed = true, m.ping.Formed
				return true
			}
		}
		boots = append(boots, m.ping.Boot)
	}
	if anySynced {
		return false
	}
	for _, m := range peers {
		if !m.up {
			return false
		}
	}
	f.synced, f.formed = true, append(boots, boot)
	return true
}

func (f *formation) state() (synced bool, formed []uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.synced, f.formed
}
