package client

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"httpdhs/internal/format"
	"httpdhs/kv"
)

// Record is a key and a value to load.
type Record struct {
	Key             string
	Value           []byte
	ContentType     string    // as in PutOptions
	CacheControl    string    // as in PutOptions
	ContentEncoding string    // as in PutOptions
	Expires         time.Time // zero: never; in the past: the key is deleted

	// Delete makes it the delete of its key. Only Key and Line count then.
	Delete bool

	// Line is where the record comes from, for errors. 0: its number in the sequence, from 1.
	Line int64
}

// RecordError is a record that failed. A sequence may yield one in place of a record: it is
// counted and reported, and the load goes on.
type RecordError struct {
	Line int64 // as in Record
	Err  error
}

func (e *RecordError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *RecordError) Unwrap() error { return e.Err }

// Pairs makes records of keys and values, such as those of a map: Pairs(maps.All(m)).
func Pairs(pairs iter.Seq2[string, []byte]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for key, value := range pairs {
			if !yield(Record{Key: key, Value: value}, nil) {
				return
			}
		}
	}
}

// Format is how a file of records is written. It is the media type that POST /load-data takes.
type Format string

const (
	TSV    Format = format.TypeTSV    // key, tab, value, newline
	CSV    Format = format.TypeCSV    // RFC 4180, two fields
	NDJSON Format = format.TypeNDJSON // {"key":…,"value":…}, one object a line
	Binary Format = format.TypeBinary // the records of docs/http-api.md
)

// ReadOptions of ReadRecords. Nil takes the defaults, which are those of the nodes.
type ReadOptions struct {
	MaxKeyBytes   int // longest key; 0: 4096
	MaxValueBytes int // largest value; 0: 8 MiB
}

var (
	errReadLimits = errors.New("a negative limit in ReadOptions: use 0 for the default")
	errReadTwice  = errors.New("the records were read before: open the file again for another ReadRecords")
)

// ReadRecords reads the records of a file while it is ranged over, once: a second time is an error.
// It reads blocks of 256 KiB, or of one record that is larger. The Value of a record that is kept
// keeps its block in memory, and its Key up to a KiB of other keys. A line that is no record, or
// one beyond the limits, is a *RecordError, and reading goes on. Any other error ends it.
func ReadRecords(r io.Reader, f Format, opts *ReadOptions) iter.Seq2[Record, error] {
	limits := kv.DefaultLimits()
	if opts != nil {
		limits.MaxKeyBytes = orDefault(opts.MaxKeyBytes, limits.MaxKeyBytes)
		limits.MaxValueBytes = orDefault(opts.MaxValueBytes, limits.MaxValueBytes)
	}
	var begun atomic.Bool
	return func(yield func(Record, error) bool) {
		if begun.Swap(true) {
			yield(Record{}, errReadTwice)
			return
		}
		if limits.MaxKeyBytes < 0 || limits.MaxValueBytes < 0 {
			yield(Record{}, errReadLimits)
			return
		}
		known, ok := format.ByMediaType([]byte(f))
		if !ok {
			yield(Record{}, fmt.Errorf("format %q: want client.TSV, CSV, NDJSON or Binary", f))
			return
		}
		in := reader{format: format.NewReader(known, r, format.Options{Limits: limits})}
		for {
			// Of the block before, the caller may have kept values. The next is as large.
			in.block = format.BlockOf(make([]byte, 0, min(cap(in.block.Bytes()), blockBytes)))
			err := in.format.Fill(&in.block)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Record{Line: in.format.Line()}, err)
				return
			}
			if !in.yieldBlock(yield) {
				return
			}
		}
	}
}

// reader reads a file block by block.
type reader struct {
	format      *format.Reader
	block       format.Block
	op          kv.Op
	contentType string // of the record before: nearly always that of the next, too
	keys        strings.Builder
}

// keysBytes is how many bytes of keys are allocated together. A key that is kept keeps them.
const keysBytes = 1 << 10

// key copies a key.
func (r *reader) key(k []byte) string {
	if r.keys.Len()+len(k) > r.keys.Cap() {
		r.keys.Reset()
		r.keys.Grow(max(keysBytes, len(k)))
	}
	start := r.keys.Len()
	r.keys.Write(k)
	return r.keys.String()[start:]
}

// yieldBlock yields the records of the block, and says whether to go on.
func (r *reader) yieldBlock(yield func(Record, error) bool) bool {
	for {
		line, err := r.format.Next(&r.op)
		switch {
		case err == io.EOF:
			return true
		case err != nil:
			if !yield(Record{Line: line}, &RecordError{line, err}) {
				return false
			}
		case !yield(r.record(line), nil):
			return false
		}
	}
}

// record is the operation that was read. Its value is in the memory of the block.
func (r *reader) record(line int64) Record {
	op := &r.op
	rec := Record{Key: r.key(op.Key), Line: line, Delete: op.Kind == kv.OpDelete}
	if rec.Delete {
		return rec
	}
	rec.Value = slices.Clip(op.Value) // to append to it changes no other
	if op.Expires != 0 {
		rec.Expires = time.UnixMilli(op.Expires)
	}
	if len(op.Meta) == 0 {
		return rec
	}
	fields := op.Meta.Fields()
	if string(fields.ContentType) != r.contentType {
		r.contentType = string(fields.ContentType)
	}
	rec.ContentType = r.contentType
	rec.CacheControl, rec.ContentEncoding = string(fields.CacheControl), string(fields.ContentEncoding)
	return rec
}

// encoder turns Records into those of package kv, in memory that it uses again.
type encoder struct {
	record kv.Record
	key    []byte
}

func (e *encoder) encode(r *Record) (*kv.Record, error) {
	e.key = append(e.key[:0], r.Key...)
	e.record = kv.Record{Key: e.key, Entry: kv.Entry{Tombstone: r.Delete}}
	if r.Delete {
		return &e.record, nil
	}
	if r.ContentType != "" || r.CacheControl != "" || r.ContentEncoding != "" {
		fields := kv.Fields{ContentType: []byte(r.ContentType), CacheControl: []byte(r.CacheControl),
			ContentEncoding: []byte(r.ContentEncoding)}
		var err error
		if e.record.Meta, err = fields.Append(nil); err != nil {
			return nil, err
		}
	}
	if !r.Expires.IsZero() {
		e.record.Expires = max(r.Expires.UnixMilli(), 1)
	}
	e.record.Value = r.Value
	return &e.record, nil
}
