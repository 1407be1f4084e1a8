package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errSilent always reads the same: a reason is logged when it changes.
var errSilent = fmt.Errorf("no answer to %d probes in a row", probesMissed)

// probeLoop asks the peer how it is, for as long as it is a member: often
// while this node waits for others to get in sync.
func (p *Peer) probeLoop(every time.Duration) {
	for {
		p.host.beat()
		p.probe(time.Now().Add(probeTimeout))
		pause := every
		switch {
		case p.misses > 0 && p.State() != Down:
			pause = 0 // it hangs, and requests with it: know soon
		case !p.host.settled():
			pause = min(every, unsyncedProbe)
		}
		select {
		case <-time.After(pause):
		case <-p.poke:
		case <-p.quit:
			return
		}
	}
}

// unstick breaks the flight of a batch that was long under way when a probe began that has been answered. It is sent again
// then, which does no harm; once, for it may just be slow.
func (p *Peer) unstick(probed time.Time) {
	p.mu.Lock()
	stuck := p.flight != nil && p.flight != p.broken && probed.Sub(p.flight.began) > flightStuck
	if stuck {
		p.broken = p.flight
	}
	p.mu.Unlock()
	if stuck {
		p.log.Warn("a batch was not answered, sending it again")
		p.transport.Abort()
	}
}

// quitting says that the peer is being closed.
func (p *Peer) quitting() bool {
	select {
	case <-p.quit:
		return true
	default:
		return false
	}
}

// probeSoon makes the prober ask now, for something else says that the peer is
// there.
func (p *Peer) probeSoon() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// probe asks once and draws the conclusion.
func (p *Peer) probe(deadline time.Time) {
	began := time.Now()
	ping, err := p.exchangePing(deadline)
	switch {
	case err == nil:
		p.misses = 0
		p.unstick(began)
		p.answered(&ping, ping.to, p.host.self().Boot)
	case isTimeout(err):
		if p.misses++; p.misses >= probesMissed {
			p.markDown(errSilent)
		}
	default:
		p.markDown(err)
	}
	if !p.probed.Swap(true) {
		p.host.reconsider()
	}
}

func (p *Peer) exchangePing(deadline time.Time) (Ping, error) {
	self := p.host.self()
	msg := appendPing(nil, &self)
	answer, err := p.transport.RoundTrip(nil, msg, deadline)
	if err != nil && !isTimeout(err) && !errors.Is(err, ErrRefused) && !p.quitting() {
		answer, err = p.transport.RoundTrip(nil, msg, deadline)
	}
	if err != nil {
		return Ping{}, err
	}
	ping, err := parsePing(answer)
	if err != nil {
		return Ping{}, err
	}
	ping.to = self.Said.Seq
	if ping.Name != p.name {
		// One node under two names would count as two replicas.
		return ping, fmt.Errorf("the node at %s says that it is %s", p.name, ping.Name)
	}
	return ping, p.host.accepts(&ping)
}

// answered takes note of what the peer says of itself, in answer to this node's statement of that Seq, if not 0. boot is this node's.
func (p *Peer) answered(ping *Ping, to, boot uint64) {
	p.clock.Observe(ping.Clock)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	met := ping.Boot != p.ping.Boot
	missed := p.believeLocked(ping, boot)
	told := p.seenDowns
	p.answeredTo = max(p.answeredTo, to)
	back, kept := p.State() == Down, p.queue.bytes
	if back {
		p.owed = len(p.queue.batches)
		p.setState(Recovering, nil)
		p.work.Signal()
	}
	p.mu.Unlock()
	if back && kept > 0 {
		p.log.Info("peer back, sending it what it missed", "bytes", kept)
	}
	if met {
		p.host.met()
	}
	if missed {
		p.host.missed(p.name + " took this node for down")
		p.mu.Lock()
		if p.ping.Boot == ping.Boot && p.seenDowns == told { // else whoever heard the later count says so
			p.heeded = told
		}
		p.mu.Unlock()
		p.probeSoon() // it waits for that
	}
	p.host.compareMaps(p.name, ping.Said.Map)
	p.host.reconsider()
}

// knows says whether the peer has answered with that boot.
func (p *Peer) knows(boot uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ping.Boot == boot
}

// hear takes note that the peer has asked this node how it is.
func (p *Peer) hear() {
	p.mu.Lock()
	p.heard = time.Now()
	p.mu.Unlock()
}

// Status is a peer as this node sees it.
type Status struct {
	Name    string
	State   State
	Reason  error // why it is down
	Ping    Ping  // what it last said of itself; Boot is 0 before that
	Queued  int   // bytes
	Dropped int64 // records that were dropped at the queue's bound

	SentBatches, SentRecords, SendErrors int64
}

// Status is the peer's.
func (p *Peer) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Status{
		Name: p.name, State: p.State(), Reason: p.reason, Ping: p.ping,
		Queued: p.queue.bytes, Dropped: p.dropped.Load(),
		SentBatches: p.sentBatches.Load(), SentRecords: p.sentRecords.Load(), SendErrors: p.sendErrors.Load(),
	}
}

// drain waits until a peer that takes part has taken all that is queued for
// it, it is down, or ctx is done.
func (p *Peer) drain(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.State() != Down && !p.closed && (p.flight != nil || len(p.queue.batches) > 0) {
		if ctx.Err() != nil {
			return fmt.Errorf("cannot hand %d bytes over to %s: %w", p.queue.bytes, p.name, ctx.Err())
		}
		p.idle.Wait()
	}
	return nil
}
