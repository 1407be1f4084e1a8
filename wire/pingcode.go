package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"httpdhs/kv"
	"httpdhs/rebalance"
)

// A ping is the fields of [Ping] in their order: integers are varints, a string or a list has its
// length first, and the flags say which of the optional parts follow. What comes after the last is
// of a later version, and is not read. It is binary because each node sends and reads some a second
// for each peer.
const (
	pingInSync = 1 << iota
	pingStopping
	pingMoving
	pingGuess
	pingFigures
	pingFlags = iota

	sightLive   = 1 << 0
	sightCounts = 1 << 1

	// pingBytesMax bounds a ping. To name all members as dead takes less, with the longest names.
	pingBytesMax = 32 << 10

	// statedMax bounds the rings of a kind in a statement. A node states RingsMax of them, and
	// the one that it reads by.
	statedMax = 4 * rebalance.RingsMax

	// latestMicros is the last time that a version can hold, Unix microseconds.
	latestMicros = (1<<42 - 1) * 1000
)

// AppendPing makes a ping, or the answer to one.
func AppendPing(dst []byte, p *Ping) []byte {
	dst = appendHead(dst, KindPing)
	var flags byte
	if p.InSync {
		flags |= pingInSync
	}
	if p.Stopping {
		flags |= pingStopping
	}
	if p.Moving != nil {
		flags |= pingMoving
	}
	if p.Said.Guess {
		flags |= pingGuess
	}
	if p.Figures {
		flags |= pingFigures
	}
	dst = append(dst, flags)
	dst = appendString(dst, p.Name)
	dst = binary.AppendUvarint(dst, p.Boot)
	dst = appendString(dst, p.Settings)
	dst = binary.AppendUvarint(dst, uint64(p.Clock))
	dst = appendVarints(dst, p.Wall, p.Lead, p.Machine)
	dst = binary.AppendUvarint(dst, p.Number)

	dst = binary.AppendUvarint(dst, p.Said.Seq)
	dst = binary.AppendUvarint(dst, p.Said.Map)
	dst = binary.AppendUvarint(dst, uint64(p.Said.Reads))
	dst = appendRings(dst, p.Said.Writes)
	dst = appendRings(dst, p.Said.Wants)
	dst = appendRings(dst, p.Said.Holds)

	dst = binary.AppendUvarint(dst, p.PrimaryEpoch)
	if m := p.Moving; m != nil {
		dst = appendString(dst, m.Ring)
		dst = appendVarints(dst, int64(m.Partitions), int64(m.Done), m.Bytes)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(m.Seconds))
	}
	dst = appendVarints(dst, int64(p.HandOver))
	dst = binary.AppendUvarint(dst, uint64(len(p.Dead)))
	for _, name := range p.Dead {
		dst = appendString(dst, name)
	}
	dst = appendSight(dst, &p.Sees)
	dst = appendVarints(binary.AppendUvarint(dst, p.Heard), p.Held)

	m := &p.Memory
	dst = appendVarints(dst, p.Keys, p.Bytes, p.Tombstones,
		m.Live, m.Dead, m.Segments, m.Index, m.Max, m.Evicted, m.EvictedBytes)
	d := &p.Disk
	dst = appendVarints(dst, d.Bytes, d.Unsynced, d.Max, d.Faults)
	dst = appendString(appendString(dst, p.Version), p.Resp)
	return appendVarints(dst, p.Started.Unix(), int64(p.Started.Nanosecond()), p.UnderReplicated)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendVarints(dst []byte, values ...int64) []byte {
	for _, v := range values {
		dst = binary.AppendVarint(dst, v)
	}
	return dst
}

func appendRings(dst []byte, rings []rebalance.Ring) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(rings)))
	for _, r := range rings {
		dst = binary.AppendUvarint(dst, uint64(r))
	}
	return dst
}

func appendSight(dst []byte, s *Sight) []byte {
	var flags byte
	if s.Live {
		flags |= sightLive
	}
	if s.Counts {
		flags |= sightCounts
	}
	dst = binary.AppendUvarint(append(dst, flags), s.Boot)
	dst = binary.AppendUvarint(dst, s.Suspicion)
	dst = binary.AppendUvarint(dst, s.PrimaryEpoch)
	return binary.AppendUvarint(dst, s.Acknowledged)
}

// ParsePing reads a ping. The error wraps ErrMalformed.
func ParsePing(msg []byte) (p Ping, err error) {
	body, err := expect(msg, KindPing, Head)
	if err != nil {
		return p, err
	}
	if len(body) > pingBytesMax {
		return p, fmt.Errorf("%w: ping of %d bytes", ErrMalformed, len(body))
	}
	f := fields{rest: body}
	f.ping(&p)
	if f.bad != "" {
		return p, fmt.Errorf("%w: ping: %s", ErrMalformed, f.bad)
	}
	return p, p.check()
}

// fields reads what the append functions above have written. The first fault is kept in bad, and
// all that is read after it is zero.
type fields struct {
	rest []byte
	bad  string
}

func (f *fields) ping(p *Ping) {
	flags := f.flags(1<<pingFlags - 1)
	p.InSync, p.Stopping, p.Figures = flags&pingInSync != 0, flags&pingStopping != 0, flags&pingFigures != 0
	p.Name, p.Boot, p.Settings = f.text(), f.uvarint(), f.text()
	p.Clock, p.Wall, p.Lead, p.Machine = kv.Version(f.uvarint()), f.varint(), f.varint(), f.varint()
	p.Number = f.uvarint()
	p.Said = rebalance.Statement{
		Seq: f.uvarint(), Map: f.uvarint(), Reads: rebalance.Ring(f.uvarint()), Guess: flags&pingGuess != 0,
		Writes: f.rings(), Wants: f.rings(), Holds: f.rings(),
	}
	p.PrimaryEpoch = f.uvarint()
	if flags&pingMoving != 0 {
		p.Moving = &Moving{Ring: f.text(), Partitions: int(f.varint()), Done: int(f.varint()), Bytes: f.varint(), Seconds: f.float()}
	}
	p.HandOver = int(f.varint())
	for range f.count(1) {
		p.Dead = append(p.Dead, f.text())
	}
	p.Sees = f.sight()
	p.Heard, p.Held = f.uvarint(), f.varint()
	p.Keys, p.Bytes, p.Tombstones = f.varint(), f.varint(), f.varint()
	p.Memory = Memory{
		Live: f.varint(), Dead: f.varint(), Segments: f.varint(), Index: f.varint(), Max: f.varint(),
		Evicted: f.varint(), EvictedBytes: f.varint(),
	}
	p.Disk = Disk{Bytes: f.varint(), Unsynced: f.varint(), Max: f.varint(), Faults: f.varint()}
	p.Version, p.Resp = f.text(), f.text()
	p.Started = time.Unix(f.varint(), f.varint())
	p.UnderReplicated = f.varint()
}

// fault keeps the first fault, and ends the reading.
func (f *fields) fault(what string) {
	if f.bad == "" {
		f.bad = what
	}
	f.rest = nil
}

func (f *fields) bytes(n uint64, what string) []byte {
	if n > uint64(len(f.rest)) {
		f.fault("it ends within " + what)
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) flags(known byte) byte {
	b := f.bytes(1, "flags")
	if len(b) == 0 {
		return 0
	}
	if b[0]&^known != 0 {
		f.fault(fmt.Sprintf("flags 0x%02x", b[0]))
		return 0
	}
	return b[0]
}

func (f *fields) uvarint() uint64 { return number(f, binary.Uvarint) }
func (f *fields) varint() int64   { return number(f, binary.Varint) }

func number[T uint64 | int64](f *fields, read func([]byte) (T, int)) T {
	v, n := read(f.rest)
	if n <= 0 {
		f.fault("no number where one is due")
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) float() float64 {
	b := f.bytes(8, "a number")
	if len(b) == 0 {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func (f *fields) text() string {
	b := f.bytes(f.uvarint(), "a text")
	if !utf8.Valid(b) {
		f.fault("a text that is not UTF-8")
		return ""
	}
	return string(b)
}

// count reads how many entries follow, of at least so many bytes each.
func (f *fields) count(least int) int {
	n := f.uvarint()
	if n > uint64(len(f.rest)/least) {
		f.fault("a list that is longer than the message")
		return 0
	}
	return int(n)
}

func (f *fields) rings() (rings []rebalance.Ring) {
	n := f.count(1)
	if n > statedMax {
		f.fault(fmt.Sprintf("more than %d rings", statedMax))
		return nil
	}
	for range n {
		rings = append(rings, rebalance.Ring(f.uvarint()))
	}
	return rings
}

func (f *fields) sight() Sight {
	flags := f.flags(sightLive | sightCounts)
	return Sight{
		Live: flags&sightLive != 0, Counts: flags&sightCounts != 0,
		Boot: f.uvarint(), Suspicion: f.uvarint(), PrimaryEpoch: f.uvarint(), Acknowledged: f.uvarint(),
	}
}
