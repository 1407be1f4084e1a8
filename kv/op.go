package kv

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// Level is how many replicas a request waits for: a count, or one of the
// named levels. The zero Level is the default of the request: LevelLive for a
// write, LevelOne for a read.
type Level int8

const (
	LevelOne    Level = 1  // one replica
	LevelQuorum Level = -1 // more than half of the key's replicas
	LevelAll    Level = -2 // all of the key's replicas
	LevelLive   Level = -3 // every replica that is up, at least one; writes only
)

// Required is how many of so many replicas the level asks for. For LevelLive it is the one that is
// certain: the coordinator knows who is up.
func (l Level) Required(replicas int) int {
	switch l {
	case LevelQuorum:
		return replicas/2 + 1
	case LevelAll:
		return replicas
	case LevelLive, 0:
		return 1
	}
	return int(l)
}

// ParseWriteLevel reads a ?w= parameter.
func ParseWriteLevel(s string) (Level, error) {
	if s == "live" {
		return LevelLive, nil
	}
	l, err := ParseReadLevel(s)
	if err != nil {
		return 0, fmt.Errorf("w is %q: use one, quorum, all, live or a number of replicas", s)
	}
	return l, nil
}

// ParseReadLevel reads a ?r= parameter.
func ParseReadLevel(s string) (Level, error) {
	switch s {
	case "one":
		return LevelOne, nil
	case "quorum":
		return LevelQuorum, nil
	case "all":
		return LevelAll, nil
	}
	n, err := strconv.ParseInt(s, 10, 8)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("r is %q: use one, quorum, all or a number of replicas", s)
	}
	return Level(n), nil
}

// ConditionKind is how a Condition looks at the entry that is there.
type ConditionKind uint8

const (
	Always       ConditionKind = iota
	IfAbsent                   // If-None-Match: *
	IfPresent                  // If-Match: *
	IfVersion                  // If-Match: one of Versions
	IfNotVersion               // If-None-Match: none of Versions
	IfEqual                    // the value is Value

	// Of a new expiry. A value that does not expire counts as one that expires last. Each of them
	// holds for a value alone.
	IfLasting       // the value does not expire
	IfExpiring      // the value expires
	IfLater         // the new expiry is later
	IfSooner        // the new expiry is sooner
	IfExpiresSooner // the value expires, and the new expiry is sooner

	conditionKinds // how many there are
)

// Known says whether the kind, which a peer has sent, is one of these.
func (k ConditionKind) Known() bool { return k < conditionKinds }

// MaxConditionVersions bounds the entity tags of one condition.
const MaxConditionVersions = 16

// Condition is what must hold for a write to be done: the If-Match and If-None-Match of HTTP (RFC
// 9110, section 13.1), or what commands of Redis ask for.
type Condition struct {
	Kind     ConditionKind
	Versions []Version // of IfVersion and IfNotVersion
	Value    []byte    // of IfEqual
}

// Holds decides the condition against what is there. live: it is a value that a reader would see.
// expires is the expiry that the write would give it, 0 for none.
func (c *Condition) Holds(held *Entry, live bool, expires int64) bool {
	switch c.Kind {
	case Always:
		return true
	case IfAbsent:
		return !live
	case IfPresent:
		return live
	case IfVersion, IfNotVersion:
		match := false
		for _, v := range c.Versions {
			match = match || (live && v == held.Version)
		}
		return match == (c.Kind == IfVersion)
	case IfEqual:
		return live && bytes.Equal(held.Value, c.Value)
	case IfLasting:
		return live && held.Expires == 0
	case IfExpiring:
		return live && held.Expires != 0
	case IfLater:
		return live && held.Expires != 0 && (expires == 0 || expires > held.Expires)
	case IfSooner:
		return live && expires != 0 && (held.Expires == 0 || expires < held.Expires)
	case IfExpiresSooner:
		return live && expires != 0 && expires < held.Expires
	}
	panic(fmt.Sprintf("BUG: kv: condition of kind %d", c.Kind))
}

// OpKind is what an Op does.
type OpKind uint8

const (
	OpGet OpKind = iota
	OpPut
	OpDelete

	// Updates: they make of the value that is there another one. Its metadata stays, and so does
	// its expiry but for OpExpire. A key without a value counts as one with an empty value, or 0.
	OpIncr      // adds Number to a decimal integer of 64 bits; finds the sum
	OpIncrFloat // adds the decimal number in Value to one; finds the sum
	OpAppend    // puts Value behind it; Number is the length then
	OpSetRange  // puts Value over it from Number on, after zeros if it is shorter; Number as above
	OpExpire    // gives the value that is there another expiry

	opKinds // how many there are
)

// Known says whether the kind, which a peer has sent, is one of these.
func (k OpKind) Known() bool { return k < opKinds }

// Mode is how an operation is carried out, whatever it does.
type Mode uint8

const (
	ModeRead   Mode = iota // owners are asked; nothing changes
	ModeMerge              // owners merge the record, in whatever order records come
	ModeDecide             // the key's primary decides it; other owners merge what comes of it
)

// Op is one operation on one key, and its outcome.
type Op struct {
	Kind  OpKind
	Keep  bool      // of a put: a value that is there keeps its expiry
	Prior bool      // of a write: it finds what was there before, as a get does
	Cond  Condition // of a write

	// Number is, going in, what OpIncr adds, or where OpSetRange begins. Coming out it is the
	// length of the value after OpAppend and OpSetRange.
	Number int64

	// Record is, going in, the key and what to put there (Value, Meta,
	// Expires; the version is stamped by the coordinator). Coming out it has
	// the version of the write, or all of what a get found; after
	// ErrConditionFailed the version of the value that is there, 0 if there is
	// none. OpIncr and OpIncrFloat find the value that they have made. What is found may alias
	// Call.Buf.
	Record

	Hash uint64 // Hash(Key)

	// Err is nil or wraps one of the errors of this package.
	Err error

	Existed  bool // a write met a value that a reader would have seen
	Kept     bool // nothing came of a write, which succeeds all the same: no replica stores it
	Acks     int  // replicas that stored the write, or answered the read
	Required int  // replicas that had to
	Replicas int  // replicas that the key has
}

// Mode is how the operation is carried out.
func (o *Op) Mode() Mode {
	switch o.Kind {
	case OpGet:
		return ModeRead
	case OpPut, OpDelete:
		if o.Cond.Kind == Always && !o.Keep && !o.Prior {
			return ModeMerge
		}
		return ModeDecide
	case OpIncr, OpIncrFloat, OpAppend, OpSetRange, OpExpire:
		return ModeDecide
	}
	panic("BUG: kv: an operation of no kind")
}

// Call is a number of operations that are done together: one for a request of /db, many for /batch,
// /load-data and a pipeline. Operations on the same key take effect in their order. If the primary
// decides one of them, it decides all of them, in one step: nobody else's come between. A Call
// belongs to one goroutine at a time and is reused.
type Call struct {
	Ops         []Op
	Write, Read Level

	// Together has the primary decide the operations on a key, wherever there is more than one of
	// them: so nobody else's come between.
	Together bool

	Deadline time.Time

	// Buf has values that gets have found, for the caller to reuse its memory. Others have some
	// of their own.
	Buf []byte

	// MaxBytes bounds the values that gets find, those of this node and those
	// of others each: a get beyond it fails with ErrAnswerFull, but the first
	// value is never refused. 0 is no bound.
	MaxBytes int

	// Hold, if it is set, is asked for the memory of what the operations copy, before they copy it.
	// Where there is none an operation does nothing: a get fails with ErrAnswersHeld, and what the
	// primary decides, which is all operations on a key then, with ErrUndecided. The first
	// HeldBytes are not asked for. Several goroutines may ask at once.
	Hold func(Copies) bool
}

// HeldBytes is what a call may copy without asking Call.Hold. It is also the most that another node
// copies of a value for a decision before the call has asked.
const HeldBytes = 16 << 10

// Holds asks Hold, if there is one.
func (c *Call) Holds(n Copies) bool { return c.Hold == nil || c.Hold(n) }

// Reset makes the call ready for other operations, keeping its memory and who counts it.
func (c *Call) Reset() {
	clear(c.Ops)
	*c = Call{Ops: c.Ops[:0], Buf: c.Buf[:0], Hold: c.Hold}
}
