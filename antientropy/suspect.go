package antientropy

import (
	"bytes"
	"fmt"

	"httpdhs/kv"
	"httpdhs/placement"
	"httpdhs/wire"
)

// forgetTries is how often a partition is looked at again that is written to meanwhile.
const forgetTries = 100

// suspects are the partitions of which a part was damaged on this node's disk. It may be deletes
// that are lost, and then what they deleted is here again. So once an owner with authority is
// found, what the node has from its disk is forgotten, and all is fetched again. Where there is
// none, what all owners have is put together, as it is after any start of all.
type suspects struct {
	parts map[int]bool // nil: none
	upTo  kv.Version   // what is newer was written since the start
}

// Suspect says of which partitions a part was damaged on the disk, and the highest version that was
// there. It is called before Start; from then on the loop has them.
func (r *Repairer) Suspect(partitions []int, upTo kv.Version) {
	s := &r.puller.suspects
	s.parts, s.upTo = make(map[int]bool), upTo
	for _, part := range partitions {
		s.parts[part] = true
	}
}

// forget forgets what is suspect of some partitions, which are about to be fetched.
func (p *puller) forget(partitions []int) error {
	for _, part := range partitions {
		if !p.suspects.parts[part] {
			continue
		}
		if err := p.forgetPartition(part); err != nil {
			return err
		}
		delete(p.suspects.parts, part)
	}
	return nil
}

// forgetPartition drops a partition, but for what was written since the start.
func (p *puller) forgetPartition(partition int) error {
	for range forgetTries {
		own := p.own.digests(partition)
		var newer []kv.Record
		p.own.store.Scan(partition, 0, func(_ uint64, r *kv.Record) bool {
			if r.Version > p.suspects.upTo {
				kept := *r
				kept.Key, kept.Meta, kept.Value = bytes.Clone(r.Key), bytes.Clone(r.Meta), bytes.Clone(r.Value)
				newer = append(newer, kept)
			}
			return true
		})
		if !p.own.store.DropIf(partition, (*[wire.DigestBuckets]uint64)(&own)) {
			continue // it was written to meanwhile
		}
		for i := range newer {
			if _, err := p.own.store.ApplySync(kv.Hash(newer[i].Key), &newer[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: a damaged partition is written to all the time", placement.ErrNotInSync)
}
