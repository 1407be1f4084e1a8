package replicate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"httpdhs/kv"
)

// Sync makes a node hold what the other owners of its partitions hold. It is a
// pull: the node compares its bucket digests with another owner's and fetches
// the records of the buckets that differ. Merging decides what is kept, so a
// pull never undoes anything, and any number may go on at once.
//
// One pass over all partitions and all owners that are in sync is what brings
// a node that started empty in sync. Later, a pull from a random owner every
// driftEvery finds what a queue has dropped or a fault has lost.
//
//	digests  request   u8 level, u16 partitions to the end
//	         answer    u64 boot, then a partition each: u64 (level 0: all
//	                   buckets xored) or 256 × u64 (level 1)
//	pull     request   u16 partition, u64 from, 256 bits of buckets
//	         answer    u64 boot, u8 more, u64 next, records to the end
//
// The boot is there because a peer that was restarted since its last probe has
// nothing, and looks as if it had nothing new.
const (
	digestBuckets = 256
	bitmapBytes   = digestBuckets / 8

	levelPartitions = 0
	levelBuckets    = 1

	pullHead = messageHead + 8 + 1 + 8

	// pullBytes is where the answer to a pull is full, past its first record.
	pullBytes = 1 << 20

	// bucketChunk is how many partitions' bucket digests are asked at once:
	// 128 KiB of answer.
	bucketChunk = 64

	syncTimeout = 10 * time.Second // of one message
	driftEvery  = 10 * time.Second
	// unsyncedProbe is the pause between probes, and between attempts to get
	// in sync, while this node is not.
	unsyncedProbe = 50 * time.Millisecond
)

// errNotYet is why a pass cannot bring the node in sync, though nothing broke.
var errNotYet = errors.New("not in sync")

// syncLoop brings the node in sync and then looks for drift, until quit.
func (c *Coordinator) syncLoop() {
	for {
		wait := driftEvery
		if !c.Synced() {
			wait = unsyncedProbe
			misses := c.misses.Load()
			err := c.syncAll()
			if err == nil {
				c.becomeSynced(misses)
				continue
			}
			if !errors.Is(err, errNotYet) && !c.closed.Load() {
				c.opt.Log.Warn("cannot get in sync yet", "error", err)
				wait = time.Second
			}
			c.setSyncReason(err)
		} else {
			c.lookForDrift()
		}
		select {
		case <-time.After(wait):
		case <-c.syncNow:
		case <-c.quit:
			return
		}
	}
}

// beat implements peerHost. A pause between the beats of all probers together
// means that the process was stopped, or starved of processor time, for so
// long that others may have taken it for down.
func (c *Coordinator) beat() {
	now := int64(time.Since(c.born))
	if last := c.lastBeat.Swap(now); last != 0 && now-last > int64(stallMax) {
		c.missed(fmt.Sprintf("it was stopped for %s", time.Duration(now-last).Round(time.Millisecond)))
	}
}

// stalled says that the next beat will find a pause: nothing that was not
// found can be said not to exist until then.
func (c *Coordinator) stalled() bool {
	last := c.lastBeat.Load()
	return last != 0 && int64(time.Since(c.born))-last > int64(stallMax)
}

// missed implements peerHost: others have gone on without this node, so it has
// to compare itself with them once more.
func (c *Coordinator) missed(reason string) {
	c.misses.Add(1) // a pass that is under way does not count
	if !c.synced.Swap(false) {
		return
	}
	c.opt.Log.Warn("not in sync any more", "reason", reason)
	c.setSyncReason(fmt.Errorf("%w: %s", errNotYet, reason))
	c.wakeSync()
}

// met implements peerHost. A peer that was restarted forgot what it knew of
// this one, and what it kept for it: whether this node has missed something
// is seen by a look at all the others.
func (c *Coordinator) met() {
	c.compareAll.Store(true)
	c.wakeSync()
}

func (c *Coordinator) wakeSync() {
	select {
	case c.syncNow <- struct{}{}:
	default:
	}
}

// becomeSynced ends a pass that began when so many misses were counted.
func (c *Coordinator) becomeSynced(misses uint64) {
	if c.misses.Load() != misses {
		return
	}
	c.passes.Add(1)
	c.synced.Store(true)
	if c.misses.Load() != misses {
		c.synced.Store(false)
		return
	}
	c.opt.Log.Info("in sync", "records_fetched", c.counters.pulled.Load())
	for _, p := range c.view.Load().others {
		p.probeSoon() // asks, and is asked back: they hear of it at once
	}
}

// syncAll is the pass that brings this node in sync.
//
// It starts only when every member that is up counts this node as up, and has
// delivered what it kept for it: from then on nothing is acknowledged without
// this node, and what was acknowledged before is at an owner that is asked
// now. A partition is settled by all its owners that are up and in sync; where
// there is none, by all its owners, if they are up: then nobody holds more.
//
// A node that was in sync before, and has only missed something while others
// took it for down, asks those that are up. What they acknowledged without it
// is with them, or was kept for it and is delivered.
func (c *Coordinator) syncAll() error {
	v := c.view.Load()
	c.Refresh(time.Now().Add(probeTimeout)) // what they said before a pause is over
	for _, p := range v.others {
		if !p.probed.Load() {
			return fmt.Errorf("%w: %s was not reached yet", errNotYet, p.name)
		}
		if p.State() != Down && !p.sees(c.opt.Boot) {
			return fmt.Errorf("%w: %s does not count on this node yet", errNotYet, p.name)
		}
	}
	from := make(map[*Peer][]int) // partitions to pull
	for part := range v.table.Partitions() {
		owners := v.table.Owners(part)
		if !slices.Contains(owners, uint16(v.self)) {
			continue
		}
		sources, err := v.sources(owners, c.passes.Load() == 0)
		if err != nil {
			return err
		}
		for _, p := range sources {
			from[p] = append(from[p], part)
		}
	}
	for p, partitions := range from {
		if err := c.pullFrom(p, partitions); err != nil {
			return err
		}
	}
	return nil
}

// sources are the peers that settle a partition, for a node that is empty or
// for one that was in sync before.
func (v *view) sources(owners []uint16, empty bool) ([]*Peer, error) {
	var synced, up []*Peer
	var down error
	for _, n := range owners {
		p := v.peers[n]
		switch {
		case p == nil:
		case p.State() == Down:
			down = fmt.Errorf("%w: %s is down (%v), and no other owner of some keys is in sync", errNotYet, p.name, p.Status().Reason)
		case p.isSynced():
			synced = append(synced, p)
		default:
			up = append(up, p)
		}
	}
	switch {
	case !empty:
		return append(synced, up...), nil
	case len(synced) > 0:
		return synced, nil
	case down != nil:
		return nil, down
	}
	return up, nil
}

// lookForDrift pulls what a random peer in sync has more of, or each of them.
func (c *Coordinator) lookForDrift() {
	v := c.view.Load()
	var peers []*Peer
	for _, p := range v.others {
		if p.up() && p.isSynced() {
			peers = append(peers, p)
		}
	}
	if len(peers) == 0 {
		return
	}
	if !c.compareAll.Swap(false) {
		one := rand.IntN(len(peers))
		peers = peers[one : one+1]
	}
	for _, p := range peers {
		err := c.pullFrom(p, v.shared(p))
		if err != nil && !errors.Is(err, errNotYet) && !c.closed.Load() {
			c.opt.Log.Warn("sync with a peer broke off", "peer", p.name, "error", err)
		}
	}
}

// shared are the partitions that this node and p own.
func (v *view) shared(p *Peer) (partitions []int) {
	for part := range v.table.Partitions() {
		owners := v.table.Owners(part)
		if slices.Contains(owners, uint16(v.self)) && slices.Contains(owners, uint16(p.index)) {
			partitions = append(partitions, part)
		}
	}
	return partitions
}

// pullFrom fetches what p holds in the partitions and this node does not.
func (c *Coordinator) pullFrom(p *Peer, partitions []int) error {
	differ, err := c.compare(p, partitions)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(differ, bucketChunk) {
		theirs, err := p.digests(levelBuckets, chunk)
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
			if err := c.pull(p, part, &bitmap); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare returns the partitions of which p has other digests.
func (c *Coordinator) compare(p *Peer, partitions []int) (differ []int, err error) {
	theirs, err := p.digests(levelPartitions, partitions)
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

// pull fetches and merges the records of some buckets of a partition.
func (c *Coordinator) pull(p *Peer, partition int, buckets *[bitmapBytes]byte) error {
	for from, more := uint64(0), *buckets != [bitmapBytes]byte{}; more; {
		if c.closed.Load() {
			return kv.ErrStopping
		}
		msg := binary.LittleEndian.AppendUint16(appendHead(nil, kindPull), uint16(partition))
		msg = binary.LittleEndian.AppendUint64(msg, from)
		answer, err := p.direct(append(msg, buckets[:]...), time.Now().Add(syncTimeout))
		if err != nil {
			return err
		}
		body, err := p.expectBoot(answer, kindPull, pullHead)
		if err != nil {
			return err
		}
		more, from = body[0] != 0, binary.LittleEndian.Uint64(body[1:])
		for body = body[9:]; len(body) > 0; {
			var r kv.Record
			if r, body, err = kv.DecodeRecord(body, &wireLimits); err != nil {
				return err
			}
			if !c.clock.Observe(r.Version) {
				c.counters.refused.Add(1)
				continue
			}
			if _, err := c.store.Apply(kv.Hash(r.Key), &r); err != nil {
				return fmt.Errorf("cannot store what %s holds: %w", p.name, err)
			}
			c.counters.pulled.Add(1)
		}
	}
	return nil
}

// expectBoot is expectKind for an answer that begins with the boot of the peer.
func (p *Peer) expectBoot(answer []byte, kind byte, least int) ([]byte, error) {
	body, err := expectKind(answer, kind, least)
	if err != nil {
		return nil, err
	}
	if boot := binary.LittleEndian.Uint64(body); boot != p.Status().Ping.Boot {
		return nil, fmt.Errorf("%w: %s was restarted", errNotYet, p.name)
	}
	return body[8:], nil
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

// digests asks the peer for the digests of partitions.
func (p *Peer) digests(level byte, partitions []int) ([]uint64, error) {
	if len(partitions) == 0 {
		return nil, nil
	}
	msg := append(appendHead(nil, kindDigests), level)
	for _, part := range partitions {
		msg = binary.LittleEndian.AppendUint16(msg, uint16(part))
	}
	answer, err := p.direct(msg, time.Now().Add(syncTimeout))
	if err != nil {
		return nil, err
	}
	want := len(partitions)
	if level == levelBuckets {
		want *= digestBuckets
	}
	body, err := p.expectBoot(answer, kindDigests, messageHead+8)
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
	if len(body) < 1 || len(body)%2 != 1 || body[0] > levelBuckets {
		return dst, fmt.Errorf("%w: digests", errMessage)
	}
	start := len(dst)
	level := body[0]
	dst = binary.LittleEndian.AppendUint64(appendHead(dst, kindDigests), c.opt.Boot)
	for body = body[1:]; len(body) > 0; body = body[2:] {
		part := int(binary.LittleEndian.Uint16(body))
		if part >= c.Partitions() {
			return dst[:start], fmt.Errorf("%w: partition %d", errMessage, part)
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
	dst = binary.LittleEndian.AppendUint64(appendHead(dst, kindPull), c.opt.Boot)
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
