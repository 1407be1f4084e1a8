package disk

// walk goes through the blocks of a segment that is in memory.
//
// Each call of next is at a block that is whole, or at something that is lost: then lost has the
// stripes, a bit each, of what was there.
type walk struct {
	segment []byte // what counts of it
	number  uint32
	offset  int64 // of what next looks at

	block  block
	lost   uint32
	lostAt int64
}

// next goes on to what follows, and says whether there is something.
func (w *walk) next() bool {
	w.lost = 0
	if w.offset >= int64(len(w.segment)) {
		return false
	}
	b, ok := blockAt(w.segment, w.number, w.offset)
	if !ok {
		w.lost, w.lostAt = allStripes, w.offset
		if b, ok = nextBlock(w.segment, w.number, w.offset+1); ok {
			w.offset = b.at.offset()
		} else {
			w.offset = int64(len(w.segment))
		}
		return true
	}
	w.block, w.offset = b, b.end()
	if !b.whole() {
		w.lost, w.lostAt = 1<<b.stripe, b.at.offset()
	}
	return true
}
