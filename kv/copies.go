package kv

import "math"

// Copies is how many bytes of values are copied: to carry a decision out, or a get.
type Copies struct {
	Found int // what operations find, and who has asked for them answers
	Made  int // what is stored, where it is not just what an operation brings along
}

// Sum is all of them.
func (c Copies) Sum() int { return c.Found + c.Made }

// numberBytes bounds an integer as text. A number with a fraction is as short, but for numbers that
// nobody counts with.
const numberBytes = 24

// affords says whether the decision has Room for what it will copy, and takes that from it.
// Otherwise Needs is how much that is.
func (d *Decision) affords(n Copies) bool {
	sum := n.Sum()
	if sum > *d.Room {
		d.Needs = n
		return false
	}
	*d.Room -= sum
	d.took = sum
	return true
}

// copies bounds what carrying the operations out copies. With one operation it is exact, but for
// metadata and numbers. What comes before an operation may or may not be done: then the larger
// value counts.
func (s *state) copies() (c Copies) {
	size, largest, numbers, changes := 0, 0, 0, false
	if s.live() {
		size = len(s.entry.Value)
	}
	for i, op := range s.Ops {
		if op.Kind == OpGet || op.Prior {
			c.Found += size
			largest = max(largest, size)
		}
		switch {
		case op.Kind == OpGet, i == 0 && !s.mayChange(op):
			continue
		case op.Kind == OpSetRange && (op.Number > math.MaxInt32 || int(op.Number)+len(op.Value) > s.MaxValue):
			continue // it is refused
		}
		changes = true
		// Else it may be refused: its condition fails, or what it finds has no room.
		carriedOut := i == 0 || op.Cond.Kind == Always && !op.Prior
		switch op.Kind {
		case OpPut:
			if carriedOut {
				size = 0
			}
			size = max(size, len(op.Value))
		case OpDelete:
			if carriedOut {
				size = 0
			}
		case OpAppend:
			size = min(size+len(op.Value), s.MaxValue)
			c.Made = max(c.Made, size)
		case OpSetRange:
			size = max(size, int(op.Number)+len(op.Value))
			c.Made = max(c.Made, size)
		case OpIncr, OpIncrFloat:
			numbers += numberBytes
			size = max(size, numberBytes)
		}
	}
	if changes && !s.Derived() {
		c.Made = max(c.Made, size)
	}
	c.Found = min(c.Found, max(s.MaxFound, largest)) + numbers
	return c
}

// mayChange says whether the first operation may change what is held, as far as lengths tell.
func (s *state) mayChange(op *Op) bool {
	live, size := s.live(), len(s.entry.Value)
	switch op.Kind {
	case OpExpire:
		if !live {
			return false
		}
	case OpAppend:
		if live && size+len(op.Value) > s.MaxValue || size > 0 && len(op.Value) == 0 {
			return false
		}
	case OpSetRange:
		if len(op.Value) == 0 || op.Number < 0 {
			return false
		}
	case OpIncr:
		if live && size > numberBytes {
			return false
		}
	case OpIncrFloat:
		if live && size >= floatBytesMax {
			return false
		}
	}
	return op.Cond.Holds(&s.entry, live, op.Expires)
}
