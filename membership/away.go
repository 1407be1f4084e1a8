package membership

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"httpdhs/wire"
)

// Away finds out, for a node that was started with data of long ago, whether others have gone on
// without it since. If they have, they may have forgotten deletes of what it holds, and its data
// would bring back what was deleted. Until that is known, nobody may read from it.
//
// Others have gone on if one was in sync for longer than half a --tombstone-grace after this node
// was.
// All that has not answered may be that one. So the node waits for all members, unless it is
// released.
type Away struct {
	m        *Membership
	inSyncAt int64 // milliseconds since the Unix epoch; 0: never
	grace    time.Duration

	released chan struct{}
	release  sync.Once

	mu     sync.Mutex // guards all below
	waits  error      // what it waits for; nil: it does not
	silent []string   // who does not answer at all
	over   bool       // it has decided
}

// awayEvery is the pause between two rounds of questions.
const awayEvery = time.Second

// Verdict is what Away comes to.
type Verdict struct {
	Empty bool   // the data is stale
	By    string // the member that was in sync last; "": no other has ever been

	// InSyncAt is when that was, as a hello has it: at least when this node was.
	InSyncAt int64
}

var errLoading = errors.New("it is still loading, or of an earlier version")

// AwayMost is for how long a node may have been away, and goes on with what it has. It is half of
// the grace of tombstones: while it loads and compares itself with the others, these go on
// forgetting deletes.
func AwayMost(grace time.Duration) time.Duration { return grace / 2 }

// Return says what becomes of the data with which a node is started that was in sync at a time, in
// milliseconds since the Unix epoch; 0: never. With ask that is not known before it has decided.
// Who has left, or knows that it was removed, need not ask.
func (m *Membership) Return(inSyncAt int64, now time.Time, grace time.Duration) (v Verdict, ask *Away) {
	switch {
	case !awayTooLong(inSyncAt, now, AwayMost(grace)):
		return Verdict{InSyncAt: inSyncAt}, nil
	case !m.Formed():
		return Verdict{Empty: true}, nil
	}
	return Verdict{}, m.Away(inSyncAt, AwayMost(grace))
}

// awayTooLong says whether a node that was in sync at a time has to find out, at another, whether
// others went on without it. Both are in milliseconds since the Unix epoch. A time that is ahead by
// more than a minute says nothing.
func awayTooLong(inSyncAt int64, now time.Time, most time.Duration) bool {
	away := now.UnixMilli() - inSyncAt
	return away > most.Milliseconds() || -away > time.Minute.Milliseconds()
}

// Away makes one of a node that was in sync at a time, in milliseconds since the Unix epoch; 0:
// never. The node is formed from the start.
func (m *Membership) Away(inSyncAt int64, grace time.Duration) *Away {
	return &Away{m: m, inSyncAt: inSyncAt, grace: grace, released: make(chan struct{})}
}

// Decide asks the members until it is known what to do. The error is that of ctx, or [ErrClosed].
func (a *Away) Decide(ctx context.Context) (Verdict, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.m.asker.ctx, cancel)() // Close
	defer a.settle()
	for {
		said := a.ask(ctx)
		v, waits := judgeAway(a.inSyncAt, a.grace, said)
		if ctx.Err() == nil && waits == nil {
			return v, nil
		}
		a.note(waits, said)
		select {
		case <-time.After(awayEvery):
		case <-a.released:
			v.Empty = false
			return v, nil
		case <-a.m.asker.ctx.Done():
			return v, ErrClosed
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// Waits says for whom it waits, and why; nil: it does not.
func (a *Away) Waits() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waits
}

// Release ends the waiting: the node goes on with its data. It says whether the node was waiting.
func (a *Away) Release() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || a.waits == nil {
		return false
	}
	a.release.Do(func() { close(a.released) })
	return true
}

// Silent are the members that it waits for and that do not answer at all: others load.
func (a *Away) Silent() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.silent
}

func (a *Away) note(waits error, said []reply) {
	var silent []string
	for _, r := range said {
		if r.err != nil && !errors.Is(r.err, errLoading) {
			silent = append(silent, r.name)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waits, a.silent = waits, silent
}

func (a *Away) settle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over, a.waits, a.silent = true, nil, nil
}

// reply is what came of the question to a member.
type reply struct {
	name     string
	inSyncAt int64 // as a hello has it
	err      error // it has not answered
}

// ask asks all members but this one, and learns who else is one.
func (a *Away) ask(ctx context.Context) []reply {
	var all sync.WaitGroup
	members := a.m.Members()
	said := make([]reply, 0, len(members))
	for _, m := range members {
		if m.Name == a.m.id.name {
			continue
		}
		said = append(said, reply{name: m.Name})
		r := &said[len(said)-1]
		all.Go(func() { r.inSyncAt, r.err = a.askOne(ctx, r.name) })
	}
	all.Wait()
	return said
}

func (a *Away) askOne(ctx context.Context, name string) (inSyncAt int64, err error) {
	select {
	case a.m.calls.slots <- struct{}{}:
		defer func() { <-a.m.calls.slots }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	h, err := a.m.asker.look(ctx, At(name), name)
	switch {
	case err != nil:
		return 0, err
	case h.Formed:
		a.m.absorb(h.Members)
	}
	if h.InSyncAt == wire.InSyncUnknown {
		return 0, errLoading
	}
	return h.InSyncAt, nil
}

// judgeAway draws the conclusion from what the members have said to a node that was in sync at a
// time. waits is why there is none yet.
func judgeAway(inSyncAt int64, grace time.Duration, said []reply) (v Verdict, waits error) {
	v.InSyncAt = inSyncAt
	var silent []string
	for _, r := range said {
		switch {
		case r.err != nil:
			silent = append(silent, fmt.Sprintf("%s (%v)", r.name, r.err))
		case r.inSyncAt > v.InSyncAt:
			v.By, v.InSyncAt = r.name, r.inSyncAt
		}
	}
	v.Empty = v.InSyncAt-inSyncAt > grace.Milliseconds()
	if v.Empty || len(silent) == 0 {
		return v, nil
	}
	return v, errors.New(strings.Join(silent, ", "))
}
