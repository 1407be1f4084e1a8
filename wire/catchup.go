package wire

import (
	"encoding/binary"
	"fmt"
)

// The messages that compare owners and fetch records:
//
//	digests  u8 level, u16 partitions to the end
//	answer   u64 boot, u8 authority, then a partition each: u64 (level 0: all
//	         buckets xored) or 256 × u64 (levels 1 and 2)
//	pull     u16 partition, u64 from, 256 bits of buckets
//	answer   u64 boot, u8 authority, u8 more, u64 next, records to the end
//
// The boot tells of a peer that was restarted since its last probe: it holds nothing, and looks as
// if it had nothing new. Authority is for all the partitions that were asked for. A peer that was
// chosen for its authority may have lost it since.
const (
	// DigestBuckets is how many digests there are of a partition.
	DigestBuckets = 256

	// BucketChunk is how many partitions' bucket digests may be asked for at once: 128 KiB of
	// answer.
	BucketChunk = 64

	originHead = Head + 8 + 1
	pulledHead = originHead + 1 + 8
)

// Level is how fine digests are.
type Level byte

const (
	WholePartitions Level = 0 // one digest a partition
	EachBucket      Level = 1 // DigestBuckets a partition
	OnDisk          Level = 2 // the same, once the records that they are of are on the owner's disk
)

// Digests are those of a partition's buckets: of each the exclusive or of its records.
type Digests [DigestBuckets]uint64

// Whole is the digest of the partition.
func (d *Digests) Whole() (sum uint64) {
	for _, bucket := range d {
		sum ^= bucket
	}
	return sum
}

// Differ are the buckets for which another owner has another digest. theirs has DigestBuckets
// elements.
func (d *Digests) Differ(theirs []uint64) (differ Buckets) {
	for b, digest := range theirs[:DigestBuckets] {
		if digest != d[b] {
			differ[b/8] |= 1 << (b % 8)
		}
	}
	return differ
}

// Buckets is a set of buckets of a partition.
type Buckets [DigestBuckets / 8]byte

// Has says whether the bucket is in the set.
func (b *Buckets) Has(bucket int) bool { return b[bucket/8]&(1<<(bucket%8)) != 0 }

// Any says whether a bucket is in the set.
func (b *Buckets) Any() bool { return *b != Buckets{} }

// Bucket is the bucket of a hash in its partition: the eight bits below those that are the
// partition.
func Bucket(hash uint64, partitions int) int { return int(hash * uint64(partitions) >> 56) }

// Origin is what an answer says of the node that made it.
type Origin struct {
	Boot      uint64 // of its process
	Authority bool   // it lacks nothing of what was asked for
}

func appendOrigin(dst []byte, kind Kind, o Origin) []byte {
	dst = binary.LittleEndian.AppendUint64(appendHead(dst, kind), o.Boot)
	if o.Authority {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func splitOrigin(answer []byte, kind Kind, least int) (o Origin, body []byte, err error) {
	body, err = expect(answer, kind, least)
	if err != nil {
		return o, nil, err
	}
	return Origin{Boot: binary.LittleEndian.Uint64(body), Authority: body[8] != 0}, body[9:], nil
}

// AppendDigests appends a question for digests to dst.
func AppendDigests(dst []byte, level Level, partitions []int) []byte {
	dst = append(appendHead(dst, KindDigests), byte(level))
	for _, p := range partitions {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(p))
	}
	return dst
}

// ParseDigests reads the body of a question, in a cluster of so many partitions.
func ParseDigests(body []byte, partitions int) (level Level, of Partitions, err error) {
	if len(body) < 1 || Level(body[0]) > OnDisk {
		return 0, nil, fmt.Errorf("%w: digests", ErrMalformed)
	}
	level, most := Level(body[0]), partitions
	if level != WholePartitions {
		most = BucketChunk
	}
	of, err = parsePartitions(body[1:], partitions, most)
	return level, of, err
}

// OpenDigests starts an answer.
func OpenDigests(dst []byte, o Origin) []byte { return appendOrigin(dst, KindDigests, o) }

// AppendTo adds the digests of the next partition to an answer.
func (d *Digests) AppendTo(dst []byte, level Level) []byte {
	if level == WholePartitions {
		return binary.LittleEndian.AppendUint64(dst, d.Whole())
	}
	for _, bucket := range d {
		dst = binary.LittleEndian.AppendUint64(dst, bucket)
	}
	return dst
}

// ParseDigestsAnswer reads the answer to a question about so many partitions.
func ParseDigestsAnswer(answer []byte, level Level, partitions int) (o Origin, all []uint64, err error) {
	o, body, err := splitOrigin(answer, KindDigests, originHead)
	if err != nil {
		return o, nil, err
	}
	want := partitions
	if level != WholePartitions {
		want *= DigestBuckets
	}
	if len(body) != 8*want {
		return o, nil, fmt.Errorf("%w: %d bytes of digests, want %d", ErrMalformed, len(body), 8*want)
	}
	all = make([]uint64, want)
	for i := range all {
		all[i] = binary.LittleEndian.Uint64(body[8*i:])
	}
	return o, all, nil
}

// Pull asks for the records of some buckets of a partition, from a hash on.
type Pull struct {
	Partition int
	From      uint64
	Buckets   Buckets
}

// AppendPull appends the question to dst.
func AppendPull(dst []byte, p *Pull) []byte {
	dst = binary.LittleEndian.AppendUint16(appendHead(dst, KindPull), uint16(p.Partition))
	dst = binary.LittleEndian.AppendUint64(dst, p.From)
	return append(dst, p.Buckets[:]...)
}

// ParsePull reads the body of a question, in a cluster of so many partitions.
func ParsePull(body []byte, partitions int) (p Pull, err error) {
	if len(body) != 2+8+len(p.Buckets) {
		return p, fmt.Errorf("%w: pull", ErrMalformed)
	}
	p.Partition, p.From = int(binary.LittleEndian.Uint16(body)), binary.LittleEndian.Uint64(body[2:])
	copy(p.Buckets[:], body[10:])
	if p.Partition >= partitions {
		return p, fmt.Errorf("%w: partition %d", ErrMalformed, p.Partition)
	}
	return p, nil
}

// Pulled is the answer to a pull.
type Pulled struct {
	More    bool   // the answer was full
	Next    uint64 // and the records go on from this hash
	Records []byte // encoded; see DecodeRecord
}

// OpenPulled starts an answer, to which the records are appended.
func OpenPulled(dst []byte, o Origin) []byte {
	return append(appendOrigin(dst, KindPull, o), 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// CutPulled notes in an answer with all its records that it was full, and from which hash on to ask
// again.
func CutPulled(answer []byte, next uint64) {
	answer[originHead] = 1
	binary.LittleEndian.PutUint64(answer[originHead+1:], next)
}

// ParsePulled reads an answer. Its records alias it.
func ParsePulled(answer []byte) (o Origin, p Pulled, err error) {
	o, body, err := splitOrigin(answer, KindPull, pulledHead)
	if err != nil {
		return o, p, err
	}
	return o, Pulled{More: body[0] != 0, Next: binary.LittleEndian.Uint64(body[1:]), Records: body[9:]}, nil
}
