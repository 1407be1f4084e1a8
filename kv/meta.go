package kv

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Meta is what is kept beside a value and given back with it: the media type, and the fields of
// HTTP that say how the value is cached and coded. It is one string of bytes, so code that stores
// and carries records need not know its parts.
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

// Append makes the Meta of the fields, in what it appends to dst. But a media type alone is its own
// Meta, and is not copied. All that clients say of values goes through it: it empties the fields
// that say nothing of a value, and are not kept. The error wraps ErrMetaControl, ErrMetaTooLong or
// ErrMetaNotUTF8 and says which field it is about.
//
// What is not UTF-8 is refused, though HTTP would carry it: in JSON, and so in a
// dump, it would come out as something else. Types, directives and codings are
// ASCII by their registries, so nobody needs it.
func (f *Fields) Append(dst []byte) (Meta, error) {
	if len(f.ContentType)+len(f.CacheControl)+len(f.ContentEncoding) == 0 {
		return nil, nil // as most of what is loaded in bulk
	}
	f.drop()
	if err := f.check(); err != nil {
		return nil, err
	}
	for _, field := range f.named() {
		if !utf8.Valid(field.value) {
			return nil, fmt.Errorf("the %s has %w", field.name, ErrMetaNotUTF8)
		}
	}
	return f.encode(dst), nil
}

func (f *Fields) encode(dst []byte) Meta {
	if len(f.CacheControl)+len(f.ContentEncoding) == 0 {
		return f.ContentType
	}
	start := len(dst)
	dst = append(dst, f.ContentType...)
	if len(f.CacheControl) > 0 {
		dst = append(append(dst, metaSeparator, metaCacheControl), f.CacheControl...)
	}
	if len(f.ContentEncoding) > 0 {
		dst = append(append(dst, metaSeparator, metaContentEncoding), f.ContentEncoding...)
	}
	return dst[start:]
}

// Kept is the Meta as Append makes it, of one that a client gives as a whole.
func (m Meta) Kept() (Meta, error) {
	if len(m) == 0 {
		return nil, nil
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	f := m.Fields()
	return f.Append(nil)
}

// drop empties the fields that say nothing of the value: a form's type is of the
// request that brings it, and the other values are what no field means too. Some
// browsers add these directives to what they send, also to writes.
func (f *Fields) drop() {
	if t := mediaType(f.ContentType); bytes.EqualFold(t, typeForm) || bytes.EqualFold(t, typeMultipart) ||
		bytes.EqualFold(f.ContentType, typeBytes) {
		f.ContentType = nil
	}
	if bytes.EqualFold(f.CacheControl, cacheReload) || bytes.EqualFold(f.CacheControl, cacheRevalidate) {
		f.CacheControl = nil
	}
}

var (
	typeForm        = []byte("application/x-www-form-urlencoded")
	typeMultipart   = []byte("multipart/form-data")
	typeBytes       = []byte("application/octet-stream")
	cacheReload     = []byte("no-cache")
	cacheRevalidate = []byte("max-age=0")
)

// IsForm says whether a Content-Type is that of curl -d, an URL-encoded form.
func IsForm(contentType []byte) bool {
	return len(contentType) >= len(typeForm) && bytes.EqualFold(mediaType(contentType), typeForm)
}

// mediaType is a Content-Type without its parameters.
func mediaType(contentType []byte) []byte {
	if i := bytes.IndexByte(contentType, ';'); i >= 0 {
		contentType = contentType[:i]
	}
	return bytes.TrimSpace(contentType)
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

// namedField is a field with its name in HTTP.
type namedField struct {
	name  string
	value []byte
}

func (f *Fields) named() [3]namedField {
	return [...]namedField{{"Content-Type", f.ContentType}, {"Cache-Control", f.CacheControl}, {"Content-Encoding", f.ContentEncoding}}
}

func (f *Fields) check() error {
	longest := 0
	named := f.named()
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
// one that wraps ErrFormat where it is not of the form that Append gives to fields.
// It is also asked of what other nodes send, so it takes what Append drops or
// refuses: an older node may have taken it.
func (m Meta) Check() error {
	if len(m) == 0 {
		return nil
	}
	f := m.Fields()
	if err := f.check(); err != nil {
		return err
	}
	var buf [MaxMetaBytes]byte
	if !bytes.Equal(f.encode(buf[:0]), m) {
		return fmt.Errorf("%w: metadata that is none", ErrFormat)
	}
	return nil
}
