package ring

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"
)

// fingerprintFormat opens the hashed bytes. It must change with them. It must also change whenever
// the same members and settings come to give other owners. So two releases that disagree on owners
// cannot take each other's table for theirs.
const fingerprintFormat = "httpdhs ring 1\n"

// fingerprint is the 64-bit xxh3 (seed 0) of: fingerprintFormat, partitions, replicas, partitioner,
// number of nodes, and then of each node, in the order of names, its name, weight and zone. Numbers
// are 4 bytes, little endian; a string is its length in bytes, as a number, and its bytes.
func fingerprint(sorted []Node, s Settings) uint64 {
	number := func(b []byte, n int) []byte { return binary.LittleEndian.AppendUint32(b, uint32(n)) }
	text := func(b []byte, s string) []byte { return append(number(b, len(s)), s...) }

	b := append(make([]byte, 0, 64+48*len(sorted)), fingerprintFormat...)
	b = number(b, s.Partitions)
	b = number(b, s.Replicas)
	b = text(b, s.Partitioner)
	b = number(b, len(sorted))
	for _, n := range sorted {
		b = text(b, n.Name)
		b = number(b, n.Weight)
		b = text(b, n.Zone)
	}
	return xxh3.Hash(b)
}
