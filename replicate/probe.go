package replicate

import (
	"errors"
	"fmt"
	"time"

	"httpdhs/peer"
	"httpdhs/wire"
)

const (
	// probeTimeout is how long an answer to a probe may take; a peer that
	// misses probesMissed in a row is down. One that refuses connections is
	// down at once. See SilenceMax.
	probeTimeout = 700 * time.Millisecond
	probesMissed = 4

	// ProbeEveryMax bounds the pause between probes: a longer one would look like a process that was stopped.
	ProbeEveryMax = time.Second

	// stallMax is how long the probers of this node may be silent before it
	// takes itself for one that was stopped, and that others took for down.
	stallMax = SilenceMax

	// flightStuck is how long a batch may be under way to a peer that answers probes meanwhile, before it is sent again: an answer that
	// is lost without a word would hold up all that comes after it until it is given up.
	flightStuck = SilenceMax
)

// SilenceMax is how long a peer that hangs is waited for once a probe has begun: then it is down.
// A write waits this long at most, and for the pause between two probes.
//
// Three probes would find it sooner. But to be taken for down is dear: the peer loses its authority
// and compares all that it holds. A process that was stopped for two seconds, by a snapshot of its
// machine or a debugger, is not worth that. The fourth probe is the margin.
const SilenceMax = probesMissed * probeTimeout

// errSilent always reads the same: a reason is logged when it changes.
var errSilent = fmt.Errorf("no answer to %d probes in a row", probesMissed)

// probeLoop asks the peer how it is, for as long as it is a member: often
// while this node waits for others to get in sync.
func (p *member) probeLoop(every time.Duration) {
	for {
		p.host.beat()
		p.probe(time.Now().Add(probeTimeout))
		pause := every
		switch {
		case p.misses > 0 && p.State() != peer.Down:
			pause = 0 // it hangs, and requests with it: know soon
		case !p.host.settled():
			pause = min(every, unsyncedProbe)
		}
		select {
		case <-time.After(pause):
		case <-p.poke:
		case <-p.Closing():
			return
		}
	}
}

// probeSoon makes the prober ask now, for something else says that the peer is
// there.
func (p *member) probeSoon() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// probe asks once and draws the conclusion.
func (p *member) probe(deadline time.Time) {
	began := time.Now()
	ping, err := p.exchangePing(deadline)
	switch {
	case err == nil:
		p.misses = 0
		p.Unstick(began, flightStuck)
		p.answered(&ping)
	case errors.Is(err, errUnsteered):
		p.misses = 0
	case errors.Is(err, peer.ErrStranger):
		if p.misses++; p.misses < probesMissed {
			p.host.introduce(p.Name())
		} else {
			p.markDown(err)
		}
	case peer.IsTimeout(err):
		if p.misses++; p.misses >= probesMissed {
			p.markDown(errSilent)
		}
	default:
		p.markDown(err)
	}
	if !p.probed.Load() {
		p.tried.Store(true)
		p.host.steer() // before this node may coordinate, and stamp something by a wrong clock
		if errors.Is(err, errUnsteered) || errors.Is(err, peer.ErrStranger) && p.misses < probesMissed {
			return // no verdict
		}
		p.probed.Store(true)
		p.host.reconsider()
	}
}

// heardPing is what a peer says of itself in answer to a probe.
type heardPing struct {
	wire.Ping
	to   uint64 // the Seq of the statement that it answers
	told uint64 // how often this node had taken the peer for down when it asked
}

func (p *member) exchangePing(deadline time.Time) (heardPing, error) {
	told, began := p.downsNow(), time.Now() // before it is told
	stamped := p.clock.Reading()
	self := p.host.self()
	msg := wire.AppendPing(nil, &self)
	answer, err := p.Probe(msg, deadline)
	if err != nil {
		return heardPing{}, err
	}
	said, err := wire.ParsePing(answer)
	if err != nil {
		return heardPing{}, err
	}
	ping := heardPing{said, self.Said.Seq, told}
	p.readClock(&said, time.Since(began), stamped)
	steered := p.host.steer()
	p.host.follow()
	if ping.Name != p.Name() {
		// One node under two names would count as two replicas.
		return ping, fmt.Errorf("the node at %s says that it is %s", p.Name(), ping.Name)
	}
	err = p.host.accepts(&said)
	if apart := (*apartError)(nil); errors.As(err, &apart) && !steered && !p.probed.Load() {
		return ping, errUnsteered
	}
	return ping, err
}

// errUnsteered is no verdict: the peer is there, and its clock is far from this node's, which may be the one that is wrong, and is moved once all peers were
// asked. To go on without it, as if it were down, would be a split.
var errUnsteered = errors.New("the clocks are to be compared with those of others first")

// downsNow is how often the peer was taken for down.
func (p *member) downsNow() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.downs
}

// answered takes note of what the peer says of itself in answer to a probe.
func (p *member) answered(ping *heardPing) {
	p.clock.Observe(ping.Clock)
	p.mu.Lock()
	if p.Closed() || p.State() == peer.Down && ping.told != p.downs {
		p.mu.Unlock() // one that is down is there again when it knows of it
		return
	}
	met := ping.Boot != p.ping.Boot
	back := p.State() == peer.Down
	missed := p.believeLocked(&ping.Ping)
	p.answeredTo = max(p.answeredTo, ping.to)
	downs := p.downs
	if back {
		sight := ping.Sees[p.boot]
		missed = missed || sight.Suspicion > 0 && !sight.Counts
	}
	p.mu.Unlock()
	if missed {
		p.heed(ping.Boot) // before the peer takes part, and acknowledges what this node decides without knowing it
	}
	if back {
		kept := p.comeBack(ping.Boot, downs)
		if missed {
			p.host.missed(p.Name() + " was away") // a claim may have ended without it just now
		}
		if kept > 0 {
			p.log.Info("peer back, sending it what it missed", "bytes", kept)
		}
	}
	if met {
		p.host.met(p)
	}
	p.noted(&ping.Ping)
	if back {
		p.probeSoon() // it has to be told
	}
}

// comeBack makes a peer that was down take part again, and returns how many bytes were kept for it.
func (p *member) comeBack(boot, downs uint64) (kept int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.State() != peer.Down || p.ping.Boot != boot || p.downs != downs {
		return 0
	}
	p.host.arrives()
	kept, ok := p.MarkBack(p.downs == 0) // it was never down, but not met yet
	if !ok {
		return 0
	}
	if p.downs > 0 {
		p.downs++
	}
	if time.Since(p.downSince) > absenceMax(p.evictAfter) {
		p.upSince = time.Now()
	}
	return kept
}

// asked takes note of what the peer says of itself in a probe of its own.
func (p *member) asked(ping *wire.Ping) {
	p.mu.Lock()
	p.heard = time.Now()
	if p.Closed() || p.State() == peer.Down || p.ping.Boot != ping.Boot {
		p.mu.Unlock()
		p.probeSoon() // it is there; the rest is believed of an answer alone, which is not late
		return
	}
	p.clock.Observe(ping.Clock)
	missed := p.believeLocked(ping)
	p.mu.Unlock()
	if missed {
		p.heed(ping.Boot)
	}
	p.noted(ping)
}

// heed gives up what this node holds, for the peer has taken it for down. Only then does it say that it knows.
func (p *member) heed(boot uint64) {
	p.mu.Lock()
	told := p.seenDowns
	p.mu.Unlock()
	p.host.missed(p.Name() + " took this node for down")
	p.mu.Lock()
	if p.ping.Boot == boot {
		p.heeded = max(p.heeded, told)
	}
	p.mu.Unlock()
	p.probeSoon() // it waits for that
}

// noted draws the conclusions from what the peer has said.
func (p *member) noted(ping *wire.Ping) {
	p.host.compareMaps(p.Name(), ping.Said.Map)
	p.host.reconsider()
}

// Status is a peer as this node sees it.
type Status struct {
	Name   string
	State  peer.State
	Reason error     // why it is down
	Since  time.Time // when it was found down; only while it is
	Ping   wire.Ping // what it last said of itself; Boot is 0 before that
	Queued int       // bytes

	*peer.Counters
}

// Status is the peer's.
func (p *member) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Name: p.Name(), State: p.State(), Ping: p.ping, Counters: &p.Counters}
	s.Reason, s.Queued = p.Why()
	if s.State == peer.Down {
		s.Since = p.downSince
	}
	return s
}
