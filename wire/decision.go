package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"httpdhs/kv"
)

// A decision and what came of it. bytes are their uvarint length, and they.
//
//	item     'd' u64 version, uvarint bytes that may be copied, bytes key, bytes: the operations,
//	         one after the other
//	  operation  u8 kind, u8 flags, then what the flags say is there, in their order:
//	             u8 condition; u8 n, n × u64 versions of it; bytes value of it; varint number;
//	             u64 expiry; bytes metadata; bytes value
//	outcome  u8 flags, u64 version of the value that was there, record if flagged, bytes: the
//	         results, one for each operation
//	  result     u8 error, u8 flags, uvarint number if flagged, record if flagged
const (
	opKeep = 1 << iota
	opPrior
	opCond
	opVersions
	opCondValue
	opNumber
	opExpires
	opData // metadata and value
)

const (
	outcomeChanged = 1 << iota
	outcomeRecord
)

const (
	resultExisted = 1 << iota
	resultFound
	resultMade   // what it finds is the record of the outcome
	resultNumber // of OpAppend and OpSetRange
	resultVersion
	resultKnown = 1<<iota - 1
)

// resultErrors are how an operation of a decision may end. They travel as their places here.
var resultErrors = []error{
	nil, kv.ErrNotFound, kv.ErrConditionFailed, kv.ErrNotInteger, kv.ErrNotFloat, kv.ErrOverflow,
	kv.ErrInfinite, kv.ErrValueTooLarge, kv.ErrAnswerFull, kv.ErrUnknownOutcome,
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// cutBytes takes bytes and their length off body. They are nil if there are none.
func cutBytes(body []byte) (b, rest []byte, err error) {
	n, size := binary.Uvarint(body)
	if size <= 0 || n > uint64(len(body)-size) {
		return nil, nil, fmt.Errorf("%w: length", ErrMalformed)
	}
	end := size + int(n)
	if n > 0 {
		b = body[size:end:end]
	}
	return b, body[end:], nil
}

// cutSize takes a number of bytes off body.
func cutSize(body []byte) (n int, rest []byte, err error) {
	u, size := binary.Uvarint(body)
	if size <= 0 || u > math.MaxInt32 {
		return 0, nil, fmt.Errorf("%w: number of bytes", ErrMalformed)
	}
	return int(u), body[size:], nil
}

// cutWord takes 64 bits off body.
func cutWord(body []byte) (w uint64, rest []byte, err error) {
	if len(body) < 8 {
		return 0, nil, fmt.Errorf("%w: 64 bits", ErrMalformed)
	}
	return binary.LittleEndian.Uint64(body), body[8:], nil
}

// lengthBytes is how much room the length of what is not written yet is given.
const lengthBytes = 4

// openLength makes room for the length of what is appended next, which closeLength writes.
func openLength(dst []byte) (_ []byte, at int) {
	return append(dst, 0, 0, 0, 0), len(dst)
}

// closeLength writes the length of what follows the place at. A uvarint of up to 28 bits has as
// many bytes as it is given, so nothing has to be moved.
func closeLength(dst []byte, at int) {
	n := len(dst) - at - lengthBytes
	for i := range lengthBytes {
		dst[at+i] = byte(n>>(7*i)) | 0x80
	}
	dst[at+lengthBytes-1] &= 0x7f
}

// AppendDecide adds operations that the primary of their key is to decide, all at once. room is how
// many bytes of values it may copy for that: as many may come back.
func AppendDecide(dst []byte, version kv.Version, room int, ops []*kv.Op) []byte {
	dst = binary.LittleEndian.AppendUint64(append(dst, byte(ItemDecide)), uint64(version))
	dst = binary.AppendUvarint(dst, uint64(room))
	dst, at := openLength(appendBytes(dst, ops[0].Key))
	for _, op := range ops {
		dst = appendOp(dst, op)
	}
	closeLength(dst, at)
	return dst
}

// DecideSizeMax bounds what AppendDecide appends.
func DecideSizeMax(ops []*kv.Op) int {
	size := 1 + 8 + binary.MaxVarintLen64 + binary.MaxVarintLen32 + len(ops[0].Key) + lengthBytes
	for _, op := range ops {
		size += 32 + 8*len(op.Cond.Versions) + len(op.Cond.Value) + len(op.Meta) + len(op.Value)
	}
	return size
}

func appendOp(dst []byte, op *kv.Op) []byte {
	flags := byte(0)
	flag := func(bit byte, is bool) {
		if is {
			flags |= bit
		}
	}
	flag(opKeep, op.Keep)
	flag(opPrior, op.Prior)
	flag(opCond, op.Cond.Kind != kv.Always)
	flag(opVersions, len(op.Cond.Versions) > 0)
	flag(opCondValue, len(op.Cond.Value) > 0)
	flag(opNumber, op.Number != 0)
	flag(opExpires, op.Expires != 0)
	flag(opData, len(op.Meta)+len(op.Value) > 0)
	dst = append(dst, byte(op.Kind), flags)
	if flags&opCond != 0 {
		dst = append(dst, byte(op.Cond.Kind))
	}
	if flags&opVersions != 0 {
		dst = append(dst, byte(len(op.Cond.Versions)))
		for _, v := range op.Cond.Versions {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
		}
	}
	if flags&opCondValue != 0 {
		dst = appendBytes(dst, op.Cond.Value)
	}
	if flags&opNumber != 0 {
		dst = binary.AppendVarint(dst, op.Number)
	}
	if flags&opExpires != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(op.Expires))
	}
	if flags&opData != 0 {
		dst = appendBytes(appendBytes(dst, op.Meta), op.Value)
	}
	return dst
}

// takeDecision reads a decision.
func (it *Item) takeDecision(body []byte) (rest []byte, err error) {
	version, body, err := cutWord(body)
	if err != nil {
		return nil, err
	}
	it.Record.Version = kv.Version(version)
	if it.Room, body, err = cutSize(body); err != nil {
		return nil, err
	}
	if it.Record.Key, body, err = cutBytes(body); err != nil {
		return nil, err
	}
	if it.Ops, rest, err = cutBytes(body); err != nil {
		return nil, err
	}
	if len(it.Record.Key) == 0 || len(it.Ops) == 0 || version == 0 {
		return nil, fmt.Errorf("%w: decision", ErrMalformed)
	}
	return rest, nil
}

// NextOp decodes the first operation of a decision into op, which is zero, and returns what follows
// it. Its slices alias ops, and its versions a part of scratch, which is returned without it.
func NextOp(ops []byte, op *kv.Op, scratch []kv.Version) (rest []byte, _ []kv.Version, err error) {
	if len(ops) < 2 || !kv.OpKind(ops[0]).Known() {
		return nil, nil, fmt.Errorf("%w: operation", ErrMalformed)
	}
	flags := ops[1]
	op.Kind, op.Keep, op.Prior, rest = kv.OpKind(ops[0]), flags&opKeep != 0, flags&opPrior != 0, ops[2:]
	if rest, scratch, err = takeCondition(rest, flags, &op.Cond, scratch); err != nil {
		return nil, nil, err
	}
	if flags&opNumber != 0 {
		n, size := binary.Varint(rest)
		if size <= 0 {
			return nil, nil, fmt.Errorf("%w: number", ErrMalformed)
		}
		op.Number, rest = n, rest[size:]
	}
	if flags&opExpires != 0 {
		word, after, err := cutWord(rest)
		if op.Expires, rest = int64(word), after; err != nil || op.Expires <= 0 {
			return nil, nil, fmt.Errorf("%w: expiry", ErrMalformed)
		}
	}
	if flags&opData != 0 {
		var meta []byte
		if meta, rest, err = cutBytes(rest); err != nil {
			return nil, nil, err
		}
		op.Meta = meta
		if op.Value, rest, err = cutBytes(rest); err != nil {
			return nil, nil, err
		}
	}
	return rest, scratch, nil
}

func takeCondition(body []byte, flags byte, c *kv.Condition, scratch []kv.Version) (rest []byte, _ []kv.Version, err error) {
	if flags&opCond != 0 {
		if len(body) == 0 || !kv.ConditionKind(body[0]).Known() {
			return nil, nil, fmt.Errorf("%w: condition", ErrMalformed)
		}
		c.Kind, body = kv.ConditionKind(body[0]), body[1:]
	}
	if flags&opVersions != 0 {
		if len(body) == 0 || body[0] > kv.MaxConditionVersions || len(body)-1 < 8*int(body[0]) {
			return nil, nil, fmt.Errorf("%w: versions of a condition", ErrMalformed)
		}
		n, at := int(body[0]), len(scratch)
		body = body[1:]
		for range n {
			scratch = append(scratch, kv.Version(binary.LittleEndian.Uint64(body)))
			body = body[8:]
		}
		c.Versions = scratch[at:len(scratch):len(scratch)]
	}
	if flags&opCondValue != 0 {
		if c.Value, body, err = cutBytes(body); err != nil {
			return nil, nil, err
		}
	}
	return body, scratch, nil
}

// appendDecided adds what came of a decision. The record is left out where the sender knows it.
func appendDecided(dst []byte, d *kv.Decision) []byte {
	flags := byte(0)
	if d.Changed {
		flags |= outcomeChanged
		if !d.Derived() {
			flags |= outcomeRecord
		}
	}
	dst = binary.LittleEndian.AppendUint64(append(dst, flags), uint64(d.Current))
	if flags&outcomeRecord != 0 {
		dst = kv.AppendRecord(dst, &d.Record)
	}
	dst, at := openLength(dst)
	for i := range d.Results {
		dst = appendResult(dst, d, i)
	}
	closeLength(dst, at)
	return dst
}

func appendResult(dst []byte, d *kv.Decision, i int) []byte {
	r := &d.Results[i]
	code := slices.Index(resultErrors, r.Err)
	if code < 0 {
		panic("BUG: wire: an operation ends with an error that does not travel: " + r.Err.Error())
	}
	flags := byte(0)
	if r.Existed {
		flags |= resultExisted
	}
	switch {
	case r.Made && d.Changed:
		flags |= resultFound | resultMade
	case r.Found:
		flags |= resultFound
	case r.Entry.Version != 0:
		flags |= resultVersion
	}
	if r.Number != 0 {
		flags |= resultNumber
	}
	dst = append(dst, byte(code), flags)
	if flags&resultNumber != 0 {
		dst = binary.AppendUvarint(dst, uint64(r.Number))
	}
	if flags&resultVersion != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Entry.Version))
	}
	if flags&(resultFound|resultMade) == resultFound {
		dst = kv.AppendRecord(dst, &kv.Record{Key: d.Record.Key, Entry: r.Entry})
	}
	return dst
}

// takeDecided passes over what came of a decision.
func (r *Result) takeDecided(body []byte) (rest []byte, err error) {
	if len(body) < 9 || body[0]&^(outcomeChanged|outcomeRecord) != 0 {
		return nil, fmt.Errorf("%w: outcome of a decision", ErrMalformed)
	}
	r.Changed = body[0]&outcomeChanged != 0
	rest = body[9:]
	if body[0]&outcomeRecord != 0 {
		if _, rest, err = DecodeRecord(rest); err != nil {
			return nil, err
		}
	}
	if _, rest, err = cutBytes(rest); err != nil {
		return nil, err
	}
	r.Outcome = body[:len(body)-len(rest)]
	return rest, nil
}

// ReadDecided reads the outcome of a decision into d, which has the operations that were sent and
// their version. Slices alias outcome. In results that another version of httpdhs has made, or
// flipped bits, there may be more or fewer of them: that is an error.
func ReadDecided(outcome []byte, d *kv.Decision) error {
	flags := outcome[0]
	d.Changed, d.Results = flags&outcomeChanged != 0, d.Results[:0]
	current, rest, err := cutWord(outcome[1:])
	d.Current = kv.Version(current)
	if flags&outcomeRecord != 0 && err == nil {
		if d.Record, rest, err = DecodeRecord(rest); err == nil && d.Record.Version != d.Version {
			err = fmt.Errorf("%w: a decision is of another version", ErrMalformed)
		}
	}
	if err != nil {
		return err
	}
	if d.Changed && (flags&outcomeRecord != 0) == d.Derived() {
		return fmt.Errorf("%w: record of a decision", ErrMalformed)
	}
	results, _, err := cutBytes(rest)
	if err != nil {
		return err
	}
	for range d.Ops {
		var r kv.Result
		if results, err = takeResult(results, d, &r); err != nil {
			return err
		}
		d.Results = append(d.Results, r)
	}
	if len(results) > 0 {
		return fmt.Errorf("%w: more results than operations", ErrMalformed)
	}
	return nil
}

func takeResult(body []byte, d *kv.Decision, r *kv.Result) (rest []byte, err error) {
	if len(body) < 2 || int(body[0]) >= len(resultErrors) || body[1]&^resultKnown != 0 {
		return nil, fmt.Errorf("%w: result of an operation", ErrMalformed)
	}
	flags := body[1]
	r.Err, r.Existed, r.Found, r.Made = resultErrors[body[0]], flags&resultExisted != 0, flags&resultFound != 0, flags&resultMade != 0
	rest = body[2:]
	if flags&resultNumber != 0 {
		n, size := binary.Uvarint(rest)
		if size <= 0 {
			return nil, fmt.Errorf("%w: number", ErrMalformed)
		}
		r.Number, rest = int64(n), rest[size:]
	}
	if flags&resultVersion != 0 {
		var version uint64
		if version, rest, err = cutWord(rest); err != nil {
			return nil, err
		}
		r.Entry.Version = kv.Version(version)
	}
	switch {
	case r.Made && (!r.Found || !d.Changed):
		return nil, fmt.Errorf("%w: result without a record", ErrMalformed)
	case r.Made:
		r.Entry = d.Record.Entry
	case r.Found:
		var found kv.Record
		if found, rest, err = DecodeRecord(rest); err != nil {
			return nil, err
		}
		r.Entry = found.Entry
	}
	return rest, nil
}
