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

// guest looks at addresses for a node that has kept the map of its cluster. It was given them as a
// newcomer is: there may be members that it has not met, or another cluster.
type guest struct {
	*asker
	known []wire.Member // Options.Known
	todo  []string      // addresses and names without an answer so far; of one Visit at a time
	runs  bool          // the node does; the same

	// over are places that need not be looked at again. A name is, until all that it leads to are
	// here. Of one Visit at a time.
	over map[Place]bool
}

// overMax bounds them: a name may lead elsewhere each time.
const overMax = 4 * wire.JoinMax

func newGuest(a *asker) *guest {
	g := &guest{asker: a, known: a.o.Known, over: make(map[Place]bool)}
	for _, addr := range a.o.visit {
		if addr != a.state.id.name && !slices.Contains(g.todo, addr) {
			g.todo = append(g.todo, addr)
		}
	}
	return g
}

// Visit looks once at each address that the node was given beside Options.Known, and that no member
// has answered at yet. It exchanges maps with members of this node's cluster. done: there is
// nothing left to look at. The error wraps [ErrOther]: there is another cluster, which was told
// nothing, and of which nothing was taken. That address is not looked at again. One call is made at
// a time.
//
// Another cluster is one that knows nobody of Options.Known, removed or not. A node that was alone
// is taken in by any, before it runs.
func (m *Membership) Visit(ctx context.Context) (done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.asker.ctx, cancel)() // Close
	return m.guest.round(ctx)
}

// round asks at all places at once.
func (g *guest) round(ctx context.Context) (done bool, err error) {
	found := g.lookUp(ctx, g.todo)
	var todo []Place
	for i := range found {
		for _, at := range found[i].all {
			if !g.over[at] && !slices.Contains(todo, at) {
				todo = append(todo, at)
			}
		}
	}
	errs := make([]error, len(todo))
	var all sync.WaitGroup
	for i, at := range todo {
		all.Go(func() { errs[i] = g.visit(ctx, at) })
	}
	all.Wait()
	if len(g.over) > overMax {
		clear(g.over)
	}
	for i, at := range todo {
		other := errors.Is(errs[i], ErrOther)
		if other {
			err = errs[i]
		}
		g.over[at] = other || errs[i] == nil || errors.Is(errs[i], errMyself)
	}
	g.todo = nil
	for i := range found {
		if found[i].err != nil || slices.ContainsFunc(found[i].all, func(at Place) bool { return !g.over[at] }) {
			g.todo = append(g.todo, found[i].join)
		}
	}
	return len(g.todo) == 0, err
}

// visit looks at one place, before it says anything there.
func (g *guest) visit(ctx context.Context, at Place) error {
	there, err := g.look(ctx, at, "")
	switch {
	case err != nil:
		return err
	case there.Formed && g.foreign(there.Members):
		return fmt.Errorf("%w answers at %s, of %s; what this node has kept is of the cluster of %s: start it empty to join that one, or give it the addresses of its own",
			ErrOther, at, membersOf(there.Members), membersOf(g.known))
	case !there.Formed:
		return fmt.Errorf("%w: %s", ErrNotFormed, there.From) // it may join this node's cluster, or another
	}
	h, err := g.ask(ctx, at, "")
	if err != nil {
		return err
	}
	g.state.hear(h.From)
	if h.Formed {
		g.state.absorb(h.Members)
	}
	return nil
}

// foreign says whether a map is that of another cluster.
func (g *guest) foreign(there []wire.Member) bool {
	if len(g.known) == 1 && !g.runs {
		return false
	}
	return !slices.ContainsFunc(there, func(m wire.Member) bool {
		return slices.ContainsFunc(g.known, func(known wire.Member) bool { return known.Name == m.Name })
	})
}

// namedMax is how many members an error names.
const namedMax = 5

// membersOf names the members of a map, or some of them.
func membersOf(all []wire.Member) string {
	var names []string
	for _, m := range all {
		if m.State != wire.Removed {
			names = append(names, m.Name)
		}
	}
	if more := len(names) - namedMax; more > 0 {
		names = append(names[:namedMax], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// VisitAll calls Visit again and again until it is done, or ctx is. The node runs by now: another
// cluster that has come to be at an address is left alone, with a line in the log.
func (m *Membership) VisitAll(ctx context.Context) {
	m.guest.runs = true
	for pause := m.asker.o.pace.joinMin; ; pause = min(2*pause, m.asker.o.pace.joinMax) {
		done, err := m.Visit(ctx)
		if err != nil {
			m.log.Error("an address to join is left out", "error", err)
		}
		if done {
			return
		}
		select {
		case <-time.After(m.asker.o.jitter(pause)):
		case <-ctx.Done():
			return
		case <-m.asker.ctx.Done():
			return
		}
	}
}
