package kv

import (
	"bytes"
	"fmt"
)

// Meta is what is kept beside a value and given back with it: the media type,
// and the fields of HTTP that say how the value is cached and coded. It is one
// string of bytes, so that what stores and carries records need not know its
// parts.
//
//	media type                  empty: application/octet-stream
//	"\n" 'c' Cache-Control      if there is one
//	"\n" 'e' Content-Encoding   if there is one
//
// The parts go into headers when the value is read, so none has control
// characters but tabs, and "\n" can be between them. The empty Meta is that of
// a value of which nothing is known.
type Meta []byte

// MaxMetaBytes bounds a Meta: its length is one byte in a record.
const MaxMetaBytes = 255

const (
	metaSeparator       = '\n'
	metaCacheControl    = 'c'
	metaContentEncoding = 'e'
)

// Fields are the parts of a Meta, in the words of HTTP; an empty one is not
// there.
type Fields struct {
	ContentType     []byte // no media type: application/octet-stream
	CacheControl    []byte
	ContentEncoding []byte
}

// Fields takes a Meta apart; the parts alias it. Of one that Check refuses some
// may be missing.
func (m Meta) Fields() (f Fields) {
	if bytes.IndexByte(m, metaSeparator) < 0 {
		f.ContentType = m // as nearly always
		return f
	}
	var field []byte
	f.ContentType, field, _ = bytes.Cut(m, []byte{metaSeparator})
	for len(field) > 0 {
		var rest []byte
		field, rest, _ = bytes.Cut(field, []byte{metaSeparator})
		switch {
		case len(field) == 0:
		case field[0] == metaCacheControl:
			f.CacheControl = field[1:]
		case field[0] == metaContentEncoding:
			f.ContentEncoding = field[1:]
		}
		field = rest
	}
	return f
}

// Append makes the Meta of the fields, in what it appends to dst; but a media
// type alone is its own Meta, and is not copied. The error wraps ErrMetaControl
// or ErrMetaTooLong and says which field it is about.
func (f *Fields) Append(dst []byte) (Meta, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if len(f.CacheControl)+len(f.ContentEncoding) == 0 {
		return f.ContentType, nil
	}
	start := len(dst)
	dst = append(dst, f.ContentType...)
	if len(f.CacheControl) > 0 {
		dst = append(append(dst, metaSeparator, metaCacheControl), f.CacheControl...)
	}
	if len(f.ContentEncoding) > 0 {
		dst = append(append(dst, metaSeparator, metaContentEncoding), f.ContentEncoding...)
	}
	return dst[start:], nil
}

// size is the length of the fields' Meta.
func (f *Fields) size() int {
	n := len(f.ContentType)
	for _, field := range [][]byte{f.CacheControl, f.ContentEncoding} {
		if len(field) > 0 {
			n += 2 + len(field)
		}
	}
	return n
}

func (f *Fields) check() error {
	longest := 0
	named := [...]struct {
		name  string
		value []byte
	}{{"Content-Type", f.ContentType}, {"Cache-Control", f.CacheControl}, {"Content-Encoding", f.ContentEncoding}}
	for i := range named {
		for _, c := range named[i].value {
			if c < ' ' && c != '\t' || c == 0x7f {
				return fmt.Errorf("the %s has %w", named[i].name, ErrMetaControl)
			}
		}
		if len(named[i].value) > len(named[longest].value) {
			longest = i
		}
	}
	if f.size() > MaxMetaBytes {
		return fmt.Errorf("the %s is %w", named[longest].name, ErrMetaTooLong)
	}
	return nil
}

// Check returns the error that the Meta deserves, or nil: that of its Fields, or
// one that wraps ErrFormat where Append would not make it.
func (m Meta) Check() error {
	f := m.Fields()
	if err := f.check(); err != nil {
		return err
	}
	var buf [MaxMetaBytes]byte
	if again, _ := f.Append(buf[:0]); !bytes.Equal(again, m) {
		return fmt.Errorf("%w: metadata that is none", ErrFormat)
	}
	return nil
}
