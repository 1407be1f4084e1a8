package shard

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// StepKind is a kind of the work that a store does beside what it is asked for, a bounded piece at
// a time. A call waits for the steps that it makes. Others wait for the lock meanwhile.
type StepKind int

const (
	StepGrow    StepKind = iota // a table of another size is begun, or slots are moved to it
	StepCompact                 // records are moved out of a segment with many gaps
	StepEvict                   // values go, or are spared, to make room
	StepSweep                   // what is due is buried or removed
	StepSegment                 // a segment is begun, or given back to the system
	StepKinds
)

var stepNames = [StepKinds]string{
	StepGrow: "grow", StepCompact: "compact", StepEvict: "evict", StepSweep: "sweep", StepSegment: "segment",
}

func (k StepKind) String() string { return stepNames[k] }

// StepTimes is how long the steps of a kind took.
type StepTimes struct {
	Count   int64
	Total   time.Duration
	Longest time.Duration

	// Buckets are how many took less than StepBound of their number, and not
	// less than that of the one before. The last has no bound.
	Buckets [StepBuckets]int64
}

const (
	// StepBuckets is the number of StepTimes.Buckets.
	StepBuckets = 16

	stepLeastBits = 10 // of the nanoseconds of the first bound
)

// StepBound is the bound of a bucket: 1.024 µs, and twice as much from each to
// the next, up to 16.8 ms; that of the last means nothing.
func StepBound(bucket int) time.Duration { return 1 << (stepLeastBits + bucket) }

// Add adds the steps of another store.
func (t *StepTimes) Add(o *StepTimes) {
	t.Count += o.Count
	t.Total += o.Total
	t.Longest = max(t.Longest, o.Longest)
	for i, n := range o.Buckets {
		t.Buckets[i] += n
	}
}

// Quantile is a duration that so great a part of the steps did not exceed, from
// 0 to 1: the bound of its bucket, or the longest where that is less.
func (t *StepTimes) Quantile(part float64) time.Duration {
	seen := int64(0)
	for i, n := range t.Buckets[:StepBuckets-1] {
		if seen += n; float64(seen) >= part*float64(t.Count) {
			return min(StepBound(i), t.Longest)
		}
	}
	return t.Longest
}

// Steps says how long the steps of each kind took since the store was opened, by
// Options.StepClock. A step that is part of another, such as of eviction that
// has to begin a segment, counts as that alone.
func (s *Store) Steps() (all [StepKinds]StepTimes) {
	for i := range s.steps.stripes {
		for kind := range all {
			s.steps.stripes[i].kinds[kind].addTo(&all[kind])
		}
	}
	return all
}

// stepStripes is among how many counters the shards are dealt, so that writers
// to different ones seldom meet.
const stepStripes = 16

// stepClock is what a store measures its steps with, and what it has measured.
type stepClock struct {
	now     func() time.Duration
	stripes [stepStripes]stepStripe
}

type stepStripe struct {
	kinds [StepKinds]stepCounter
	_     [cacheLineBytes]byte
}

type stepCounter struct {
	total, longest atomic.Int64 // nanoseconds
	buckets        [StepBuckets]atomic.Int64
}

func (c *stepCounter) record(took time.Duration) {
	c.buckets[min(bits.Len64(uint64(took)>>stepLeastBits), StepBuckets-1)].Add(1)
	c.total.Add(int64(took))
	for {
		longest := c.longest.Load()
		if int64(took) <= longest || c.longest.CompareAndSwap(longest, int64(took)) {
			return
		}
	}
}

func (c *stepCounter) addTo(t *StepTimes) {
	for i := range c.buckets {
		n := c.buckets[i].Load()
		t.Buckets[i] += n
		t.Count += n
	}
	t.Total += time.Duration(c.total.Load())
	t.Longest = max(t.Longest, time.Duration(c.longest.Load()))
}

// stepper times the steps of a shard, under its lock: two readings of the clock
// for each, and none for what is no step. nil times nothing.
type stepper struct {
	clock  *stepClock
	stripe *stepStripe
	within bool // a step is under way
}

// begin begins a step, or a part of one: then the time is less than 0.
func (s *stepper) begin() time.Duration {
	if s == nil || s.within {
		return -1
	}
	s.within = true
	return s.clock.now()
}

// end ends a step that began then.
func (s *stepper) end(kind StepKind, began time.Duration) {
	if began < 0 {
		return
	}
	s.within = false
	s.stripe.kinds[kind].record(max(s.clock.now()-began, 0))
}
