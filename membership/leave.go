package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"httpdhs/wire"
)

// Errors of leaving and removing.
var (
	ErrLastMember    = errors.New("the only active member cannot leave")
	ErrNotLeaving    = errors.New("this node is not leaving")
	ErrUnknownMember = errors.New("no such member")
	ErrSelf          = errors.New("a node does not remove itself: let it leave")
	ErrLive          = errors.New("the member is up: let it leave, or stop it first")
)

// BeginLeave makes this node's entry Leaving: it owns nothing any more in the rings to come, and hands over what it has.
// It may be called again. The error is [ErrLastMember] or [ErrNotFormed].
//
// If all other members begin to leave at the same moment, the one with the smallest name goes back to Active.
func (m *Membership) BeginLeave() error {
	m.mu.Lock()
	switch {
	case !m.formed:
		m.mu.Unlock()
		return ErrNotFormed
	case m.intent != wire.Active:
		m.mu.Unlock()
		return nil
	case !slices.ContainsFunc(m.m.All(), func(other wire.Member) bool {
		return other.State == wire.Active && other.Name != m.id.name
	}):
		m.mu.Unlock()
		return ErrLastMember
	}
	m.intent = wire.Leaving
	m.declareLocked()
	return nil
}

// declareLocked says the new intent. It unlocks mu.
func (m *Membership) declareLocked() {
	changed := m.sayLocked()
	m.publishLocked()
	m.mu.Unlock()
	wake(m.wakeLoop)
	if changed {
		m.spread()
	}
}

// Left makes this node's entry Removed, and says so to each member that is up. It returns once all of them have answered, at most when ctx is done, or [ErrNotLeaving]. Another error names those who did not hear of it from this
// node: they will from the others. The node still answers hellos until it is closed.
func (m *Membership) Left(ctx context.Context) error {
	m.mu.Lock()
	if m.intent == wire.Active {
		m.mu.Unlock()
		return ErrNotLeaving
	}
	m.intent = wire.Removed
	m.declareLocked()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)() // Close
	var wg sync.WaitGroup
	var mu sync.Mutex
	var untold []string // guarded by mu
	for _, other := range m.Members() {
		if other.Name == m.id.name || !m.live(other.Name) {
			continue
		}
		wg.Go(func() {
			if err := m.tellLeft(ctx, other.Name); err != nil {
				mu.Lock()
				defer mu.Unlock()
				untold = append(untold, fmt.Sprintf("%s (%s)", other.Name, err))
			}
		})
	}
	wg.Wait()
	if len(untold) > 0 {
		slices.Sort(untold)
		return fmt.Errorf("left without telling %s", strings.Join(untold, ", "))
	}
	return nil
}

// tellLeft says hello to a member until it has answered or is down.
func (m *Membership) tellLeft(ctx context.Context, name string) error {
	for {
		err := func() error {
			select {
			case m.slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-m.slots }()
			return m.greet(ctx, name)
		}()
		if err == nil || !m.live(name) {
			return err
		}
		select {
		case <-time.After(m.o.jitter(m.o.pace.again)):
		case <-ctx.Done():
			return err
		}
	}
}

// Remove makes a member's entry Removed, for an operator or because a majority has found it dead. Should it run after
// all, it finds out and joins anew. To remove one that is removed already does nothing. The error wraps [ErrSelf], [ErrUnknownMember] or [ErrLive].
//
// Two sides of a split that have removed each other do not look for each other any more: the nodes of one have to be
// restarted to join the other.
func (m *Membership) Remove(name string) error {
	if name == m.id.name {
		return ErrSelf
	}
	m.mu.Lock()
	entry, ok := m.m.Get(name)
	m.mu.Unlock()
	switch {
	case !ok:
		return fmt.Errorf("%w: %q", ErrUnknownMember, name)
	case entry.State == wire.Removed:
		return nil
	case m.live(name):
		return fmt.Errorf("%w: %s", ErrLive, name)
	}
	m.mu.Lock()
	entry, ok = m.m.Get(name)
	if !ok || entry.State == wire.Removed {
		m.mu.Unlock()
		return nil
	}
	entry.State, entry.Version = wire.Removed, m.m.next()
	m.absorbLocked([]wire.Member{entry})
	m.mu.Unlock()
	m.spread()
	return nil
}
