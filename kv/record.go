package kv

import (
	"encoding/binary"
	"fmt"
)

// The encoding of a record, format 1. Integers are little endian; uvarint is
// encoding/binary's.
//
//	u8       high nibble: format (1); low nibble: flags
//	uvarint  length of the key, 1..
//	uvarint  length of the value (only without the tombstone flag)
//	u8       length of the metadata (Meta), 1.. (only with its flag)
//	u64      version (0 in what a client sends: stamp it)
//	u64      expiry, Unix milliseconds (only with its flag)
//	...      key, metadata, value
//
// It is the format of the replication stream, of application/vnd.httpdhs.records
// and of what a store keeps. Encoding the same record twice gives the same
// bytes, and only what AppendRecord would write is decoded without an error. A
// record without a key or with an expiry before the epoch is not one: it is
// encoded, but not decoded.
const (
	recordFormat = 1 << 4

	flagTombstone = 1 << 0
	flagExpires   = 1 << 1
	flagMeta      = 1 << 2
	flagMask      = flagTombstone | flagExpires | flagMeta

	// recordHeadMax is the most that a record takes beyond key, metadata
	// and value.
	recordHeadMax = 1 + 2*binary.MaxVarintLen32 + 1 + 8 + 8
)

// RecordSizeMax bounds the encoded size of a record whose parts are of these
// lengths.
func RecordSizeMax(key, meta, value int) int {
	return recordHeadMax + key + meta + value
}

// AppendRecord appends the encoding of r to dst.
func AppendRecord(dst []byte, r *Record) []byte {
	head := byte(recordFormat)
	if r.Tombstone {
		head |= flagTombstone
	}
	if r.Expires != 0 {
		head |= flagExpires
	}
	if len(r.Meta) > 0 && !r.Tombstone {
		head |= flagMeta
	}
	dst = append(dst, head)
	dst = binary.AppendUvarint(dst, uint64(len(r.Key)))
	if !r.Tombstone {
		dst = binary.AppendUvarint(dst, uint64(len(r.Value)))
	}
	if head&flagMeta != 0 {
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
	if head&flagMeta != 0 {
		dst = append(dst, r.Meta...)
	}
	return append(dst, r.Value...)
}

// DecodeRecord reads the record at the start of src and returns what follows it. The record's
// slices alias src. The error is ErrShort where src ends before the record does and more bytes can
// complete it: a reader of a stream reads on. It is ErrFormat for anything that AppendRecord does
// not write. Lengths are checked against the limits before anything is taken from them.
func DecodeRecord(src []byte, lim *Limits) (r Record, rest []byte, err error) {
	if len(src) == 0 {
		return r, nil, ErrShort
	}
	head := src[0]
	if head&^flagMask != recordFormat {
		return r, nil, fmt.Errorf("%w: record starts with 0x%02x, want format 1 (0x10 to 0x17)", ErrFormat, head)
	}
	if head&flagTombstone != 0 && head&flagMeta != 0 {
		return r, nil, fmt.Errorf("%w: tombstone with metadata", ErrFormat)
	}
	src = src[1:]
	keyLen, src, err := lengthPrefix(src, lim.MaxKeyBytes, ErrKeyTooLong)
	if err != nil {
		return r, nil, err
	}
	if keyLen == 0 {
		return r, nil, ErrKeyEmpty
	}
	valueLen, metaLen := 0, 0
	if head&flagTombstone == 0 {
		if valueLen, src, err = lengthPrefix(src, lim.MaxValueBytes, ErrValueTooLarge); err != nil {
			return r, nil, err
		}
	}
	if head&flagMeta != 0 {
		if len(src) == 0 {
			return r, nil, ErrShort
		}
		if metaLen, src = int(src[0]), src[1:]; metaLen == 0 {
			return r, nil, fmt.Errorf("%w: metadata flagged and empty", ErrFormat)
		}
	}
	if len(src) < 8 {
		return r, nil, ErrShort
	}
	r.Version, src = Version(binary.LittleEndian.Uint64(src)), src[8:]
	if head&flagExpires != 0 {
		if len(src) < 8 {
			return r, nil, ErrShort
		}
		r.Expires, src = int64(binary.LittleEndian.Uint64(src)), src[8:]
		if r.Expires <= 0 {
			return r, nil, fmt.Errorf("%w: expiry %d", ErrFormat, r.Expires)
		}
	}
	if len(src) < keyLen+metaLen+valueLen {
		return r, nil, ErrShort
	}
	r.Tombstone = head&flagTombstone != 0
	r.Key, src = src[:keyLen:keyLen], src[keyLen:]
	if metaLen > 0 {
		r.Meta, src = src[:metaLen:metaLen], src[metaLen:]
	}
	if !r.Tombstone {
		r.Value, src = src[:valueLen:valueLen], src[valueLen:]
	}
	return r, src, nil
}

// shortLength is the error for a uvarint that src, all of it, only begins: the
// least that can come of it, by one more byte, may be beyond the limit already.
func shortLength(src []byte, limit int, tooLarge error) error {
	least := uint64(1)
	for i := len(src) - 1; i >= 0 && least <= uint64(limit); i-- {
		least = least<<7 | uint64(src[i]&0x7f)
	}
	if len(src) > 0 && least > uint64(limit) {
		return tooLarge
	}
	return ErrShort
}

// lengthPrefix reads a canonical uvarint of at most limit.
func lengthPrefix(src []byte, limit int, tooLarge error) (n int, rest []byte, err error) {
	v, size := binary.Uvarint(src)
	switch {
	case size == 0:
		return 0, nil, shortLength(src, limit, tooLarge)
	case size < 0, size > 1 && src[size-1] == 0:
		return 0, nil, fmt.Errorf("%w: length is not a canonical uvarint", ErrFormat)
	case v > uint64(limit):
		return 0, nil, tooLarge
	}
	return int(v), src[size:], nil
}
