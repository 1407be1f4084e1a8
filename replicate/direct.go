package replicate

import (
	"os"
	"time"

	"httpdhs/kv"
)

// directMax bounds the messages past the queue, such as listings, that are
// under way: fewer than a transport has connections, or a burst of them would
// look to the sender and the prober like a peer that is down.
const directMax = 12

// direct sends a message past the queue.
func (p *Peer) direct(msg []byte, deadline time.Time) ([]byte, error) {
	if err := p.enter(deadline); err != nil {
		return nil, err
	}
	defer p.leave()
	return p.transport.RoundTrip(nil, msg, deadline)
}

// enter waits for the right to send a message past the queue; leave gives it
// back.
func (p *Peer) enter(deadline time.Time) error {
	select {
	case p.directs <- struct{}{}:
		return p.begin()
	default:
	}
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case p.directs <- struct{}{}:
		return p.begin()
	case <-late.C:
		return os.ErrDeadlineExceeded
	case <-p.quit:
		return kv.ErrStopping
	}
}

func (p *Peer) leave() {
	p.done.Done()
	<-p.directs
}

// begin makes close wait for whoever sends past the queue, unless it is closed.
func (p *Peer) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		<-p.directs
		return kv.ErrStopping
	}
	p.done.Add(1)
	return nil
}
