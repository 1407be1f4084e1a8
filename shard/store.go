package shard

import (
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"httpdhs/kv"
)

// MaxPartitions bounds Options.Partitions: a shard costs some 3 KiB empty.
const MaxPartitions = 1 << 16

// DefaultSweepEvery is how often the sweeper starts a pass.
const DefaultSweepEvery = 5 * time.Second

// Options are the settings of a Store.
type Options struct {
	// Partitions is the number of shards, a power of two of at most
	// MaxPartitions. All nodes of a cluster have the same.
	Partitions int

	// MaxBytes bounds what the store takes, Stats.Accounted, in bytes: the
	// pages that records and tables lie in, used or not. 0 is no bound. See
	// Apply for what happens there.
	MaxBytes int64

	// Eviction is what happens there instead, if MaxBytes is not 0.
	Eviction Eviction

	// Grace is how long a tombstone is kept; see kv.Entry.Collectable.
	Grace kv.Grace

	// Now is the wall clock; nil is time.Now.
	Now func() time.Time

	// CompactShare is the most that compaction takes of all processors, above 0
	// to 1; 0 is DefaultCompactShare. With less, more memory is dead while
	// there are many overwrites; where MaxBytes is met, memory comes first.
	CompactShare float64

	// StepClock is what Steps are measured with, a time since any moment, not
	// below 0; nil is the time since Open. A tool that makes all calls from one
	// thread may give that thread's CPU time.
	StepClock func() time.Duration

	// SweepEvery is the pause between the sweeper's passes; 0 is
	// DefaultSweepEvery, less is no sweeper, for a caller who calls Sweep.
	SweepEvery time.Duration

	// Journal is told of all changes; nil: nobody is.
	Journal Journal

	// Of tests: other tables than those of packedEngine, and another hash than kv.Hash.
	newEngine func() engine
	hash      func(key []byte) uint64
}

// Store holds entries; see the package comment.
type Store struct {
	shards    []shard
	bits      uint // log2 of len(shards)
	maxBytes  int64
	eviction  Eviction
	grace     kv.Grace
	now       func() time.Time
	journal   Journal
	newEngine func() engine
	arena     arena // all that the packed engines take
	pace      *pace // of their compaction
	steps     stepClock

	_         [cacheLineBytes]byte // every write that changes a size writes here
	accounted atomic.Int64         // the sum of the shards' Stats.Accounted, and what is being stored
	_         [cacheLineBytes]byte

	short  sync.Mutex // one write at a time makes room in other shards; taken before any shard's lock
	hand   int        // the shard that evicts next; short guards it
	expiry *sweepPass // of what is due when memory is short; short guards it
	gifts  []gift     // of the shards; empty: there is no bound, or values are evicted

	sweeping sync.Mutex   // one pass at a time; taken before any shard's lock
	dropping sync.RWMutex // held while memory is given back; taken before any shard's lock
	stop     chan struct{}
	stopOnce sync.Once
	sweeper  sync.WaitGroup
}

// check says what is wrong with the settings.
func (o *Options) check() error {
	if o.Partitions < 1 || o.Partitions > MaxPartitions || o.Partitions&(o.Partitions-1) != 0 {
		return fmt.Errorf("%d partitions, want a power of two of at most %d", o.Partitions, MaxPartitions)
	}
	if o.CompactShare < 0 || o.CompactShare > 1 {
		return fmt.Errorf("compaction takes %v of the processors, want 0 to 1", o.CompactShare)
	}
	if o.MaxBytes < 0 || o.Grace.Keep < 0 || o.Grace.OffFor < 0 {
		return fmt.Errorf("negative bound (%d bytes) or grace (%+v)", o.MaxBytes, o.Grace)
	}
	if o.Eviction != EvictNone && o.MaxBytes == 0 {
		return fmt.Errorf("eviction %v without a bound", o.Eviction)
	}
	return nil
}

// Open makes an empty store and starts its sweeper.
func Open(o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("cannot open store: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CompactShare == 0 {
		o.CompactShare = DefaultCompactShare
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = DefaultSweepEvery
	}
	if o.Journal == nil {
		o.Journal = noJournal{}
	}
	if o.hash == nil {
		o.hash = kv.Hash
	}
	if began := time.Now(); o.StepClock == nil {
		o.StepClock = func() time.Duration { return time.Since(began) }
	}
	s := &Store{
		shards:    make([]shard, o.Partitions),
		bits:      uint(bits.TrailingZeros(uint(o.Partitions))),
		journal:   o.Journal,
		maxBytes:  o.MaxBytes,
		eviction:  o.Eviction,
		grace:     o.Grace,
		now:       o.Now,
		newEngine: o.newEngine,
		pace:      newPace(o.CompactShare),
		stop:      make(chan struct{}),
	}
	if s.newEngine == nil {
		made := newPackedEngine
		if o.Eviction != EvictNone {
			made = newEvictingEngine
		}
		s.newEngine = func() engine { return made(&s.arena, s.pace, s.bits, o.hash) }
	}
	if s.maxBytes > 0 && s.eviction == EvictNone {
		s.gifts = make([]gift, len(s.shards))
	}
	s.arena.limit = int(s.maxBytes / pageBytes)
	s.expiry = &sweepPass{store: s}
	s.steps.now = o.StepClock
	for i := range s.shards {
		sh := &s.shards[i]
		sh.steps = stepper{clock: &s.steps, stripe: &s.steps.stripes[i%stepStripes]}
		sh.engine, sh.dues.arena = s.engineOf(sh), &s.arena
		if len(s.gifts) > 0 {
			sh.gift = &s.gifts[i]
			sh.gift.set(neverDue, &Memory{})
		}
		if o.Eviction == EvictNone {
			continue
		}
		if _, ok := sh.engine.(evictor); !ok {
			return nil, fmt.Errorf("cannot open store: its engine cannot evict")
		}
		sh.evictions = &evictions{forget: s.forgetter(sh)}
	}
	if o.SweepEvery > 0 {
		s.sweeper.Go(func() { s.sweepLoop(o.SweepEvery) })
	}
	return s, nil
}

// engineOf makes an engine for a shard, which times its steps.
func (s *Store) engineOf(sh *shard) engine {
	engine := s.newEngine()
	if packed, ok := engine.(*packedEngine); ok {
		packed.log.steps = &sh.steps
	}
	return engine
}

// Close stops the sweeper, waits for it and gives all memory back. A closed
// store is empty: Get finds nothing, Apply is kv.ErrStopping. It may be called
// more than once, and while others use the store; the error is always nil.
func (s *Store) Close() error {
	s.stopOnce.Do(func() { close(s.stop) })
	s.sweeper.Wait()
	s.sweeping.Lock() // a Sweep that the caller makes
	defer s.sweeping.Unlock()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		if !sh.closed {
			sh.closed = true
			_, held := sh.empty(closedEngine{})
			s.accounted.Add(-held)
		}
		sh.mu.Unlock()
	}
	s.dropping.Lock()
	defer s.dropping.Unlock()
	s.arena.close()
	return nil
}

// place is where a hash belongs.
type place struct {
	hash      uint64
	partition int // the high bits of the hash
	bucket    int // the bits below them
}

func (s *Store) place(hash uint64) place {
	return place{
		hash:      hash,
		partition: int(hash >> (64 - s.bits)), // 0 where bits is 0: Go shifts all of it out
		bucket:    int(hash << s.bits >> (64 - bucketBits)),
	}
}

func (s *Store) nowMillis() int64 { return s.now().UnixMilli() }

// Partitions is the number of shards.
func (s *Store) Partitions() int { return len(s.shards) }

// Get looks up a key. It appends a copy of the metadata and the value to
// dst; buf is dst with these, and the slices of e alias it. With enough
// capacity in dst it does not allocate. It is ok for everything that is held,
// tombstones and expired values too: the caller judges with e.Live.
func (s *Store) Get(dst []byte, hash uint64, key []byte) (e kv.Entry, buf []byte, ok bool) {
	e, buf, _, ok = s.GetWithin(math.MaxInt, dst, hash, key)
	return e, buf, ok
}

// GetWithin is Get that copies at most so many bytes. size is how many the metadata and the value
// have: if they are more, e has neither.
func (s *Store) GetWithin(most int, dst []byte, hash uint64, key []byte) (e kv.Entry, buf []byte, size int, ok bool) {
	sh := &s.shards[s.place(hash).partition]
	sh.mu.Lock()
	sh.reads++
	e, ok = sh.engine.Read(hash, key)
	if size = len(e.Meta) + len(e.Value); size > most {
		sh.mu.Unlock()
		e.Meta, e.Value = nil, nil
		return e, dst, size, ok
	}
	metaAt := len(dst)
	dst = append(dst, e.Meta...)
	valueAt := len(dst)
	dst = append(dst, e.Value...)
	sh.mu.Unlock()
	if ok {
		e.Meta = dst[metaAt:valueAt:valueAt]
		e.Value = dst[valueAt:len(dst):len(dst)]
	}
	return e, dst, size, ok
}

// Scan calls fn with each record of the partition whose hash is at least from, until fn returns
// false. Tombstones and expired values are among them. The order is ascending by hash and, where
// hashes are equal, by key. fn runs under the shard's lock: it copies what it needs and returns,
// and calls nothing of the store. The record and its slices are the engine's and valid in fn only.
//
// A page, ended by fn, is consistent in itself. Between pages the partition changes: entries that
// were there all along are met exactly once.
func (s *Store) Scan(partition int, from uint64, fn func(hash uint64, r *kv.Record) bool) {
	sh := &s.shards[partition]
	if p := s.place(from).partition; p > partition {
		return
	} else if p < partition {
		from = uint64(partition) << (64 - s.bits)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.engine.Scan(from, fn)
}

// Drop removes everything that the partition holds, without tombstones.
func (s *Store) Drop(partition int) { s.drop(partition, nil) }

// DropIf is Drop if the partition's digests are these, so that nothing was changed since they were
// taken. It says whether it was.
func (s *Store) DropIf(partition int, digests *[Buckets]uint64) bool {
	return s.drop(partition, digests)
}

func (s *Store) drop(partition int, digests *[Buckets]uint64) bool {
	sh := &s.shards[partition]
	engine := s.engineOf(sh)
	s.dropping.RLock() // Close waits for the memory that is given back here
	defer s.dropping.RUnlock()
	sh.mu.Lock()
	if sh.closed || digests != nil && sh.digests != *digests {
		sh.mu.Unlock()
		return false
	}
	dropped, held := sh.empty(engine)
	s.journal.Drop(partition)
	sh.mu.Unlock()
	// To give much memory back takes a while, and no lock.
	dropped.Close()
	s.accounted.Add(-held)
	return true
}
