package disk

import (
	"bytes"
	"encoding/binary"

	"github.com/zeebo/xxh3"
)

// position is a place in the log: the number of a segment, and an offset in it. Numbers have 30
// bits, which 100 MB a second use up in 22 years. Offsets have 34: the last block of a segment may
// be as large as what clients can have under way.
type position uint64

const offsetBits = 34

func at(segment uint32, offset int64) position {
	return position(segment)<<offsetBits | position(offset)
}

func (p position) segment() uint32 { return uint32(p >> offsetBits) }
func (p position) offset() int64   { return int64(p & (1<<offsetBits - 1)) }

// seed is that of the checksums of a block there.
func (p position) seed() uint64 { return uint64(p) }

// The head of a block. Integers are little endian.
//
//	u32  magic
//	u8   format (1)
//	u8   stripe
//	u16  0
//	u64  length of the payload
//	u64  up to where the log was synced when the block was written
//	u64  checksum of the payload
//	u64  checksum of the head before it
//
// Checksums are xxh3, seeded with the block's position. So what is left in a file that is used
// again is no block, nor is one that was written elsewhere.
const (
	headBytes   = 40
	headSummed  = 32
	blockMagic  = 0x4b4c4244 // "DBLK"
	blockFormat = 1
)

// Stripes is what damage is told by: it costs all partitions whose number modulo Stripes is the
// same.
const Stripes = stripes

// stripes is the number of buffers that changes gather in, and of units that damage is confined to.
// A partition belongs to the stripe of its number modulo stripes.
const stripes = 16

// control is the stripe of what is no partition's.
const control = stripes

// block is a block that was found.
type block struct {
	at      position
	stripe  int
	synced  position
	payload []byte
	sum     uint64
}

// end is the offset behind the block.
func (b *block) end() int64 { return b.at.offset() + headBytes + int64(len(b.payload)) }

// whole says whether the payload is what was written.
func (b *block) whole() bool { return xxh3.HashSeed(b.payload, b.at.seed()) == b.sum }

// seal fills in the head of a block that is about to be written there: buf has room for the head,
// and then the payload.
func seal(buf []byte, at position, stripe int, synced position) {
	le := binary.LittleEndian
	le.PutUint32(buf, blockMagic)
	buf[4], buf[5], buf[6], buf[7] = blockFormat, byte(stripe), 0, 0
	le.PutUint64(buf[8:], uint64(len(buf)-headBytes))
	le.PutUint64(buf[16:], uint64(synced))
	le.PutUint64(buf[24:], xxh3.HashSeed(buf[headBytes:], at.seed()))
	le.PutUint64(buf[headSummed:], xxh3.HashSeed(buf[:headSummed], at.seed()))
}

// blockAt reads the head of the block at an offset of a segment. It is not ok if there is none, or
// the segment ends within it. The payload is not looked at: see whole.
func blockAt(segment []byte, number uint32, offset int64) (b block, ok bool) {
	rest := segment[offset:]
	if len(rest) < headBytes {
		return b, false
	}
	le, head := binary.LittleEndian, rest[:headBytes]
	length := le.Uint64(head[8:])
	b = block{at: at(number, offset), stripe: int(head[5]), synced: position(le.Uint64(head[16:])), sum: le.Uint64(head[24:])}
	if le.Uint32(head) != blockMagic || head[4] != blockFormat || b.stripe > control ||
		length > uint64(len(rest)-headBytes) ||
		le.Uint64(head[headSummed:]) != xxh3.HashSeed(head[:headSummed], b.at.seed()) {
		return b, false
	}
	b.payload = rest[headBytes : headBytes+length : headBytes+length]
	return b, true
}

var magicBytes = binary.LittleEndian.AppendUint32(nil, blockMagic)

// nextBlock finds the first block at an offset or behind it, where none has to be.
func nextBlock(segment []byte, number uint32, offset int64) (b block, ok bool) {
	for offset < int64(len(segment)) {
		step := bytes.Index(segment[offset:], magicBytes)
		if step < 0 {
			break
		}
		offset += int64(step)
		if b, ok = blockAt(segment, number, offset); ok {
			return b, true
		}
		offset++
	}
	return b, false
}
