package shard

import "httpdhs/kv"

// Buckets is the number of digests that a shard keeps. Two owners of a
// partition find what differs between them by comparing these.
const Buckets = 256

const bucketBits = 8

// mix is what an entry adds to the digest of its bucket. Nodes compare
// digests, so it is part of what they have to agree on to the bit.
//
// For one key it is a permutation of the versions: an entry that was replaced
// never looks as it did. Across keys, digests are xored, so the bits have to
// be as good as random: each word goes through the finaliser of SplitMix64
// (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014,
// with Stafford's thirteenth constants).
func mix(hash uint64, v kv.Version) uint64 {
	return splitMix(hash ^ splitMix(uint64(v)))
}

func splitMix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Digests copies the partition's bucket digests to dst. A bucket is the eight bits of the hash
// below those of the partition. Its digest is the exclusive or of a mix of hash and version over
// its entries, tombstones too. So it does not depend on the order of changes, and an empty bucket
// has 0.
//
// Burying an expired value keeps its version and with it the digest. Removing what is past its
// grace changes it. Owners whose sweepers ran at different times differ until both have swept, and
// have nothing to send each other for it.
func (s *Store) Digests(partition int, dst *[Buckets]uint64) {
	sh := &s.shards[partition]
	sh.mu.Lock()
	*dst = sh.digests
	sh.mu.Unlock()
}

// Digest is the exclusive or of the partition's bucket digests; 0: it has no entries. Where it has
// none that costs a look.
func (s *Store) Digest(partition int) (whole uint64) {
	sh := &s.shards[partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.counts.keys == 0 && sh.counts.tombstones == 0 {
		return 0
	}
	for _, digest := range sh.digests {
		whole ^= digest
	}
	return whole
}
