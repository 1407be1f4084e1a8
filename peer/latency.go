package peer

import (
	"sync/atomic"
	"time"
)

const (
	// PatienceFloor is the least patience. The scheduler and the garbage collector take as long at
	// times.
	PatienceFloor = 5 * time.Millisecond

	// PatienceFirst is the patience while nothing is known of the peer.
	PatienceFirst = 50 * time.Millisecond
)

// latency is how long a peer takes for a batch, estimated as TCP estimates a round trip (Jacobson,
// "Congestion Avoidance and Control", 1988).
type latency struct {
	mean, deviation time.Duration // of whoever has the peer's flight

	delay atomic.Int64 // Patience, in nanoseconds
	owed  atomic.Int64 // since when it owes an answer, in nanoseconds since base; 0: it does not
	base  time.Time
}

func (l *latency) init() {
	l.base = time.Now()
	l.delay.Store(int64(PatienceFirst))
}

// begin notes that a batch takes off.
func (l *latency) begin(at time.Time) { l.owed.CompareAndSwap(0, max(1, int64(at.Sub(l.base)))) }

// end notes what became of it, and says how long it took, if it was answered. A batch without an
// answer in time is sent again, and the peer owes the answer since the first time. An answer that
// took longer than the delay counts as twice the delay. So a pause moves the estimate little, and a
// slower network moves it within a few batches.
func (l *latency) end(began time.Time, err error) (whole time.Duration, answered bool) {
	if err != nil && IsTimeout(err) {
		return 0, false
	}
	l.owed.Store(0)
	if err != nil {
		return 0, false
	}
	whole = time.Since(began)
	took := min(whole, 2*l.Patience())
	if l.mean == 0 {
		l.mean, l.deviation = took, took/2
	} else {
		l.deviation += ((took - l.mean).Abs() - l.deviation) / 4
		l.mean += (took - l.mean) / 8
	}
	// A read may have to wait for the batch in flight, and then for its own.
	l.delay.Store(int64(max(PatienceFloor, 2*(l.mean+4*l.deviation))))
	return whole, true
}

// Patience is how long a read waits for the peer before it asks another one.
func (l *latency) Patience() time.Duration { return time.Duration(l.delay.Load()) }

// Late says whether the peer has owed an answer for longer than its Patience.
func (l *latency) Late() bool {
	since := l.owed.Load()
	return since != 0 && int64(time.Since(l.base))-since > l.delay.Load()
}

// forgive is for a peer that comes back: it is asked again.
func (l *latency) forgive() { l.owed.Store(0) }
