package peer

import (
	"errors"
	"os"
	"sync"
	"time"

	"httpdhs/kv"
)

// asksMax bounds the messages past the queue that are under way, such as listings. They are fewer
// than a transport has connections. Else the sender and the prober would take a peer for down in a
// burst of them.
const asksMax = 12

// abortEvery is how often a line that is being closed breaks what was begun on it in the meantime.
const abortEvery = 20 * time.Millisecond

// line is the way to a peer: its transport, and the end of all that goes by it.
type line struct {
	transport Transport
	asks      chan struct{} // a token for each message past the queue
	quit      chan struct{} // closed when the line is
	done      sync.WaitGroup

	lineMu sync.Mutex // guards hungUp
	hungUp bool
}

func newLine(t Transport) line {
	return line{transport: t, asks: make(chan struct{}, asksMax), quit: make(chan struct{})}
}

// Ask sends a message past the queue. It first waits until fewer than asksMax others are under way.
func (l *line) Ask(msg []byte, deadline time.Time) ([]byte, error) {
	if err := l.Enter(deadline); err != nil {
		return nil, err
	}
	defer l.Leave()
	return l.transport.RoundTrip(nil, msg, deadline)
}

// AskAtOnce sends a message past the queue, however many others are under way.
func (l *line) AskAtOnce(msg []byte, deadline time.Time) ([]byte, error) {
	answer, _, err := l.send(nil, msg, deadline, func() bool { return !l.closing() })
	return answer, err
}

// CloseIdle closes the connections that carry nothing now: the peer will not be asked soon.
func (l *line) CloseIdle() { l.transport.CloseIdle() }

// send sends a message. Where the connection broke it sends it once more on a new one, if that is
// worth trying. again says whether it did.
func (l *line) send(dst, msg []byte, deadline time.Time, worth func() bool) (answer []byte, again bool, err error) {
	answer, err = l.transport.RoundTrip(dst, msg, deadline)
	if err == nil || IsTimeout(err) || errors.Is(err, ErrRefused) || errors.Is(err, ErrStranger) || !worth() {
		return answer, false, err
	}
	answer, err = l.transport.RoundTrip(dst, msg, deadline)
	return answer, true, err
}

// Enter waits for the right to send a message past the queue. Leave gives it back.
func (l *line) Enter(deadline time.Time) error {
	select {
	case l.asks <- struct{}{}:
		return l.begin()
	default:
	}
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case l.asks <- struct{}{}:
		return l.begin()
	case <-late.C:
		return os.ErrDeadlineExceeded
	case <-l.quit:
		return kv.ErrStopping
	}
}

// Leave gives back the right that Enter got.
func (l *line) Leave() {
	l.done.Done()
	<-l.asks
}

// begin makes hangUp wait for whoever sends past the queue, unless it has begun.
func (l *line) begin() error {
	l.lineMu.Lock()
	defer l.lineMu.Unlock()
	if l.hungUp {
		<-l.asks
		return kv.ErrStopping
	}
	l.done.Add(1)
	return nil
}

// Go runs f in a goroutine that Close waits for. f has to end when Closing is closed. A message
// that it has under way is broken off then.
func (l *line) Go(f func()) { l.done.Go(f) }

// Closing is closed when the peer is being closed.
func (l *line) Closing() <-chan struct{} { return l.quit }

func (l *line) closing() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}

// hangUp begins the end: nothing more is asked past the queue.
func (l *line) hangUp() {
	l.lineMu.Lock()
	defer l.lineMu.Unlock()
	l.hungUp = true
	close(l.quit)
}

// abortUntilDone breaks all that is under way on the line and waits for its end. It does so again
// for what was begun in the meantime.
func (l *line) abortUntilDone() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.done.Wait()
	}()
	again := time.NewTicker(abortEvery)
	defer again.Stop()
	for {
		l.transport.Abort()
		select {
		case <-done:
			l.transport.Abort() // what a last try has opened
			return
		case <-again.C:
		}
	}
}
