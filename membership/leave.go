package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"httpdhs/wire"
)

// Errors of leaving and removing.
var (
	ErrLastMember    = errors.New("the only active member cannot leave")
	ErrNotLeaving    = errors.New("this node is not leaving")
	ErrUnknownMember = errors.New("no such member")
	ErrSelf          = errors.New("a node does not remove itself: let it leave")
	ErrLive          = errors.New("the member is up: let it leave, or stop it first")
	ErrUnasked       = errors.New("this node has not found out yet whether the member is up: try again")
)

// BeginLeave makes this node's entry Leaving: it owns nothing in the rings to come, and hands over
// what it has. It may be called again. The error is [ErrLastMember] or [ErrNotFormed].
//
// If all other members begin to leave at the same moment, the one with the smallest name goes back
// to Active.
func (m *Membership) BeginLeave() error {
	changed, err := m.leave()
	if changed {
		m.calls.spread()
	}
	return err
}

// Left makes this node's entry Removed, and says so to all members. It returns once each that is up
// has answered, and each other was tried once, or ctx is done. The error is [ErrNotLeaving], or
// names those who did not hear of it from this node: they will from the others. The node still
// answers hellos until it is closed.
//
// A member that is not taken for up may be one that this node, just started, has not asked yet.
func (m *Membership) Left(ctx context.Context) error {
	changed, err := m.left()
	if err != nil {
		return err
	}
	if changed {
		m.calls.spread()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.asker.ctx, cancel)() // Close
	var up, others []string
	for _, other := range m.Members() {
		switch {
		case other.Name == m.id.name:
		case m.calls.isUp(other.Name):
			up = append(up, other.Name)
		default:
			others = append(others, other.Name)
		}
	}
	// Those that are up come first: one that hangs would keep them waiting.
	untold := append(m.tellLeft(ctx, up), m.tellLeft(ctx, others)...)
	if len(untold) > 0 {
		slices.Sort(untold)
		return fmt.Errorf("left without telling %s", strings.Join(untold, ", "))
	}
	return nil
}

// tellLeft tells members that this node has left. It returns whom it could not tell, and why.
func (m *Membership) tellLeft(ctx context.Context, names []string) (untold []string) {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards untold
	for _, name := range names {
		wg.Go(func() {
			if err := m.calls.tellLeft(ctx, name); err != nil {
				mu.Lock()
				defer mu.Unlock()
				untold = append(untold, fmt.Sprintf("%s (%s)", name, err))
			}
		})
	}
	wg.Wait()
	return untold
}

// Answers says whether a member answers hellos, as one does that is still starting. It tells it
// nothing.
func (m *Membership) Answers(ctx context.Context, name string) bool {
	_, err := m.asker.look(ctx, At(name), name)
	return err == nil
}

// Remove makes a member's entry Removed, for an operator or because a majority has found it dead.
// If it runs after all, it finds out and joins again. To remove a removed member does nothing. The
// error wraps [ErrSelf], [ErrUnknownMember], [ErrLive] or [ErrUnasked].
//
// Two sides of a split that have removed each other do not look for each other any more. The nodes
// of one side have to be restarted to join the other.
func (m *Membership) Remove(name string) error {
	if name == m.id.name {
		return ErrSelf
	}
	entry, ok := m.entry(name)
	switch {
	case !ok:
		return fmt.Errorf("%w: %q", ErrUnknownMember, name)
	case entry.State == wire.Removed:
		return nil
	case m.calls.isUp(name):
		return fmt.Errorf("%w: %s", ErrLive, name)
	case !m.calls.isDown(name):
		return fmt.Errorf("%w: %s", ErrUnasked, name)
	}
	if m.remove(name) {
		m.calls.spread()
	}
	return nil
}
