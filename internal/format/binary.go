package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"httpdhs/kv"
)

// getHead begins a get in a binary batch; a uvarint with the length of the key
// and the key follow. Heads of requests have the high bit set, which the head
// of a record (its format, in the high nibble) has not; bits 6 to 4 are the
// format (1) and the low nibble is the operation (0, get).
const getHead = 0x90

// AppendGet appends a get, as a binary batch holds it. A put or a delete is a
// record: kv.AppendRecord.
func AppendGet(dst, key []byte) []byte {
	dst = append(dst, getHead)
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	return append(dst, key...)
}

// binaryDecoder reads records as kv.AppendRecord writes them, and gets if ops.
// What follows a head that cannot be read is lost, since nothing marks where
// the next one begins.
type binaryDecoder struct {
	lim kv.Limits
	ops bool
}

func (d binaryDecoder) bytesMax() int {
	return kv.RecordSizeMax(d.lim.MaxKeyBytes, kv.MaxMetaBytes, d.lim.MaxValueBytes)
}

func (d binaryDecoder) decode(src []byte, last bool, op *kv.Op) (n, lines int64, err error) {
	n, err = d.sizeOf(src)
	switch {
	case errors.Is(err, kv.ErrShort) && last:
		return lost, 1, err
	case errors.Is(err, kv.ErrShort):
		return more, 0, nil
	case err == kv.ErrKeyTooLong, err == kv.ErrValueTooLarge:
		return n, 1, err // its head is intact: skip it, seen or not
	case err != nil:
		return lost, 1, err
	case n > int64(len(src)) && last:
		return lost, 1, kv.ErrShort
	case n > int64(len(src)):
		return more, 0, nil
	}
	*op = kv.Op{Kind: kv.OpGet}
	if src[0] == getHead {
		_, size := binary.Uvarint(src[1:])
		op.Key = src[1+size : n : n]
		return n, 1, nil
	}
	if op.Record, _, err = kv.DecodeRecord(src[:n], &d.lim); err != nil {
		return n, 1, err
	}
	if op.Meta, err = op.Meta.Kept(); err != nil {
		return n, 1, err
	}
	op.Version = 0 // the cluster stamps
	if op.Kind = kv.OpPut; op.Tombstone {
		op.Kind, op.Tombstone, op.Expires = kv.OpDelete, false, 0
	}
	return n, 1, nil
}

// sizeOf reads the head of the item at the start of src and returns the size of the item, also
// where the error says that it is beyond the limits. Other errors are kv.ErrShort, if src ends
// within the head, and kv.ErrFormat.
//
// kv.DecodeRecord cannot say how much to skip of a record that it refuses. So the layout documented
// there is read here once more, as far as the lengths.
func (d binaryDecoder) sizeOf(src []byte) (int64, error) {
	const (
		format, formatMask               = 0x10, 0xf0
		tombstone, expires, meta         = 1 << 0, 1 << 1, 1 << 2
		versionBytes, expiresBytes int64 = 8, 8
	)
	head := src[0]
	isGet := d.ops && head == getHead
	if !isGet && (head&formatMask != format || head&0x0f > tombstone|expires|meta ||
		head&tombstone != 0 && head&meta != 0) {
		return 0, fmt.Errorf("%w: it starts with 0x%02x", kv.ErrFormat, head)
	}
	key, rest, err := length(src[1:])
	if err != nil {
		return 0, err
	}
	n := int64(len(src)-len(rest)) + key
	var value int64
	if !isGet {
		n += versionBytes
		if head&tombstone == 0 {
			before := len(rest)
			if value, rest, err = length(rest); err != nil {
				return 0, err
			}
			n += int64(before-len(rest)) + value
		}
		if head&meta != 0 {
			if len(rest) == 0 {
				return 0, kv.ErrShort
			}
			n += 1 + int64(rest[0])
		}
		if head&expires != 0 {
			n += expiresBytes
		}
	}
	switch {
	case key > int64(d.lim.MaxKeyBytes):
		return n, kv.ErrKeyTooLong
	case value > int64(d.lim.MaxValueBytes):
		return n, kv.ErrValueTooLarge
	}
	return n, nil
}

// length reads a length, at most 32 bits of it: more is no record of anyone.
func length(src []byte) (n int64, rest []byte, err error) {
	v, size := binary.Uvarint(src)
	switch {
	case size == 0:
		return 0, nil, kv.ErrShort
	case size < 0, size > 1 && src[size-1] == 0, v > math.MaxUint32:
		return 0, nil, fmt.Errorf("%w: a length that is none", kv.ErrFormat)
	}
	return int64(v), src[size:], nil
}
