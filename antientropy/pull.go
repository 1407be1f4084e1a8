package antientropy

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"httpdhs/kv"
	"httpdhs/peer"
	"httpdhs/placement"
	"httpdhs/wire"
)

// claimChunk is how many partitions a claim takes at a time: between two it looks whether the ring
// is still wanted.
const claimChunk = 64

// puller fetches what this node lacks.
type puller struct {
	own      *holdings
	board    *placement.Board
	remote   func(p *peer.Peer, sure bool) remote
	pace     *pace
	counters *Counters
	stopping *atomic.Bool
	suspects suspects
	moving   atomic.Pointer[wire.Moving] // nil: nothing is fetched for a claim
}

// pull fetches what a claim needs of each source, while it is wanted. A partition is doubtful if a
// source that was asked for its authority has lost it, and no other such source has it.
func (p *puller) pull(task *placement.Pull) (doubtful []int, err error) {
	m, began := wire.Moving{Ring: task.Ring}, time.Now()
	for i := range task.From {
		m.Partitions += len(task.From[i].Partitions)
	}
	before := p.counters.PulledBytes.Load()
	defer p.moving.Store(nil)
	sure := make(map[int]bool)
	for _, s := range task.From {
		for chunk := range slices.Chunk(s.Partitions, claimChunk) {
			now := m
			p.moving.Store(&now)
			if !task.Wanted() {
				return nil, fmt.Errorf("%w: the ring has changed", placement.ErrNotInSync)
			}
			doubt, err := p.pullChunk(task, &s, chunk)
			switch {
			case err != nil:
				return nil, err
			case doubt:
				doubtful = append(doubtful, chunk...)
			case s.Sure:
				for _, part := range chunk {
					sure[part] = true
				}
			}
			m.Done += len(chunk)
			m.Bytes, m.Seconds = p.counters.PulledBytes.Load()-before, time.Since(began).Seconds()
		}
		if s.Seldom {
			s.Peer.CloseIdle()
		}
	}
	return slices.DeleteFunc(doubtful, func(part int) bool { return sure[part] }), nil
}

// pullChunk fetches what one source holds of some partitions. doubt says that the source has no
// authority any more. What it holds counts all the same, but it may lack what it has refused.
func (p *puller) pullChunk(task *placement.Pull, s *placement.Source, chunk []int) (doubt bool, err error) {
	if s.Sure {
		if err := p.forget(chunk); err != nil {
			return false, err
		}
	}
	err = p.pullFrom(p.remote(s.Peer, s.Sure), chunk)
	if doubt = errors.Is(err, errNoAuthority); doubt {
		err = p.pullFrom(p.remote(s.Peer, false), chunk)
	}
	if !kv.NoRoom(err) {
		return doubt, err
	}
	// What this node has no room for it has noted as refused.
	if !task.Had(chunk) {
		return doubt, fmt.Errorf("%w: %w: %w", placement.ErrNotInSync, placement.ErrNoRoom, err)
	}
	return doubt, nil
}

// pullFrom fetches what o holds in the partitions and this node does not. full is kv.NoRoom: some
// of it has no room here, and the rest has come.
func (p *puller) pullFrom(o remote, partitions []int) (full error) {
	differ, err := p.compare(o, partitions)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(differ, wire.BucketChunk) {
		theirs, err := o.digests(wire.EachBucket, chunk)
		if err != nil {
			return err
		}
		for i, part := range chunk {
			own := p.own.digests(part)
			err := p.pullBuckets(o, part, own.Differ(theirs[i*wire.DigestBuckets:]))
			if kv.NoRoom(err) {
				full = err
			} else if err != nil {
				return err
			}
		}
	}
	return full
}

// compare returns the partitions whose digests at o are others.
func (p *puller) compare(o remote, partitions []int) (differ []int, err error) {
	theirs, err := o.digests(wire.WholePartitions, partitions)
	if err != nil {
		return nil, err
	}
	for i, part := range partitions {
		if theirs[i] != p.own.digest(part) {
			differ = append(differ, part)
		}
	}
	return differ, nil
}

// pullBuckets fetches and merges the records of some buckets of a partition. What this node has
// no room for does not keep the rest from coming.
func (p *puller) pullBuckets(o remote, partition int, buckets wire.Buckets) (full error) {
	ask := wire.Pull{Partition: partition, Buckets: buckets}
	for more := buckets.Any(); more; {
		if p.stopping.Load() {
			return kv.ErrStopping
		}
		var records []byte
		var err error
		if records, more, err = o.records(&ask); err != nil {
			return err
		}
		p.counters.PulledBytes.Add(int64(len(records)))
		if err := p.pace.pay(len(records)); err != nil {
			return err
		}
		if err := p.take(records); kv.NoRoom(err) {
			full = fmt.Errorf("cannot store what %s holds: %w", o.Name(), err)
		} else if err != nil {
			return err
		}
	}
	return full
}

// take merges the records of an answer to a pull.
func (p *puller) take(body []byte) (full error) {
	for len(body) > 0 {
		record, rest, err := wire.DecodeRecord(body)
		if err != nil {
			return err
		}
		body = rest
		if !p.own.clock.Observe(record.Version) {
			p.counters.Refused.Add(1)
			continue
		}
		hash := kv.Hash(record.Key)
		switch _, err := p.own.store.ApplySync(hash, &record); {
		case kv.NoRoom(err):
			p.board.Refuse(hash, record.Version, err)
			full = err
		case err != nil:
			return fmt.Errorf("cannot store a record of a peer: %w", err)
		default:
			p.counters.Pulled.Add(1)
		}
	}
	return full
}
