package kv

import (
	"math"
	"slices"
	"strconv"
)

// carryOut carries one operation out on the entry.
func (s *state) carryOut(op *Op, r *Result) {
	if op.Kind == OpGet {
		if !r.Existed {
			r.Err, r.Entry.Version = ErrNotFound, s.entry.Version // of a tombstone, as a get has it
		} else {
			s.find(r)
		}
		return
	}
	if op.Prior && r.Existed && !s.find(r) {
		return
	}
	switch {
	case op.Kind == OpExpire && !r.Existed:
		r.Err = ErrNotFound
	case !op.Cond.Holds(&s.entry, r.Existed, op.Expires):
		if r.Err = ErrConditionFailed; r.Existed {
			r.Entry.Version = s.entry.Version
		}
	default:
		s.change(op, r)
	}
}

// change makes the change of an operation that is to be done.
func (s *state) change(op *Op, r *Result) {
	switch op.Kind {
	case OpPut:
		expires := op.Expires
		if op.Keep && r.Existed {
			expires = s.entry.Expires
		}
		s.entry = Entry{Expires: expires, Value: op.Value, Meta: op.Meta}
		s.held, s.made = false, false
		s.changed()
	case OpDelete:
		s.entry = Entry{Tombstone: true}
		s.held, s.made = false, false
		s.changed()
	case OpIncr:
		if r.Err = s.incr(op.Number); r.Err == nil {
			s.findMade(r)
		}
	case OpIncrFloat:
		if r.Err = s.incrFloat(op.Value); r.Err == nil {
			s.findMade(r)
		}
	case OpAppend:
		switch {
		case r.Existed:
			s.splice(len(s.entry.Value), op.Value, r)
		case len(op.Value) == 0:
			s.set(s.value[:0]) // it becomes a value, if an empty one
		default:
			s.splice(0, op.Value, r)
		}
	case OpSetRange:
		s.splice(int(op.Number), op.Value, r)
	case OpExpire:
		s.entry.Expires = op.Expires
		s.changed()
	default:
		panic("BUG: kv: an operation that is not decided")
	}
}

// findMade makes the value that an operation has made what it finds.
func (s *state) findMade(r *Result) {
	r.Found, r.Made, r.Entry = true, true, s.entry
	r.Entry.Value, r.Entry.Meta = s.copy(s.entry.Value), nil
}

// incr adds to an integer. Its text has no other form than the one that it is given: no plus, no
// leading zeros.
func (s *state) incr(by int64) error {
	n := int64(0)
	if s.live() {
		var ok bool
		if n, ok = ParseInteger(s.entry.Value); !ok {
			return ErrNotInteger
		}
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		return ErrOverflow
	}
	s.set(strconv.AppendInt(s.value[:0], n+by, 10))
	return nil
}

// ParseInteger reads a decimal integer of 64 bits in the one form that strconv.AppendInt writes.
func ParseInteger(text []byte) (n int64, ok bool) {
	const longest = len("-9223372036854775808")
	if len(text) == 0 || len(text) > longest {
		return 0, false
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	var again [longest]byte
	return n, err == nil && string(strconv.AppendInt(again[:0], n, 10)) == string(text)
}

// splice puts b into the value, from the place at on.
func (s *state) splice(at int, b []byte, r *Result) {
	have, live := 0, s.live()
	if live {
		have = len(s.entry.Value)
	}
	end := at + len(b)
	switch {
	case len(b) == 0:
		// Nothing changes, and a key without a value gets none.
		r.Number = int64(have)
		return
	case at < 0 || at > s.MaxValue || end > s.MaxValue:
		r.Err = ErrValueTooLarge
		return
	}
	text := s.value[:0]
	if live {
		s.edit(max(have, end))
		text = s.value
	}
	if gap := at - len(text); gap > 0 {
		text = slices.Grow(text, end-len(text))[:at]
		clear(text[at-gap:])
	}
	text = append(text[:at], b...)
	if end < have {
		text = text[:have] // what is behind b is still there
	}
	s.set(text)
	r.Number = int64(len(text))
}
