package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"httpdhs/wire"
)

// Errors of a Membership.
var (
	ErrClosed    = errors.New("membership is closed")
	ErrNotFormed = errors.New("not part of a cluster yet")
)

// Membership is this node's part in the cluster's membership.
type Membership struct {
	o  Options
	e  Events // set by Start
	id identity

	view   atomic.Pointer[view]
	joined chan struct{} // closed once formed

	ctx  context.Context // done when Close begins
	stop context.CancelFunc
	wg   sync.WaitGroup

	wakeLoop chan struct{} // each of capacity one
	wakeSeek chan struct{}
	wakeJoin chan struct{}
	slots    chan struct{} // of the calls that are made at a time
	checks   chan struct{} // of nodes that want to join, which are looked for
	rechecks chan struct{} // the same of those that are members by their name

	refused       *fault // by this node
	putOff        *fault // by this node
	refusedBy     *fault // another
	notUnderstood *fault
	cannotJoin    *fault // this node

	mu      sync.Mutex
	m       Map                 // guarded by mu, as all below
	formed  bool                // part of a cluster
	intent  wire.State          // what the node says of itself
	closed  bool                // no call is begun any more
	alone   bool                // it is a cluster of its own, which nobody has joined
	behind  string              // why others have gone on without this node; its entry is taken up again once Overtaken has returned
	stays   bool                // was leaving, and is to log that it does not
	changed bool                // Changed is to be called
	heard   map[string]struct{} // Heard is to be called
	calls   map[string]bool     // whom hello is being said to; true: once more after that
	greeted map[uint64]struct{} // boots of unformed nodes that have said hello
	joinErr error               // what the last round of joining came to
}

// view is what readers see of the map. It does not change.
type view struct {
	all    []wire.Member // by name, removed ones included
	digest uint64
	formed bool
}

// New makes the node's part, and its first map. Start begins to talk to others. The error wraps
// [ErrOptions].
func New(o Options) (*Membership, error) {
	if err := o.prepare(); err != nil {
		return nil, err
	}
	m := &Membership{
		o:        o,
		id:       identity{name: o.Self.Name, boot: uint64(o.Random() * (1 << 53)), settings: o.Settings},
		joined:   make(chan struct{}),
		wakeLoop: make(chan struct{}, 1), wakeSeek: make(chan struct{}, 1), wakeJoin: make(chan struct{}, 1),
		slots: make(chan struct{}, callsMax), checks: make(chan struct{}, checksMax), rechecks: make(chan struct{}, checksMax),
		heard: make(map[string]struct{}), calls: make(map[string]bool),
		greeted: make(map[uint64]struct{}),

		refused:       newFault(o.Log, slog.LevelError, "refused a hello"),
		putOff:        newFault(o.Log, slog.LevelWarn, "put a node off that wants to join"),
		refusedBy:     newFault(o.Log, slog.LevelError, "a hello was refused"),
		notUnderstood: newFault(o.Log, slog.LevelError, "a hello was not understood"),
		cannotJoin:    newFault(o.Log, slog.LevelWarn, "cannot join yet"),
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.view.Store(&view{})
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range o.Static {
		m.m.Merge([]wire.Member{{Name: name, State: wire.Active, Weight: 1}})
	}
	m.sayLocked()
	m.changed = true
	if len(o.Join) == 0 {
		m.formLocked()
	} else {
		m.joinErr = fmt.Errorf("%w: nothing was tried yet", ErrNotFormed)
	}
	m.publishLocked()
	return m, nil
}

// Start begins to talk to others, and to tell of changes. Nothing else is called before, and the
// node's ServeHello should be within reach of others soon.
func (m *Membership) Start(e Events) {
	m.e = e
	formed := m.Formed()
	wake(m.wakeLoop)
	m.wg.Go(m.callbackLoop)
	m.wg.Go(m.seekLoop)
	if !formed {
		m.wg.Go(m.joinLoop)
	}
}

// Close ends everything without a word to the others: for them it is as if the node were down. To leave for good, use
// [Membership.BeginLeave] and [Membership.Left] first. It waits for the callback and the hellos under way.
func (m *Membership) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.wg.Wait()
}

// Now returns the members, and whether this node is one of them, and part of a cluster.
func (m *Membership) Now() (now wire.Members, member bool) {
	v := m.view.Load()
	now = wire.Members{All: v.members(), Digest: v.digest}
	return now, v.formed && now.Has(m.id.name)
}

// Members returns the members, those that are leaving included, by name. The caller does not change the slice.
func (m *Membership) Members() []wire.Member { return m.view.Load().members() }

func (v *view) members() []wire.Member {
	all := v.all
	members := make([]wire.Member, 0, len(all))
	for _, entry := range all {
		if entry.State != wire.Removed {
			members = append(members, entry)
		}
	}
	return members
}

// All returns all entries by name, those of removed members included. The caller does not change the slice.
func (m *Membership) All() []wire.Member { return m.view.Load().all }

// Digest is equal at two nodes when their maps are. It is cheap.
func (m *Membership) Digest() uint64 { return m.view.Load().digest }

// Formed says whether the node is part of a cluster.
func (m *Membership) Formed() bool { return m.view.Load().formed }

// Joined is closed once the node is part of a cluster.
func (m *Membership) Joined() <-chan struct{} { return m.joined }

// Ready returns nil if the node is part of a cluster, and else an error that wraps [ErrNotFormed] and says what came of each
// address that was tried.
func (m *Membership) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.formed {
		return nil
	}
	return m.joinErr
}

// absorb merges what another node said into the map.
func (m *Membership) absorb(entries []wire.Member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.absorbLocked(entries)
}

// absorbLocked is absorb. The others may have gone on without this node. What depends on its being a member ends before it is one again.
func (m *Membership) absorbLocked(entries []wire.Member) {
	if !m.m.Merge(entries) {
		return
	}
	m.changed = true
	own, _ := m.m.Get(m.id.name)
	switch {
	case !m.formed || m.intent == wire.Removed:
	case own.State == wire.Removed:
		// One that is leaving is one again too, for as long as it has something to hand over: to whom, and past whom, it learns as a member alone.
		m.behind = "others have removed it"
	case m.alone:
		// It did not admit them: they are a cluster, and it was started again without a list, or beside it.
		m.behind = "it was a cluster of its own, and has met another"
	}
	m.alone = m.alone && m.onlyLocked()
	if m.behind == "" {
		m.sayLocked()
	}
	m.publishLocked()
	wake(m.wakeLoop)
}

// onlyLocked says whether the map has this node alone.
func (m *Membership) onlyLocked() bool { return len(m.m.entries) == 1 }

// sayLocked makes this node's entry what it says of itself, and returns whether it had to be changed for that.
func (m *Membership) sayLocked() (changed bool) {
	own, there := m.m.Get(m.id.name)
	if m.intent == wire.Removed && own.State == wire.Removed {
		return false // somebody was faster
	}
	if m.intent == wire.Leaving && m.staysLocked() {
		m.intent, m.stays = wire.Active, true
	}
	said := m.o.Self
	said.State, said.Version = m.intent, own.Version
	if there && own == said {
		return false
	}
	said.Version = m.m.next()
	m.m.Merge([]wire.Member{said})
	m.changed = true
	return true
}

// staysLocked says whether this node, which is leaving, has to stay: two that begin to leave at the same moment each take the
// other for the one that stays. Of members that are all leaving the one with the smallest name stays.
func (m *Membership) staysLocked() bool {
	for _, entry := range m.m.All() {
		switch {
		case entry.State == wire.Active && entry.Name != m.id.name:
			return false
		case entry.State == wire.Leaving && entry.Name < m.id.name:
			return false
		}
	}
	return true
}

// formLocked makes the node part of a cluster.
func (m *Membership) formLocked() {
	m.formed, m.changed, m.alone = true, true, m.onlyLocked()
	m.publishLocked()
	close(m.joined)
	wake(m.wakeLoop)
	wake(m.wakeSeek)
	wake(m.wakeJoin)
}

// publishLocked lets readers see the map.
func (m *Membership) publishLocked() {
	all := m.m.All()
	m.view.Store(&view{all: all, digest: digestOf(all), formed: m.formed})
}

// hear notes that a member is there.
func (m *Membership) hear(name string) {
	m.mu.Lock()
	if entry, ok := m.m.Get(name); ok && entry.State != wire.Removed {
		m.heard[name] = struct{}{}
	}
	m.mu.Unlock()
	wake(m.wakeLoop)
}

// callbackLoop calls what the owner wants to be called.
func (m *Membership) callbackLoop() {
	for {
		select {
		case <-m.wakeLoop:
			m.callBack()
		case <-m.ctx.Done():
			return
		}
	}
}

func (m *Membership) callBack() {
	m.mu.Lock()
	behind := m.behind
	m.mu.Unlock()
	if behind != "" {
		m.o.Log.Warn("others have gone on without this node: joining anew", "reason", behind)
		if m.e.Overtaken != nil {
			m.e.Overtaken(behind)
		}
		m.reenter()
	}
	m.mu.Lock()
	changed, heard, stays := m.changed, m.heard, m.stays
	m.changed, m.heard, m.stays = false, make(map[string]struct{}), false
	m.mu.Unlock()
	if stays {
		m.o.Log.Warn("all other members are leaving too: this node stays")
	}
	if changed && m.e.Changed != nil {
		m.e.Changed()
	}
	for name := range heard {
		if m.e.Heard != nil {
			m.e.Heard(name)
		}
	}
}

// reenter takes up this node's entry again.
func (m *Membership) reenter() {
	m.mu.Lock()
	m.behind = ""
	changed := m.sayLocked()
	m.publishLocked()
	m.mu.Unlock()
	if changed {
		m.spread()
	}
}

// spread says hello to all that are up, after a change that this node made.
func (m *Membership) spread() {
	for _, other := range m.Members() {
		if m.live(other.Name) {
			m.call(other.Name)
		}
	}
}

// live says whether a member is taken for up.
func (m *Membership) live(name string) bool { return m.e.Live != nil && m.e.Live(name) }

// message is this node's hello to a member; to nobody in particular if to is empty.
func (m *Membership) message(to string) *wire.Hello {
	v := m.view.Load()
	h := &wire.Hello{From: m.id.name, To: to, Boot: m.id.boot, Formed: v.formed, Settings: m.id.settings, Members: v.all}
	if !v.formed {
		h.Join = m.o.Join
	}
	return h
}

// wake makes a loop look again. It does not wait.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
