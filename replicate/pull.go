package replicate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"httpdhs/kv"
	"httpdhs/rebalance"
)

// The messages of sync:
//
//	digests  request   u8 level, u16 partitions to the end
//	         answer    u64 boot, u8 authority, then a partition each: u64 (level 0: all
//	                   buckets xored) or 256 × u64 (level 1)
//	pull     request   u16 partition, u64 from, 256 bits of buckets
//	         answer    u64 boot, u8 authority, u8 more, u64 next, records to the end
//
// The boot is there because a peer that was restarted since its last probe has
// nothing, and looks as if it had nothing new; authority, for all the partitions that were asked for, because one that was chosen for it may have
// lost it since.
const (
	digestBuckets = 256
	bitmapBytes   = digestBuckets / 8

	levelPartitions = 0
	levelBuckets    = 1

	syncHead = messageHead + 8 + 1
	pullHead = syncHead + 1 + 8

	// pullBytes is where the answer to a pull is full, past its first record. To scan and to merge it takes less than a millisecond each,
	// which is what requests meanwhile wait at most.
	pullBytes = 128 << 10

	// bucketChunk is how many partitions' bucket digests may be asked for at
	// once: 128 KiB of answer.
	bucketChunk = 64

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

// Moving is how far a node is with fetching what it owns by a ring.
type Moving struct {
	Ring       string
	Partitions int     // to compare, each once for each owner that is asked
	Done       int     // of them
	Bytes      int64   // fetched
	Seconds    float64 // since it began
}

// Moving is how far this node is with fetching what it owns; nil: it fetches nothing.
func (c *Coordinator) Moving() *Moving { return c.moving.Load() }

// errNoAuthority is for a source that may lack something, though it was chosen because it did not.
var errNoAuthority = fmt.Errorf("%w: a replica is not in sync any more, or has refused what it has no room for", errNotYet)

// errNoRoom is why a node does not become an owner.
var errNoRoom = errors.New("it has too little memory for what it is to own: give it more, or let it leave")

// origin is whom to pull from, and whether it has to have authority.
type origin struct {
	*Peer
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
	m, began := Moving{Ring: ringName(x)}, time.Now()
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
				err = c.pullFrom(origin{s.Peer, false}, chunk)
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
	for chunk := range slices.Chunk(differ, bucketChunk) {
		theirs, err := o.digests(levelBuckets, chunk)
		if err != nil {
			return err
		}
		for i, part := range chunk {
			var own [digestBuckets]uint64
			c.store.Digests(part, &own)
			var bitmap [bitmapBytes]byte
			for b, digest := range theirs[i*digestBuckets : (i+1)*digestBuckets] {
				if digest != own[b] {
					bitmap[b/8] |= 1 << (b % 8)
				}
			}
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
	theirs, err := o.digests(levelPartitions, partitions)
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
	var buckets [digestBuckets]uint64
	c.store.Digests(partition, &buckets)
	for _, d := range buckets {
		sum ^= d
	}
	return sum
}

// pull fetches and merges the records of some buckets of a partition. What does not fit into this node's memory does not keep the rest from
// coming.
func (c *Coordinator) pull(o origin, partition int, buckets *[bitmapBytes]byte) (full error) {
	for from, more := uint64(0), *buckets != [bitmapBytes]byte{}; more; {
		if c.closed.Load() {
			return kv.ErrStopping
		}
		msg := binary.LittleEndian.AppendUint16(appendHead(nil, kindPull), uint16(partition))
		msg = binary.LittleEndian.AppendUint64(msg, from)
		answer, err := o.direct(append(msg, buckets[:]...), time.Now().Add(syncTimeout))
		if err != nil {
			return err
		}
		body, err := o.expectOrigin(answer, kindPull, pullHead)
		if err != nil {
			return err
		}
		more, from = body[0] != 0, binary.LittleEndian.Uint64(body[1:])
		body = body[9:]
		c.counters.pulledBytes.Add(int64(len(body)))
		if err := c.pay(len(body)); err != nil {
			return err
		}
		if err := c.takePulled(body); errors.Is(err, kv.ErrNoMemory) {
			full = fmt.Errorf("cannot store what %s holds: %w", o.name, err)
		} else if err != nil {
			return err
		}
	}
	return full
}

// takePulled merges the records of an answer to a pull.
func (c *Coordinator) takePulled(body []byte) (full error) {
	for len(body) > 0 {
		r, rest, err := kv.DecodeRecord(body, &wireLimits)
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
			c.refuse(hash, r.Version, &result{code: resultNoMemory})
			full = err
		case err != nil:
			return fmt.Errorf("cannot store a record of a peer: %w", err)
		default:
			c.counters.pulled.Add(1)
		}
	}
	return full
}

// expectOrigin is expectKind for an answer that begins with the boot of the peer, and whether it has authority.
func (o origin) expectOrigin(answer []byte, kind byte, least int) ([]byte, error) {
	body, err := expectKind(answer, kind, least)
	if err != nil {
		return nil, err
	}
	if boot := binary.LittleEndian.Uint64(body); boot != o.Status().Ping.Boot {
		return nil, fmt.Errorf("%w: %s was restarted", errNotYet, o.name)
	}
	if o.sure && body[8] == 0 {
		return nil, fmt.Errorf("%w: %s", errNoAuthority, o.name)
	}
	return body[9:], nil
}

// expectKind takes the head off an answer of the kind, which is at least so
// long.
func expectKind(answer []byte, kind byte, least int) ([]byte, error) {
	got, body, err := splitHead(answer)
	if err != nil {
		return nil, err
	}
	if got != kind || len(answer) < least {
		return nil, fmt.Errorf("%w: answer of kind %d and %d bytes, want kind %d", errMessage, got, len(answer), kind)
	}
	return body, nil
}

// digests asks for the digests of partitions.
func (o origin) digests(level byte, partitions []int) ([]uint64, error) {
	if len(partitions) == 0 {
		return nil, nil
	}
	msg := append(appendHead(nil, kindDigests), level)
	for _, part := range partitions {
		msg = binary.LittleEndian.AppendUint16(msg, uint16(part))
	}
	answer, err := o.direct(msg, time.Now().Add(syncTimeout))
	if err != nil {
		return nil, err
	}
	want := len(partitions)
	if level == levelBuckets {
		want *= digestBuckets
	}
	body, err := o.expectOrigin(answer, kindDigests, syncHead)
	if err != nil {
		return nil, err
	}
	if len(body) != 8*want {
		return nil, fmt.Errorf("%w: %d bytes of digests, want %d", errMessage, len(body), 8*want)
	}
	all := make([]uint64, want)
	for i := range all {
		all[i] = binary.LittleEndian.Uint64(body[8*i:])
	}
	return all, nil
}

// serveDigests answers with this node's digests.
func (c *Coordinator) serveDigests(dst, body []byte) ([]byte, error) {
	if len(body) < 1 || body[0] > levelBuckets {
		return dst, fmt.Errorf("%w: digests", errMessage)
	}
	start, level, most := len(dst), body[0], c.Partitions()
	if level == levelBuckets {
		most = bucketChunk
	}
	if err := c.checkPartitions(body[1:], most); err != nil {
		return dst, err
	}
	dst = append(binary.LittleEndian.AppendUint64(appendHead(dst, kindDigests), c.opt.Boot), 1)
	for body = body[1:]; len(body) > 0; body = body[2:] {
		part := int(binary.LittleEndian.Uint16(body))
		if !c.holds(part) || c.behind.any(part) {
			dst[start+syncHead-1] = 0
		}
		if level == levelPartitions {
			dst = binary.LittleEndian.AppendUint64(dst, c.digest(part))
			continue
		}
		var buckets [digestBuckets]uint64
		c.store.Digests(part, &buckets)
		for _, d := range buckets {
			dst = binary.LittleEndian.AppendUint64(dst, d)
		}
	}
	return dst, nil
}

// servePull answers with the records of some buckets of a partition.
func (c *Coordinator) servePull(dst, body []byte) ([]byte, error) {
	if len(body) != 2+8+bitmapBytes {
		return dst, fmt.Errorf("%w: pull", errMessage)
	}
	part := int(binary.LittleEndian.Uint16(body))
	from := binary.LittleEndian.Uint64(body[2:])
	bitmap := body[10:]
	if part >= c.Partitions() {
		return dst, fmt.Errorf("%w: partition %d", errMessage, part)
	}
	start := len(dst)
	dst = append(binary.LittleEndian.AppendUint64(appendHead(dst, kindPull), c.opt.Boot), 0)
	if c.holds(part) && !c.behind.any(part) {
		dst[start+syncHead-1] = 1
	}
	more := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	records := len(dst)
	now, last := c.clock.Wall().UnixMilli(), uint64(0)
	c.store.Scan(part, from, func(hash uint64, r *kv.Record) bool {
		bucket := c.bucket(hash)
		if bitmap[bucket/8]&(1<<(bucket%8)) == 0 || r.Collectable(now, c.opt.Grace) {
			return true
		}
		// Records of one hash are not split: next is where to go on.
		if len(dst)-start > pullBytes && len(dst) > records && hash != last {
			dst[more] = 1
			binary.LittleEndian.PutUint64(dst[more+1:], hash)
			return false
		}
		dst, last = kv.AppendRecord(dst, r), hash
		return true
	})
	return dst, nil
}

// bucket is the digest bucket of a hash: the eight bits below the partition's.
func (c *Coordinator) bucket(hash uint64) int {
	return int(hash * uint64(c.Partitions()) >> 56)
}
