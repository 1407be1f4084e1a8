package replicate

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

// member is another node: the way to it, and what this node knows and believes of it.
type member struct {
	*peer.Peer
	boot  uint64 // of the node that it is a peer of
	clock *kv.Clock
	log   *slog.Logger
	host  memberHost

	evictAfter time.Duration // of the node; set before start

	tried  atomic.Bool // it was asked, whatever came of it
	probed atomic.Bool // and if it was the last of all, this node's clock is steered

	mu         sync.Mutex // guards all below; the peer goes down, and comes back, under it
	heeding    heeding
	downSince  time.Time // when it was last found down
	lostSince  time.Time // the same, but not after contact for a moment: it had been up for evictAfter, or it is the first time
	upSince    time.Time // when it came back from an absence of more than absenceMax
	ping       wire.Ping // what it last said of itself; zero: nothing yet
	answeredTo uint64    // the largest Seq of this node's statements that it has answered
	clockRead  sample    // its clocks
	lag        lag       // of its stamps
	heard      time.Time // when it last asked this node how it is
	downs      uint64    // how often it was taken for down
	seenDowns  uint64    // how often it says to have taken this node for down
	heeded     uint64    // the same, once this node has drawn the conclusion
	met        uint64    // the serial of the view when its boot was first heard
	past       past      // of the same name, when it was a member before

	misses int // probes in a row that timed out; of the prober alone

	poke chan struct{} // probe now
}

// memberHost is what a member needs of the node that it belongs to.
type memberHost interface {
	self() wire.Ping                        // what this node says of itself
	accepts(p *wire.Ping) error             // why the answer is not a member's
	steer() (done bool)                     // a clock was read; not done: others are to be read before this node's is moved
	follow()                                // the same, for stamps
	settled() bool                          // whether this node is in sync and no ring is changing
	beat()                                  // a prober is alive
	met(m *member)                          // a peer is there that was not there before, or not with that boot
	oldest() uint64                         // the serial of the oldest view that operations may still go by
	missed(reason string)                   // this node has missed something
	arrives()                               // a peer that was down is about to take part again
	compareMaps(name string, digest uint64) // the peer states a member map
	introduce(name string)                  // the peer does not know this node
	reconsider()                            // what a peer says, or whether it is there, has changed
}

func newMember(name string, boot uint64, queueBytes int, t peer.Transport, c *kv.Clock, log *slog.Logger, h memberHost) *member {
	m := &member{
		boot: boot, clock: c, host: h, downSince: time.Now(), upSince: time.Now(),
		log:  log.With("peer", name),
		poke: make(chan struct{}, 1),
	}
	m.Peer = peer.New(&peer.Options{Name: name, Transport: t, QueueBytes: queueBytes, Clock: c, Log: log, Detector: m})
	return m
}

func (p *member) start(every time.Duration) {
	p.Peer.Start()
	p.Go(func() { p.probeLoop(every) })
}

// Broke implements peer.Detector.
func (p *member) Broke(reason error) { p.markDown(reason) }

// CameUp implements peer.Detector.
func (p *member) CameUp() { p.host.reconsider() }

// markDown fails all that waits for the peer and keeps what it was sent as
// hints.
func (p *member) markDown(reason error) {
	p.mu.Lock()
	fall := p.MarkDown(reason)
	if fall.Marked && (fall.First || p.ping.Boot == 0 && p.downs == 0) {
		p.downs++
		p.downSince = time.Now()
		if p.ping.Boot != 0 && (p.lostSince.IsZero() || time.Since(p.upSince) >= p.evictAfter) {
			p.lostSince = p.downSince
		}
	}
	p.mu.Unlock()
	fall.Finish()
	if fall.First {
		p.host.reconsider()
	}
}
