package antientropy

import (
	"httpdhs/kv"
	"httpdhs/wire"
)

// pullBytes is where the answer to a pull is full, past its first record. To scan and to merge it
// takes less than a millisecond each, which is what requests meanwhile wait at most.
const pullBytes = 128 << 10

// ServeDigests answers with this node's digests. Authority is looked at first: what this node comes
// to hold meanwhile does no harm, what it lacked before would. Who asks for what is on the disk is
// about to drop it. So all that the digests are of is there before the answer goes out.
func (r *Repairer) ServeDigests(dst, body []byte) ([]byte, error) {
	level, of, err := wire.ParseDigests(body, r.board.Partitions())
	if err != nil {
		return dst, err
	}
	origin := wire.Origin{Boot: r.opt.Boot, Authority: true}
	for left := of; len(left) > 0; {
		origin.Authority = r.board.Whole(left.Next()) && origin.Authority
	}
	start := len(dst)
	dst = wire.OpenDigests(dst, origin)
	for len(of) > 0 {
		own := r.own.digests(of.Next())
		dst = own.AppendTo(dst, level)
	}
	if level == wire.OnDisk {
		if err := r.own.store.Sync(); err != nil {
			return dst[:start], err
		}
	}
	return dst, nil
}

// ServePull answers with the records of some buckets of a partition.
func (r *Repairer) ServePull(dst, body []byte) ([]byte, error) {
	ask, err := wire.ParsePull(body, r.board.Partitions())
	if err != nil {
		return dst, err
	}
	start := len(dst)
	dst = wire.OpenPulled(dst, wire.Origin{Boot: r.opt.Boot, Authority: r.board.Whole(ask.Partition)})
	next, more := r.own.scan(&ask, func(record *kv.Record) (full bool) {
		dst = kv.AppendRecord(dst, record)
		return len(dst)-start > pullBytes
	})
	if more {
		wire.CutPulled(dst[start:], next)
	}
	return dst, nil
}
