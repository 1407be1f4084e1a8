package membership

import (
	"context"
	"sync"
	"time"
)

const (
	callsMax = 8 // hellos under way at a time
	seekMax  = 4 // members looked for in one round; the next begins where it ended
)

// calls says hello to members: one hello at a time to each, and not too many in all.
type calls struct {
	*asker
	live  func(name string) bool // Events.Live; nil: none is up
	down  func(name string) bool // Events.Down; nil: whoever is not up is
	slots chan struct{}          // of the calls that are made at a time

	mu     sync.Mutex
	busy   map[string]bool // guarded by mu: who is called; true: once more after that
	closed bool            // guarded by mu: no call is begun any more
	wg     sync.WaitGroup
}

func newCalls(a *asker) *calls {
	return &calls{asker: a, slots: make(chan struct{}, callsMax), busy: make(map[string]bool)}
}

// close waits for the calls under way, whose context is done, and begins no other.
func (c *calls) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.wg.Wait()
}

// isUp says whether a member is taken for up.
func (c *calls) isUp(name string) bool { return c.live != nil && c.live(name) }

// isDown says whether a member is known to be down.
func (c *calls) isDown(name string) bool {
	if c.down == nil {
		return !c.isUp(name)
	}
	return c.down(name)
}

// spread says hello to all that are up, after a change that this node made.
func (c *calls) spread() {
	for _, other := range c.state.members() {
		if c.isUp(other.Name) {
			c.call(other.Name)
		}
	}
}

// call says hello to a member, unless that is being done; then it is done once more.
func (c *calls) call(name string) {
	if s := c.state; name == s.id.name || !s.isFormed() || !s.isMember(name) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if _, busy := c.busy[name]; busy {
		c.busy[name] = true
		return
	}
	c.busy[name] = false
	c.wg.Go(func() { c.converse(name) })
}

// converse says hello to a member for as long as somebody wants it.
func (c *calls) converse(name string) {
	for {
		select {
		case c.slots <- struct{}{}:
		case <-c.ctx.Done():
			return
		}
		_ = c.greet(c.ctx, name) // it is logged; a probe or the next look comes to it again
		<-c.slots
		c.mu.Lock()
		more := c.busy[name]
		if more {
			c.busy[name] = false
		} else {
			delete(c.busy, name)
		}
		c.mu.Unlock()
		if !more {
			return
		}
		select {
		case <-time.After(c.o.jitter(c.o.pace.again)):
		case <-c.ctx.Done():
			return
		}
	}
}

// seekLoop looks for members that are down, for as long as they are members. So a split heals by
// itself.
func (c *calls) seekLoop() {
	for from := 0; ; {
		select {
		case <-time.After(c.o.jitter(c.o.pace.seek)):
		case <-c.state.wakeSeek:
		case <-c.ctx.Done():
			return
		}
		if c.state.isFormed() {
			from = c.seek(from)
		}
	}
}

// seek says hello to members that are down, from a place of the list on. It returns where to go on.
func (c *calls) seek(from int) int {
	members := c.state.members()
	calls := 0
	for i := range members {
		at := (from + i) % len(members)
		name := members[at].Name
		if name == c.state.id.name || c.isUp(name) {
			continue
		}
		if calls == seekMax {
			return at
		}
		calls++
		c.call(name)
	}
	return 0
}

// tellLeft says hello to a member until it has answered or is down.
func (c *calls) tellLeft(ctx context.Context, name string) error {
	for {
		err := func() error {
			select {
			case c.slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-c.slots }()
			return c.greet(ctx, name)
		}()
		if err == nil || !c.isUp(name) {
			return err
		}
		select {
		case <-time.After(c.o.jitter(c.o.pace.again)):
		case <-ctx.Done():
			return err
		}
	}
}
