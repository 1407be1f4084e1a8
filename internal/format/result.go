package format

import (
	"encoding/binary"
	"fmt"
	"math"

	"httpdhs/kv"
)

// Result is the outcome of one operation of a batch.
type Result struct {
	Status int // as /db/{key} would have answered

	// Record is what a get found (status 200), or the version of a write
	// (201 and 204); the key is that of the operation, if it has one.
	kv.Record

	Acks, Replicas int // of writes

	Length int64 // of the value after an append

	Error string // what is wrong; empty where Status is below 300
}

// The binary form of a result, format 1. Integers are little endian.
//
//	u8       0x91
//	u16      status
//	u8       acks
//	u8       replicas
//	uvarint  length of the body
//	...      body: status 200, the record; 201 and 204, the version (u64);
//	         else the error, UTF-8 text
const (
	resultHead      = 0x91
	resultHeadBytes = 1 + 2 + 1 + 1
	versionBytes    = 8
)

// Found and Written are the two ways to succeed: of a get and of a write.
func (r *Result) Found() bool   { return r.Status == 200 }
func (r *Result) Written() bool { return r.Status == 201 || r.Status == 204 }

// AppendResult appends the binary form of r to dst.
func AppendResult(dst []byte, r *Result) []byte {
	dst = append(dst, resultHead)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(r.Status))
	dst = append(dst, byte(r.Acks), byte(r.Replicas))
	switch {
	case r.Found():
		// The length goes before the record, whose size is known when it is
		// there: it is written behind a gap and moved up to its length.
		start := len(dst)
		dst = append(dst, make([]byte, binary.MaxVarintLen32)...)
		dst = kv.AppendRecord(dst, &r.Record)
		record := dst[start+binary.MaxVarintLen32:]
		head := binary.PutUvarint(dst[start:], uint64(len(record)))
		return append(dst[:start+head], record...)
	case r.Written():
		dst = binary.AppendUvarint(dst, versionBytes)
		return binary.LittleEndian.AppendUint64(dst, uint64(r.Version))
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Error)))
	return append(dst, r.Error...)
}

// DecodeResult reads the result at the start of src and returns what follows
// it; its slices alias src. The error is kv.ErrShort where src ends before the
// result does, and kv.ErrFormat for what AppendResult does not write.
func DecodeResult(src []byte) (r Result, rest []byte, err error) {
	if len(src) > 0 && src[0] != resultHead {
		return r, nil, fmt.Errorf("%w: result starts with 0x%02x, want 0x%02x", kv.ErrFormat, src[0], resultHead)
	}
	if len(src) < resultHeadBytes {
		return r, nil, kv.ErrShort
	}
	r.Status = int(binary.LittleEndian.Uint16(src[1:]))
	r.Acks, r.Replicas = int(src[3]), int(src[4])
	size, src, err := length(src[resultHeadBytes:])
	if err != nil {
		return r, nil, err
	}
	if int64(len(src)) < size {
		return r, nil, kv.ErrShort
	}
	body, rest := src[:size], src[size:]
	switch {
	case r.Found():
		lim := kv.Limits{MaxKeyBytes: math.MaxInt32, MaxValueBytes: math.MaxInt32}
		var tail []byte
		if r.Record, tail, err = kv.DecodeRecord(body, &lim); err != nil || len(tail) > 0 {
			return r, nil, fmt.Errorf("%w: result without its record", kv.ErrFormat)
		}
	case r.Written() && size == versionBytes:
		r.Version = kv.Version(binary.LittleEndian.Uint64(body))
	case r.Written():
		return r, nil, fmt.Errorf("%w: result without its version", kv.ErrFormat)
	default:
		r.Error = string(body)
	}
	return r, rest, nil
}
