package simnet

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"httpdhs/kv"
)

// Never is the end of an operation whose outcome nobody learned: it may take effect at any time, or
// not at all.
const Never = time.Duration(math.MaxInt64)

// Outcome is how an operation ended for the client that asked for it.
type Outcome uint8

const (
	Unknown         Outcome = iota // no answer, or one that leaves it open
	OK                             // a write was acknowledged, a get found a value
	Absent                         // a get was told that there is no such key
	ConditionFailed                // a write was not done, for its condition does not hold
	Failed                         // it had no effect
)

func (o Outcome) String() string {
	return [...]string{"unknown", "ok", "absent", "condition failed", "failed"}[o]
}

// Op is one operation of a client, with all that the client knows of it. Times are since the start
// of the run.
type Op struct {
	ID, Client int
	Node       string // that was asked
	Kind       kv.OpKind
	Cond       kv.ConditionKind
	Expect     kv.Version // of kv.IfVersion
	Key        string
	Value      string // that is put, or was found; all values that are put differ
	By, Sum    int64  // that is added to a counter, and what it is then
	Get        bool   // a get is behind the addition, in its run; Value is what that found
	Level      kv.Level
	Required   int // replicas that the level asks for
	Expires    int64

	Begin, End time.Duration
	Until      time.Duration // when the client was answered, if only "outcome unknown"; 0: it was not
	Timeout    time.Duration // how long the client left the node
	Outcome    Outcome
	Version    kv.Version // of a write that is OK; of what a get found, a tombstone's too
	Acks       int
	Err        string
	Late       time.Duration // how long past its deadline the node answered, without a stop meanwhile
	Final      bool          // made when all faults were over and the cluster was at rest
}

func (o *Op) what() string {
	kind := o.kind()
	cond := [...]string{"", " if absent", " if present", fmt.Sprintf(" if %x", uint64(o.Expect)), " if other"}[o.Cond]
	value := ""
	if o.Kind == kv.OpPut {
		value = "=" + o.Value
	}
	if o.Kind == kv.OpIncr {
		value = fmt.Sprintf(" %d", o.By)
	}
	if o.Expires != 0 {
		cond += fmt.Sprintf(" expires %d", o.Expires)
	}
	return fmt.Sprintf("op %d by c%d at %s: %s %s%s%s, level %d", o.ID, o.Client, o.Node, kind, o.Key, value, cond, o.Level)
}

func (o *Op) begun() string { return o.what() }

func (o *Op) ended() string {
	found := ""
	if o.Kind == kv.OpGet && o.Outcome == OK {
		found = " found " + o.Value
	}
	if o.Kind == kv.OpIncr && o.Outcome == OK {
		found = fmt.Sprintf(" sum %d", o.Sum)
	}
	return fmt.Sprintf("    op %d (%s %s): %v%s, version %x, acks %d %s", o.ID,
		o.kind(), o.Key, o.Outcome, found, uint64(o.Version), o.Acks, o.Err)
}

// String is the operation from its begin to its end.
func (o *Op) String() string {
	if o.End == Never {
		return fmt.Sprintf("[%.6f … %s]", o.Begin.Seconds(), o.what())
	}
	return fmt.Sprintf("[%.6f–%.6f %s:%s]", o.Begin.Seconds(), o.End.Seconds(), o.what(), o.ended()[3:])
}

// EventKind is what happened to a node's memory.
type EventKind uint8

const (
	Stored  EventKind = iota // it holds this version of the key now
	Dropped                  // it holds nothing of the key any more, and meant to
	Lost                     // it stopped, and all that it held is gone
	InSync                   // it said that it holds all that it owns, for the first time since it was started, or by this ring
	Gone                     // it has handed over all that it held, and left
	Fell                     // it stopped, and its disk has Kept at least
)

// Event is what happened to a node's memory. The events of a History are in the order in which they
// happened.
type Event struct {
	At        time.Duration
	Kind      EventKind
	Node      string
	Key       string // of Stored and Dropped
	Version   kv.Version
	Tombstone bool
	Dead      int64    // of Stored: when it ends to be a value, Unix milliseconds; 0: never
	Loaded    bool     // of Stored: from its disk
	Owns      []string // of InSync: the keys that it owns; nil: it owns the same as ever

	Kept map[string]kv.Version // by key; those that are missing may be gone

	n int // its place in History.Events
}

// String is the event in words.
func (e *Event) String() string {
	switch e.Kind {
	case Stored:
		what := "value"
		if e.Tombstone {
			what = "tombstone"
		}
		how := "stored"
		if e.Loaded {
			how = "loaded"
		}
		return fmt.Sprintf("        %s %s %s, %s of version %x", e.Node, how, e.Key, what, uint64(e.Version))
	case Fell:
		return fmt.Sprintf("%s fell", e.Node)
	case Dropped:
		return fmt.Sprintf("        %s dropped %s", e.Node, e.Key)
	case Lost:
		return fmt.Sprintf("%s lost its memory", e.Node)
	case Gone:
		return fmt.Sprintf("%s is gone", e.Node)
	}
	return fmt.Sprintf("%s is in sync", e.Node)
}

// Span is a time from and to, both included.
type Span struct{ From, To time.Duration }

// Held is what a node holds at the end.
type Held struct {
	Node, Key string
	Version   kv.Version
	Tombstone bool // or expired
	Value     string
}

// History is what came of a run.
type History struct {
	Seed     uint64
	Replicas int
	Owners   func(key string) []string // at the end, the primary first
	Changed  bool                      // nodes came or went for good meanwhile, so that there were other owners

	Ops    []Op // in the order of their begin
	Events []Event

	// Splits are the times in which some node could not talk to another as it should. Each includes
	// the time after it until the nodes had found together again. In them the guarantees hold that
	// are about what nodes hold. Those about what nodes know of each other do not.
	Splits []Span

	Stops []SafeStop // in the order of their times

	Healthy  []Health // for the property "reason" of check.go
	Full     bool     // some replicas are full at times
	NoDisk   bool     // the same of disks: these take no deletes either
	Overload bool     // queues are so small that nodes are overloaded at once

	// Apart bounds how far a node's clock was from the run's.
	Apart time.Duration
	Epoch time.Time // the run's start

	Kept     bool // nodes keep their clocks together, of which one at most is wrong
	Few      bool // and at some time too few ran to tell which
	Untimely []Untimely

	// What was found at the end. Rest is why the cluster did not come to rest in time; empty: it
	// did.
	Rest    string
	Held    []Held
	Differs []string            // partitions that have other digests at one owner than at another
	Listed  map[string][]string // by node: the keys that it lists

	// Of nodes with a disk.
	OnDisk    bool                 // what is acknowledged is on the disk of who does so
	Durables  map[string][]Durable // by node, in the order in which they happened
	Grace     time.Duration        // after which tombstones are collected
	Ended     time.Duration        // when all was looked at
	Misloaded []string             // what nodes have loaded that they should not have, or have not

	log []line
}

// Durable is that all lasts that a node had stored.
type Durable struct {
	At   time.Duration
	UpTo int // before this one of the events
}

// calm says whether no split was at any moment of the time.
func (h *History) calm(from, to time.Duration) bool {
	return !slices.ContainsFunc(h.Splits, func(s Span) bool { return s.From <= to && from <= s.To })
}

// Fingerprint is a hash of what was asked and answered, and when.
func (h *History) Fingerprint() uint64 {
	sum := fnv.New64a()
	ops := slices.Clone(h.Ops)
	slices.SortFunc(ops, func(a, b Op) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.Key, b.Key))
	})
	for i := range ops {
		ops[i].ID = 0
		_, _ = sum.Write([]byte(ops[i].String())) // it never fails
	}
	return sum.Sum64()
}

func sortLines(lines []line) {
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
}
