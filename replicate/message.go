package replicate

import (
	"encoding/binary"
	"errors"
	"fmt"

	"httpdhs/internal/seal"
	"httpdhs/kv"
)

// Messages between nodes: a format byte, a kind byte, a body. Integers are
// little endian. Over HTTP each has a seal beside it, which is package seal's.
//
//	batch   u64 clock of the sender, then items to the end:
//	          'a' record                              merge it
//	          'r' uvarint length, key                 read it
//	          'c' u8 condition, u8 n, n × u64, record merge it if the condition holds
//	answer  u64 clock of the answerer, then a result an item, in order, up to
//	        the first that is to be sent again:
//	          u8 code | existed flag; then u64 version after stale and failed
//	          conditions, a record after found, nothing after the others
//	list    see list.go
//	ping    both ways, see pingwire.go
//	digests, pull  see sync.go
//	ring    u64 fingerprint; the answer is JSON, see change.go
//	hello   package membership's, both ways
const (
	messageFormat = seal.Format

	kindBatch   = 1
	kindList    = 2
	kindPing    = 3
	kindDigests = 4
	kindPull    = 5
	kindRing    = 6
	kindHello   = 7

	messageHead = 2
	batchHead   = messageHead + 8
)

const (
	itemApply = 'a'
	itemRead  = 'r'
	itemCond  = 'c'
)

// resultCode is the outcome of one item. The codes from failedDown on never
// travel: they are what the sending side makes of a peer that did not answer.
type resultCode uint8

const (
	resultStored     resultCode = 1 + iota // a, c: stored, or was there already
	resultStale                            // a, c: a newer version is there (version follows)
	resultNoMemory                         // a, c: at --max-memory
	resultRefused                          // a, c: beyond the peer's limits
	resultCondition                        // c: does not hold (version of what is there follows)
	resultFound                            // r: record follows, value or tombstone
	resultAbsent                           // r: nothing is held
	resultAgain                            // the answer is full and ends here: send this item and what follows it again
	resultUnsynced                         // c: the answerer may not decide
	resultElsewhere                        // a: kept, but the answerer is no owner: whoever sent it goes by an old ring
	resultUnbelieved                       // a, c: stamped too far ahead of the peer's clock

	failedDown     // the peer went down or its answer was no answer
	failedStopping // this node stops
	failedUnasked  // the peer was down, and nothing was sent
)

const (
	flagExisted  = 1 << 7 // a reader would have seen a value before the write
	flagBehind   = 1 << 7 // r: the answerer has refused something newer than it holds
	flagUnsynced = 1 << 6 // r: the answerer has no authority for the partition
	codeMask     = flagUnsynced - 1
)

// result is an item's answer.
type result struct {
	code     resultCode
	existed  bool
	unsynced bool
	repeated bool       // the item was sent before, and may have been carried out then
	behind   bool       // of reads
	version  kv.Version // of stale and condition
	record   kv.Record  // of found; aliases the answer
}

// wireLimits bound what is taken from a peer before the node's own limits are
// looked at, so that nodes with different limits can still talk.
var wireLimits = kv.Limits{MaxKeyBytes: 1 << 30, MaxValueBytes: 1 << 30}

var errMessage = errors.New("malformed message")

func appendHead(dst []byte, kind byte) []byte {
	return append(dst, messageFormat, kind)
}

// splitHead takes the head off a message.
func splitHead(msg []byte) (kind byte, body []byte, err error) {
	if len(msg) < messageHead {
		return 0, nil, fmt.Errorf("%w: %d bytes", errMessage, len(msg))
	}
	if msg[0] != messageFormat {
		return 0, nil, fmt.Errorf("%w: format %d, this node speaks %d", errMessage, msg[0], messageFormat)
	}
	return msg[1], msg[messageHead:], nil
}

// openBatch starts a batch or its answer; the clock is set before it is sent.
func openBatch(dst []byte) []byte {
	return append(appendHead(dst, kindBatch), 0, 0, 0, 0, 0, 0, 0, 0)
}

func setBatchClock(batch []byte, v kv.Version) {
	binary.LittleEndian.PutUint64(batch[messageHead:], uint64(v))
}

func splitClock(body []byte) (kv.Version, []byte, error) {
	if len(body) < 8 {
		return 0, nil, fmt.Errorf("%w: no clock", errMessage)
	}
	return kv.Version(binary.LittleEndian.Uint64(body)), body[8:], nil
}

func appendApply(dst []byte, r *kv.Record) []byte {
	return kv.AppendRecord(append(dst, itemApply), r)
}

func appendRead(dst []byte, key []byte) []byte {
	dst = binary.AppendUvarint(append(dst, itemRead), uint64(len(key)))
	return append(dst, key...)
}

func appendCond(dst []byte, c *kv.Condition, r *kv.Record) []byte {
	dst = append(dst, itemCond, byte(c.Kind), byte(len(c.Versions)))
	for _, v := range c.Versions {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
	}
	return kv.AppendRecord(dst, r)
}

// item is one decoded item of a batch; its slices alias the batch, and cond's
// versions the scratch that was passed in.
type item struct {
	kind   byte
	record kv.Record // of a read only the key
	cond   kv.Condition
}

// nextItem decodes the first item of body and returns what follows it.
func nextItem(body []byte, scratch []kv.Version) (it item, rest []byte, err error) {
	it.kind, rest = body[0], body[1:]
	switch it.kind {
	case itemRead:
		n, size := binary.Uvarint(rest)
		if size <= 0 || n == 0 || n > uint64(len(rest)-size) {
			return it, nil, fmt.Errorf("%w: key of a read", errMessage)
		}
		end := size + int(n)
		it.record.Key = rest[size:end:end]
		return it, rest[end:], nil
	case itemCond:
		if len(rest) < 2 {
			return it, nil, fmt.Errorf("%w: condition", errMessage)
		}
		kind, n := kv.ConditionKind(rest[0]), int(rest[1])
		rest = rest[2:]
		if kind > kv.IfNotVersion || n > kv.MaxConditionVersions || len(rest) < 8*n {
			return it, nil, fmt.Errorf("%w: condition", errMessage)
		}
		scratch = scratch[:0]
		for range n {
			scratch = append(scratch, kv.Version(binary.LittleEndian.Uint64(rest)))
			rest = rest[8:]
		}
		it.cond = kv.Condition{Kind: kind, Versions: scratch}
	case itemApply:
	default:
		return it, nil, fmt.Errorf("%w: item 0x%02x", errMessage, it.kind)
	}
	it.record, rest, err = kv.DecodeRecord(rest, &wireLimits)
	return it, rest, err
}

func appendResult(dst []byte, r *result) []byte {
	code := byte(r.code)
	if r.existed {
		code |= flagExisted
	}
	if r.behind {
		code |= flagBehind
	}
	if r.unsynced {
		code |= flagUnsynced
	}
	dst = append(dst, code)
	switch r.code {
	case resultStale, resultCondition:
		return binary.LittleEndian.AppendUint64(dst, uint64(r.version))
	case resultFound:
		return kv.AppendRecord(dst, &r.record)
	}
	return dst
}

// nextResult decodes the first result of body and returns what follows it.
func nextResult(body []byte) (r result, rest []byte, err error) {
	if len(body) == 0 {
		return r, nil, fmt.Errorf("%w: fewer results than items", errMessage)
	}
	r.code, rest = resultCode(body[0]&codeMask), body[1:]
	r.existed = body[0]&flagExisted != 0
	r.unsynced = body[0]&flagUnsynced != 0
	switch r.code {
	case resultStale, resultCondition:
		if len(rest) < 8 {
			return r, nil, fmt.Errorf("%w: version of a result", errMessage)
		}
		r.version, rest = kv.Version(binary.LittleEndian.Uint64(rest)), rest[8:]
	case resultFound:
		r.behind, r.existed = r.existed, false
		r.record, rest, err = kv.DecodeRecord(rest, &wireLimits)
	case resultAbsent:
		r.behind, r.existed = r.existed, false
	case resultStored, resultNoMemory, resultRefused, resultUnbelieved, resultAgain, resultUnsynced, resultElsewhere:
	default:
		err = fmt.Errorf("%w: result 0x%02x", errMessage, body[0])
	}
	return r, rest, err
}
