package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"httpdhs/kv"
)

// A batch and its answer:
//
//	batch   u64 clock of the sender, then items to the end:
//	          'a' record                              merge it
//	          'r' uvarint length, key                 read it
//	          'd' a decision: see decision.go         carry out its operations on a key
//	answer  u64 clock of the answerer, then a result an item, in order, up to
//	        the first that is to be sent again:
//	          u8 code | existed flag; then u64 version after stale, a record after
//	          found, what came of a decision after decided, two uvarints (bytes found, bytes
//	          made) after larger, nothing after the others

// BatchHead is how many bytes come before the items of a batch, or the results of its answer.
const BatchHead = Head + 8

// ItemKind is what an item of a batch asks for.
type ItemKind byte

const (
	ItemApply  ItemKind = 'a'
	ItemRead   ItemKind = 'r'
	ItemDecide ItemKind = 'd'
)

// Mode is how an item of the kind is carried out. The kind is one that NextItem knows. What is to
// be merged is kept for a peer that is down, and nothing else.
func (k ItemKind) Mode() kv.Mode {
	switch k {
	case ItemApply:
		return kv.ModeMerge
	case ItemRead:
		return kv.ModeRead
	case ItemDecide:
		return kv.ModeDecide
	}
	panic(fmt.Sprintf("BUG: wire: item 0x%02x", byte(k)))
}

// Code is the outcome of one item.
type Code uint8

const (
	Stored      Code = 1 + iota // a: stored, or was there already
	Stale                       // a, d: a newer version is there (version follows)
	NoMemory                    // a, d: at --max-memory
	Refused                     // a, d: beyond the peer's limits
	Decided                     // d: carried out (what came of it follows)
	Found                       // r: record follows, value or tombstone
	Absent                      // r: nothing is held
	Again                       // the answer is full and ends here: send this item and the rest again
	NotPrimary                  // d: the answerer may not decide
	NotOwner                    // a: kept, but the answerer is no owner: the sender goes by an old ring
	TooFarAhead                 // a, d: stamped too far ahead of the peer's clock
	NoDisk                      // a, d: the peer cannot write to its disk
	DiskFull                    // a, d: the peer's disk is full
	NotDurable                  // a, d: the peer has it in memory, and cannot write it to its disk
	Filled                      // a, d: the same, because that disk is full
	Larger                      // d: not carried out, since it copies more than it may (how much follows)

	// Local is the first of the codes that never travel. They are the sending node's own, for items
	// that have no answer.
	Local Code = codeMask + 1
)

const (
	flagExisted     = 1 << 7 // a: a reader would have seen a value before the write
	flagBehind      = 1 << 7 // r: the answerer has refused something newer than it holds
	flagNoAuthority = 1 << 6 // r: the answerer has no authority for the partition
	codeMask        = flagNoAuthority - 1
)

// refusals are the errors of the codes with which an owner refuses. The first that fits an error
// is its code.
var refusals = [...]struct {
	code Code
	err  error
}{
	{NoMemory, kv.ErrNoMemory},
	{Filled, kv.ErrFilled},
	{NotDurable, kv.ErrNotDurable},
	{DiskFull, kv.ErrDiskFull},
	{NoDisk, kv.ErrNoDisk},
	{Refused, kv.ErrRefused},
	{TooFarAhead, kv.ErrRefused},
}

// RefusalOf is the code for a refusal. An error that is none of the refusals is Refused.
func RefusalOf(err error) Code {
	for i := range refusals {
		if errors.Is(err, refusals[i].err) {
			return refusals[i].code
		}
	}
	return Refused
}

// Refusal is the error that the code stands for; nil: it is no refusal.
func (c Code) Refusal() error {
	for i := range refusals {
		if refusals[i].code == c {
			return refusals[i].err
		}
	}
	return nil
}

// Result is an item's answer.
type Result struct {
	Code        Code
	Existed     bool
	NoAuthority bool
	Repeated    bool       // the item was sent before, and may have been carried out then
	Behind      bool       // of reads
	Version     kv.Version // of Stale
	Record      kv.Record  // of Found; aliases the answer

	// Of Decided. An answer that is being made has Decision, one that was read has Outcome, which
	// ReadDecided reads. Changed is known in both.
	Changed  bool
	Decision *kv.Decision
	Outcome  []byte

	Needs kv.Copies // of Larger
}

// OpenBatch starts a batch, or the answer to one. SetClock has to set its clock before it is sent.
func OpenBatch(dst []byte) []byte {
	return append(appendHead(dst, KindBatch), 0, 0, 0, 0, 0, 0, 0, 0)
}

// SetClock puts the sender's clock into a batch, or into an answer.
func SetClock(batch []byte, v kv.Version) {
	binary.LittleEndian.PutUint64(batch[Head:], uint64(v))
}

// SplitClock takes the clock off the body of a batch, or of an answer.
func SplitClock(body []byte) (kv.Version, []byte, error) {
	if len(body) < 8 {
		return 0, nil, fmt.Errorf("%w: no clock", ErrMalformed)
	}
	return kv.Version(binary.LittleEndian.Uint64(body)), body[8:], nil
}

// SplitBatch takes the head and the clock off a batch, or off the answer to one.
func SplitBatch(msg []byte) (clock kv.Version, rest []byte, err error) {
	body, err := expect(msg, KindBatch, BatchHead)
	if err != nil {
		return 0, nil, err
	}
	return SplitClock(body)
}

// AppendApply adds a record that is to be merged.
func AppendApply(dst []byte, r *kv.Record) []byte {
	return kv.AppendRecord(append(dst, byte(ItemApply)), r)
}

// AppendRead adds a read of key.
func AppendRead(dst []byte, key []byte) []byte {
	dst = binary.AppendUvarint(append(dst, byte(ItemRead)), uint64(len(key)))
	return append(dst, key...)
}

// Item is one decoded item of a batch. Its slices alias the batch.
type Item struct {
	Kind   ItemKind
	Record kv.Record // of a read the key, of a decision that and the version
	Room   int       // of a decision: how many bytes of values may be copied
	Ops    []byte    // of a decision: NextOp reads them
}

// NextItem decodes the first item of body, which is not empty, and returns what follows it.
func NextItem(body []byte) (it Item, rest []byte, err error) {
	it.Kind, rest = ItemKind(body[0]), body[1:]
	switch it.Kind {
	case ItemRead:
		it.Record.Key, rest, err = cutBytes(rest)
		if err != nil || len(it.Record.Key) == 0 {
			return it, nil, fmt.Errorf("%w: key of a read", ErrMalformed)
		}
		return it, rest, nil
	case ItemDecide:
		rest, err = it.takeDecision(rest)
		return it, rest, err
	case ItemApply:
	default:
		return it, nil, fmt.Errorf("%w: item 0x%02x", ErrMalformed, byte(it.Kind))
	}
	it.Record, rest, err = DecodeRecord(rest)
	return it, rest, err
}

// AppendResult adds the result of the next item.
func AppendResult(dst []byte, r *Result) []byte {
	code := byte(r.Code)
	if r.Existed {
		code |= flagExisted
	}
	if r.Behind {
		code |= flagBehind
	}
	if r.NoAuthority {
		code |= flagNoAuthority
	}
	dst = append(dst, code)
	switch r.Code {
	case Stale:
		return binary.LittleEndian.AppendUint64(dst, uint64(r.Version))
	case Decided:
		return appendDecided(dst, r.Decision)
	case Larger:
		return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.Needs.Found)), uint64(r.Needs.Made))
	case Found:
		return kv.AppendRecord(dst, &r.Record)
	}
	return dst
}

// NextResult decodes the first result of body and returns what follows it.
func NextResult(body []byte) (r Result, rest []byte, err error) {
	if len(body) == 0 {
		return r, nil, fmt.Errorf("%w: fewer results than items", ErrMalformed)
	}
	r.Code, rest = Code(body[0]&codeMask), body[1:]
	r.Existed = body[0]&flagExisted != 0
	r.NoAuthority = body[0]&flagNoAuthority != 0
	switch r.Code {
	case Decided:
		rest, err = r.takeDecided(rest)
	case Stale:
		if len(rest) < 8 {
			return r, nil, fmt.Errorf("%w: version of a result", ErrMalformed)
		}
		r.Version, rest = kv.Version(binary.LittleEndian.Uint64(rest)), rest[8:]
	case Larger:
		if r.Needs.Found, rest, err = cutSize(rest); err == nil {
			r.Needs.Made, rest, err = cutSize(rest)
		}
	case Found:
		r.Behind, r.Existed = r.Existed, false
		r.Record, rest, err = DecodeRecord(rest)
	case Absent:
		r.Behind, r.Existed = r.Existed, false
	case Stored, NoMemory, Refused, TooFarAhead, NoDisk, DiskFull, NotDurable, Filled, Again, NotPrimary, NotOwner:
	default:
		err = fmt.Errorf("%w: result 0x%02x", ErrMalformed, body[0])
	}
	return r, rest, err
}
