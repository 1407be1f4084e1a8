package shard

import (
	"bytes"
	"cmp"
	"slices"
)

// spill is the slots that are out of reach of their homes, in the order of
// hashes and keys. With hashes as good as random there are none: at nine tenths
// full, a slot is 120 behind its home once in 10^10. It is there for keys that
// were chosen to have one hash: they are found by bisection.
type spill []spilled

type spilled struct {
	hash, slot uint64
}

const spilledBytes = 16

func (s *spill) remove(i int) {
	*s = slices.Delete(*s, i, i+1)
	if len(*s) == 0 {
		*s = nil
	}
}

// findSpilled is where in the spill the key is, or belongs.
func (e *packedEngine) findSpilled(hash uint64, key []byte) (int, bool) {
	return slices.BinarySearchFunc(e.spill, hash, func(s spilled, hash uint64) int {
		if c := cmp.Compare(s.hash, hash); c != 0 {
			return c
		}
		return bytes.Compare(e.keyAt(location(s.slot&locationMask)), key)
	})
}

func (e *packedEngine) keyAt(where location) []byte {
	b := e.log.record(where)
	s := shapeOf(b)
	return b[s.keyAt:s.metaAt:s.metaAt]
}

func (e *packedEngine) spillSlot(hash, slot uint64) {
	i, _ := e.findSpilled(hash, e.keyAt(location(slot&locationMask)))
	e.spill = slices.Insert(e.spill, i, spilled{hash, slot &^ tagMask})
}

// unspill tries to bring slots back into a table that has just grown.
func (e *packedEngine) unspill() {
	const tries = 256 // of keys with one hash none will go
	for i := min(len(e.spill), tries) - 1; i >= 0; i-- {
		if e.table.insert(e.spill[i].hash<<e.skip, e.spill[i].slot) {
			e.spill.remove(i)
		}
	}
}
