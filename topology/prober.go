package topology

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

const (
	// probeTimeout is how long an answer to a probe may take, where this node's timers are on time:
	// see strain. A member that leaves probesUnanswered in a row without one is down. One that
	// refuses connections is down at once. See SilenceMax.
	probeTimeout     = 700 * time.Millisecond
	probesUnanswered = 4

	// ProbeEveryMax bounds the pause between probes that a user may ask for: the lease is renewed
	// between them, and must not lapse.
	ProbeEveryMax = time.Second

	// unsettledProbe is the pause between probes while this node is not in sync, or a ring is
	// changing.
	unsettledProbe = 50 * time.Millisecond

	// probesAtOnce is how many probes of a node are under way at most, of members that are down, of
	// those that hang, and of others. All nodes of a cluster tell all others what they conclude
	// from the same event, and often they share a few machines. Were all probes sent at once, none
	// would be answered in time, and be sent again.
	probesAtOnce = 8

	// flightStuck is how long a batch may be under way to a member that answers probes meanwhile,
	// before it is sent again: an answer that is lost without a word would hold up all that comes
	// after it until the batch is given up.
	flightStuck = SilenceMax
)

// SilenceMax is how long a member that hangs is waited for once a probe has begun: then it is down.
// A node that is late itself waits longer: see strain. A write waits this long at most, and for the
// pause between two probes.
//
// Three probes would find it sooner. But to be taken for down is dear: the member loses its
// authority and compares all that it holds. A process that was stopped for two seconds, by a
// snapshot of its machine or a debugger, is not worth that. The fourth probe is the margin.
//
// It is also how long the probers of this node may be silent before it takes itself for one that
// was stopped, and that others took for down.
const SilenceMax = probesUnanswered * probeTimeout

var (
	// errSilent always reads the same: a reason is logged when it changes.
	errSilent = fmt.Errorf("no answer to %d probes in a row", probesUnanswered)

	// errUnsteered is no verdict. The member is there, and its clock is far from this node's, which
	// may be the one that is wrong, and is moved once all members were asked. To go on without it,
	// as if it were down, would be a split.
	errUnsteered = errors.New("the clocks are to be compared with those of others first")
)

// apartError is why a peer is no member: its clock, or this node's, is wrong.
type apartError struct {
	name string
	by   time.Duration
}

func (e *apartError) Error() string {
	return fmt.Sprintf("the clock of %s and this node's are %s apart, at most %s: run NTP", e.name, e.by.Abs().Round(time.Second), kv.MaxAhead)
}

// prober asks a member how it is, again and again.
type prober struct {
	m      *member
	asker  bool          // of the pair it is this node's part to ask
	silent atomic.Int32  // probes in a row that timed out; of the loop alone
	poke   chan struct{} // of capacity one: probe now
	news   chan struct{} // of capacity one: there is something to tell
}

// soon makes it ask now, since something else says that the member is there.
func (p *prober) soon() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// tell makes it tell the member what this node states now, unless it hears of it
// otherwise.
func (p *prober) tell() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// loop asks the member how it is, for as long as it is one: often while this node waits for
// others to get in sync.
func (p *prober) loop() {
	due := time.Now().Add(p.firstPause())
	wake, timer := due, time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		now := false
		select {
		case <-timer.C:
			p.m.t.strain.note(time.Since(wake), time.Now())
		case <-p.poke:
			now = true
		case <-p.news:
		case <-p.m.peer.Closing():
			return
		}
		p.m.t.renew()
		if wait := p.rests(time.Until(due)); wait > 0 && !now {
			wake = time.Now().Add(wait)
			timer.Reset(wait)
			continue
		}
		leave, ok := p.enter()
		if !ok {
			return
		}
		p.m.t.renew()
		p.probe(time.Now().Add(p.m.t.strain.patience(time.Now())))
		leave()
		p.m.t.renew() // the pause that follows counts by itself: with what the answer took it may exceed SilenceMax
		due = time.Now().Add(p.pause())
		wake = due
		timer.Reset(time.Until(due))
	}
}

// renew renews the lease of this node's authority, or finds that it has lapsed.
func (t *Topology) renew() {
	if pause, lapsed := t.board.Renew(); lapsed {
		t.fence(fmt.Sprintf("it was stopped for %s", pause.Round(time.Millisecond)))
	}
}

// slots has a token for each probe that is under way, and room for as many as may be.
type slots chan struct{}

// enter waits until few enough probes are under way; leave is the end of that. ok: the peer is not
// being closed. Members that are down wait for each other. So do those that have left a probe
// without an answer.
func (p *prober) enter() (leave func(), ok bool) {
	in := p.m.t.ofUp
	switch {
	case p.m.down():
		in = p.m.t.ofDown
	case p.silent.Load() > 0:
		in = p.m.t.ofSilent
	}
	select {
	case in <- struct{}{}:
		return func() { <-in }, true
	case <-p.m.peer.Closing():
		return nil, false
	}
}

// probe asks once and draws the conclusion.
func (p *prober) probe(deadline time.Time) {
	began := time.Now()
	said, err := p.m.ask(deadline, false)
	verdict := true
	switch {
	case err == nil:
		p.silent.Store(0)
		p.m.peer.Unstick(began, flightStuck)
		p.m.answered(&said)
	case errors.Is(err, errUnsteered):
		p.silent.Store(0)
		verdict = false
	case errors.Is(err, peer.ErrStranger):
		if verdict = p.exhausted(); verdict {
			p.m.fall(err)
		} else {
			p.m.t.introduce(p.m.peer.Name())
		}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		verdict = false // this node has no file for a connection: that says nothing of the member
	case peer.IsTimeout(err):
		if verdict = p.exhausted(); verdict {
			p.m.fall(errSilent)
		}
	default:
		p.m.fall(err)
	}
	p.m.judge(verdict)
}

// exhausted counts a probe that the member did not answer as a member does. It says whether that is
// the last that it had.
func (p *prober) exhausted() bool {
	if p.silent.Add(1) < probesUnanswered {
		return false
	}
	if p.isAwaited() {
		p.silent.Store(0)
		return false
	}
	return true
}

// judge takes note that the member was asked, and whether it is known since whether it is down. As
// long as that is not known of a member, this node does not coordinate: who is not heard may be
// there, and has to be told that it was taken for down.
func (m *member) judge(verdict bool) {
	if m.judged.Load() {
		return
	}
	m.tried.Store(true)
	m.t.clocks.steer(m.t.others()) // before this node may coordinate, and stamp something by a wrong clock
	if verdict {
		m.judged.Store(true)
		m.t.reconsiderSoon()
	}
}

// refresh asks once, beside the prober, which draws the conclusion where there is no answer.
func (m *member) refresh(deadline time.Time) error { return m.askBeside(deadline, false) }

// survey is refresh, and has the member count its figures now.
func (m *member) survey(deadline time.Time) error { return m.askBeside(deadline, true) }

func (m *member) askBeside(deadline time.Time, figures bool) error {
	if err := m.peer.Enter(deadline); err != nil {
		return err
	}
	defer m.peer.Leave()
	said, err := m.ask(deadline, figures)
	if err == nil {
		m.answered(&said)
	}
	return err
}

// answer is what a member says of itself in answer to a probe.
type answer struct {
	wire.Ping
	to   uint64    // the Seq of the statement that it answers
	told uint64    // this node's suspicion epoch of the member when it asked
	at   time.Time // when it came
	asks bool      // it is a question, and is answered itself
}

// ask sends a probe, and takes the time from its answer. figures: that has them as they are now.
func (m *member) ask(deadline time.Time, figures bool) (answer, error) {
	self, asked := m.t.statement(m, false)
	self.Figures = figures
	msg, err := m.peer.AskAtOnce(wire.AppendPing(nil, &self), deadline)
	if err != nil {
		return answer{}, err
	}
	ping, err := wire.ParsePing(msg)
	if err != nil {
		return answer{}, err
	}
	said := answer{ping, asked.seq, asked.told, time.Now(), false}
	m.readClock(&ping, said.at.Sub(asked.at), asked.stamped)
	steered := true
	if first := !m.judged.Load(); first || m.t.clocks.looks.due(m.t.opt.ProbeEvery) {
		steered = m.t.clocks.steer(m.t.others())
		m.t.clocks.follow(m.t.others())
	}
	if ping.Name != m.peer.Name() {
		// One node under two names would count as two replicas.
		return said, fmt.Errorf("the node at %s says that it is %s", m.peer.Name(), ping.Name)
	}
	err = m.t.accepts(&ping)
	if apart := (*apartError)(nil); errors.As(err, &apart) && !steered && !m.judged.Load() {
		return said, errUnsteered
	}
	return said, err
}

// accepts says why an answer is not a member's.
func (t *Topology) accepts(p *wire.Ping) error {
	// Both ways, so that both say so: records of the one that is ahead would
	// be refused by the other.
	apart := time.UnixMicro(max(p.Wall, p.Clock.Time().UnixMicro())).Sub(t.clock.Wall())
	if apart.Abs() > kv.MaxAhead {
		return &apartError{p.Name, apart}
	}
	if p.Settings != t.settings {
		return fmt.Errorf("%s runs with %s, this node with %s: they must be the same at all nodes", p.Name, p.Settings, t.settings)
	}
	return nil
}
