package simnet

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// Streams of random numbers: each part of a run draws from its own, so that what one draws does not
// change what another gets.
const (
	streamShape = iota + 1
	streamFaults
	streamBoots
	streamClients // and the client's number
	streamChanges
	streamJitter // and the node's index
	streamClocks
	streamCrowds
	streamSlow
	streamFull
	streamFalter
	streamSizes // and the client's number
	streamSides
	streamDawdles // and the node's index
	streamPairs
	streamCounters
	streamDisks
	streamFates // and the node's index
	streamStops
	streamNames
	streamWays     = 1 << 16
	streamsPerNode = 1 << 8
)

// chance is a stream of random numbers.
type chance struct{ *rand.Rand }

func newChance(seed, stream uint64) chance { return chance{rand.New(rand.NewPCG(seed, stream))} }

// yes is true with probability p.
func (c chance) yes(p float64) bool { return c.Float64() < p }

// between is a duration in [least, most).
func (c chance) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.Float64()*float64(most-least))
}

func pick[T any](c chance, of ...T) T { return of[c.IntN(len(of))] }

// shared is a stream that many goroutines draw from.
type shared struct {
	mu sync.Mutex // guards c
	c  chance
}

// next is a number from 0 up to 1.
func (s *shared) next() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c.Float64()
}

// Flush empties the pools of the packages that are simulated. A timer or a channel may lie in them
// that belongs to a bubble that has ended. What a sync.Pool has is gone after the second garbage
// collection.
func Flush() {
	runtime.GC()
	runtime.GC()
}
