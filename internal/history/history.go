// Package history judges what the clients of a cluster were told. Can their requests and the
// answers have come from a cluster that keeps the promises of docs/guarantees.md? It looks at
// nothing inside of the nodes. internal/simnet does: its checker goes by versions and by what each
// memory held.
//
// A Segment is what happened between two moments of rest, at which no request was under way. It has
// at most one Window in which faults were at work. So each segment begins with values that all
// replicas hold, and what was open at its end is decided. A history of any length is judged piece
// by piece, in bounded memory.
//
// Each value is written once. That makes it simple to say what may be read. A write is known to be
// over when it was answered, or when its value was first read. A write that begins after that, and
// is acknowledged, replaces it. Whoever has to see the later write does not read the earlier one
// any more.
//
// All functions are pure. A Segment is not changed.
package history

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Never is the end of a write whose outcome is unknown: it may take effect at any time of its
// segment, or not at all.
const Never = time.Duration(math.MaxInt64)

// Kind is what an operation does.
type Kind uint8

// Kinds of operations.
const (
	Get Kind = iota
	Put
	Delete
)

func (k Kind) String() string { return [...]string{"get", "put", "delete"}[k] }

// Level is how many replicas an operation waits for.
type Level uint8

// Levels.
const (
	One Level = iota
	Live
	Quorum
	All
)

func (l Level) String() string { return [...]string{"one", "live", "quorum", "all"}[l] }

// required is how many replicas of n the level asks for at the least.
func (l Level) required(n int) int { return [...]int{1, 1, n/2 + 1, n}[l] }

// Outcome is how an operation ended for the client that asked for it.
type Outcome uint8

// Outcomes.
const (
	Unknown Outcome = iota // a write that may have been done
	Done                   // a write was acknowledged, a get found a value
	Absent                 // a get was told that there is no such key
	Refused                // a write was not done, for its condition does not hold
	Failed                 // it had no effect
)

func (o Outcome) String() string {
	return [...]string{"unknown", "done", "absent", "refused", "failed"}[o]
}

// Op is one operation of a client, with all that the client knows of it. Times are since the start
// of the run.
type Op struct {
	Kind     Kind
	How      string // by which request: "put", "batch put", "load", …
	Node     int    // that was asked
	Key      string
	Value    string // that is put, or was found
	ETag     string // in the answer
	IfAbsent bool
	IfMatch  string
	TTL      time.Duration
	Level    Level
	Acks     int // as the answer says; 0: it does not

	Begin, End time.Duration // End is when the client had its answer, or gave up
	Outcome    Outcome
	Error      string // why it has no answer that counts; empty: it has
	Doubtful   bool   // the error is that the key may exist
}

func (o *Op) conditional() bool { return o.IfAbsent || o.IfMatch != "" }

// over is when it is certain that the write is over, by its answer alone.
func (o *Op) over() time.Duration {
	if o.Outcome == Done {
		return o.End
	}
	return Never
}

// mayBeDone says whether it is a write that may have taken effect.
func (o *Op) mayBeDone() bool { return o.Kind != Get && (o.Outcome == Done || o.Outcome == Unknown) }

// String is the operation from its begin to its end.
func (o *Op) String() string {
	cond, acks, value := "", "", ""
	if o.IfAbsent {
		cond = " if absent"
	}
	if o.IfMatch != "" {
		cond = " if " + o.IfMatch
	}
	if o.TTL > 0 {
		cond += fmt.Sprintf(" for %v", o.TTL)
	}
	if o.Acks > 0 {
		acks = fmt.Sprintf(", acks %d", o.Acks)
	}
	if o.Value != "" {
		const most = 60 // bytes that are shown
		value = fmt.Sprintf(" %q", o.Value[:min(len(o.Value), most)])
	}
	return fmt.Sprintf("[%.6f–%.6f at node %d: %s %s%s%s, level %v: %v%s %s%s]", o.Begin.Seconds(), o.End.Seconds(),
		o.Node, o.How, o.Key, value, cond, o.Level, o.Outcome, acks, o.ETag, o.Error)
}

// Away is a time in which a node did not run, was starting or stopping, or was stopped as it was.
type Away struct {
	Node     int
	From, To time.Duration
}

// Window is the time from the first fault until the cluster is at rest again.
type Window struct {
	From, To  time.Duration
	Split     bool            // nodes that run may not have reached each other in time
	Changed   bool            // members came or went
	Lost      []time.Duration // when a member lost its memory, each
	Stillborn int             // nodes that were killed before they had their share
	Away      []Away
}

// forgetful says whether quorums promise little: a memory was lost, or the owners of keys have
// changed.
func (w *Window) forgetful() bool { return w.Changed || len(w.Lost) > 0 }

// WasAway says whether the node that was asked for an operation did not run as it should meanwhile.
func (w *Window) WasAway(o *Op) bool {
	return slices.ContainsFunc(w.Away, func(a Away) bool { return a.Node == o.Node && a.From <= o.End && o.Begin <= a.To })
}

// Found is what a node says of a key at the end.
type Found struct{ Value, ETag string }

// Copy is what an owner holds of a key at the end.
type Copy struct {
	Node, Version string
	Tombstone     bool
}

// Segment is what happened between two moments of rest.
type Segment struct {
	Replicas int
	Before   map[string]Found // by key: what all replicas held when it began
	Ops      []Op
	Window   *Window // nil: nothing went wrong

	// What there is at the end, when all requests were answered.
	Keys   []string                 // that were looked at
	Found  map[int]map[string]Found // by node and key: what it answers; a key that is not in it is absent
	Copies map[string][]Copy        // by key
	Listed map[int][]string         // by node: the keys that it lists
}
