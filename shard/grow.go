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
	e.migrate(growSlots)
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
		e.table.open(e.log.arena, e.table.behind(x))
		if budget <= 0 && x != e.front {
			e.front = x
			e.shed()
			e.openGhost(e.next, len(old.slots))
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
	e.table.open(e.log.arena, len(e.table.slots))
	old.free(e.log.arena)
	e.openGhost(1, 1)
	e.unspill()
}

// shed gives back what of the old table nobody looks at any more, in pieces
// that take microseconds: a search begins within reach of the front.
func (e *packedEngine) shed() {
	piece := shedSlots(len(e.old.slots))
	if e.next-(reachMax+1)-e.old.gone > piece {
		e.old.shed(e.log.arena, e.old.gone+piece)
	}
}

// openGhost opens the ghost in step with the table.
func (e *packedEngine) openGhost(part, of int) {
	if e.log.fifo != nil {
		e.log.fifo.ghost.open(part, of)
	}
}

// shedSlots is how much of an old table with so many slots is given back at once.
func shedSlots(slots int) int {
	return min(max(slots/8/slotsPerPage, 1), 16) * slotsPerPage
}

// tablesBytes is what two tables take together at most while one is moved to the other. The new one
// takes memory as the old one gives it back, except for a piece, and what is within reach.
func tablesBytes(slots, old int) int {
	const reach = 2 * slotsPerPage
	return min(slots+old, max(slots, old)+shedSlots(old)+reach) * slotBytes
}

// tableBytes is what the tables take.
func (e *packedEngine) tableBytes() int {
	if e.old.slots == nil {
		return e.table.bytes()
	}
	return min(e.table.bytes()+e.old.bytes(), tablesBytes(len(e.table.slots), len(e.old.slots)))
}

// hashAt is the hash of the key of a record.
func (e *packedEngine) hashAt(where location) uint64 {
	b := e.log.record(where)
	s := shapeOf(b)
	return e.hash(b[s.keyAt:s.metaAt])
}
