package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"httpdhs/kv"
)

// blockBytesDefault is small enough that the blocks of many requests fit in
// memory and large enough that a block of short lines is thousands of records.
const blockBytesDefault = 256 << 10

// blockBytesMin leaves room for a byte order mark, and for what tells of a packing.
const blockBytesMin = 16

// mark is the byte order mark of UTF-8, which some programs begin a file of text with.
const mark = "\xef\xbb\xbf"

// Block is the memory that a Reader's records alias. The zero Block is ready
// for use and grows to what the Reader needs.
type Block struct{ buf []byte }

// BlockOf makes a block of memory that the caller has.
func BlockOf(buf []byte) Block { return Block{buf} }

// Bytes is the block's memory, for another use of it.
func (b *Block) Bytes() []byte { return b.buf }

// Options are how a Reader reads.
type Options struct {
	Limits kv.Limits

	// Ops makes every item an operation, as in /batch: an NDJSON line says
	// "get", "put" or "delete", and a binary stream may hold gets. Without it
	// every item is a pair to put, or a binary tombstone.
	Ops bool

	// Now is what a time to live counts from; nil is time.Now.
	Now func() time.Time

	// BlockBytes is the size of a block; 0 is 256 KiB. A record that is longer
	// makes its block grow.
	BlockBytes int

	// Hold is asked before a block comes to take so many bytes. It grows with
	// what arrives. What has arrived is read also after an error, which is what
	// the stream breaks off with. nil: it may.
	Hold func(bytes int) error
}

// blockFirst is what an empty block begins with.
const blockFirst = 16 << 10

// Reader reads operations from a stream, a block at a time:
//
//	for r.Fill(block) == nil {
//		for {
//			line, err := r.Next(&op)
//			if err == io.EOF {
//				break // of this block
//			}
//			...
//		}
//	}
type Reader struct {
	src io.Reader
	dec decoder
	opt Options

	rest []byte // of the block: what Next has not read yet
	err  error  // of src, once it has had one: io.EOF or worse
	line int64  // number of the item at the start of rest, from 1

	// short: rest is less than an item, Next needs a Fill.
	short bool

	first    bool  // the stream is text, and nothing has been read of it
	skip     int64 // bytes of a refused item that are still to be dropped
	skipLine bool  // the rest of a refused line is still to be dropped
}

// decoder reads one item of a format.
type decoder interface {
	// decode reads the item at the start of src, which is not empty, into op (all but its hash). It
	// returns the item's length, or one of the codes below instead, and how many lines it has. last
	// says that nothing follows src. src may be changed, but only where the item is taken.
	//
	// A decision must depend on no more of src than the format's longest item (plus a byte), so
	// that it does not depend on the size of the blocks. A length beyond src means that what
	// follows belongs to it and is dropped.
	decode(src []byte, last bool, op *kv.Op) (n, lines int64, err error)

	// bytesMax is the length of the longest item that is not refused unseen.
	bytesMax() int
}

// What decode returns in place of a length.
const (
	more     int64 = 0  // src ends before the item does; never when last
	nextLine int64 = -1 // the item is refused, go on after the next newline
	lost     int64 = -2 // the item is refused and its end cannot be known
)

// ErrLost is what a stream ends with, in place of io.EOF, behind an item that
// does not say where the next one begins. The item has an error of its own.
var ErrLost = errors.New("what follows a malformed record cannot be read")

// errBlank is decode's word for bytes that are no item at all.
var errBlank = errors.New("blank line")

// NewReader reads src, which is in the format f.
func NewReader(f Format, src io.Reader, opt Options) *Reader {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.BlockBytes == 0 {
		opt.BlockBytes = blockBytesDefault
	}
	opt.BlockBytes = max(opt.BlockBytes, blockBytesMin)
	r := &Reader{src: src, opt: opt, line: 1, first: f != Binary}
	switch f {
	case CSV:
		r.dec = csvDecoder{max: 2*(opt.Limits.MaxKeyBytes+opt.Limits.MaxValueBytes) + 8}
	case NDJSON:
		r.dec = newNDJSONDecoder(opt)
	case Binary:
		r.dec = binaryDecoder{lim: opt.Limits, ops: opt.Ops}
	default:
		r.dec = tsvDecoder{lim: opt.Limits}
	}
	return r
}

// Fill moves what Next has left of the block before into b, and fills b from the stream. The block
// before must be unchanged until Fill returns, and may be b itself. Once every complete item has
// been read, the error is io.EOF at the end of the stream, or what the stream broke off with.
func (r *Reader) Fill(b *Block) error {
	if r.err != nil && (r.short || len(r.rest) == 0) {
		return r.err
	}
	size, old := max(r.opt.BlockBytes, len(r.rest)), r.rest
	if r.short {
		// The rest is the start of one item. Doubling keeps it low how often
		// the bytes of a long one are moved and looked at again; a decoder has
		// decided when it has seen a byte more than the longest.
		size = max(size, min(2*len(old), r.dec.bytesMax()+r.opt.BlockBytes))
	}
	r.short = false
	if err := r.grow(b, min(size, max(len(old), blockFirst)), old); err != nil {
		r.err = err
		return err
	}
	n := len(old)
	for idle := 0; n < max(size, cap(b.buf)) && r.err == nil; {
		if n == len(b.buf) {
			if r.err = r.grow(b, min(size, 2*n), b.buf); r.err != nil {
				break
			}
		}
		var got int
		got, r.err = r.src.Read(b.buf[n:])
		n += got
		if idle++; got > 0 {
			idle = 0
		} else if idle == 100 && r.err == nil {
			r.err = io.ErrNoProgress
		}
	}
	r.rest = b.buf[:n]
	if r.first {
		if packed := Packing(r.rest); packed != nil {
			r.rest, r.err = nil, packed
			return packed
		}
	}
	return nil
}

// grow has a block take so many bytes, if it does not, that begin with those in it.
func (r *Reader) grow(b *Block, size int, begin []byte) error {
	if size > cap(b.buf) {
		if r.opt.Hold != nil {
			if err := r.opt.Hold(size); err != nil {
				return err
			}
		}
		b.buf = make([]byte, 0, size)
	}
	b.buf = b.buf[:cap(b.buf)]
	copy(b.buf, begin)
	return nil
}

// Next reads the next item of the block into op, which it overwrites, and
// returns the item's line (its number, in the binary format), from 1. The
// error is io.EOF at the end of the block; any other is of this item alone.
// op aliases the block. A pair that has expired is a delete: it takes the
// place of what is there and reads as absent.
func (r *Reader) Next(op *kv.Op) (line int64, err error) {
	for {
		var n, lines int64
		if r.ready() {
			n, lines, err = r.dec.decode(r.rest, r.err == io.EOF, op)
		}
		if r.short = n == more; r.short {
			return r.line, io.EOF
		}
		line = r.line
		r.line += lines
		r.take(n)
		if err == errBlank {
			continue
		}
		if err == nil {
			err = r.opt.Limits.Check(&op.Record)
		}
		if err == nil && op.Expires > kv.ExpiresMax {
			err = kv.ErrExpiresTooLate
		}
		if err != nil {
			return line, err
		}
		if op.Expires != 0 && op.Expired(r.opt.Now().UnixMilli()) {
			*op = kv.Op{Kind: kv.OpDelete, Record: kv.Record{Key: op.Key}}
		}
		op.Hash = kv.Hash(op.Key)
		return line, nil
	}
}

// Line is the number of the item that comes next.
func (r *Reader) Line() int64 { return r.line }

// ready drops what is to be dropped from the start of the rest and says
// whether an item may begin there.
func (r *Reader) ready() bool {
	if r.first {
		if len(r.rest) < len(mark) && r.err == nil && bytes.HasPrefix([]byte(mark), r.rest) {
			return false
		}
		r.rest, r.first = bytes.TrimPrefix(r.rest, []byte(mark)), false
	}
	r.drop()
	return len(r.rest) > 0
}

// take drops an item of decode's length n from the rest.
func (r *Reader) take(n int64) {
	switch n {
	case nextLine:
		r.skipLine = true
	case lost:
		r.rest, r.err = nil, ErrLost
		return
	default:
		r.skip = n
	}
	r.drop()
}

// drop drops from the rest what it can of a refused item.
func (r *Reader) drop() {
	n := int(min(r.skip, int64(len(r.rest))))
	r.rest, r.skip = r.rest[n:], r.skip-int64(n)
	if !r.skipLine {
		return
	}
	if i := bytes.IndexByte(r.rest, '\n'); i >= 0 {
		r.rest, r.skipLine = r.rest[i+1:], false
	} else {
		r.rest = nil
	}
}

var errNoTab = errors.New("no tab between key and value")

func errLineTooLong(limit int) error {
	return fmt.Errorf("the line is longer than %d bytes, the most that --max-key-bytes and --max-value-bytes allow", limit)
}
