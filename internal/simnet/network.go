package simnet

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/wire"
)

var (
	errReset   = errors.New("connection reset")
	errTimeout = timeoutError{}
)

type timeoutError struct{}

func (timeoutError) Error() string { return "no answer in time" }
func (timeoutError) Timeout() bool { return true }

// way is how messages fare from one node to another. Questions go one way and answers the other, so
// a way that is cut breaks the questions of one node and the answers of the other.
type way struct {
	cut     bool
	silent  bool    // what is lost is lost without a word, and not with a broken connection
	loss    float64 // shares of the messages
	twice   float64 // of questions
	garbage float64 // of answers
	fails   float64 // of questions: the peer answers with an error
	mute    bool    // questions are taken, and never answered
	slow    float64 // factor of the delay; 0 is 1
	lag     time.Duration
}

// fate is what is drawn for a message and its answer before anything is known of the way. It is
// always as many numbers, so the n-th message on a way has the same fate whatever the faults are.
type fate struct {
	out, back, again                   time.Duration
	lossOut, lossBack, twice, bad, err float64
	junk                               uint64
}

func draw(c chance) fate {
	delay := func() time.Duration {
		d := c.between(50*time.Microsecond, 2*time.Millisecond)
		if tail := c.Float64(); tail < 0.02 {
			d = time.Duration(float64(d) * (1 + 50*tail/0.02))
		}
		return d
	}
	return fate{
		out: delay(), back: delay(), again: c.between(0, 3*time.Second),
		lossOut: c.Float64(), lossBack: c.Float64(), twice: c.Float64(), bad: c.Float64(), err: c.Float64(),
		junk: c.Uint64(),
	}
}

// network carries messages between nodes.
type network struct {
	log      *eventLog
	seed     uint64
	fetching time.Duration  // that a message of a fetch takes more
	moves    sync.WaitGroup // messages under way, also those that nobody waits for any more
	hands    hands

	mu     sync.Mutex // guards all below
	nodes  map[string]*node
	faults map[*Fault]struct{} // those that are on
	ways   map[[2]string]way   // by from and to: what the faults make of them
	fates  map[course]chance
	stuck  int // round trips under way of which the question or the answer is lost without a word
}

func (n *network) way(from, to string) way {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ways[[2]string{from, to}]
}

// course is the messages of one kind on one way. Their fates are drawn from one stream. So what a
// kind is about does not change the fate of the others: a search for drift goes to a random peer.
type course struct {
	from, to string
	kind     byte
}

func (n *network) draw(from, to string, kind byte) fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := course{from, to, kind}
	c, ok := n.fates[key]
	if !ok {
		way := n.nodes[from].index*streamsPerNode + n.nodes[to].index
		c = newChance(n.seed, uint64(streamWays+way*streamsPerNode)+uint64(kind))
		n.fates[key] = c
	}
	return draw(c)
}

// sticks counts round trips that wait for what does not come.
func (n *network) sticks(by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stuck += by
}

func (n *network) at(name string) *running {
	n.mu.Lock()
	defer n.mu.Unlock()
	if node := n.nodes[name]; node != nil {
		return node.run
	}
	return nil
}

// set turns a fault on or off.
func (n *network) set(f *Fault, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if on {
		n.faults[f] = struct{}{}
	} else {
		delete(n.faults, f)
	}
	clear(n.ways)
	for from := range n.nodes {
		for to := range n.nodes {
			if from == to {
				continue
			}
			var w way
			for f := range n.faults {
				f.mark(from, to, &w)
			}
			n.ways[[2]string{from, to}] = w
		}
	}
}

// hangs says whether a node waits for what does not come.
func (n *network) hangs() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stuck > 0
}

// reply is the end of a round trip; never: nothing comes.
type reply struct {
	answer []byte
	err    error
	never  bool
}

// link is the transport of one node, as long as it runs, to another.
type link struct {
	net  *network
	from *running
	to   string

	mu    sync.Mutex    // guards abort
	abort chan struct{} // closed by Abort and replaced
}

// Abort implements peer.Transport.
func (w *link) Abort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.abort)
	w.abort = make(chan struct{})
}

// CloseIdle implements peer.Transport.
func (w *link) CloseIdle() {}

// RoundTrip implements peer.Transport. A node that is stopped or dead neither sends nor hears.
func (w *link) RoundTrip(dst, message []byte, deadline time.Time) ([]byte, error) {
	w.mu.Lock()
	abort := w.abort
	w.mu.Unlock()
	w.from.door.pass()
	if w.from.dead.Load() {
		return dst, errReset
	}
	done := make(chan reply, 1)
	msg, fate := bytes.Clone(message), w.net.draw(w.from.name(), w.to, message[1])
	over := make(chan struct{})
	w.net.hands.do(&w.net.moves, func() {
		r := w.net.trip(w.from.name(), w.to, msg, &fate)
		if w.net.log.verbose {
			w.net.log.add("            %s -> %s: %d bytes of kind %d: %d bytes, %v, never %v",
				w.from.name(), w.to, len(msg), msg[1], len(r.answer), r.err, r.never)
		}
		if !r.never {
			done <- r
			return
		}
		w.net.sticks(1)
		<-over
		w.net.sticks(-1)
	})
	defer close(over)
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	answer, err := dst, error(nil)
	select {
	case r := <-done:
		answer, err = append(dst, r.answer...), r.err
	case <-abort:
		err = errReset
	case <-late.C:
		err = errTimeout
	}
	w.from.door.pass()
	if w.from.dead.Load() {
		return dst, errReset
	}
	return answer, err
}

// trip takes a message there and its answer back.
func (n *network) trip(from, to string, msg []byte, f *fate) reply {
	there := n.way(from, to)
	if lost := n.travel(&there, f.lossOut, f.out); lost != nil {
		return *lost
	}
	if wire.KindOf(msg) == wire.KindPull {
		time.Sleep(n.fetching)
	}
	if n.way(from, to).cut { // since then
		return reply{err: errReset}
	}
	if f.err < there.fails {
		return reply{err: fmt.Errorf("%s answers 503", to)}
	}
	first := n.at(to)
	r := n.deliver(to, msg)
	if f.twice < there.twice {
		// The copy comes behind the message: a connection keeps the order, and who sends a message
		// again on another one knows that the first may arrive too.
		n.hands.do(&n.moves, func() {
			time.Sleep(f.again)
			// A connection ends with the process that it leads to. A node that was restarted, and
			// has forgotten who has left, does not hear from before.
			if n.at(to) == first && !n.way(from, to).cut {
				n.deliver(to, bytes.Clone(msg))
			}
		})
	}
	back := n.way(to, from)
	switch {
	case there.mute:
		return reply{never: true}
	case r.err == nil && f.bad < back.garbage:
		r.answer = junk(f.junk)
	}
	if lost := n.travel(&back, f.lossBack, f.back); lost != nil {
		return *lost
	}
	return r
}

// travel waits as long as the way takes; not nil: it is lost there.
func (n *network) travel(w *way, loss float64, delay time.Duration) *reply {
	if w.slow > 0 {
		delay = time.Duration(float64(delay) * w.slow)
		n.sticks(1) // who waits for it may wait for long after the fault has ended
		defer n.sticks(-1)
	}
	delay += w.lag
	lost := w.cut || loss < w.loss
	if lost && w.silent {
		return &reply{never: true}
	}
	time.Sleep(delay)
	if lost {
		return &reply{err: errReset}
	}
	return nil
}

// deliver hands a message to the node that has the name now.
func (n *network) deliver(to string, msg []byte) reply {
	run := n.at(to)
	if run == nil {
		return reply{err: fmt.Errorf("connection refused by %s", to)}
	}
	run.door.pass()
	if run.dead.Load() {
		return reply{err: errReset}
	}
	answer, err := run.plane.Exchange(nil, msg)
	run.door.pass()
	switch {
	case run.dead.Load():
		return reply{err: errReset}
	case errors.Is(err, kv.ErrStopping):
		return reply{err: fmt.Errorf("%s answers 503", to)}
	case err != nil:
		return reply{err: fmt.Errorf("%w: %w", peer.ErrRefused, err)}
	}
	return reply{answer: answer}
}

// junk is an answer that no node gives.
func junk(u uint64) []byte {
	switch u % 3 {
	case 0:
		return nil
	case 1:
		return []byte("<html>502 Bad Gateway</html>")
	}
	answer := []byte{1, byte(6 + u>>8%200)} // a head that looks right
	for i := range u >> 32 % 64 {
		answer = append(answer, byte(u>>(i%56)))
	}
	return answer
}
