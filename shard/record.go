package shard

import (
	"encoding/binary"

	"httpdhs/kv"
)

// What lies in a segment, one after the other: records and gaps. The layout is
// the store's own; nothing of it leaves the process.
//
// A record. Integers are little endian; uvarint is encoding/binary's.
//
//	u8       recordLive and flags
//	uvarint  length of the key
//	uvarint  length of the value (only without recordTombstone)
//	u8       length of the metadata, 1.. (only with recordMeta)
//	u64      version
//	u64      expiry, Unix milliseconds (only with recordExpires)
//	...      key, metadata, value
//
// A key below 128 bytes with a value below 128 costs 11 bytes beyond the two.
//
// A gap, where a record was: gapByte, a byte long; or gapRun and a u32, the
// length of the gap with these.
const (
	recordLive      = 0x80
	recordTombstone = 0x01
	recordExpires   = 0x02
	recordMeta      = 0x04

	gapByte = 0x00
	gapRun  = 0x01

	gapRunMin = 1 + 4
)

// recordSize is the length of what appendRecord appends.
func recordSize(r *kv.Record) int {
	n := 1 + uvarintSize(len(r.Key)) + 8 + len(r.Key)
	if r.Expires != 0 {
		n += 8
	}
	if r.Tombstone {
		return n
	}
	if len(r.Meta) > 0 {
		n += 1 + len(r.Meta)
	}
	return n + uvarintSize(len(r.Value)) + len(r.Value)
}

func uvarintSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

func appendRecord(dst []byte, r *kv.Record) []byte {
	head := byte(recordLive)
	if r.Tombstone {
		head |= recordTombstone
	}
	if r.Expires != 0 {
		head |= recordExpires
	}
	hasMeta := !r.Tombstone && len(r.Meta) > 0
	if hasMeta {
		head |= recordMeta
	}
	dst = append(dst, head)
	dst = binary.AppendUvarint(dst, uint64(len(r.Key)))
	if !r.Tombstone {
		dst = binary.AppendUvarint(dst, uint64(len(r.Value)))
	}
	if hasMeta {
		dst = append(dst, byte(len(r.Meta)))
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Version))
	if r.Expires != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Expires))
	}
	dst = append(dst, r.Key...)
	if r.Tombstone {
		return dst
	}
	if hasMeta {
		dst = append(dst, r.Meta...)
	}
	return append(dst, r.Value...)
}

// shape is where the parts of a record are, from its beginning.
type shape struct {
	versionAt, keyAt, metaAt, valueAt, size int
}

// shapeOf reads the head of the record at the start of b.
func shapeOf(b []byte) (s shape) {
	head := b[0]
	keyLen, at := uvarint(b, 1)
	valueLen, metaLen := 0, 0
	if head&recordTombstone == 0 {
		valueLen, at = uvarint(b, at)
	}
	if head&recordMeta != 0 {
		metaLen = int(b[at])
		at++
	}
	s.versionAt = at
	at += 8
	if head&recordExpires != 0 {
		at += 8
	}
	s.keyAt = at
	s.metaAt = at + keyLen
	s.valueAt = s.metaAt + metaLen
	s.size = s.valueAt + valueLen
	return s
}

// uvarint reads a length at b[at:] and returns what is behind it, too.
func uvarint(b []byte, at int) (n, next int) {
	if c := b[at]; c < 0x80 {
		return int(c), at + 1
	}
	v, size := binary.Uvarint(b[at:])
	return int(v), at + size
}

// entryOf is the entry of the record at the start of b, whose shape is s. Its
// slices alias b.
func entryOf(b []byte, s *shape) (e kv.Entry) {
	e.Version = kv.Version(binary.LittleEndian.Uint64(b[s.versionAt:]))
	if b[0]&recordExpires != 0 {
		e.Expires = int64(binary.LittleEndian.Uint64(b[s.versionAt+8:]))
	}
	if b[0]&recordTombstone != 0 {
		e.Tombstone = true
		return e
	}
	e.Meta = b[s.metaAt:s.valueAt:s.valueAt]
	e.Value = b[s.valueAt:s.size:s.size]
	return e
}

// gapAt is the length of the gap at the start of b, or 0: a record, or the end.
func gapAt(b []byte) int {
	switch {
	case len(b) == 0 || b[0]&recordLive != 0:
		return 0
	case b[0] == gapByte:
		return 1
	}
	return int(binary.LittleEndian.Uint32(b[1:]))
}

// putGap makes all of b a gap.
func putGap(b []byte) {
	if len(b) < gapRunMin {
		clear(b) // gapByte is zero
		return
	}
	b[0] = gapRun
	binary.LittleEndian.PutUint32(b[1:], uint32(len(b)))
}
