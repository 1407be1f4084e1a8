package shard

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"httpdhs/kv"
)

// tickClock is a clock that goes on by one with each reading.
type tickClock struct{ read time.Duration }

func (c *tickClock) now() time.Duration { c.read++; return c.read }

// Every kind of step is timed, each once, with two readings of the clock. So a step that is part of
// another counts as the outer one alone. What is no step reads no clock.
func TestStepsAreTimed(t *testing.T) {
	for _, o := range []Options{{MaxBytes: 1 << 20, Eviction: EvictS3FIFO}, {}} {
		t.Run(o.Eviction.String(), func(t *testing.T) {
			clock, ticks := newFakeClock(), new(tickClock)
			o.Partitions, o.hash, o.StepClock = 4, kv.Hash, ticks.now
			s := open(t, clock, o)
			r := rand.New(rand.NewPCG(1, 1))
			version := uint64(0)
			put := func(i, size int, expires int64) {
				version++
				rec := value(fmt.Sprint(i), clock.version(version), string(make([]byte, size)))
				rec.Expires = expires
				mustApply(t, s, kv.Hash(rec.Key), rec)
			}
			for i := range 20_000 {
				put(i, 100, clock.Now().UnixMilli()+int64(i%2)*1000)
			}
			for range 20_000 {
				put(r.IntN(20_000), r.IntN(200), 0)
			}
			for i := range 2000 { // each has a segment of its own, which goes with it
				put(20_000+i%3, aloneBytes+1+(i*7%5)*pageBytes, 0)
			}
			clock.Advance(time.Second)
			s.Sweep()
			var count int64
			for kind, times := range s.Steps() {
				kind := StepKind(kind)
				if want := kind != StepEvict || o.Eviction != EvictNone; (times.Count > 0) != want {
					t.Errorf("%d steps of %v", times.Count, kind)
				}
				if times.Count > 0 && (times.Longest != 1 || times.Total != time.Duration(times.Count) || times.Buckets[0] != times.Count) {
					t.Errorf("steps of %v: %+v, want each to take one reading", kind, times)
				}
				count += times.Count
			}
			if ticks.read != time.Duration(2*count) {
				t.Errorf("the clock was read %d times for %d steps", ticks.read, count)
			}
			read := ticks.read
			for range 100 {
				put(-1, 10, 0)
				s.Get(nil, kv.Hash([]byte("-1")), []byte("-1"))
				s.Sweep()
				if ticks.read > read+2 { // the first may begin a segment
					t.Fatal("the clock was read for what is no step")
				}
			}
		})
	}
}

// A duration is in the bucket whose bound is the first above it; quantiles are no
// lower than what they are asked of.
func TestStepTimes(t *testing.T) {
	var c stepCounter
	took := []time.Duration{0, 1023, 1024, 2047, 2048, time.Millisecond, 16 * time.Millisecond, 17 * time.Millisecond, time.Hour}
	for _, d := range took {
		c.record(d)
	}
	var got StepTimes
	c.addTo(&got)
	want := StepTimes{Count: 9, Longest: time.Hour}
	for bucket, n := range map[int]int64{0: 2, 1: 2, 2: 1, 10: 1, 14: 1, 15: 2} {
		want.Buckets[bucket] = n
	}
	for _, d := range took {
		want.Total += d
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for part, want := range map[float64]time.Duration{0.2: 1024, 0.4: 2048, 0.5: 4096, 0.6: 1 << 20, 0.7: 1 << 24, 1: time.Hour} {
		if got := got.Quantile(part); got != want {
			t.Errorf("quantile %v is %v, want %v", part, got, want)
		}
	}
	if got := new(StepTimes).Quantile(0.999); got != 0 {
		t.Errorf("of no steps it is %v", got)
	}
}
