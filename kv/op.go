package kv

import (
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

	conditionKinds // how many there are
)

// Known says whether the kind, which a peer has sent, is one of these.
func (k ConditionKind) Known() bool { return k < conditionKinds }

// MaxConditionVersions bounds the entity tags of one condition.
const MaxConditionVersions = 16

// Condition is what must hold for a write to be done: the If-Match and
// If-None-Match of HTTP (RFC 9110, section 13.1).
type Condition struct {
	Kind     ConditionKind
	Versions []Version
}

// Holds decides the condition against what is there: its version, and whether
// it is a value that a reader would see.
func (c *Condition) Holds(current Version, live bool) bool {
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
			match = match || (live && v == current)
		}
		return match == (c.Kind == IfVersion)
	}
	panic(fmt.Sprintf("BUG: kv: condition of kind %d", c.Kind))
}

// OpKind is what an Op does.
type OpKind uint8

const (
	OpGet OpKind = iota
	OpPut
	OpDelete

	opKinds // how many there are
)

// Mode is how an operation is carried out, whatever it does.
type Mode uint8

const (
	ModeRead   Mode = iota // owners are asked; nothing changes
	ModeMerge              // owners merge the record, in whatever order records come
	ModeDecide             // the key's primary decides it; other owners merge what comes of it
)

// Op is one operation on one key, and its outcome.
type Op struct {
	Kind OpKind
	Cond Condition // of a put or delete

	// Record is, going in, the key and what to put there (Value, Meta,
	// Expires; the version is stamped by the coordinator). Coming out it has
	// the version of the write, or all of what a get found; after
	// ErrConditionFailed the version of the value that is there, 0 if there is
	// none. A get's value may alias Call.Buf.
	Record

	Hash uint64 // Hash(Key)

	// Err is nil or wraps one of the errors of this package.
	Err error

	Existed  bool // a put or delete met a value that a reader would have seen
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
		if o.Cond.Kind == Always {
			return ModeMerge
		}
		return ModeDecide
	}
	panic("BUG: kv: an operation of no kind")
}

// Call is a number of operations that are done together: one for a request of
// /db, many for /batch and /load-data. Operations on the same key take effect
// in their order. A Call belongs to one goroutine at a time and is reused.
type Call struct {
	Ops         []Op
	Write, Read Level
	Deadline    time.Time

	// Buf holds the values that gets have found, for the caller to reuse.
	Buf []byte

	// MaxBytes bounds the values that gets find, those of this node and those
	// of others each: a get beyond it fails with ErrAnswerFull, but the first
	// value is never refused. 0 is no bound.
	MaxBytes int
}

// Reset makes the call ready for other operations, keeping its memory.
func (c *Call) Reset() {
	clear(c.Ops)
	*c = Call{Ops: c.Ops[:0], Buf: c.Buf[:0]}
}

// ListRequest asks for a page of the cluster's keys in the order of their hashes. That order is the
// same at every node and does not change.
type ListRequest struct {
	Prefix   []byte
	From     uint64 // the first hash of the page
	Limit    int    // the most records; a run of equal hashes is not split
	Values   bool   // with values
	Deadline time.Time
}

// Page is a part of a listing, in the order of the hashes.
type Page struct {
	Records []Record

	// Next is the From of the page that follows, if there may be more.
	Next uint64
	More bool
}
