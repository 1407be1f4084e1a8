package placement

import "time"

// Writer writes a board. There is one, the topology; readers see what it writes at once.
type Writer struct{ *Board }

// Replace makes v the view that operations go by, and returns the one before, which is retired;
// nil: there was none.
func (w Writer) Replace(v *View) (old *View) {
	if old = w.view.Swap(v); old != nil {
		old.retired.Store(true)
	}
	return old
}

// SetHeld says for which partitions this node has authority. The slice is not modified any more.
func (w Writer) SetHeld(held []bool) { w.held.Store(&held) }

// Held are the partitions that this node has authority for, whatever the lease says.
func (w Writer) Held() []bool { return *w.held.Load() }

// SetReady says whether operations may begin, and returns what it said before.
func (w Writer) SetReady(yes bool) (before bool) { return w.ready.Swap(yes) }

// SetInSync says whether this node is in sync, and returns what it said before.
func (w Writer) SetInSync(yes bool) (before bool) { return w.inSync.Swap(yes) }

// SetStable says whether no ring is changing.
func (w Writer) SetStable(yes bool) { w.stable.Store(yes) }

// RaiseFence counts that others went on without this node.
func (w Writer) RaiseFence() { w.fence.Add(1) }

// Restart says that a peer was restarted.
func (w Writer) Restart() { w.restarted.Store(true) }

// Renew is called by each prober. It says for how long there was no renewal, if the lease had
// lapsed.
func (w Writer) Renew() (pause time.Duration, lapsed bool) {
	now := int64(time.Since(w.lease.born))
	last := w.lease.last.Swap(now)
	if last == 0 || w.lease.alone.Load() || now-last <= int64(w.lease.lasts) {
		return 0, false
	}
	return time.Duration(now - last), true
}

// Alone says whether there are peers that renew the lease. The first to come finds it fresh.
func (w Writer) Alone(yes bool) { w.lease.alone.Store(yes) }

// Fresh begins another lease: until now there was nobody to renew it.
func (w Writer) Fresh() { w.lease.last.Store(0) }
