package disk

import (
	"encoding/binary"
	"fmt"
	"math"

	"httpdhs/kv"
)

// The kinds of items. A record begins with its own format, 0x10 to 0x17. Integers are little endian
// and of fixed length.
const (
	itemDrop   = 0x20 // u32 partition: it was emptied
	itemMark   = 0x21 // u32 partition, u64 version: the highest that it has evicted
	itemFirst  = 0x22 // u32 segment: those before it do not count
	itemVoid   = 0x23 // u64 position: nothing from there to the beginning of this segment counts
	itemRan    = 0x24 // u64 milliseconds since the epoch: the node ran then
	itemInSync = 0x25 // u64 milliseconds since the epoch: the node was last in sync then; 0: never
)

// wide are limits for what this node has stored itself, perhaps under other limits.
var wide = kv.Limits{MaxKeyBytes: math.MaxInt32, MaxValueBytes: math.MaxInt32}

// item is an item of a block.
type item struct {
	kind      byte // 0: a record
	record    kv.Record
	partition int
	value     uint64
}

// nextItem reads the item at the start of a payload that is whole, and returns what follows it. The
// record aliases it. An error means that no build of this format has written it.
func nextItem(payload []byte) (it item, rest []byte, err error) {
	le := binary.LittleEndian
	switch kind := payload[0]; {
	case kind < itemDrop:
		it.record, rest, err = kv.DecodeRecord(payload, &wide)
		return it, rest, err
	case kind == itemDrop && len(payload) >= 5:
		return item{kind: kind, partition: int(le.Uint32(payload[1:]))}, payload[5:], nil
	case kind == itemMark && len(payload) >= 13:
		return item{kind: kind, partition: int(le.Uint32(payload[1:])), value: le.Uint64(payload[5:])}, payload[13:], nil
	case kind == itemFirst && len(payload) >= 5:
		return item{kind: kind, value: uint64(le.Uint32(payload[1:]))}, payload[5:], nil
	case kind >= itemVoid && kind <= itemInSync && len(payload) >= 9:
		return item{kind: kind, value: le.Uint64(payload[1:])}, payload[9:], nil
	}
	return it, nil, fmt.Errorf("%w: item 0x%02x", ErrFormat, payload[0])
}

func appendDrop(dst []byte, partition int) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, itemDrop), uint32(partition))
}

func appendMark(dst []byte, partition int, v kv.Version) []byte {
	dst = binary.LittleEndian.AppendUint32(append(dst, itemMark), uint32(partition))
	return binary.LittleEndian.AppendUint64(dst, uint64(v))
}

func appendFirst(dst []byte, segment uint32) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, itemFirst), segment)
}

// appendValue appends an itemVoid, itemRan or itemInSync.
func appendValue(dst []byte, kind byte, value uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, kind), value)
}
