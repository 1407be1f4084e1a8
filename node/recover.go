package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"httpdhs/api"
	"httpdhs/kv"
)

// Recover implements server.Cluster: it is an operator's word that members that are down do not
// come back. A member that answers hellos is there, and only does not serve yet. It is left alone,
// since what it holds may be the only copy.
func (r *roster) Recover(accept bool, deadline time.Time) (api.Recovery, error) {
	doc := api.Recovery{Node: r.cfg.Name, Removed: []string{}}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	away, damaged := r.start.away.Load(), r.start.consent.Load()
	waits := away != nil && away.Waits() != nil
	switch err := r.start.err(); {
	case r.stopping.Load():
		return doc, kv.ErrStopping
	case err != nil && !waits && damaged == nil:
		return doc, err
	case !accept && damaged != nil:
		doc.Released = true
		return doc, nil
	case !accept && waits:
		doc.Released, doc.Removed = true, away.Silent()
		return doc, nil
	case !accept:
		doc.Removed, doc.Starting = r.othersDown(ctx)
		return doc, nil
	}
	if damaged != nil {
		doc.Released = damaged.give()
	}
	if waits {
		doc.Released = away.Release()
		r.log.Warn("LOSS ACCEPTED by an operator: this node goes on with what it holds, though others may have gone on without it")
	}
	for r.start.err() != nil {
		if !r.sleep(deadline) {
			return doc, r.start.err()
		}
	}
	for {
		doc.Starting = r.giveUp(ctx, &doc)
		doc.Undecided = r.undecided()
		if len(doc.Undecided) == 0 || !r.sleep(deadline) {
			return doc, nil
		}
	}
}

// sleep waits a moment; false: there is no time left, or the node stops.
func (r *roster) sleep(deadline time.Time) bool {
	if time.Now().Add(leavePoll).After(deadline) {
		return false
	}
	select {
	case <-time.After(leavePoll):
		return true
	case <-r.quit:
		return false
	}
}

// giveUp removes the members that are down, and returns those that are only starting.
func (r *roster) giveUp(ctx context.Context, doc *api.Recovery) []string {
	down, starting := r.othersDown(ctx)
	for _, name := range down {
		if err := r.members.Remove(name); err != nil {
			r.log.Info("a member is not given up", "member", name, "reason", err) // it has come up meanwhile
			continue
		}
		r.log.Warn("LOSS ACCEPTED by an operator: a member that is down is removed, and what it alone held is lost", "member", name)
		doc.Removed = append(doc.Removed, name)
	}
	return starting
}

// othersDown are the members that were asked, and are down. starting are those of them that answer
// hellos.
func (r *roster) othersDown(ctx context.Context) (down, starting []string) {
	for _, name := range r.memberNames() {
		if r.plane.Topology.Down(name) {
			down = append(down, name)
		}
	}
	there := make(map[string]bool)
	var mu sync.Mutex // guards there
	var all sync.WaitGroup
	for _, name := range down {
		all.Go(func() {
			answers := r.members.Answers(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			there[name] = answers
		})
	}
	all.Wait()
	isThere := func(name string) bool { return there[name] }
	for _, name := range down {
		if isThere(name) {
			starting = append(starting, name)
		}
	}
	return slices.DeleteFunc(down, isThere), starting
}

// undecided are the members of which it is not known yet whether they are down.
func (r *roster) undecided() (names []string) {
	for _, name := range r.memberNames() {
		if t := r.plane.Topology; name != r.cfg.Name && !t.Live(name) && !t.Down(name) {
			names = append(names, name)
		}
	}
	return names
}
