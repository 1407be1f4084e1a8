package client

import (
	"io"

	"httpdhs/internal/format"
	"httpdhs/kv"
)

// reader is the Source of a file in one of the formats of /load-data.
type reader struct {
	format *format.Reader
	block  format.Block
	op     kv.Op
	filled bool
}

// NewSource reads r, which is TSV, CSV, NDJSON or binary records; the last are
// numbered where the others have lines. A record that is beyond the limits is
// a RecordError, and what is held of r at a time is little more than a record
// can be long.
func NewSource(f format.Format, r io.Reader, limits kv.Limits) Source {
	return &reader{format: format.NewReader(f, r, format.Options{Limits: limits})}
}

func (r *reader) Next() (*kv.Record, int64, error) {
	for {
		if !r.filled {
			if err := r.format.Fill(&r.block); err != nil {
				return nil, r.format.Line(), err
			}
			r.filled = true
		}
		line, err := r.format.Next(&r.op)
		switch {
		case err == io.EOF:
			r.filled = false
			continue
		case err != nil:
			return nil, line, &RecordError{err}
		}
		// A delete is an operation to the format, and a tombstone in a record.
		r.op.Tombstone = r.op.Kind == kv.OpDelete
		return &r.op.Record, line, nil
	}
}
