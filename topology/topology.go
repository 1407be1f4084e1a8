package topology

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/ring"
	"httpdhs/wire"
)

// Members is where the member map is kept.
type Members interface {
	// Differs is told that the member map of a peer has another digest than this node's, or that
	// the peer does not know this node.
	Differs(name string)

	// Evict is told, at least once, that a majority has found a member dead: it was down to each
	// of these for so long.
	Evict(name string, after time.Duration)

	// Outdated says whether the member map has another digest by now. Then SetMembers is soon
	// called with it.
	Outdated(digest uint64) bool
}

// Options are the settings of a Topology.
type Options struct {
	Name  string // this node's
	Boot  uint64 // drawn at start, not 0
	Ring  ring.Settings
	Board *placement.Board
	Clock *kv.Clock
	Wall  *kv.Wall // what Clock reads, to be kept with the others'; nil: it is left alone
	Log   *slog.Logger

	Members Members

	// Dial makes the transport to the node of that name. It is called under a lock, and does not
	// connect.
	Dial func(name string) peer.Transport

	QueueBytes int           // bound of a peer's queue
	QueuesSum  int           // of all peers' queues, in equal shares; 0: none
	ProbeEvery time.Duration // pause between two probes of a peer
	BothAsk    int           // up to how many members both of a pair probe the other; 0: 13

	// EvictAfter is how long a member has to be down before this node would have it removed; 0: it
	// never would.
	EvictAfter time.Duration

	// Starting says why the node does not take part yet; nil: nobody says so. An error of it wraps
	// kv.ErrStarting, and SetMembers is called after the last.
	Starting func() error

	// Describe fills in what the node tells of itself in a ping: Keys, Bytes, Tombstones, Memory,
	// Version, Started, Stopping, Moving, HandOver. now: as they are, and not as
	// they were a moment ago.
	Describe func(p *wire.Ping, now bool)

	// Holding is how many live keys this node holds of a partition, and whether it holds anything
	// of it, be it tombstones. nil: it holds nothing.
	Holding func(partition int) (keys int, any bool)
}

// Topology is this node's view of the cluster: see the package comment.
type Topology struct {
	opt      Options
	settings string // of the ring, as told in pings
	board    placement.Writer
	clock    *kv.Clock
	clocks   clocks
	primacy  primacy
	reason   atomic.Pointer[error] // why this node is not in sync

	started  time.Time   // this node
	runs     atomic.Bool // it has heard a member that is in sync: the cluster runs already
	strain   strain
	steps    pacer                     // of reconsider
	ofUp     slots                     // probes of members that answer
	ofSilent slots                     // of those that have left the last without an answer
	ofDown   slots                     // of those that are down
	revision atomic.Uint64             // of what this node states: grows with each change
	listed   atomic.Pointer[[]*member] // but this node
	oldest   atomic.Uint64             // serial of the oldest view that operations may still go by
	claims   claims

	closed  atomic.Bool
	quit    chan struct{}
	closing sync.Once
	done    sync.WaitGroup

	mu struct { // members' locks may be taken under it
		sync.Mutex
		state
	}
}

// New makes a topology that knows no members. SetMembers tells it who they are, and Start begins to
// talk to them.
func New(o *Options) *Topology {
	t := &Topology{
		opt: *o, started: time.Now(), settings: settingsName(&o.Ring),
		board: placement.Writer{Board: o.Board}, clock: o.Clock, quit: make(chan struct{}),
		ofUp: make(slots, probesAtOnce), ofSilent: make(slots, probesAtOnce), ofDown: make(slots, probesAtOnce),
	}
	t.opt.BothAsk = cmp.Or(o.BothAsk, bothAskMost)
	t.claims.t = t
	t.mu.state = state{
		opt: &t.opt, board: t.board, primacy: &t.primacy, make: t.newMember,
		rings: newRings(o.Name, &t.oldest), roster: newRoster(&t.listed), ready: make(chan struct{}),
	}
	t.clocks.wall, t.clocks.clock, t.clocks.log = o.Wall, o.Clock, o.Log
	t.clocks.inSync = t.board.SaidInSync
	return t
}

// Start starts the senders and probers of the members.
func (t *Topology) Start() {
	t.mu.Lock()
	t.mu.started = true
	for _, m := range t.mu.roster.list() {
		m.start()
	}
	t.mu.Unlock()
	t.reconsider()
}

// Close ends the peers: operations that wait for one get an answer.
func (t *Topology) Close() {
	t.closing.Do(func() {
		t.closed.Store(true)
		close(t.quit)
		t.mu.Lock()
		t.mu.ended = true
		list := t.mu.roster.list()
		t.mu.Unlock()
		var all sync.WaitGroup
		for _, m := range list {
			all.Go(m.peer.Close)
		}
		all.Wait()
		t.done.Wait()
	})
}

// Drain waits until all peers that take part have what is queued for them.
func (t *Topology) Drain(ctx context.Context) error {
	var errs []error
	for _, m := range t.others() {
		errs = append(errs, m.peer.Drain(ctx))
	}
	return errors.Join(errs...)
}

// others are the members but this node, as peers.
func (t *Topology) others() []*member { return *t.listed.Load() }

// find returns the member of that name; nil: there is none, or it is this node.
func (t *Topology) find(name string) *member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.roster.byName[name]
}

// settingsName spells out the settings that have to be equal.
func settingsName(s *ring.Settings) string {
	return fmt.Sprintf("--replicas=%d --partitions=%d --partitioner=%s", s.Replicas, s.Partitions, s.Partitioner)
}

// Rings are the table of the owners that readers ask, and of those that will be when the present
// change is over: the same while there is none. Both are nil before there are members.
func (t *Topology) Rings() (now, next *ring.Table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.board.View()
	if v == nil {
		return nil, nil
	}
	return v.Read, t.mu.rings.tables[t.mu.rings.target]
}

// Target is the ring to come; nil before there are members.
func (t *Topology) Target() *ring.Table {
	_, next := t.Rings()
	return next
}

// Peers are the other members as this node sees them, sorted by name.
func (t *Topology) Peers() []Status {
	var all []Status
	for _, m := range t.others() {
		all = append(all, m.status())
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Live says whether the member of that name is not down; false too where there is none.
func (t *Topology) Live(name string) bool {
	m := t.find(name)
	return m != nil && m.peer.State() != peer.Down
}

// Down says whether the member of that name was asked, and is down.
func (t *Topology) Down(name string) bool {
	m := t.find(name)
	return m != nil && m.judged.Load() && m.down()
}

// Heard has the member of that name asked at once how it is: something else says that it is there.
func (t *Topology) Heard(name string) {
	if m := t.find(name); m != nil {
		m.prober.soon()
	}
}

// Probe has the member asked at once how it is.
func (t *Topology) Probe(p *peer.Peer) { t.Heard(p.Name()) }

// Overtaken tells the topology that others have gone on without this node: they have taken it off
// the ring, or it had a ring of its own.
func (t *Topology) Overtaken(reason string) { t.fence(reason) }

// Boot is that of a peer's process, as it last said; 0: it was not heard yet.
func (t *Topology) Boot(p *peer.Peer) uint64 {
	m := t.find(p.Name())
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.belief.ping.Boot
}

// Complete says whether a peer is to be asked for what only an owner that lacks nothing can answer,
// past its queue. It has been sent all that was kept for it. And it is in sync, or it may have come
// to be a moment ago: its answer says so itself.
func (t *Topology) Complete(p *peer.Peer) bool {
	m := t.find(p.Name())
	return m != nil && m.complete()
}

// Refresh asks the peers that are not down how they are, until the deadline. It says whether all
// have answered.
func (t *Topology) Refresh(deadline time.Time) bool {
	return t.askAll(deadline, (*member).refresh)
}

// hearAll is Refresh, but for those whose own questions have just said it.
func (t *Topology) hearAll(deadline time.Time) {
	t.askAll(deadline, func(m *member, deadline time.Time) error {
		if m.prober.questionDue() > 0 {
			return nil
		}
		return m.refresh(deadline)
	})
}

// Survey is Refresh, and has them count what they tell of themselves.
func (t *Topology) Survey(deadline time.Time) bool {
	return t.askAll(deadline, (*member).survey)
}

func (t *Topology) askAll(deadline time.Time, ask func(m *member, deadline time.Time) error) bool {
	var all peer.Group
	var silent atomic.Bool
	for _, m := range t.others() {
		if m.peer.State() == peer.Down {
			continue
		}
		all.Go(func() {
			if ask(m, deadline) != nil {
				silent.Store(true)
			}
		})
	}
	all.Wait()
	return !silent.Load()
}

// AskAll sends a message past the queues to all members that are not down. It returns when all have
// answered, at the deadline at the latest. The answers are in no order. A member that is down has
// an error that says why.
func (t *Topology) AskAll(msg []byte, deadline time.Time) []Reply {
	others := t.others()
	replies := make([]Reply, len(others))
	var all peer.Group
	for i, m := range others {
		r := &replies[i]
		r.Name = m.peer.Name()
		if m.peer.State() == peer.Down {
			_, r.Err = m.peer.Why()
			continue
		}
		all.Go(func() { r.Answer, r.Err = m.peer.Ask(msg, deadline) })
	}
	all.Wait()
	return replies
}

// Reply is what a member has answered, or why it has not.
type Reply struct {
	Name   string
	Answer []byte
	Err    error
}

// Await waits until this node may coordinate: it has heard from every member that is up, and they
// from it. Before that it does not know to whom to write. The error says why it may not.
func (t *Topology) Await(deadline time.Time) error {
	if t.board.Ready() {
		return nil
	}
	if err := t.Starting(); err != nil {
		return err
	}
	if most := time.Now().Add(introductionMax); deadline.After(most) {
		deadline = most
	}
	for !t.board.Ready() {
		t.mu.Lock()
		ready := t.mu.ready
		t.mu.Unlock()
		late := time.NewTimer(time.Until(deadline))
		select {
		case <-ready:
			late.Stop()
		case <-late.C:
			if t.board.View() == nil {
				return kv.ErrNoCluster
			}
			return kv.ErrUnheard
		case <-t.quit:
			late.Stop()
			return kv.ErrStopping
		}
	}
	return nil
}

// Starting says why the node does not take part yet; nil: it does.
func (t *Topology) Starting() error {
	if t.opt.Starting == nil {
		return nil
	}
	return t.opt.Starting()
}

// introductionMax bounds how long an operation waits until this node may coordinate. Most often it
// is a round trip; where a member can be reached, but does not reach this node, it is as long as
// that lasts.
const introductionMax = 2 * time.Second

var (
	// errUnheard is why a node that is in sync may not coordinate.
	errUnheard = errors.New("a member that is up has not taken note of this node yet: can it reach this node's address?")
)

// SyncReason says why this node is not in sync; nil when it is.
func (t *Topology) SyncReason() error {
	inSync := t.board.InSync()
	switch reason := t.reason.Load(); {
	case inSync && t.board.Ready():
		return nil
	case inSync:
		return errUnheard
	case reason != nil:
		return *reason
	}
	return placement.ErrNotInSync
}

// fence takes all authority from this node: others have gone on without it, so it has to compare
// itself with them once more. Operations that began before it are not acknowledged as they are.
func (t *Topology) fence(reason string) {
	t.board.RaiseFence() // a claim that is under way does not count
	t.mu.Lock()
	t.mu.rings.state.Fence()
	t.mu.hold()
	t.primacy.lose()
	was := t.board.SetInSync(false)
	tell := t.mu.roster.list()
	t.mu.Unlock()
	t.restated(tell) // the next claim waits for their answers
	if was {
		t.opt.Log.Warn("not in sync any more", "reason", reason)
		why := fmt.Errorf("%w: %s", placement.ErrNotInSync, reason)
		t.reason.Store(&why)
	}
	t.board.Wake()
}
