package kv

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A Meta that was made of fields gives them back, and Check takes it; one that
// is too long, or would end a header, is not made, and the error names the field.
func TestMetaHoldsItsFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := func(name string) []byte {
			return rapid.SliceOfN(rapid.SampledFrom([]byte("ce\t =\xff\n\x00")), 0, 2).Draw(t, name)
		}
		f := Fields{ContentType: field("type"), CacheControl: field("cache"), ContentEncoding: field("encoding")}
		control := bytes.ContainsAny(bytes.Join([][]byte{f.ContentType, f.CacheControl, f.ContentEncoding}, nil), "\n\x00")
		m, err := f.Append([]byte("before")[:6:6])
		if control != errors.Is(err, ErrMetaControl) {
			t.Fatalf("%q: %v", f, err)
		}
		if control {
			return
		}
		got := m.Fields()
		if m.Check() != nil || !bytes.Equal(got.ContentType, f.ContentType) || !bytes.Equal(got.CacheControl, f.CacheControl) ||
			!bytes.Equal(got.ContentEncoding, f.ContentEncoding) {
			t.Fatalf("%q: %q is %q, %v", f, m, got, m.Check())
		}
	})
	for _, c := range []struct {
		typ, cache, encoding int
		names                string
	}{
		{255, 0, 0, ""}, {256, 0, 0, "Content-Type"}, {0, 253, 0, ""}, {0, 254, 0, "Cache-Control"}, {0, 0, 254, "Content-Encoding"},
		{100, 75, 76, ""}, {100, 75, 77, "Content-Type"}, {75, 100, 77, "Cache-Control"},
	} {
		f := Fields{bytes.Repeat([]byte("t"), c.typ), bytes.Repeat([]byte("c"), c.cache), bytes.Repeat([]byte("e"), c.encoding)}
		m, err := f.Append(nil)
		switch {
		case c.names == "" && (err != nil || m.Check() != nil):
			t.Errorf("%+v: %v, %v", c, err, m.Check())
		case c.names != "" && (!errors.Is(err, ErrMetaTooLong) || !strings.HasPrefix(err.Error(), "the "+c.names+" ")):
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// What Append would not write, no client may store: every node reads a Meta the
// same way.
func TestMetaHasOneForm(t *testing.T) {
	for _, in := range []string{"a\n", "a\nc", "a\ne", "a\nx1", "a\nc1\nc2", "a\neg\nc1", "a\n\nc1", "\n", "a\nc1\n", "a\nC1"} {
		if err := Meta(in).Check(); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{"", "a", "\nc1", "\neg", "a\nc1\neg"} {
		if err := Meta(in).Check(); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}
