package kv

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// A Meta that was made of fields gives them back, and Check takes it; one that
// is too long, or would end a header, or is no UTF-8, is not made, and the error names the field.
func TestMetaHoldsItsFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := func(name string) []byte {
			return rapid.SliceOfN(rapid.SampledFrom([]byte("ce\t =\xff\n\x00")), 0, 2).Draw(t, name)
		}
		f := Fields{ContentType: field("type"), CacheControl: field("cache"), ContentEncoding: field("encoding")}
		all := bytes.Join([][]byte{f.ContentType, f.CacheControl, f.ContentEncoding}, []byte(" "))
		control, text := bytes.ContainsAny(all, "\n\x00"), utf8.Valid(all)
		m, err := f.Append([]byte("before")[:6:6])
		if control != errors.Is(err, ErrMetaControl) || (!control && !text) != errors.Is(err, ErrMetaNotUTF8) {
			t.Fatalf("%q: %v", f, err)
		}
		if control || !text {
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

// What says nothing of a value is not kept, whether it comes as fields or as a whole Meta; what is
// like it is.
func TestMetaKeepsWhatSaysSomething(t *testing.T) {
	for _, c := range []struct{ typ, cache, want string }{
		{"application/x-www-form-urlencoded", "", ""},
		{"Application/X-WWW-Form-urlencoded ; charset=utf-8", "", ""},
		{"multipart/form-data; boundary=x", "max-age=60", "\ncmax-age=60"},
		{"application/octet-stream", "", ""},
		{"Application/Octet-Stream", "no-cache", ""},
		{"a/b", "Max-Age=0", "a/b"},
		{"application/octet-stream; q=1", "no-cache, private", "application/octet-stream; q=1\ncno-cache, private"},
		{"application/x-www-form-urlencoded2", "", "application/x-www-form-urlencoded2"},
		{"multipart/mixed", "", "multipart/mixed"},
	} {
		whole := c.typ
		if c.cache != "" {
			whole += "\nc" + c.cache
		}
		f := Fields{ContentType: []byte(c.typ), CacheControl: []byte(c.cache)}
		if m, err := f.Append(nil); err != nil || string(m) != c.want {
			t.Errorf("%q: %q, %v, want %q", c, m, err, c.want)
		}
		if m, err := Meta(whole).Kept(); err != nil || string(m) != c.want {
			t.Errorf("%q: %q, %v, want %q", whole, m, err, c.want)
		}
	}
	if _, err := Meta("a/\xe9").Kept(); !errors.Is(err, ErrMetaNotUTF8) {
		t.Error(err)
	}
	if _, err := Meta("a\n").Kept(); !errors.Is(err, ErrFormat) {
		t.Error(err)
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
