package kv

import "slices"

// Decision is what the primary of a key makes of operations on it. They are carried out in their
// order, in one step, under the lock that guards the key. What comes of them all is one record. Its
// memory is used again for the next decision.
type Decision struct {
	Ops      []*Op   // on one key; not changed
	Version  Version // of what comes of them
	MaxValue int     // bytes of a value
	MaxFound int     // bytes of what they find together; the first value is never refused

	// Room is how many bytes of values may be copied. What is copied is taken from it, so decisions
	// may share it. nil: there is no bound.
	Room *int

	// Needs is what would be copied, if that is more than Room. Nothing was carried out then, and
	// nothing else came of it. 0: there was room.
	Needs Copies

	// What comes of them. The slices alias the operations and the decision's own memory.
	Record  Record   // what is to be stored
	Changed bool     // there is something to store
	Current Version  // of the value that was there; 0: none
	Results []Result // one for each of Ops

	value []byte // of Record, if it was made of another
	found []byte // copies of what was held
	took  int    // of Room
}

// Result is what a decision makes of one operation.
type Result struct {
	Err     error
	Existed bool  // there was a value that a reader would have seen
	Found   bool  // Entry is what the operation finds
	Made    bool  // Entry is what the decision stores
	Number  int64 // as Op.Number comes out
	Entry   Entry
}

// Begin makes the decision ready for the operations in Ops, keeping its memory. It has no bound on
// what it copies, until it is given Room.
func (d *Decision) Begin(version Version, maxValue, maxFound int) {
	d.Version, d.MaxValue, d.MaxFound, d.Room, d.took = version, maxValue, maxFound, nil, 0
	d.Record = Record{Key: d.Ops[0].Key, Entry: Entry{Version: version}}
	d.reset()
}

func (d *Decision) reset() {
	if d.took > 0 {
		*d.Room += d.took // it is carried out once more
	}
	d.took, d.Needs = 0, Copies{}
	d.Results, d.found, d.Changed, d.Current = d.Results[:0], d.found[:0], false, 0
}

// MaxRun bounds the operations of a decision.
const MaxRun = 4096

// What a decision keeps of its memory at most: operations, and bytes of values.
const (
	keepDecisionOps   = 64
	keepDecisionBytes = 64 << 10
)

// Release forgets everything but a bounded amount of memory.
func (d *Decision) Release() {
	if cap(d.Ops) > keepDecisionOps || cap(d.Results) > keepDecisionOps {
		d.Ops, d.Results = nil, nil
	}
	clear(d.Ops[:cap(d.Ops)])
	clear(d.Results[:cap(d.Results)])
	*d = Decision{Ops: d.Ops[:0], Results: d.Results[:0], value: d.value[:0], found: d.found[:0]}
	if cap(d.value)+cap(d.found) > keepDecisionBytes {
		d.value, d.found = nil, nil
	}
}

// Detach lets go of the decision's memory, where that is so much that Release would forget it. What
// has come of the operations is the caller's then, and need not be copied.
func (d *Decision) Detach() bool {
	large := cap(d.value)+cap(d.found) > keepDecisionBytes
	if large {
		d.value, d.found = nil, nil
	}
	return large
}

// Decide carries the operations out on what is held. now is the time in Unix milliseconds. It
// copies what it needs of held. It may be called again, with something else that is held.
func (d *Decision) Decide(held *Entry, now int64) {
	d.reset()
	s := state{Decision: d, now: now, entry: *held, held: true}
	if s.live() {
		d.Current = held.Version
	}
	if d.Room != nil && !d.Small() && !d.affords(s.copies()) {
		return
	}
	made := -1 // whose result is what is made so far
	for i, op := range d.Ops {
		d.Results = append(d.Results, Result{Existed: s.live()})
		before := s.changes
		s.carryOut(op, &d.Results[i])
		if s.changes == before {
			continue
		}
		if made >= 0 {
			d.Results[made].Made = false
		}
		if made = -1; d.Results[i].Made {
			made = i
		}
	}
	if d.Changed = s.changes > 0; d.Changed {
		s.own()
		d.Record.Entry = s.entry
	}
}

// Repeat is Decide where what is held has the decision's version: an earlier try has stored it.
// What the operations have found then is not known any more, but for what they have made.
func (d *Decision) Repeat(held *Entry) {
	d.reset()
	s := state{Decision: d, entry: *held, held: true}
	if d.Derived() { // who has asked has the value
		s.entry.Value, s.entry.Meta = d.Ops[0].Value, d.Ops[0].Meta
	} else {
		if d.Room != nil && !d.Small() && !d.affords(Copies{Made: len(held.Value)}) {
			return
		}
		s.own()
	}
	d.Changed, d.Record.Entry = true, s.entry
	for _, op := range d.Ops {
		r := Result{Err: ErrUnknownOutcome}
		if len(d.Ops) == 1 && !op.Prior {
			r.Err = nil
			switch op.Kind {
			case OpIncr, OpIncrFloat:
				r.Found, r.Made, r.Entry = true, true, s.entry
			case OpAppend, OpSetRange:
				r.Number = int64(len(held.Value))
			}
		}
		d.Results = append(d.Results, r)
	}
}

// Derived says whether who has the operations knows the record, once it is said to be stored.
func (d *Decision) Derived() bool {
	op := d.Ops[0]
	return len(d.Ops) == 1 && (op.Kind == OpDelete || op.Kind == OpPut && !op.Keep)
}

// Small says whether what comes of it takes few bytes, whatever is held.
func (d *Decision) Small() bool {
	op := d.Ops[0]
	return d.Derived() && !op.Prior || len(d.Ops) == 1 && op.Kind == OpIncr && !op.Prior
}

// state is where a decision stands between two operations.
type state struct {
	*Decision
	now     int64
	entry   Entry
	held    bool // the entry is that which is held: its slices alias the memory of the store
	made    bool // its value is in Decision.value
	changes int  // so many operations have changed it
}

func (s *state) live() bool { return s.entry.Live(s.now) }

// copy keeps b.
func (s *state) copy(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	at := len(s.found)
	s.found = append(s.found, b...)
	return s.found[at:len(s.found):len(s.found)]
}

// own copies what the entry has of the store's memory.
func (s *state) own() {
	if !s.held {
		return
	}
	s.held = false
	s.entry.Meta = s.copy(s.entry.Meta)
	s.edit(len(s.entry.Value))
}

// edit puts a copy of the value where it can be changed, with room for it to become so long.
func (s *state) edit(room int) {
	if !s.made {
		s.value = append(slices.Grow(s.value[:0], room), s.entry.Value...)
		s.entry.Value, s.made = s.value, true
	}
}

// set makes the text in Decision.value the value. A key that had none has no expiry either.
func (s *state) set(text []byte) {
	if !s.live() {
		s.entry = Entry{}
		s.held = false
	}
	s.value = text
	s.entry.Value, s.made = text, true
	s.changed()
}

func (s *state) changed() {
	s.entry.Version = s.Version
	s.changes++
}

// find makes the entry what the operation finds; false: there is no room for it, and that is its
// outcome.
func (s *state) find(r *Result) bool {
	size := len(s.entry.Value)
	if len(s.found) > 0 && len(s.found)+size > s.MaxFound {
		r.Err = ErrAnswerFull
		return false
	}
	r.Found, r.Entry = true, s.entry
	r.Entry.Value, r.Entry.Meta = s.copy(s.entry.Value), s.copy(s.entry.Meta)
	return true
}
