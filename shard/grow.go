package shard

// growSlots is how many slots of an old table are moved with each change: some
// microseconds. A table that became full is moved within a fiftieth of the
// inserts that filled it.
const growSlots = 64

// makeRoom sees to it that there is room for one slot more.
func (e *packedEngine) makeRoom() {
	if !e.table.full(e.n+1) && !e.thins() {
		return
	}
	for e.old.slots != nil { // cannot be: see growSlots
		e.migrate(growSlots)
	}
	e.resize()
}

// thin moves to a smaller table when there is much room.
func (e *packedEngine) thin() {
	if e.old.slots == nil && e.table.sparse(e.n) {
		e.resize()
	}
}

// resize begins to move the table to one of the size that it should have.
func (e *packedEngine) resize() {
	began := e.log.steps.begin()
	defer e.log.steps.end(StepGrow, began)
	e.old = e.table
	e.table = newTable(e.log.arena, e.n+1)
	if e.log.fifo != nil {
		e.log.fifo.ghost.resize(e.log.arena, e.n+1)
	}
	e.next, e.front = 0, 0
	if e.old.slots != nil {
		e.migrate(growSlots)
	}
}

// growOn does a step of moving to another table, if that is under way.
func (e *packedEngine) growOn(slots int) {
	if e.old.slots == nil {
		return
	}
	began := e.log.steps.begin()
	e.migrate(slots)
	e.log.steps.end(StepGrow, began)
}

// migrate moves slots from the old table to the new one, some more than so
// many where they have one tag.
func (e *packedEngine) migrate(budget int) {
	old := &e.old
	for ; e.next < len(old.slots); budget-- {
		word := old.slots[e.next]
		if word == 0 {
			e.next++
			continue
		}
		x := old.prefix(e.next)
		if budget <= 0 && x != e.front {
			e.front = x
			e.shed()
			return
		}
		e.front = x
		e.next++
		full := x
		if e.table.skip > old.skip {
			full = e.hashAt(location(word&locationMask)) << e.skip
		}
		if !e.table.insert(full, word) {
			e.spillSlot(e.hashAt(location(word&locationMask)), word)
		}
	}
	old.free(e.log.arena)
	e.unspill()
}

// shed gives back what of the old table nobody looks at any more, in pieces
// that take microseconds: a search begins within reach of the front.
func (e *packedEngine) shed() {
	const piece = 16 * slotsPerPage
	if e.next-(reachMax+1)-e.old.gone > piece {
		e.old.shed(e.log.arena, e.old.gone+piece)
	}
}

// hashAt is the hash of the key of a record.
func (e *packedEngine) hashAt(where location) uint64 {
	b := e.log.record(where)
	s := shapeOf(b)
	return e.hash(b[s.keyAt:s.typeAt])
}
