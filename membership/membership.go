package membership

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"httpdhs/wire"
)

// ErrClosed says that the membership is closed.
var ErrClosed = errors.New("membership is closed")

// Membership is this node's part in the cluster's membership.
type Membership struct {
	*state
	log    *slog.Logger
	events Events // set by Start

	asker  *asker
	calls  *calls
	joiner *joiner
	guest  *guest
	host   *host

	stop  context.CancelFunc // ends asker.ctx
	loops sync.WaitGroup
}

// New makes the node's part, and its first map. Start begins to talk to others. The error wraps
// [ErrOptions].
func New(o Options) (*Membership, error) {
	if err := o.prepare(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &Membership{state: newState(&o), log: o.Log, stop: stop}
	m.asker = newAsker(ctx, &o, m.state)
	m.calls = newCalls(m.asker)
	m.joiner = newJoiner(m.asker)
	m.guest = newGuest(m.asker)
	m.host = newHost(m.asker)
	return m, nil
}

// Start begins to talk to others, and to tell of changes. Before it ServeHello, Twin, Visit and
// Away may be called, and what tells of the members. The node's ServeHello should be within reach
// of others soon.
func (m *Membership) Start(e Events) {
	m.events, m.calls.live, m.calls.down = e, e.Live, e.Down
	formed := m.Formed()
	wake(m.wakeLoop)
	m.loops.Go(m.callbackLoop)
	m.loops.Go(m.calls.seekLoop)
	if !formed {
		m.loops.Go(m.joiner.loop)
	}
}

// Close ends everything without a word to the others: for them it is as if the node were down. To
// leave for good, use [Membership.BeginLeave] and [Membership.Left] first. It waits for the
// callback and the hellos under way.
func (m *Membership) Close() {
	m.stop()
	m.calls.close()
	m.loops.Wait()
}

// Now returns the members, and whether this node is one of them, and part of a cluster.
func (m *Membership) Now() (now wire.Members, member bool) {
	v := m.view.Load()
	now = wire.Members{All: v.members(), Digest: v.digest}
	return now, v.formed && now.Has(m.id.name)
}

// Members returns the members, those that are leaving included, by name. The caller does not change
// the slice.
func (m *Membership) Members() []wire.Member { return m.members() }

// All returns all entries by name, those of removed members included. The caller does not change
// the slice.
func (m *Membership) All() []wire.Member { return m.view.Load().all }

// Digest is equal at two nodes when their maps are. It is cheap.
func (m *Membership) Digest() uint64 { return m.view.Load().digest }

// Formed says whether the node is part of a cluster.
func (m *Membership) Formed() bool { return m.isFormed() }

// Joined is closed once the node is part of a cluster.
func (m *Membership) Joined() <-chan struct{} { return m.joined }

// Ready returns nil if the node is part of a cluster. Else the error wraps [ErrNotFormed] and says
// what came of each address that was tried.
func (m *Membership) Ready() error { return m.ready() }

// Differs says that a probe has shown that a member's map is not this node's: the two say hello
// soon. Many calls make one hello, and two to the same member have a pause between them.
func (m *Membership) Differs(name string) { m.calls.call(name) }

// callbackLoop calls what the owner wants to be called.
func (m *Membership) callbackLoop() {
	for {
		select {
		case <-m.wakeLoop:
			m.callBack()
		case <-m.asker.ctx.Done():
			return
		}
	}
}

func (m *Membership) callBack() {
	if behind := m.overtaken(); behind != "" {
		m.log.Warn("others have gone on without this node: joining again", "reason", behind)
		if m.events.Overtaken != nil {
			m.events.Overtaken(behind)
		}
		if m.reenter() {
			m.calls.spread()
		}
	}
	news := m.takeNews()
	if news.stays {
		m.log.Warn("all other members are leaving too: this node stays")
	}
	if news.changed && m.events.Changed != nil {
		m.events.Changed()
	}
	for name := range news.heard {
		if m.events.Heard != nil {
			m.events.Heard(name)
		}
	}
}
