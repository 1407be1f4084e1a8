package placement

// The methods of this file are the topology's.

// Replace makes v the view that operations go by, and returns the one before, which is retired;
// nil: there was none.
func (b *Board) Replace(v *View) (old *View) {
	if old = b.view.Swap(v); old != nil {
		old.retired.Store(true)
	}
	return old
}

// SetHeld says for which partitions this node has authority. The slice is not modified any more.
func (b *Board) SetHeld(held []bool) { b.held.Store(&held) }

// Held are the partitions that this node has authority for, whatever the lease says.
func (b *Board) Held() []bool { return *b.held.Load() }

// SetReady says whether operations may begin, and returns what it said before.
func (b *Board) SetReady(yes bool) (before bool) { return b.ready.Swap(yes) }

// SetInSync says whether this node is in sync, and returns what it said before.
func (b *Board) SetInSync(yes bool) (before bool) { return b.inSync.Swap(yes) }

// IsInSync is what SetInSync said last, whatever the lease says.
func (b *Board) IsInSync() bool { return b.inSync.Load() }

// SetStable says whether no ring is changing.
func (b *Board) SetStable(yes bool) { b.stable.Store(yes) }

// IsStable is what SetStable said last, whatever the lease says.
func (b *Board) IsStable() bool { return b.stable.Load() }

// RaiseFence counts that others went on without this node.
func (b *Board) RaiseFence() { b.fence.Add(1) }

// Restart says that a peer was restarted.
func (b *Board) Restart() { b.restarted.Store(true) }
