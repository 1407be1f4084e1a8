package replicate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"httpdhs/kv"
	"httpdhs/rebalance"
	"httpdhs/wire"
)

const (
	// pullBytes is where the answer to a pull is full, past its first record. To scan and to merge it takes less than a millisecond each,
	// which is what requests meanwhile wait at most.
	pullBytes = 128 << 10

	syncTimeout = 10 * time.Second // of one message

	// claimChunk is how many partitions a pass takes at a time: between two it looks whether the ring is still wanted.
	claimChunk = 64
)

// newPace is the rate of sync, in bytes a second; 0: there is no bound.
func newPace(bytes int) *rate.Limiter {
	if bytes <= 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	// What may come at once is what comes in a few milliseconds: requests share the processors with it.
	return rate.NewLimiter(rate.Limit(bytes), max(bytes/200, pullBytes))
}

// pay waits until so many bytes of sync are within its rate.
func (c *Coordinator) pay(bytes int) error {
	for burst := c.pace.Burst(); bytes > 0 && c.pace.Limit() != rate.Inf; bytes -= burst {
		wait := c.pace.ReserveN(time.Now(), min(bytes, burst)).Delay()
		select {
		case <-time.After(wait):
		case <-c.quit:
			return kv.ErrStopping
		}
	}
	return nil
}

// Moving is how far this node is with fetching what it owns; nil: it fetches nothing.
func (c *Coordinator) Moving() *wire.Moving { return c.moving.Load() }

// errNoAuthority is for a source that may lack something, though it was chosen because it did not.
var errNoAuthority = fmt.Errorf("%w: a replica is not in sync any more, or has refused what it has no room for", errNotYet)

// errNoRoom is why a node does not become an owner.
var errNoRoom = errors.New("it has too little memory for what it is to own: give it more, or let it leave")

// origin is whom to pull from, and whether it has to have authority.
type origin struct {
	*member
	sure bool
}

// fetch is what to pull from whom.
type fetch struct {
	origin
	partitions []int
}

// pullAll fetches what is asked of each, for a ring that is wanted until the end. Doubtful are the
// partitions of which none that was asked because it has authority has it still.
func (c *Coordinator) pullAll(x rebalance.Ring, from []fetch) (doubtful []int, err error) {
	m, began := wire.Moving{Ring: ringName(x)}, time.Now()
	for i := range from {
		m.Partitions += len(from[i].partitions)
	}
	before := c.counters.pulledBytes.Load()
	defer c.moving.Store(nil)
	sure := make(map[int]bool)
	for _, s := range from {
		for chunk := range slices.Chunk(s.partitions, claimChunk) {
			now := m
			c.moving.Store(&now)
			if !c.wants(x) {
				return nil, fmt.Errorf("%w: the ring has changed", errNotYet)
			}
			err := c.pullFrom(s.origin, chunk)
			doubt := errors.Is(err, errNoAuthority)
			if doubt { // what it holds counts all the same; it may lack what it has refused
				err = c.pullFrom(origin{s.member, false}, chunk)
			}
			switch {
			case errors.Is(err, kv.ErrNoMemory):
				// What this node has no room for it has noted as refused.
				if !c.hadAll(chunk) {
					c.behind.full = time.Now()
					return nil, fmt.Errorf("%w: %w: %w", errNotYet, errNoRoom, err)
				}
			case err != nil:
				return nil, err
			}
			switch {
			case doubt:
				doubtful = append(doubtful, chunk...)
			case s.sure:
				for _, part := range chunk {
					sure[part] = true
				}
			}
			m.Done += len(chunk)
			m.Bytes, m.Seconds = c.counters.pulledBytes.Load()-before, time.Since(began).Seconds()
		}
	}
	return slices.DeleteFunc(doubtful, func(part int) bool { return sure[part] }), nil
}

// pullFrom fetches what o holds in the partitions and this node does not.
func (c *Coordinator) pullFrom(o origin, partitions []int) (full error) {
	differ, err := c.compare(o, partitions)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(differ, wire.BucketChunk) {
		theirs, err := o.digests(wire.EachBucket, chunk)
		if err != nil {
			return err
		}
		for i, part := range chunk {
			own := c.digests(part)
			bitmap := own.Differ(theirs[i*wire.DigestBuckets:])
			if err := c.pull(o, part, &bitmap); errors.Is(err, kv.ErrNoMemory) {
				full = err
			} else if err != nil {
				return err
			}
		}
	}
	return full
}

// compare returns the partitions of which o has other digests.
func (c *Coordinator) compare(o origin, partitions []int) (differ []int, err error) {
	theirs, err := o.digests(wire.WholePartitions, partitions)
	if err != nil {
		return nil, err
	}
	for i, part := range partitions {
		if theirs[i] != c.digest(part) {
			differ = append(differ, part)
		}
	}
	return differ, nil
}

// digest is the digest of a whole partition.
func (c *Coordinator) digest(partition int) (sum uint64) {
	own := c.digests(partition)
	return own.Whole()
}

// digests are those of the buckets of a partition.
func (c *Coordinator) digests(partition int) (own wire.Digests) {
	c.store.Digests(partition, (*[wire.DigestBuckets]uint64)(&own))
	return own
}

// pull fetches and merges the records of some buckets of a partition. What does not fit into this node's memory does not keep the rest from
// coming.
func (c *Coordinator) pull(o origin, partition int, buckets *wire.Buckets) (full error) {
	ask := wire.Pull{Partition: partition, Buckets: *buckets}
	for more := ask.Buckets.Any(); more; {
		if c.closed.Load() {
			return kv.ErrStopping
		}
		answer, err := o.Ask(wire.AppendPull(nil, &ask), time.Now().Add(syncTimeout))
		if err != nil {
			return err
		}
		from, pulled, err := wire.ParsePulled(answer)
		if err == nil {
			err = o.expect(from)
		}
		if err != nil {
			return err
		}
		more, ask.From = pulled.More, pulled.Next
		body := pulled.Records
		c.counters.pulledBytes.Add(int64(len(body)))
		if err := c.pay(len(body)); err != nil {
			return err
		}
		if err := c.takePulled(body); errors.Is(err, kv.ErrNoMemory) {
			full = fmt.Errorf("cannot store what %s holds: %w", o.Name(), err)
		} else if err != nil {
			return err
		}
	}
	return full
}

// takePulled merges the records of an answer to a pull.
func (c *Coordinator) takePulled(body []byte) (full error) {
	for len(body) > 0 {
		r, rest, err := wire.DecodeRecord(body)
		if err != nil {
			return err
		}
		body = rest
		if !c.clock.Observe(r.Version) {
			c.counters.refused.Add(1)
			continue
		}
		hash := kv.Hash(r.Key)
		switch _, err := c.store.ApplySync(hash, &r); {
		case errors.Is(err, kv.ErrNoMemory):
			c.refuse(hash, r.Version, &wire.Result{Code: wire.NoMemory})
			full = err
		case err != nil:
			return fmt.Errorf("cannot store a record of a peer: %w", err)
		default:
			c.counters.pulled.Add(1)
		}
	}
	return full
}

// expect says what is wrong with who made an answer.
func (o origin) expect(from wire.Origin) error {
	if from.Boot != o.Status().Ping.Boot {
		return fmt.Errorf("%w: %s was restarted", errNotYet, o.Name())
	}
	if o.sure && !from.Authority {
		return fmt.Errorf("%w: %s", errNoAuthority, o.Name())
	}
	return nil
}

// digests asks for the digests of partitions.
func (o origin) digests(level wire.Level, partitions []int) ([]uint64, error) {
	if len(partitions) == 0 {
		return nil, nil
	}
	answer, err := o.Ask(wire.AppendDigests(nil, level, partitions), time.Now().Add(syncTimeout))
	if err != nil {
		return nil, err
	}
	from, all, err := wire.ParseDigestsAnswer(answer, level, len(partitions))
	if err == nil {
		err = o.expect(from)
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// serveDigests answers with this node's digests. Authority is looked at first: what this node comes
// to hold meanwhile does no harm, what it lacked before would.
func (c *Coordinator) serveDigests(dst, body []byte) ([]byte, error) {
	level, of, err := wire.ParseDigests(body, c.Partitions())
	if err != nil {
		return dst, err
	}
	origin := wire.Origin{Boot: c.opt.Boot, Authority: true}
	for left := of; len(left) > 0; {
		origin.Authority = c.whole(left.Next()) && origin.Authority
	}
	dst = wire.OpenDigests(dst, origin)
	for len(of) > 0 {
		own := c.digests(of.Next())
		dst = own.AppendTo(dst, level)
	}
	return dst, nil
}

// whole says whether this node has authority for a partition, and has refused nothing of it.
func (c *Coordinator) whole(partition int) bool {
	return c.holds(partition) && !c.behind.any(partition)
}

// servePull answers with the records of some buckets of a partition.
func (c *Coordinator) servePull(dst, body []byte) ([]byte, error) {
	ask, err := wire.ParsePull(body, c.Partitions())
	if err != nil {
		return dst, err
	}
	start := len(dst)
	dst = wire.OpenPulled(dst, wire.Origin{Boot: c.opt.Boot, Authority: c.whole(ask.Partition)})
	records := len(dst)
	now, last := c.clock.Wall().UnixMilli(), uint64(0)
	c.store.Scan(ask.Partition, ask.From, func(hash uint64, r *kv.Record) bool {
		if !ask.Buckets.Has(wire.Bucket(hash, c.Partitions())) || r.Collectable(now, c.opt.Grace) {
			return true
		}
		// Records of one hash are not split: next is where to go on.
		if len(dst)-start > pullBytes && len(dst) > records && hash != last {
			wire.CutPulled(dst[start:], hash)
			return false
		}
		dst, last = kv.AppendRecord(dst, r), hash
		return true
	})
	return dst, nil
}
