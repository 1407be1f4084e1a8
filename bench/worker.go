package bench

import (
	"errors"
	"time"
)

// workload is what a worker asks and how it judges the answers. It belongs to
// one worker.
type workload interface {
	// request appends the next request of c to dst and describes it in p. Not
	// ok: there is no more for c, unless one of those under way fails.
	request(c *conn, p *pending, dst []byte) (out []byte, ok bool)

	// answer judges an answer. body is valid during the call.
	answer(c *conn, p *pending, status int, body []byte) verdict

	// lost is told of a request that was sent and will not be answered.
	lost(c *conn, p *pending)
}

// verdict is what came of the operations of a request.
type verdict struct {
	done   int // that succeeded
	failed int
	kind   string // of those that failed; "" if there are none
}

// Kinds of errors that are not an answer's status.
const (
	kindConnect = "connect"     // no connection came about
	kindClosed  = "closed"      // the connection ended before the answer
	kindTimeout = "timeout"     // no answer within the time of a request
	kindMissing = "missing"     // 404 for a key that was stored
	kindLength  = "length"      // a value of another length than was stored
	kindContent = "bad content" // 200, but not what was asked for
	kindUnasked = "unasked"     // an answer to no request
	kindUnsent  = "unsent"      // open loop: due before the end, and never had room
	kindPartial = "failed item" // of a batch or a load
)

var (
	errUnasked = errors.New(kindUnasked)
	errClosed  = errors.New(kindClosed)
	errTimeout = errors.New(kindTimeout)
)

// retryPause is how long a connection that could not be made waits; it doubles
// up to retryPauseMax.
const (
	retryPause    = int64(10 * time.Millisecond)
	retryPauseMax = int64(500 * time.Millisecond)
)

// worker is a share of a load: some connections, when to ask on them, and what
// comes of it. It does no I/O and knows no clock: an event loop tells it what
// happened and when, and writes what is in the connections' out. It belongs to
// that loop's goroutine.
type worker struct {
	pace    pacer
	work    workload
	answers framing
	hello   []byte // what a connection begins with; empty: nothing
	rec     *recorder
	conns   []*conn
	timeout int64

	found response // the last that receive found; here, since a local would be allocated
	ready fifo     // connections with room; who was asked last comes last
	dirty []*conn  // connections with something to write

	outstanding int
	connected   int
	spent       int   // connections for which there is no more
	lastUp      int64 // when a connection was last made or lost
}

func newWorker(pace pacer, work workload, answers framing, rec *recorder, conns []*conn, timeout time.Duration) *worker {
	return &worker{
		pace: pace, work: work, answers: answers, rec: rec, conns: conns, timeout: int64(timeout),
		ready: newFifo(len(conns)), dirty: make([]*conn, 0, len(conns)),
	}
}

// opened says that c is connected.
func (w *worker) opened(c *conn, now int64) {
	c.up = true
	w.connected++
	if len(w.hello) == 0 {
		w.greeted(c, now)
	} else {
		p := c.push()
		p.op, p.sent = opHello, now
		c.out = append(c.out, w.hello...)
		w.outstanding++
		w.soil(c)
	}
	if c.room() {
		w.ready.push(c)
	}
}

// greeted says that c works: its node has answered the hello, or wants none.
func (w *worker) greeted(c *conn, now int64) {
	c.greeted, c.failures = true, 0
	w.lastUp = now
}

// soil notes that c has something to write.
func (w *worker) soil(c *conn) {
	if !c.dirty {
		c.dirty = true
		w.dirty = append(w.dirty, c)
	}
}

// refused says that c could not be connected; it returns when to try again.
func (w *worker) refused(c *conn, now int64) (again int64) {
	w.rec.fail(now, now, kindConnect, 1)
	pause := min(retryPause<<min(c.failures, 10), retryPauseMax)
	c.failures++
	return now + pause
}

// dispatch starts the requests that may start now.
func (w *worker) dispatch(now int64) {
	for w.ready.size > 0 {
		c := w.ready.pop()
		if !c.up || !c.room() {
			continue
		}
		start, ok := w.pace.take(now)
		if !ok {
			w.ready.push(c)
			return
		}
		w.issue(c, start, now)
	}
}

func (w *worker) issue(c *conn, start, now int64) {
	p := c.push()
	before := len(c.out)
	out, ok := w.work.request(c, p, c.out)
	if !ok {
		c.unpush()
		if !c.spent {
			c.spent = true
			w.spent++
		}
		return
	}
	p.start, p.sent, p.bytes = start, now, len(out)-before
	c.out = out
	w.outstanding++
	w.soil(c)
	if c.room() {
		w.ready.push(c)
	}
}

// receive takes what was read on c and returns how much of it was whole
// answers. After an error the connection is of no more use: drop it.
func (w *worker) receive(c *conn, data []byte, now int64) (used int, err error) {
	r := &w.found
	for used < len(data) {
		rest := data[used:]
		if len(rest) < c.need {
			break
		}
		if c.waiting == 0 {
			return used, errUnasked
		}
		ok, err := w.answers.frame(rest, c.oldest(), r)
		if err != nil {
			return used, err
		}
		if !ok {
			break
		}
		size := r.head + r.body + r.tail
		if c.need = size; len(rest) < size {
			break
		}
		c.need = 0
		w.answered(c, r, rest[r.head:][:r.body], now)
		used += size
		if r.close {
			return used, errClosed
		}
	}
	return used, nil
}

func (w *worker) answered(c *conn, r *response, body []byte, now int64) {
	p := c.oldest()
	if p.op == opHello { // one that is refused fails all that follows, and is told by that
		w.greeted(c, now)
		w.settle(c)
		return
	}
	v := w.work.answer(c, p, r.status, body)
	if v.done > 0 {
		w.rec.done(p.start, now, v.done, r.head+r.body+r.tail, p.bytes)
	}
	if v.kind != "" {
		if r.kind != "" {
			v.kind = r.kind
		}
		w.rec.fail(p.start, now, v.kind, v.failed)
	}
	w.settle(c)
}

// settle forgets the oldest request of c, which came to an end.
func (w *worker) settle(c *conn) {
	c.pop()
	w.outstanding--
	if c.spent {
		c.spent = false // what failed may be asked again
		w.spent--
	}
	w.ready.push(c)
}

// drop accounts for what was under way on a connection that is gone: the
// oldest request for the reason given, those behind it because they were there.
func (w *worker) drop(c *conn, reason error, now int64) {
	kind := reason.Error()
	if reason == errUnasked {
		w.rec.fail(now, now, kind, 1)
	}
	for c.waiting > 0 {
		w.lose(c, c.oldest(), kind, now)
		w.settle(c)
		kind = kindClosed
	}
	if c.up {
		w.connected--
	}
	if c.greeted {
		w.lastUp = now
	}
	c.reset()
}

// lose accounts for a request that will not be answered. Without an answer to its hello a
// connection has not come about.
func (w *worker) lose(c *conn, p *pending, kind string, now int64) {
	if p.op == opHello {
		w.rec.fail(now, now, kindConnect, 1)
		return
	}
	if w.work.lost(c, p); kind == kindTimeout {
		w.rec.waited(p.start, now)
	}
	w.rec.fail(p.start, now, kind, max(1, len(p.items)))
}

// abandon is drop for a run that was stopped: nobody is to blame.
func (w *worker) abandon(c *conn) {
	for c.waiting > 0 {
		if p := c.oldest(); p.op != opHello {
			w.work.lost(c, p)
		}
		w.settle(c)
	}
	c.reset()
}

// overdue says whether c has waited too long for an answer.
func (w *worker) overdue(c *conn, now int64) bool {
	return c.up && c.waiting > 0 && now-c.oldest().sent > w.timeout
}

// finished says whether the phase has come to its end: nothing is under way
// and nothing will start, or no server could be reached for as long as a
// request may take.
func (w *worker) finished(now int64) bool {
	if w.outstanding > 0 {
		return false
	}
	return w.pace.over(now) || w.spent == len(w.conns) || w.connected == 0 && now-w.lastUp > w.timeout
}

// close accounts for what was due and never sent.
func (w *worker) close() {
	for {
		start, ok := w.pace.missed()
		if !ok {
			break
		}
		if start >= w.pace.from {
			w.rec.waited(start, w.pace.to)
			w.rec.fail(start, w.pace.to, kindUnsent, 1)
		}
	}
	w.rec.flush()
}
