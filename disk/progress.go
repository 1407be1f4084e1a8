package disk

import (
	"fmt"
	"sync"
	"time"

	"httpdhs/kv"
)

// progress is how far the rounds are, and who waits for them.
type progress struct {
	mu      sync.Mutex // guards all below
	changed *sync.Cond // of those who wait for something else than a round that lasts
	written uint64     // the last round that was handed to the system
	synced  uint64     // the last that lasts
	asked   uint64     // the last that somebody waits for to last
	closed  bool

	// gates are closed when a round lasts, and whenever something is wrong. A round that nobody
	// waits for has none. So a sync wakes those alone who wait for it.
	gates map[uint64]chan struct{}
}

func (p *progress) init() {
	p.changed, p.gates = sync.NewCond(&p.mu), make(map[uint64]chan struct{})
}

// change changes it, and has all look again who wait.
func (p *progress) change(do func(p *progress)) {
	p.mu.Lock()
	do(p)
	p.open(^uint64(0))
	p.mu.Unlock()
	p.changed.Broadcast()
}

// open has those look again who wait for rounds up to one.
func (p *progress) open(upTo uint64) {
	for round, gate := range p.gates {
		if round <= upTo {
			close(gate)
			delete(p.gates, round)
		}
	}
}

// wrote notes that a round was handed to the system. wanted: somebody waits for it to last.
func (p *progress) wrote(round uint64) (wanted bool) {
	p.mu.Lock()
	p.written = round
	wanted = p.asked > p.synced && p.asked <= round
	p.mu.Unlock()
	p.changed.Broadcast()
	return wanted
}

// lasts notes that a round lasts.
func (p *progress) lasts(round uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.synced = max(p.synced, round)
	p.open(p.synced)
}

// upTo is the last round that was handed to the system.
func (p *progress) upTo() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.written
}

// ask returns nil if a round lasts, and else a gate that is closed when to ask again. The error
// says why it may not last: fault is asked under the lock, so none is missed. due: the round was
// written already, and has to be synced.
func (p *progress) ask(round uint64, fault func() error) (gate chan struct{}, due bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.synced >= round {
		return nil, false, nil
	}
	if err := fault(); err != nil {
		return nil, false, err
	}
	if p.closed {
		return nil, false, fmt.Errorf("%w: %w", kv.ErrNoDisk, ErrClosed)
	}
	p.asked = max(p.asked, round)
	if gate = p.gates[round]; gate == nil {
		gate = make(chan struct{})
		p.gates[round] = gate
	}
	return gate, p.written >= round, nil
}

// await waits until a round lasts, or the time has come; the zero time never does.
func (l *Log) await(round uint64, until time.Time) error {
	var late <-chan time.Time
	for {
		gate, due, err := l.progress.ask(round, l.faults.now)
		if gate == nil {
			return err
		}
		if due && l.opt.Sync != SyncAlways {
			signal(l.files.syncNow)
		}
		if late == nil && !until.IsZero() {
			timer := time.NewTimer(time.Until(until))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-gate:
		case <-late:
			if err := l.faults.now(); err != nil {
				return err
			}
			return fmt.Errorf("%w: it was not synced in time", kv.ErrNoDisk)
		}
	}
}

// awaitTaken waits until the writer has taken what the buffers hold, however long the disk fails.
// So the cleaner, which may have all to write that memory holds, does not hold it twice.
func (l *Log) awaitTaken() {
	p := &l.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	for l.full.Load() && !p.closed {
		p.changed.Wait()
	}
}

// awaitRoom waits until the writer has taken what the buffers hold, or fails.
func (l *Log) awaitRoom() {
	p := &l.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	for l.full.Load() && !p.closed && l.faults.now() == nil {
		p.changed.Wait()
	}
	if p.closed || l.faults.now() != nil {
		l.full.Store(false)
	}
}

// awaitWritten waits until a round was handed to the system.
func (l *Log) awaitWritten(round uint64) error {
	p := &l.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.written < round && !p.closed {
		p.changed.Wait()
	}
	if p.written < round {
		return ErrClosed
	}
	return nil
}
